package admin_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"

	"github.com/lienthong/lienthong/certs"
	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/admin"
	"github.com/lienthong/lienthong/hub/registry"
	"github.com/lienthong/lienthong/hub/rpc"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// logged is what the services wrote to the log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// hub is a registry behind a real gRPC door with mutual TLS.
type hub struct {
	t         *testing.T
	authority *certs.Authority
	registry  *registry.Registry
	address   string
	profile   string // of an administrator
	log       *logged
}

func newHub(t *testing.T, changes ...func(*registry.Config)) *hub {
	t.Helper()
	h := &hub{t: t, log: &logged{}}
	var err error
	h.authority, err = certs.Create(filepath.Join(t.TempDir(), "ca"), certs.AuthorityConfig{TrustDomain: "hub.test", HubName: "hub"})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := pebblestore.Open(filepath.Join(t.TempDir(), "store"), pebblestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = listener.Addr().String()
	cfg := registry.Config{
		Store: kept, Issuer: h.authority, Address: h.address, LedgerKey: "hub+key", Logger: slog.New(slog.DiscardHandler),
	}
	for _, change := range changes {
		change(&cfg)
	}
	h.registry, err = registry.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.serve(listener)
	credentials, err := h.authority.IssueAdmin("an", 0)
	if err != nil {
		t.Fatal(err)
	}
	h.profile = h.saveProfile(credentials)
	return h
}

func (h *hub) saveProfile(credentials *certs.Credentials) string {
	h.t.Helper()
	dir := filepath.Join(h.t.TempDir(), "profile")
	if err := certs.SaveProfile(dir, certs.Hub{Address: h.address}, credentials); err != nil {
		h.t.Fatal(err)
	}
	return dir
}

func (h *hub) serve(listener net.Listener) {
	h.t.Helper()
	credentials, err := h.authority.IssueServer([]string{"127.0.0.1"}, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	validator, err := protovalidate.New()
	if err != nil {
		h.t.Fatal(err)
	}
	logger := slog.New(slog.NewTextHandler(h.log, nil))
	server, err := rpc.New(rpc.Config{
		TLS: certs.ServerConfig(credentials), Verifier: h.authority.Verifier(), Authenticate: h.registry.Authenticate,
		Policy: rpc.Policy{
			registryv1.RegistryService_ServiceDesc.ServiceName:   rpc.Admins,
			enrolmentv1.EnrolmentService_ServiceDesc.ServiceName: rpc.Anyone,
		},
		Validator: validator, MaxMessageBytes: 17 << 20, StopWithin: time.Second, Clock: time.Now, Logger: logger,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	caller := func(ctx context.Context) (string, bool) {
		identity, ok := rpc.CallerFrom(ctx)
		return identity.String(), ok
	}
	server.Register(func(s grpc.ServiceRegistrar) {
		registryv1.RegisterRegistryServiceServer(s, admin.NewRegistryService(h.registry, h.waiting, caller, logger))
		enrolmentv1.RegisterEnrolmentServiceServer(s, admin.NewEnrolmentService(h.registry, logger))
	})
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	h.t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			h.t.Errorf("serve: %v", err)
		}
	})
}

// run runs `admin` with arguments as the administrator.
func (h *hub) run(args ...string) (string, error) {
	h.t.Helper()
	return run(h.t, "", append(args, "--profile", h.profile)...)
}

func run(t *testing.T, input string, args ...string) (string, error) {
	t.Helper()
	cmd := admin.Commands()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetIn(strings.NewReader(input))
	cmd.SilenceErrors = true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// ok runs a command that has to work and returns what it printed.
func (h *hub) ok(args ...string) string {
	h.t.Helper()
	out, err := h.run(args...)
	if err != nil {
		h.t.Fatalf("admin %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// refused runs a command that has to fail and returns what it says.
func (h *hub) refused(args ...string) string {
	h.t.Helper()
	out, err := h.run(args...)
	if err == nil {
		h.t.Fatalf("admin %s worked: %s", strings.Join(args, " "), out)
	}
	if strings.Contains(err.Error(), "rpc error") || strings.Contains(out, "Usage:") {
		h.t.Errorf("admin %s does not fail like a person talks:\n%s\n%v", strings.Join(args, " "), out, err)
	}
	return err.Error()
}

func wantIn(t *testing.T, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in:\n%s", w, text)
		}
	}
}

// waiting says that a dozen packets wait for the portal.
func (h *hub) waiting(_ context.Context, node string) (*registryv1.Waiting, error) {
	if node != "G22/portal" {
		return &registryv1.Waiting{}, nil
	}
	return &registryv1.Waiting{Deliveries: 12, Bytes: 3 << 19}, nil
}
