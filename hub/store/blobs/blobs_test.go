package blobs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/blobs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mib = 1 << 20

// ledger knows what was accepted.
type ledger struct {
	mu  sync.Mutex
	has map[blobs.Content]bool
}

func (l *ledger) accept(c blobs.Content) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.has == nil {
		l.has = map[blobs.Content]bool{}
	}
	l.has[c] = true
}

func (l *ledger) accepted(_ context.Context, c blobs.Content) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.has[c], nil
}

func open(t testing.TB, files vfs.FS, l *ledger, change ...func(*blobs.Options)) *blobs.Blobs {
	t.Helper()
	o := blobs.Options{FS: files, Accepted: l.accepted}
	for _, alter := range change {
		alter(&o)
	}
	b, err := blobs.Open("blobs", o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// drawn returns bytes that differ from block to block.
func drawn(size int, seed uint64) []byte {
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	p := make([]byte, size)
	_, _ = random.Read(p)
	return p
}

func contentOf(sender, id string, p []byte) blobs.Content {
	return blobs.Content{Sender: sender, ID: id, Size: int64(len(p)), SHA256: sha256.Sum256(p)}
}

// put uploads from where the upload stands up to an offset, and returns what is held.
func put(b *blobs.Blobs, c blobs.Content, p []byte, upTo int, piece int) (int64, error) {
	ctx := context.Background()
	_, from, _, err := b.Held(c.Sender, c.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return 0, err
	}
	w, err := b.Begin(ctx, c, from)
	if err != nil {
		return 0, err
	}
	for rest := p[min(int(from), upTo):upTo]; len(rest) > 0; {
		n := min(piece, len(rest))
		if err := w.Write(ctx, rest[:n]); err != nil {
			held, closeErr := w.Close()
			return held, errors.Join(err, closeErr)
		}
		rest = rest[n:]
	}
	return w.Close()
}

func read(b *blobs.Blobs, c blobs.Content, from int64) ([]byte, error) {
	r, err := b.Read(c, from)
	if err != nil {
		return nil, err
	}
	var all []byte
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, r.Close()
		}
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		all = append(all, p...)
	}
}

// However an upload is cut into pieces, interrupted, and the machine beneath it loses
// power: what was said to be held stays held, and what is complete is what was sent.
func TestUploadsSurviveCutsAndCrashes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		size := rapid.IntRange(1, 2*mib+mib/2).Draw(rt, "size")
		p := drawn(size, uint64(size))
		c := contentOf("H41/motcua", "a", p)
		files := vfs.NewCrashableMem()
		b := open(t, files, &ledger{})
		promised := int64(0)
		for promised < int64(size) {
			upTo := rapid.IntRange(int(promised), size).Draw(rt, "up to")
			held, err := put(b, c, p, upTo, rapid.SampledFrom([]int{1000, 64 << 10, mib, 3 * mib}).Draw(rt, "piece"))
			if err != nil {
				rt.Fatal(err)
			}
			if held < promised || held > int64(upTo) || held < int64(upTo)-mib {
				rt.Fatalf("sent up to %d, after %d were held: %d are held now; want no more than a block lost", upTo, promised, held)
			}
			promised = held
			if rapid.Bool().Draw(rt, "crash") {
				files = files.CrashClone(vfs.CrashCloneCfg{
					UnsyncedDataPercent: rapid.IntRange(0, 100).Draw(rt, "unsynced"), RNG: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)),
				})
				b = open(t, files, &ledger{})
				after, held, _, err := b.Held(c.Sender, c.ID)
				if err != nil || after != c || held < promised {
					rt.Fatalf("after a crash %d are held (%v, %v); %d were promised", held, after, err, promised)
				}
				promised = held
			}
		}
		offset := rapid.IntRange(0, size).Draw(rt, "offset")
		if got, err := read(b, c, int64(offset)); err != nil || !bytes.Equal(got, p[offset:]) {
			rt.Fatalf("%d bytes from %d on, %v; want what was sent", len(got), offset, err)
		}
		if err := b.View(context.Background(), c, func(content []byte) error {
			if !bytes.Equal(content, p) {
				return errors.New("other bytes than were sent")
			}
			return nil
		}); err != nil {
			rt.Fatal(err)
		}
	})
}

