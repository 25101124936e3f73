package ledger_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/nodes/receipt"
)

// sealed seals a group of statements.
func sealed(t rapid.TB, l *ledger.Ledger, first uint64, size int) *ledger.Prover {
	leaves := make([][]byte, size)
	for i := range leaves {
		var err error
		leaves[i], err = proto.Marshal(&exchangev1.Statement{Hub: "hub.test", Sequence: first + uint64(i), EnvelopeId: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
	}
	p, err := l.SealGroup(first, leaves)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every run of every group is worth the receipts that it stands for, byte for byte.
func TestRunsAreTheirReceipts(t *testing.T) {
	t.Parallel()
	l, verifier := openLedger(t)
	for size := 1; size <= 33; size++ {
		p := sealed(t, l, 7, size)
		for from := range size {
			for to := from + 1; to <= size; to++ {
				run, err := p.Run(from, to-from)
				if err != nil {
					t.Fatal(err)
				}
				receipts, statements, err := verifier.ProveRun(run)
				if err != nil || len(receipts) != to-from {
					t.Fatalf("leaves %d to %d of %d: %d receipts, %v", from, to-1, size, len(receipts), err)
				}
				for i, got := range receipts {
					want, err := p.Receipt(from + i)
					if err != nil {
						t.Fatal(err)
					}
					if !proto.Equal(want, got) || statements[i].GetSequence() != uint64(7+from+i) {
						t.Fatalf("receipt %d of leaves %d to %d of %d is %v; want %v", i, from, to-1, size, got, want)
					}
				}
			}
		}
	}
}

func openLedger(t *testing.T) (*ledger.Ledger, *receipt.Verifier) {
	t.Helper()
	l, err := ledger.Open(t.TempDir(), "hub.test")
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := receipt.NewVerifier(l.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	return l, verifier
}

// A run of which anything was changed, left out or added proves nothing.
func TestChangedRunsProveNothing(t *testing.T) {
	t.Parallel()
	l, verifier := openLedger(t)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 70).Draw(t, "size")
		from := rapid.IntRange(0, size-1).Draw(t, "from")
		p := sealed(t, l, rapid.Uint64Range(1, 1<<40).Draw(t, "first"), size)
		run, err := p.Run(from, rapid.IntRange(1, size-from).Draw(t, "count"))
		if err != nil {
			t.Fatal(err)
		}
		changed := proto.Clone(run).(*exchangev1.ReceiptRun) //nolint:forcetypeassert // a clone
		flip := func(b []byte) {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		}
		some := func(list [][]byte) int { return rapid.IntRange(0, len(list)-1).Draw(t, "which") }
		changes := map[string]func(){
			"a leaf":        func() { flip(changed.Leaves[some(changed.Leaves)]) },
			"the note":      func() { flip(changed.GetGroup()) },
			"the index":     func() { changed.Index += rapid.SampledFrom([]uint32{1, ^uint32(0), 1 << 31}).Draw(t, "by") },
			"a leaf less":   func() { changed.Leaves = slices.Delete(changed.Leaves, 0, 1) },
			"a leaf more":   func() { changed.Leaves = append(changed.Leaves, changed.Leaves[0]) },
			"a hash more":   func() { changed.Proof = append(changed.Proof, make([]byte, 32)) },
			"another group": func() { changed.Group = sealed(t, l, 1, size+1).Note() },
		}
		if len(changed.GetProof()) > 0 {
			changes["a hash"] = func() { flip(changed.Proof[some(changed.Proof)]) }
			changes["a hash less"] = func() { changed.Proof = changed.GetProof()[1:] }
			changes["a short hash"] = func() { changed.Proof[0] = changed.GetProof()[0][1:] }
		}
		what := rapid.SampledFrom(slices.Sorted(maps.Keys(changes))).Draw(t, "what")
		changes[what]()
		if receipts, _, err := verifier.ProveRun(changed); err == nil {
			t.Fatalf("with %s changed, %d receipts were proven", what, len(receipts))
		}
	})
}
