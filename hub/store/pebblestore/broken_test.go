package pebblestore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// faults is a disk that fails when a test says so.
type faults struct {
	vfs.FS
	full      atomic.Bool // there is no space left for the journal
	fullIndex atomic.Bool // there is none for the index
	unsynced  atomic.Bool // syncs of the journal fail
	spare     atomic.Int64
}

func newFaults(disk vfs.FS) *faults {
	f := &faults{}
	f.spare.Store(1 << 40)
	f.FS = errorfs.Wrap(disk, errorfs.InjectorFunc(f.maybeFail))
	return f
}

func (f *faults) maybeFail(op errorfs.Op) error {
	inJournal, table := path.Base(path.Dir(op.Path)) == "journal", path.Ext(op.Path) == ".sst"
	switch {
	case f.unsynced.Load() && inJournal && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData):
		return syscall.EIO
	case takesSpace(op.Kind) && (f.full.Load() && inJournal || f.fullIndex.Load() && table):
		return syscall.ENOSPC
	}
	return nil
}

func takesSpace(kind errorfs.OpKind) bool {
	return kind == errorfs.OpCreate || kind == errorfs.OpFileWrite || kind == errorfs.OpFileWriteAt || kind == errorfs.OpFilePreallocate
}

// GetDiskUsage implements vfs.FS.
func (f *faults) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: uint64(f.spare.Load())}, nil //nolint:gosec // not negative
}

func openOn(t *testing.T, disk vfs.FS) *pebblestore.Store {
	t.Helper()
	s, err := pebblestore.Open("data", pebblestore.Options{FS: disk, WindowEntries: 64, SegmentBytes: 64 << 10, MemoryBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// accept submits one packet of 1 KB from A to P.
func accept(ctx context.Context, s *pebblestore.Store, id string) error {
	sub := store.Submission{Sender: "A", ID: id, Recipients: []string{"P"}}
	_, err := s.Accept(ctx, []store.Submission{sub}, func([]store.Fresh) (store.Sealed, error) {
		record := []byte(strings.Repeat(id+" ", 1024)[:1024])
		return store.Sealed{Records: [][]byte{record}, Leaves: [][]byte{[]byte("leaf")}, Note: []byte("note"), At: time.Unix(1, 0)}, nil
	})
	return err //nolint:wrapcheck // tests look at it
}

// acceptUntilRefused returns how many packets were accepted before the first that
// was refused, and why that was.
func acceptUntilRefused(t *testing.T, s *pebblestore.Store, name string) (int, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := 0; ; i++ {
		err := accept(ctx, s, fmt.Sprintf("%s%06d", name, i))
		switch {
		case ctx.Err() != nil:
			t.Fatalf("%d packets were accepted, and none refused", i)
		case err != nil:
			return i, err
		}
	}
}

func wantPending(t *testing.T, s *pebblestore.Store, want int) {
	t.Helper()
	pending, err := s.Pending(t.Context(), "P", 0, 1<<20)
	if err != nil || len(pending) != want {
		t.Fatalf("%d deliveries wait, %v; want %d", len(pending), err, want)
	}
	for _, p := range pending {
		if _, err := s.Records(t.Context(), []uint64{p.Sequence}); err != nil {
			t.Fatalf("record %d: %v", p.Sequence, err)
		}
	}
}

// A full disk refuses what comes, without harm to what is there, and takes it once
// there is space, in the same process.
func TestFullDiskRefusesAndRecovers(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*faults, bool){
		"journal": func(f *faults, full bool) { f.full.Store(full) },
		"index":   func(f *faults, full bool) { f.fullIndex.Store(full) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem := vfs.NewMem()
			disk := newFaults(mem)
			s := openOn(t, disk)
			for i := range 200 {
				if err := accept(t.Context(), s, fmt.Sprintf("a%06d", i)); err != nil {
					t.Fatal(err)
				}
			}
			set(disk, true)
			more, err := acceptUntilRefused(t, s, "b")
			if !errors.Is(err, store.ErrFull) {
				t.Fatalf("on a full disk: %v; want ErrFull", err)
			}
			wantPending(t, s, 200+more)
			if _, _, err := s.Find(t.Context(), "A", fmt.Sprintf("b%06d", more)); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("what was refused is there: %v", err)
			}
			set(disk, false)
			untilAccepted(t, s, "c")
			if err := accept(t.Context(), s, "d"); err != nil {
				t.Errorf("once there is space again: %v", err)
			}
			wantPending(t, s, 200+more+2)
		})
	}
}

