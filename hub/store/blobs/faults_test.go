package blobs_test

import (
	"bytes"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/blobs"
)

// faults makes one write to the disk fail, of whatever kind.
type faults struct {
	at    int64
	err   error
	count atomic.Int64
	kind  errorfs.OpKind
}

func (f *faults) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead || op.Kind == errorfs.OpFileClose || f.count.Add(1) != f.at {
		return nil
	}
	f.kind = op.Kind
	return f.err
}

func (f *faults) String() string { return "faults" }

// Whatever write fails, the uploader hears of it; what was said to be held survives a
// loss of power right after, unless the upload is gone as a whole; and it can be
// uploaded then.
func TestDiskFaultsAreToldAndLoseNothing(t *testing.T) {
	t.Parallel()
	p := drawn(4*mib+3, 1)
	c := contentOf("H41/motcua", "a", p)
	for _, fault := range []error{syscall.ENOSPC, syscall.EIO} {
		t.Run(fault.Error(), func(t *testing.T) {
			t.Parallel()
			everyWriteFails(t, fault, c, p)
		})
	}
}

func everyWriteFails(t *testing.T, fault error, c blobs.Content, p []byte) {
	t.Helper()
	failed := 0
	for at := int64(1); ; at++ {
		disk := vfs.NewCrashableMem()
		f := &faults{at: at, err: fault}
		b, err := blobs.Open("blobs", blobs.Options{FS: errorfs.Wrap(disk, f), Accepted: (&ledger{}).accepted})
		if err != nil {
			if !errors.Is(err, fault) {
				t.Fatalf("open with fault %d: %v", at, err)
			}
			continue
		}
		var held int64
		for _, upTo := range []int{3 * mib, len(p)} {
			got, err := put(b, c, p, upTo, mib)
			if err == nil {
				held = got
				continue
			}
			failed++
			if !errors.Is(err, fault) || fault == syscall.ENOSPC && f.kind != errorfs.OpFileSync && !errors.Is(err, store.ErrFull) {
				t.Errorf("write %d (kind %d) failed: %v; want the cause", at, f.kind, err)
			}
			if _, _, _, err := b.Held(c.Sender, c.ID); errors.Is(err, store.ErrNotFound) {
				held = 0
			}
		}
		after := open(t, disk.CrashClone(vfs.CrashCloneCfg{}), &ledger{})
		if _, got, _, err := after.Held(c.Sender, c.ID); held > 0 && (err != nil || got < held) {
			t.Errorf("write %d (kind %d): %d are held after a crash, %v; %d were", at, f.kind, got, err, held)
		}
		for name, b := range map[string]*blobs.Blobs{"at once": b, "after a crash": after} {
			if got, err := put(b, c, p, len(p), mib); err != nil || got != c.Size {
				t.Errorf("write %d (kind %d): uploaded %s: %d, %v", at, f.kind, name, got, err)
			} else if read, err := read(b, c, 0); err != nil || !bytes.Equal(read, p) {
				t.Errorf("write %d (kind %d): read %s: %d bytes, %v", at, f.kind, name, len(read), err)
			}
		}
		if f.count.Load() < at {
			break
		}
	}
	if failed < 10 {
		t.Errorf("%v: only %d uploads failed", fault, failed)
	}
}
