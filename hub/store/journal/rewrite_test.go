package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// filled is a journal whose first segment is sealed.
func filled(t testing.TB, fs vfs.FS, segmentBytes int64, sizes ...int) (*journal.Journal, []journal.Frame) {
	t.Helper()
	j := open(t, fs, segmentBytes)
	var frames []journal.Frame
	for i, size := range sizes {
		frames = append(frames, appended(t, j, byte(i%200+1), bytes.Repeat([]byte{byte(i)}, size)))
	}
	for len(j.Segments()) < 2 {
		frames = append(frames, appended(t, j, 200, make([]byte, 100)))
	}
	synced(t, j)
	return j, frames
}

func TestRewriteKeepsPositions(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j, frames := filled(t, fs, 8192, 1000, 0, 2000, 300, 7)
	before := j.Segments()[0]
	shrunk := func(f journal.Frame) ([]byte, bool, error) {
		return f.Payload[:len(f.Payload)/3], f.Kind != 3, nil
	}
	if err := j.Rewrite(t.Context(), 0, shrunk); err != nil {
		t.Fatal(err)
	}
	var want []journal.Frame
	vanished := frames[2].Position
	for _, f := range frames {
		if payload, keep, _ := shrunk(f); f.Position >= j.Segments()[1].First {
			want = append(want, f)
		} else if keep {
			f.Payload = payload
			want = append(want, f)
		}
	}
	after := j.Segments()[0]
	if info, err := fs.Stat("data/journal/00000000000000000000.journal"); err != nil || info.Size() != after.Bytes || after.Bytes >= before.Bytes {
		t.Errorf("the segment had %d bytes, has %d, its file %d (%v)", before.Bytes, after.Bytes, info.Size(), err)
	}
	for range 2 {
		holds(t, j, want)
		for _, at := range []journal.Position{vanished, vanished + 8} {
			if _, err := j.Frame(at); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("the frame at %d: %v, want store.ErrNotFound", at, err)
			}
		}
		got, err := scanned(t.Context(), j, vanished)
		if err := errors.Join(err, same(got, want[2:])); err != nil {
			t.Errorf("scanned from where a frame vanished: %v", err)
		}
		if length, err := j.ReadPayload(want[0].Position, len(want[0].Payload), make([]byte, 1)); !errors.Is(err, store.ErrNotFound) || length != len(want[0].Payload) {
			t.Errorf("what was cut off a payload: %v, want store.ErrNotFound", err)
		}
		closed(t, j)
		j = open(t, fs, 8192)
	}
	closed(t, j)
}

// Rewrites of rewritten segments, of many frames and of few, leave every frame where
// it is found.
func TestRewrittenSegmentsAreSearchable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{fs: vfs.NewCrashableMem(), seed: 4, scale: 32}
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(w.open())
		sizes := rapid.SampledFrom([][]int{{0, 1}, {3, 28}, {0, 1, 150}, {127}, {300}}).Draw(t, "sizes")
		for i := 0; len(w.journal.Segments()) < 2; i++ {
			must(w.append(sizes[i%len(sizes)]))
		}
		for range rapid.IntRange(1, 3).Draw(t, "rewrites") {
			must(w.thin(rapid.IntRange(1, 40).Draw(t, "keep one of")))
		}
		must(w.restart())
		frames := w.model.frames
		from := rapid.IntRange(0, len(frames)-1).Draw(t, "from")
		begin := journal.Position(0)
		if from > 0 {
			before := frames[from-1] // behind it, where perhaps nothing is left
			begin = before.Position + 32 + journal.Position(len(before.Payload)+7)&^7
		}
		got, err := scanned(context.Background(), w.journal, begin)
		must(errors.Join(err, same(got, frames[from:])))
		must(w.journal.Close())
	})
}

// thin keeps one frame of so many in the first segment.
func (w *world) thin(one int) error {
	next := w.journal.Segments()[1].First
	kept := map[journal.Position]bool{}
	var left []journal.Frame
	for i, f := range w.model.frames {
		if kept[f.Position] = i%one == 0; kept[f.Position] || f.Position >= next {
			left = append(left, f)
		}
	}
	w.model = model{frames: left, synced: len(left)}
	return w.journal.Rewrite(context.Background(), 0, func(f journal.Frame) ([]byte, bool, error) {
		return f.Payload, kept[f.Position], nil
	})
}

func TestAnEmptySegmentIsRemoved(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j := open(t, fs, 512)
	var frames []journal.Frame
	for len(j.Segments()) < 6 {
		frames = append(frames, appended(t, j, 1, make([]byte, 100)))
	}
	synced(t, j)
	all := j.Segments()
	gaps := []int{1, 2, 2, 1, 1}
	for i, n := range []int{3, 0, 2, 1, 4} { // gaps that grow together
		if err := j.Rewrite(t.Context(), all[n].First, func(journal.Frame) ([]byte, bool, error) { return nil, false, nil }); err != nil {
			t.Fatal(err)
		}
		var left []journal.Frame
		for _, f := range frames {
			if f.Position < all[n].First || f.Position >= all[n+1].First {
				left = append(left, f)
			}
		}
		gone := frames[0].Position
		frames = left
		if n == 0 {
			if _, err := j.Frame(gone); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a frame of a removed segment: %v, want store.ErrNotFound", err)
			}
		}
		holds(t, j, frames)
		if n := notes(t, fs); n != gaps[i] {
			t.Errorf("%d notes say what was removed; want one for each of %d gaps", n, gaps[i])
		}
		closed(t, j)
		j = open(t, fs, 512)
		holds(t, j, frames)
		if first := j.Segments()[0].First; j.First() != first {
			t.Errorf("the journal begins at %d, its first segment at %d", j.First(), first)
		}
	}
	if len(j.Segments()) != 1 || j.First() != all[5].First {
		t.Errorf("%d segments are left, the journal begins at %d; want 1 at %d", len(j.Segments()), j.First(), all[5].First)
	}
	closed(t, j)
}

