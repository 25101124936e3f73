package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// Records returns the records with these sequences, in the order asked for.
// store.ErrNotFound where one is not there, store.ErrRemoved where one is no longer kept.
func (s *Store) Records(ctx context.Context, sequences []uint64) ([][]byte, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	records := make([][]byte, len(sequences))
	for done := 0; done < len(sequences); {
		err := s.inGroup(sequences[done], func(g *group) error {
			n := runIn(g, sequences[done:])
			if err := s.readRecords(g, sequences[done:done+n], records[done:done+n]); err != nil {
				return err
			}
			done += n
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", sequences[done], err)
		}
	}
	return records, nil
}

// errStale means that a group in memory is no longer what the journal has: packets were
// removed from it.
var errStale = errors.New("packets were removed from the group meanwhile")

// inGroup calls read with the group that a sequence belongs to, and again with what is
// there then where packets are removed from it meanwhile.
func (s *Store) inGroup(sequence uint64, read func(*group) error) error {
	var stale *group
	for {
		g, err := s.groupOf(sequence)
		if err != nil {
			return err
		}
		if g == stale {
			return fmt.Errorf("%w: the group at %d has another length than it says", store.ErrCorrupt, g.position)
		}
		if err = read(g); !errors.Is(err, errStale) {
			return err
		}
		stale = g
		s.groups.forget(g)
	}
}

// readPart fills p with a part of a group, or fails with errStale.
func (s *Store) readPart(g *group, offset int, p []byte) error {
	length, err := s.journal.ReadPayload(g.position, offset, p)
	if length != g.length && (err == nil || errors.Is(err, store.ErrNotFound)) {
		return errStale
	}
	return err //nolint:wrapcheck // by the caller
}

// gapBytes of other records are read, and thrown away, rather than reading twice.
const gapBytes = 16 << 10

// runIn returns how many of the sequences, at least one, are read at once: those
// that rise within the group with little between them.
func runIn(g *group, sequences []uint64) int {
	n := 1
	for ; n < len(sequences); n++ {
		before, next := sequences[n-1], sequences[n]
		if next <= before || next >= g.end() || g.packets[next-g.first].removed {
			break
		}
		last, following := g.packets[before-g.first], g.packets[next-g.first]
		if following.record-last.record-last.recordSize > gapBytes {
			break
		}
	}
	return n
}

func (s *Store) readRecords(g *group, sequences []uint64, records [][]byte) error {
	first, last := g.packets[sequences[0]-g.first], g.packets[sequences[len(sequences)-1]-g.first]
	if first.removed {
		return store.ErrRemoved
	}
	run := make([]byte, last.record+last.recordSize-first.record)
	if err := s.readPart(g, int(first.record), run); err != nil {
		return err
	}
	table := castagnoli()
	for i, sequence := range sequences {
		e := g.packets[sequence-g.first]
		at := e.record - first.record
		records[i] = run[at : at+e.recordSize : at+e.recordSize]
		if crc32.Checksum(records[i], table) != e.recordSum {
			return fmt.Errorf("%w: record %d has changed on the disk", store.ErrCorrupt, sequence)
		}
	}
	return nil
}

// Group returns the commit group that a sequence belongs to.
func (s *Store) Group(ctx context.Context, sequence uint64) (store.Group, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return store.Group{}, err
	}
	defer leave()
	var found store.Group
	err = s.inGroup(sequence, func(g *group) (err error) {
		found, err = s.readGroup(g)
		return err
	})
	if err != nil {
		return store.Group{}, fmt.Errorf("group of %d: %w", sequence, err)
	}
	return found, nil
}

func (s *Store) readGroup(g *group) (store.Group, error) {
	end := g.leaves
	for _, e := range g.packets {
		end += int(e.leafSize)
	}
	evidence := make([]byte, end-g.note)
	if err := s.readPart(g, g.note, evidence); err != nil {
		return store.Group{}, err
	}
	if crc32.Checksum(evidence, castagnoli()) != g.checksum {
		return store.Group{}, fmt.Errorf("%w: leaves of the group at %d have changed on the disk", store.ErrCorrupt, g.first)
	}
	found := store.Group{First: g.first, Leaves: make([][]byte, len(g.packets)), Note: evidence[: g.leaves-g.note : g.leaves-g.note]}
	at := g.leaves - g.note
	for i, e := range g.packets {
		found.Leaves[i] = evidence[at : at+int(e.leafSize) : at+int(e.leafSize)]
		at += int(e.leafSize)
	}
	return found, nil
}

