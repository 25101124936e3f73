package journal_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// model is what a journal may hold after a crash: at least the frames that are
// synced, at most all.
type model struct {
	frames []journal.Frame // appended, or about to be
	synced int             // so many of them, definitely
	// rewriting is what frames will be once a Rewrite under way has ended.
	rewriting []journal.Frame
}

func (m *model) clone() model {
	return model{slices.Clone(m.frames), m.synced, slices.Clone(m.rewriting)}
}

// allows says what is wrong with frames that were found after a crash.
func (m *model) allows(got []journal.Frame) error {
	err := between(got, m.frames, m.synced)
	if err == nil || m.rewriting == nil {
		return err
	}
	if as := between(got, m.rewriting, m.synced-len(m.frames)+len(m.rewriting)); as != nil {
		return fmt.Errorf("neither as before the rewrite: %w; nor as after it: %w", err, as)
	}
	return nil
}

func between(got, all []journal.Frame, synced int) error {
	if len(got) < synced {
		return fmt.Errorf("%d frames are there; %d were synced", len(got), synced)
	}
	return same(got, all[:min(len(got), len(all))])
}

// world is a journal on a disk that may lose power at any operation.
type world struct {
	fs      *vfs.MemFS
	journal *journal.Journal
	model   model
	seed    uint64
	scale   int // of segments and frames

	operations int // until the power is lost
	percent    int // of what was not synced is there afterwards
	lost       *vfs.MemFS
	then       model // the model when it was lost
}

func (w *world) MaybeError(errorfs.Op) error {
	if w.operations--; w.operations == 0 {
		w.lost = w.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: w.percent, RNG: rand.New(random(w.seed))})
		w.then = w.model.clone()
	}
	return nil
}

func (w *world) String() string { return "power" }

func (w *world) open() error {
	w.seed++
	j, err := journal.Open("data/journal", journal.Options{FS: errorfs.Wrap(w.fs, w), SegmentBytes: 2048 * int64(w.scale), Random: random(w.seed)})
	w.journal = j
	return err
}

// append adds a frame of that size, of bytes that differ from every other's.
func (w *world) append(size int) error {
	w.seed++
	payload := make([]byte, size*w.scale)
	if _, err := random(w.seed).Read(payload); err != nil {
		return err
	}
	frame := journal.Frame{Position: w.journal.Next(), Kind: byte(w.seed%100) + 1, Payload: payload}
	w.model.frames = append(w.model.frames, frame)
	at, err := w.journal.Append(frame.Kind, payload)
	if err == nil && at != frame.Position {
		err = fmt.Errorf("appended at %d, not %d", at, frame.Position)
	}
	w.count()
	return err
}

func (w *world) sync() error {
	err := w.journal.Sync()
	w.count()
	return err
}

// count takes the journal at its word for what is synced.
func (w *world) count() {
	for w.model.synced < len(w.model.frames) && w.model.frames[w.model.synced].Position < w.journal.Synced() {
		w.model.synced++
	}
}

// rewrite rewrites the n-th segment: of its frames, some stay as they are, some get
// shorter, some vanish; or all of them.
func (w *world) rewrite(n int, all bool) error {
	segments := w.journal.Segments()
	if len(segments) < 2 {
		return nil
	}
	n %= len(segments) - 1
	w.seed++
	choices := rand.New(random(w.seed))
	first, next := segments[n].First, segments[n+1].First
	after := make([]journal.Frame, 0, len(w.model.frames))
	for _, f := range w.model.frames {
		switch choice := choices.IntN(3); {
		case f.Position < first || f.Position >= next || choice == 0 && !all:
			after = append(after, f)
		case choice == 1 && !all:
			f.Payload = f.Payload[:len(f.Payload)/2]
			after = append(after, f)
		}
	}
	w.model.rewriting = after
	left := after
	err := w.journal.Rewrite(context.Background(), first, func(f journal.Frame) ([]byte, bool, error) {
		for len(left) > 0 && left[0].Position < f.Position {
			left = left[1:]
		}
		if len(left) == 0 || left[0].Position != f.Position {
			return nil, false, nil
		}
		return f.Payload[:len(left[0].Payload)], true, nil
	})
	if err == nil {
		w.model.synced -= len(w.model.frames) - len(after)
		w.model.frames = after
	}
	w.model.rewriting = nil
	return err
}

