package rpc_test

import (
	"context"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/hub/rpc"
)

// calls makes one call of each kind of service.
func calls() map[string]func(context.Context, grpc.ClientConnInterface) error {
	return map[string]func(context.Context, grpc.ClientConnInterface) error{
		"node service": func(ctx context.Context, conn grpc.ClientConnInterface) error {
			_, err := exchangev1.NewExchangeServiceClient(conn).Pull(ctx, &exchangev1.PullRequest{})
			return err
		},
		"node stream": func(ctx context.Context, conn grpc.ClientConnInterface) error {
			stream, err := exchangev1.NewExchangeServiceClient(conn).Receive(ctx)
			if err != nil {
				return err
			}
			if _, err = stream.Recv(); err == io.EOF {
				return nil
			}
			return err
		},
		"admin service": func(ctx context.Context, conn grpc.ClientConnInterface) error {
			_, err := registryv1.NewRegistryServiceClient(conn).ListNodes(ctx, &registryv1.ListNodesRequest{})
			return err
		},
		"unnamed service": func(ctx context.Context, conn grpc.ClientConnInterface) error {
			_, err := viewv1.NewViewServiceClient(conn).GetDossier(ctx, &viewv1.GetDossierRequest{})
			return err
		},
		"service for anyone": func(ctx context.Context, conn grpc.ClientConnInterface) error {
			_, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
			return err
		},
		"stream for anyone": func(ctx context.Context, conn grpc.ClientConnInterface) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			stream, err := healthv1.NewHealthClient(conn).Watch(ctx, &healthv1.HealthCheckRequest{})
			if err != nil {
				return err
			}
			_, err = stream.Recv()
			return err
		},
	}
}

type refusal struct {
	code   codes.Code
	reason string
}

func everything(r refusal) map[string]refusal {
	return map[string]refusal{"node service": r, "node stream": r, "admin service": r, "unnamed service": r}
}

func TestWhoMayCallWhat(t *testing.T) {
	t.Parallel()
	d := open(t, &services{receive: func(exchangev1.ExchangeService_ReceiveServer) error { return nil }})
	notForYou := refusal{codes.PermissionDenied, "not_for_you"}
	suspended := issueNode(t, d.authority, "H41/tam-dung")
	d.suspend("H41/tam-dung")
	asServer, err := d.authority.IssueServer([]string{"127.0.0.1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		own  *certs.Credentials
		want map[string]refusal // of the calls that are refused
	}{
		"a node": {issueNode(t, d.authority, "H41/motcua"), map[string]refusal{
			"admin service": notForYou, "unnamed service": notForYou,
		}},
		"an administrator": {issueAdmin(t, d.authority), map[string]refusal{
			"node service": notForYou, "node stream": notForYou, "unnamed service": notForYou,
		}},
		"a stranger":                          {nil, everything(refusal{codes.Unauthenticated, "certificate_missing"})},
		"a node of another authority":         {issueNode(t, newAuthority(t, time.Now), "H41/motcua"), everything(refusal{codes.Unauthenticated, "certificate_unknown_authority"})},
		"an admin of another authority":       {issueAdmin(t, newAuthority(t, time.Now)), everything(refusal{codes.Unauthenticated, "certificate_unknown_authority"})},
		"a hub's certificate":                 {asServer, everything(refusal{codes.Unauthenticated, "certificate_invalid"})},
		"a node that the registry turns away": {suspended, everything(refusal{codes.PermissionDenied, "node_not_active"})},
	} {
		t.Run(name, func(t *testing.T) {
			conn := d.dial(c.own)
			for what, call := range calls() {
				err := call(t.Context(), conn)
				want, refused := c.want[what]
				switch {
				case refused:
					t.Log(what)
					wantRefused(t, err, want.code, want.reason)
				case err != nil:
					t.Errorf("%s: %v; want it let through", what, err)
				}
			}
		})
	}
}

// A connection outlives the certificate it was made with; what it is allowed
// does not.
func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	d := open(t, &services{})
	own := issueNode(t, d.authority, "H41/motcua")
	conn := d.dial(own)
	call := calls()["node service"]
	if err := call(t.Context(), conn); err != nil {
		t.Fatalf("before the end: %v", err)
	}
	d.setClock(own.Chain[0].NotAfter.Add(time.Second))
	wantRefused(t, call(t.Context(), conn), codes.Unauthenticated, "certificate_expired")
	wantRefused(t, call(t.Context(), d.dial(own)), codes.Unauthenticated, "certificate_expired")
}

