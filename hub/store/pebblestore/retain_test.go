package pebblestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// keeper works on a store of small segments.
type keeper struct {
	t    testing.TB
	disk vfs.FS
	*pebblestore.Store
	last uint64 // sequence
}

const keeperSegment = 16 << 10

func keep(t testing.TB, disk vfs.FS) *keeper {
	t.Helper()
	k := &keeper{t: t, disk: disk}
	k.open()
	return k
}

func (k *keeper) open() {
	k.t.Helper()
	var err error
	k.Store, err = pebblestore.Open("data", pebblestore.Options{FS: k.disk, WindowEntries: 64, SegmentBytes: keeperSegment, CacheBytes: 1 << 20})
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeper) close() {
	k.t.Helper()
	if err := k.Close(); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeper) reopen() {
	k.t.Helper()
	k.close()
	k.open()
}

func recordOf(sequence uint64) []byte { return bytes.Repeat(fmt.Appendf(nil, "%07d,", sequence), 128) }

// put accepts packets of a kind to P at a second, in groups of one, of 1 KiB each.
func (k *keeper) put(kind uint32, second int64, count int) {
	k.t.Helper()
	for range count {
		sub := store.Submission{Sender: "A", ID: fmt.Sprintf("id-%06d", k.last+1), Recipients: []string{"P"}, Kind: kind}
		outcomes, err := k.Accept(k.t.Context(), []store.Submission{sub}, func(fresh []store.Fresh) (store.Sealed, error) {
			n := fresh[0].Sequence
			return store.Sealed{Records: [][]byte{recordOf(n)}, Leaves: [][]byte{fmt.Appendf(nil, "leaf %d", n)}, Note: []byte("note"), At: time.Unix(second, 0)}, nil
		})
		if err != nil {
			k.t.Fatal(err)
		}
		k.last = outcomes[0].Sequence
	}
}

// acknowledge acknowledges packets from one to another, one by one.
func (k *keeper) acknowledge(from, to uint64) {
	k.t.Helper()
	for n := from; n <= to; n++ {
		if done, err := k.Acknowledge(k.t.Context(), "P", []uint64{n}); err != nil || len(done) != 1 {
			k.t.Fatalf("acknowledged %v, %v; want %d", done, err, n)
		}
	}
}

// ofOneSecond keeps packets of kind 1 for a second.
func ofOneSecond(now int64) store.Retention {
	return store.Retention{Kinds: map[uint32]store.Keep{1: {Age: time.Second}}, Now: time.Unix(now, 0), UpTo: 1 << 40}
}

func (k *keeper) retain(how store.Retention, removed int64) store.Retained {
	k.t.Helper()
	retained, err := k.Retain(k.t.Context(), how, nil)
	if err != nil || retained.Removed != removed {
		k.t.Fatalf("removed %d, %v; want %d", retained.Removed, err, removed)
	}
	return retained
}

// wantReadable checks packets from one to another: that their records are there, or were
// removed, and that everything else is there.
func (k *keeper) wantReadable(from, to uint64, removed bool) {
	k.t.Helper()
	for n := from; n <= to; n++ {
		records, err := k.Records(k.t.Context(), []uint64{n})
		if removed && !errors.Is(err, store.ErrRemoved) || !removed && (err != nil || !bytes.Equal(records[0], recordOf(n))) {
			k.t.Errorf("record %d: %.20q, %v; removed: %v", n, records, err, removed)
		}
		if g, err := k.Group(k.t.Context(), n); err != nil || string(g.Leaves[0]) != fmt.Sprintf("leaf %d", n) {
			k.t.Errorf("group of %d: %v, %v", n, g, err)
		}
	}
}

func (k *keeper) wantWaiting(want int) {
	k.t.Helper()
	pending, err := k.Pending(k.t.Context(), "P", 0, 1<<20)
	if err != nil || len(pending) != want {
		k.t.Errorf("%d deliveries wait, %v; want %d", len(pending), err, want)
	}
}

// journalFiles returns the journal's files, and what is in them.
func journalFiles(t testing.TB, disk vfs.FS) map[string]int64 {
	t.Helper()
	names, err := disk.List("data/journal")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]int64{}
	for _, name := range names {
		info, err := disk.Stat("data/journal/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = info.Size()
	}
	return files
}

