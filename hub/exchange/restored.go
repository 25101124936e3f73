package exchange

import (
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/hub/fault"
)

// absent is what the caller is told of a sequence that is not there: of one that was
// skipped, since the hub goes on from a copy, what to do.
func (s *Service) absent(sequence uint64, orRecipient bool) error {
	copied, skipped := s.skipped(sequence)
	switch {
	case !skipped:
		return noSuchPacket(sequence, orRecipient)
	case copied.IsZero():
		return lostPacket(sequence, "a copy", "một bản sao")
	}
	at := copied.In(time.FixedZone("", 7*60*60)).Format(time.RFC3339)
	return lostPacket(sequence, "a backup of "+at, "bản sao lưu lúc "+at)
}

func lostPacket(sequence uint64, fromEN, fromVI string) error {
	return fault.New(codes.NotFound, "packet_lost",
		fmt.Sprintf("packet %d is not there: this hub was restored from %s. If there is a receipt for it, it was accepted after that was made, and lost: submit it again with the same id", sequence, fromEN),
		fmt.Sprintf("không có gói tin số thứ tự %d: trục đã được khôi phục từ %s. Nếu có biên nhận thì gói tin đã được tiếp nhận sau bản sao đó và bị mất: hãy gửi lại với cùng mã định danh", sequence, fromVI))
}
