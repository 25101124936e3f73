package journal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// directory is a journal's files by name.
type directory map[string][]byte

func files(t testing.TB, fs *vfs.MemFS) directory {
	t.Helper()
	names, err := fs.List("data/journal")
	if err != nil {
		t.Fatal(err)
	}
	d := directory{}
	for _, name := range names {
		content, err := fs.UnsafeGetFileDataBuffer("data/journal/" + name)
		if err != nil {
			t.Fatal(err)
		}
		d[name] = slices.Clone(content)
	}
	return d
}

func (d directory) segments() []string {
	var names []string
	for name := range d {
		if strings.HasSuffix(name, ".journal") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// written puts the files on a new disk, one of them replaced; nil leaves it out.
func (d directory) written(t testing.TB, name string, content []byte) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("data/journal", 0o755); err != nil {
		t.Fatal(err)
	}
	for n, b := range d {
		if n == name {
			b = content
		}
		if n == name && content == nil {
			continue
		}
		f, err := fs.Create("data/journal/"+n, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(slices.Clone(b)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// small is a journal of several segments: of the first, every second frame was
// removed; the second was removed. All frames were synced; of the last nothing says so
// unless the journal was closed.
func small(t testing.TB, cleanly bool) (d directory, frames []journal.Frame) {
	t.Helper()
	fs := vfs.NewMem()
	j := open(t, fs, 512)
	for i := range 15 {
		frames = append(frames, appended(t, j, byte(i+1), []byte(fmt.Sprintf("%d: %s", i, strings.Repeat("x", i*7)))))
		if i%4 != 3 {
			synced(t, j)
		}
	}
	frames = rewritten(t, j, 0, frames, func(i int) bool { return i%2 == 0 })
	frames = rewritten(t, j, 1, frames, func(int) bool { return false })
	if segments := j.Segments(); len(segments) < 3 {
		t.Fatalf("%d segments only", len(segments))
	}
	d = files(t, fs) // as after kill -9
	closed(t, j)
	if cleanly {
		d = files(t, fs)
	}
	return d, frames
}

// rewritten rewrites the n-th segment and returns what is then left of the frames.
func rewritten(t testing.TB, j *journal.Journal, n int, frames []journal.Frame, keep func(i int) bool) []journal.Frame {
	t.Helper()
	segments := j.Segments()
	var left []journal.Frame
	kept := map[journal.Position]bool{}
	i := 0
	for _, f := range frames {
		inside := f.Position >= segments[n].First && f.Position < segments[n+1].First
		if !inside || keep(i) {
			left = append(left, f)
			kept[f.Position] = true
		}
		if inside {
			i++
		}
	}
	err := j.Rewrite(t.Context(), segments[n].First, func(f journal.Frame) ([]byte, bool, error) {
		return f.Payload, kept[f.Position], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// judged opens a damaged journal. Either something says ErrCorrupt, or all frames that
// are proven to have been synced are there, and nothing else but the rest of them.
func judged(t testing.TB, fs vfs.FS, frames []journal.Frame, proven int) (detected bool, err error) {
	t.Helper()
	j, err := journal.Open("data/journal", journal.Options{FS: fs, SegmentBytes: 512, Random: random(9)})
	if err != nil {
		if !errors.Is(err, store.ErrCorrupt) {
			return false, fmt.Errorf("open: %w, want store.ErrCorrupt", err)
		}
		return true, nil
	}
	defer closed(t, j)
	for _, f := range frames {
		switch got, err := j.Frame(f.Position); {
		case errors.Is(err, store.ErrCorrupt):
			detected = true
		case err == nil:
			if err := same([]journal.Frame{got}, []journal.Frame{f}); err != nil {
				return false, err
			}
		case !errors.Is(err, store.ErrNotFound):
			return false, err
		}
	}
	got, err := scanned(t.Context(), j, 0)
	if err != nil {
		if !errors.Is(err, store.ErrCorrupt) {
			return false, err
		}
		detected = true
	}
	if err := same(got, frames[:min(len(got), len(frames))]); err != nil {
		return false, err
	}
	if !detected && len(got) < proven {
		return false, fmt.Errorf("%d frames without a word; %d are proven", len(got), proven)
	}
	return detected, nil
}

func TestAFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	for _, cleanly := range []bool{true, false} {
		d, frames := small(t, cleanly)
		proven := len(frames)
		if !cleanly {
			proven--
		}
		segments := d.segments()
		if detected, err := judged(t, d.written(t, "", nil), frames, len(frames)); err != nil || detected {
			t.Fatalf("undamaged: damage detected is %v, %v", detected, err)
		}
		for i, name := range segments {
			undetected := 0
			for offset := range d[name] {
				damaged := slices.Clone(d[name])
				damaged[offset] ^= 1 << (offset % 8)
				detected, err := judged(t, d.written(t, name, damaged), frames, proven)
				if err != nil {
					t.Fatalf("closed %v: byte %d of %s: %v", cleanly, offset, name, err)
				}
				if !detected {
					undetected++
				}
			}
			// Only the last frame of all is followed by nothing that speaks for it.
			last := 32
			if !cleanly {
				last += (len(frames[len(frames)-1].Payload) + 7) &^ 7
			}
			if undetected > 0 && (i != len(segments)-1 || undetected != last) {
				t.Errorf("closed %v: %d flips in %s were not detected", cleanly, undetected, name)
			}
		}
	}
}

func TestATruncatedSegmentIsFound(t *testing.T) {
	t.Parallel()
	d, frames := small(t, true)
	segments := d.segments()
	for i, name := range segments {
		for length := range d[name] {
			proven := 0 // a file that ends early proves nothing of what it lacks
			detected, err := judged(t, d.written(t, name, d[name][:length:length]), frames, proven)
			if err != nil {
				t.Fatalf("%s with %d bytes: %v", name, length, err)
			}
			if !detected && (i < len(segments)-1 || length < 40) {
				t.Errorf("%s with %d bytes was taken for whole", name, length)
			}
		}
	}
}

// A zero page where a synced frame was, in the middle of the last segment.
func TestAHoleBeforeSyncedFramesIsFound(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j := open(t, fs, 1<<20)
	for range 10 {
		appended(t, j, 1, make([]byte, 4096))
		synced(t, j)
	}
	d := files(t, fs)
	name := d.segments()[0]
	for page := range 9 {
		damaged := slices.Clone(d[name])
		clear(damaged[page*4096 : (page+1)*4096])
		_, err := journal.Open("data/journal", journal.Options{FS: d.written(t, name, damaged), Random: random(1)})
		if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "fsck") {
			t.Errorf("page %d is zero: %v, want store.ErrCorrupt, the file and what to do", page, err)
		}
	}
	closed(t, j)
}

func TestAMissingSegmentIsFound(t *testing.T) {
	t.Parallel()
	d, frames := small(t, true)
	segments := d.segments()
	for _, name := range segments[:len(segments)-1] {
		if detected, err := judged(t, d.written(t, name, nil), frames, len(frames)); err != nil || !detected {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for name := range d {
		if strings.HasSuffix(name, ".removed") {
			if detected, err := judged(t, d.written(t, name, nil), frames, len(frames)); err != nil || !detected {
				t.Errorf("without %s: %v", name, err)
			}
		}
	}
	// The last of all was removed, and those behind what was removed earlier.
	left := maps.Clone(d)
	for _, name := range segments[1:] {
		delete(left, name)
	}
	if detected, err := judged(t, left.written(t, "", nil), frames, len(frames)); err != nil || !detected {
		t.Errorf("without all segments but the first: %v", err)
	}
}

// Behind the last segment that is there, one had been removed: there was another.
func TestAMissingNewestSegmentIsFound(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j := open(t, fs, 512)
	var frames []journal.Frame
	for len(j.Segments()) < 3 {
		frames = append(frames, appended(t, j, 1, make([]byte, 100)))
	}
	frames = rewritten(t, j, 1, frames, func(int) bool { return false })
	closed(t, j)
	d := files(t, fs)
	if detected, err := judged(t, d.written(t, d.segments()[1], nil), frames, len(frames)); err != nil || !detected {
		t.Errorf("without the newest segment: %v", err)
	}

	// Only segments that another follows are rewritten.
	fs = vfs.NewMem()
	j, frames = filled(t, fs, 512, 100, 100)
	frames = rewritten(t, j, 0, frames, func(i int) bool { return i > 0 })
	closed(t, j)
	d = files(t, fs)
	if detected, err := judged(t, d.written(t, d.segments()[1], nil), frames, len(frames)); err != nil || !detected {
		t.Errorf("a rewritten segment is the newest: %v", err)
	}
}

// A write that went to another place than it should: whole frames, where others were.
func TestSwappedFramesAreFound(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j := open(t, fs, 1000)
	one := appended(t, j, 1, bytes.Repeat([]byte("1"), 96))
	two := appended(t, j, 2, bytes.Repeat([]byte("2"), 96))
	for len(j.Segments()) < 2 {
		appended(t, j, 3, make([]byte, 500))
	}
	closed(t, j)
	d := files(t, fs)
	name := d.segments()[0]
	swapped := slices.Clone(d[name])
	copy(swapped[40:], d[name][40+two.Position:][:two.Position])
	copy(swapped[40+two.Position:], d[name][40:][:two.Position])
	j = open(t, d.written(t, name, swapped), 1000)
	for _, f := range []journal.Frame{one, two} {
		if _, err := j.Frame(f.Position); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("the frame at %d: %v, want store.ErrCorrupt", f.Position, err)
		}
		if _, err := scanned(t.Context(), j, f.Position); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("a scan from %d: %v, want store.ErrCorrupt", f.Position, err)
		}
	}
	closed(t, j)
}

func TestUnfinishedFilesAreRemoved(t *testing.T) {
	t.Parallel()
	d, frames := small(t, true)
	d["00000000000000099999.journal.new"] = []byte("x")
	d["00000000000000000000.journal.rewriting"] = nil
	fs := d.written(t, "", nil)
	j := open(t, fs, 512)
	holds(t, j, frames)
	closed(t, j)
	names, err := fs.List("data/journal")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".new") || strings.HasSuffix(name, ".rewriting") {
			t.Errorf("%s is still there", name)
		}
	}
}

func checksum(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(nil, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

func TestAnUnknownVersionIsNamed(t *testing.T) {
	t.Parallel()
	// Version 2, empty: its header's sum is right.
	header := []byte("LTHG-jnl\x02\x00\x00\x00" + strings.Repeat("\x00", 24) + "SUM.")
	copy(header[36:], checksum(header[:36]))
	d := directory{"00000000000000000000.journal": header}
	_, err := journal.Open("data/journal", journal.Options{FS: d.written(t, "", nil), Random: random(1)})
	if err == nil || errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("opened a journal of format version 2: %v", err)
	}
}
