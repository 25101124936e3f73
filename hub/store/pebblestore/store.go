// Package pebblestore keeps the hub's data in a directory, with Pebble, a
// log-structured store that needs no server. It is the store of a single hub.
package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// Store is a directory of Pebble files. It keeps the guarantees of package store.
type Store struct {
	db *pebble.DB

	// accepting is held from reading idempotency keys to the end of the fsync, so
	// that groups follow each other; envelopes gather into the next group meanwhile.
	accepting sync.Mutex
	next      uint64 // sequence of the next fresh submission; under accepting
	broken    error  // set by a failed commit: what is on disk is not known; under accepting

	// durable is the last sequence known to be on stable storage. Pebble shows a
	// batch to readers before its fsync ends; nothing above durable is handed out.
	durable atomic.Uint64

	// auditing is held from numbering a line to its place in the write-ahead log, so
	// that lines get there in the order of their numbers; not during the fsync.
	auditing     sync.Mutex
	nextAudit    uint64        // under auditing
	durableAudit atomic.Uint64 // as durable, for the audit log

	closing sync.RWMutex
	closed  bool // under closing
}

// Options are what a Store can be opened with.
type Options struct {
	// FS is the file system; nil means the machine's own.
	FS vfs.FS
	// CacheBytes bounds the memory for blocks read; 0 means 64 MiB.
	CacheBytes int64
	// Logger is told of Pebble's troubles; nil means no one is.
	Logger *slog.Logger
}

// Open opens or creates the store in dir. A directory that another process has
// open, or that an unknown version wrote, is refused.
func Open(dir string, opts Options) (*Store, error) {
	o := pebbleOptions(opts)
	// Pebble would try again without end to write what its log holds: to a full disk,
	// say. Once it is open, what cannot be written is told to whoever writes.
	var opened atomic.Bool
	o.EventListener = &pebble.EventListener{BackgroundError: func(err error) {
		if !opened.Load() {
			o.Logger.Fatalf("the store cannot be opened: %v", err)
		}
	}}
	db, err := pebble.Open(dir, o)
	opened.Store(true)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return nil, fmt.Errorf("open store %s: another process has it open, or this one may not write there: %w", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s := &Store{db: db}
	if err := s.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", dir, err), db.Close())
	}
	return s, nil
}

func pebbleOptions(opts Options) *pebble.Options {
	o := &pebble.Options{
		FS:                    opts.FS,
		Logger:                pebbleLogger{opts.Logger},
		MemTableSize:          64 << 20,
		L0CompactionThreshold: 4,
		FormatMajorVersion:    pebble.FormatNewest,
		CacheSize:             opts.CacheBytes,
	}
	if o.CacheSize == 0 {
		o.CacheSize = 64 << 20
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// recover checks the format and finds where the logs end.
func (s *Store) recover() error {
	switch version, err := s.get([]byte{keyMeta, 'v'}); {
	case errors.Is(err, store.ErrNotFound):
		if err := s.db.Set([]byte{keyMeta, 'v'}, []byte(formatVersion), pebble.Sync); err != nil {
			return fmt.Errorf("write format version: %w", err)
		}
	case err != nil:
		return err
	case string(version) != formatVersion:
		return fmt.Errorf("format is %q; this program reads %q", version, formatVersion)
	}
	last, err := s.lastSequence(keyRecord)
	if err != nil {
		return err
	}
	lastAudit, err := s.lastSequence(keyAudit)
	if err != nil {
		return err
	}
	s.next, s.nextAudit = last+1, lastAudit+1
	s.durable.Store(last)
	s.durableAudit.Store(lastAudit)
	return nil
}

func (s *Store) lastSequence(kind byte) (uint64, error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return 0, fmt.Errorf("find end of log: %w", err)
	}
	var last uint64
	if it.Last() {
		last, err = sequenceOf(it.Key())
	}
	if err := errors.Join(err, it.Error(), it.Close()); err != nil {
		return 0, fmt.Errorf("find end of log: %w", err)
	}
	return last, nil
}

// Close waits for calls in progress and closes the files. Later calls fail with
// store.ErrClosed.
func (s *Store) Close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
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

// get returns a copy of the value, or store.ErrNotFound.
func (s *Store) get(key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, classify(err)
	}
	copied := append([]byte(nil), value...)
	if err := closer.Close(); err != nil {
		return nil, classify(err)
	}
	return copied, nil
}

// scan calls visit for keys in [lower, upper) in order until it returns false.
func (s *Store) scan(lower, upper []byte, visit func(key, value []byte) (bool, error)) error {
	if bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return classify(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(classify(err), it.Close())
		}
		more, err := visit(it.Key(), value)
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if !more {
			break
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return classify(err)
	}
	return nil
}

func classify(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return fmt.Errorf("store: %w", err)
}

// pebbleLogger passes Pebble's errors on and drops its chatter.
type pebbleLogger struct{ logger *slog.Logger }

func (l pebbleLogger) Infof(string, ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	if l.logger != nil {
		l.logger.Error("store", "detail", fmt.Sprintf(format, args...))
	}
}

// Fatalf is called where Pebble cannot go on, e.g. after a failed write of its
// log, by whoever was writing. Going on could acknowledge what is not on disk, so
// the process ends here: a panic might be recovered by a server's handler.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	os.Exit(exitBroken)
}

// exitBroken is the exit status of a process whose store cannot go on.
const exitBroken = 74 // EX_IOERR of sysexits.h
