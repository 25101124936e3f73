package exchange

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store"
)

// inbox hands one node's deliveries to its consumers: streams, and pulls. What
// is out (a flight) belongs to one consumer, and so does its order: later
// packets of that order go to the same consumer or wait. That keeps acceptance
// order per sender and subject whatever the consumers do. A delivery that was
// rejected stalls its order; see stall.go.
type inbox struct {
	store   Store
	dead    DeadLetters
	clock   func() time.Time
	limits  Limits
	node    string
	changed *signal // fires when something may have come

	mu      sync.Mutex
	flights map[uint64]*flight // by sequence
	leased  int                // flights with a lease
	ends    time.Time          // no lease ends before it
	total   load               // of all flights
	byOwner map[uint64]load    // of flights by consumer
	streams int                // consumers that are streams
	holders map[uint64]holder  // by order
	// aside holds, in order, deliveries up to cursor that are not out and may go out:
	// returned by a consumer that went away, or passed over because another holds
	// their order.
	aside   []store.Pending
	stalls  map[uint64]*stall // by order
	stalled map[uint64]*stall // by sequence, of what waits in them
	due     dueStalls         // the same stalls, by time
	cursor  uint64            // the store was read up to here; never less
	tries   map[uint64]tries  // by sequence, of flights, of what is aside or stalled
}

type flight struct {
	pending       store.Pending
	consumer      uint64
	until         time.Time // end of the lease; zero: as long as the consumer lives
	before, after *flight   // of the same order, as they were sent
}

// tries is what became of a delivery so far.
type tries struct {
	attempts, rejections uint32
	reason               string // of the last rejection
	unreadable           bool   // it could not be read
}

// holder is who has packets of an order out, and the last of them.
type holder struct {
	consumer uint64
	last     *flight
}

// out is a delivery that was handed to a consumer.
type out struct {
	sequence uint64
	attempt  uint32
}

// batch is what a consumer takes at once: at most count deliveries and, beyond
// the first, at most size bytes.
type batch struct {
	consumer    uint64
	count, size int
	until       time.Time // end of the lease
	taken       []out
}

// full reports whether p is too much, and counts it in where it is not.
func (b *batch) full(p store.Pending) bool {
	if len(b.taken) >= b.count || (len(b.taken) > 0 && b.size < int(p.Size)) {
		return true
	}
	b.size -= int(p.Size)
	return false
}

// take hands out at most count deliveries and, beyond the first, at most size
// bytes. The lease is 0 for consumers that return what they leave.
func (in *inbox) take(ctx context.Context, consumer uint64, count, size int, lease time.Duration) ([]out, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.expire()
	room := in.roomFor(consumer)
	b := &batch{consumer: consumer, count: min(count, room.count), size: min(size, room.bytes)}
	if lease > 0 {
		b.until = in.clock().Add(lease)
	}
	if b.count <= 0 || !in.takeAside(b) {
		return b.taken, nil
	}
	if err := in.takeStored(ctx, b); err != nil {
		in.giveBack(b.taken)
		return nil, err
	}
	return b.taken, nil
}

// takeAside takes from what is aside. It returns false where something was
// passed over for want of room: nothing later may be taken then.
func (in *inbox) takeAside(b *batch) bool {
	kept := in.aside[:0]
	room := true
	for _, p := range in.aside {
		if held := in.heldFrom(b.consumer, p.Order); room && !held {
			room = !b.full(p)
			if room {
				in.send(p, b)
				continue
			}
		}
		kept = append(kept, p)
	}
	clear(in.aside[len(kept):])
	in.aside = kept
	return room
}

// takeStored reads on in the store. What another consumer holds the order of
// goes aside, what is of a stalled order behind what stalls it.
func (in *inbox) takeStored(ctx context.Context, b *batch) error {
	for len(b.taken) < b.count && in.room() > 0 {
		found, err := in.store.Pending(ctx, in.node, in.cursor, min(b.count-len(b.taken), in.room()))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return nil
		}
		for _, p := range found {
			switch {
			case in.stalls[p.Order] != nil:
				in.queue(in.stalls[p.Order], delayed{Pending: p})
			case in.heldFrom(b.consumer, p.Order):
				in.aside = append(in.aside, p)
			case b.full(p):
				return nil
			default:
				in.send(p, b)
			}
			in.cursor = p.Sequence
		}
	}
	return nil
}

// room is how many more deliveries may be passed over.
func (in *inbox) room() int { return maxAside - len(in.aside) - len(in.stalled) }

// heldFrom reports whether another consumer has packets of this order out.
func (in *inbox) heldFrom(consumer, order uint64) bool {
	h, ok := in.holders[order]
	return ok && h.consumer != consumer
}

func (in *inbox) send(p store.Pending, b *batch) {
	f := &flight{pending: p, consumer: b.consumer, until: b.until, before: in.holders[p.Order].last}
	if f.before != nil {
		f.before.after = f
	}
	in.flights[p.Sequence], in.holders[p.Order] = f, holder{consumer: b.consumer, last: f}
	if !b.until.IsZero() {
		if in.leased++; in.leased == 1 || b.until.Before(in.ends) {
			in.ends = b.until
			in.changed.fire() // who waits has to mind it now
		}
	}
	in.total = in.total.plus(loadOf(p))
	in.byOwner[b.consumer] = in.byOwner[b.consumer].plus(loadOf(p))
	so := in.tries[p.Sequence]
	so.attempts++
	in.tries[p.Sequence] = so
	b.taken = append(b.taken, out{sequence: p.Sequence, attempt: so.attempts})
}

