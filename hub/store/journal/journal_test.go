package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// random is the same for the same seed.
func random(seed uint64) *rand.ChaCha8 {
	return rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
}

func open(t testing.TB, fs vfs.FS, segmentBytes int64) *journal.Journal {
	t.Helper()
	j, err := journal.Open("data/journal", journal.Options{FS: fs, SegmentBytes: segmentBytes, Random: random(1)})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func closed(t testing.TB, j *journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func appended(t testing.TB, j *journal.Journal, kind byte, parts ...[]byte) journal.Frame {
	t.Helper()
	next := j.Next()
	at, err := j.Append(kind, parts...)
	if err != nil {
		t.Fatal(err)
	}
	if at != next {
		t.Fatalf("the frame is at %d; Next said %d", at, next)
	}
	return journal.Frame{Position: at, Kind: kind, Payload: bytes.Join(parts, nil)}
}

func synced(t testing.TB, j *journal.Journal) {
	t.Helper()
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	if j.Synced() != j.Next() {
		t.Fatalf("after Sync, synced is %d and next %d", j.Synced(), j.Next())
	}
}

// scanned returns what a Scan from a position shows.
func scanned(ctx context.Context, j *journal.Journal, from journal.Position) ([]journal.Frame, error) {
	var frames []journal.Frame
	err := j.Scan(ctx, from, func(f journal.Frame) error {
		f.Payload = bytes.Clone(f.Payload)
		frames = append(frames, f)
		return nil
	})
	return frames, err
}

// holds checks that a journal has these frames, all synced, and no others.
func holds(t testing.TB, j *journal.Journal, want []journal.Frame) {
	t.Helper()
	got, err := scanned(t.Context(), j, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := same(got, want); err != nil {
		t.Fatal(err)
	}
	for i, f := range want {
		one, err := j.Frame(f.Position)
		if err != nil {
			t.Fatal(err)
		}
		if err := same([]journal.Frame{one}, want[i:i+1]); err != nil {
			t.Fatal(err)
		}
	}
}

func same(got, want []journal.Frame) error {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Errorf("%d frames; frame %d at %d is missing", len(got), i, want[i].Position)
		case i >= len(want):
			return fmt.Errorf("frame %d at %d was not to be there", i, got[i].Position)
		case got[i].Position != want[i].Position || got[i].Kind != want[i].Kind || !bytes.Equal(got[i].Payload, want[i].Payload):
			return fmt.Errorf("frame %d is at %d, of kind %d, with %d bytes; want position %d, kind %d, %d bytes, or the bytes differ", i,
				got[i].Position, got[i].Kind, len(got[i].Payload), want[i].Position, want[i].Kind, len(want[i].Payload))
		}
	}
	return nil
}

// payloads of many sizes: less than a word, words, more than a segment of 4 KiB.
func payloads() [][]byte {
	var all [][]byte
	for i, size := range []int{0, 1, 7, 8, 9, 100, 1000, 3000, 4096, 10_000, 3, 64, 2000, 2000, 2000} {
		all = append(all, bytes.Repeat([]byte{byte('a' + i)}, size))
	}
	return all
}

func TestFramesAreThereInOrder(t *testing.T) {
	t.Parallel()
	for name, fs := range map[string]vfs.FS{"memory": vfs.NewCrashableMem(), "disk": vfs.Default} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := "new/directory/journal"
			if name == "disk" {
				dir = t.TempDir() + "/new/journal"
			}
			opts := journal.Options{FS: fs, SegmentBytes: 4096, Random: random(2)}
			var want []journal.Frame
			for range 3 {
				j, err := journal.Open(dir, opts)
				if err != nil {
					t.Fatal(err)
				}
				holds(t, j, want)
				for i, p := range payloads() {
					want = append(want, appended(t, j, byte(i+1), p[:len(p)/2], nil, p[len(p)/2:]))
				}
				synced(t, j)
				holds(t, j, want)
				closed(t, j)
			}
		})
	}
}

func TestScanBeginsWhereAsked(t *testing.T) {
	t.Parallel()
	j := open(t, vfs.NewMem(), 4096)
	defer closed(t, j)
	var want []journal.Frame
	for _, p := range payloads() {
		want = append(want, appended(t, j, 1, p))
	}
	synced(t, j)
	appended(t, j, 1, []byte("not synced: not scanned"))
	for i, f := range want {
		got, err := scanned(t.Context(), j, f.Position)
		if err != nil {
			t.Fatal(err)
		}
		if err := same(got, want[i:]); err != nil {
			t.Errorf("from %d: %v", f.Position, err)
		}
	}
	if got, err := scanned(t.Context(), j, j.Synced()); err != nil || len(got) > 0 {
		t.Errorf("a scan from the end shows %d frames and %v", len(got), err)
	}
}

