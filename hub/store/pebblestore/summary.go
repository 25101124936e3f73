package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// summary is what is known of a segment without reading it. The index keeps those of
// sealed segments, so that each is read once, and again after it was rewritten.
type summary struct {
	journal.Segment
	seen   journal.Position // up to where it was read
	stored bool             // in the index

	from, to uint64           // the sequences of its groups are from one to before another; 0 where there are none
	kinds    map[uint32]*held // records that are there
	removed  int64            // packets whose records are gone
	settled  settlements

	damage error // what of it cannot be read; nothing goes from it then

	look *look // what was seen when it was looked at last, and not rewritten
	// reach is how many in the reach of its settlements were removed when these were
	// looked at last, and total how many in all.
	reach, total int64
}

// held is what there is of a kind.
type held struct {
	packets, bytes int64
	oldest         time.Time
}

// settlements are what frames say of what became of deliveries: of so many, in so many
// bytes, of packets from one to another.
type settlements struct {
	count, bytes int64
	low, high    uint64
}

func (s *settlements) add(sequence uint64, bytes int64) {
	if s.count == 0 {
		s.low = sequence
	}
	s.count++
	s.bytes += bytes
	s.low, s.high = min(s.low, sequence), max(s.high, sequence)
}

func newSummary(seg journal.Segment) *summary {
	return &summary{Segment: seg, seen: seg.First, kinds: map[uint32]*held{}}
}

// is says whether a file is still the one that was read, but for what was appended.
func (s *summary) is(seg journal.Segment) bool {
	return s.First == seg.First && s.Rewritten == seg.Rewritten && (!s.Rewritten || s.Bytes == seg.Bytes)
}

func (s *summary) packets() (n int64) {
	for _, h := range s.kinds {
		n += h.packets
	}
	return n
}

// load reads what the index has of the segments.
func (p *pass) load() error {
	if p.loaded {
		return nil
	}
	p.segments = nil
	err := p.store.index.scan([]byte{keySegment}, []byte{keySegment + 1}, func(key, value []byte) (bool, error) {
		if s, err := parseSummary(key, value, p.remember); err == nil { // else the segment is read again
			p.segments = append(p.segments, s)
		}
		return true, nil
	})
	p.loaded = err == nil
	return err
}

// summarise makes sure that all segments are known up to a position.
func (p *pass) summarise(ctx context.Context, upTo journal.Position) error {
	known := map[journal.Position]*summary{}
	for _, s := range p.segments {
		known[s.First] = s
	}
	var all []*summary
	for _, seg := range p.store.journal.Segments() {
		s := known[seg.First]
		if s == nil || !s.is(seg) {
			s = newSummary(seg)
		}
		delete(known, seg.First)
		s.Segment = seg
		if err := p.read(ctx, s, min(upTo, seg.End)); err != nil {
			return err
		}
		all = append(all, s)
	}
	p.segments = all
	for first := range known {
		if err := p.store.index.delete(sequenceKey(keySegment, uint64(first))); err != nil {
			return err
		}
	}
	return nil
}

// errEnough ends a scan.
var errEnough = errors.New("enough was read")

// read reads a segment on, up to a position, and keeps in the index what is known of one
// that was read to its end. One that is damaged is set aside.
func (p *pass) read(ctx context.Context, s *summary, upTo journal.Position) error {
	if s.damage != nil {
		return nil
	}
	if s.seen < upTo {
		err := p.scan(ctx, s.seen, upTo, func(f journal.Frame) error { return p.take(s, f) })
		if err != nil {
			return s.setAside(err)
		}
		s.seen = upTo
	}
	if s.stored || !s.Sealed || s.seen < s.End {
		return nil
	}
	value := s.value(&p.retention.removed)
	if err := p.store.index.set(sequenceKey(keySegment, uint64(s.First)), value); err != nil {
		return err
	}
	s.stored = true
	return nil
}

