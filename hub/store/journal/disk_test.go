package journal_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/lienthong/lienthong/hub/store/journal"
)

// once makes operations of one kind fail as long as it is on.
type once struct {
	kind errorfs.OpKind
	err  error
	on   atomic.Bool
}

func (o *once) MaybeError(op errorfs.Op) error {
	if o.on.Load() && op.Kind == o.kind {
		return o.err
	}
	return nil
}

func (o *once) String() string { return "once" }

func TestAFailedSyncIsFinal(t *testing.T) {
	t.Parallel()
	sick := &once{kind: errorfs.OpFileSyncData, err: syscall.EIO}
	j := open(t, errorfs.Wrap(vfs.NewMem(), sick), 4096)
	first := appended(t, j, 1, []byte("first"))
	synced(t, j)
	second := appended(t, j, 1, []byte("second"))
	sick.on.Store(true)
	if err := j.Sync(); !errors.Is(err, journal.ErrBroken) || !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v, want ErrBroken and the cause", err)
	}
	sick.on.Store(false)
	if err := j.Sync(); !errors.Is(err, journal.ErrBroken) {
		t.Errorf("sync once the disk is well: %v, want ErrBroken", err)
	}
	if _, err := j.Append(1, []byte("third")); !errors.Is(err, journal.ErrBroken) {
		t.Errorf("append once the disk is well: %v, want ErrBroken", err)
	}
	if j.Synced() != second.Position {
		t.Errorf("synced is %d, want %d", j.Synced(), second.Position)
	}
	holds(t, j, []journal.Frame{first})
	if _, err := j.Frame(second.Position); err != nil {
		t.Errorf("what was appended cannot be read: %v", err)
	}
	closed(t, j)
}

// What is appended during a sync is not covered by it.
func TestASyncCoversWhatCameBefore(t *testing.T) {
	t.Parallel()
	var j *journal.Journal
	var late journal.Position
	var syncs int
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) (err error) {
		if op.Kind == errorfs.OpFileSyncData {
			if syncs++; syncs == 1 {
				late, err = j.Append(1, []byte("late"))
			}
		}
		return err
	}))
	j = open(t, fs, 4096)
	appended(t, j, 1, []byte("early"))
	if err := j.Sync(); err != nil || late == 0 || j.Synced() != late {
		t.Errorf("synced is %d after %v; a frame came at %d during the sync", j.Synced(), err, late)
	}
	synced(t, j)
	if syncs != 2 {
		t.Errorf("%d syncs, want 2", syncs)
	}
	synced(t, j)
	if syncs != 2 {
		t.Error("a sync with nothing new reached the disk")
	}
	closed(t, j)
}

func TestAnInterruptedSyncIsRepeated(t *testing.T) {
	t.Parallel()
	var interruptions atomic.Int64
	interruptions.Store(3)
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData && interruptions.Add(-1) >= 0 {
			return syscall.EINTR
		}
		return nil
	}))
	j := open(t, fs, 4096)
	appended(t, j, 1, []byte("x"))
	synced(t, j)
	closed(t, j)
}

func TestAFileSystemWithoutPreallocationWillDo(t *testing.T) {
	t.Parallel()
	plain := &once{kind: errorfs.OpFilePreallocate, err: syscall.EOPNOTSUPP}
	plain.on.Store(true)
	j := open(t, errorfs.Wrap(vfs.NewMem(), plain), 4096)
	holdsAll := []journal.Frame{appended(t, j, 1, []byte("x"))}
	synced(t, j)
	holds(t, j, holdsAll)
	closed(t, j)
}

// room is a file system that takes the blocks of a file when they are written to, and
// has so many bytes free: a write that needs more writes what fits.
type room struct {
	vfs.FS
	free atomic.Int64
}

type roomFile struct {
	vfs.File
	room  *room
	taken int64
}

