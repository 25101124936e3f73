package pebblestore

import (
	"context"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/lienthong/lienthong/hub/store/journal"
)

// The journal is read by one goroutine, judged by several, and taken in by one in the
// order in which it was read.

const (
	// batchBytes of frames are judged at once; a frame may be larger.
	batchBytes = 256 << 10
	// heldBytes bounds the frames in memory, but for one that is larger.
	heldBytes = 64 << 20
	// maxJudges is more than a disk is fast enough for.
	maxJudges = 8
)

// batch is some of the journal, in order.
type batch struct {
	bytes  []byte // of the frames
	frames []checkedFrame
	held   int64
	judged chan struct{}
}

// checkedFrame is a frame, or a damaged place.
type checkedFrame struct {
	journal.Frame
	file    string
	damage  *journal.Damage
	group   *group
	names   []named
	err     error // that the frame cannot be read
	wrong   []Wrong
	inOrder func(whole bool)
}

// reading is what was read.
type reading struct {
	next  journal.Position
	bytes int64 // of the frames
}

// read reads the journal and lets take have it.
func (c *checker) read(ctx context.Context, thorough bool, t *taking) (reading, error) {
	tasks, ctx := errgroup.WithContext(ctx)
	judges := min(runtime.GOMAXPROCS(0), maxJudges)
	r := &batcher{
		room: semaphore.NewWeighted(heldBytes), toJudge: make(chan *batch, judges), inOrder: make(chan *batch, 2*judges),
	}
	tasks.Go(func() error { return r.run(ctx, c, thorough) })
	for range judges {
		tasks.Go(func() error {
			for b := range r.toJudge {
				c.judge(b, thorough)
			}
			return nil
		})
	}
	tasks.Go(func() error {
		for b := range r.inOrder {
			if err := t.batch(ctx, b); err != nil {
				return err
			}
			r.room.Release(b.held)
		}
		return nil
	})
	if err := tasks.Wait(); err != nil {
		return reading{}, err //nolint:wrapcheck // of a task
	}
	return r.read, nil
}

// batcher reads the journal into batches.
type batcher struct {
	room             *semaphore.Weighted
	toJudge, inOrder chan *batch
	current          *batch
	read             reading
}

func (r *batcher) run(ctx context.Context, c *checker, thorough bool) error {
	defer close(r.toJudge)
	defer close(r.inOrder)
	r.current = &batch{}
	inspection := journal.Inspection{
		FS: c.opts.FS,
		Visit: func(file string, frame journal.Frame) error {
			return r.add(ctx, checkedFrame{Frame: frame, file: file})
		},
		Damaged: func(d journal.Damage) error {
			return r.add(ctx, checkedFrame{Frame: journal.Frame{Position: d.From}, file: d.File, damage: &d})
		},
		Read: func(done, all int64) {
			if thorough && c.opts.Progress != nil {
				c.opts.Progress(done, all)
			}
		},
	}
	var err error
	if r.read.next, err = journal.Inspect(ctx, filepath.Join(c.dir, journalDir), inspection); err != nil {
		return err //nolint:wrapcheck // says where
	}
	return r.flush(ctx)
}

// add copies a frame into the batch.
func (r *batcher) add(ctx context.Context, f checkedFrame) error {
	if len(f.Payload) > cap(r.current.bytes)-len(r.current.bytes) {
		if err := r.flush(ctx); err != nil {
			return err
		}
		r.current.bytes = make([]byte, 0, max(batchBytes, len(f.Payload)))
	}
	r.read.bytes += int64(len(f.Payload))
	from := len(r.current.bytes)
	r.current.bytes = append(r.current.bytes, f.Payload...)
	f.Payload = r.current.bytes[from:len(r.current.bytes):len(r.current.bytes)]
	r.current.frames = append(r.current.frames, f)
	return nil
}

// flush hands the batch on.
func (r *batcher) flush(ctx context.Context) error {
	b := r.current
	if len(b.frames) == 0 {
		return nil
	}
	r.current = &batch{}
	b.judged, b.held = make(chan struct{}), min(int64(cap(b.bytes))+1, heldBytes)
	if err := r.room.Acquire(ctx, b.held); err != nil {
		return err //nolint:wrapcheck // the context's
	}
	for _, to := range []chan *batch{r.toJudge, r.inOrder} {
		select {
		case to <- b:
		case <-ctx.Done():
			return ctx.Err() //nolint:wrapcheck // the context's
		}
	}
	return nil
}

// judge judges the groups of a batch, each by itself.
func (c *checker) judge(b *batch, thorough bool) {
	defer close(b.judged)
	for i := range b.frames {
		f := &b.frames[i]
		if f.damage != nil || f.Kind != frameGroup {
			continue
		}
		if f.group, f.err = parseHead(f.Payload, f.Position); f.err != nil {
			continue
		}
		if f.err = f.group.fits(len(f.Payload)); f.err != nil {
			continue
		}
		if f.names, f.err = f.group.namesOf(f.Payload); f.err != nil || !thorough {
			continue
		}
		contents := f.contents()
		f.wrong = f.sums(contents)
		if c.opts.Judge != nil {
			wrong, inOrder := c.opts.Judge(contents)
			f.wrong, f.inOrder = append(f.wrong, wrong...), inOrder
		}
	}
}

// fits checks that the parts of a group are in a payload of such a length.
func (g *group) fits(length int) error {
	end := g.recordsAt()
	for _, e := range g.packets {
		end += int(e.recordSize)
	}
	if g.names > g.note || g.note > g.leaves || end != g.length || g.length != length {
		return fmt.Errorf("a group's parts make %d and %d bytes; it has %d", g.length, end, length)
	}
	return nil
}

func (f *checkedFrame) contents() *Contents {
	g := f.group
	contents := &Contents{First: g.first, At: g.at, Note: f.Payload[g.note:g.leaves], Packets: make([]Packet, len(g.packets))}
	leaf := g.leaves
	for i, e := range g.packets {
		p, n := &contents.Packets[i], &f.names[i]
		p.Sender, p.ID, p.Recipients, p.Order, p.Kind = n.sender, n.id, n.recipients, n.order, n.kind
		p.Digest, p.ContentBytes, p.Removed = g.digests[i], n.beside, e.removed
		p.Leaf = f.Payload[leaf : leaf+int(e.leafSize)]
		leaf += int(e.leafSize)
		p.Record = f.Payload[e.record : e.record+e.recordSize]
	}
	return contents
}

// sums checks the checksums inside a frame, which serve those who read a part of it.
func (f *checkedFrame) sums(contents *Contents) []Wrong {
	var wrong []Wrong
	table := castagnoli()
	evidence := crc32.Checksum(contents.Note, table)
	for i, p := range contents.Packets {
		evidence = crc32.Update(evidence, table, p.Leaf)
		if !p.Removed && crc32.Checksum(p.Record, table) != f.group.packets[i].recordSum {
			wrong = append(wrong, Wrong{RuleChanged, f.group.first + uint64(i), "the record"}) //nolint:gosec // index
		}
	}
	if evidence != f.group.checksum {
		wrong = append(wrong, Wrong{RuleChanged, 0, "the leaves or the note of the group"})
	}
	return wrong
}