// untilAccepted tries again as a sender does, until the store has noticed that
// there is space.
func untilAccepted(t *testing.T, s *pebblestore.Store, id string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for give := time.After(30 * time.Second); ; {
		err := accept(t.Context(), s, id)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-give:
			t.Fatalf("still refused: %v", err)
		}
	}
}

// Accepting leaves space, so that what is there can be acknowledged.
func TestSpareSpaceIsLeft(t *testing.T) {
	t.Parallel()
	disk := newFaults(vfs.NewMem())
	s := openOn(t, disk)
	if err := accept(t.Context(), s, "a"); err != nil {
		t.Fatal(err)
	}
	disk.spare.Store(1 << 20)
	var err error
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := 0; i < 6000 && err == nil; i++ { // the store looks at the disk from time to time
		err = accept(t.Context(), s, fmt.Sprintf("b%06d", i))
		<-tick.C
	}
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("with little space left: %v; want ErrFull", err)
	}
	if done, err := s.Acknowledge(t.Context(), "P", []uint64{1}); err != nil || len(done) != 1 {
		t.Errorf("acknowledged %v, %v with little space left", done, err)
	}
	disk.spare.Store(1 << 40)
	untilAccepted(t, s, "c")
}

// After a failed fsync nobody knows what is on the disk: nothing is accepted any
// more until the files are read again.
func TestFailedSyncStopsAccepting(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	disk := newFaults(mem)
	s := openOn(t, disk)
	if err := accept(t.Context(), s, "a"); err != nil {
		t.Fatal(err)
	}
	disk.unsynced.Store(true)
	if err := accept(t.Context(), s, "b"); !errors.Is(err, syscall.EIO) || !errors.Is(err, store.ErrBroken) {
		t.Errorf("with a failed fsync: %v; want EIO and ErrBroken", err)
	}
	disk.unsynced.Store(false)
	if err := accept(t.Context(), s, "c"); !errors.Is(err, store.ErrBroken) {
		t.Errorf("after a failed fsync: %v; want ErrBroken", err)
	}
	wantPending(t, s, 1)
	crashed := openOn(t, mem.CrashClone(vfs.CrashCloneCfg{}))
	wantPending(t, crashed, 1)
	if err := accept(t.Context(), crashed, "b"); err != nil {
		t.Errorf("submitted again after a restart: %v", err)
	}
}

// The index is derived: without it, or with a damaged one, it is made again.
func TestLostIndexIsMadeAgain(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(vfs.FS) error{
		"lost":    func(disk vfs.FS) error { return disk.RemoveAll("data/index") },
		"damaged": damageManifest,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := vfs.NewMem()
			s, err := pebblestore.Open("data", pebblestore.Options{FS: disk, WindowEntries: 16})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 100 {
				if err := accept(t.Context(), s, fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.Acknowledge(t.Context(), "P", []uint64{1, 50}); err != nil {
				t.Fatal(err)
			}
			if err := s.SaveItems(t.Context(), []store.Item{{Kind: "node", Key: "A", Value: []byte("1")}}); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := harm(disk); err != nil {
				t.Fatal(err)
			}
			again := openOn(t, disk)
			wantPending(t, again, 98)
			if sequence, _, err := again.Find(t.Context(), "A", "99"); err != nil || sequence != 100 {
				t.Errorf("the last packet is %d, %v; want 100", sequence, err)
			}
			if items, err := again.LoadItems(t.Context(), []string{"node"}); err != nil || len(items) != 1 {
				t.Errorf("items: %v, %v", items, err)
			}
		})
	}
}

func damageManifest(disk vfs.FS) error {
	names, err := disk.List("data/index")
	if err != nil {
		return err //nolint:wrapcheck // a test
	}
	for _, name := range names {
		if strings.HasPrefix(name, "MANIFEST") {
			return flip(disk, "data/index/"+name, 20)
		}
	}
	return errors.New("no manifest")
}

// flip changes one bit of a file.
func flip(disk vfs.FS, name string, offset int64) error {
	f, err := disk.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err //nolint:wrapcheck // a test
	}
	b := make([]byte, 1)
	if _, err = f.ReadAt(b, offset); err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, f.Close())
	}
	b[0] ^= 0x10
	_, err = f.WriteAt(b, offset)
	return errors.Join(err, f.Close())
}

