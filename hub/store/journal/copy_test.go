package journal_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

func copied(t *testing.T, fs vfs.FS, to, before string) journal.Copied {
	t.Helper()
	done, err := journal.Copy(t.Context(), journal.Copying{FS: fs, From: "data/journal", To: to, Before: before})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// opened returns the frames of a copy, and where the next would begin.
func opened(t *testing.T, fs vfs.FS, dir string) ([]journal.Frame, journal.Position) {
	t.Helper()
	j, err := journal.Open(dir, journal.Options{FS: fs, SegmentBytes: 512, Random: random(9)})
	if err != nil {
		t.Fatalf("open the copy: %v", err)
	}
	defer closed(t, j)
	frames, err := scanned(t.Context(), j, j.First())
	if err != nil {
		t.Fatal(err)
	}
	return frames, j.Next()
}

func TestACopyHasWhatTheJournalHas(t *testing.T) {
	t.Parallel()
	for _, cleanly := range []bool{true, false} {
		d, frames := small(t, cleanly)
		fs := d.written(t, "", nil)
		copied(t, fs, "copy", "")
		got, _ := opened(t, fs, "copy")
		if err := same(got, frames); err != nil {
			t.Errorf("closed %t: %v", cleanly, err)
		}
	}
}

// What has not changed since the copy before is not copied again; what was appended or
// rewritten is.
func TestALaterCopyIsCheap(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j := open(t, fs, 2048)
	var frames []journal.Frame
	for range 60 {
		frames = append(frames, appended(t, j, 1, make([]byte, 200)))
	}
	synced(t, j)
	first := copied(t, fs, "first", "")
	frames = rewritten(t, j, 1, frames, func(i int) bool { return i == 0 })
	for range 60 {
		frames = append(frames, appended(t, j, 2, make([]byte, 200)))
	}
	synced(t, j)
	second := copied(t, fs, "second", "first")
	closed(t, j)
	if first.LinkedBytes != 0 || second.LinkedBytes < first.Bytes/2 || second.Bytes > 2*first.Bytes {
		t.Errorf("first %+v, second %+v; want most of the first to be linked", first, second)
	}
	got, _ := opened(t, fs, "second")
	if err := same(got, frames); err != nil {
		t.Error(err)
	}
}

// Whatever is appended and rewritten meanwhile, a copy opens, and has what was synced
// before it began.
func TestACopyOfAJournalInUse(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j := open(t, fs, 4096)
	var done atomic.Bool
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wrote := make(chan error, 2)
	go func() { wrote <- appendMany(ctx, j) }()
	go func() { wrote <- rewriteMany(ctx, j, &done) }()
	for i := range 40 {
		before := j.Synced()
		dir := string(rune('a'+i%20)) + "-copy"
		copied(t, fs, dir, "")
		frames, next := opened(t, fs, dir)
		if next < before {
			t.Errorf("the copy ends at %d; %d was synced before it began", next, before)
		}
		if !slices.IsSortedFunc(frames, func(a, b journal.Frame) int { return cmp.Compare(a.Position, b.Position) }) {
			t.Error("frames of the copy are not in order")
		}
		if err := fs.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	done.Store(true)
	for range 2 {
		if err := <-wrote; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	closed(t, j)
}

func TestADamagedEndIsNotCopied(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j := open(t, fs, 8192)
	for range 5 {
		appended(t, j, 1, make([]byte, 100))
		synced(t, j)
	}
	d := files(t, fs)
	closed(t, j)
	name := d.segments()[0]
	damaged := slices.Clone(d[name])
	damaged[200] ^= 1
	_, err := journal.Copy(t.Context(), journal.Copying{FS: d.written(t, name, damaged), From: "data/journal", To: "copy"})
	if !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("%v; want store.ErrCorrupt", err)
	}
}
