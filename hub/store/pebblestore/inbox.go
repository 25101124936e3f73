package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// Pending returns what waits in a recipient's inbox after a sequence, in order,
// at most limit.
func (s *Store) Pending(ctx context.Context, recipient string, afterSequence uint64, limit int) ([]store.Pending, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var found []store.Pending
	for {
		s.mu.RLock()
		indexed, moves := s.indexed, s.moves
		if afterSequence >= indexed || len(found) >= limit {
			defer s.mu.RUnlock()
			found = s.frozen.pending(recipient, afterSequence, limit, s.current, found)
			return s.current.pending(recipient, afterSequence, limit, nil, found), nil
		}
		s.mu.RUnlock()
		some, last, err := s.indexedPending(recipient, afterSequence, indexed, limit-len(found))
		if err != nil {
			return nil, err
		}
		if some, ok := s.stillThere(recipient, some, moves); ok {
			found = append(found, some...)
			afterSequence = last
		}
	}
}

// indexedPending returns what the index has after a sequence and up to another,
// and up to where it has looked.
func (s *Store) indexedPending(recipient string, after, upTo uint64, limit int) (found []store.Pending, last uint64, err error) {
	last = upTo
	err = s.index.scan(inboxKey(recipient, following(after)), inboxKey(recipient, following(upTo)), func(key, value []byte) (bool, error) {
		p, err := parseInbox(key, value)
		if err != nil {
			return false, err
		}
		found = append(found, p.pending())
		if len(found) >= limit {
			last = p.sequence
		}
		return len(found) < limit, nil
	})
	return found, last, err
}

// stillThere leaves out what was acknowledged since the index was written. Where a
// window has gone into the index meanwhile, it cannot tell.
func (s *Store) stillThere(recipient string, found []store.Pending, moves uint64) (there []store.Pending, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.moves != moves {
		return nil, false
	}
	return slices.DeleteFunc(found, func(p store.Pending) bool {
		return s.frozen.isGone(recipient, p.Sequence) || s.current.isGone(recipient, p.Sequence)
	}), true
}

// Acknowledge removes deliveries from a recipient's inbox and returns those that
// were there, in order. It waits for no fsync: an acknowledgement lost in a crash
// means one more delivery, which recipients are built for.
func (s *Store) Acknowledge(ctx context.Context, recipient string, sequences []uint64) ([]uint64, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var done []uint64
	sequences = slices.Compact(slices.Sorted(slices.Values(sequences)))
	err = s.withIndexed(recipient, sequences, func(indexed map[uint64]entry) error {
		for _, sequence := range sequences {
			if _, waits := s.waiting(recipient, sequence, indexed); waits {
				done = append(done, sequence)
			}
		}
		if len(done) == 0 {
			return nil
		}
		if err := s.note(frameAcknowledged, acknowledgement(recipient, done)); err != nil {
			return err
		}
		s.remove(recipient, done, indexed)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// withIndexed calls do, with the store locked, with those of a recipient's sequences
// that the index has.
func (s *Store) withIndexed(recipient string, sequences []uint64, do func(map[uint64]entry) error) error {
	for {
		s.mu.RLock()
		upTo, moves := s.indexed, s.moves
		s.mu.RUnlock()
		indexed, err := s.inIndex(recipient, sequences, upTo)
		if err != nil {
			return err
		}
		s.mu.Lock()
		if s.moves == moves {
			defer s.mu.Unlock()
			return do(indexed)
		}
		s.mu.Unlock() // what was looked for may have come into the index since
	}
}

// note writes a frame whose loss in a crash does no harm.
func (s *Store) note(kind byte, payload []byte) error {
	_, err := s.journal.Append(kind, payload)
	if errors.Is(err, journal.ErrFull) {
		err = fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// waiting returns a delivery, and whether it is there.
func (s *Store) waiting(recipient string, sequence uint64, indexed map[uint64]entry) (entry, bool) {
	if e := s.current.entry(recipient, sequence); e != nil {
		return *e, !e.done
	}
	if s.current.isGone(recipient, sequence) {
		return entry{}, false
	}
	if e := s.frozen.entry(recipient, sequence); e != nil {
		return *e, !e.done
	}
	if s.frozen.isGone(recipient, sequence) {
		return entry{}, false
	}
	e, there := indexed[sequence]
	return e, there
}

// remove takes deliveries that are there out of the inbox.
func (s *Store) remove(recipient string, sequences []uint64, indexed map[uint64]entry) {
	for _, sequence := range sequences {
		was, _ := s.waiting(recipient, sequence, indexed)
		if e := s.current.entry(recipient, sequence); e != nil {
			e.done = true
		} else {
			s.current.setGone(recipient, sequence)
		}
		s.count(recipient, -1, was.bytes())
	}
	s.checkpoints.due(s.current.size >= s.opts.WindowEntries)
}

// inIndex returns which of the sequences, which are in order, the index has, of
// those up to one.
func (s *Store) inIndex(recipient string, sequences []uint64, upTo uint64) (there map[uint64]entry, err error) {
	if len(sequences) == 0 || sequences[0] > upTo {
		return nil, nil
	}
	it, err := s.index.db.NewIter(&pebble.IterOptions{LowerBound: inboxKey(recipient, sequences[0]), UpperBound: inboxKey(recipient, following(upTo))})
	if err != nil {
		return nil, classify(err)
	}
	there = make(map[uint64]entry, len(sequences))
	ok := it.First()
	for _, sequence := range sequences {
		if ok = ok && sequence <= upTo; !ok {
			break
		}
		var at entry
		if at, ok, err = seek(it, recipient, sequence); err != nil {
			break
		}
		if ok && at.sequence == sequence {
			there[sequence] = at
		}
	}
	if err := errors.Join(err, it.Error(), it.Close()); err != nil {
		return nil, classify(err)
	}
	return there, nil
}

// seek moves an iterator to a sequence, or the first after it, and reads what is
// there. Mostly that is the next one; a true seek would cost more.
func seek(it *pebble.Iterator, recipient string, sequence uint64) (at entry, ok bool, err error) {
	ok = true
	for step := 0; ok; step++ {
		value, err := it.ValueAndErr()
		if err != nil {
			return at, false, err //nolint:wrapcheck // by the caller
		}
		if at, err = parseInbox(it.Key(), value); err != nil || at.sequence >= sequence {
			return at, err == nil, err
		}
		if step == 0 {
			ok = it.Next()
		} else {
			ok = it.SeekGE(inboxKey(recipient, sequence))
		}
	}
	return at, false, nil
}

func (s *Store) replayAcknowledged(frame journal.Frame) error {
	recipient, sequences, err := parseAcknowledgement(frame.Payload)
	if err != nil {
		return err
	}
	indexed, err := s.inIndex(recipient, sequences, s.indexed)
	if err != nil {
		return err
	}
	sequences = slices.DeleteFunc(sequences, func(sequence uint64) bool {
		_, waits := s.waiting(recipient, sequence, indexed)
		return !waits
	})
	s.remove(recipient, sequences, indexed)
	return nil
}