// notes counts the notes of what was removed.
func notes(t testing.TB, fs *vfs.MemFS) int {
	t.Helper()
	n := 0
	for name := range files(t, fs) {
		if strings.HasSuffix(name, ".removed") {
			n++
		}
	}
	return n
}

func TestWhatCannotBeRewritten(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j, frames := filled(t, fs, 4096, 1000, 1000)
	keep := func(f journal.Frame) ([]byte, bool, error) { return f.Payload, true, nil }
	mine := errors.New("mine")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		ctx     context.Context
		first   journal.Position
		replace func(journal.Frame) ([]byte, bool, error)
		want    error
	}{
		"the last segment":       {t.Context(), j.Segments()[1].First, keep, nil},
		"no segment":             {t.Context(), 8, keep, store.ErrNotFound},
		"cancelled":              {cancelled, 0, keep, context.Canceled},
		"an error of the caller": {t.Context(), 0, func(journal.Frame) ([]byte, bool, error) { return nil, true, mine }, mine},
		"a longer payload": {t.Context(), 0, func(f journal.Frame) ([]byte, bool, error) {
			return append(bytes.Clone(f.Payload), 0), true, nil
		}, nil},
	} {
		err := j.Rewrite(tc.ctx, tc.first, tc.replace)
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
		holds(t, j, frames)
	}
	if err := j.Rewrite(t.Context(), 0, keep); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
	closed(t, j)
	names, err := fs.List("data/journal")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".rewriting") {
			t.Errorf("%s was left", name)
		}
	}
}

// A segment that is being read while it is rewritten is read to its end as it was.
func TestAScanSeesOneVersionOfASegment(t *testing.T) {
	t.Parallel()
	j, frames := filled(t, vfs.NewMem(), 4096, 700, 700, 700)
	n := 0
	err := j.Scan(t.Context(), 0, func(f journal.Frame) error {
		if n == 0 {
			if err := j.Rewrite(t.Context(), 0, func(journal.Frame) ([]byte, bool, error) { return nil, false, nil }); err != nil {
				return err
			}
		}
		err := same([]journal.Frame{f}, frames[n:n+1])
		n++
		return err
	})
	if err != nil || n != len(frames) {
		t.Errorf("%d of %d frames: %v", n, len(frames), err)
	}
	closed(t, j)
}

// Close waits for a Rewrite under way, which ends as if it had come later.
func TestCloseWaitsForARewrite(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j, frames := filled(t, fs, 4096, 700, 700, 700)
	closing := make(chan error, 1)
	begun := false
	err := j.Rewrite(t.Context(), 0, func(f journal.Frame) ([]byte, bool, error) {
		if begun {
			return f.Payload, true, nil
		}
		begun = true
		go func() { closing <- j.Close() }()
		select {
		case err := <-closing:
			return nil, false, fmt.Errorf("closed during a rewrite: %w", err)
		case <-time.After(20 * time.Millisecond):
			return nil, false, nil
		}
	})
	if err := errors.Join(err, <-closing); err != nil {
		t.Fatal(err)
	}
	j = open(t, fs, 4096)
	holds(t, j, frames[1:])
	closed(t, j)
}

// counted counts the files that are open.
type counted struct {
	vfs.FS
	now, most, opened atomic.Int64
}

type countedFile struct {
	vfs.File
	fs *counted
}

func (c *counted) counting(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	c.opened.Add(1)
	for now, most := c.now.Add(1), c.most.Load(); now > most && !c.most.CompareAndSwap(most, now); {
		most = c.most.Load()
	}
	return countedFile{f, c}, nil
}

func (c *counted) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return c.counting(c.FS.Open(name, opts...))
}

func (c *counted) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return c.counting(c.FS.OpenReadWrite(name, category, opts...))
}

func (f countedFile) Close() error {
	f.fs.now.Add(-1)
	return f.File.Close()
}

// A thousand segments are opened by looking at their ends, and few files stay open.
func TestManySegments(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	j := open(t, disk, 256)
	var frames []journal.Frame
	for len(j.Segments()) < 1000 {
		frames = append(frames, appended(t, j, 1, make([]byte, 120)))
	}
	closed(t, j)
	var read atomic.Int64
	fs := &counted{FS: errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileReadAt {
			read.Add(1)
		}
		return nil
	}))}
	j = open(t, fs, 256)
	if reads := read.Load(); reads > 2*1000+10 {
		t.Errorf("%d reads opened 1,000 segments", reads)
	}
	holds(t, j, frames)
	if most := fs.most.Load(); most > 70 {
		t.Errorf("%d files were open at once", most)
	}
	before := fs.opened.Load()
	for range 100 {
		if _, err := j.Frame(frames[len(frames)/2].Position); err != nil {
			t.Fatal(err)
		}
	}
	if opened := fs.opened.Load() - before; opened > 1 {
		t.Errorf("one segment was opened %d times", opened)
	}
	closed(t, j)
	if now := fs.now.Load(); now != 0 {
		t.Errorf("%d files are open after Close", now)
	}
}

// After a clean close there is nothing to recover: Open writes nothing.
func TestOpeningWhatWasClosedWritesNothing(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	j, frames := filled(t, disk, 4096, 100)
	closed(t, j)
	for round := range 3 {
		fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			switch op.Kind {
			case errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpCreate, errorfs.OpRename:
				return fmt.Errorf("round %d: a write to %s", round, op.Path)
			}
			return nil
		}))
		j := open(t, fs, 4096)
		holds(t, j, frames)
		closed(t, j)
	}
}
