package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// timePrefix begins the one extension line of a checkpoint: when it was signed.
const timePrefix = "time "

// checkpoint is what the hub has said of the whole ledger.
type checkpoint struct {
	epoch  uint64 // first sequence of the epoch that it is of; 0 before the first
	tree   tlog.Tree
	at     time.Time
	signed []byte
}

// size returns how many leaves a checkpoint covers; none without one.
func (c *checkpoint) size() int64 {
	if c == nil {
		return 0
	}
	return c.tree.N
}

func (l *Ledger) signCheckpoint(tree tlog.Tree, epoch uint64, at time.Time) (*checkpoint, error) {
	at = at.UTC().Truncate(time.Millisecond)
	text := fmt.Sprintf("%s\n%d\n%s\n%s%s\n", origin(l.hub, epoch), tree.N, base64.StdEncoding.EncodeToString(tree.Hash[:]), timePrefix, at.Format(time.RFC3339Nano))
	signed, err := note.Sign(&note.Note{Text: text}, l.signer)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return &checkpoint{epoch: epoch, tree: tree, at: at, signed: signed}, nil
}

// openCheckpoint reads a checkpoint that this ledger has signed.
func (l *Ledger) openCheckpoint(signed []byte) (*checkpoint, error) {
	verifier, err := note.NewVerifier(l.verifierKey)
	if err != nil {
		return nil, fmt.Errorf("ledger key: %w", err)
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	// Base64 has spare bits, which the hub leaves at zero.
	if _, err := base64.StdEncoding.Strict().DecodeString(opened.Sigs[0].Base64); err != nil || len(opened.Sigs)+len(opened.UnverifiedSigs) > 1 {
		return nil, errors.New("checkpoint: not signed as this hub signs one")
	}
	lines := strings.Split(opened.Text, "\n")
	hub, epoch, err := parseOrigin(lines[0])
	if err != nil || len(lines) != 5 || hub != l.hub {
		return nil, errors.New("checkpoint: another note than a checkpoint of this hub")
	}
	c := &checkpoint{epoch: epoch, signed: signed}
	c.tree.N, err = strconv.ParseInt(lines[1], 10, 64)
	root, rootErr := base64.StdEncoding.DecodeString(lines[2])
	written, timed := strings.CutPrefix(lines[3], timePrefix)
	at, timeErr := time.Parse(time.RFC3339Nano, written)
	if err := errors.Join(err, rootErr, timeErr); err != nil || !timed || c.tree.N < 1 || len(root) != tlog.HashSize {
		return nil, fmt.Errorf("checkpoint: not written as this program writes one: %w", err)
	}
	c.tree.Hash, c.at = tlog.Hash(root), at
	return c, nil
}
