package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// groupHeader is the first line of a group's note.
const groupHeader = "lienthong/group/v1"

// SealGroup signs a group whose leaves follow each other from the first sequence, and
// returns what makes its receipts. It keeps the leaves.
func (l *Ledger) SealGroup(first uint64, leaves [][]byte) (*Prover, error) {
	t, err := newTree(leaves)
	if err != nil {
		return nil, err
	}
	root := t[len(t)-1]
	text := fmt.Sprintf("%s\n%s\n%d\n%d\n%s\n", groupHeader, l.hub, first, len(leaves), base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, l.signer)
	if err != nil {
		return nil, fmt.Errorf("sign group: %w", err)
	}
	p := &Prover{leaves: leaves, note: signed, tree: t}
	p.paths = make([][]byte, 0, len(leaves)*p.depth())
	return p, nil
}

// Seal signs a group whose leaves follow each other from the first sequence.
func (l *Ledger) Seal(first uint64, leaves [][]byte) ([]byte, error) {
	p, err := l.SealGroup(first, leaves)
	if err != nil {
		return nil, err
	}
	return p.Note(), nil
}

// Prover makes receipts for the leaves of one group. It is for one goroutine; its
// receipts share memory with it and are not to be written to.
type Prover struct {
	leaves [][]byte
	note   []byte
	tree   tree
	// paths holds the paths of receipts one after the other: one allocation for all of
	// a group that was just sealed.
	paths [][]byte
}

// NewProver returns a Prover for a group that was sealed before.
func NewProver(leaves [][]byte, signedNote []byte) (*Prover, error) {
	t, err := newTree(leaves)
	if err != nil {
		return nil, err
	}
	return &Prover{leaves: leaves, note: signedNote, tree: t}, nil
}

// Note returns the group's signed note.
func (p *Prover) Note() []byte { return p.note }

// Receipt returns the receipt of the leaf at an index of the group, from 0.
func (p *Prover) Receipt(index int) (*exchangev1.Receipt, error) {
	if index < 0 || index >= len(p.leaves) {
		return nil, fmt.Errorf("receipt %d of a group of %d", index, len(p.leaves))
	}
	return &exchangev1.Receipt{
		Leaf:  p.leaves[index],
		Index: uint32(index), //nolint:gosec // checked above
		Path:  p.path(index),
		Group: p.note,
	}, nil
}

// depth is the length of the longest path.
func (p *Prover) depth() int { return bits.Len(uint(len(p.leaves) - 1)) }

func (p *Prover) path(index int) [][]byte {
	if cap(p.paths)-len(p.paths) < p.depth() {
		p.paths = make([][]byte, 0, p.depth())
	}
	start := len(p.paths)
	p.paths = p.tree.appendPath(p.paths, len(p.leaves), index)
	return p.paths[start:len(p.paths):len(p.paths)]
}

// tree is the Merkle tree of a group in one array: the hashes of the leaves, then
// those of the pairs of these, and so on to the root; one that is left over goes up as
// it is. That is the tree of RFC 6962, laid out so that a path is read off without
// hashing anything: a receipt is made for every packet, while whoever waits for it
// waits. The log of all leaves is stored and proven by tlog.
type tree []tlog.Hash

func newTree(leaves [][]byte) (tree, error) {
	if len(leaves) == 0 {
		return nil, errors.New("a group has at least one leaf")
	}
	t := make(tree, 0, 2*len(leaves)+bits.Len(uint(len(leaves))))
	for _, leaf := range leaves {
		t = append(t, tlog.RecordHash(leaf))
	}
	for row, width := 0, len(leaves); width > 1; row, width = row+width, (width+1)/2 {
		for i := row; i+1 < row+width; i += 2 {
			t = append(t, tlog.NodeHash(t[i], t[i+1]))
		}
		if width%2 == 1 {
			t = append(t, t[row+width-1])
		}
	}
	return t, nil
}

// appendPath appends the hashes beside the way from a leaf up to the root.
func (t tree) appendPath(path [][]byte, leaves, index int) [][]byte {
	for row, width := 0, leaves; width > 1; row, width = row+width, (width+1)/2 {
		if beside := index ^ 1; beside < width {
			path = append(path, t[row+beside][:])
		}
		index /= 2
	}
	return path
}
