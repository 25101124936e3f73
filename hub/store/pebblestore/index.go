package pebblestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable/block"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// index is a Pebble directory without a log: after a crash it has what it had at
// some moment before, and its cursor says at which.
type index struct {
	db         *pebble.DB
	background *background
	memory     int64        // Options.MemoryBytes
	written    atomic.Int64 // bytes, since it was last known that there is room
	// flushed is the cursor's position that the last flush was asked for at.
	flushed journal.Position
}

// openIndex opens or creates an index. Pebble would try again without end to write what
// it cannot: to a full disk, say. Once it is open, what cannot be written is told to
// whoever writes, and to those that wait for the background. damaged is called, then and
// later, where something is read that is not what was written.
func openIndex(dir string, opts Options, work *background, damaged func(pebble.DataCorruptionInfo)) (*index, error) {
	x := &index{background: work, memory: opts.MemoryBytes}
	o := pebbleOptions(opts)
	var opened atomic.Bool
	o.EventListener = work.listen()
	o.EventListener.BackgroundError = func(err error) {
		work.tell(err)
		if !opened.Load() && !pebble.IsCorruptionError(err) {
			o.Logger.Fatalf("the index cannot be opened: %v", err)
		}
	}
	o.EventListener.DataCorruption = damaged
	var err error
	x.db, err = pebble.Open(dir, o)
	opened.Store(true)
	if err != nil {
		return nil, fmt.Errorf("index: %w", classify(err))
	}
	if err := x.checkFormat(); err != nil {
		return nil, errors.Join(fmt.Errorf("index: %w", err), x.db.Close())
	}
	return x, nil
}

// tablesInMemory is how many of its tables Pebble has in memory at a time, mostly: one
// that it writes to and one that becomes a file. It takes them off its cache, of which
// nothing would be left.
const tablesInMemory = 2

func pebbleOptions(opts Options) *pebble.Options {
	o := &pebble.Options{
		FS:                    opts.FS,
		Logger:                pebbleLogger{opts.Logger, opts.Exit},
		MemTableSize:          uint64(opts.MemoryBytes),
		L0CompactionThreshold: 4,
		FormatMajorVersion:    pebble.FormatNewest,
		CacheSize:             opts.CacheBytes + tablesInMemory*opts.MemoryBytes,
		DisableWAL:            true,

		MemTableStopWritesThreshold: neverStall,
		L0StopWritesThreshold:       neverStall,
	}
	// What is in the upper levels is written over soon: to compress it costs more than
	// it saves.
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings {
		settings := pebble.DBCompressionNone
		settings.Levels[len(settings.Levels)-1] = block.FastestCompression
		return settings
	})
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

func (x *index) checkFormat() error {
	switch version, err := x.get(formatKey()); {
	case errors.Is(err, store.ErrNotFound):
		if err := x.db.Set(formatKey(), []byte(formatVersion), pebble.NoSync); err != nil {
			return fmt.Errorf("write format version: %w", err)
		}
		return nil
	case err != nil:
		return err
	case string(version) != formatVersion:
		return fmt.Errorf("format is %q; this program reads %q", version, formatVersion)
	}
	return nil
}

// cursor says up to where the index follows the journal.
func (x *index) cursor() (cursor, error) {
	value, err := x.get(cursorKey())
	if errors.Is(err, store.ErrNotFound) {
		return cursor{}, nil
	}
	if err != nil {
		return cursor{}, err
	}
	return parseCursor(value)
}

// flush makes durable what was written, and waits until that is so, or has failed.
// Pebble then goes on trying.
func (x *index) flush() error {
	changed, _ := x.background.state()
	done, err := x.db.AsyncFlush()
	if err != nil {
		return classify(err)
	}
	for {
		select {
		case <-done:
			return nil
		case <-changed:
		}
		var trouble error
		if changed, trouble = x.background.state(); trouble != nil {
			return classify(trouble)
		}
	}
}

// flushSoon makes what was written durable in the background.
func (x *index) flushSoon() error {
	if _, err := x.db.AsyncFlush(); err != nil {
		return classify(err)
	}
	return nil
}

func (x *index) close() error {
	if err := x.db.Close(); err != nil {
		return fmt.Errorf("close index: %w", err)
	}
	return nil
}

// get returns a copy of the value, or store.ErrNotFound.
func (x *index) get(key []byte) ([]byte, error) {
	value, closer, err := x.db.Get(key)
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
func (x *index) scan(lower, upper []byte, visit func(key, value []byte) (bool, error)) error {
	if bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
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

// last returns the last key and value in [lower, upper), or store.ErrNotFound.
func (x *index) last(lower, upper []byte) (key, value []byte, err error) {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, nil, classify(err)
	}
	found := it.Last()
	if found {
		key = append([]byte(nil), it.Key()...)
		value, err = it.ValueAndErr()
		value = append([]byte(nil), value...)
	}
	if err := errors.Join(err, it.Error(), it.Close()); err != nil {
		return nil, nil, classify(err)
	}
	if !found {
		return nil, nil, store.ErrNotFound
	}
	return key, value, nil
}

// set writes one value, after what was written before.
func (x *index) set(key, value []byte) error {
	if err := x.db.Set(key, value, pebble.NoSync); err != nil {
		return classify(err)
	}
	return nil
}

func (x *index) delete(key []byte) error {
	if err := x.db.Delete(key, pebble.NoSync); err != nil {
		return classify(err)
	}
	return nil
}

// commit writes a batch once there is room: all of it or nothing, after what was written
// before.
func (x *index) commit(ctx context.Context, quit <-chan struct{}, batch *pebble.Batch) error {
	if err := x.room(ctx, quit); err != nil {
		return errors.Join(err, batch.Close())
	}
	x.written.Add(int64(batch.Len()))
	if err := batch.Commit(pebble.NoSync); err != nil {
		return errors.Join(classify(err), batch.Close())
	}
	if err := batch.Close(); err != nil {
		return classify(err)
	}
	return nil
}

func classify(err error) error {
	switch {
	case pebble.IsCorruptionError(err):
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return fmt.Errorf("store: %w", err)
}

// pebbleLogger passes Pebble's errors on and drops its chatter.
type pebbleLogger struct {
	logger *slog.Logger
	exit   func(status int)
}

func (l pebbleLogger) Infof(string, ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.logger.Error("store", "detail", fmt.Sprintf(format, args...))
}

// Fatalf is called where Pebble cannot go on, e.g. after a failed write of what
// files it has. Going on could hand out what is not on disk, so the process ends
// here: a panic might be recovered by a server's handler.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	l.exit(exitBroken)
}

// exitBroken is the exit status of a process whose store cannot go on.
const exitBroken = 74 // EX_IOERR of sysexits.h
