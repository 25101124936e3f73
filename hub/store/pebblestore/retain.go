package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// How removing stays safe:
//
// What is done is told by a snapshot of the index, which is flushed before anything goes,
// and of which the journal was synced before: no crash brings back what it says is gone
// from the inboxes. What is done stays done. Only segments that end before the snapshot's
// cursor are rewritten, in ascending order; so no start reads them for what the index
// lacks, and no group in a window is in one. Whoever makes the index anew from the journal
// finds a removed packet without recipients: whatever else the journal says of it means
// nothing then. So frames that say it may lose it, once the group that says that it was
// removed is durable.

// retention is what passes of Retain share.
type retention struct {
	alone chan struct{} // has a token while there is no pass
	quit  chan struct{} // closed when the store is

	mu     sync.Mutex
	closed bool                    // under mu
	cancel context.CancelCauseFunc // of the pass that there is; under mu

	// The rest belongs to the pass.
	loaded   bool
	segments []*summary // in the order of the journal
	kinds    map[uint32]store.Keep
	removed  sequences // whose records are gone, durably
	total    int64     // of these
	swept    int64     // of these, when the index was swept
}

func newRetention() *retention {
	r := &retention{alone: make(chan struct{}, 1), quit: make(chan struct{})}
	r.alone <- struct{}{}
	return r
}

// enter waits for its turn. The context ends when the store is closed.
func (r *retention) enter(ctx context.Context) (context.Context, func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err //nolint:wrapcheck // by the caller
	}
	select {
	case <-r.alone:
	case <-r.quit:
		return nil, nil, store.ErrClosed
	case <-ctx.Done():
		return nil, nil, ctx.Err() //nolint:wrapcheck // by the caller
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.alone <- struct{}{}
		return nil, nil, store.ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	r.cancel = cancel
	return ctx, func() {
		cancel(nil)
		r.mu.Lock()
		r.cancel = nil
		r.mu.Unlock()
		r.alone <- struct{}{}
	}, nil
}

// stop ends the pass that there is, and lets no other begin.
func (r *retention) stop() {
	r.mu.Lock()
	was := r.closed
	if !was {
		r.closed = true
		close(r.quit)
		if r.cancel != nil {
			r.cancel(store.ErrClosed)
		}
	}
	r.mu.Unlock()
	if !was {
		<-r.alone
	}
}

// Retain removes what is no longer kept, and returns what it has done: with an error too.
// It is called while everything else goes on; of several calls, one works at a time.
//
// The journal's segments are what it works on, each as a whole. One is rewritten when that
// frees at least a quarter of its bytes, here or beside the records; when all goes that
// ever can; or when something is there a quarter longer than its age allows. What a kind
// has too much of and is so put off counts as gone: nothing later goes in its place. The
// segment that is being written is ended early when it
// would be rewritten for what is past its age, or to free a quarter of a whole segment:
// bounds much shorter than the time between passes, or smaller, make many small segments.
//
// removing is called with the records that are about to go, which are valid until it
// returns, before they do; in order, but with the same ones again where a pass fails after
// it, or the hub does. It may call anything but Retain and Close. An error of it ends the
// pass.
//
// A segment that is damaged stays as it is, with all that is in it, and counts as far as it
// could be read; the pass goes on with the others, and its error in the end is
// store.ErrCorrupt. store.ErrFull and other failures to write leave what is there as it was;
// after store.ErrBroken nothing is accepted any more. store.ErrClosed where the store is
// closed meanwhile.
func (s *Store) Retain(ctx context.Context, how store.Retention, removing func(context.Context, []store.Entry) error) (store.Retained, error) {
	for kind, keep := range how.Kinds {
		if keep.Age < 0 || keep.Bytes < 0 {
			return store.Retained{}, fmt.Errorf("retain: kind %d is kept for %v and up to %d bytes; neither can be less than nothing", kind, keep.Age, keep.Bytes)
		}
	}
	ctx, leave, err := s.retention.enter(ctx)
	if err != nil {
		return store.Retained{}, fmt.Errorf("retain: %w", err)
	}
	defer leave()
	p := &pass{retention: s.retention, store: s, Retention: how, removing: removing}
	err = p.run(ctx)
	switch {
	case err == nil:
		return p.done, nil
	case errors.Is(context.Cause(ctx), store.ErrClosed):
		err = store.ErrClosed
	case errors.Is(err, journal.ErrFull):
		err = fmt.Errorf("%w: %w", store.ErrFull, err)
	case errors.Is(err, journal.ErrBroken):
		err = fmt.Errorf("%w: %w", store.ErrBroken, err)
	}
	return p.done, fmt.Errorf("retain: %w", err)
}

