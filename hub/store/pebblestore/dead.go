package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// buried is a dead letter with what its delivery needs to come back.
type buried struct {
	store.DeadLetter
	order  uint64
	size   uint32
	beside int64
}

// delivery is what comes back when it is revived.
func (b *buried) delivery() entry {
	return entry{sequence: b.Sequence, order: b.order, size: b.size, beside: b.beside}
}

func (b *buried) append(to []byte) []byte {
	to = binary.BigEndian.AppendUint64(to, b.Sequence)
	to = binary.BigEndian.AppendUint64(to, b.order)
	to = binary.BigEndian.AppendUint32(to, b.size)
	to = binary.BigEndian.AppendUint64(to, uint64(b.beside)) //nolint:gosec // read back the same way
	to = binary.BigEndian.AppendUint32(to, b.Attempts)
	to = binary.BigEndian.AppendUint64(to, uint64(b.At.UnixNano())) //nolint:gosec // read back the same way
	to = binary.BigEndian.AppendUint32(to, uint32(len(b.Reason)))   //nolint:gosec // bounded by the message
	return append(to, b.Reason...)
}

func (r *reader) buried() *buried {
	b := &buried{}
	b.Sequence, b.order, b.size = r.uint64(), r.uint64(), r.uint32()
	b.beside = int64(r.uint64()) //nolint:gosec // written the same way
	b.Attempts = r.uint32()
	b.At = time.Unix(0, int64(r.uint64())) //nolint:gosec // written the same way
	b.Reason = string(r.part())
	return b
}

