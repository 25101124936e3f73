// Package journal is an append-only log of frames in a directory of segment
// files: what the store has accepted, before anything is derived from it.
//
// Guarantees:
//
//   - What was appended before a Sync that returned nil is there after kill -9 and
//     loss of power, in order and unchanged. Of what was appended later, a prefix
//     may be there. Nothing else ever is.
//   - Bytes that are not what was written are never handed out: a call that meets
//     them fails with store.ErrCorrupt. Open cuts off a torn end, and refuses
//     where a later frame says that the damaged place had been synced.
//   - A frame keeps its Position for ever, also where frames before it are removed.
//   - All methods may be called concurrently.
package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// Sentinel errors.
var (
	// ErrFull means that the disk, or a quota, has no room. Nothing was appended;
	// the same call works once there is room.
	ErrFull = errors.New("no space left for the journal")
	// ErrBroken means that an earlier write or sync failed, so that what is on disk
	// is not known. Nothing can be appended or synced until the journal is opened
	// again; reading goes on.
	ErrBroken = errors.New("the journal stopped after a failed write")
)

// Position is where a frame begins: bytes since the beginning of the journal,
// counting what was removed since.
type Position uint64

// DefaultSegmentBytes is the size of a segment file.
const DefaultSegmentBytes = 64 << 20

// Options are what a Journal is opened with.
type Options struct {
	// FS is the file system; required.
	FS vfs.FS
	// SegmentBytes is the size of a segment file, at most 1 GiB; 0 means 64 MiB. A
	// frame that is larger has a segment of its own.
	SegmentBytes int64
	// Random is what nobody outside can guess: it keeps payloads from being taken for
	// frames. Required.
	Random io.Reader
}

// Frame is one entry. In a visit, Payload is valid until the visit returns.
type Frame struct {
	Position Position
	// Kind is the caller's: from 1 to 0xEF.
	Kind    byte
	Payload []byte
}

// Segment is one file of the journal.
type Segment struct {
	// First is where the file begins in the journal, which is Rewrite's argument, and End
	// where its frames end.
	First, End Position
	// Bytes of the file.
	Bytes int64
	// Sealed means that another segment follows: it can be rewritten.
	Sealed bool
	// Rewritten means that it was: then Bytes tells one such file from the next.
	Rewritten bool
}

// Journal is an open journal. Only one can be open in a directory.
type Journal struct {
	opts  Options
	dir   string
	table *crc32.Table

	lock    io.Closer
	dirFile vfs.File
	files   *files

	// appending is held by whoever writes to the last segment; before syncing.
	appending sync.Mutex
	buffer    []byte   // under appending
	closedAt  Position // where a closed frame ended; under appending

	// syncing is held during a sync of the last segment. Both locks are held to
	// change active: the segment that is written to, nil where the last is sealed.
	syncing sync.Mutex
	active  *segment

	next, synced atomic.Uint64

	rewriting sync.Mutex
	removed   []span // under rewriting
	named     bool   // what files there are is durable; under rewriting

	mu       sync.RWMutex
	segments []*segment // by base; replaced, never changed in place; under mu
	broken   error      // under mu
	closed   bool       // under mu
}

// Open opens the journal in dir, or creates it. A torn end, left by a loss of
// power, is cut off. It fails with store.ErrCorrupt where synced frames are
// damaged or segments are missing, and where another process has the journal open.
func Open(dir string, opts Options) (*Journal, error) {
	opts, err := complete(opts)
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", dir, err)
	}
	j := &Journal{
		opts:  opts,
		dir:   dir,
		table: crc32.MakeTable(crc32.Castagnoli),
		files: newFiles(opts.FS, dir),
	}
	if err := j.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", dir, err), j.releaseAll())
	}
	return j, nil
}

func complete(opts Options) (Options, error) {
	switch {
	case opts.FS == nil || opts.Random == nil:
		return opts, errors.New("options: FS and Random are required")
	case opts.SegmentBytes < 0 || opts.SegmentBytes > maxSegmentBytes:
		return opts, fmt.Errorf("options: segments of %d bytes; allowed are 1 to %d", opts.SegmentBytes, maxSegmentBytes)
	case opts.SegmentBytes == 0:
		opts.SegmentBytes = DefaultSegmentBytes
	}
	return opts, nil
}

