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
	signed, err := note.Sign(&note.Note{Text: groupText(l.hub, first, len(leaves), root)}, l.signer)
	if err != nil {
		return nil, fmt.Errorf("sign group: %w", err)
	}
	return &Prover{leaves: leaves, note: signed, tree: t}, nil
}

// groupText is what the note of a group says.
func groupText(hub string, first uint64, leaves int, root tlog.Hash) string {
	return fmt.Sprintf("%s\n%s\n%d\n%d\n%s\n", groupHeader, hub, first, leaves, base64.StdEncoding.EncodeToString(root[:]))
}

// Prover makes receipts for the leaves of one group. It may be used concurrently; its
// receipts share memory with it and are not to be written to.
type Prover struct {
	leaves [][]byte
	note   []byte
	tree   tree
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

// LeafBytes returns how large the leaf at an index of the group is; 0 where there is none.
func (p *Prover) LeafBytes(index int) int {
	if index < 0 || index >= len(p.leaves) {
		return 0
	}
	return len(p.leaves[index])
}

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

// Run returns the receipts of count leaves that follow each other from an index.
func (p *Prover) Run(index, count int) (*exchangev1.ReceiptRun, error) {
	if index < 0 || count < 1 || index+count > len(p.leaves) {
		return nil, fmt.Errorf("receipts %d to %d of a group of %d", index, index+count-1, len(p.leaves))
	}
	return &exchangev1.ReceiptRun{
		Group:  p.note,
		Index:  uint32(index), //nolint:gosec // checked above
		Leaves: p.leaves[index : index+count],
		Proof:  p.tree.beside(len(p.leaves), index, index+count),
	}, nil
}

// depth is the length of the longest path.
func (p *Prover) depth() int { return bits.Len(uint(len(p.leaves) - 1)) }

func (p *Prover) path(index int) [][]byte {
	return p.tree.appendPath(make([][]byte, 0, p.depth()), len(p.leaves), index)
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

// beside returns the hashes that are needed beside the leaves from one index to before
// another to get to the root, row by row, the left one first.
func (t tree) beside(leaves, from, to int) [][]byte {
	var proof [][]byte
	for row, width := 0, leaves; width > 1; row, width = row+width, (width+1)/2 {
		if from%2 == 1 {
			proof = append(proof, t[row+from-1][:])
		}
		if to%2 == 1 && to < width {
			proof = append(proof, t[row+to][:])
		}
		from, to = from/2, (to+1)/2
	}
	return proof
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