// restart opens what is left after the power was lost, or after a clean close, and
// checks it.
func (w *world) restart() error {
	err := w.journal.Close()
	switch {
	case w.lost != nil:
		w.fs, w.model, w.lost = w.lost, w.then, nil
	case err != nil:
		return err
	default:
		w.model.synced = len(w.model.frames)
	}
	if err := w.open(); err != nil {
		return fmt.Errorf("not opened after a crash: %w", err)
	}
	return w.check()
}

func (w *world) check() error {
	got, err := scanned(context.Background(), w.journal, 0)
	if err != nil {
		return err
	}
	if err := w.model.allows(got); err != nil {
		return err
	}
	w.model = model{frames: got, synced: len(got)}
	for _, f := range got {
		one, err := w.journal.Frame(f.Position)
		if err != nil {
			return err
		}
		if err := same([]journal.Frame{one}, []journal.Frame{f}); err != nil {
			return err
		}
	}
	if w.journal.Synced() != w.journal.Next() {
		return fmt.Errorf("opened, with %d synced of %d", w.journal.Synced(), w.journal.Next())
	}
	return nil
}

// What was synced is there after any crash, in order; of what was not, a prefix may
// be; and nothing else ever is, however often power is lost.
func TestSyncedFramesSurviveCrashes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := &world{fs: vfs.NewCrashableMem(), seed: rapid.Uint64Range(0, 1<<20).Draw(t, "seed")}
		w.scale = rapid.SampledFrom([]int{1, 12}).Draw(t, "scale") // segments of less than a block, of six
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(w.open())
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			if w.operations <= 0 {
				w.operations = rapid.IntRange(1, 60).Draw(t, "operations until power is lost")
				w.percent = rapid.SampledFrom([]int{0, 10, 50, 90, 100}).Draw(t, "percent kept")
			}
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2, 3, 4:
				must(w.append(rapid.SampledFrom([]int{0, 1, 40, 300, 900, 2000, 5000}).Draw(t, "size")))
			case 5, 6:
				must(w.sync())
			case 7:
				must(w.rewrite(rapid.IntRange(0, 20).Draw(t, "segment"), rapid.Bool().Draw(t, "all")))
			case 8:
				must(w.restart())
			case 9:
				w.operations = 1
				_ = w.MaybeError(errorfs.Op{}) // now
			}
			if w.lost != nil {
				must(w.restart())
			}
		}
		must(w.restart())
		must(w.journal.Close())
	})
}

