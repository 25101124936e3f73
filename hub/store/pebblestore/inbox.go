package pebblestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lienthong/lienthong/hub/store"
)

// Pending returns what waits in a recipient's inbox after a sequence, in order,
// at most limit.
func (s *Store) Pending(ctx context.Context, recipient string, afterSequence uint64, limit int) ([]store.Pending, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var pending []store.Pending
	upper := inboxKey(recipient, following(s.durable.Load()))
	err = s.scan(inboxKey(recipient, following(afterSequence)), upper, func(key, value []byte) (bool, error) {
		if len(pending) >= limit {
			return false, nil
		}
		p, err := parseInbox(key, value)
		if err != nil {
			return false, err
		}
		pending = append(pending, p)
		return true, nil
	})
	return pending, err
}

// Acknowledge removes deliveries from a recipient's inbox and returns those that
// were there. It does not wait for an fsync of its own: an acknowledgement lost
// in a crash means one more delivery, which recipients are built for.
func (s *Store) Acknowledge(ctx context.Context, recipient string, sequences []uint64) ([]uint64, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	batch := s.db.NewBatch()
	var done []uint64
	seen := make(map[uint64]bool, len(sequences))
	for _, sequence := range sequences {
		key := inboxKey(recipient, sequence)
		if seen[sequence] {
			continue
		}
		seen[sequence] = true
		if _, err := s.get(key); errors.Is(err, store.ErrNotFound) {
			continue
		} else if err != nil {
			return nil, errors.Join(err, batch.Close())
		}
		if err := batch.Delete(key, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("store: %w", err), batch.Close())
		}
		done = append(done, sequence)
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		return nil, errors.Join(classify(err), batch.Close())
	}
	if err := batch.Close(); err != nil {
		return nil, classify(err)
	}
	return done, nil
}
