package receipt

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// timePrefix begins the extension line that says when a checkpoint was signed.
const timePrefix = "time "

// maxSize is the largest ledger whose proofs can be computed.
const maxSize = 1 << 62

// Checkpoint is what a hub has signed of its whole ledger.
type Checkpoint struct {
	// Hub whose ledger it is.
	Hub string
	// Epoch is the first sequence that the hub gave after it was restored from a backup,
	// which began a ledger of its own; 0 where it never was.
	Epoch uint64
	// Size is how many statements it covers: until an epoch begins those of sequences 1 to
	// Size.
	Size uint64
	// Root of the Merkle tree over them.
	Root [tlog.HashSize]byte
	// Time of signing, by the hub's clock; zero where the hub did not say.
	Time time.Time
}

// Checkpoint checks a checkpoint, a signed note as C2SP tlog-checkpoint says. It is to
// be believed only when the error is nil.
func (v *Verifier) Checkpoint(signed []byte) (Checkpoint, error) {
	checkpoint, err := v.checkpoints.open(signed, v.keys, openCheckpoint)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	return checkpoint, nil
}

// VerifyConsistency checks that the ledger of a newer checkpoint begins with that of
// an older one (RFC 6962, 2.1.2), both as Verifier.Checkpoint returned them. The error
// wraps ErrFork where that is not so, or the newer is the smaller: a hub that shows a
// smaller ledger than before has lost or taken back what it had signed. Where the newer is
// of a later epoch, the hub says that it was restored from a backup: the error wraps
// ErrRestored then, and is nil where all of the older ledger was in the backup.
func VerifyConsistency(older, newer Checkpoint, proof [][]byte) error {
	err := verifyConsistency(older, newer, proof)
	if errors.Is(err, ErrFork) && older.Epoch < newer.Epoch {
		return fmt.Errorf("%w: %w", ErrRestored, err)
	}
	return err
}

func verifyConsistency(older, newer Checkpoint, proof [][]byte) error {
	if older.Hub != newer.Hub {
		return fmt.Errorf("%w: checkpoints of hubs %q and %q", ErrContradiction, older.Hub, newer.Hub)
	}
	hashes, err := parseProof(proof)
	if err != nil {
		return err
	}
	if older.Size < 1 || newer.Size > maxSize {
		return fmt.Errorf("%w: checkpoints of sizes %d and %d", ErrMalformed, older.Size, newer.Size)
	}
	switch {
	case older.Epoch > newer.Epoch:
		return fmt.Errorf("%w: it was the ledger %s, now it is the earlier %s", ErrFork, older.Origin(), newer.Origin())
	case older.Size > newer.Size:
		return fmt.Errorf("%w: it had %d statements, now it has %d", ErrFork, older.Size, newer.Size)
	case older.Size == newer.Size && older.Root != newer.Root:
		return fmt.Errorf("%w: two checkpoints of size %d have different roots", ErrFork, older.Size)
	case older.Size == newer.Size && len(proof) > 0:
		return fmt.Errorf("%w: a proof between checkpoints of one size", ErrMalformed)
	case older.Size == newer.Size:
		return nil
	}
	if err := tlog.CheckTree(hashes, int64(newer.Size), newer.Root, int64(older.Size), older.Root); err != nil { //nolint:gosec // below maxSize
		return fmt.Errorf("%w: the proof from %d to %d statements does not hold: %w", ErrFork, older.Size, newer.Size, err)
	}
	return nil
}

func openCheckpoint(message []byte, verifiers note.Verifiers) (Checkpoint, error) {
	opened, err := openNote(message, verifiers)
	if err != nil {
		return Checkpoint{}, err
	}
	checkpoint, err := parseCheckpoint(opened.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	return checkpoint, checkSigner(opened, checkpoint.Hub)
}

// parseCheckpoint reads the text of a checkpoint. Extension lines it does not know are
// passed over, as the format demands.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || slices.Contains(lines[:len(lines)-1], "") {
		return Checkpoint{}, fmt.Errorf("%w: the signed note is not a checkpoint", ErrMalformed)
	}
	hub, epoch, err := parseOrigin(lines[0])
	if err != nil {
		return Checkpoint{}, err
	}
	size, sizeErr := parseDecimal(lines[1])
	root, rootErr := parseHash(lines[2])
	at, timeErr := parseTime(lines[3 : len(lines)-1])
	if err := errors.Join(sizeErr, rootErr, timeErr); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint: %w", ErrMalformed, err)
	}
	if size < 1 || size > maxSize {
		return Checkpoint{}, fmt.Errorf("%w: checkpoint of size %d", ErrMalformed, size)
	}
	return Checkpoint{Hub: hub, Epoch: epoch, Size: size, Root: root, Time: at}, nil
}

// parseTime returns the time in the extension lines of a checkpoint.
func parseTime(extensions []string) (time.Time, error) {
	for _, line := range extensions {
		written, ok := strings.CutPrefix(line, timePrefix)
		if !ok {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, written)
		if err != nil {
			return time.Time{}, fmt.Errorf("time: %w", err)
		}
		return at.UTC(), nil
	}
	return time.Time{}, nil
}