// land ends a flight.
func (in *inbox) land(f *flight) {
	delete(in.flights, f.pending.Sequence)
	if !f.until.IsZero() {
		in.leased--
	}
	in.total = in.total.minus(loadOf(f.pending))
	if own := in.byOwner[f.consumer].minus(loadOf(f.pending)); own.count > 0 {
		in.byOwner[f.consumer] = own
	} else {
		delete(in.byOwner, f.consumer)
	}
	if f.before != nil {
		f.before.after = f.after
	}
	switch {
	case f.after != nil:
		f.after.before = f.before
	case f.before != nil:
		in.holders[f.pending.Order] = holder{consumer: f.consumer, last: f.before}
	default:
		delete(in.holders, f.pending.Order)
	}
}

// takeBack ends the flights that match and sets their deliveries aside, to go
// out once more.
func (in *inbox) takeBack(match func(*flight) bool) {
	var back []store.Pending
	for _, f := range in.flights {
		if match(f) {
			in.land(f)
			back = append(back, f.pending)
		}
	}
	in.setAside(back)
}

// setAside puts deliveries that are not out where they wait for their turn.
func (in *inbox) setAside(back []store.Pending) {
	if len(back) == 0 {
		return
	}
	for _, p := range back {
		if s := in.stalls[p.Order]; s != nil && s.waiting[0].Sequence < p.Sequence {
			in.queue(s, delayed{Pending: p})
		} else {
			in.aside = append(in.aside, p)
		}
	}
	slices.SortFunc(in.aside, func(p, q store.Pending) int { return cmp.Compare(p.Sequence, q.Sequence) })
	in.changed.fire()
}

// giveBack takes back what was taken but not sent.
func (in *inbox) giveBack(taken []out) {
	back := make([]store.Pending, 0, len(taken))
	for _, o := range taken {
		back = append(back, in.uncount(in.flights[o.sequence]))
	}
	in.setAside(back)
}

// uncount ends a flight as if it had not been.
func (in *inbox) uncount(f *flight) store.Pending {
	in.land(f)
	so := in.tries[f.pending.Sequence]
	so.attempts--
	in.tries[f.pending.Sequence] = so
	return f.pending
}

// expire takes back what was leased for too long, and ends the stalls that are due.
func (in *inbox) expire() {
	if in.leased == 0 && len(in.due) == 0 {
		return
	}
	now := in.clock()
	in.endLeases(now)
	in.endStalls(now)
}

// endLeases looks at flights only when some of them may be leased for too long.
func (in *inbox) endLeases(now time.Time) {
	if in.leased == 0 || now.Before(in.ends) {
		return
	}
	in.takeBack(func(f *flight) bool { return !f.until.IsZero() && !now.Before(f.until) })
	in.ends = time.Time{}
	for _, f := range in.flights {
		if !f.until.IsZero() && (in.ends.IsZero() || f.until.Before(in.ends)) {
			in.ends = f.until
		}
	}
}

// join counts a stream in until the returned function is called; the error is a
// *fault.Error where there are too many.
func (in *inbox) join(consumer uint64) (leave func(), err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.streams >= maxStreams {
		return nil, fault.New(codes.ResourceExhausted, "too_many_streams",
			fmt.Sprintf("this node receives by %d streams already; end one first", maxStreams),
			fmt.Sprintf("hệ thống này đang nhận bằng %d luồng; hãy kết thúc bớt một luồng", maxStreams)).After(time.Second)
	}
	in.streams++
	return func() {
		in.leave(consumer)
		in.mu.Lock()
		defer in.mu.Unlock()
		in.streams--
	}, nil
}

// flying reports whether a consumer has anything out.
func (in *inbox) flying(consumer uint64) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.byOwner[consumer].count > 0
}

// leave takes back everything a consumer still has out.
func (in *inbox) leave(consumer uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.takeBack(func(f *flight) bool { return f.consumer == consumer })
}

// acknowledge ends deliveries for good and returns those that were waiting.
func (in *inbox) acknowledge(ctx context.Context, sequences []uint64) ([]uint64, error) {
	done, err := in.store.Acknowledge(ctx, in.node, sequences)
	if err != nil {
		return nil, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, sequence := range done { // others may have come back since the store was asked
		in.forget(sequence)
	}
	in.changed.fire()
	return done, nil
}

// forget ends a delivery that the store does not have in this inbox any more.
func (in *inbox) forget(sequence uint64) {
	if f, ok := in.flights[sequence]; ok {
		in.land(f)
	} else if s, ok := in.stalled[sequence]; ok {
		in.unstall(s, sequence)
	} else if at, ok := slices.BinarySearchFunc(in.aside, sequence, bySequence); ok {
		in.aside = slices.Delete(in.aside, at, at+1)
	}
	delete(in.tries, sequence)
}

func bySequence(p store.Pending, sequence uint64) int { return cmp.Compare(p.Sequence, sequence) }

// expiry returns a channel that fires when a lease or a stall may end, never where
// there is none, and a function that frees its timer.
func (in *inbox) expiry() (<-chan time.Time, func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.expire()
	next, found := in.ends, in.leased > 0
	if len(in.due) > 0 && (!found || in.due[0].until().Before(next)) {
		next, found = in.due[0].until(), true
	}
	if !found {
		return nil, func() {}
	}
	timer := time.NewTimer(next.Sub(in.clock()))
	return timer.C, func() { timer.Stop() }
}
