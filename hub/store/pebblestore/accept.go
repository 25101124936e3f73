package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lienthong/lienthong/hub/store"
)

// Accept decides a group of submissions and makes the fresh ones durable with
// one fsync. It returns one outcome per submission, in order, after the fsync;
// with an error, none of the group is known to be stored. A key that is twice in
// the group is Accepted once, then Duplicate or Conflict.
func (s *Store) Accept(ctx context.Context, group []store.Submission, seal store.SealFunc) ([]store.Outcome, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	s.accepting.Lock()
	defer s.accepting.Unlock()

	if s.broken != nil {
		return nil, fmt.Errorf("store stopped accepting after a failed write: %w", s.broken)
	}
	outcomes, fresh, err := s.decide(group)
	if err != nil {
		return nil, err
	}
	if len(fresh) == 0 {
		return outcomes, nil
	}
	sealed, err := seal(fresh)
	if err != nil {
		return nil, fmt.Errorf("seal group at %d: %w", fresh[0].Sequence, err)
	}
	if len(sealed.Records) != len(fresh) || len(sealed.Leaves) != len(fresh) {
		return nil, fmt.Errorf("seal group at %d: %d records and %d leaves for %d submissions",
			fresh[0].Sequence, len(sealed.Records), len(sealed.Leaves), len(fresh))
	}
	if err := s.write(group, fresh, sealed); err != nil {
		s.broken = err
		return nil, err
	}
	s.next += uint64(len(fresh))
	s.durable.Store(s.next - 1)
	return outcomes, nil
}

// Find returns the sequence and digest accepted under an idempotency key, or
// store.ErrNotFound.
func (s *Store) Find(ctx context.Context, sender, id string) (uint64, [32]byte, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, [32]byte{}, err
	}
	defer leave()
	sequence, digest, err := s.find(sender, id)
	if err == nil && sequence > s.durable.Load() {
		return 0, [32]byte{}, store.ErrNotFound
	}
	return sequence, digest, err
}

func (s *Store) find(sender, id string) (uint64, [32]byte, error) {
	value, err := s.get(pairKey(keyIdentity, sender, id))
	if err != nil {
		return 0, [32]byte{}, err
	}
	return parseIdentity(value)
}

func (s *Store) decide(group []store.Submission) ([]store.Outcome, []store.Fresh, error) {
	type key struct{ sender, id string }
	type decided struct {
		sequence uint64
		digest   [32]byte
	}
	outcomes := make([]store.Outcome, len(group))
	fresh := make([]store.Fresh, 0, len(group))
	inGroup := make(map[key]decided, len(group))
	for i, sub := range group {
		k := key{sub.Sender, sub.ID}
		earlier, known := inGroup[k]
		if !known {
			sequence, digest, err := s.find(sub.Sender, sub.ID)
			switch {
			case err == nil:
				earlier, known = decided{sequence, digest}, true
			case !errors.Is(err, store.ErrNotFound):
				return nil, nil, err
			}
		}
		switch {
		case !known:
			sequence := s.next + uint64(len(fresh))
			fresh = append(fresh, store.Fresh{Index: i, Sequence: sequence})
			inGroup[k] = decided{sequence, sub.Digest}
			outcomes[i] = store.Outcome{Verdict: store.Accepted, Sequence: sequence}
		case earlier.digest == sub.Digest:
			outcomes[i] = store.Outcome{Verdict: store.Duplicate, Sequence: earlier.sequence}
		default:
			outcomes[i] = store.Outcome{Verdict: store.Conflict, Sequence: earlier.sequence}
		}
	}
	return outcomes, fresh, nil
}

