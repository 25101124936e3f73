package pebblestore

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// An epoch's frame is the last sequence before, the first of the epoch, when it began and
// when the copy was made: 0 where that is not known.
const epochSize = 4 * 8

// BeginEpoch begins a new epoch, durably. It is called, before anything is accepted, where
// the store goes on from a copy made at a time, which is zero where it is not known: then
// sequences that were given after the copy was made are not given again. Each call begins
// another. store.ErrFull where there is no room; store.ErrExhausted.
func (s *Store) BeginEpoch(ctx context.Context, at, copied time.Time) (store.Epoch, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return store.Epoch{}, err
	}
	defer leave()
	s.accepting.Lock()
	defer s.accepting.Unlock()
	if s.broken != nil {
		return store.Epoch{}, fmt.Errorf("%w after a failed write: %w", store.ErrBroken, s.broken)
	}
	// As it is read back from the journal.
	at = at.UTC().Truncate(time.Millisecond)
	if !copied.IsZero() {
		copied = copied.UTC().Truncate(time.Millisecond)
	}
	random := make([]byte, 8)
	if _, err := io.ReadFull(s.opts.Random, random); err != nil {
		return store.Epoch{}, fmt.Errorf("begin epoch: random: %w", err)
	}
	e, err := store.NewEpoch(s.next-1, at, copied, binary.BigEndian.Uint64(random))
	if err != nil {
		return store.Epoch{}, fmt.Errorf("begin epoch after packet %d: %w", s.next-1, err)
	}
	if err := s.writeEpoch(e); err != nil {
		return store.Epoch{}, fmt.Errorf("begin epoch after packet %d: %w", e.Last, err)
	}
	return e, nil
}

// writeEpoch makes an epoch durable. It begins with a segment: whoever counts by segments
// meets no gap in one.
func (s *Store) writeEpoch(e store.Epoch) error {
	if err := s.journal.Seal(); err != nil {
		return s.notAppended(err)
	}
	// A start in the middle sees nothing of it, or all: as if this had returned.
	if _, err := s.appendDurably(frameEpoch, epochValue(e)); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.goOn(e)
	s.durable.Store(s.next - 1)
	return nil
}

// goOn makes an epoch the last. s.mu is held, or nobody else is there yet.
func (s *Store) goOn(e store.Epoch) {
	s.epochs = append(s.epochs[:len(s.epochs):len(s.epochs)], e) // others have what was there
	s.current.epochs = append(s.current.epochs, e)
	s.current.size++
	s.next = e.Next
}

// EpochOf returns the last epoch where it goes on from a copy made at that time and nothing
// was accepted since: then it was begun already. The time is known, not zero.
func (s *Store) EpochOf(copied time.Time) (store.Epoch, bool) {
	s.accepting.Lock()
	defer s.accepting.Unlock()
	all := s.Epochs()
	if len(all) == 0 || copied.IsZero() {
		return store.Epoch{}, false
	}
	last := all[len(all)-1]
	return last, s.next == last.Next && last.Copied.Equal(copied.Truncate(time.Millisecond))
}

// Epochs returns the epochs that were begun. The caller does not change the slice.
func (s *Store) Epochs() store.Epochs {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.epochs
}

func (s *Store) replayEpoch(frame journal.Frame) error {
	e, err := parseEpoch(frame.Payload)
	if err != nil {
		return err
	}
	if e.Last != s.next-1 && !s.empty() {
		return fmt.Errorf("%w: an epoch follows packet %d, the last is %d", store.ErrCorrupt, e.Last, s.next-1)
	}
	s.goOn(e)
	return nil
}

// empty says whether no sequence was met yet: of a journal whose beginning was removed,
// the first that comes is the first.
func (s *Store) empty() bool { return s.next == 1 && s.indexed == 0 && len(s.current.groups) == 0 }

// loadEpochs reads the epochs that the index has.
func (s *Store) loadEpochs() error {
	s.epochs = nil
	return s.index.scan([]byte{keyEpoch}, []byte{keyEpoch + 1}, func(_, value []byte) (bool, error) {
		e, err := parseEpoch(value)
		s.epochs = append(s.epochs, e)
		return err == nil, err
	})
}

func epochValue(e store.Epoch) []byte {
	value := numberValue(e.Last)
	value = binary.BigEndian.AppendUint64(value, e.Next)
	for _, at := range []time.Time{e.At, e.Copied} {
		milliseconds := int64(0)
		if !at.IsZero() {
			milliseconds = at.UnixMilli()
		}
		value = binary.BigEndian.AppendUint64(value, uint64(milliseconds)) //nolint:gosec // read back the same way
	}
	return value
}

func parseEpoch(value []byte) (store.Epoch, error) {
	if len(value) != epochSize {
		return store.Epoch{}, fmt.Errorf("%w: an epoch of %d bytes", store.ErrCorrupt, len(value))
	}
	r := reader{bytes: value}
	e := store.Epoch{Last: r.uint64(), Next: r.uint64()}
	for _, at := range []*time.Time{&e.At, &e.Copied} {
		if milliseconds := int64(r.uint64()); milliseconds != 0 { //nolint:gosec // written the same way
			*at = time.UnixMilli(milliseconds).UTC()
		}
	}
	if e.Next <= e.Last || e.Next-e.Last == 1 {
		return store.Epoch{}, fmt.Errorf("%w: an epoch from %d after %d", store.ErrCorrupt, e.Next, e.Last)
	}
	return e, nil
}

// epoch takes the beginning of an epoch in.
func (t *taking) epoch(f *checkedFrame) error {
	e, err := parseEpoch(f.Payload)
	if err != nil {
		return err
	}
	t.epochs.expect(sequenceKey(keyEpoch, e.Next), f.Payload)
	expected := max(t.next, 1)
	t.next = max(expected, e.Next)
	if !t.thorough {
		return nil
	}
	t.checked.Epochs = append(slices.Clip(t.checked.Epochs), e)
	switch {
	case e.Last >= expected:
		t.tell(RuleSequence, expected, "packets %d to %d are not there", expected, e.Last)
		t.gap = true
	case e.Last+1 < expected:
		t.tell(RuleSequence, e.Next, "an epoch that begins after packet %d follows packet %d", e.Last, expected-1)
		t.gap = true
	}
	return nil
}