func (r *room) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := r.FS.OpenReadWrite(name, category, opts...)
	if err != nil {
		return nil, err
	}
	return &roomFile{File: f, room: r}, nil
}

// Preallocate makes the file longer, but takes nothing.
func (f *roomFile) Preallocate(_, length int64) error {
	_, err := f.File.WriteAt(make([]byte, length), 0)
	return err
}

func (f *roomFile) WriteAt(p []byte, offset int64) (int, error) {
	var full error
	grows := max(0, offset+int64(len(p))-f.taken)
	if short := grows - f.room.free.Load(); short > 0 {
		p = p[:int64(len(p))-short]
		grows -= short
		full = syscall.ENOSPC
	}
	f.room.free.Add(-grows)
	f.taken += grows
	n, err := f.File.WriteAt(p, offset)
	return n, errors.Join(err, full)
}

// A frame of which all but zeros was written before the disk was full is not there
// after a restart: whoever appended it was told that it is not.
func TestARefusedFrameNeverAppears(t *testing.T) {
	t.Parallel()
	for free := range int64(150) {
		disk := vfs.NewMem()
		fs := &room{FS: disk}
		fs.free.Store(1000)
		j, err := journal.Open("journal", journal.Options{FS: fs, SegmentBytes: 4096, Random: random(5)})
		if err != nil {
			t.Fatal(err)
		}
		first := appended(t, j, 1, []byte("first"))
		fs.free.Store(free)
		_, err = j.Append(2, append([]byte("x"), make([]byte, 99)...))
		if fits := free >= 32+104; fits != (err == nil) || !fits && !errors.Is(err, journal.ErrFull) {
			t.Fatalf("%d bytes are free: %v", free, err)
		}
		want := []journal.Frame{first}
		if err == nil {
			want = append(want, journal.Frame{Position: first.Position + 40, Kind: 2, Payload: append([]byte("x"), make([]byte, 99)...)})
		}
		// As after kill -9: another process finds what was written.
		copied := vfs.NewMem()
		if _, err := vfs.Clone(disk, copied, "journal", "journal"); err != nil {
			t.Fatal(err)
		}
		again, err := journal.Open("journal", journal.Options{FS: copied, Random: random(6)})
		if err != nil {
			t.Fatal(err)
		}
		holds(t, again, want)
		closed(t, again)
		fs.free.Store(1000)
		want = append(want, appended(t, j, 3, []byte("there is room again")))
		synced(t, j)
		holds(t, j, want)
		closed(t, j)
	}
}

// After a failed sync the kernel may take pages for clean that are not on the disk.
// Whoever opens the journal next, without a restart of the machine, finds them: they
// are written again before they count as synced.
func TestWhatASyncMayHaveLostIsWrittenAgain(t *testing.T) {
	t.Parallel()
	sick := &once{kind: errorfs.OpFileSyncData, err: syscall.EIO}
	disk := vfs.NewMem()
	j := open(t, errorfs.Wrap(disk, sick), 1<<20)
	frames := []journal.Frame{appended(t, j, 1, make([]byte, 5000))}
	synced(t, j)
	frames = append(frames, appended(t, j, 2, make([]byte, 5000)))
	sick.on.Store(true)
	if err := j.Sync(); err == nil {
		t.Fatal("the sync succeeded")
	}
	closed(t, j)
	var operations []string
	watched := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileWriteAt:
			operations = append(operations, fmt.Sprintf("write at %d", op.Offset))
		case errorfs.OpFileSyncData:
			operations = append(operations, "sync")
		}
		return nil
	}))
	j = open(t, watched, 1<<20)
	// Nothing follows the first frame that says that it had been synced but the second.
	want := []string{fmt.Sprintf("write at %d", 40+frames[1].Position), "sync"}
	if !slices.Equal(operations, want) {
		t.Errorf("open did %v, want %v", operations, want)
	}
	holds(t, j, frames)
	closed(t, j)
}
