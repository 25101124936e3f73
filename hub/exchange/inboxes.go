package exchange

import (
	"sync"
	"time"
)

// inboxes holds the inbox of every recipient that was asked for since the start.
type inboxes struct {
	store  Store
	dead   DeadLetters
	clock  func() time.Time
	limits Limits

	mu       sync.Mutex
	byNode   map[string]*inbox
	consumer uint64 // last consumer number given
}

func newInboxes(s Store, dead DeadLetters, clock func() time.Time, limits Limits) *inboxes {
	return &inboxes{store: s, dead: dead, clock: clock, limits: limits, byNode: map[string]*inbox{}}
}

func (b *inboxes) of(node string) *inbox {
	b.mu.Lock()
	defer b.mu.Unlock()
	in, ok := b.byNode[node]
	if !ok {
		in = &inbox{
			store: b.store, dead: b.dead, clock: b.clock, limits: b.limits, node: node,
			changed: newSignal(),
			flights: map[uint64]*flight{},
			byOwner: map[uint64]load{},
			holders: map[uint64]holder{},
			stalls:  map[uint64]*stall{},
			stalled: map[uint64]*stall{},
			tries:   map[uint64]tries{},
		}
		b.byNode[node] = in
	}
	return in
}

// known returns the inbox of a node that was asked for since the start; else nil.
func (b *inboxes) known(node string) *inbox {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byNode[node]
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
