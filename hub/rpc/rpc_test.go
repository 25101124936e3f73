package rpc_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	lookupv1 "github.com/lienthong/lienthong/gen/lienthong/lookup/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const maxMessage = 64 << 10

// services are handlers that tests put in place. A nil one is UNIMPLEMENTED.
type services struct {
	exchangev1.UnimplementedExchangeServiceServer
	registryv1.UnimplementedRegistryServiceServer
	viewv1.UnimplementedViewServiceServer
	lookupv1.UnimplementedLookupServiceServer

	pull    func(context.Context) error
	submit  func(exchangev1.ExchangeService_SubmitStreamServer) error
	receive func(exchangev1.ExchangeService_ReceiveServer) error
	serve   func(lookupv1.LookupService_ServeServer) error
}

func (s *services) Pull(ctx context.Context, _ *exchangev1.PullRequest) (*exchangev1.PullResponse, error) {
	if s.pull != nil {
		if err := s.pull(ctx); err != nil {
			return nil, err
		}
	}
	return &exchangev1.PullResponse{}, nil
}

func (s *services) Acknowledge(context.Context, *exchangev1.AcknowledgeRequest) (*exchangev1.AcknowledgeResponse, error) {
	return &exchangev1.AcknowledgeResponse{}, nil
}

func (s *services) SubmitStream(stream exchangev1.ExchangeService_SubmitStreamServer) error {
	return s.submit(stream)
}

func (s *services) Receive(stream exchangev1.ExchangeService_ReceiveServer) error {
	return s.receive(stream)
}

func (s *services) Serve(stream lookupv1.LookupService_ServeServer) error { return s.serve(stream) }

func (s *services) ListNodes(context.Context, *registryv1.ListNodesRequest) (*registryv1.ListNodesResponse, error) {
	return &registryv1.ListNodesResponse{}, nil
}

// door is a server with a certificate authority behind it.
type door struct {
	t         *testing.T
	authority *certs.Authority
	server    *rpc.Server
	address   string
	log       *bytes.Buffer // to be read after stop
	stop      func() error

	mu       sync.Mutex
	now      time.Time // by the server's clock; zero: the machine's
	inactive map[string]bool
}

func (d *door) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.now.IsZero() {
		return time.Now()
	}
	return d.now
}

func (d *door) setClock(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = now
}

// suspend does what the registry does: first the node's state, then its calls.
func (d *door) suspend(node string) {
	d.mu.Lock()
	d.inactive[node] = true
	d.mu.Unlock()
	d.server.EndSessions(node, fault.New(codes.PermissionDenied, "node_not_active", "suspended", "đã tạm dừng"))
}

func (d *door) authenticate(identity certs.Identity) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inactive[identity.String()] || identity.Kind == 0 {
		return fault.New(codes.PermissionDenied, "node_not_active", "not active", "không hoạt động")
	}
	return nil
}

func newAuthority(t *testing.T, clock func() time.Time) *certs.Authority {
	t.Helper()
	authority, err := certs.Create(filepath.Join(t.TempDir(), "ca"), certs.AuthorityConfig{TrustDomain: "hub.test", HubName: "hub.test", Clock: clock})
	if err != nil {
		t.Fatalf("create authority: %v", err)
	}
	return authority
}

func open(t *testing.T, s *services, change ...func(*rpc.Config)) *door {
	t.Helper()
	d := &door{t: t, log: &bytes.Buffer{}, inactive: map[string]bool{}}
	d.authority = newAuthority(t, d.clock)
	own, err := d.authority.IssueServer([]string{"127.0.0.1"}, 0)
	if err != nil {
		t.Fatalf("server certificate: %v", err)
	}
	validator, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	cfg := rpc.Config{
		TLS: certs.ServerConfig(own), Verifier: d.authority.Verifier(), Authenticate: d.authenticate,
		Policy: rpc.Policy{
			"lienthong.exchange.v1.ExchangeService": rpc.Nodes,
			"lienthong.lookup.v1.LookupService":     rpc.Nodes,
			"lienthong.registry.v1.RegistryService": rpc.Admins,
			"grpc.health.v1.Health":                 rpc.Anyone,
		},
		Validator: validator, MaxMessageBytes: maxMessage, StopWithin: time.Second, Clock: d.clock,
		Logger: slog.New(slog.NewJSONHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, alter := range change {
		alter(&cfg)
	}
	if d.server, err = rpc.New(cfg); err != nil {
		t.Fatal(err)
	}
	d.server.Register(func(r grpc.ServiceRegistrar) {
		exchangev1.RegisterExchangeServiceServer(r, s)
		registryv1.RegisterRegistryServiceServer(r, s)
		viewv1.RegisterViewServiceServer(r, s) // the policy does not name it
		lookupv1.RegisterLookupServiceServer(r, s)
		healthv1.RegisterHealthServer(r, health.NewServer())
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- d.server.Serve(ctx, listener) }()
	d.stop = sync.OnceValue(func() error {
		cancel()
		return <-served
	})
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Errorf("server ended with: %v", err)
		}
	})
	return d
}

func issueNode(t *testing.T, authority *certs.Authority, id string) *certs.Credentials {
	t.Helper()
	identity, err := certs.ParseNodeID(id)
	if err != nil {
		t.Fatal(err)
	}
	key, request, err := certs.NewKeyAndCSR()
	if err != nil {
		t.Fatal(err)
	}
	issued, err := authority.IssueNode(request, identity, time.Hour)
	if err != nil {
		t.Fatalf("certificate of %s: %v", id, err)
	}
	return &certs.Credentials{Key: key, Chain: issued.Chain, Roots: authority.Roots()}
}

func issueAdmin(t *testing.T, authority *certs.Authority) *certs.Credentials {
	t.Helper()
	credentials, err := authority.IssueAdmin("lan", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

// dial connects with a certificate, or without one.
func (d *door) dial(own *certs.Credentials) *grpc.ClientConn {
	d.t.Helper()
	// The server's side is the certs package's to test.
	config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
	if own != nil {
		config.Certificates = []tls.Certificate{*own.TLS()}
	}
	conn, err := grpc.NewClient(d.address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		if err := conn.Close(); err != nil && status.Code(err) != codes.Canceled {
			d.t.Errorf("close connection: %v", err)
		}
	})
	return conn
}

func (d *door) node(id string) exchangev1.ExchangeServiceClient {
	d.t.Helper()
	return exchangev1.NewExchangeServiceClient(d.dial(issueNode(d.t, d.authority, id)))
}

func wantRefused(t *testing.T, err error, code codes.Code, reason string) {
	t.Helper()
	if err == nil {
		t.Errorf("was let through; want %s %s", code, reason)
		return
	}
	if told := fault.From(err); told.Code != code || told.Reason != reason {
		t.Errorf("got %s %s (%v); want %s %s", told.Code, told.Reason, err, code, reason)
	}
}

// within fails the test where a channel brings nothing in time.
func within[T any](t *testing.T, limit time.Duration, ch <-chan T, what string) T {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		t.Fatalf("%s: nothing after %v", what, limit)
	}
	panic("unreachable")
}

// end returns the error that a stream ends with.
func end(stream interface {
	Recv() (*exchangev1.ReceiveResponse, error)
}) <-chan error {
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}

func untilDone(stream exchangev1.ExchangeService_ReceiveServer) error {
	<-stream.Context().Done()
	return errors.New("the handler's own text")
}