// lost is a disk after a loss of power: what was not synced is gone.
func lost(disk *vfs.MemFS) *vfs.MemFS { return disk.CrashClone(vfs.CrashCloneCfg{}) }

// What waits in the index as it is on the disk, and was acknowledged since, is done only
// once the disk has that, too: a crash would bring it back otherwise, without its record.
func TestRetainGoesByWhatIsDurable(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	k := keep(t, disk)
	k.put(1, 1, 20)
	k.put(2, 1, 20)
	k.reopen() // the index on the disk has 40 deliveries
	k.acknowledge(1, 20)
	k.put(2, 9, 20)
	k.retain(ofOneSecond(9), 20)
	k.put(1, 9, 20)
	k.acknowledge(61, 80)
	k.retain(ofOneSecond(10), 20) // whose acknowledgements go with them
	crashed := lost(disk)
	k.close()
	wantSound(t, crashed)
	k = keep(t, crashed)
	k.wantWaiting(40)
	k.wantReadable(1, 20, true)
	k.wantReadable(21, 60, false)
	k.wantReadable(61, 80, true)
	k.close()
}

// Of what is removed, little is left on the disk: acknowledgements, dead letters and what
// became of them go. Registry and audit log stay, and the index is made from what is left.
func TestRetainCompacts(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	k := keep(t, disk)
	ctx := t.Context()
	if err := k.SaveItems(ctx, []store.Item{{Kind: "node", Key: "A", Value: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	k.put(1, 1, 100)
	for n := uint64(1); n <= 100; n += 2 { // buried, half of them revived, half discarded
		if _, err := k.Bury(ctx, "P", []store.DeadLetter{{Sequence: n, Reason: strings.Repeat("no", 500)}}); err != nil {
			t.Fatal(err)
		}
		_, revived := k.Revive(ctx, "P", []uint64{n}[:n/2%2])
		_, acknowledged := k.Acknowledge(ctx, "P", []uint64{n, n + 1})
		_, discarded := k.Discard(ctx, "P", []uint64{n})
		if err := errors.Join(revived, acknowledged, discarded); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.AppendAudit(ctx, []byte("line")); err != nil {
		t.Fatal(err)
	}
	k.put(2, 1, 20)
	before := journalFiles(t, disk)
	retained := k.retain(ofOneSecond(9), 100)
	after := journalFiles(t, disk)
	var all int64
	for _, size := range after {
		all += size
	}
	if all > 80<<10 || retained.Freed < 120<<10 { // of 100 KiB of records, 60 of letters, and what is beside them
		t.Errorf("%d bytes are left, %d were freed; before %v, after %v", all, retained.Freed, before, after)
	}
	k.close()
	if c := check(t, disk, 0); len(c.findings) > 0 || c.Packets != 120 || c.Removed != 100 || c.Waiting != 20 || c.Dead != 0 {
		t.Errorf("checked: %+v", c)
	}
	if err := disk.RemoveAll("data/index"); err != nil {
		t.Fatal(err)
	}
	k.open()
	k.wantWaiting(20)
	k.wantReadable(1, 100, true)
	k.wantReadable(101, 120, false)
	items, err := k.LoadItems(ctx, []string{"node"})
	lines, failed := k.AuditAfter(ctx, 0, 10)
	if err := errors.Join(err, failed); err != nil || len(items) != 1 || len(lines) != 1 {
		t.Errorf("%d items, %d audit lines, %v", len(items), len(lines), err)
	}
	if backlog, err := k.Backlog(ctx, "P"); err != nil || backlog != (store.Backlog{Deliveries: 20, Bytes: 20 << 10}) {
		t.Errorf("backlog %+v, %v", backlog, err)
	}
	k.close()
	wantSound(t, disk)
}

// counted is a disk that counts what is done to the journal's segments.
type counted struct {
	vfs.FS
	reads, writes atomic.Int64
}

func count(disk vfs.FS) *counted {
	c := &counted{}
	c.FS = errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch {
		case path.Base(path.Dir(op.Path)) != "journal":
		case op.Kind == errorfs.OpFileRead || op.Kind == errorfs.OpFileReadAt:
			c.reads.Add(1)
		case op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose:
			c.writes.Add(1)
		}
		return nil
	}))
	return c
}

// A pass that finds nothing new reads nothing, also after a start.
func TestRetainReadsEachSegmentOnce(t *testing.T) {
	t.Parallel()
	disk := count(vfs.NewMem())
	k := keep(t, disk)
	k.put(2, 1, 100)
	k.put(1, 1, 100)
	k.acknowledge(101, 150)
	how := ofOneSecond(5)
	k.retain(how, 50)
	k.retain(how, 0)
	for name, again := range map[string]func(){"again": func() {}, "after a start": k.reopen} {
		again()
		k.retain(how, 0) // after a start it looks at what is not done
		before := disk.reads.Load()
		for range 3 {
			how.Now = how.Now.Add(time.Millisecond)
			k.retain(how, 0)
		}
		if reads := disk.reads.Load() - before; reads > 0 {
			t.Errorf("%s: %d reads of the journal with nothing to do", name, reads)
		}
	}
	k.acknowledge(151, 200)
	k.retain(how, 50)
	k.wantReadable(1, 100, false)
	k.wantReadable(101, 200, true)
	k.close()
}

// No segment is rewritten for little, until that is there for too long.
func TestRetainPutsOffWhatIsLittle(t *testing.T) {
	t.Parallel()
	disk := count(vfs.NewMem())
	k := keep(t, disk)
	k.put(2, 1, 12)
	k.put(1, 1, 2)
	k.put(2, 1, 20) // the next segments
	k.put(1, 1, 9)
	k.put(2, 1, 20)
	k.acknowledge(13, 14)
	k.acknowledge(35, 43)
	how := ofOneSecond(0)
	how.Kinds[1] = store.Keep{Age: 100 * time.Second}
	how.Kinds[2] = store.Keep{Age: 10_000 * time.Second}
	how.Now = time.Unix(101, 0)
	k.retain(how, 9)
	k.wantReadable(35, 43, true)
	k.wantReadable(13, 14, false)
	before := disk.writes.Load()
	how.Now = time.Unix(125, 0)
	k.retain(how, 0)
	if writes := disk.writes.Load() - before; writes > 0 {
		t.Errorf("%d writes to the journal for what is put off", writes)
	}
	how.Now = time.Unix(126, 0)
	k.retain(how, 2)
	k.wantReadable(13, 14, true)
	k.wantReadable(1, 12, false)
	k.close()
}

// The segment that is written to is ended early for what is past its age, and not else.
func TestRetainEndsTheLastSegmentOfWhatIsOld(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	k := keep(t, disk)
	k.put(1, 1, 3)
	k.acknowledge(1, 3)
	k.retain(ofOneSecond(1), 0)
	if files := journalFiles(t, disk); len(files) != 2 { // with the lock
		t.Errorf("files %v; want one segment", files)
	}
	k.retain(ofOneSecond(2), 3)
	files := journalFiles(t, disk)
	for range 3 {
		k.retain(ofOneSecond(100), 0)
	}
	if after := journalFiles(t, disk); len(after) != len(files) {
		t.Errorf("files %v, after passes with nothing to do %v", files, after)
	}
	k.reopen()
	k.wantReadable(1, 3, true)
	k.put(1, 1, 1)
	k.acknowledge(4, 4)
	k.reopen() // which leaves a note in the last segment that the index does not know
	k.retain(ofOneSecond(100), 1)
	k.close()
	wantSound(t, disk)
}

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
			k.retain(ofOneSecond(9), 60)
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

// Close ends a pass, and those that wait for their turn.
func TestCloseEndsRetain(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	k := keep(t, disk)
	k.put(1, 1, 40)
	k.acknowledge(1, 40)
	begun, ended := make(chan struct{}), make(chan error, 3)
	var passes atomic.Int64
	for range 3 {
		go func() {
			_, err := k.Retain(context.Background(), ofOneSecond(9), func(ctx context.Context, _ []store.Entry) error {
				if passes.Add(1) == 1 {
					close(begun)
				}
				<-ctx.Done()
				return ctx.Err()
			})
			ended <- err
		}()
	}
	<-begun
	k.close()
	for range 3 {
		if err := <-ended; !errors.Is(err, store.ErrClosed) {
			t.Errorf("a pass when the store is closed: %v; want ErrClosed", err)
		}
	}
	if passes.Load() != 1 {
		t.Errorf("%d passes at a time", passes.Load())
	}
	k.open()
	k.wantReadable(1, 40, false)
	k.close()
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
