package journal_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// Seal ends the last segment, so that it can be rewritten, and an empty one not.
func TestSealMakesTheLastSegmentRewritable(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	j := open(t, fs, 8192)
	if err := j.Seal(); err != nil || len(j.Segments()) > 1 {
		t.Errorf("an empty journal: %v, segments %v", err, j.Segments())
	}
	first := appended(t, j, 1, []byte("first"))
	appended(t, j, 2, []byte("second"))
	for range 2 {
		if err := j.Seal(); err != nil {
			t.Fatal(err)
		}
	}
	segments := j.Segments()
	if len(segments) != 2 || !segments[0].Sealed || segments[0].End != segments[1].First || segments[0].Rewritten {
		t.Fatalf("segments %+v; want one that is sealed and one that is empty", segments)
	}
	if j.Synced() != j.Next() {
		t.Errorf("synced up to %d of %d; want what was sealed to be synced", j.Synced(), j.Next())
	}
	third := appended(t, j, 3, []byte("third"))
	synced(t, j)
	err := j.Rewrite(t.Context(), 0, func(f journal.Frame) ([]byte, bool, error) { return []byte("other"), f.Kind == 1, nil })
	if err != nil {
		t.Fatal(err)
	}
	if s := j.Segments()[0]; !s.Rewritten || s.End != third.Position {
		t.Errorf("the segment is %+v; want it to be rewritten and to end at %d", s, third.Position)
	}
	for range 2 {
		first.Payload = []byte("other") // of the same length
		holds(t, j, []journal.Frame{first, third})
		closed(t, j)
		if err := j.Seal(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("seal of a closed journal: %v", err)
		}
		j = open(t, fs, 8192)
	}
	closed(t, j)
}

// Where it is not known which files there are after a loss of power, nothing is built on
// that: without space it is found out first, and after any other failure everything ends.
func TestRewriteBuildsOnNothingUnsure(t *testing.T) {
	t.Parallel()
	for _, trouble := range []error{syscall.ENOSPC, syscall.EIO} {
		var fail atomic.Bool
		mem := vfs.NewCrashableMem()
		disk := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if fail.Load() && op.Kind == errorfs.OpFileSync && strings.HasSuffix(op.Path, "data/journal") {
				return trouble
			}
			return nil
		}))
		j, frames := filled(t, disk, 4096, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000)
		drop := func(journal.Frame) ([]byte, bool, error) { return nil, true, nil }
		if err := j.Rewrite(t.Context(), 0, func(f journal.Frame) ([]byte, bool, error) { return f.Payload, true, nil }); err != nil {
			t.Fatal(err)
		}
		fail.Store(true)
		if err := j.Rewrite(t.Context(), 0, drop); !errors.Is(err, trouble) {
			t.Errorf("%v: %v", trouble, err)
		}
		if f, err := j.Frame(0); err != nil || len(f.Payload) > 0 {
			t.Errorf("%v: the segment was not replaced before the failure", trouble)
		}
		second := j.Segments()[1].First
		if err := j.Rewrite(t.Context(), second, drop); err == nil {
			t.Errorf("%v: the next segment was rewritten", trouble)
		}
		if f, err := j.Frame(second); err != nil || len(f.Payload) != 1000 {
			t.Errorf("%v: the next segment begins with %d bytes, %v", trouble, len(f.Payload), err)
		}
		fail.Store(false)
		switch err := j.Rewrite(t.Context(), second, drop); {
		case trouble == syscall.ENOSPC && err != nil:
			t.Errorf("once there is space: %v", err)
		case trouble == syscall.EIO && !errors.Is(err, journal.ErrBroken):
			t.Errorf("after a failed sync: %v; want ErrBroken", err)
		case err == nil: // then both are as they will be
			j := open(t, mem.CrashClone(vfs.CrashCloneCfg{}), 4096)
			for _, at := range []journal.Position{frames[0].Position, second} {
				if f, err := j.Frame(at); err != nil || len(f.Payload) > 0 {
					t.Errorf("after a loss of power the frame at %d has %d bytes, %v", at, len(f.Payload), err)
				}
			}
			closed(t, j)
		}
		closed(t, j)
	}
}
