package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"
)

// Errors of a Log.
var (
	// ErrDiverged means that the accepted log is not, or does not go on from, what the
	// hub has signed: packets are missing or were changed. Nothing is signed any more;
	// a hub does not start with it.
	ErrDiverged = errors.New("the accepted log is not what the ledger's last checkpoint says")
	// ErrBeyond means that a proof was asked for of what no checkpoint covers yet.
	ErrBeyond = errors.New("no checkpoint covers this yet")
	// ErrHashes means that the files of hashes are damaged. They are made anew when the
	// hub starts without them.
	ErrHashes = errors.New("the ledger's hashes are damaged")
)

// LeavesFunc returns leaves of the accepted log that follow so many others, in order and
// without gaps; only such as are on stable storage. It returns as many at once as
// suits it: none where there is none yet, else at least one.
type LeavesFunc func(ctx context.Context, after uint64) ([][]byte, error)

// LogConfig is what a Log is made of. Ledger, Dir and Leaves are required.
type LogConfig struct {
	Ledger *Ledger
	// Dir is where the hashes of the tree and the checkpoints are kept. It is made
	// when it is not there.
	Dir string
	// FS is the file system; default the machine's own.
	FS vfs.FS
	// Leaves reads the accepted log.
	Leaves LeavesFunc
	// Ordinal returns the place of a sequence in the accepted log, from 1 on, and false for
	// one that was skipped; nil where none was: it is the sequence then.
	Ordinal func(sequence uint64) (uint64, bool)
	// Epoch is the first sequence of the epoch that the hub is in; 0 before the first.
	Epoch uint64
	// Interval between checkpoints while something is accepted; default a second.
	Interval time.Duration
	// Clock says when a checkpoint was signed; default time.Now.
	Clock func() time.Time
	// Logger is told of what was mended and what failed; default slog.Default.
	Logger *slog.Logger
}

// Log is the Merkle log of everything accepted: leaf index is the place in the accepted
// log, from 0 on; until an epoch begins, sequence less one. It keeps hashes and
// checkpoints only, both derived from the accepted log, behind which it may lag. It keeps
// to this, whatever crashes in between:
//
//   - A checkpoint leaves a Log only after it and the hashes below it are on stable
//     storage.
//   - No two checkpoints of an origin are of one size and different roots, and none leaves
//     that is smaller than an earlier one: each is proven to go on from the one before,
//     before it is signed.
//
// A hub that goes on from a backup knows nothing of what was signed since: it begins an
// epoch, whose ledger has an origin of its own.
//
// All methods may be called concurrently, Run once.
type Log struct {
	cfg    LogConfig
	hashes *hashes
	last   atomic.Pointer[checkpoint] // nil before the first

	advancing sync.Mutex
	history   history // under advancing
}

// OpenLog opens the log in a directory, and mends what a crash or a loss of its files
// has left. Where the last checkpoint covers what is not in the accepted log, the error
// is ErrDiverged.
func OpenLog(ctx context.Context, cfg LogConfig) (*Log, error) {
	cfg = cfg.withDefaults()
	if err := cfg.FS.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("ledger directory: %w", err)
	}
	l := &Log{cfg: cfg, hashes: newHashes(cfg.FS, cfg.Dir)}
	last, err := l.readLast()
	if err == nil && last != nil {
		err = l.settle(ctx, last)
	}
	if err == nil {
		last, err = l.beginEpoch(ctx, last)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	l.last.Store(last)
	return l, nil
}