// pass is a Retain under way.
type pass struct {
	*retention
	store.Retention
	store    *Store
	removing func(context.Context, []store.Entry) error

	snapshot *pebble.Snapshot
	judged   journal.Position // up to where the snapshot has what the journal has
	undone   sequences        // of those from one to before another
	from, to uint64
	excess   map[uint32]int64 // bytes that a kind has too many
	refused  error            // what removing failed with
	done     store.Retained
}

func (p *pass) run(ctx context.Context) error {
	if err := p.load(); err != nil {
		return err
	}
	p.changedKinds()
	err := p.summarise(ctx, p.store.journal.Synced())
	if err == nil {
		p.count()
		if p.anythingDue() {
			err = p.remove(ctx)
		}
	}
	p.done.Kinds = p.kept()
	if err == nil {
		err = p.sweep()
	}
	if err != nil {
		return err
	}
	return p.setAside()
}

// changedKinds forgets what was seen under other bounds.
func (p *pass) changedKinds() {
	same := len(p.kinds) == len(p.Kinds)
	for kind, keep := range p.Kinds {
		if before, ok := p.kinds[kind]; !ok || before != keep {
			same = false
		}
	}
	if same {
		return
	}
	p.kinds = make(map[uint32]store.Keep, len(p.Kinds))
	for kind, keep := range p.Kinds {
		p.kinds[kind] = keep
	}
	for _, s := range p.segments {
		s.look = nil
	}
}

// kept is what there is of each kind.
func (p *pass) kept() map[uint32]store.Kept {
	all := map[uint32]store.Kept{}
	for _, s := range p.segments {
		for kind, h := range s.kinds {
			k := all[kind]
			if k.Packets == 0 || h.oldest.Before(k.Oldest) {
				k.Oldest = h.oldest
			}
			k.Packets += h.packets
			k.Bytes += h.bytes
			all[kind] = k
		}
	}
	return all
}

// count finds what kinds have too many of.
func (p *pass) count() {
	p.excess = map[uint32]int64{}
	for kind, k := range p.kept() {
		if keep := p.Kinds[kind]; keep.Bytes > 0 {
			p.excess[kind] = k.Bytes - keep.Bytes
		}
	}
}

// aged says whether something in a segment is past its age.
func (p *pass) aged(s *summary) bool {
	for kind, h := range s.kinds {
		if keep := p.Kinds[kind]; keep.Age > 0 && !p.Now.Before(h.oldest.Add(keep.Age)) {
			return true
		}
	}
	return false
}

// over says whether there is something in a segment of which its kind has too many.
func (p *pass) over(s *summary) bool {
	for kind := range s.kinds {
		if p.excess[kind] > 0 {
			return true
		}
	}
	return false
}

// anythingDue says whether it is worth the while to find out what is done.
func (p *pass) anythingDue() bool {
	return slices.ContainsFunc(p.segments, func(s *summary) bool { return p.due(s) || s.Sealed && p.droppable(s) })
}

// due says whether there is something in a segment that goes once it is done.
func (p *pass) due(s *summary) bool {
	return s.damage == nil && s.from > 0 && s.from <= p.UpTo && (p.aged(s) || p.over(s))
}

