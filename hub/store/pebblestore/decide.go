package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/lienthong/lienthong/hub/store"
)

// decision is what becomes of a group of submissions.
type decision struct {
	outcomes []store.Outcome
	fresh    []store.Fresh
}

// decide looks for earlier submissions under the same keys. It is called by one
// caller at a time, the only one that changes what it looks at.
func (s *Store) decide(submissions []store.Submission) (decision, error) {
	d := decision{
		outcomes: make([]store.Outcome, len(submissions)),
		fresh:    make([]store.Fresh, 0, len(submissions)),
	}
	s.deciding.reset()
	for i := range submissions {
		sub := &submissions[i]
		s.key = appendPair(s.key[:0], keyIdentity, sub.Sender, sub.ID)
		earlier, known := s.deciding.get(s.key)
		if !known {
			var err error
			earlier, err = s.identity(sub.Sender, sub.ID, s.key)
			known = err == nil
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return d, err
			}
		}
		switch {
		case !known:
			sequence := s.next + uint64(len(d.fresh))
			d.fresh = append(d.fresh, store.Fresh{Index: i, Sequence: sequence})
			s.deciding.add(s.key, identity{sequence, sub.Digest})
			d.outcomes[i] = store.Outcome{Verdict: store.Accepted, Sequence: sequence}
		case earlier.digest == sub.Digest:
			d.outcomes[i] = store.Outcome{Verdict: store.Duplicate, Sequence: earlier.sequence}
		default:
			d.outcomes[i] = store.Outcome{Verdict: store.Conflict, Sequence: earlier.sequence}
		}
	}
	return d, nil
}

// Find returns the sequence and digest accepted under an idempotency key, or
// store.ErrNotFound.
func (s *Store) Find(ctx context.Context, sender, id string) (uint64, [32]byte, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, [32]byte{}, err
	}
	defer leave()
	found, err := s.identity(sender, id, pairKey(keyIdentity, sender, id))
	return found.sequence, found.digest, err
}

// identity returns what was accepted under a key, or store.ErrNotFound. Most ids
// are new, and greater than all that came before from the same sender, as UUIDv7
// are: those need no look into the index.
func (s *Store) identity(sender, id string, key []byte) (identity, error) {
	s.mu.RLock()
	found, ok := s.current.identities.get(key)
	if !ok && s.frozen != nil {
		found, ok = s.frozen.identities.get(key)
	}
	greatest, known := s.greatest[sender]
	newest := known && id > greatest && !s.current.mayKnow(sender, id) && !s.frozen.mayKnow(sender, id)
	s.mu.RUnlock()
	switch {
	case ok:
		return found, nil
	case newest:
		return identity{}, store.ErrNotFound
	case !known:
		if err := s.learnGreatest(sender); err != nil {
			return identity{}, err
		}
	}
	value, err := s.index.get(key)
	if err != nil {
		return identity{}, err
	}
	sequence, err := parseNumber(value)
	if err != nil {
		return identity{}, err
	}
	g, err := s.groupOf(sequence)
	if err != nil {
		return identity{}, err
	}
	digest, err := s.digest(g, sequence)
	return identity{sequence: sequence, digest: digest}, err
}

// learnGreatest finds the greatest id of a sender that the index has.
func (s *Store) learnGreatest(sender string) error {
	prefix := pairKey(keyIdentity, sender, "")
	s.mu.RLock()
	moves := s.moves
	s.mu.RUnlock()
	key, _, err := s.index.last(prefix, after(prefix))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	greatest := ""
	if err == nil {
		greatest = string(bytes.TrimPrefix(key, prefix))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moves != moves {
		return nil // the index has got more meanwhile; the next one learns it
	}
	s.greatest[sender] = greatest
	return nil
}

// digest reads the digest of a packet from its group.
func (s *Store) digest(g *group, sequence uint64) ([32]byte, error) {
	var digest [32]byte
	head, err := s.readHead(g.position)
	if err != nil {
		return digest, fmt.Errorf("packet %d: %w", sequence, err)
	}
	if sequence < head.first || sequence >= head.end() {
		return digest, fmt.Errorf("%w: packet %d is not in the group at %d", store.ErrCorrupt, sequence, g.position)
	}
	return head.digests[sequence-head.first], nil
}