// A crash in the middle of writing keeps what was held, and what is beyond it is what
// was sent, or is not there.
func TestCrashInTheMiddleOfAnUpload(t *testing.T) {
	t.Parallel()
	p := drawn(6*mib, 1)
	c := contentOf("H41/motcua", "a", p)
	for seed := range uint64(5) {
		files := vfs.NewCrashableMem()
		b := open(t, files, &ledger{})
		w, err := b.Begin(t.Context(), c, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(t.Context(), p[:5*mib+100]); err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(seed, 0))
		crashed := files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: random})
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
		b = open(t, crashed, &ledger{})
		if _, held, _, err := b.Held(c.Sender, c.ID); err != nil || held < 4*mib || held > 5*mib || held%mib != 0 {
			t.Errorf("seed %d: %d are held, %v; want whole blocks, the first four at least", seed, held, err)
		}
		if held, err := put(b, c, p, len(p), mib); err != nil || held != int64(len(p)) {
			t.Errorf("seed %d: went on to %d, %v; want all", seed, held, err)
		}
		if got, err := read(b, c, 0); err != nil || !bytes.Equal(got, p) {
			t.Errorf("seed %d: read %d bytes, %v; want what was sent", seed, len(got), err)
		}
	}
}

// What was accepted has its content at every moment, whenever the power goes; what
// was not is removed when its time is over, and not before.
func TestAcceptedContentsAreNeverRemoved(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		now := time.Now()
		later := func(o *blobs.Options) { o.Clock = func() time.Time { return now } }
		files := vfs.NewCrashableMem()
		l := &ledger{}
		b := open(t, files, l, later)
		contents := map[string][]byte{}
		var known []blobs.Content // at the next start to be accepted
		for step := range rapid.IntRange(1, 24).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"upload", "accept", "move", "drop", "crash", "expire", "retire"}).Draw(rt, "step") {
			case "upload":
				id := fmt.Sprint("p", step)
				contents[id] = drawn(rapid.IntRange(1, mib+10).Draw(rt, "size"), uint64(step))
				if _, err := put(b, contentOf("H41/motcua", id, contents[id]), contents[id], len(contents[id]), mib); err != nil {
					rt.Fatal(err)
				}
			case "accept":
				for _, id := range slices.Sorted(maps.Keys(contents)) {
					c := contentOf("H41/motcua", id, contents[id])
					hold, err := b.Hold(c)
					if err != nil {
						continue
					}
					// Whatever is said of it, what the store has accepted counts.
					fate := rapid.SampledFrom([]blobs.Fate{blobs.Kept, blobs.Unneeded, blobs.Unknown, blobs.Accepted}).Draw(rt, "fate")
					accept := rapid.Bool().Draw(rt, "accept") || fate == blobs.Accepted
					switch {
					case !accept || l.has[c] || slices.Contains(known, c): // once
					case fate == blobs.Unknown:
						known = append(known, c)
					default:
						l.accept(c)
					}
					hold.Release(fate)
				}
			case "move":
				runOnce(t, b)
			case "drop":
				for _, id := range slices.Sorted(maps.Keys(contents)) {
					if rapid.Bool().Draw(rt, "drop") {
						if err := b.Drop(context.Background(), "H41/motcua", id); err != nil && !errors.Is(err, blobs.ErrBusy) {
							rt.Fatal(err)
						}
					}
				}
			case "retire": // with their packets, but for those that a pass did not come to
				retired := some(rt, l)
				if err := b.Retire(context.Background(), retired); err != nil {
					rt.Fatal(err)
				}
				for _, c := range retired {
					if rapid.Bool().Draw(rt, "gone") {
						delete(l.has, c)
					}
				}
				if rapid.Bool().Draw(rt, "in time") {
					removeRetired(rt, b)
				}
			case "expire":
				now = now.Add(25 * time.Hour)
				runOnce(t, b)
			case "crash":
				files = files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(uint64(step), 0))})
				for _, c := range known {
					l.accept(c)
				}
				known = nil
				b = open(t, files, l, later)
			}
			for c := range l.has {
				if got, err := read(b, c, 0); err != nil || !bytes.Equal(got, contents[c.ID]) {
					rt.Fatalf("step %d: %s was accepted; reading it: %d bytes, %v", step, c.ID, len(got), err)
				}
			}
		}
		for _, c := range known {
			l.accept(c)
		}
		now = now.Add(48 * time.Hour)
		b = open(t, files, l, later)
		runOnce(t, b)
		removeRetired(rt, b)
		if left, err := files.List("blobs/uploads"); err != nil || len(left) > 0 {
			rt.Fatalf("after their time %d uploads are left, %v; want none", len(left), err)
		}
		if kept, err := files.List("blobs/accepted"); err != nil || len(kept) != len(l.has) {
			rt.Fatalf("%d contents are kept, %v; %d were accepted", len(kept), err, len(l.has))
		}
	})
}

