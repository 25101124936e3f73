package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// What became of a dead letter that was discarded is known as long as its packet is kept:
// whoever asks is not told that the packet was acknowledged.

// Discard does away with dead letters, and returns those that there were.
func (s *Store) Discard(ctx context.Context, recipient string, sequences []uint64) ([]uint64, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	graves, err := s.exhume(recipient, sequences, frameDiscarded, func(graves []*buried) { s.discard(recipient, graves) })
	if err != nil {
		return nil, err
	}
	return numbersOf(graves), nil
}

func (s *Store) discard(recipient string, graves []*buried) {
	s.unbury(recipient, graves)
	in := s.current.inbox(recipient)
	if in.discarded == nil {
		in.discarded = map[uint64]*buried{}
	}
	for _, grave := range graves {
		in.discarded[grave.Sequence] = grave
	}
	s.current.size += len(graves)
}

func (s *Store) replayDiscarded(frame journal.Frame) error {
	recipient, graves, err := s.replayExhumed(frame)
	if err == nil {
		s.discard(recipient, graves)
	}
	return err
}

// discardedKey is one that retention finds by the packet.
func discardedKey(recipient string, sequence uint64) []byte {
	return append(append(sequenceKey(keyDiscarded, sequence), recipient...), 0)
}

func parseDiscardedKey(key []byte) (recipient string, sequence uint64, err error) {
	if len(key) < 1+8+1 {
		return "", 0, fmt.Errorf("%w: key of %d bytes", store.ErrCorrupt, len(key))
	}
	return string(key[9 : len(key)-1]), binary.BigEndian.Uint64(key[1:]), nil
}

// discarded returns a dead letter that was discarded, or store.ErrNotFound.
func (s *Store) discarded(recipient string, sequence uint64) (*buried, error) {
	return s.lookUp(discardedKey(recipient, sequence), func(in *recent) (*buried, bool) {
		grave, known := in.discarded[sequence]
		return grave, known
	}, recipient)
}

// lookUp returns what the windows or else the index have of a recipient's dead letter, or
// store.ErrNotFound.
func (s *Store) lookUp(key []byte, of func(*recent) (*buried, bool), recipient string) (*buried, error) {
	for {
		s.mu.RLock()
		moves := s.moves
		grave, known := s.inWindows(recipient, of)
		s.mu.RUnlock()
		switch {
		case grave != nil:
			return grave, nil
		case known:
			return nil, store.ErrNotFound
		}
		value, err := s.index.get(key)
		s.mu.RLock()
		same := s.moves == moves
		s.mu.RUnlock()
		switch {
		case !same:
		case err != nil:
			return nil, err
		default:
			return parseBuried(value)
		}
	}
}

func (s *Store) inWindows(recipient string, of func(*recent) (*buried, bool)) (grave *buried, known bool) {
	for _, w := range []*window{s.current, s.frozen} {
		if w != nil && w.inboxes[recipient] != nil {
			if grave, known = of(w.inboxes[recipient]); known {
				return grave, known
			}
		}
	}
	return nil, false
}

// State tells how far the delivery of an accepted packet to one of its recipients has
// got, and what became of it where it is dead, or was before it was discarded.
func (s *Store) State(ctx context.Context, recipient string, sequence uint64) (store.State, store.DeadLetter, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, store.DeadLetter{}, err
	}
	defer leave()
	for _, is := range []struct {
		state store.State
		of    func(string, uint64) (*buried, error)
	}{{store.Dead, s.grave}, {store.Discarded, s.discarded}} {
		grave, err := is.of(recipient, sequence)
		switch {
		case err == nil:
			return is.state, grave.DeadLetter, nil
		case !errors.Is(err, store.ErrNotFound):
			return 0, store.DeadLetter{}, err
		}
	}
	state := store.Acknowledged
	err = s.withIndexed(recipient, []uint64{sequence}, func(indexed map[uint64]entry) error {
		if _, waits := s.waiting(recipient, sequence, indexed); waits {
			state = store.Waiting
		}
		return nil
	})
	return state, store.DeadLetter{}, err
}

// sweep removes from the index what became of removed packets. A crash may bring it back;
// the first pass of the next process removes it again.
func (p *pass) sweep() error {
	if p.swept == p.total {
		return nil
	}
	var old [][]byte
	err := p.store.index.scan([]byte{keyDiscarded}, []byte{keyDiscarded + 1}, func(key, _ []byte) (bool, error) {
		_, sequence, err := parseDiscardedKey(key)
		if err == nil && p.retention.removed.has(sequence) {
			old = append(old, append([]byte(nil), key...))
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	for _, key := range old {
		if err := p.store.index.delete(key); err != nil {
			return err
		}
	}
	p.swept = p.total
	return nil
}