func (c LogConfig) withDefaults() LogConfig {
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Interval <= 0 {
		c.Interval = time.Second
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// settle holds the accepted log and the files of hashes against the last checkpoint,
// and makes hashes anew that are not there or not right.
func (l *Log) settle(ctx context.Context, last *checkpoint) error {
	size := last.tree.N
	newest, err := l.cfg.Leaves(ctx, uint64(size-1)) //nolint:gosec // at least 1
	if err != nil {
		return fmt.Errorf("ledger: read accepted log: %w", err)
	}
	if len(newest) == 0 {
		return fmt.Errorf("%w: that is of %d packets, the accepted log ends before: packets that were accepted are missing; restore the store from a newer backup", ErrDiverged, size)
	}
	there, err := l.hashes.complete(size)
	if err != nil {
		return err
	}
	for _, from := range []int64{there, 0} {
		if from < size {
			l.cfg.Logger.Warn("hashes of the ledger are missing or damaged; making them anew from the accepted log", "from", from, "to", size)
			if err := l.rehash(ctx, from, size); err != nil {
				return err
			}
		}
		if same, err := l.agrees(last.tree, newest[0]); err != nil || same {
			return err
		}
	}
	return fmt.Errorf("%w: the root over the first %d packets is another one", ErrDiverged, size)
}

// agrees reports whether the files of hashes say what a checkpoint does, and the
// newest leaf under it is what the accepted log has.
func (l *Log) agrees(tree tlog.Tree, newest []byte) (bool, error) {
	root, err := tlog.TreeHash(tree.N, l.hashes)
	if err != nil || root != tree.Hash {
		return false, err
	}
	kept, err := l.hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, tree.N-1)})
	if err != nil {
		return false, err
	}
	if kept[0] != tlog.RecordHash(newest) {
		return false, fmt.Errorf("%w: packet %d is another one", ErrDiverged, tree.N)
	}
	return true, nil
}

// rehash makes the hashes of the leaves [from, to) anew.
func (l *Log) rehash(ctx context.Context, from, to int64) error {
	for from < to {
		data, err := l.leafHashes(ctx, from, min(to-from, roundLeaves))
		if err != nil {
			return err
		}
		if len(data) == 0 {
			return fmt.Errorf("%w: there is no packet %d", ErrDiverged, from+1)
		}
		if err := l.hashes.extend(from, data); err != nil {
			return err
		}
		from += int64(len(data) / tlog.HashSize)
	}
	return l.hashes.sync()
}

// roundLeaves is how many leaves go under one checkpoint at most: a log that has far
// to catch up does so in bounded memory, and keeps what it did when it is stopped.
const roundLeaves = 1 << 16

// leafHashes returns the hashes of at most `most` leaves after the first `after`, one
// after the other.
func (l *Log) leafHashes(ctx context.Context, after, most int64) ([]byte, error) {
	var data []byte
	for read := int64(0); read < most; {
		leaves, err := l.cfg.Leaves(ctx, uint64(after+read)) //nolint:gosec // not negative
		if err != nil {
			return nil, fmt.Errorf("ledger: read accepted log: %w", err)
		}
		if len(leaves) == 0 {
			break
		}
		leaves = leaves[:min(int64(len(leaves)), most-read)]
		for _, leaf := range leaves {
			hash := tlog.RecordHash(leaf)
			data = append(data, hash[:]...)
		}
		read += int64(len(leaves))
	}
	return data, nil
}

// longestWait bounds how long a Log waits after failures.
const longestWait = time.Minute

// Run signs checkpoints until ctx ends, and waits longer after a failure; it returns
// an error only for ErrDiverged.
func (l *Log) Run(ctx context.Context) error {
	wait := l.cfg.Interval
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		err := l.Advance(ctx)
		switch {
		case err == nil:
			wait = l.cfg.Interval
		case errors.Is(err, ErrDiverged):
			return err
		case ctx.Err() == nil:
			wait = min(2*wait, max(longestWait, l.cfg.Interval))
			l.cfg.Logger.Error("no checkpoint of the ledger could be made; trying again", "after", wait, "error", err)
		}
	}
}

// Advance brings the log up to what is accepted, and signs that. Without anything new
// it signs nothing.
func (l *Log) Advance(ctx context.Context) error {
	l.advancing.Lock()
	defer l.advancing.Unlock()
	for {
		if more, err := l.round(ctx); err != nil || !more {
			return err
		}
	}
}

// round signs one checkpoint; false where there is nothing new. What a failed round
// has written, the next one writes over.
func (l *Log) round(ctx context.Context) (bool, error) {
	last := l.last.Load()
	size := last.size()
	data, err := l.leafHashes(ctx, size, roundLeaves)
	if err != nil || len(data) == 0 {
		return false, err
	}
	if err := l.hashes.extend(size, data); err != nil {
		return false, err
	}
	next := tlog.Tree{N: size + int64(len(data)/tlog.HashSize)}
	if next.Hash, err = tlog.TreeHash(next.N, l.hashes); err != nil {
		return false, err
	}
	if err := l.goesOn(last, next); err != nil {
		return false, err
	}
	if err := l.hashes.sync(); err != nil {
		return false, err
	}
	fresh, err := l.cfg.Ledger.signCheckpoint(next, l.cfg.Epoch, l.cfg.Clock())
	if err != nil {
		return false, err
	}
	if err := l.keep(fresh); err != nil {
		return false, err
	}
	l.last.Store(fresh) // the line at which a checkpoint can be seen
	return true, nil
}

