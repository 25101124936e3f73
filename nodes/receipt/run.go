package receipt

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// ProveRun checks receipts that came in a run, and returns each by itself, with its
// statement. It hashes each leaf once and each node of the tree that the run covers
// once, where receipts by themselves take a path each. The statements are to be believed
// only when the error is nil; the error wraps one of this package's sentinels.
func (v *Verifier) ProveRun(run *exchangev1.ReceiptRun) ([]*exchangev1.Receipt, []*exchangev1.Statement, error) {
	if len(run.GetLeaves()) == 0 || len(run.GetGroup()) == 0 {
		return nil, nil, fmt.Errorf("%w: leaves and group are required", ErrMalformed)
	}
	signed, err := v.groups.open(run.GetGroup(), v.keys, openGroup)
	if err != nil {
		return nil, nil, fmt.Errorf("group: %w", err)
	}
	rows, err := climb(run, signed)
	if err != nil {
		return nil, nil, err
	}
	receipts := make([]*exchangev1.Receipt, len(run.GetLeaves()))
	statements := make([]*exchangev1.Statement, len(run.GetLeaves()))
	for i, leaf := range run.GetLeaves() {
		index := run.GetIndex() + uint32(i) //nolint:gosec // within the group, as climb has checked
		if statements[i], err = stated(leaf, index, signed); err != nil {
			return nil, nil, err
		}
		receipts[i] = &exchangev1.Receipt{Leaf: leaf, Index: index, Path: path(rows, int64(index)), Group: run.GetGroup()}
	}
	return receipts, statements, nil
}

// row is what is known of one row of a group's tree: the hashes from an index on, of so
// many that there are in all.
type row struct {
	from, width int64
	hashes      []tlog.Hash
}

func (r *row) end() int64 { return r.from + int64(len(r.hashes)) }

// climb makes the rows of the tree above the leaves of a run, up to the root, which it
// compares with the signed one. Every hash of the proof is used, and is bound by that.
func climb(run *exchangev1.ReceiptRun, signed group) ([]row, error) {
	leaves := run.GetLeaves()
	if int64(run.GetIndex())+int64(len(leaves)) > signed.size {
		return nil, fmt.Errorf("%w: leaves %d to %d in a group of %d", ErrMalformed, run.GetIndex(), int(run.GetIndex())+len(leaves)-1, signed.size)
	}
	proof, err := parseProof(run.GetProof())
	if err != nil {
		return nil, err
	}
	bottom := row{from: int64(run.GetIndex()), width: signed.size, hashes: make([]tlog.Hash, 0, len(leaves)+2)}
	for _, leaf := range leaves {
		bottom.hashes = append(bottom.hashes, tlog.RecordHash(leaf))
	}
	rows := []row{bottom}
	for at := &rows[0]; at.width > 1; at = &rows[len(rows)-1] {
		if proof, err = at.complete(proof); err != nil {
			return nil, err
		}
		rows = append(rows, at.above())
	}
	if len(proof) > 0 {
		return nil, fmt.Errorf("%w: %d hashes too many in the proof of a run", ErrMalformed, len(proof))
	}
	if root := rows[len(rows)-1].hashes[0]; root != signed.root {
		return nil, fmt.Errorf("%w: the leaves of a run make another", ErrPath)
	}
	return rows, nil
}

// complete adds the hashes beside what is known, so that it is made of whole pairs, and
// returns what is left of the proof.
func (r *row) complete(proof []tlog.Hash) ([]tlog.Hash, error) {
	left, right := r.from%2 == 1, r.end()%2 == 1 && r.end() < r.width
	if left && right && len(proof) < 2 || (left || right) && len(proof) < 1 {
		return nil, fmt.Errorf("%w: a hash is missing in the proof of a run", ErrMalformed)
	}
	if left {
		r.from--
		r.hashes, proof = slices.Insert(r.hashes, 0, proof[0]), proof[1:]
	}
	if right {
		r.hashes, proof = append(r.hashes, proof[0]), proof[1:]
	}
	return proof, nil
}

// above returns the row above one of whole pairs. One that is left over at the end of
// all goes up as it is.
func (r *row) above() row {
	up := row{from: r.from / 2, width: (r.width + 1) / 2, hashes: make([]tlog.Hash, 0, len(r.hashes)/2+2)}
	for i := 0; i+1 < len(r.hashes); i += 2 {
		up.hashes = append(up.hashes, tlog.NodeHash(r.hashes[i], r.hashes[i+1]))
	}
	if len(r.hashes)%2 == 1 {
		up.hashes = append(up.hashes, r.hashes[len(r.hashes)-1])
	}
	return up
}

// path reads the path of a leaf off the rows.
func path(rows []row, index int64) [][]byte {
	hashes := make([][]byte, 0, len(rows)-1)
	for i := range rows[:len(rows)-1] {
		if beside := index ^ 1; beside < rows[i].width {
			hashes = append(hashes, rows[i].hashes[beside-rows[i].from][:])
		}
		index /= 2
	}
	return hashes
}
