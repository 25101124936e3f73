package receipt_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes/receipt"
)

// A receipt of an epoch says its index in the ledger, which is bound by its path, and by
// the origin of its checkpoint.
func TestReceiptsOfAnEpoch(t *testing.T) {
	t.Parallel()
	const first = 1_000_000_000_001
	hub := newSigner(t, hubName)
	all := append(leaves(t, 1, 3), leaves(t, first, 4)...)
	b := newBook(t, hub, all)
	under := func(origin string) []byte { return hub.sign(t, checkpointText(origin, 7, b.root(t, 7))) }
	own := under(fmt.Sprintf("%s/%d", hubName, first))
	old := b.include(t, hub.seal(t, hubName, 1, all[:3])[1], 2, 7)
	old.Checkpoint = own
	good := b.include(t, hub.seal(t, hubName, first, all[3:])[1], 5, 7)
	good.Checkpoint, good.LedgerIndex = own, proto.Uint64(4)
	v := verifier(t, hub.key)
	for name, tc := range map[string]struct {
		r     *exchangev1.Receipt
		index uint64
	}{"of the epoch": {good, 4}, "of before": {old, 1}} {
		got, err := v.Prove(tc.r)
		if err != nil || got.Index != tc.index || got.Checkpoint.Epoch != first || got.Checkpoint.Hub != hubName || got.Checkpoint.Origin() != hubName+"/1000000000001" {
			t.Errorf("%s: %+v, %v; want index %d of the epoch", name, got, err, tc.index)
		}
	}
	for name, tc := range map[string]struct {
		change func(*exchangev1.Receipt)
		want   error
	}{
		"no index":                    {func(r *exchangev1.Receipt) { r.LedgerIndex = nil }, receipt.ErrContradiction},
		"index of a neighbour":        {func(r *exchangev1.Receipt) { r.LedgerIndex = proto.Uint64(5) }, receipt.ErrPath},
		"index beyond":                {func(r *exchangev1.Receipt) { r.LedgerIndex = proto.Uint64(7) }, receipt.ErrContradiction},
		"index that overflows":        {func(r *exchangev1.Receipt) { r.LedgerIndex = proto.Uint64(1<<64 - 1) }, receipt.ErrContradiction},
		"index without a checkpoint":  {func(r *exchangev1.Receipt) { r.Checkpoint, r.Inclusion = nil, nil }, receipt.ErrMalformed},
		"under the hub's plain name":  {func(r *exchangev1.Receipt) { r.Checkpoint = under(hubName) }, receipt.ErrContradiction},
		"under another hub's epoch":   {func(r *exchangev1.Receipt) { r.Checkpoint = under("other.test/5") }, receipt.ErrContradiction},
		"an epoch with a zero before": {func(r *exchangev1.Receipt) { r.Checkpoint = under(hubName + "/05") }, receipt.ErrMalformed},
		"an epoch that is no number":  {func(r *exchangev1.Receipt) { r.Checkpoint = under(hubName + "/two") }, receipt.ErrMalformed},
		"an epoch of one":             {func(r *exchangev1.Receipt) { r.Checkpoint = under(hubName + "/1") }, receipt.ErrMalformed},
		"two slashes":                 {func(r *exchangev1.Receipt) { r.Checkpoint = under(hubName + "/5/6") }, receipt.ErrMalformed},
	} {
		changed := proto.CloneOf(good)
		tc.change(changed)
		if _, err := v.Prove(changed); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v; want %v", name, err, tc.want)
		}
	}
}

// From one epoch to a later one what is shared is proven; what is not, is told apart from
// a fork that nobody declares.
func TestConsistencyAcrossEpochs(t *testing.T) {
	t.Parallel()
	hub := newSigner(t, hubName)
	b, lost := newBook(t, hub, leaves(t, 1, 7)), newBook(t, hub, append(leaves(t, 1, 3), leaves(t, 90, 2)...))
	v := verifier(t, hub.key)
	at := func(of book, epoch string, size int) receipt.Checkpoint {
		return known(t, v, hub.sign(t, checkpointText(hubName+epoch, size, of.root(t, size))))
	}
	for name, tc := range map[string]struct {
		older, newer receipt.Checkpoint
		proof        [][]byte
		want         []error
	}{
		"all of it shared":     {at(b, "", 3), at(b, "/70", 7), b.consistency(t, 3, 7), nil},
		"the same leaves":      {at(b, "", 7), at(b, "/70", 7), nil, nil},
		"some lost":            {at(lost, "", 5), at(b, "/70", 7), b.consistency(t, 5, 7), []error{receipt.ErrFork, receipt.ErrRestored}},
		"smaller":              {at(lost, "", 5), at(b, "/70", 3), nil, []error{receipt.ErrFork, receipt.ErrRestored}},
		"between later epochs": {at(lost, "/70", 5), at(b, "/80", 7), b.consistency(t, 5, 7), []error{receipt.ErrFork, receipt.ErrRestored}},
		"back":                 {at(b, "/70", 3), at(b, "", 7), b.consistency(t, 3, 7), []error{receipt.ErrFork}},
		"a fork in an epoch":   {at(lost, "/70", 5), at(b, "/70", 7), b.consistency(t, 5, 7), []error{receipt.ErrFork}},
	} {
		err := receipt.VerifyConsistency(tc.older, tc.newer, tc.proof)
		for _, want := range tc.want {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v; want %v", name, err, want)
			}
		}
		if len(tc.want) < 2 && errors.Is(err, receipt.ErrRestored) || tc.want == nil && err != nil {
			t.Errorf("%s: %v; want %v", name, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
