package nodes_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
)

// On a line that takes a second for 256 KiB, a large packet that may not stand still for
// half a second comes through, both ways: what the hub waits for is a small piece.
func TestLargePacketsOverASlowLine(t *testing.T) {
	t.Parallel()
	const kibPerSecond = 256
	h := hubtest.Start(t, func(c *hub.Config) { c.TransferIdle = 500 * time.Millisecond })
	l := startLine(t)
	l.hub = h.GRPCAddress()
	l.turn(t)
	sender := join(t, h.AddNode(lineSender, registryv1.NodeKind_NODE_KIND_ONE_STOP), l.address)
	recipient := join(t, h.AddNode(lineRecipient, registryv1.NodeKind_NODE_KIND_PORTAL), l.address)
	h.Grant("H41", lineRecipient)
	file, size := dossierFile(t, 600<<10)
	l.turn(t, up("bandwidth", map[string]int{"rate": kibPerSecond}), down("bandwidth", map[string]int{"rate": kibPerSecond}))
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	accepted, err := sender.SubmitLarge(ctx, large(), file, size)
	if err != nil {
		t.Fatalf("submit %d bytes: %v", size, err)
	}
	received := receiveOne(t, recipient, func(ctx context.Context, p *exchangev1.AcceptedPacket) error {
		r := recipient.Open(ctx, p)
		n, err := io.Copy(io.Discard, r)
		if n != size {
			t.Errorf("received %d bytes; want %d", n, size)
		}
		return errors.Join(err, r.Close())
	})
	if received.GetSequence() != accepted.Statement.GetSequence() {
		t.Errorf("received %d; want %d", received.GetSequence(), accepted.Statement.GetSequence())
	}
	// Sent once in each direction: nothing was begun anew.
	if took, most := time.Since(began), 4*time.Duration(size)*time.Second/(kibPerSecond<<10); took > most {
		t.Errorf("it took %v; want at most %v, which is twice the line's time", took, most)
	}
}
