package pebblestore

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// look is what was seen of a segment of which too little could go. It holds for as long
// as no more of it is done.
type look struct {
	undone int64
	upTo   uint64
	// again is when enough will be past its age; zero for never.
	again time.Time
	// left is what is done and still there of kinds that are not kept for ever, and
	// waits how many packets of these kinds are not done.
	left  map[uint32]int64
	waits int64
}

// plan is what is to go from a segment.
type plan struct {
	look
	gone         sequences
	count, bytes int64 // of packets, and of what they take
	frees        int64 // bytes of the segment, and beside the records, of packets
	drops        int64 // bytes of the segment, of settlements
	limited      int64 // packets of kinds that are not kept for ever
	aged, late   bool  // something is past its age, and by far
	soon         []ageing
}

// ageing is a packet that is done.
type ageing struct {
	due, late time.Time // zero where its age does not matter
	frees     int64
}

// segment removes from a segment what can go, if it is enough.
func (p *pass) segment(ctx context.Context, s *summary) error {
	if s.damage != nil {
		return nil
	}
	due, look := p.due(s), p.droppable(s)
	if due {
		if err := p.lookFor(ctx, s); err != nil {
			return err
		}
		look = p.worthLooking(s) || look
	}
	if !look {
		if due {
			p.skip(s)
		}
		return nil
	}
	plan, err := p.plan(ctx, s)
	if err != nil || s.damage != nil {
		return err
	}
	if !plan.enough(s) {
		s.look = plan.seen(s)
		s.reach, s.total = p.reach(s), p.total
		return nil
	}
	return p.rewrite(ctx, s, plan)
}

// worthEnding says whether the segment that is being written would be rewritten if it
// were not.
func (p *pass) worthEnding(ctx context.Context, s *summary) (bool, error) {
	if !p.due(s) {
		return false, nil
	}
	if err := p.lookFor(ctx, s); err != nil || !p.worthLooking(s) {
		return false, err
	}
	made, err := p.plan(ctx, s)
	if err != nil || s.damage != nil {
		return false, err
	}
	s.look = made.seen(s)
	return made.enough(s) && (made.aged || made.frees*4 >= p.store.opts.SegmentBytes), nil
}

// worthLooking says whether more may be done, or due, than when a segment was looked at
// last.
func (p *pass) worthLooking(s *summary) bool {
	undone := p.undone.count(s.from, s.to)
	if undone >= s.packets() {
		return false
	}
	l := s.look
	if l == nil || l.undone != undone || l.upTo != min(p.UpTo, s.to-1) || !l.again.IsZero() && !p.Now.Before(l.again) {
		return true
	}
	frees, all := int64(0), l.waits == 0
	for kind, bytes := range l.left {
		over := max(0, min(bytes, p.excess[kind]))
		frees += over
		all = all && over == bytes
	}
	return frees > 0 && (all || frees*4 >= s.Bytes)
}

// skip passes over a segment. What of it could go, and is too little, counts as gone: it
// is older than what follows.
func (p *pass) skip(s *summary) {
	if s.look == nil {
		return
	}
	for kind, bytes := range s.look.left {
		p.excess[kind] -= min(bytes, max(0, p.excess[kind]))
	}
}

// reach is how many packets that the settlements in a segment can be of were removed.
func (p *pass) reach(s *summary) int64 {
	if s.settled.count == 0 {
		return 0
	}
	return p.retention.removed.count(s.settled.low, s.settled.high+1)
}

// droppable says whether enough settlements in a segment may be of removed packets to
// look at them: not again before more were removed.
func (p *pass) droppable(s *summary) bool {
	if s.damage != nil || s.settled.count == 0 || s.total == p.total {
		return false
	}
	epochs := p.store.Epochs()
	reach, all := p.reach(s), int64(epochs.Ordinal(s.settled.high)-epochs.Ordinal(s.settled.low)+1) //nolint:gosec // sequences
	more := reach > s.reach && (reach == all || reach-s.reach >= all/16)
	if more && (reach == all || float64(s.settled.bytes)*float64(reach)/float64(all)*4 >= float64(s.Bytes)) {
		return true
	}
	s.total = p.total
	return false
}

// plan reads a segment and finds what is to go. One that is damaged is set aside.
func (p *pass) plan(ctx context.Context, s *summary) (*plan, error) {
	made := &plan{look: look{left: map[uint32]int64{}, upTo: min(p.UpTo, max(s.to, 1)-1)}}
	if s.from > 0 {
		if err := p.lookFor(ctx, s); err != nil {
			return nil, err
		}
		made.undone = p.undone.count(s.from, s.to)
	}
	excess := maps.Clone(p.excess)
	err := p.scan(ctx, s.First, min(s.End, p.judged), func(f journal.Frame) error {
		switch f.Kind {
		case frameGroup:
			g, err := parseWhole(f)
			if err != nil {
				return err
			}
			return g.each(f.Payload, func(sequence uint64, c costs) { p.planFor(made, sequence, c, g.at) })
		case frameAcknowledged, frameRevived, frameDiscarded, frameBuried:
			payload, any, err := settlementsOf(f, func(sequence uint64, _ int) bool { return !p.retention.removed.has(sequence) })
			made.drops += int64(len(f.Payload) - len(payload))
			if err == nil && !any {
				made.drops += int64(len(payload)) + frameOverhead
			}
			return err
		}
		return nil
	})
	if err != nil {
		p.excess = excess // nothing goes
		return nil, s.setAside(err)
	}
	return made, nil
}

