package pebblestore_test

import (
	"context"
	"errors"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/lienthong/lienthong/hub/store"
)

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

// What comes after it was seen what is done waits, although that does not say so.
func TestRetainSparesWhatComesMeanwhile(t *testing.T) {
	t.Parallel()
	var k *keeper
	var armed atomic.Bool
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && path.Ext(op.Path) == ".sst" && armed.CompareAndSwap(true, false) {
			k.put(2, 1, 30) // while the index is flushed, in the same segment and others
		}
		return nil
	}))
	k = keep(t, disk)
	k.put(1, 1, 40)
	k.reopen()
	k.put(1, 50, 14) // most of a segment
	k.put(2, 1, 3)
	k.acknowledge(1, 55)
	how := ofOneSecond(9)
	how.Kinds[2] = store.Keep{Bytes: 1}
	armed.Store(true)
	k.retain(how, 40)
	if armed.Load() {
		t.Error("the index was not flushed")
	}
	k.wantWaiting(32)
	k.wantReadable(1, 40, true)
	k.wantReadable(41, 87, false)
	k.acknowledge(56, 87)
	k.retain(how, 33)
	k.wantReadable(41, 54, false)
	k.wantReadable(55, 87, true)
	k.close()
	wantSound(t, disk)
}

// What comes into the last segment before that is ended waits, too.
func TestRetainSparesWhatComesBeforeTheEnd(t *testing.T) {
	t.Parallel()
	var k *keeper
	var armed atomic.Bool
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && path.Ext(op.Path) == ".sst" && armed.CompareAndSwap(true, false) {
			k.put(1, 1, 3) // once the snapshot is taken that says that the segment is worth ending
		}
		return nil
	}))
	k = keep(t, disk)
	k.put(1, 1, 8)
	k.acknowledge(1, 8)
	armed.Store(true)
	k.retain(ofOneSecond(9), 8)
	k.wantWaiting(3)
	k.wantReadable(1, 8, true)
	k.wantReadable(9, 11, false)
	k.close()
	wantSound(t, disk)
}

// What is known of a segment is of the file that there is, also where a crash has kept
// what was known of the one before.
func TestRetainKnowsWhichFileItKnows(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	k := keep(t, disk)
	k.put(1, 1, 30)
	k.put(2, 1, 20)
	k.acknowledge(1, 20)
	k.retain(ofOneSecond(9), 20)
	k.reopen() // the index on the disk knows the segments as they are
	k.acknowledge(21, 29)
	k.retain(ofOneSecond(9), 9)
	crashed := lost(disk)
	k.close()
	k = keep(t, crashed)
	if kinds := k.retain(ofOneSecond(9), 0).Kinds; kinds[1].Packets != 1 || kinds[1].Bytes != 1<<10 {
		t.Errorf("kept %+v; want one packet", kinds)
	}
	k.close()
}

// What is put off because it is little counts as gone: nothing later goes in its place.
func TestRetainTakesNothingInPlaceOfWhatIsPutOff(t *testing.T) {
	t.Parallel()
	k := keep(t, vfs.NewMem())
	k.put(2, 1, 10)
	k.put(1, 1, 2) // of which one waits
	k.put(2, 1, 14)
	k.put(1, 1, 1) // alone in its segment: all that can go
	k.put(2, 1, 20)
	k.acknowledge(11, 11)
	k.acknowledge(27, 27)
	how := ofOneSecond(9)
	how.Kinds[1] = store.Keep{Bytes: 2 << 10}
	for range 3 {
		k.retain(how, 0)
	}
	k.acknowledge(12, 12)
	how.Kinds[1] = store.Keep{Bytes: 1 << 10}
	k.retain(how, 2)
	k.wantReadable(11, 12, true)
	k.wantReadable(13, 47, false)
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
	k.reopen()
	before := disk.reads.Load()
	if kinds := k.retain(how, 0).Kinds; kinds[2].Packets != 100 || kinds[1].Packets > 0 {
		t.Errorf("after a start there are %+v", kinds)
	}
	if reads := disk.reads.Load() - before; reads > 1 { // of the last segment
		t.Errorf("%d reads to tell what there is, of what was read before", reads)
	}
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

// A large content is not little, however little its record is.
func TestRetainDoesNotPutOffLargeContents(t *testing.T) {
	t.Parallel()
	k := keep(t, vfs.NewMem())
	k.put(2, 1, 6)
	k.beside = 1 << 20
	k.put(1, 1, 2)
	k.beside = 0
	k.put(2, 1, 20)
	k.acknowledge(7, 7)
	how := ofOneSecond(9)
	how.Kinds[1] = store.Keep{Bytes: 1 << 20}
	if retained := k.retain(how, 1); retained.RemovedBytes != 1<<20+1<<10 {
		t.Errorf("%d bytes were removed; want those of a record and what is beside it", retained.RemovedBytes)
	}
	k.wantReadable(7, 7, true)
	k.wantReadable(8, 28, false)
	k.close()
}

// The segment that is written to is ended early for what is past its age, and not else.
func TestRetainEndsTheLastSegmentOfWhatIsOld(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	k := keep(t, disk)
	k.put(1, 1, 3)
	k.retain(ofOneSecond(100), 0) // nothing is done
	k.acknowledge(1, 3)
	k.retain(ofOneSecond(1), 0)                          // nothing is old
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
