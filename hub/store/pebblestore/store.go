// Package pebblestore keeps the hub's data in a directory that needs no server. It
// is the store of a single hub.
//
// A journal of frames (package journal) is the one truth: commit groups,
// acknowledgements, changes of the registry, audit lines. What is looked up by
// name, by recipient or by sequence stands in an index, kept by Pebble without a
// log of its own: it follows the journal and can be rebuilt from it. What came
// since the index was last written is held in memory, in a window, and read again
// from the journal at the next start. An acknowledgement mostly meets its delivery
// in the window, so that most deliveries never reach the index.
package pebblestore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// Store is a directory. It keeps the guarantees of package store.
type Store struct {
	opts    Options
	dir     string
	lock    io.Closer
	journal *journal.Journal
	index   *index
	groups  groupCache

	// accepting is held from reading idempotency keys to the end of the fsync, so
	// that groups follow each other; envelopes gather into the next group meanwhile.
	accepting sync.Mutex
	next      uint64     // sequence of the next fresh submission; under accepting
	broken    error      // set by a failed commit: what is on disk is not known; under accepting
	deciding  identities // of the group being decided; under accepting
	key       []byte     // room for a key; under accepting

	// durable is the last sequence known to be on stable storage; nothing above it is
	// handed out.
	durable atomic.Uint64
	full    atomic.Bool // the disk has less than Options.SpareBytes left

	mu      sync.RWMutex
	current *window // what came since the index was written
	frozen  *window // what is being written to the index; nil when nothing is
	indexed uint64  // last sequence in the index
	moves   uint64  // how often a window has moved into the index
	audits  uint64  // number of the last audit line
	// greatest is the greatest id that the index has of each sender that has sent
	// since the start.
	greatest map[string]string
	backlogs map[string]store.Backlog // of every recipient
	epochs   store.Epochs

	retention   *retention
	background  *background // of the index
	damage      damage      // of the index
	checkpoints *checkpoints
	closing     sync.RWMutex
	closed      bool // under closing
}