// An index that knows of packets the journal does not have is no reason to go on
// without them.
func TestMissingJournalIsRefused(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	s, err := pebblestore.Open("data", pebblestore.Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	if err := accept(t.Context(), s, "a"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := disk.RemoveAll("data/journal"); err != nil {
		t.Fatal(err)
	}
	_, err = pebblestore.Open("data", pebblestore.Options{FS: disk})
	if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "backup") {
		t.Errorf("opened without a journal: %v; want ErrCorrupt and what to do", err)
	}
}

// A record that has changed on the disk is not handed out; the others are.
func TestChangedRecordIsFound(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	s := openOn(t, disk)
	for _, id := range []string{"first", "second", "third"} {
		if err := accept(t.Context(), s, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := flip(disk, journalWith(t, disk, "second second"), offsetOf(t, disk, "second second")); err != nil {
		t.Fatal(err)
	}
	for sequence, corrupt := range map[uint64]bool{1: false, 2: true, 3: false} {
		_, err := s.Records(t.Context(), []uint64{sequence})
		if errors.Is(err, store.ErrCorrupt) != corrupt || !corrupt && err != nil {
			t.Errorf("record %d: %v; want ErrCorrupt: %t", sequence, err, corrupt)
		}
	}
}

// journalWith returns the name of the file that has a text.
func journalWith(t *testing.T, disk vfs.FS, text string) string {
	t.Helper()
	name, _ := find(t, disk, text)
	return name
}

func offsetOf(t *testing.T, disk vfs.FS, text string) int64 {
	t.Helper()
	_, offset := find(t, disk, text)
	return offset
}

func find(t *testing.T, disk vfs.FS, text string) (string, int64) {
	t.Helper()
	names, err := disk.List("data/journal")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := disk.Open("data/journal/" + name)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if at := strings.Index(string(all), text); at >= 0 {
			return "data/journal/" + name, int64(at)
		}
	}
	t.Fatalf("no journal has %q", text)
	return "", 0
}

// Audit lines are numbered in the order in which they reach the disk: after a
// loss of power there may be fewer, but none is missing between others, and what
// was confirmed is there.
func TestAuditSurvivesPowerLoss(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	s, err := pebblestore.Open("data", pebblestore.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 50
	var confirmed atomic.Uint64 // lines up to it, at least
	done := make(chan error, writers)
	for range writers {
		go func() {
			var err error
			for range each {
				if _, err = s.AppendAudit(t.Context(), []byte("line")); err != nil {
					break
				}
				confirmed.Add(1)
			}
			done <- err
		}()
	}
	for running := writers; running > 0; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running--
		default:
		}
		checkAudit(t, fs, confirmed.Load())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkAudit opens what a loss of power now would leave.
func checkAudit(t *testing.T, fs *vfs.MemFS, atLeast uint64) {
	t.Helper()
	crashed, err := pebblestore.Open("data", pebblestore.Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})})
	if err != nil {
		t.Fatalf("open after a crash: %v", err)
	}
	defer crashed.Close() //nolint:errcheck // nothing was written
	lines, err := crashed.AuditAfter(t.Context(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if uint64(len(lines)) < atLeast {
		t.Errorf("%d lines after a crash; %d were confirmed", len(lines), atLeast)
	}
	for i, line := range lines {
		if line.Sequence != uint64(i+1) {
			t.Fatalf("line %d has number %d", i+1, line.Sequence)
		}
	}
}

// Nobody waits for an index that cannot be written: what was accepted is in the journal,
// what comes is refused, and the store can be closed.
func TestFullIndexKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	disk := newFaults(vfs.NewMem())
	s, err := pebblestore.Open("data", pebblestore.Options{FS: disk, WindowEntries: 64, SegmentBytes: 64 << 10, MemoryBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	disk.fullIndex.Store(true)
	accepted, err := acceptUntilRefused(t, s, "a")
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("with a full index: %v; want ErrFull", err)
	}
	var applied error
	for i := uint64(1); applied == nil && i < 10_000; i++ {
		applied = s.ApplyView(t.Context(), i, []store.Item{{Kind: "k", Key: fmt.Sprint(i), Value: make([]byte, 1<<10)}})
	}
	if !errors.Is(applied, store.ErrFull) {
		t.Errorf("views, with a full index: %v; want ErrFull", applied)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	disk.fullIndex.Store(false)
	wantPending(t, openOn(t, disk), accepted)
}
