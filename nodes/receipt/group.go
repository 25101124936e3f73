package receipt

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// groupHeader is the first line of a group's note. It keeps other notes that the
// same key signs from being taken for a group.
const groupHeader = "lienthong/group/v1"

// group is what a hub signs: the Merkle root of the statements it accepted in one
// commit, whose sequences follow each other from the first.
type group struct {
	hub   string
	first uint64
	size  int64
	root  tlog.Hash
}

// openGroup returns the group of a note that one of the verifiers has signed.
func openGroup(message []byte, verifiers note.Verifiers) (group, error) {
	opened, err := openNote(message, verifiers)
	if err != nil {
		return group{}, err
	}
	signed, err := parseGroup(opened.Text)
	if err != nil {
		return group{}, err
	}
	return signed, checkSigner(opened, signed.hub)
}

// openNote returns a note that one of the verifiers has signed.
func openNote(message []byte, verifiers note.Verifiers) (*note.Note, error) {
	opened, err := note.Open(message, verifiers)
	var unsigned *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unsigned), errors.As(err, &invalid):
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	case err != nil:
		return nil, fmt.Errorf("%w: signed note: %w", ErrMalformed, err)
	}
	return opened, checkSpelling(opened)
}

// checkSigner checks that a note of a hub is signed by that hub: a key says which one
// it belongs to, and no hub can sign as another.
func checkSigner(opened *note.Note, hub string) error {
	for _, s := range opened.Sigs {
		if s.Name == hub {
			return nil
		}
	}
	return fmt.Errorf("%w: it is of hub %q, the key of %q", ErrContradiction, hub, opened.Sigs[0].Name)
}

// checkSpelling refuses signatures that are not in the one canonical spelling of
// their bytes. Base64 has spare bits that note.Open ignores; a receipt has none.
func checkSpelling(n *note.Note) error {
	for _, s := range n.Sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return fmt.Errorf("%w: signature of %s is not canonical base64", ErrMalformed, s.Name)
		}
	}
	for _, s := range n.UnverifiedSigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return fmt.Errorf("%w: signature of %s is not canonical base64", ErrMalformed, s.Name)
		}
	}
	return nil
}

func parseGroup(text string) (group, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 6 || lines[0] != groupHeader || lines[1] == "" || lines[5] != "" {
		return group{}, fmt.Errorf("%w: the signed note is not a %s", ErrMalformed, groupHeader)
	}
	first, firstErr := parseDecimal(lines[2])
	size, sizeErr := parseDecimal(lines[3])
	root, rootErr := parseHash(lines[4])
	if err := errors.Join(firstErr, sizeErr, rootErr); err != nil {
		return group{}, fmt.Errorf("%w: group: %w", ErrMalformed, err)
	}
	if first == 0 || size == 0 || size > math.MaxUint32 || first > math.MaxUint64-size {
		return group{}, fmt.Errorf("%w: group of %d from sequence %d", ErrMalformed, size, first)
	}
	return group{hub: lines[1], first: first, size: int64(size), root: root}, nil //nolint:gosec // bounded above
}

// parseDecimal accepts the one way that a number is written.
func parseDecimal(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("number: %w", err)
	}
	if strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("number %q is not written plainly", s)
	}
	return n, nil
}

func parseHash(s string) (tlog.Hash, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return tlog.Hash{}, fmt.Errorf("root: %w", err)
	}
	if len(raw) != tlog.HashSize {
		return tlog.Hash{}, fmt.Errorf("root of %d bytes", len(raw))
	}
	return tlog.Hash(raw), nil
}
