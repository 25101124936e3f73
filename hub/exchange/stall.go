package exchange

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lienthong/lienthong/hub/store"
)

// stall is an order that waits for the next attempt at a delivery that was rejected:
// that one, and all that the inbox has read of its order after it. None of them is out.
type stall struct {
	order   uint64
	waiting []delayed // by sequence, never empty; the first is what the others wait for
	at      int       // in dueStalls
}

// delayed is a delivery in a stall.
type delayed struct {
	store.Pending
	due time.Time // of the next attempt at it; zero where it was not rejected
}

// until returns when the stall may end.
func (s *stall) until() time.Time { return s.waiting[0].due }

// rejection is what a recipient says of a delivery.
type rejection struct {
	sequence uint64
	reason   string
	final    bool
}

// rejected says what became of rejections. What is neither was not out.
type rejected struct{ again, dead []uint64 }

// reject takes deliveries that are out back: to go out again later, or, where that is
// hopeless, for the dead letters. Either way it takes back what is out of their order
// after them. With an error, nothing has changed.
func (in *inbox) reject(ctx context.Context, rejections []rejection) (rejected, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.expire()
	given := map[uint64]rejection{}
	var again, hopeless []*flight
	for _, r := range rejections {
		f, out := in.flights[r.sequence]
		if _, twice := given[r.sequence]; !out || twice {
			continue
		}
		given[r.sequence] = r
		if r.final || int(in.tries[r.sequence].rejections)+1 >= in.limits.Attempts {
			hopeless = append(hopeless, f)
		} else {
			again = append(again, f)
		}
	}
	buried, err := in.bury(ctx, hopeless, given)
	if err != nil {
		return rejected{}, err
	}
	in.takeBackAfter(again, hopeless, given)
	return rejected{again: sequencesOf(again), dead: buried}, nil
}

// bury makes dead letters, and returns those that were not acknowledged meanwhile.
func (in *inbox) bury(ctx context.Context, hopeless []*flight, given map[uint64]rejection) ([]uint64, error) {
	if len(hopeless) == 0 {
		return nil, nil
	}
	at := in.clock()
	letters := make([]store.DeadLetter, len(hopeless))
	for i, f := range hopeless {
		sequence := f.pending.Sequence
		letters[i] = store.DeadLetter{
			Sequence: sequence, Reason: given[sequence].reason, Attempts: in.tries[sequence].attempts, At: at,
		}
	}
	buried, err := in.dead.Bury(ctx, in.node, letters)
	if err != nil {
		return nil, fmt.Errorf("make dead letters: %w", err)
	}
	return buried, nil
}

// takeBackAfter stalls the orders of some flights, ends others for good, and takes
// back what is out of the order of either after it.
func (in *inbox) takeBackAfter(again, hopeless []*flight, given map[uint64]rejection) {
	if len(again)+len(hopeless) == 0 {
		return
	}
	// The last first: each is taken back as rejected, not as one after a rejected one.
	slices.SortFunc(again, func(f, g *flight) int { return cmp.Compare(g.pending.Sequence, f.pending.Sequence) })
	var back []store.Pending
	for _, f := range hopeless {
		in.forget(f.pending.Sequence)
	}
	for _, f := range again {
		back = append(back, in.landAfter(f.pending.Order, f.pending.Sequence)...)
		in.land(f)
		in.stall(f.pending, given[f.pending.Sequence].reason)
	}
	for _, f := range hopeless {
		back = append(back, in.landAfter(f.pending.Order, f.pending.Sequence)...)
	}
	// What was aside may be of an order that is stalled now.
	all := slices.Concat(in.aside, back)
	in.aside = in.aside[:0]
	in.setAside(all)
	in.changed.fire()
}

// landAfter ends the flights of an order after a sequence, as if they had not been.
func (in *inbox) landAfter(order, sequence uint64) []store.Pending {
	var back []store.Pending
	for f := in.holders[order].last; f != nil; {
		before := f.before
		if f.pending.Sequence > sequence {
			back = append(back, in.uncount(f))
		}
		f = before
	}
	return back
}

