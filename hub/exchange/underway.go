package exchange

import (
	"context"
	"fmt"
	"sync"
)

// underway knows the envelopes that wait for their commit, or for room to do so: it is
// bounded by what may wait.
type underway struct {
	mu    sync.Mutex
	byKey map[submissionKey]pending
}

// submissionKey is what an envelope is known by.
type submissionKey struct{ sender, id string }

// pending is how many envelopes under one key are underway, and what is closed once
// none is; nil while nobody waits for that.
type pending struct {
	count int
	ended chan struct{}
}

func newUnderway() *underway { return &underway{byKey: map[submissionKey]pending{}} }

func (u *underway) begin(submissions []*submission) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, sub := range submissions {
		key := submissionKey{sender: sub.sender, id: sub.envelope.GetId()}
		p := u.byKey[key]
		p.count++
		u.byKey[key] = p
	}
}

func (u *underway) end(submissions []*submission) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, sub := range submissions {
		key := submissionKey{sender: sub.sender, id: sub.envelope.GetId()}
		p := u.byKey[key]
		if p.count--; p.count > 0 {
			u.byKey[key] = p
			continue
		}
		delete(u.byKey, key)
		if p.ended != nil {
			close(p.ended)
		}
	}
}

// wait returns once no envelope is underway that was under a key when it was called:
// what became of it, the store knows then.
func (u *underway) wait(ctx context.Context, sender, id string) error {
	key := submissionKey{sender: sender, id: id}
	u.mu.Lock()
	p, found := u.byKey[key]
	if found && p.ended == nil {
		p.ended = make(chan struct{})
		u.byKey[key] = p
	}
	u.mu.Unlock()
	if !found {
		return nil
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for an earlier submission: %w", context.Cause(ctx))
	}
}