// AcceptedAfter returns entries of the accepted log after a sequence, in order:
// at most maxEntries, and no more than maxBytes of records unless the first
// alone is larger. It passes over records that are no longer kept: where there are no
// entries, there are none up to the end of the log.
func (s *Store) AcceptedAfter(ctx context.Context, afterSequence uint64, maxEntries, maxBytes int) ([]store.Entry, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var entries []store.Entry
	last, epochs := s.durable.Load(), s.Epochs()
	for next, more := following(afterSequence), true; more && next <= last && len(entries) < maxEntries; {
		if err := s.goingOn(ctx); err != nil { // many groups may have nothing left
			return nil, fmt.Errorf("accepted log at %d: %w", next, err)
		}
		if e, skipped := epochs.Gap(next); skipped {
			next = e.Next
			continue
		}
		err := s.inGroup(next, func(g *group) error {
			read := entriesIn(g, next, maxEntries-len(entries), maxBytes, len(entries) > 0)
			records := make([][]byte, len(read.sequences))
			if len(records) > 0 {
				if err := s.readRecords(g, read.sequences, records); err != nil {
					return err
				}
			}
			for i, record := range records {
				entries = append(entries, store.Entry{Sequence: read.sequences[i], Record: record})
			}
			maxBytes -= read.bytes
			next, more = read.next, read.more
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("accepted log at %d: %w", next, err)
		}
	}
	return entries, nil
}

// goingOn says whether a call that takes long may do so: the store waits for it to close.
func (s *Store) goingOn(ctx context.Context) error {
	select {
	case <-s.retention.quit:
		return store.ErrClosed
	default:
		return ctx.Err() //nolint:wrapcheck // by the caller
	}
}

// readAhead is what of a group is read at once.
type readAhead struct {
	sequences []uint64
	bytes     int
	next      uint64 // where to go on
	more      bool   // there may be room for more
}

// entriesIn returns what of a group is read from a sequence on, passing over what was
// removed. Only the first of all may be larger than the room that is left.
func entriesIn(g *group, from uint64, maxEntries, maxBytes int, some bool) readAhead {
	read := readAhead{next: from}
	for ; read.next < g.end() && len(read.sequences) < maxEntries; read.next++ {
		e := g.packets[read.next-g.first]
		if e.removed {
			continue
		}
		size := int(e.recordSize)
		if read.bytes+size > maxBytes && (some || len(read.sequences) > 0) {
			return read
		}
		read.sequences, read.bytes = append(read.sequences, read.next), read.bytes+size
	}
	read.more = read.bytes <= maxBytes
	return read
}

// groupOf returns the group that a sequence belongs to, or store.ErrNotFound.
func (s *Store) groupOf(sequence uint64) (*group, error) {
	if sequence == 0 || sequence > s.durable.Load() {
		return nil, store.ErrNotFound
	}
	s.mu.RLock()
	g := s.current.group(sequence)
	if g == nil {
		g = s.frozen.group(sequence)
	}
	_, skipped := s.epochs.Gap(sequence)
	s.mu.RUnlock()
	if skipped {
		return nil, store.ErrNotFound
	}
	if g != nil {
		return g, nil
	}
	if g = s.groups.get(sequence); g != nil {
		return g, nil
	}
	key, value, err := s.index.last([]byte{keyGroup}, sequenceKey(keyGroup, following(sequence)))
	if err != nil {
		return nil, err
	}
	position, err := parseNumber(value)
	if err != nil {
		return nil, err
	}
	g, err = s.readHead(journal.Position(position))
	if err != nil {
		return nil, err
	}
	if first, err := sequenceOf(key); err != nil || g.first != first || sequence >= g.end() {
		return nil, errors.Join(fmt.Errorf("%w: packet %d is not in the group at %d", store.ErrCorrupt, sequence, position), err)
	}
	g.digests = nil
	s.groups.add(g)
	return g, nil
}

// readHead reads where the parts of a group are.
func (s *Store) readHead(position journal.Position) (*group, error) {
	fixed := make([]byte, headSize)
	if _, err := s.journal.ReadPayload(position, 0, fixed); err != nil {
		return nil, fmt.Errorf("group at %d: %w", position, err)
	}
	length := headLength(fixed)
	if length > maxHead {
		return nil, fmt.Errorf("%w: the head of the group at %d", store.ErrCorrupt, position)
	}
	head := make([]byte, length)
	all, err := s.journal.ReadPayload(position, 0, head)
	if err != nil {
		return nil, fmt.Errorf("group at %d: %w", position, err)
	}
	g, err := parseHead(head, position)
	if err == nil && g.length != all {
		err = fmt.Errorf("%w: the parts of the group at %d make %d bytes; it has %d", store.ErrCorrupt, position, g.length, all)
	}
	return g, err
}

// maxHead bounds what is read before its checksum is known to be right.
const maxHead = 64 << 20

// groupCache remembers the groups that were read last.
type groupCache struct {
	mu   sync.Mutex
	ring [cachedGroups]*group
	at   int
}

// cachedGroups of 1024 packets each are 1 MB.
const cachedGroups = 64

// get returns the group of a sequence, nil where it is not remembered.
func (c *groupCache) get(sequence uint64) *group {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.ring {
		if g != nil && sequence >= g.first && sequence < g.end() {
			return g
		}
	}
	return nil
}

func (c *groupCache) forget(g *group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, known := range c.ring {
		if known == g {
			c.ring[i] = nil
		}
	}
}

func (c *groupCache) add(g *group) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ring[c.at] = g
	c.at = (c.at + 1) % cachedGroups
}