// remove works on all segments that it can, the oldest first, and then on the last one,
// if it is worth ending it.
func (p *pass) remove(ctx context.Context) error {
	ends, err := p.round(ctx)
	if err != nil || !ends {
		return err
	}
	if err := p.store.journal.Seal(); err != nil {
		return err //nolint:wrapcheck // by Retain
	}
	_, err = p.round(ctx)
	return err
}

// round works on the segments that were ended, and says whether the last should be.
func (p *pass) round(ctx context.Context) (ends bool, err error) {
	if err := p.judge(); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, p.snapshot.Close()) }()
	if err := p.summarise(ctx, p.judged); err != nil {
		return false, err
	}
	p.count()
	for _, s := range append([]*summary(nil), p.segments...) {
		if err := ctx.Err(); err != nil {
			return false, err //nolint:wrapcheck // by Retain
		}
		switch {
		case !s.Sealed:
			return p.worthEnding(ctx, s)
		case s.End > p.judged:
			return false, nil
		}
		if err := p.segment(ctx, s); err != nil {
			return false, err
		}
	}
	return false, nil
}

// judge takes the snapshot that says what is done, and makes it durable.
func (p *pass) judge() error {
	if err := p.store.checkpoints.now(p.store); err != nil {
		return err
	}
	p.snapshot = p.store.index.db.NewSnapshot()
	at, err := snapshotCursor(p.snapshot)
	if err == nil {
		err = p.store.index.flush()
	}
	if err != nil {
		return errors.Join(err, p.snapshot.Close())
	}
	p.judged, p.undone, p.from, p.to = at.position, sequences{}, 0, 0
	return nil
}

func snapshotCursor(snapshot *pebble.Snapshot) (cursor, error) {
	value, closer, err := snapshot.Get(cursorKey())
	if errors.Is(err, pebble.ErrNotFound) {
		return cursor{}, nil
	}
	if err != nil {
		return cursor{}, classify(err)
	}
	at, err := parseCursor(value)
	return at, errors.Join(err, closer.Close())
}

// atOnce is for how many sequences is looked at once what is not done.
const atOnce = 1 << 26

// lookFor finds what is not done of a segment, and of those after it.
func (p *pass) lookFor(ctx context.Context, s *summary) error {
	if s.from >= p.from && s.to <= p.to {
		return nil
	}
	p.undone, p.from, p.to = sequences{}, s.from, max(s.to, s.from+atOnce)
	for _, kind := range []byte{keyInbox, keyDead} {
		if err := p.lookIn(ctx, kind); err != nil {
			return err
		}
	}
	return nil
}

// lookIn goes along the inboxes, or dead letters, of all recipients.
func (p *pass) lookIn(ctx context.Context, kind byte) error {
	it, err := p.snapshot.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return classify(err)
	}
	n := 0
	for ok := it.First(); ok; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return errors.Join(ctx.Err(), it.Close())
		}
		sequence, err := sequenceOf(it.Key())
		if err != nil {
			return errors.Join(err, it.Close())
		}
		inbox := it.Key()[:len(it.Key())-8]
		switch {
		case sequence < p.from:
			ok = it.SeekGE(append(inbox[:len(inbox):len(inbox)], numberValue(p.from)...))
		case sequence >= p.to:
			ok = it.SeekGE(after(inbox))
		default:
			p.undone.add(sequence)
			ok = it.Next()
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return classify(err)
	}
	return nil
}

// past says whether a packet is past its age, and whether by far.
func past(keep store.Keep, at, now time.Time) (aged, late bool) {
	if keep.Age <= 0 {
		return false, false
	}
	return !now.Before(at.Add(keep.Age)), !now.Before(lateAt(keep, at))
}

// lateAt is when a packet goes, however little goes with it.
func lateAt(keep store.Keep, at time.Time) time.Time { return at.Add(keep.Age).Add(keep.Age / 4) }
