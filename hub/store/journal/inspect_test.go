package journal_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/lienthong/lienthong/hub/store/journal"
)

// inspection is what Inspect said of a journal.
type inspection struct {
	frames []journal.Frame
	damage []journal.Damage
	next   journal.Position
}

func (i inspection) harmful() []journal.Damage {
	return slices.DeleteFunc(slices.Clone(i.damage), func(d journal.Damage) bool { return d.Harmless })
}

func inspected(t testing.TB, fs vfs.FS) inspection {
	t.Helper()
	var found inspection
	next, err := journal.Inspect(t.Context(), "data/journal", journal.Inspection{
		FS: errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose {
				t.Errorf("operation %v on %s; nothing may be changed", op.Kind, op.Path)
			}
			return nil
		})),
		Visit: func(_ string, f journal.Frame) error {
			f.Payload = slices.Clone(f.Payload)
			found.frames = append(found.frames, f)
			return nil
		},
		Damaged: func(d journal.Damage) error {
			found.damage = append(found.damage, d)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	found.next = next
	return found
}

func TestInspectReadsWhatOpenReads(t *testing.T) {
	t.Parallel()
	for _, cleanly := range []bool{true, false} {
		d, frames := small(t, cleanly)
		fs := d.written(t, "", nil)
		got := inspected(t, fs)
		if err := same(got.frames, frames); err != nil || len(got.damage) > 0 {
			t.Errorf("closed %t: %v; damage %v", cleanly, err, got.damage)
		}
		j := open(t, fs, 512)
		if next := j.Next(); got.next != next {
			t.Errorf("closed %t: the next frame would begin at %d; want %d", cleanly, got.next, next)
		}
		closed(t, j)
	}
}

// Wherever a bit flips, Inspect tells of it or all frames are there; what it visits was
// written so, and all but the damaged place is visited.
func TestInspectPassesOverAFlippedBit(t *testing.T) {
	t.Parallel()
	d, frames := small(t, true)
	for _, name := range d.segments() {
		for at := range d[name] {
			flipped := slices.Clone(d[name])
			flipped[at] ^= 1 << (at % 8)
			got := inspected(t, d.written(t, name, flipped))
			err := same(got.frames, frames)
			switch damage := got.harmful(); {
			case err == nil:
			case len(damage) == 0 && !strings.Contains(name, d.segments()[len(d.segments())-1]):
				t.Errorf("%s, byte %d flipped: %v, and nothing is told", name, at, err)
			default:
				outside(t, name, at, frames, got)
			}
		}
	}
}

// outside checks that the frames outside of what is told to be damaged are there.
func outside(t *testing.T, name string, at int, frames []journal.Frame, got inspection) {
	t.Helper()
	var want []journal.Frame
	for _, f := range frames {
		lost := slices.ContainsFunc(got.damage, func(d journal.Damage) bool {
			return f.Position >= d.From && (f.Position < d.To || d.Harmless)
		})
		if !lost {
			want = append(want, f)
		}
	}
	if err := same(got.frames, want); err != nil {
		t.Errorf("%s, byte %d flipped: %v; told was %+v", name, at, err, got.damage)
	}
	if lost := len(frames) - len(want); lost > 1 && at >= 40 {
		t.Errorf("%s, byte %d flipped: %d frames are passed over; told was %+v", name, at, lost, got.damage)
	}
}

func TestInspectTellsOfMissingSegments(t *testing.T) {
	t.Parallel()
	d, _ := small(t, true)
	segments := d.segments()
	// That the newest is missing, what was derived from the journal knows.
	for _, name := range segments[:len(segments)-1] {
		if got := inspected(t, d.written(t, name, nil)); len(got.harmful()) == 0 {
			t.Errorf("without %s nothing is told", name)
		}
	}
}

func TestInspectTakesATornEndForNoDamage(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j := open(t, fs, 4096)
	first := appended(t, j, 1, []byte("synced"))
	synced(t, j)
	appended(t, j, 2, []byte("not synced, and half of it is lost"))
	d := files(t, fs)
	closed(t, j)
	name := d.segments()[0]
	torn := slices.Clone(d[name])
	torn[40+int(first.Position)+40+32+20] = 0
	got := inspected(t, d.written(t, name, torn))
	if err := same(got.frames, []journal.Frame{first}); err != nil || len(got.damage) != 1 || !got.damage[0].Harmless {
		t.Errorf("%v; told was %+v, want one harmless place", err, got.damage)
	}
}

func TestInspectNamesUnfinishedFiles(t *testing.T) {
	t.Parallel()
	d, _ := small(t, true)
	d["00000000000000009000.journal.new"] = []byte("half")
	got := inspected(t, d.written(t, "", nil))
	if len(got.damage) != 1 || !got.damage[0].Harmless || got.damage[0].File != "00000000000000009000.journal.new" {
		t.Errorf("told was %+v; want the unfinished file, as harmless", got.damage)
	}
}

func TestInspectEndsWithErrors(t *testing.T) {
	t.Parallel()
	d, _ := small(t, true)
	fs := d.written(t, "", nil)
	enough := errors.New("enough")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		ctx   context.Context
		dir   string
		visit error
		want  error
	}{
		"of the visit":   {t.Context(), "data/journal", enough, enough},
		"of the context": {cancelled, "data/journal", nil, context.Canceled},
		"no directory":   {t.Context(), "data/none", nil, nil},
	} {
		_, err := journal.Inspect(tc.ctx, tc.dir, journal.Inspection{
			FS:      fs,
			Visit:   func(string, journal.Frame) error { return tc.visit },
			Damaged: func(journal.Damage) error { return nil },
		})
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v; want %v", name, err, tc.want)
		}
	}
}
