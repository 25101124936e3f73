package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// faults makes file operations fail: from the n-th on, so many.
type faults struct {
	n, many int64
	err     error
	count   atomic.Int64
	failed  atomic.Int64
}

func (f *faults) MaybeError(op errorfs.Op) error {
	n := f.count.Add(1)
	if n < f.n || n >= f.n+f.many {
		return nil
	}
	if op.Kind.ReadOrWrite() == errorfs.OpIsRead && f.full() {
		return nil // reading needs no space
	}
	f.failed.Add(1)
	return f.err
}

func (f *faults) full() bool {
	return errors.Is(f.err, syscall.ENOSPC) || errors.Is(f.err, syscall.EDQUOT)
}

func (f *faults) String() string { return "faults" }

// life runs a journal through everything on a disk with faults. It returns what is
// durable and what may be, by what the journal answered.
type life struct {
	t      *testing.T
	what   string
	fs     *vfs.MemFS
	faults *faults
	j      *journal.Journal
	// answered holds frames whose Append returned nil; durable so many of them.
	answered []journal.Frame
	durable  int
	// unknown is a frame whose Append broke the journal: it may be there, as the last.
	unknown []journal.Frame
	broken  bool
	dropped map[journal.Position]bool // asked of a Rewrite: may be gone
}

func (l *life) open() bool {
	j, err := journal.Open("data/journal", journal.Options{FS: errorfs.Wrap(l.fs, l.faults), SegmentBytes: 2048, Random: random(3)})
	if err != nil {
		l.expect("open", err, l.faults.err)
		if errors.Is(err, store.ErrCorrupt) {
			l.t.Errorf("%s: open took a fault for damage: %v", l.what, err)
		}
		return false
	}
	l.j = j
	return true
}

// expect checks that an error is the fault's, or nil.
func (l *life) expect(call string, err, fault error) {
	l.t.Helper()
	if err != nil && !errors.Is(err, fault) {
		l.t.Errorf("%s: %s: %v", l.what, call, err)
	}
}

func (l *life) append(size int) {
	l.t.Helper()
	next := l.j.Next()
	payload := bytes.Repeat([]byte{byte(len(l.answered) + 1)}, size)
	_, err := l.j.Append(1, payload)
	frame := journal.Frame{Position: next, Kind: 1, Payload: payload}
	switch {
	case err == nil:
		if l.broken {
			l.t.Errorf("%s: an append succeeded after the journal broke", l.what)
		}
		l.answered = append(l.answered, frame)
	case errors.Is(err, journal.ErrBroken):
		if !l.broken {
			l.unknown = []journal.Frame{frame}
		}
		l.broken = true
	case l.broken:
		l.t.Errorf("%s: append after the journal broke: %v, want ErrBroken", l.what, err)
	default:
		l.refused(err, next)
	}
}

// refused checks an append that failed, but broke nothing.
func (l *life) refused(err error, next journal.Position) {
	l.t.Helper()
	l.expect("append", err, l.faults.err)
	if l.faults.full() && !errors.Is(err, journal.ErrFull) {
		l.t.Errorf("%s: append: %v, want ErrFull", l.what, err)
	}
	if l.j.Next() != next {
		l.t.Errorf("%s: a refused append moved the end from %d to %d", l.what, next, l.j.Next())
	}
}

func (l *life) sync() {
	l.t.Helper()
	err := l.j.Sync()
	switch {
	case err == nil && l.broken:
		l.t.Errorf("%s: a sync succeeded after the journal broke", l.what)
	case err == nil:
		l.durable = len(l.answered)
	case !errors.Is(err, journal.ErrBroken):
		l.t.Errorf("%s: sync: %v, want ErrBroken", l.what, err)
	}
	l.broken = l.broken || err != nil
}