func TestScanEndsWithTheVisitsError(t *testing.T) {
	t.Parallel()
	j := open(t, vfs.NewMem(), 4096)
	defer closed(t, j)
	appended(t, j, 1, []byte("a"))
	synced(t, j)
	enough := errors.New("enough")
	if err := j.Scan(t.Context(), 0, func(journal.Frame) error { return enough }); err != enough { //nolint:errorlint // unchanged
		t.Errorf("a scan ended with %v, want what the visit returned", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Scan(ctx, 0, func(journal.Frame) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a scan of a cancelled context ended with %v", err)
	}
}

func TestReadPayloadGivesParts(t *testing.T) {
	t.Parallel()
	j := open(t, vfs.NewMem(), 4096)
	defer closed(t, j)
	f := appended(t, j, 1, []byte("0123456789"))
	for _, tc := range []struct {
		offset, length int
		want           string
		err            error
	}{
		{0, 10, "0123456789", nil},
		{3, 4, "3456", nil},
		{10, 0, "", nil},
		{0, 11, "", store.ErrNotFound},
		{10, 1, "", store.ErrNotFound},
		{-1, 1, "", store.ErrNotFound},
		{11, 0, "", store.ErrNotFound},
	} {
		p := make([]byte, tc.length)
		switch length, err := j.ReadPayload(f.Position, tc.offset, p); {
		case length != 10:
			t.Errorf("the payload has %d bytes; want 10", length)
		case !errors.Is(err, tc.err):
			t.Errorf("%d bytes from %d: %v, want %v", tc.length, tc.offset, err, tc.err)
		case err == nil && string(p) != tc.want:
			t.Errorf("%d bytes from %d: %q, want %q", tc.length, tc.offset, p, tc.want)
		}
	}
}

func TestWhereNoFrameBegins(t *testing.T) {
	t.Parallel()
	j := open(t, vfs.NewMem(), 4096)
	defer closed(t, j)
	first := appended(t, j, 1, bytes.Repeat([]byte("x"), 100))
	for at, want := range map[journal.Position]error{
		first.Position + 1: store.ErrNotFound, // frames begin at multiples of 8
		first.Position + 8: store.ErrCorrupt,
		j.Next():           store.ErrNotFound,
		1 << 60:            store.ErrNotFound,
	} {
		if _, err := j.Frame(at); !errors.Is(err, want) {
			t.Errorf("the frame at %d: %v, want %v", at, err, want)
		}
		if _, err := j.ReadPayload(at, 0, nil); !errors.Is(err, want) {
			t.Errorf("the payload at %d: %v, want %v", at, err, want)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]journal.Options{
		"no file system": {Random: random(1)},
		"no randomness":  {FS: vfs.NewMem()},
		"negative size":  {FS: vfs.NewMem(), Random: random(1), SegmentBytes: -1},
		"enormous size":  {FS: vfs.NewMem(), Random: random(1), SegmentBytes: 1<<30 + 1},
	} {
		if j, err := journal.Open("journal", opts); err == nil {
			closed(t, j)
			t.Errorf("%s: opened", name)
		}
	}
	j := open(t, vfs.NewMem(), 4096)
	for _, kind := range []byte{0, 0xF0, 0xFF} {
		if _, err := j.Append(kind, []byte("x")); err == nil {
			t.Errorf("kind %#x was appended", kind)
		}
	}
	huge := make([]byte, 1<<20)
	parts := make([][]byte, 1025)
	for i := range parts {
		parts[i] = huge
	}
	if _, err := j.Append(1, parts...); err == nil {
		t.Error("a payload of more than 1 GiB was appended")
	}
	if j.Next() != 0 || len(j.Segments()) != 0 {
		t.Errorf("what was refused left something: next is %d", j.Next())
	}
	closed(t, j)
}

func TestOnlyOneHasItOpen(t *testing.T) {
	t.Parallel()
	for name, fs := range map[string]vfs.FS{"memory": vfs.NewMem(), "disk": vfs.Default} {
		dir := "journal"
		if name == "disk" {
			dir = t.TempDir()
		}
		opts := journal.Options{FS: fs, Random: random(1)}
		first, err := journal.Open(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := journal.Open(dir, opts); err == nil {
			closed(t, second)
			t.Errorf("%s: opened twice", name)
		}
		closed(t, first)
		again, err := journal.Open(dir, opts)
		if err != nil {
			t.Fatalf("%s: not opened after it was closed: %v", name, err)
		}
		closed(t, again)
	}
}

func TestAClosedJournalSaysSo(t *testing.T) {
	t.Parallel()
	j := open(t, vfs.NewMem(), 4096)
	appended(t, j, 1, []byte("x"))
	closed(t, j)
	closed(t, j)
	_, errAppend := j.Append(1)
	_, errFrame := j.Frame(0)
	_, errPayload := j.ReadPayload(0, 0, nil)
	for call, err := range map[string]error{
		"append": errAppend, "sync": j.Sync(), "frame": errFrame, "payload": errPayload,
		"scan":    j.Scan(t.Context(), 0, func(journal.Frame) error { return nil }),
		"rewrite": j.Rewrite(t.Context(), 0, func(journal.Frame) ([]byte, bool, error) { return nil, false, nil }),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: %v, want store.ErrClosed", call, err)
		}
	}
}

func TestSegmentsFollowEachOther(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j := open(t, fs, 4096)
	defer closed(t, j)
	for range 20 {
		appended(t, j, 1, bytes.Repeat([]byte("x"), 1000))
	}
	large := appended(t, j, 1, bytes.Repeat([]byte("y"), 10_000))
	after := appended(t, j, 1, []byte("z"))
	synced(t, j)
	segments := j.Segments()
	if segments[0].First != j.First() || j.First() != 0 {
		t.Errorf("the first segment begins at %d, the journal at %d", segments[0].First, j.First())
	}
	last := len(segments) - 1
	if segments[last].First != after.Position || segments[last-1].First != large.Position {
		t.Errorf("a frame larger than a segment does not stand alone: segments %v", segments)
	}
	for i, s := range segments {
		if s.Sealed != (i < last) {
			t.Errorf("segment %d of %d: sealed is %v", i, len(segments), s.Sealed)
		}
		if s.Bytes > 4096 && i != last-1 {
			t.Errorf("segment %d has %d bytes", i, s.Bytes)
		}
		info, err := fs.Stat(fmt.Sprintf("data/journal/%020d.journal", s.First))
		if err != nil || info.Size() != s.Bytes {
			t.Errorf("segment %d has %d bytes, its file %v (%v)", i, s.Bytes, info.Size(), err)
		}
	}
}
