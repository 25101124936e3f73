package rpc_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/rpc"
)

// Calls that are open to anyone are no way to fill the hub's memory: a connection
// without a valid certificate is cut long before a large message has come.
func TestStrangersCannotSendMuch(t *testing.T) {
	t.Parallel()
	d := open(t, &services{}, func(c *rpc.Config) { c.MaxMessageBytes = 2 << 20 })
	stranger := healthv1.NewHealthClient(d.dial(nil))
	if _, err := stranger.Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Fatalf("a stranger's small call: %v", err)
	}
	large := &healthv1.HealthCheckRequest{Service: strings.Repeat("x", 1<<20)}
	if _, err := stranger.Check(t.Context(), large); status.Code(err) != codes.Unavailable {
		t.Errorf("a stranger's call of 1 MiB: %v; want its connection cut", err)
	}
	if _, err := stranger.Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Errorf("a small call on a new connection: %v", err)
	}
	node := d.dial(issueNode(t, d.authority, "H41/motcua"))
	if _, err := healthv1.NewHealthClient(node).Check(t.Context(), large); status.Code(err) != codes.NotFound {
		t.Errorf("a node's call of 1 MiB: %v; want NOT_FOUND, for there is no such service", err)
	}
}

// One address cannot take all the places of callers without a certificate, and a
// place is free again when its connection ends.
func TestStrangersFromOneAddressAreBounded(t *testing.T) {
	t.Parallel()
	const limit = 50
	d := open(t, &services{})
	check := func(conn *grpc.ClientConn) error {
		_, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
		return err
	}
	conns := make([]*grpc.ClientConn, limit)
	for i := range conns {
		conns[i] = d.dial(nil)
		if err := check(conns[i]); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	if err := check(d.dial(nil)); status.Code(err) != codes.Unavailable {
		t.Errorf("one connection more: %v; want it turned away", err)
	}
	if err := check(d.dial(issueNode(t, d.authority, "H41/motcua"))); err != nil {
		t.Errorf("a node meanwhile: %v", err)
	}
	if err := conns[0].Close(); err != nil {
		t.Fatal(err)
	}
	// It is free once the hub has noticed: the client waits for that.
	_, err := healthv1.NewHealthClient(d.dial(nil)).Check(t.Context(), &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true))
	if err != nil {
		t.Errorf("after one has ended: %v", err)
	}
}

func TestSuspendedNodesAreRefusedBeforeTheirMessage(t *testing.T) {
	t.Parallel()
	d := open(t, &services{})
	node := d.node("H41/motcua")
	if _, err := node.Acknowledge(t.Context(), &exchangev1.AcknowledgeRequest{Sequences: []uint64{1}}); err != nil {
		t.Fatal(err)
	}
	d.suspend("H41/motcua")
	// Larger than any message may be: were it read, that would be the answer.
	tooLarge := envelope("big")
	tooLarge.Content = make([]byte, 2*maxMessage)
	_, err := node.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: tooLarge})
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("a suspended node's message: %v; want PERMISSION_DENIED", err)
	}
}