// recall takes back what is out of an order after a sequence.
func (in *inbox) recall(order, sequence uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.setAside(in.landAfter(order, sequence))
}

// stall has the order of a delivery that was rejected wait for the next attempt at it.
func (in *inbox) stall(p store.Pending, reason string) {
	so := in.tries[p.Sequence]
	so.rejections++
	so.reason = reason
	in.tries[p.Sequence] = so
	in.stallFor(p, in.limits.delay(so.rejections))
}

// stallFor has the order of a delivery wait for so long. What of the order was stalled
// before comes after it.
func (in *inbox) stallFor(p store.Pending, delay time.Duration) {
	s, stalled := in.stalls[p.Order]
	if !stalled {
		s = &stall{order: p.Order}
	}
	in.queue(s, delayed{Pending: p, due: in.clock().Add(delay)})
	if !stalled {
		in.stalls[p.Order] = s
		heap.Push(&in.due, s)
	} else {
		heap.Fix(&in.due, s.at)
	}
}

// queue puts a delivery into a stall, in its place.
func (in *inbox) queue(s *stall, d delayed) {
	at, _ := slices.BinarySearchFunc(s.waiting, d.Sequence, func(d delayed, sequence uint64) int { return bySequence(d.Pending, sequence) })
	s.waiting = slices.Insert(s.waiting, at, d)
	in.stalled[d.Sequence] = s
}

// unstall takes a delivery that is done with out of a stall.
func (in *inbox) unstall(s *stall, sequence uint64) {
	s.waiting = slices.DeleteFunc(s.waiting, func(d delayed) bool { return d.Sequence == sequence })
	delete(in.stalled, sequence)
	in.setAside(in.free(s, in.clock()))
}

// endStalls sets aside what may go out again.
func (in *inbox) endStalls(now time.Time) {
	var freed []store.Pending
	for len(in.due) > 0 && !in.due[0].until().After(now) {
		freed = append(freed, in.free(in.due[0], now)...)
	}
	in.setAside(freed)
}

// free takes out of a stall what may go out, up to the next delivery that has to wait.
func (in *inbox) free(s *stall, now time.Time) []store.Pending {
	var freed []store.Pending
	for len(s.waiting) > len(freed) && !s.waiting[len(freed)].due.After(now) {
		p := s.waiting[len(freed)].Pending
		freed = append(freed, p)
		delete(in.stalled, p.Sequence)
	}
	s.waiting = slices.Delete(s.waiting, 0, len(freed))
	if len(s.waiting) > 0 {
		heap.Fix(&in.due, s.at)
		return freed
	}
	heap.Remove(&in.due, s.at)
	delete(in.stalls, s.order)
	return freed
}

// delay returns how long a delivery waits after it was rejected that many times.
func (l Limits) delay(rejections uint32) time.Duration {
	delay := min(l.RetryAfter, l.RetryAtMost)
	for range rejections - 1 {
		if delay > l.RetryAtMost/2 {
			return l.RetryAtMost
		}
		delay *= 2
	}
	return delay
}

func sequencesOf(flights []*flight) []uint64 {
	sequences := make([]uint64, len(flights))
	for i, f := range flights {
		sequences[i] = f.pending.Sequence
	}
	return sequences
}

// dueStalls is a heap (container/heap) of stalls by when they may end.
type dueStalls []*stall

// Len implements heap.Interface.
func (d dueStalls) Len() int { return len(d) }

// Less implements heap.Interface.
func (d dueStalls) Less(i, j int) bool { return d[i].until().Before(d[j].until()) }

// Swap implements heap.Interface.
func (d dueStalls) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].at, d[j].at = i, j
}

// Push implements heap.Interface.
func (d *dueStalls) Push(s any) {
	added := s.(*stall) //nolint:forcetypeassert // only these are pushed
	added.at = len(*d)
	*d = append(*d, added)
}

// Pop implements heap.Interface.
func (d *dueStalls) Pop() any {
	last := len(*d) - 1
	s := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return s
}