// Options are what a Store can be opened with. Zero values mean the defaults.
type Options struct {
	// FS is the file system; nil means the machine's own.
	FS vfs.FS
	// CacheBytes bounds the memory for index blocks read; default 64 MiB.
	CacheBytes int64
	// MemoryBytes is how much of the index may be in memory before it becomes a file;
	// default 64 MiB.
	MemoryBytes int64
	// SegmentBytes is the size of the journal's files; default that of the journal.
	SegmentBytes int64
	// WindowEntries is after how many packets, deliveries and acknowledgements the
	// index is written; default 262,144.
	WindowEntries int
	// SpareBytes is the space that accepting leaves on the disk, so that what is there
	// can still be delivered, acknowledged and indexed; default 256 MiB.
	SpareBytes uint64
	// Random is where secrets of the files come from, and where epochs begin; safe for
	// concurrent use; nil means crypto/rand.
	Random io.Reader
	// Logger is told of the disk's troubles; nil means no one is.
	Logger *slog.Logger
	// Exit ends the process with a status where the store cannot go on; nil means os.Exit.
	Exit func(status int)
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if o.MemoryBytes == 0 {
		o.MemoryBytes = 64 << 20
	}
	if o.WindowEntries == 0 {
		o.WindowEntries = 1 << 18
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = journal.DefaultSegmentBytes
	}
	if o.SpareBytes == 0 {
		o.SpareBytes = 256 << 20
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Exit == nil {
		o.Exit = os.Exit
	}
	return o
}

// What a store's directory holds: what is true, and what is made from it.
const (
	JournalDir = "journal"
	IndexDir   = "index"
)

const (
	lockFile     = "LOCK"
	journalDir   = JournalDir
	indexDir     = IndexDir
	formerFormat = "CURRENT" // of a Pebble directory, which the store was before it had a journal
)

// Open opens or creates the store in dir. A directory that another process has
// open, or that an unknown version wrote, is refused. An index that is damaged is made
// anew; where that is found out later, the process ends with exit status 74, and the next
// Open makes it.
func Open(dir string, opts Options) (*Store, error) {
	s, err := open(dir, opts)
	if errors.Is(err, errIndexDamaged) {
		s, err = open(dir, opts)
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s.lookAtSpace()
	s.checkpoints.start(s)
	return s, nil
}

func open(dir string, opts Options) (*Store, error) {
	s := &Store{opts: opts.withDefaults(), dir: dir, greatest: map[string]string{}, backlogs: map[string]store.Backlog{}, deciding: newIdentities(0),
		background: newBackground(), checkpoints: newCheckpoints(), retention: newRetention()}
	var err error
	for _, step := range []func() error{s.takeDirectory, s.removeDamaged, s.openIndex, s.openJournal, s.recover} {
		if err = step(); err != nil {
			break
		}
	}
	s.damage.opened.Store(err == nil)
	if s.damage.found.Load() {
		err = errors.Join(errIndexDamaged, err)
	}
	if err != nil {
		s.damage.opened.Store(false)
		return nil, errors.Join(err, s.closeFiles())
	}
	return s, nil
}

func (s *Store) takeDirectory() error {
	if err := s.opts.FS.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	// A directory is there after a loss of power once the one above it was synced.
	above, err := s.opts.FS.OpenDir(s.opts.FS.PathDir(s.dir))
	if err == nil {
		err = errors.Join(above.Sync(), above.Close())
	}
	if err != nil {
		return fmt.Errorf("sync directory above: %w", err)
	}
	lock, err := s.opts.FS.Lock(filepath.Join(s.dir, lockFile))
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("another process has it open, or this one may not write there: %w", err)
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	s.lock = lock
	names, err := s.opts.FS.List(s.dir)
	if err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	for _, name := range names {
		if len(name) > len(formerFormat) && name[:len(formerFormat)] == formerFormat || name == formerFormat || name == "MANIFEST-000001" {
			return errors.New("it was written by a version before the first release, which this program does not read")
		}
	}
	return nil
}

// openIndex opens the index, or an empty one in place of one that is damaged: it is
// made again from the journal.
func (s *Store) openIndex() error {
	dir := filepath.Join(s.dir, indexDir)
	var err error
	s.index, err = openIndex(dir, s.opts, s.background, s.indexDamaged)
	if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.opts.Logger.Error("the index is damaged; it is made again from the journal", "error", err)
	if err := s.opts.FS.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove damaged index: %w", err)
	}
	s.index, err = openIndex(dir, s.opts, s.background, s.indexDamaged)
	return err
}

func (s *Store) openJournal() error {
	var err error
	s.journal, err = journal.Open(filepath.Join(s.dir, journalDir), journal.Options{
		FS: s.opts.FS, SegmentBytes: s.opts.SegmentBytes, Random: s.opts.Random,
	})
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// recover reads from the journal what the index does not have.
func (s *Store) recover() error {
	cursor, err := s.index.cursor()
	if err != nil {
		return err
	}
	from := max(cursor.position, s.journal.First())
	if from > s.journal.Next() {
		return fmt.Errorf("%w: the index has what came before position %d, but the journal ends at %d: journal files are missing; restore them from a backup",
			store.ErrCorrupt, cursor.position, s.journal.Next())
	}
	s.indexed, s.audits = cursor.sequence, cursor.audits
	s.next = cursor.sequence + 1
	s.current = newWindow(from, 0)
	if err := errors.Join(s.loadBacklogs(), s.loadEpochs()); err != nil {
		return err
	}
	if err := s.journal.Scan(context.Background(), from, s.replay); err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	s.durable.Store(s.next - 1)
	return s.indexRevived(s.journal.Next())
}

// replay takes one frame into the window, as if it had just been written.
func (s *Store) replay(frame journal.Frame) error {
	if s.current.size >= s.opts.WindowEntries {
		s.freeze(frame.Position)
		if err := s.settle(nil); err != nil {
			return err
		}
	}
	var err error
	switch frame.Kind {
	case frameGroup:
		err = s.replayGroup(frame)
	case frameAcknowledged:
		err = s.replayAcknowledged(frame)
	case frameBuried:
		err = s.replayBuried(frame)
	case frameRevived:
		err = s.replayRevived(frame)
	case frameDiscarded:
		err = s.replayDiscarded(frame)
	case frameEpoch:
		err = s.replayEpoch(frame)
	case frameItems:
		err = s.current.replayItems(frame.Payload)
	case frameAudit:
		s.audits++
		s.current.addAudit(frame.Payload)
	default:
		err = fmt.Errorf("frames of kind %d are of a later version of this program", frame.Kind)
	}
	if err != nil {
		return fmt.Errorf("frame at %d: %w", frame.Position, err)
	}
	return nil
}

// Close waits for calls in progress, brings the index up to date and closes the
// files. Later calls fail with store.ErrClosed.
func (s *Store) Close() error {
	s.retention.stop()
	s.checkpoints.stop()
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if err := s.writeIndex(); err != nil {
		s.opts.Logger.Warn("the index could not be written; the next start takes longer", "error", err)
	}
	if err := s.closeFiles(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

func (s *Store) writeIndex() error {
	s.checkpoints.alone.Lock()
	defer s.checkpoints.alone.Unlock()
	if s.frozen != nil { // a write of the index that failed
		return errors.New("an earlier write of it failed")
	}
	s.freeze(s.journal.Next())
	if err := s.settle(nil); err != nil {
		return err
	}
	return s.index.flush()
}

func (s *Store) closeFiles() error {
	var err error
	if s.index != nil {
		err = errors.Join(err, s.index.close())
	}
	if s.journal != nil {
		err = errors.Join(err, s.journal.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// enter admits a call, until the returned function is called.
func (s *Store) enter(ctx context.Context) (func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s.closing.RLock()
	if s.closed {
		s.closing.RUnlock()
		return nil, store.ErrClosed
	}
	return s.closing.RUnlock, nil
}

// lookAtSpace notes whether there is room to accept more.
func (s *Store) lookAtSpace() {
	usage, err := s.opts.FS.GetDiskUsage(s.dir)
	s.full.Store(err == nil && usage.AvailBytes < s.opts.SpareBytes)
}