// rewrite drops every second frame of the first segment, or all.
func (l *life) rewrite(all bool) {
	l.t.Helper()
	segments := l.j.Segments()
	if len(segments) < 2 {
		return
	}
	n := 0
	err := l.j.Rewrite(l.t.Context(), segments[0].First, func(f journal.Frame) ([]byte, bool, error) {
		if n++; n%2 == 1 || all {
			l.dropped[f.Position] = true
			return nil, false, nil
		}
		return f.Payload, true, nil
	})
	l.expect("rewrite", err, l.faults.err)
	switch {
	case l.broken && !errors.Is(err, journal.ErrBroken):
		l.t.Errorf("%s: rewrite: %v, want ErrBroken", l.what, err)
	case !l.broken && err != nil && l.faults.full() && !errors.Is(err, journal.ErrFull):
		l.t.Errorf("%s: rewrite: %v, want ErrFull", l.what, err)
	}
}

// reads checks that what was answered can be read, or says the fault.
func (l *life) reads() {
	l.t.Helper()
	for _, f := range l.answered {
		got, err := l.j.Frame(f.Position)
		if err == nil {
			err = same([]journal.Frame{got}, []journal.Frame{f})
		}
		if err != nil && !errors.Is(err, l.faults.err) && !(l.dropped[f.Position] && errors.Is(err, store.ErrNotFound)) {
			l.t.Errorf("%s: frame at %d: %v", l.what, f.Position, err)
		}
	}
}

func (l *life) live() {
	if !l.open() {
		return
	}
	for _, size := range []int{700, 700, 0} {
		l.append(size)
	}
	l.sync()
	for _, size := range []int{900, 3000, 100, 100} { // over three segments
		l.append(size)
		l.reads()
	}
	l.rewrite(false)
	l.sync()
	l.rewrite(true)
	l.append(1500)
	l.rewrite(true)
	l.reads()
	l.sync()
	l.append(10)
	if err := l.j.Close(); err != nil && !errors.Is(err, l.faults.err) {
		l.t.Errorf("%s: close: %v", l.what, err)
	}
}

// judge opens the disk without faults: everything durable is there, and nothing that
// was refused.
func (l *life) judge(disk *vfs.MemFS) {
	l.t.Helper()
	l.faults = &faults{}
	l.fs = disk
	if !l.open() {
		l.t.Fatalf("%s: not opened once the fault was gone", l.what)
	}
	got, err := scanned(l.t.Context(), l.j, 0)
	if err != nil {
		l.t.Fatalf("%s: %v", l.what, err)
	}
	all := append(append([]journal.Frame(nil), l.answered...), l.unknown...)
	for i, f := range all {
		switch {
		case len(got) > 0 && got[0].Position == f.Position && same(got[:1], all[i:i+1]) == nil:
			got = got[1:]
		case l.dropped[f.Position]:
		case i < l.durable:
			l.t.Errorf("%s: the frame at %d was durable and is gone", l.what, f.Position)
		case len(got) > 0:
			l.t.Errorf("%s: the frame at %d is missing before others", l.what, f.Position)
		}
	}
	if len(got) > 0 {
		l.t.Errorf("%s: a frame at %d that nobody appended", l.what, got[0].Position)
	}
	l.answered, l.durable, l.unknown, l.broken = nil, 0, nil, false
	l.append(100)
	l.sync()
	closed(l.t, l.j)
}

// Every file operation fails once, or all from there on, with a full disk or a broken
// one: nothing durable is lost, nothing refused is kept, and the errors are as said.
func TestEveryOperationFails(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		many int64
		err  error
	}{
		"full once":     {many: 1, err: syscall.ENOSPC},
		"full for good": {many: 1 << 30, err: syscall.ENOSPC},
		"over quota":    {many: 3, err: syscall.EDQUOT},
		"broken once":   {many: 1, err: syscall.EIO},
		"broken":        {many: 1 << 30, err: syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := int64(1)
			for ; ; n++ {
				l := &life{t: t, what: fmt.Sprintf("operation %d fails", n), fs: vfs.NewCrashableMem(), dropped: map[journal.Position]bool{}}
				l.faults = &faults{n: n, many: fault.many, err: fault.err}
				l.live()
				if l.faults.count.Load() < n {
					break
				}
				l.judge(l.fs.CrashClone(vfs.CrashCloneCfg{}))
			}
			if n < 100 {
				t.Errorf("a life has %d operations only", n)
			}
		})
	}
}