// goesOn proves that a tree begins with what was signed last.
func (l *Log) goesOn(last *checkpoint, next tlog.Tree) error {
	if last == nil {
		return nil
	}
	proof, err := tlog.ProveTree(next.N, last.tree.N, l.hashes)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if err := tlog.CheckTree(proof, next.N, next.Hash, last.tree.N, last.tree.Hash); err != nil {
		return fmt.Errorf("%w: it does not go on from %d packets", ErrDiverged, last.tree.N)
	}
	return nil
}

// Close closes the files. Run has to have ended.
func (l *Log) Close() error { return l.hashes.close() }

// Checkpoint returns the latest checkpoint and its size; nil and 0 before the first.
func (l *Log) Checkpoint() (signed []byte, size uint64) {
	last := l.last.Load()
	if last == nil {
		return nil, 0
	}
	return last.signed, uint64(last.tree.N) //nolint:gosec // at least 1
}

// Included returns the latest checkpoint, and the path that proves the statement of a
// sequence under it; nothing where it does not cover the sequence yet.
func (l *Log) Included(sequence uint64) (Included, error) {
	last := l.last.Load()
	index, ok := l.place(sequence)
	if !ok || index >= last.size() {
		return Included{}, nil
	}
	path, err := l.inclusion(last, index, last.tree.N)
	if err != nil {
		return Included{}, err
	}
	return Included{Checkpoint: last.signed, Index: uint64(index), Path: path}, nil //nolint:gosec // not negative
}

// Inclusion proves the statement of a sequence in the ledger of a size (RFC 6962,
// 2.1.1), without the checkpoint. ErrBeyond where the latest checkpoint does not cover the
// size, or the size not the sequence.
func (l *Log) Inclusion(sequence, size uint64) (Included, error) {
	last := l.last.Load()
	index, ok := l.place(sequence)
	if !ok || size > uint64(last.size()) || index >= int64(size) { //nolint:gosec // not negative
		return Included{}, fmt.Errorf("%w: sequence %d in a ledger of %d, of which %d are covered", ErrBeyond, sequence, size, last.size())
	}
	path, err := l.inclusion(last, index, int64(size))     //nolint:gosec // at most tree.N
	return Included{Index: uint64(index), Path: path}, err //nolint:gosec // not negative
}

func (l *Log) inclusion(last *checkpoint, index, size int64) ([][]byte, error) {
	proof, err := tlog.ProveRecord(size, index, tlog.TileHashReader(last.tree, l.hashes))
	return proven(proof, err)
}

// Consistency proves that the ledger of one size begins with that of a smaller or the
// same size (RFC 6962, 2.1.2). ErrBeyond where the latest checkpoint does not cover
// the larger, or the sizes do not follow each other.
func (l *Log) Consistency(from, to uint64) ([][]byte, error) {
	last := l.last.Load()
	if from < 1 || from > to || to > uint64(last.size()) { //nolint:gosec // not negative
		return nil, fmt.Errorf("%w: from %d to %d, of which %d are covered", ErrBeyond, from, to, last.size())
	}
	if from == to {
		return nil, nil
	}
	proof, err := tlog.ProveTree(int64(to), int64(from), tlog.TileHashReader(last.tree, l.hashes)) //nolint:gosec // at most tree.N
	return proven(proof, err)
}

// proven returns a proof as it is sent. What comes of files that do not say what was
// signed is an error: tlog holds every hash against the root.
func proven[P ~[]tlog.Hash](proof P, err error) ([][]byte, error) {
	if err != nil {
		return nil, fmt.Errorf("%w: stop the hub, remove ledger/hashes-* from its data directory, and start it: %w", ErrHashes, err)
	}
	sent := make([][]byte, len(proof))
	for i := range proof {
		sent[i] = proof[i][:]
	}
	return sent, nil
}