// scan visits the frames between two positions.
func (p *pass) scan(ctx context.Context, from, to journal.Position, visit func(journal.Frame) error) error {
	err := p.store.journal.ScanTo(ctx, from, to, func(f journal.Frame) error {
		if f.Position >= to {
			return errEnough
		}
		if err := visit(f); err != nil {
			return fmt.Errorf("frame at %d: %w", f.Position, err)
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err //nolint:wrapcheck // says where
}

// take takes a frame into a summary.
func (p *pass) take(s *summary, f journal.Frame) error {
	switch f.Kind {
	case frameGroup:
		g, err := parseWhole(f)
		if err != nil {
			return err
		}
		if s.from == 0 {
			s.from = g.first
		}
		s.to = g.end()
		return g.each(f.Payload, func(sequence uint64, c costs) {
			if c.removed {
				s.removed++
				p.remember(sequence)
			} else {
				s.hold(c, g.at)
			}
		})
	case frameAcknowledged, frameRevived, frameDiscarded, frameBuried:
		return settlementsIn(f, func(sequence uint64, bytes int) bool {
			s.settled.add(sequence, int64(bytes))
			return true
		})
	}
	return nil
}

// remember notes that a record is gone.
func (r *retention) remember(sequence uint64) {
	if !r.removed.has(sequence) {
		r.removed.add(sequence)
		r.total++
	}
}

func (s *summary) hold(c costs, at time.Time) {
	h := s.kinds[c.kind]
	if h == nil {
		h = &held{oldest: at}
		s.kinds[c.kind] = h
	}
	h.packets++
	h.bytes += c.bytes
	if at.Before(h.oldest) {
		h.oldest = at
	}
}

// value writes a summary, for the index.
func (s *summary) value(removed *sequences) []byte {
	rewritten := uint64(0)
	if s.Rewritten {
		rewritten = 1
	}
	var v []byte
	for _, n := range []uint64{
		uint64(s.End), uint64(s.Bytes), rewritten, s.from, s.to, uint64(s.removed), //nolint:gosec // read back the same way
		uint64(s.settled.count), uint64(s.settled.bytes), s.settled.low, s.settled.high, uint64(len(s.kinds)), //nolint:gosec // as above
	} {
		v = binary.BigEndian.AppendUint64(v, n)
	}
	for _, kind := range slices.Sorted(maps.Keys(s.kinds)) {
		h := s.kinds[kind]
		v = binary.BigEndian.AppendUint32(v, kind)
		v = binary.BigEndian.AppendUint64(v, uint64(h.packets))           //nolint:gosec // as above
		v = binary.BigEndian.AppendUint64(v, uint64(h.bytes))             //nolint:gosec // as above
		v = binary.BigEndian.AppendUint64(v, uint64(h.oldest.UnixNano())) //nolint:gosec // as above
	}
	if s.removed == 0 || s.removed == int64(s.to-s.from) { //nolint:gosec // counts
		return v
	}
	bits := make([]byte, (s.to-s.from+7)/8)
	for i := range s.to - s.from {
		if removed.has(s.from + i) {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return append(v, bits...)
}

// parseSummary reads a summary, and adds what was removed.
func parseSummary(key, value []byte, removed func(sequence uint64)) (*summary, error) {
	first, err := sequenceOf(key)
	if err != nil {
		return nil, err
	}
	r := reader{bytes: value}
	signed := func() int64 { return int64(r.uint64()) } //nolint:gosec // written the same way
	s := &summary{stored: true, kinds: map[uint32]*held{}}
	s.First, s.End, s.Bytes, s.Rewritten = journal.Position(first), journal.Position(r.uint64()), signed(), r.uint64() == 1
	s.Sealed, s.seen = true, s.End
	s.from, s.to, s.removed = r.uint64(), r.uint64(), signed()
	s.settled = settlements{count: signed(), bytes: signed(), low: r.uint64(), high: r.uint64()}
	for kinds := r.uint64(); kinds > 0 && !r.failed; kinds-- {
		s.kinds[r.uint32()] = &held{packets: signed(), bytes: signed(), oldest: time.Unix(0, signed())}
	}
	all := s.removed == int64(s.to-s.from) //nolint:gosec // counts
	if r.failed || s.to < s.from || !all && s.removed > 0 && uint64(len(r.bytes)) != (s.to-s.from+7)/8 {
		return nil, fmt.Errorf("%w: what the index has of the segment at %d", store.ErrCorrupt, first)
	}
	for i := uint64(0); s.removed > 0 && i < s.to-s.from; i++ {
		if all || r.bytes[i/8]>>(i%8)&1 == 1 {
			removed(s.from + i)
		}
	}
	return s, nil
}
