package receipt

import (
	"fmt"
	"strconv"
	"strings"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// Origin names the ledger that a checkpoint is of: the hub's name, and, where the hub was
// restored from a backup, a slash and the first sequence that it gave afterwards.
func (c Checkpoint) Origin() string {
	if c.Epoch == 0 {
		return c.Hub
	}
	return c.Hub + "/" + strconv.FormatUint(c.Epoch, 10)
}

// parseOrigin accepts the one way that an origin is written.
func parseOrigin(line string) (hub string, epoch uint64, err error) {
	hub, suffix, some := strings.Cut(line, "/")
	if !some {
		return hub, 0, nil
	}
	if epoch, err = parseDecimal(suffix); err != nil || epoch < 2 || hub == "" {
		return "", 0, fmt.Errorf("%w: the signed note is not a checkpoint", ErrMalformed)
	}
	return hub, epoch, nil
}

// indexOf returns the index in the ledger of a receipt's statement.
func indexOf(r *exchangev1.Receipt, sequence uint64, under Checkpoint) (uint64, error) {
	index := sequence - 1 // a sequence is at least 1
	if r.LedgerIndex != nil {
		index = r.GetLedgerIndex()
	}
	switch {
	case index > sequence-1 || under.Epoch == 0 && index != sequence-1:
		return 0, fmt.Errorf("%w: index %d of the ledger for sequence %d", ErrContradiction, index, sequence)
	case index >= under.Size:
		return 0, fmt.Errorf("%w: sequence %d under a checkpoint of size %d", ErrContradiction, sequence, under.Size)
	}
	return index, nil
}
