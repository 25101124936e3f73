package ledger_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/grpc/codes"

	ledgerv1 "github.com/lienthong/lienthong/gen/lienthong/ledger/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/ledger"
)

// epochAt is the first sequence of an epoch that begins after five packets.
const epochAt = 1_000_000_000_001

func inEpoch(ctx context.Context, filesystem vfs.FS, key *ledger.Ledger, source *accepted, epoch uint64) (*ledger.Log, error) {
	return ledger.OpenLog(ctx, ledger.LogConfig{
		Ledger: key, Dir: "ledger", FS: filesystem, Leaves: source.read, Epoch: epoch,
		Ordinal: func(sequence uint64) (uint64, bool) {
			if sequence >= epochAt {
				return sequence - epochAt + 6, true
			}
			return sequence, sequence >= 1 && sequence <= 5
		},
		Clock: func() time.Time { return signedAt }, Logger: slog.New(slog.DiscardHandler),
	})
}

// An epoch begins with a checkpoint under its own origin, of what there was; it goes on
// from that, and is not gone back from.
func TestAnEpochHasAnOriginOfItsOwn(t *testing.T) {
	t.Parallel()
	key, filesystem, source := newKey(t, t.TempDir()), vfs.NewMem(), &accepted{}
	source.grow(5)
	log := newLog(t, filesystem, key, source)
	advance(t, log)
	before, _ := log.Checkpoint()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for restart := range 2 {
		log, err := inEpoch(t.Context(), filesystem, key, source, epochAt)
		if err != nil {
			t.Fatal(err)
		}
		signed, size := log.Checkpoint()
		if want := hubName + "/1000000000001\n"; !strings.HasPrefix(string(signed), want) || int(size) != 5+restart || !strings.HasPrefix(string(before), hubName+"\n") {
			t.Errorf("start %d: checkpoint of %d leaves\n%s\nwant the origin %q", restart, size, signed, want)
		}
		if restart == 0 {
			source.grow(1)
			advance(t, log)
		}
		proven, err := log.Inclusion(epochAt, 6)
		if err != nil || proven.Index != 5 || !sameHashes(proven.Path, auditPath(5, source.leaves)) {
			t.Errorf("inclusion of the first of the epoch: %+v, %v; want index 5", proven, err)
		}
		if proof, err := log.Consistency(5, 6); err != nil || !sameHashes(proof, consistencyProof(5, source.leaves)) {
			t.Errorf("consistency: %x, %v", proof, err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, earlier := range []uint64{0, epochAt - 1} {
		if _, err := inEpoch(t.Context(), filesystem, key, source, earlier); !errors.Is(err, ledger.ErrDiverged) {
			t.Errorf("opened in the earlier epoch %d: %v; want ErrDiverged", earlier, err)
		}
	}
}

// Of a sequence that was skipped, the service says why it is not there.
func TestServiceRefusesWhatWasSkipped(t *testing.T) {
	t.Parallel()
	source := &accepted{}
	source.grow(6)
	log, err := inEpoch(t.Context(), vfs.NewMem(), newKey(t, t.TempDir()), source, epochAt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	advance(t, log)
	service := ledger.NewService(log)
	for sequence, want := range map[uint64]string{6: "sequence_skipped", epochAt - 1: "sequence_skipped", epochAt + 1: "beyond_size"} {
		_, err := service.GetInclusionProof(t.Context(), &ledgerv1.GetInclusionProofRequest{Sequence: sequence, Size: 6})
		if said := fault.From(err); said.Code != codes.OutOfRange || said.Reason != want {
			t.Errorf("inclusion of %d: %v; want %s", sequence, err, want)
		}
	}
	proof, err := service.GetInclusionProof(t.Context(), &ledgerv1.GetInclusionProofRequest{Sequence: epochAt, Size: 6})
	if err != nil || proof.GetIndex() != 5 {
		t.Errorf("inclusion of the first of the epoch: %v, %v; want index 5", proof, err)
	}
}
