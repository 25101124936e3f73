package exchange

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/store"
)

// receipts makes the receipts of accepted packets from what is stored: the same
// bytes every time. It keeps the last group, as what is asked for again was
// mostly accepted together. It is for one goroutine.
type receipts struct {
	store  Store
	group  store.Group
	prover *ledger.Prover
}

// settle returns what an answer comes to for the sender.
func (r *receipts) settle(ctx context.Context, a answer) (*exchangev1.Receipt, error) {
	if a.err != nil || a.earlier == 0 {
		return a.receipt, a.err
	}
	return r.of(ctx, a.earlier)
}

// of returns the receipt of an accepted packet.
func (r *receipts) of(ctx context.Context, sequence uint64) (*exchangev1.Receipt, error) {
	if _, in := leafIn(r.group, sequence); !in || r.prover == nil {
		group, err := r.store.Group(ctx, sequence)
		if err != nil {
			return nil, fmt.Errorf("receipt: %w", err)
		}
		prover, err := ledger.NewProver(group.Leaves, group.Note)
		if err != nil {
			return nil, fmt.Errorf("receipt: %w", err)
		}
		r.group, r.prover = group, prover
	}
	receipt, err := r.prover.Receipt(int(sequence - r.group.First)) //nolint:gosec // within the group
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return receipt, nil
}

// leafIn returns the leaf of a sequence, if the group has it.
func leafIn(group store.Group, sequence uint64) ([]byte, bool) {
	if sequence < group.First || sequence-group.First >= uint64(len(group.Leaves)) {
		return nil, false
	}
	return group.Leaves[sequence-group.First], true
}

func parseLeaf(leaf []byte) (*exchangev1.Statement, error) {
	statement := &exchangev1.Statement{}
	if err := proto.Unmarshal(leaf, statement); err != nil {
		return nil, fmt.Errorf("read leaf: %w", err)
	}
	return statement, nil
}
