package ledger

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// A hub that goes on from a backup begins an epoch: a ledger of its own, which shares its
// first leaves with the one that the lost hub has gone on with. So that no two ledgers have
// one name, the origin of its checkpoints is the hub's name, a slash, and the first
// sequence of the epoch: hub.example/28425600000001. Before the first epoch the origin is
// the hub's name. The key, and its name, stay the same: receipts hold as they did.

// origin is the first line of checkpoints. An epoch is named by its first sequence; 0 means
// that none was begun.
func origin(hub string, epoch uint64) string {
	if epoch == 0 {
		return hub
	}
	return hub + "/" + strconv.FormatUint(epoch, 10)
}

// parseOrigin returns hub and epoch of an origin, which is written in one way only.
func parseOrigin(line string) (hub string, epoch uint64, err error) {
	hub, suffix, some := strings.Cut(line, "/")
	if !some {
		return hub, 0, nil
	}
	if epoch, err = strconv.ParseUint(suffix, 10, 64); err != nil || epoch < 2 || origin(hub, epoch) != line {
		return "", 0, fmt.Errorf("origin %q: a hub's name is expected, or that, a slash, and the first sequence of an epoch", line)
	}
	return hub, epoch, nil
}

// Included is a place in the ledger, proven.
type Included struct {
	// Checkpoint that it is under; nil where it is under none yet.
	Checkpoint []byte
	// Index of the leaf, and the path from it to the checkpoint's root.
	Index uint64
	Path  [][]byte
}

// place returns the index of a sequence's leaf; false for what has none.
func (l *Log) place(sequence uint64) (index int64, ok bool) {
	ordinal := sequence
	if l.cfg.Ordinal != nil {
		ordinal, ok = l.cfg.Ordinal(sequence)
		if !ok {
			return 0, false
		}
	}
	if ordinal < 1 || ordinal > 1<<62 {
		return 0, false
	}
	return int64(ordinal - 1), true
}

// beginEpoch signs what there is as the ledger of an epoch that has no checkpoint yet.
// Nothing is added: what was signed last under another origin is what it begins with.
func (l *Log) beginEpoch(ctx context.Context, last *checkpoint) (*checkpoint, error) {
	if last == nil || last.epoch == l.cfg.Epoch {
		return last, nil
	}
	if last.epoch > l.cfg.Epoch {
		return nil, fmt.Errorf("%w: that is of epoch %d, the accepted log of epoch %d: the two are of different copies", ErrDiverged, last.epoch, l.cfg.Epoch)
	}
	fresh, err := l.cfg.Ledger.signCheckpoint(last.tree, l.cfg.Epoch, l.cfg.Clock())
	if err != nil {
		return nil, err
	}
	l.history.at = fresh.at.Add(-historyEvery) // it is one to remember
	if err := l.keep(fresh); err != nil {
		return nil, err
	}
	l.cfg.Logger.WarnContext(ctx, "the ledger goes on under another name", "origin", origin(l.cfg.Ledger.hub, l.cfg.Epoch), "begins_with", last.tree.N)
	return fresh, nil
}
