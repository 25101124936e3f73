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

// inboxes holds the inbox of every recipient that was asked for since the start.
type inboxes struct {
	store  Store
	clock  func() time.Time
	limits Limits

	mu       sync.Mutex
	byNode   map[string]*inbox
	consumer uint64 // last consumer number given
}

func newInboxes(s Store, clock func() time.Time, limits Limits) *inboxes {
	return &inboxes{store: s, clock: clock, limits: limits, byNode: map[string]*inbox{}}
}

func (b *inboxes) of(node string) *inbox {
	b.mu.Lock()
	defer b.mu.Unlock()
	in, ok := b.byNode[node]
	if !ok {
		in = &inbox{
			store: b.store, clock: b.clock, limits: b.limits, node: node,
			changed:  newSignal(),
			flights:  map[uint64]*flight{},
			byOwner:  map[uint64]load{},
			holders:  map[uint64]holder{},
			attempts: map[uint64]uint32{},
		}
		b.byNode[node] = in
	}
	return in
}

func (b *inboxes) newConsumer() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.consumer++
	return b.consumer
}

// wake tells consumers of these nodes that something may have come. It waits for
// no inbox: the committer calls it.
func (b *inboxes) wake(nodes map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for node := range nodes {
		if in, ok := b.byNode[node]; ok {
			in.changed.fire()
		}
	}
}

// inbox hands one node's deliveries to its consumers: streams, and pulls. What
// is out (a flight) belongs to one consumer, and so does its order: later
// packets of that order go to the same consumer or wait. That keeps acceptance
// order per sender and subject whatever the consumers do.
type inbox struct {
	store   Store
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
	// aside holds, in order, deliveries up to cursor that are not out: returned by
	// a consumer that went away, or passed over because another holds their order.
	aside    []store.Pending
	cursor   uint64            // the store was read up to here
	attempts map[uint64]uint32 // by sequence, of flights and of what is aside
}

type flight struct {
	pending  store.Pending
	consumer uint64
	until    time.Time // end of the lease; zero: as long as the consumer lives
}

// load is what is out.
type load struct{ count, bytes int }

func (l load) plus(other load) load {
	return load{count: l.count + other.count, bytes: l.bytes + other.bytes}
}

func (l load) minus(other load) load {
	return load{count: l.count - other.count, bytes: l.bytes - other.bytes}
}

func loadOf(p store.Pending) load { return load{count: 1, bytes: int(p.Size)} }

type holder struct {
	consumer uint64
	flights  int
}

// What one recipient can make the hub hold. Beyond it, its consumers wait until
// something is acknowledged.
const (
	// maxAside bounds, together with what is out, what an inbox remembers of
	// deliveries it passed over; beyond it, the inbox waits for those to be done
	// before it reads on.
	maxAside = 10_000
	// consumerBytes bounds what one consumer has out beside its first.
	consumerBytes = 64 << 20
	// Consumers of one recipient have at most consumersShare times what one may have.
	consumersShare = 8
	// maxStreams bounds the receive streams of one recipient: each holds a frame.
	maxStreams = 64
)

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

// roomFor returns how much more a consumer may have out. While there are bytes
// left, the next one may exceed them.
func (in *inbox) roomFor(consumer uint64) load {
	most := load{count: in.limits.Unacknowledged, bytes: consumerBytes}
	room := most.minus(in.byOwner[consumer])
	all := load{count: consumersShare * most.count, bytes: consumersShare * most.bytes}.minus(in.total)
	room = load{count: min(room.count, all.count), bytes: min(room.bytes, all.bytes)}
	if room.bytes <= 0 {
		room.count = 0
	}
	return room
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
// goes aside.
func (in *inbox) takeStored(ctx context.Context, b *batch) error {
	for len(b.taken) < b.count && len(in.aside) < maxAside {
		found, err := in.store.Pending(ctx, in.node, in.cursor, min(b.count-len(b.taken), maxAside-len(in.aside)))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return nil
		}
		for _, p := range found {
			switch {
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

// heldFrom reports whether another consumer has packets of this order out.
func (in *inbox) heldFrom(consumer, order uint64) bool {
	h, ok := in.holders[order]
	return ok && h.consumer != consumer
}

func (in *inbox) send(p store.Pending, b *batch) {
	in.flights[p.Sequence] = &flight{pending: p, consumer: b.consumer, until: b.until}
	if !b.until.IsZero() {
		if in.leased++; in.leased == 1 || b.until.Before(in.ends) {
			in.ends = b.until
			in.changed.fire() // who waits has to mind it now
		}
	}
	in.total = in.total.plus(loadOf(p))
	in.byOwner[b.consumer] = in.byOwner[b.consumer].plus(loadOf(p))
	in.holders[p.Order] = holder{consumer: b.consumer, flights: in.holders[p.Order].flights + 1}
	in.attempts[p.Sequence]++
	b.taken = append(b.taken, out{sequence: p.Sequence, attempt: in.attempts[p.Sequence]})
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
	h := in.holders[f.pending.Order]
	if h.flights--; h.flights > 0 {
		in.holders[f.pending.Order] = h
	} else {
		delete(in.holders, f.pending.Order)
	}
}

// takeBack ends the flights that match and sets their deliveries aside, to go
// out once more. It reports whether there were any.
func (in *inbox) takeBack(match func(*flight) bool) bool {
	before := len(in.aside)
	for _, f := range in.flights {
		if match(f) {
			in.land(f)
			in.aside = append(in.aside, f.pending)
		}
	}
	if len(in.aside) == before {
		return false
	}
	slices.SortFunc(in.aside, func(p, q store.Pending) int { return cmp.Compare(p.Sequence, q.Sequence) })
	in.changed.fire()
	return true
}

// giveBack takes back what was taken but not sent.
func (in *inbox) giveBack(taken []out) {
	unsent := make(map[uint64]bool, len(taken))
	for _, o := range taken {
		unsent[o.sequence] = true
		in.attempts[o.sequence]--
	}
	in.takeBack(func(f *flight) bool { return unsent[f.pending.Sequence] })
}

// expire takes back what was leased for too long. It looks at flights only when
// there may be some.
func (in *inbox) expire() {
	if in.leased == 0 {
		return
	}
	now := in.clock()
	if now.Before(in.ends) {
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
	for _, sequence := range sequences {
		if f, ok := in.flights[sequence]; ok {
			in.land(f)
			delete(in.attempts, sequence)
		} else if at, ok := slices.BinarySearchFunc(in.aside, sequence, bySequence); ok {
			in.aside = slices.Delete(in.aside, at, at+1)
			delete(in.attempts, sequence)
		}
	}
	in.changed.fire()
	return done, nil
}

func bySequence(p store.Pending, sequence uint64) int { return cmp.Compare(p.Sequence, sequence) }

// expiry returns a channel that fires when a lease may end, never where nothing
// is leased, and a function that frees its timer.
func (in *inbox) expiry() (<-chan time.Time, func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.expire()
	if in.leased == 0 {
		return nil, func() {}
	}
	timer := time.NewTimer(in.ends.Sub(in.clock()))
	return timer.C, func() { timer.Stop() }
}