// script is a life of a journal that meets every kind of file operation.
func script(w *world) error {
	steps := []func() error{
		w.open,
		func() error { return w.append(900) },
		w.sync,
		func() error { return w.append(900) },
		func() error { return w.append(900) }, // a new segment
		func() error { return w.append(5000) },
		func() error { return w.append(0) },
		func() error { return w.append(700) },
		w.sync,
		func() error { return w.rewrite(0, false) },
		func() error { return w.rewrite(0, true) },
		func() error { return w.append(1500) },
		func() error { return w.rewrite(0, true) },
		w.restart,
		func() error { return w.append(300) },
		func() error { return w.rewrite(1, false) },
		w.restart,
		func() error { return w.append(100) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// TestPowerIsLostAtEveryOperation goes through the script once for every file
// operation in it, and loses power there.
func TestPowerIsLostAtEveryOperation(t *testing.T) {
	t.Parallel()
	for _, percent := range []int{0, 50, 100} {
		for _, scale := range []int{1, 12} {
			t.Run(fmt.Sprintf("%d percent kept, scale %d", percent, scale), func(t *testing.T) {
				t.Parallel()
				n := 1
				for loseAt(t, n, percent, scale) {
					n++
				}
				if n < 100 {
					t.Errorf("the script has %d operations only", n)
				}
			})
		}
	}
}

// loseAt loses power at the n-th operation of the script; false where it has fewer.
func loseAt(t *testing.T, n, percent, scale int) bool {
	t.Helper()
	w := &world{fs: vfs.NewCrashableMem(), operations: n, percent: percent, scale: scale}
	if err := script(w); err != nil {
		t.Fatalf("power lost at operation %d: %v", n, err)
	}
	closed(t, w.journal)
	if w.lost != nil { // else the script went on with what was left
		after := &world{fs: w.lost, model: w.then, seed: 1000, scale: scale}
		if err := goOn(after); err != nil {
			t.Fatalf("power lost at operation %d: %v", n, err)
		}
	}
	return w.operations <= 0
}

// goOn opens a journal after a crash, checks it, and uses it; then what the crash cut
// off must not come back.
func goOn(w *world) error {
	if err := w.open(); err != nil {
		return err
	}
	return errors.Join(w.check(), w.append(40), w.sync(), w.append(900), w.append(2000), w.sync(), w.restart(), w.journal.Close())
}

// What recovery cut off does not come back, not even behind a new frame that ends
// where an old one began.
func TestCutFramesDoNotComeBack(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j := open(t, fs, 1<<20)
	first := appended(t, j, 1, make([]byte, 100))
	synced(t, j)
	bad := appended(t, j, 2, make([]byte, 200))
	appended(t, j, 3, []byte("whole, behind a torn frame"))
	appended(t, j, 4, make([]byte, 5000))
	d := files(t, fs)
	closed(t, j)
	name := d.segments()[0]
	torn := slices.Clone(d[name])
	torn[40+bad.Position+100] ^= 1
	fs = d.written(t, name, torn)
	j = open(t, fs, 1<<20)
	want := []journal.Frame{first}
	holds(t, j, want)
	want = append(want, appended(t, j, 5, make([]byte, 200)))
	synced(t, j)
	again := files(t, fs) // as after kill -9
	closed(t, j)
	j = open(t, again.written(t, "", nil), 1<<20)
	holds(t, j, want)
	closed(t, j)
}

// forged is what a sender would put into a payload for recovery to find: a frame that
// says that everything before it was synced. Only the salt is a guess.
func forged(salt []byte, at journal.Position) []byte {
	frame := make([]byte, 40)
	copy(frame, salt[:4])
	binary.LittleEndian.PutUint32(frame[4:], 8)
	binary.LittleEndian.PutUint64(frame[8:], uint64(at))
	binary.LittleEndian.PutUint32(frame[20:], 1)
	sign(frame, salt)
	return frame
}

// Payloads are bytes from outside: whatever is in them, a torn end is a torn end and
// nothing in it is a frame.
func TestPayloadsAreNeverTakenForFrames(t *testing.T) {
	t.Parallel()
	other := vfs.NewMem()
	j, err := journal.Open("data/journal", journal.Options{FS: other, Random: random(77)})
	if err != nil {
		t.Fatal(err)
	}
	appended(t, j, 1)
	closed(t, j)
	salt := files(t, other)["00000000000000000000.journal"][24:32]

	fs := vfs.NewMem()
	j = open(t, fs, 1<<20)
	first := appended(t, j, 1, []byte("first"))
	synced(t, j)
	var evil []byte
	for at := j.Next() + 32; len(evil) < 4000; at += 40 {
		evil = append(evil, forged(salt, at)...)
	}
	appended(t, j, 2, evil)
	d := files(t, fs)
	closed(t, j)
	name := d.segments()[0]
	torn := slices.Clone(d[name])
	torn[40+first.Position+40] ^= 1 // the header that the forged ones follow
	j = open(t, d.written(t, name, torn), 1<<20)
	holds(t, j, []journal.Frame{first})
	closed(t, j)

	// With the journal's own salt, the same bytes are taken for frames: the forgery is
	// as good as it gets.
	for at := range evil {
		if at%40 == 0 {
			copy(torn[40+first.Position+40+32+journal.Position(at):], forged(torn[24:32], first.Position+40+32+journal.Position(at)))
		}
	}
	if _, err := journal.Open("data/journal", journal.Options{FS: d.written(t, name, torn), Random: random(1)}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("forged with the salt: %v, want store.ErrCorrupt", err)
	}
}