// frameOverhead is what a frame takes at least beside its payload.
const frameOverhead = 32

// planFor decides on one packet.
func (p *pass) planFor(made *plan, sequence uint64, c costs, at time.Time) {
	keep, limited := p.Kinds[c.kind]
	if !limited || c.removed || keep == (store.Keep{}) {
		return
	}
	made.limited++
	if sequence > p.UpTo || p.undone.has(sequence) {
		made.waits++
		return
	}
	aged, late := past(keep, at, p.Now)
	if aged || p.excess[c.kind] > 0 {
		p.excess[c.kind] -= c.bytes
		made.gone.add(sequence)
		made.count, made.bytes, made.frees = made.count+1, made.bytes+c.bytes, made.frees+c.frees+c.beside
		made.aged, made.late = made.aged || aged, made.late || late
	}
	made.left[c.kind] += c.bytes
	next := ageing{frees: c.frees + c.beside}
	if keep.Age > 0 {
		next.due, next.late = at.Add(keep.Age), lateAt(keep, at)
	}
	made.soon = append(made.soon, next)
}

// enough says whether a segment is to be rewritten.
func (made *plan) enough(s *summary) bool {
	if (made.frees+made.drops)*4 >= s.Bytes && made.frees+made.drops > 0 {
		return true
	}
	return made.count > 0 && (made.late || made.count == made.limited)
}

// seen is what there is to remember of a segment that is not rewritten.
func (made *plan) seen(s *summary) *look {
	slices.SortFunc(made.soon, func(a, b ageing) int {
		return cmp.Or(cmp.Compare(boolean(a.due.IsZero()), boolean(b.due.IsZero())), a.due.Compare(b.due))
	})
	frees := made.drops
	for i, next := range made.soon {
		if next.due.IsZero() {
			break
		}
		frees += next.frees
		if made.again.IsZero() || next.late.Before(made.again) {
			made.again = next.late
		}
		if all := int64(i+1) == made.limited; (all || frees*4 >= s.Bytes) && next.due.Before(made.again) {
			made.again = next.due
		}
	}
	found := made.look
	return &found
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rewrite makes a segment smaller.
func (p *pass) rewrite(ctx context.Context, s *summary, made *plan) error {
	err := p.store.journal.Rewrite(ctx, s.First, func(f journal.Frame) ([]byte, bool, error) {
		switch f.Kind {
		case frameGroup:
			payload, err := p.shorten(ctx, f, &made.gone)
			return payload, true, err
		case frameAcknowledged, frameRevived, frameDiscarded, frameBuried:
			return settlementsOf(f, func(sequence uint64, _ int) bool {
				return !p.retention.removed.has(sequence) && !made.gone.has(sequence)
			})
		}
		return f.Payload, true, nil
	})
	switch {
	case p.refused != nil:
		return p.refused
	case err != nil:
		return s.setAside(err)
	}
	p.done.Removed += made.count
	p.done.RemovedBytes += made.bytes
	return p.rewritten(ctx, s)
}

// shorten returns a group without the packets that go, once whoever has something beside
// their records knows.
func (p *pass) shorten(ctx context.Context, f journal.Frame, gone *sequences) ([]byte, error) {
	g, err := parseWhole(f)
	if err != nil {
		return nil, err
	}
	if gone.count(g.first, g.end()) == 0 {
		return f.Payload, nil
	}
	var entries []store.Entry
	for i, e := range g.packets {
		if sequence := g.first + uint64(i); gone.has(sequence) { //nolint:gosec // index
			record := f.Payload[e.record : e.record+e.recordSize : e.record+e.recordSize]
			entries = append(entries, store.Entry{Sequence: sequence, Record: record})
		}
	}
	if p.removing != nil {
		if p.refused = p.removing(ctx, entries); p.refused != nil {
			return nil, p.refused
		}
	}
	return g.without(f.Payload, gone)
}

// rewritten takes in what a segment has become.
func (p *pass) rewritten(ctx context.Context, s *summary) error {
	at := slices.Index(p.segments, s)
	for _, seg := range p.store.journal.Segments() {
		if seg.First != s.First {
			continue
		}
		p.done.Freed += s.Bytes - seg.Bytes
		now := newSummary(seg)
		p.segments[at] = now
		if err := p.read(ctx, now, seg.End); err != nil {
			return err
		}
		// What is left of settlements was just looked at.
		now.reach, now.total = p.reach(now), p.total
		return nil
	}
	p.done.Freed += s.Bytes
	p.segments = slices.Delete(p.segments, at, at+1)
	return p.store.index.delete(sequenceKey(keySegment, uint64(s.First)))
}
