package pebblestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// A full disk, and one that fails to sync a new segment, end a pass and harm nothing.
func TestRetainOnATroubledDisk(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		set  func(*faults, bool)
		want error
	}{
		"full":       {func(f *faults, on bool) { f.full.Store(on) }, store.ErrFull},
		"full index": {func(f *faults, on bool) { f.fullIndex.Store(on) }, store.ErrFull},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := newFaults(vfs.NewMem())
			k := keep(t, disk)
			k.put(1, 1, 60)
			k.put(2, 1, 40)
			k.acknowledge(1, 60)
			tc.set(disk, true)
			if retained, err := k.Retain(t.Context(), ofOneSecond(9), nil); !errors.Is(err, tc.want) || retained.Removed > 0 {
				t.Errorf("removed %d, %v; want %v", retained.Removed, err, tc.want)
			}
			k.wantReadable(1, 100, false)
			tc.set(disk, false)
			k.untilRetained(ofOneSecond(9), 60)
			k.wantReadable(1, 60, true)
			k.put(2, 1, 1)
			k.close()
			wantSound(t, disk)
		})
	}
}

// Whatever write of a pass fails, what waits is not harmed, neither in the store as it
// goes on, nor after a loss of power; and unless it is broken, the next pass succeeds.
func TestRetainWithAnyWriteFailing(t *testing.T) {
	t.Parallel()
	for _, trouble := range []error{syscall.EIO, syscall.ENOSPC} {
		for n := int64(1); ; n++ {
			mem := vfs.NewCrashableMem()
			var writes atomic.Int64
			var armed atomic.Bool
			disk := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				inJournal := path.Base(path.Dir(op.Path)) == "journal" || path.Base(op.Path) == "journal"
				if armed.Load() && inJournal && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose && writes.Add(1) == n {
					return trouble
				}
				return nil
			}))
			if !retainWithFailure(t, mem, disk, &armed, fmt.Sprintf("%v of write %d", trouble, n)) {
				if n < 8 {
					t.Errorf("there were %d writes only", n)
				}
				break
			}
		}
	}
}

// retainWithFailure says whether a pass failed.
func retainWithFailure(t *testing.T, mem *vfs.MemFS, disk vfs.FS, armed *atomic.Bool, what string) (failed bool) {
	t.Helper()
	k := keep(t, disk)
	k.put(1, 1, 20)
	k.put(2, 1, 20)
	k.acknowledge(1, 20)
	k.put(2, 1, 20)
	armed.Store(true)
	_, err := k.Retain(t.Context(), ofOneSecond(9), nil)
	armed.Store(false)
	k.wantWaiting(40)
	k.wantReadable(21, 60, false)
	waiting := 40
	if err != nil {
		_, again := k.Retain(t.Context(), ofOneSecond(9), nil)
		accepting := accept(t.Context(), k.Store, "more")
		if broken := errors.Is(err, store.ErrBroken); broken != errors.Is(accepting, store.ErrBroken) || !broken && errors.Join(again, accepting) != nil {
			t.Errorf("%s: %v; the next pass: %v; accepting: %v", what, err, again, accepting)
		}
		if accepting == nil {
			waiting++
		}
	}
	for _, unsynced := range []int{0, 50, 100} {
		crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rand.New(rand.NewPCG(1, 2))})
		wantSound(t, crashed)
		after := keep(t, crashed)
		after.wantWaiting(waiting)
		after.wantReadable(21, 60, false)
		after.Retain(t.Context(), ofOneSecond(9), nil) //nolint:errcheck // what counts comes next
		after.wantReadable(1, 20, true)
		after.close()
	}
	k.close()
	return err != nil
}

// A change in a segment that was rewritten is damage, as in any other.
func TestDamageInARewrittenSegmentIsFound(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	k := keep(t, disk)
	k.put(1, 1, 8)
	k.put(2, 1, 4)
	k.acknowledge(1, 8)
	k.retain(ofOneSecond(9), 8)
	k.close()
	files := journalFiles(t, disk)
	first := slices.Sorted(func(yield func(string) bool) {
		for name := range files {
			if strings.HasSuffix(name, ".journal") && !yield(name) {
				return
			}
		}
	})
	for i := range first {
		flipIn(t, disk, "data/journal/"+first[i], "0000010,")
	}
	k.open()
	if _, err := k.Records(t.Context(), []uint64{10}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a record that has changed: %v; want ErrCorrupt", err)
	}
	k.wantReadable(1, 8, true)
	k.close()
	if c := check(t, disk, 0); !c.has(pebblestore.RuleDamaged) {
		t.Errorf("checked: %+v; want damage", c.findings)
	}
}

// flipIn changes a byte of the first place where a file says something, if it does.
func flipIn(t *testing.T, disk vfs.FS, name, what string) {
	t.Helper()
	file, err := disk.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, info.Size())
	if _, err := file.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if at := bytes.Index(content, []byte(what)); at >= 0 {
		_, err = file.WriteAt([]byte{content[at] ^ 1}, int64(at))
	}
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// A delivery or dead letter of a packet that was removed is found.
func TestCheckFindsDeliveriesOfRemovedPackets(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"d", "x"} {
		disk := vfs.NewMem()
		k := keep(t, disk)
		k.put(1, 1, 20)
		k.acknowledge(1, 20)
		k.retain(ofOneSecond(9), 20)
		k.close()
		if c := check(t, disk, 0); len(c.findings) > 0 || c.Removed != 20 {
			t.Errorf("checked: %+v; want 20 removed and no finding", c)
		}
		withIndex(t, disk, func(db *pebble.DB) error {
			return db.Set([]byte(kind+"P\x00\x00\x00\x00\x00\x00\x00\x00\x07"), make([]byte, 20), pebble.NoSync)
		})
		c := check(t, disk, 0)
		if !slices.ContainsFunc(c.problems(), func(f pebblestore.Finding) bool { return f.Sequence == 7 && strings.Contains(f.What, "removed") }) {
			t.Errorf("with a key %q of a removed packet: %+v", kind, c.findings)
		}
	}
}
