package pebblestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// Accept decides a group of submissions and makes the fresh ones durable with
// one fsync. It returns one outcome per submission, in order, after the fsync;
// with an error, none of the group is known to be stored, and with store.ErrFull
// none is. A key that is twice in the group is Accepted once, then Duplicate or
// Conflict.
func (s *Store) Accept(ctx context.Context, submissions []store.Submission, seal store.SealFunc) ([]store.Outcome, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := s.checkpoints.wait(ctx, s); err != nil {
		return nil, err
	}
	s.accepting.Lock()
	defer s.accepting.Unlock()
	if err := s.mayAccept(); err != nil {
		return nil, err
	}
	d, err := s.decide(submissions)
	if err != nil {
		return nil, err
	}
	if len(d.fresh) == 0 {
		return d.outcomes, nil
	}
	sealed, err := sealedBy(seal, d.fresh)
	if err != nil {
		return nil, err
	}
	g, err := s.write(submissions, d.fresh, sealed)
	if err != nil {
		return nil, err
	}
	s.publish(g, submissions, d)
	return d.outcomes, nil
}

// mayAccept refuses where nothing can be accepted.
func (s *Store) mayAccept() error {
	if s.broken != nil {
		return fmt.Errorf("%w after a failed write: %w", store.ErrBroken, s.broken)
	}
	if s.full.Load() {
		return fmt.Errorf("less than %d bytes are left on the disk: %w", s.opts.SpareBytes, store.ErrFull)
	}
	return nil
}

func sealedBy(seal store.SealFunc, fresh []store.Fresh) (store.Sealed, error) {
	sealed, err := seal(fresh)
	if err != nil {
		return sealed, fmt.Errorf("seal group at %d: %w", fresh[0].Sequence, err)
	}
	if len(sealed.Records) != len(fresh) || len(sealed.Leaves) != len(fresh) {
		return sealed, fmt.Errorf("seal group at %d: %d records and %d leaves for %d submissions",
			fresh[0].Sequence, len(sealed.Records), len(sealed.Leaves), len(fresh))
	}
	return sealed, nil
}

// write makes a group durable.
func (s *Store) write(submissions []store.Submission, fresh []store.Fresh, sealed store.Sealed) (*group, error) {
	parts, g, err := framed(submissions, fresh, sealed)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	// The line at which an envelope becomes durable.
	g.position, err = s.appendDurably(frameGroup, parts...)
	return g, err
}

// appendDurably makes a frame durable. What is accepted depends on it: where it is not
// known to be there, the store is broken. Under accepting.
func (s *Store) appendDurably(kind byte, parts ...[]byte) (journal.Position, error) {
	position, err := s.journal.Append(kind, parts...)
	if err == nil {
		err = s.journal.Sync()
	}
	return position, s.notAppended(err)
}

// notAppended says why a frame is not there, or not known to be. Under accepting.
func (s *Store) notAppended(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, journal.ErrFull):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	case errors.Is(err, journal.ErrBroken):
		s.broken = err
		return fmt.Errorf("%w: %w", store.ErrBroken, err)
	}
	return fmt.Errorf("store: %w", err)
}

// publish shows a durable group to readers.
func (s *Store) publish(g *group, submissions []store.Submission, d decision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.current
	for i, f := range d.fresh { // which are what was kept when it was decided
		sub := &submissions[f.Index]
		e := entry{sequence: f.Sequence, order: sub.Order, size: g.packets[i].recordSize, beside: sub.ContentBytes}
		w.accept(s.deciding.key(int32(i)), sub.Sender, sub.ID, identity{sequence: f.Sequence, digest: sub.Digest}, sub.Recipients, e)
		for _, recipient := range sub.Recipients {
			s.count(recipient, 1, e.bytes())
		}
	}
	g.digests = nil
	w.groups = append(w.groups, g)
	s.next = g.end()
	s.durable.Store(s.next - 1)
	s.checkpoints.due(w.size >= s.opts.WindowEntries)
}

func (s *Store) replayGroup(frame journal.Frame) error {
	g, err := parseHead(frame.Payload, frame.Position)
	if err != nil {
		return err
	}
	switch {
	case s.empty():
		s.next = g.first // of a journal whose beginning was removed
	case g.first != s.next:
		return fmt.Errorf("%w: packet %d follows packet %d", store.ErrCorrupt, g.first, s.next-1)
	}
	names, err := g.namesOf(frame.Payload)
	if err != nil {
		return err
	}
	for i, n := range names {
		sequence := g.first + uint64(i)
		e := entry{sequence: sequence, order: n.order, size: g.packets[i].recordSize, beside: n.beside}
		s.current.accept(pairKey(keyIdentity, n.sender, n.id), n.sender, n.id, identity{sequence: sequence, digest: g.digests[i]}, n.recipients, e)
		for _, recipient := range n.recipients {
			s.count(recipient, 1, e.bytes())
		}
	}
	g.digests = nil
	s.current.groups = append(s.current.groups, g)
	s.next = g.end()
	return nil
}