// Bury gives deliveries up: they leave the inbox and become dead letters. It returns
// those that were in the inbox. Like Acknowledge, it waits for no fsync.
func (s *Store) Bury(ctx context.Context, recipient string, letters []store.DeadLetter) ([]uint64, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	byNumber := map[uint64]store.DeadLetter{}
	for _, letter := range letters {
		byNumber[letter.Sequence] = letter
	}
	sequences := sortedKeys(byNumber)
	var done []uint64
	err = s.withIndexed(recipient, sequences, func(indexed map[uint64]entry) error {
		payload := append([]byte(recipient), 0)
		var graves []*buried
		for _, sequence := range sequences {
			if e, waits := s.waiting(recipient, sequence, indexed); waits {
				grave := &buried{DeadLetter: byNumber[sequence], order: e.order, size: e.size, beside: e.beside}
				graves, done = append(graves, grave), append(done, sequence)
				payload = grave.append(payload)
			}
		}
		if len(done) == 0 {
			return nil
		}
		if err := s.note(frameBuried, payload); err != nil {
			return err
		}
		s.remove(recipient, done, indexed)
		s.bury(recipient, graves)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

func sortedKeys[V any](m map[uint64]V) []uint64 {
	keys := make([]uint64, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (s *Store) bury(recipient string, graves []*buried) {
	in := s.current.inbox(recipient)
	if in.dead == nil {
		in.dead = map[uint64]*buried{}
	}
	for _, grave := range graves {
		in.dead[grave.Sequence] = grave
	}
	s.current.size += len(graves)
}

func (s *Store) replayBuried(frame journal.Frame) error {
	recipient, graves, err := parseGraves(frame.Payload)
	if err != nil {
		return err
	}
	indexed, err := s.inIndex(recipient, numbersOf(graves), s.indexed)
	if err != nil {
		return err
	}
	graves = slices.DeleteFunc(graves, func(g *buried) bool { // of removed packets
		_, waits := s.waiting(recipient, g.Sequence, indexed)
		return !waits
	})
	s.remove(recipient, numbersOf(graves), indexed)
	s.bury(recipient, graves)
	return nil
}

func parseGraves(payload []byte) (recipient string, graves []*buried, err error) {
	end := slices.Index(payload, 0)
	if end < 0 {
		return "", nil, fmt.Errorf("%w: dead letters of nobody", store.ErrCorrupt)
	}
	r := reader{bytes: payload[end+1:]}
	for len(r.bytes) > 0 && !r.failed {
		graves = append(graves, r.buried())
	}
	if r.failed {
		return "", nil, fmt.Errorf("%w: dead letters", store.ErrCorrupt)
	}
	return string(payload[:end]), graves, nil
}

// DeadLetters returns a recipient's dead letters after a sequence, in order, at most
// limit.
func (s *Store) DeadLetters(ctx context.Context, recipient string, afterSequence uint64, limit int) ([]store.DeadLetter, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := s.indexAll(func(w *window) bool { return w.inboxes[recipient] != nil && len(w.inboxes[recipient].dead) > 0 }); err != nil {
		return nil, err
	}
	var letters []store.DeadLetter
	prefix := pairKey(keyDead, recipient, "")
	err = s.index.scan(deadKey(recipient, following(afterSequence)), after(prefix), func(_, value []byte) (bool, error) {
		if len(letters) >= limit {
			return false, nil
		}
		grave, err := parseBuried(value)
		if err != nil {
			return false, err
		}
		letters = append(letters, grave.DeadLetter)
		return true, nil
	})
	return letters, err
}

func parseBuried(value []byte) (*buried, error) {
	r := reader{bytes: value}
	grave := r.buried()
	if r.failed || len(r.bytes) > 0 {
		return nil, fmt.Errorf("%w: dead letter of %d bytes", store.ErrCorrupt, len(value))
	}
	return grave, nil
}

// Revive makes dead letters deliveries again, in their old place, and returns them:
// with an error too, where they are there but Pending does not show them yet.
func (s *Store) Revive(ctx context.Context, recipient string, sequences []uint64) ([]store.Pending, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	graves, err := s.exhume(recipient, sequences, frameRevived, func(graves []*buried) { s.revive(recipient, graves) })
	if err != nil || len(graves) == 0 {
		return nil, err
	}
	pending := make([]store.Pending, len(graves))
	for i, grave := range graves {
		pending[i] = grave.delivery().pending()
	}
	// In the index they stand in order; in the window they would not.
	return pending, s.checkpoints.now(s)
}

// exhume finds dead letters, notes in the journal what becomes of them, and does it.
func (s *Store) exhume(recipient string, sequences []uint64, kind byte, do func([]*buried)) ([]*buried, error) {
	sequences = slices.Compact(slices.Sorted(slices.Values(sequences)))
	for {
		s.mu.RLock()
		moves := s.moves
		s.mu.RUnlock()
		graves, err := s.gravesOf(recipient, sequences)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		if s.moves == moves {
			defer s.mu.Unlock()
			return s.settleGraves(recipient, graves, kind, do)
		}
		s.mu.Unlock() // what another call did may be in the index only
	}
}

// gravesOf returns those of the sequences that are dead letters.
func (s *Store) gravesOf(recipient string, sequences []uint64) ([]*buried, error) {
	var graves []*buried
	for _, sequence := range sequences {
		grave, err := s.grave(recipient, sequence)
		switch {
		case err == nil:
			graves = append(graves, grave)
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
	}
	return graves, nil
}

func (s *Store) settleGraves(recipient string, graves []*buried, kind byte, do func([]*buried)) ([]*buried, error) {
	graves = slices.DeleteFunc(graves, func(g *buried) bool { // another call may have been faster
		latest, known := s.inWindows(recipient, deadAt(g.Sequence))
		return known && latest == nil
	})
	if len(graves) == 0 {
		return nil, nil
	}
	if err := s.note(kind, acknowledgement(recipient, numbersOf(graves))); err != nil {
		return nil, err
	}
	do(graves)
	return graves, nil
}

func numbersOf(graves []*buried) []uint64 {
	numbers := make([]uint64, len(graves))
	for i, grave := range graves {
		numbers[i] = grave.Sequence
	}
	return numbers
}

// grave returns a dead letter, or store.ErrNotFound.
func (s *Store) grave(recipient string, sequence uint64) (*buried, error) {
	return s.lookUp(deadKey(recipient, sequence), deadAt(sequence), recipient)
}

// deadAt returns what a window knows of a dead letter: nil where it is none any more.
func deadAt(sequence uint64) func(*recent) (*buried, bool) {
	return func(in *recent) (*buried, bool) {
		grave, known := in.dead[sequence]
		return grave, known
	}
}

func (s *Store) revive(recipient string, graves []*buried) {
	s.unbury(recipient, graves)
	in := s.current.inbox(recipient)
	for _, grave := range graves {
		e := grave.delivery()
		at, found := slices.BinarySearchFunc(in.entries, e.sequence, bySequence)
		if found {
			in.entries[at] = e
		} else {
			in.entries = slices.Insert(in.entries, at, e)
		}
		s.count(recipient, 1, e.bytes())
	}
}

// unbury makes dead letters none any more.
func (s *Store) unbury(recipient string, graves []*buried) {
	in := s.current.inbox(recipient)
	if in.dead == nil {
		in.dead = map[uint64]*buried{}
	}
	for _, grave := range graves {
		in.dead[grave.Sequence] = nil
	}
	s.current.size += len(graves)
}

func (s *Store) replayRevived(frame journal.Frame) error {
	recipient, graves, err := s.replayExhumed(frame)
	if err == nil {
		s.revive(recipient, graves)
		s.current.revived = true
	}
	return err
}

// indexRevived writes to the index a window that has, out of order, what came back
// from the dead.
func (s *Store) indexRevived(upTo journal.Position) error {
	if !s.current.revived {
		return nil
	}
	s.freeze(upTo)
	return s.settle(nil)
}

func (s *Store) replayExhumed(frame journal.Frame) (recipient string, graves []*buried, err error) {
	recipient, sequences, err := parseAcknowledgement(frame.Payload)
	if err != nil {
		return "", nil, err
	}
	graves, err = s.gravesOf(recipient, sequences)
	return recipient, graves, err
}