// runOnce lets Run do what is to be done.
func runOnce(t testing.TB, b *blobs.Blobs) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // it looks once before it looks at ctx
	if err := b.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNotTheContentAnnounced(t *testing.T) {
	t.Parallel()
	b := open(t, vfs.NewMem(), &ledger{})
	p := drawn(3*mib+5, 1)
	other := bytes.Clone(p)
	other[mib] ^= 1
	c := contentOf("H41/motcua", "a", p)
	if _, err := put(b, c, other, len(other), mib); !errors.Is(err, blobs.ErrOther) {
		t.Errorf("a bit is not as announced: %v; want ErrOther", err)
	}
	if _, _, _, err := b.Held(c.Sender, c.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after that: %v; want the upload gone", err)
	}
	if _, err := put(b, c, append(bytes.Clone(p), 0), len(p)+1, mib); !errors.Is(err, blobs.ErrOther) {
		t.Errorf("a byte more than announced: %v; want ErrOther", err)
	}
	if held, err := put(b, c, p, len(p), mib); err != nil || held != c.Size {
		t.Errorf("the content itself: %d, %v; want it held", held, err)
	}
}

func TestAnUploadGoesOnWhereItStands(t *testing.T) {
	t.Parallel()
	b := open(t, vfs.NewMem(), &ledger{})
	p := drawn(3*mib, 1)
	c := contentOf("H41/motcua", "a", p)
	if _, err := b.Begin(t.Context(), c, mib); !errors.Is(err, blobs.ErrOffset) {
		t.Errorf("a new upload from an offset on: %v; want ErrOffset", err)
	}
	first, err := b.Begin(t.Context(), c, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Write(t.Context(), p[:2*mib-1]); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Begin(t.Context(), c, 0); !errors.Is(err, blobs.ErrOffset) {
		t.Errorf("from the beginning, with a block held: %v; want ErrOffset", err)
	}
	second, err := b.Begin(t.Context(), c, mib)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Write(t.Context(), p[2*mib-1:]); !errors.Is(err, blobs.ErrTakenOver) {
		t.Errorf("the stream before it goes on: %v; want ErrTakenOver", err)
	}
	if _, err := first.Close(); !errors.Is(err, blobs.ErrTakenOver) {
		t.Errorf("the stream before it ends: %v; want ErrTakenOver", err)
	}
	if _, err := b.Hold(c); !errors.Is(err, blobs.ErrIncomplete) {
		t.Errorf("hold it before it is complete: %v; want ErrIncomplete", err)
	}
	if err := second.Write(t.Context(), p[mib:]); err != nil {
		t.Fatal(err)
	}
	if held, err := second.Close(); err != nil || held != c.Size {
		t.Errorf("the second stream held %d, %v; want all", held, err)
	}
}

func TestUploadsAreBounded(t *testing.T) {
	t.Parallel()
	p := drawn(mib, 1)
	b := open(t, vfs.NewMem(), &ledger{}, func(o *blobs.Options) {
		o.SenderUploads, o.SenderBytes, o.AllUploads = 2, 3*mib, 3
	})
	begin := func(sender, id string, size int64) error {
		c := contentOf(sender, id, p)
		c.Size = size
		w, err := b.Begin(t.Context(), c, 0)
		if err == nil {
			_, err = w.Close()
		}
		return err
	}
	for _, c := range []struct {
		sender, id string
		size       int64
		want       error
	}{
		{"H41/a", "1", mib, nil},
		{"H41/a", "2", 3 * mib, blobs.ErrTooMany}, // bytes
		{"H41/a", "2", mib, nil},
		{"H41/a", "3", 1, blobs.ErrTooMany}, // uploads
		{"H41/a", "2", 2 * mib, nil},        // another in its place
		{"H41/b", "1", mib, nil},
		{"H41/b", "2", mib, blobs.ErrTooMany}, // of all
	} {
		if err := begin(c.sender, c.id, c.size); !errors.Is(err, c.want) {
			t.Errorf("%s %s of %d bytes: %v; want %v", c.sender, c.id, c.size, err, c.want)
		}
	}
	if err := b.Drop(t.Context(), "H41/a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := begin("H41/a", "3", 1); err != nil {
		t.Errorf("after one was dropped: %v; want room", err)
	}
}

func TestWhileItIsSubmittedAnUploadStays(t *testing.T) {
	t.Parallel()
	b := open(t, vfs.NewMem(), &ledger{})
	p := drawn(mib, 1)
	c := contentOf("H41/motcua", "a", p)
	if _, err := put(b, c, p, len(p), mib); err != nil {
		t.Fatal(err)
	}
	hold, err := b.Hold(c)
	if err != nil {
		t.Fatal(err)
	}
	other := contentOf(c.Sender, c.ID, p[:10])
	if _, err := b.Begin(t.Context(), other, 0); !errors.Is(err, blobs.ErrBusy) {
		t.Errorf("another content meanwhile: %v; want ErrBusy", err)
	}
	if err := b.Drop(t.Context(), c.Sender, c.ID); !errors.Is(err, blobs.ErrBusy) {
		t.Errorf("drop it meanwhile: %v; want ErrBusy", err)
	}
	hold.Release(blobs.Kept)
	if err := b.Drop(t.Context(), c.Sender, c.ID); err != nil {
		t.Errorf("drop it after that: %v", err)
	}
}

// What has changed on the disk is not handed out.
func TestBitFlipsAreFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := blobs.Open(filepath.Join(dir, "blobs"), blobs.Options{Accepted: (&ledger{}).accepted})
	if err != nil {
		t.Fatal(err)
	}
	p := drawn(3*mib+7, 1)
	c := contentOf("H41/motcua", "a", p)
	if _, err := put(b, c, p, len(p), mib); err != nil {
		t.Fatal(err)
	}
	names, err := vfs.Default.List(filepath.Join(dir, "blobs", "uploads"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	file, err := vfs.Default.OpenReadWrite(filepath.Join(dir, "blobs", "uploads", names[0]), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte{p[2*mib] ^ 1}, 8<<10+2*mib); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := read(b, c, 0); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("read %d bytes, %v; want ErrCorrupt", len(got), err)
	}
	err = b.View(t.Context(), c, func([]byte) error { return nil })
	if !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("view: %v; want ErrCorrupt", err)
	}
}