func TestLiveStreamEndsWithItsCertificate(t *testing.T) {
	t.Parallel()
	d := open(t, &services{receive: untilDone})
	own := issueNode(t, d.authority, "H41/motcua")
	d.setClock(own.Chain[0].NotAfter.Add(-300 * time.Millisecond))
	stream, err := exchangev1.NewExchangeServiceClient(d.dial(own)).Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, within(t, 5*time.Second, end(stream), "end of the stream"), codes.Unauthenticated, "certificate_expired")
}

func TestInProcessCallsPassTheSameChecks(t *testing.T) {
	t.Parallel()
	d := open(t, &services{receive: func(exchangev1.ExchangeService_ReceiveServer) error { return nil }})
	conn := d.server.InProcess()
	as := func(identity certs.Identity) context.Context { return rpc.WithCaller(t.Context(), identity) }
	node := certs.Identity{Kind: certs.KindNode, Organisation: "H41", Name: "motcua"}
	old := node
	old.NotAfter = time.Now().Add(-time.Second)
	turnedAway := certs.Identity{Kind: certs.KindNode, Organisation: "H41", Name: "tam-dung"}
	d.suspend(turnedAway.String())
	for what, call := range calls() {
		if what == "service for anyone" || what == "stream for anyone" {
			if err := call(t.Context(), conn); err != nil {
				t.Errorf("%s without an identity: %v", what, err)
			}
			continue
		}
		t.Log(what)
		wantRefused(t, call(t.Context(), conn), codes.Unauthenticated, "certificate_missing")
		wantRefused(t, call(as(old), conn), codes.Unauthenticated, "certificate_expired")
		wantRefused(t, call(as(turnedAway), conn), codes.PermissionDenied, "node_not_active")
		wantRefused(t, call(as(certs.Identity{Kind: certs.KindHub, Name: "hub.test"}), conn), codes.PermissionDenied, "not_for_you")
	}
	for _, what := range []string{"node service", "node stream"} {
		if err := calls()[what](as(node), conn); err != nil {
			t.Errorf("%s as a node: %v", what, err)
		}
	}
}

// The handler learns who calls, and in process, only what the edge has verified.
func TestHandlersLearnWhoCalls(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	d := open(t, &services{pull: func(ctx context.Context) error {
		node, _ := rpc.NodeFrom(ctx)
		seen <- node
		return nil
	}})
	call := calls()["node service"]
	if err := call(t.Context(), d.dial(issueNode(t, d.authority, "G12.18/dvc"))); err != nil {
		t.Fatal(err)
	}
	if node := within(t, time.Second, seen, "the call"); node != "G12.18/dvc" {
		t.Errorf("over the network, the caller is %q; want G12.18/dvc", node)
	}
	identity := certs.Identity{Kind: certs.KindNode, Organisation: "H41", Name: "motcua"}
	if err := call(rpc.WithCaller(t.Context(), identity), d.server.InProcess()); err != nil {
		t.Fatal(err)
	}
	if node := within(t, time.Second, seen, "the call"); node != "H41/motcua" {
		t.Errorf("in process, the caller is %q; want H41/motcua", node)
	}
}

func TestUnknownMethodsAreUnimplemented(t *testing.T) {
	t.Parallel()
	d := open(t, &services{})
	conn := d.dial(issueNode(t, d.authority, "H41/motcua"))
	err := conn.Invoke(t.Context(), "/lienthong.exchange.v1.ExchangeService/Delete", &exchangev1.PullRequest{}, &exchangev1.PullResponse{})
	wantRefused(t, err, codes.Unimplemented, "unimplemented")
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	t.Parallel()
	if _, err := rpc.New(rpc.Config{}); err == nil {
		t.Error("a server without TLS and policy was made")
	}
}
