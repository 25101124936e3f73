package exchange

import (
	"context"
	"slices"
	"sync"
	"time"

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
			flights:  map[uint64]*flight{},
			holders:  map[uint64]holder{},
			attempts: map[uint64]uint32{},
			changed:  make(chan struct{}),
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

// wake tells consumers of these nodes that something may have come.
func (b *inboxes) wake(nodes map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for node := range nodes {
		if in, ok := b.byNode[node]; ok {
			in.wake()
		}
	}
}

// inbox hands one node's deliveries to its consumers: streams, and pulls. What
// is out (a flight) belongs to one consumer, and so does its order: later
// packets of that order go to the same consumer or wait. That keeps acceptance
// order per sender and subject whatever the consumers do.
type inbox struct {
	store  Store
	clock  func() time.Time
	limits Limits
	node   string

	mu      sync.Mutex
	flights map[uint64]*flight // by sequence
	leased  int                // flights with a lease
	holders map[uint64]holder  // by order
	// aside holds, in order, deliveries up to cursor that are not out: returned by
	// a consumer that went away, or passed over because another holds their order.
	aside    []store.Pending
	cursor   uint64            // the store was read up to here
	attempts map[uint64]uint32 // by sequence, of flights and of what is aside
	changed  chan struct{}     // closed, and made anew, when something may have come
}

type flight struct {
	pending  store.Pending
	consumer uint64
	until    time.Time // end of the lease; zero: as long as the consumer lives
}

type holder struct {
	consumer uint64
	flights  int
}

// maxAside bounds what an inbox remembers of deliveries it passed over; beyond
// it, the inbox waits for those to be done before it reads on.
const maxAside = 10_000

// out is a delivery that was handed to a consumer.
type out struct {
	sequence uint64
	attempt  uint32
	size     uint32
}

// take hands out at most count deliveries and, beyond the first, at most size
// bytes. The lease is 0 for consumers that return what they leave.
func (in *inbox) take(ctx context.Context, consumer uint64, count, size int, lease time.Duration) ([]out, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.expire()
	var until time.Time
	if lease > 0 {
		until = in.clock().Add(lease)
	}
	var taken []out
	full := func(p store.Pending) bool {
		if len(taken) >= count || (len(taken) > 0 && size < int(p.Size)) {
			return true
		}
		size -= int(p.Size)
		return false
	}
	kept := in.aside[:0]
	stop := false
	for _, p := range in.aside {
		if !stop && !in.heldFrom(consumer, p.Order) && !full(p) {
			taken = append(taken, in.send(p, consumer, until))
			continue
		}
		// Once something was passed over for size, later ones of its order must wait.
		stop = stop || !in.heldFrom(consumer, p.Order)
		kept = append(kept, p)
	}
	clear(in.aside[len(kept):])
	in.aside = kept
	for !stop && len(taken) < count && len(in.aside) < maxAside {
		found, err := in.store.Pending(ctx, in.node, in.cursor, min(count-len(taken), maxAside-len(in.aside)))
		if err != nil {
			in.giveBack(taken)
			return nil, err
		}
		if len(found) == 0 {
			break
		}
		for _, p := range found {
			if in.heldFrom(consumer, p.Order) {
				in.aside = append(in.aside, p)
			} else if full(p) {
				return taken, nil
			} else {
				taken = append(taken, in.send(p, consumer, until))
			}
			in.cursor = p.Sequence
		}
	}
	return taken, nil
}

// heldFrom reports whether another consumer has packets of this order out.
func (in *inbox) heldFrom(consumer, order uint64) bool {
	h, ok := in.holders[order]
	return ok && h.consumer != consumer
}

func (in *inbox) send(p store.Pending, consumer uint64, until time.Time) out {
	in.flights[p.Sequence] = &flight{pending: p, consumer: consumer, until: until}
	if !until.IsZero() {
		in.leased++
	}
	in.holders[p.Order] = holder{consumer: consumer, flights: in.holders[p.Order].flights + 1}
	in.attempts[p.Sequence]++
	return out{sequence: p.Sequence, attempt: in.attempts[p.Sequence], size: p.Size}
}

// land ends a flight; with again, its delivery is set aside to go out once more.
func (in *inbox) land(f *flight, again bool) {
	delete(in.flights, f.pending.Sequence)
	if !f.until.IsZero() {
		in.leased--
	}
	h := in.holders[f.pending.Order]
	if h.flights--; h.flights > 0 {
		in.holders[f.pending.Order] = h
	} else {
		delete(in.holders, f.pending.Order)
	}
	if again {
		at, _ := slices.BinarySearchFunc(in.aside, f.pending.Sequence, bySequence)
		in.aside = slices.Insert(in.aside, at, f.pending)
	} else {
		delete(in.attempts, f.pending.Sequence)
	}
}

func bySequence(p store.Pending, sequence uint64) int {
	switch {
	case p.Sequence < sequence:
		return -1
	case p.Sequence > sequence:
		return 1
	}
	return 0
}

func (in *inbox) giveBack(taken []out) {
	for _, o := range taken {
		if f, ok := in.flights[o.sequence]; ok {
			in.land(f, true)
		}
	}
}

// expire takes back what was leased for too long.
func (in *inbox) expire() {
	if in.leased == 0 {
		return
	}
	now := in.clock()
	for _, f := range in.flights {
		if !f.until.IsZero() && now.After(f.until) {
			in.land(f, true)
		}
	}
}

// leave takes back everything a consumer still has out.
func (in *inbox) leave(consumer uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, f := range in.flights {
		if f.consumer == consumer {
			in.land(f, true)
		}
	}
	in.wakeLocked()
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
			in.land(f, false)
		} else if at, ok := slices.BinarySearchFunc(in.aside, sequence, bySequence); ok {
			in.aside = slices.Delete(in.aside, at, at+1)
			delete(in.attempts, sequence)
		}
	}
	in.wakeLocked()
	return done, nil
}

// change returns a channel that is closed at the next change. Take it before
// looking, so that no change is missed.
func (in *inbox) change() <-chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.changed
}

// expiry returns a channel that fires when the earliest lease ends, never where
// nothing is leased, and a function that frees its timer.
func (in *inbox) expiry() (<-chan time.Time, func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.leased == 0 {
		return nil, func() {}
	}
	var next time.Time
	for _, f := range in.flights {
		if !f.until.IsZero() && (next.IsZero() || f.until.Before(next)) {
			next = f.until
		}
	}
	timer := time.NewTimer(next.Sub(in.clock()) + time.Millisecond)
	return timer.C, func() { timer.Stop() }
}

func (in *inbox) wake() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.wakeLocked()
}

func (in *inbox) wakeLocked() {
	close(in.changed)
	in.changed = make(chan struct{})
}
