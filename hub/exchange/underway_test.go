package exchange_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/packet"
)

// told tells of each packet that is read.
type told struct {
	exchange.Codec
	reads atomic.Int64
	again chan struct{} // from the second one on
}

// Decode implements exchange.Reader.
func (r *told) Decode(typ packetv1.PacketType, format exchangev1.Format, content []byte) (*packet.Packet, error) {
	if r.reads.Add(1) > 1 {
		r.again <- struct{}{}
	}
	return r.Codec.Decode(typ, format, content) //nolint:wrapcheck // a codec
}

// An envelope that is sent again while it is on its way to its commit gets what that
// comes to, and no refusal by what has changed meanwhile: it would be refused for good,
// and delivered.
func TestSentAgainOnItsWayToTheCommit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		commit   error
		accepted bool
	}{
		{name: "that is accepted", accepted: true},
		{name: "that fails", commit: store.ErrFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g, codec := newGate(), &told{Codec: newCodec(t), again: make(chan struct{}, 1)}
			h := start(t, options{brake: g.brake, codec: codec})
			sender := h.node("H41/motcua")
			cut, cancel := context.WithCancel(t.Context())
			defer cancel()
			first, second := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := sender.Submit(cut, &exchangev1.SubmitRequest{Envelope: envelope("x", "0001")})
				first <- err
			}()
			within(t, g.arrived, "the commit")
			cancel()
			if err := within(t, first, "the end of the call"); err == nil {
				t.Fatal("the call was answered before the commit")
			}
			h.rights.revoke("H41")
			var resp *exchangev1.SubmitResponse
			go func() {
				var err error
				resp, err = sender.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: envelope("x", "0001")})
				second <- err
			}()
			within(t, codec.again, "reading it again")
			g.open <- c.commit
			close(g.free)
			err := within(t, second, "the answer")
			switch {
			case !c.accepted:
				wantRefused(t, err, codes.PermissionDenied, "right_missing")
			case err != nil || resp.GetStatement().GetSequence() != 1:
				t.Errorf("sent again: %v, %v; want the receipt of sequence 1", resp, err)
			}
		})
	}
}

// Who waits for an earlier copy waits no longer than its call lasts.
func TestWaitingForAnEarlierCopyEndsWithTheCall(t *testing.T) {
	t.Parallel()
	g, codec := newGate(), &told{Codec: newCodec(t), again: make(chan struct{}, 1)}
	h := start(t, options{brake: g.brake, codec: codec})
	sender := h.node("H41/motcua")
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := sender.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: envelope("x", "0001")})
		first <- err
	}()
	within(t, g.arrived, "the commit")
	h.rights.revoke("H41")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		_, err := sender.Submit(ctx, &exchangev1.SubmitRequest{Envelope: envelope("x", "0001")})
		second <- err
	}()
	within(t, codec.again, "reading it again")
	cancel(errors.New("enough"))
	if err := within(t, second, "the end of the call"); err == nil {
		t.Error("a call that has ended was answered")
	}
	close(g.free)
	if err := within(t, first, "the first one's answer"); err != nil {
		t.Error(err)
	}
}
