package ledger_test

import (
	"bytes"
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

func TestServiceProves(t *testing.T) {
	t.Parallel()
	key, source := newKey(t, t.TempDir()), &accepted{}
	log := newLog(t, vfs.NewMem(), key, source)
	source.grow(20)
	advance(t, log)
	service := ledger.NewService(log)
	latest, err := service.GetCheckpoint(t.Context(), &ledgerv1.GetCheckpointRequest{})
	if signed, _ := log.Checkpoint(); err != nil || latest.GetSize() != 20 || !bytes.Equal(latest.GetCheckpoint(), signed) {
		t.Errorf("checkpoint: %v, %v", latest, err)
	}
	consistent, err := service.GetConsistencyProof(t.Context(), &ledgerv1.GetConsistencyProofRequest{FromSize: 7, ToSize: 19})
	if err != nil || consistent.GetFromSize() != 7 || consistent.GetToSize() != 19 || !sameHashes(consistent.GetProof(), consistencyProof(7, source.leaves[:19])) {
		t.Errorf("consistency: %v, %v", consistent, err)
	}
	if same, err := service.GetConsistencyProof(t.Context(), &ledgerv1.GetConsistencyProofRequest{FromSize: 7, ToSize: 7}); err != nil || len(same.GetProof()) != 0 {
		t.Errorf("consistency of one size: %v, %v", same, err)
	}
	included, err := service.GetInclusionProof(t.Context(), &ledgerv1.GetInclusionProofRequest{Sequence: 3, Size: 11})
	if err != nil || !sameHashes(included.GetPath(), auditPath(2, source.leaves[:11])) {
		t.Errorf("inclusion: %v, %v", included, err)
	}
}

// Every refusal has a code, a reason and both texts that say what is allowed.
func TestServiceRefuses(t *testing.T) {
	t.Parallel()
	key, source := newKey(t, t.TempDir()), &accepted{}
	log := newLog(t, vfs.NewMem(), key, source)
	service := ledger.NewService(log)
	checkpoint := func() error {
		_, err := service.GetCheckpoint(t.Context(), &ledgerv1.GetCheckpointRequest{})
		return err
	}
	consistency := func(from, to uint64) func() error {
		return func() error {
			_, err := service.GetConsistencyProof(t.Context(), &ledgerv1.GetConsistencyProofRequest{FromSize: from, ToSize: to})
			return err
		}
	}
	inclusion := func(sequence, size uint64) func() error {
		return func() error {
			_, err := service.GetInclusionProof(t.Context(), &ledgerv1.GetInclusionProofRequest{Sequence: sequence, Size: size})
			return err
		}
	}
	check := func(name string, call func() error, code codes.Code, reason, text string) {
		t.Helper()
		var told *fault.Error
		if err := call(); !errors.As(err, &told) || told.Code != code || told.Reason != reason || !strings.Contains(told.EN, text) || told.VI == "" || told.VI == told.EN {
			t.Errorf("%s: %v (%+v), want %s %s that says %q in two languages", name, err, told, code, reason, text)
		}
	}
	check("no checkpoint", checkpoint, codes.NotFound, "ledger_empty", "no checkpoint yet")
	check("consistency of nothing", consistency(1, 1), codes.OutOfRange, "beyond_checkpoint", "covers 0")
	source.grow(5)
	advance(t, log)
	check("consistency backwards", consistency(4, 3), codes.InvalidArgument, "request_invalid", "at most to_size, 3, is allowed")
	check("consistency beyond", consistency(4, 6), codes.OutOfRange, "beyond_checkpoint", "size 6 is beyond the latest checkpoint, which covers 5")
	check("inclusion beyond", inclusion(6, 6), codes.OutOfRange, "beyond_checkpoint", "covers 5")
	check("inclusion outside of the size", inclusion(4, 3), codes.OutOfRange, "beyond_size", "a size from 4 on is needed")
}

// Run signs when something was accepted, goes on after failures, and ends when it is
// told to, or when what is accepted contradicts what was signed.
func TestRunSignsUntilItIsToldToEnd(t *testing.T) {
	t.Parallel()
	key, source := newKey(t, t.TempDir()), &accepted{}
	source.grow(3)
	reads := make(chan error) // what each read of the store gives
	log, err := ledger.OpenLog(t.Context(), ledger.LogConfig{
		Ledger: key, Dir: "ledger", FS: vfs.NewMem(), Interval: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Leaves: func(ctx context.Context, after uint64) ([][]byte, error) {
			select {
			case err := <-reads:
				if err != nil {
					return nil, err
				}
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return source.read(ctx, after)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- log.Run(ctx) }()
	reads <- errors.New("the store is busy")
	if _, size := log.Checkpoint(); size != 0 {
		t.Errorf("a checkpoint of %d was signed over nothing", size)
	}
	reads <- nil // three leaves
	reads <- nil // no more
	reads <- nil // the round after: the first has been signed
	if _, size := log.Checkpoint(); size != 3 {
		t.Errorf("the checkpoint is of %d, want 3", size)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run ended with %v", err)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}
