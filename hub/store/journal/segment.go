package journal

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// segment is one file, and what is known of it.
type segment struct {
	name  string
	base  Position
	stamp stamp
	// end is where the frames end and the next segment begins: an end frame takes no
	// room in the journal, only in the file.
	end atomic.Uint64
	// tableAt and tableBytes are where a rewritten segment's table is; else 0.
	tableAt, tableBytes int64

	// The rest is under files.mu; file does not change while it is acquired.
	file    vfs.File
	refs    int
	retired bool
	idle    *list.Element
	entries []entry // of the table, once read
}

// entry of a table: a frame's position and where it is in the file.
type entry struct {
	position Position
	offset   int64
}

func (s *segment) rewritten() bool { return s.tableAt != 0 }

func (s *segment) endPosition() Position { return Position(s.end.Load()) }

// offset of a position in a segment that is as it was appended.
func (s *segment) offset(at Position) int64 { return segmentHeader + int64(at-s.base) }

// framesEnd is the offset behind the last frame.
func (s *segment) framesEnd() int64 {
	if s.rewritten() {
		return s.tableAt
	}
	return s.offset(s.endPosition())
}

// bytes of the file, without an end frame.
func (s *segment) bytes() int64 {
	if s.rewritten() {
		return s.tableAt + frameBytes(int(s.tableBytes))
	}
	return s.framesEnd()
}

// corrupt says that what is at an offset is not what was written.
func (s *segment) corrupt(offset int64, what string) error {
	return fmt.Errorf("journal segment %s, offset %d: %w: %s", s.name, offset, store.ErrCorrupt, what)
}

func (s *segment) failed(doing string, err error) error {
	return fmt.Errorf("%s journal segment %s: %w", doing, s.name, err)
}

// maxIdle bounds the files kept open that nobody reads.
const maxIdle = 64

// errRetired means that a segment was replaced or removed; there is a newer list.
var errRetired = errors.New("segment was replaced")

// files opens segments for readers and keeps some open.
type files struct {
	fs  vfs.FS
	dir string

	mu     sync.Mutex
	idle   *list.List // of *segment, the last used in front
	closed bool
}

func newFiles(fs vfs.FS, dir string) *files {
	return &files{fs: fs, dir: dir, idle: list.New()}
}

// acquire returns the open file of a segment until it is released.
func (f *files) acquire(seg *segment) (vfs.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, fmt.Errorf("journal %s: %w", f.dir, store.ErrClosed)
	case seg.retired:
		return nil, errRetired
	case seg.file == nil:
		file, err := f.fs.Open(f.fs.PathJoin(f.dir, seg.name))
		if err != nil {
			return nil, seg.failed("open", err)
		}
		seg.file = file
	}
	if seg.idle != nil {
		f.idle.Remove(seg.idle)
		seg.idle = nil
	}
	seg.refs++
	return seg.file, nil
}

// adopt makes an open file the segment's, acquired once.
func (f *files) adopt(seg *segment, file vfs.File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seg.file, seg.refs = file, 1
}

// release gives an acquired file back.
func (f *files) release(seg *segment) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seg.refs--; seg.refs > 0 {
		return nil
	}
	if f.closed || seg.retired {
		return f.drop(seg)
	}
	seg.idle = f.idle.PushFront(seg)
	if f.idle.Len() <= maxIdle {
		return nil
	}
	oldest := f.idle.Back().Value.(*segment)
	return f.drop(oldest)
}

// done gives a file back after a use that ended with err.
func (f *files) done(seg *segment, err error) error {
	if closing := f.release(seg); closing != nil {
		return errors.Join(err, closing)
	}
	return err
}

// retire makes sure that a file that is no longer the segment's is not opened.
func (f *files) retire(seg *segment) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	seg.retired = true
	if seg.refs > 0 || seg.file == nil {
		return nil
	}
	return f.drop(seg)
}

func (f *files) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	var errs []error
	for f.idle.Len() > 0 {
		errs = append(errs, f.drop(f.idle.Front().Value.(*segment)))
	}
	return errors.Join(errs...)
}

func (f *files) drop(seg *segment) error {
	if seg.idle != nil {
		f.idle.Remove(seg.idle)
		seg.idle = nil
	}
	file := seg.file
	seg.file, seg.entries = nil, nil
	if err := file.Close(); err != nil {
		return seg.failed("close", err)
	}
	return nil
}

// table returns the entries of an acquired segment, read with load the first time.
func (f *files) table(seg *segment, load func() ([]entry, error)) ([]entry, error) {
	f.mu.Lock()
	entries := seg.entries
	f.mu.Unlock()
	if entries != nil {
		return entries, nil
	}
	entries, err := load()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	seg.entries = entries
	f.mu.Unlock()
	return entries, nil
}

// readFull fills p from an offset. store.ErrCorrupt where the file ends before.
func (s *segment) readFull(file io.ReaderAt, p []byte, offset int64) error {
	n, err := file.ReadAt(p, offset)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return s.corrupt(offset+int64(n), "the file ends here")
	}
	return s.failed("read", err)
}

// retried syncs, however often a signal interrupts it: that alone says nothing of
// what is on disk. Any other failure is final.
func retried(sync func() error) error {
	for {
		if err := sync(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// full tells a lack of space, or of quota, from other failures.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