func (j *Journal) open() error {
	if err := makeDir(j.opts.FS, j.dir); err != nil {
		return err
	}
	lock, err := j.opts.FS.Lock(j.path(lockName))
	if err != nil {
		return fmt.Errorf("lock it (another process may have it open): %w", err)
	}
	j.lock = lock
	if j.dirFile, err = j.opts.FS.OpenDir(j.dir); err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	return j.recover()
}

// makeDir creates dir and what is above it, durably.
func makeDir(fs vfs.FS, dir string) error {
	var parents []string
	for at := dir; ; at = fs.PathDir(at) {
		if _, err := fs.Stat(at); err == nil {
			break
		}
		if fs.PathDir(at) == at {
			break
		}
		parents = append(parents, fs.PathDir(at))
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	for _, parent := range parents {
		if err := syncDir(fs, parent); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", dir, err)
	}
	if err := errors.Join(retried(d.Sync), d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

func (j *Journal) path(name string) string { return j.opts.FS.PathJoin(j.dir, name) }

// First returns the position of the first frame that may still be there.
func (j *Journal) First() Position {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if len(j.segments) == 0 {
		return j.Next()
	}
	return j.segments[0].base
}

// Next returns where the next frame will begin.
func (j *Journal) Next() Position { return Position(j.next.Load()) }

// Synced returns the position before which everything is on stable storage.
func (j *Journal) Synced() Position { return Position(j.synced.Load()) }

// Segments returns the files of the journal, the oldest first.
func (j *Journal) Segments() []Segment {
	j.mu.RLock()
	defer j.mu.RUnlock()
	all := make([]Segment, len(j.segments))
	for i, seg := range j.segments {
		all[i] = Segment{First: seg.base, End: seg.endPosition(), Bytes: seg.bytes(), Sealed: i+1 < len(j.segments), Rewritten: seg.rewritten()}
		if all[i].Sealed {
			all[i].Bytes += endBytes
		}
	}
	return all
}

// Close waits for a Rewrite, makes what was appended durable, notes that nothing is
// missing, and closes the files. Later calls fail with store.ErrClosed; reads in
// progress may go on to the end of their segment.
func (j *Journal) Close() error {
	j.rewriting.Lock()
	defer j.rewriting.Unlock()
	j.appending.Lock()
	defer j.appending.Unlock()
	if err := j.refusal(); errors.Is(err, store.ErrClosed) {
		return nil
	}
	err := j.finish()
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	return errors.Join(err, j.releaseAll())
}

// finish writes the closed frame: what is before it is known to be durable.
func (j *Journal) finish() error {
	if j.refusal() != nil {
		return nil // whoever broke the journal was told
	}
	if err := j.Sync(); err != nil {
		return err
	}
	if j.active == nil || j.closedAt == j.Next() {
		return nil
	}
	if _, err := j.appendFrame(kindClosed, 0, nil); err != nil {
		if errors.Is(err, ErrFull) {
			return nil // everything is durable all the same
		}
		return err
	}
	j.closedAt = j.Next()
	return j.Sync()
}

// releaseAll closes what is open.
func (j *Journal) releaseAll() error {
	var errs []error
	if j.active != nil {
		errs = append(errs, j.files.release(j.active))
		j.active = nil
	}
	errs = append(errs, j.files.close())
	if j.dirFile != nil {
		errs = append(errs, j.dirFile.Close())
	}
	if j.lock != nil {
		errs = append(errs, j.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close journal %s: %w", j.dir, err)
	}
	return nil
}

// refusal says why nothing can be written, or nil.
func (j *Journal) refusal() error {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.closed {
		return fmt.Errorf("journal %s: %w", j.dir, store.ErrClosed)
	}
	return j.broken
}

// breakWith stops appending and syncing for good.
func (j *Journal) breakWith(err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken == nil {
		j.broken = fmt.Errorf("journal %s: %w: %w", j.dir, ErrBroken, err)
	}
	return j.broken
}
