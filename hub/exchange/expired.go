package exchange

import (
	"fmt"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// expired is what is said of a packet that is not kept any more: who asks was to see it,
// and may still need to know that it was there.
func expired(statement *exchangev1.Statement) error {
	typ, typVI := typeNames(statement.GetType())
	sequence, at := statement.GetSequence(), statement.GetAcceptedAt().AsTime()
	return fault.New(codes.NotFound, "packet_expired",
		fmt.Sprintf("packet %d was accepted on %s; it is not kept any more, as the hub keeps %s packets for a limited time. Its sender still gets its receipt",
			sequence, at.Format("2006-01-02"), typ),
		fmt.Sprintf("gói tin số thứ tự %d được tiếp nhận ngày %s; nay không còn lưu, vì trục chỉ lưu gói tin %s trong thời hạn nhất định. Bên gửi vẫn nhận được biên nhận",
			sequence, at.Format("02/01/2006"), typVI))
}

// removedDifferences names what of an envelope is not as before, where the statement is
// all that is left of what was before. What that does not tell apart is said to differ
// together: the digest, which is kept, has told that something does.
func removedDifferences(statement *exchangev1.Statement, now *said) (en, vi string) {
	before := &exchangev1.AcceptedPacket{
		Envelope:      &exchangev1.Envelope{Type: statement.GetType(), Format: now.format, OnBehalfOf: now.onBehalfOf, Recipients: now.recipients},
		ContentSha256: statement.GetContentSha256(),
	}
	en, vi = differences(before, now)
	if en == "" {
		return "other format, on_behalf_of or recipients", "định dạng, on_behalf_of hoặc nơi nhận khác"
	}
	return en, vi
}