func (s *Store) write(group []store.Submission, fresh []store.Fresh, sealed store.Sealed) error {
	batch := s.db.NewBatch()
	err := batch.Set(sequenceKey(keyGroup, fresh[0].Sequence), sealed.Note, nil)
	for i, f := range fresh {
		sub, record := group[f.Index], sealed.Records[i]
		err = errors.Join(err,
			batch.Set(sequenceKey(keyRecord, f.Sequence), record, nil),
			batch.Set(sequenceKey(keyLeaf, f.Sequence), sealed.Leaves[i], nil),
			batch.Set(pairKey(keyIdentity, sub.Sender, sub.ID), identityValue(f.Sequence, sub.Digest), nil))
		for _, recipient := range sub.Recipients {
			err = errors.Join(err, batch.Set(inboxKey(recipient, f.Sequence), inboxValue(sub.Order, len(record)), nil))
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("store: %w", err), batch.Close())
	}
	// The line at which an envelope becomes durable.
	if err := batch.Commit(pebble.Sync); err != nil {
		return errors.Join(classify(err), batch.Close())
	}
	if err := batch.Close(); err != nil {
		return classify(err)
	}
	return nil
}

// Records returns the records with these sequences, in the order asked for.
// store.ErrNotFound where one is not there.
func (s *Store) Records(ctx context.Context, sequences []uint64) ([][]byte, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	records := make([][]byte, len(sequences))
	for i, sequence := range sequences {
		if sequence > s.durable.Load() {
			return nil, fmt.Errorf("record %d: %w", sequence, store.ErrNotFound)
		}
		records[i], err = s.get(sequenceKey(keyRecord, sequence))
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", sequence, err)
		}
	}
	return records, nil
}

// Group returns the commit group that a sequence belongs to.
func (s *Store) Group(ctx context.Context, sequence uint64) (store.Group, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return store.Group{}, err
	}
	defer leave()
	if sequence == 0 || sequence > s.durable.Load() {
		return store.Group{}, fmt.Errorf("group of %d: %w", sequence, store.ErrNotFound)
	}
	group, end, err := s.groupAround(sequence)
	if err != nil {
		return store.Group{}, err
	}
	err = s.scan(sequenceKey(keyLeaf, group.First), sequenceKey(keyLeaf, end), func(_, leaf []byte) (bool, error) {
		group.Leaves = append(group.Leaves, append([]byte(nil), leaf...))
		return true, nil
	})
	if err != nil {
		return store.Group{}, err
	}
	if uint64(len(group.Leaves)) != end-group.First {
		return store.Group{}, fmt.Errorf("%w: group at %d has %d leaves, %d expected",
			store.ErrCorrupt, group.First, len(group.Leaves), end-group.First)
	}
	return group, nil
}

// groupAround finds the group by its neighbours: it ends where the next begins.
func (s *Store) groupAround(sequence uint64) (group store.Group, end uint64, err error) {
	// Before the iterator: a group that is committed between the two would be taken
	// for a part of the one that was the last.
	last := s.durable.Load()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyGroup}, UpperBound: []byte{keyGroup + 1}})
	if err != nil {
		return group, 0, classify(err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if !it.SeekLT(sequenceKey(keyGroup, sequence+1)) {
		return group, 0, errors.Join(fmt.Errorf("%w: no group for sequence %d", store.ErrCorrupt, sequence), it.Error())
	}
	group.First, err = sequenceOf(it.Key())
	if err != nil {
		return group, 0, err
	}
	note, err := it.ValueAndErr()
	if err != nil {
		return group, 0, classify(err)
	}
	group.Note = append([]byte(nil), note...)
	end = last + 1
	if it.Next() {
		if end, err = sequenceOf(it.Key()); err != nil {
			return group, 0, err
		}
	}
	if it.Error() != nil {
		return group, 0, classify(it.Error())
	}
	return group, end, nil
}

// AcceptedAfter returns entries of the accepted log after a sequence, in order:
// at most maxEntries, and no more than maxBytes of records unless the first
// alone is larger.
func (s *Store) AcceptedAfter(ctx context.Context, afterSequence uint64, maxEntries, maxBytes int) ([]store.Entry, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var entries []store.Entry
	size := 0
	upper := sequenceKey(keyRecord, following(s.durable.Load()))
	err = s.scan(sequenceKey(keyRecord, following(afterSequence)), upper, func(key, record []byte) (bool, error) {
		if size += len(record); len(entries) >= maxEntries || (len(entries) > 0 && size > maxBytes) {
			return false, nil
		}
		sequence := binary.BigEndian.Uint64(key[1:])
		entries = append(entries, store.Entry{Sequence: sequence, Record: append([]byte(nil), record...)})
		return true, nil
	})
	return entries, err
}
