package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store"
)

// readable reads, one by one, deliveries of which some have changed on the disk, and
// returns the others. Those wait as if they had been rejected very often, and what is
// of their order behind them: nothing else is held up by them, and a disk that has
// been mended, or an acknowledgement, lets it all go on. What is not kept any more was
// acknowledged since it was taken.
func (s *Service) readable(ctx context.Context, in *inbox, taken []out) ([]out, [][]byte, error) {
	found := make(map[uint64][]byte, len(taken))
	damage := map[uint64]error{}
	for _, o := range taken {
		records, err := s.store.Records(ctx, []uint64{o.sequence})
		switch {
		case err == nil:
			found[o.sequence] = records[0]
		case errors.Is(err, store.ErrCorrupt):
			damage[o.sequence] = err
		case errors.Is(err, store.ErrRemoved):
		default:
			return nil, nil, fmt.Errorf("read deliveries: %w", err)
		}
	}
	left, first := in.postpone(taken, damage)
	for _, sequence := range first {
		s.logger.Error("a packet cannot be delivered: it cannot be read", "sequence", sequence, "recipient", in.node, "error", damage[sequence])
	}
	left = slices.DeleteFunc(left, func(o out) bool { return found[o.sequence] == nil })
	records := make([][]byte, len(left))
	for i, o := range left {
		records[i] = found[o.sequence]
	}
	return left, records, nil
}

// postpone takes back, of what was taken, what is damaged, and what is of its order
// after it, as if none had been out. It returns what is left, and those that were not
// known to be damaged.
func (in *inbox) postpone(taken []out, damage map[uint64]error) (left []out, first []uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	var damaged []*flight
	for _, o := range taken {
		if f, flying := in.flights[o.sequence]; flying && damage[o.sequence] != nil {
			damaged = append(damaged, f)
		}
	}
	// The last first, as in takeBackAfter.
	slices.SortFunc(damaged, func(f, g *flight) int { return cmp.Compare(g.pending.Sequence, f.pending.Sequence) })
	var back []store.Pending
	for _, f := range damaged {
		back = append(back, in.landAfter(f.pending.Order, f.pending.Sequence)...)
		p := in.uncount(f)
		in.stallFor(p, in.limits.RetryAtMost)
		if so := in.tries[p.Sequence]; !so.unreadable {
			so.unreadable = true
			in.tries[p.Sequence] = so
			first = append(first, p.Sequence)
		}
	}
	all := slices.Concat(in.aside, back) // what was aside may be of an order that is stalled now
	in.aside = in.aside[:0]
	in.setAside(all)
	in.changed.fire()
	for _, o := range taken {
		if damage[o.sequence] == nil && in.flights[o.sequence] != nil {
			left = append(left, o)
		}
	}
	return left, first
}

// unreadable is what is said of a packet that has changed on the hub's disk.
func unreadable(statement *exchangev1.Statement, cause error) error {
	sequence, sender, id := statement.GetSequence(), statement.GetSender(), statement.GetEnvelopeId()
	return fault.New(codes.DataLoss, "packet_unreadable",
		fmt.Sprintf("packet %d was accepted from %s as %q, but what the hub has stored of it is damaged and cannot be read. "+
			"Ask the sender to submit it again under a new id, then acknowledge %d: what waits behind it is delivered then", sequence, sender, id, sequence),
		fmt.Sprintf("gói tin số thứ tự %d của %s (mã %q) đã được tiếp nhận, nhưng dữ liệu lưu trên trục bị hỏng nên không đọc được. "+
			"Hãy đề nghị nơi gửi gửi lại với mã mới, rồi xác nhận số thứ tự %d để nhận các gói tin đang chờ phía sau", sequence, sender, id, sequence)).Because(cause)
}
