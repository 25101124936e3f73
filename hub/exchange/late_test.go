package exchange_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
)

// lateAcknowledging holds up what the store has said of acknowledgements.
type lateAcknowledging struct {
	exchange.Store
	on      atomic.Bool
	arrived chan struct{}
	free    chan struct{}
}

// Acknowledge implements exchange.Store.
func (l *lateAcknowledging) Acknowledge(ctx context.Context, recipient string, sequences []uint64) ([]uint64, error) {
	done, err := l.Store.Acknowledge(ctx, recipient, sequences)
	if l.on.Load() {
		l.arrived <- struct{}{}
		<-l.free
	}
	return done, err //nolint:wrapcheck // a store
}

// An acknowledgement that came too late, of a dead letter, does not make the inbox
// forget what has come back from the dead since.
func TestLateAcknowledgementForgetsNothing(t *testing.T) {
	t.Parallel()
	late := &lateAcknowledging{arrived: make(chan struct{}), free: make(chan struct{})}
	h := start(t, options{brake: func(s exchange.Store) exchange.Store { late.Store = s; return late }})
	sender, portal := h.node("H41/motcua"), h.node("G22/cong")
	submit(t, sender, envelope("a", "0001"))
	pulled, err := portal.Pull(t.Context(), &exchangev1.PullRequest{})
	if err != nil || len(pulled.GetDeliveries()) != 1 {
		t.Fatalf("pulled %v, %v", pulled, err)
	}
	reject(t, portal, &exchangev1.RejectResponse{Dead: []uint64{1}}, &exchangev1.Rejection{Sequence: 1, Reason: "no", Final: true})
	late.on.Store(true)
	acknowledged := make(chan error, 1)
	go func() {
		_, err := portal.Acknowledge(t.Context(), &exchangev1.AcknowledgeRequest{Sequences: []uint64{1}})
		acknowledged <- err
	}()
	within(t, late.arrived, "the store's word")
	if _, err := portal.SettleDeadLetters(t.Context(), &exchangev1.SettleDeadLettersRequest{Redeliver: []uint64{1}}); err != nil {
		t.Fatal(err)
	}
	late.on.Store(false)
	close(late.free)
	if err := within(t, acknowledged, "the late acknowledgement"); err != nil {
		t.Fatal(err)
	}
	if pulled, err := portal.Pull(t.Context(), &exchangev1.PullRequest{}); err != nil || len(pulled.GetDeliveries()) != 1 {
		t.Errorf("pulled %v, %v; want what came back", pulled, err)
	}
}

// Deliveries that were on their way when the line was cut have not been tried by
// anybody: however often that happens, one rejection does not make a dead letter.
func TestCutsAreNoAttempts(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	sender, portal := h.node("H41/motcua"), h.node("G22/cong")
	submit(t, sender, envelope("a", "0001"))
	for i := range exchange.DefaultAttempts + 1 {
		ctx, cut := context.WithCancel(t.Context())
		stream, err := portal.Receive(ctx)
		if err == nil {
			err = stream.Send(&exchangev1.ReceiveRequest{Credit: 10})
		}
		if err == nil {
			_, err = stream.Recv()
		}
		if err != nil {
			t.Fatal(fmt.Errorf("stream %d: %w", i, err))
		}
		cut()
	}
	pulled, err := portal.Pull(t.Context(), &exchangev1.PullRequest{WaitSeconds: 10})
	if err != nil || len(pulled.GetDeliveries()) != 1 {
		t.Fatalf("pulled %v, %v", pulled, err)
	}
	reject(t, portal, &exchangev1.RejectResponse{Rejected: []uint64{1}}, rejections(1)...)
}
