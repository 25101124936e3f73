package lookup_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/certs"
	lookupv1 "github.com/lienthong/lienthong/gen/lienthong/lookup/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/lookup"
	"github.com/lienthong/lienthong/hub/registry"
	"github.com/lienthong/lienthong/hub/rpc"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
	"github.com/lienthong/lienthong/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const service = "lienthong.enterprise.v1.EnterpriseService/LookUpEnterprise"

// rights: organisations may ask databases.
type rights struct {
	mu        sync.Mutex
	answerers map[string][]string // for the service, by organisation
	databases []string
}

func (r *rights) grant(organisation string, nodes ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answerers[organisation] = append(r.answerers[organisation], nodes...)
}

// Answerers implements lookup.Rights.
func (r *rights) Answerers(organisation packet.Organisation, asked string, _ time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var nodes []string
	if asked == service {
		for _, up := range organisation.Up() {
			nodes = append(nodes, r.answerers[up.String()]...)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// MayAnswer implements lookup.Rights.
func (r *rights) MayAnswer(node string) bool { return slices.Contains(r.databases, node) }

// hub is a lookup service behind real mutual TLS, with its audit log in a real
// store.
type hub struct {
	t         *testing.T
	rights    *rights
	store     *pebblestore.Store
	server    *rpc.Server
	authority *certs.Authority
	address   string
}

func start(t *testing.T, change ...func(*lookup.Config)) *hub {
	t.Helper()
	h := &hub{t: t, rights: &rights{answerers: map[string][]string{}, databases: []string{"G01/csdl", "G02/csdl"}}}
	h.rights.grant("H41", "G01/csdl")
	var err error
	if h.store, err = pebblestore.Open(t.TempDir(), pebblestore.Options{}); err != nil {
		t.Fatal(err)
	}
	cfg := lookup.Config{Rights: h.rights, SpeaksFor: registry.SpeaksFor, Audit: h.store, Caller: rpc.NodeFrom, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)}
	for _, alter := range change {
		alter(&cfg)
	}
	s, err := lookup.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop := h.serve(s)
	t.Cleanup(func() {
		stop()
		if err := h.store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return h
}

func (h *hub) serve(s *lookup.Service) (stop func()) {
	h.t.Helper()
	var err error
	h.authority, err = certs.Create(filepath.Join(h.t.TempDir(), "ca"), certs.AuthorityConfig{TrustDomain: "hub.test", HubName: "hub.test"})
	if err != nil {
		h.t.Fatal(err)
	}
	own, err := h.authority.IssueServer([]string{"127.0.0.1"}, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	validator, err := protovalidate.New()
	if err != nil {
		h.t.Fatal(err)
	}
	h.server, err = rpc.New(rpc.Config{
		TLS: certs.ServerConfig(own), Verifier: h.authority.Verifier(), Authenticate: func(certs.Identity) error { return nil },
		Policy:    rpc.Policy{lookupv1.LookupService_ServiceDesc.ServiceName: rpc.Nodes | rpc.Admins},
		Validator: validator, MaxMessageBytes: 4 << 20, StopWithin: 5 * time.Second, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.server.Register(func(r grpc.ServiceRegistrar) { lookupv1.RegisterLookupServiceServer(r, s) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.t.Context()))
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(ctx, listener) }()
	return func() {
		cancel()
		if err := <-served; err != nil {
			h.t.Errorf("server ended with: %v", err)
		}
	}
}

func (h *hub) node(id string) lookupv1.LookupServiceClient {
	h.t.Helper()
	identity, err := certs.ParseNodeID(id)
	if err != nil {
		h.t.Fatal(err)
	}
	key, request, err := certs.NewKeyAndCSR()
	if err != nil {
		h.t.Fatal(err)
	}
	issued, err := h.authority.IssueNode(request, identity, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.dial(&certs.Credentials{Key: key, Chain: issued.Chain, Roots: h.authority.Roots()})
}

func (h *hub) dial(own *certs.Credentials) lookupv1.LookupServiceClient {
	h.t.Helper()
	conn, err := grpc.NewClient(h.address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, Certificates: []tls.Certificate{*own.TLS()},
	})))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			h.t.Errorf("close connection: %v", err)
		}
	})
	return lookupv1.NewLookupServiceClient(conn)
}

// database is a node that answers.
type database struct {
	t      *testing.T
	stream lookupv1.LookupService_ServeClient
	leave  context.CancelFunc
}

// offer opens a database's stream. The hub may not have its offer yet when it
// returns: ask is for that.
func (h *hub) offer(id string, services ...string) *database {
	h.t.Helper()
	d := h.open(id)
	d.send(&lookupv1.ServeRequest{Kind: &lookupv1.ServeRequest_Offer{Offer: &lookupv1.Offer{Services: services}}})
	return d
}

func (h *hub) open(id string) *database {
	h.t.Helper()
	ctx, leave := context.WithCancel(h.t.Context())
	stream, err := h.node(id).Serve(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	return &database{t: h.t, stream: stream, leave: leave}
}

func (d *database) send(req *lookupv1.ServeRequest) {
	d.t.Helper()
	if err := d.stream.Send(req); err != nil && err != io.EOF {
		d.t.Fatalf("send: %v", err)
	}
}

func (d *database) question() *lookupv1.Question {
	d.t.Helper()
	resp, err := d.stream.Recv()
	if err != nil {
		d.t.Fatalf("wait for a question: %v", err)
	}
	return resp.GetQuestion()
}

func (d *database) answer(id uint64, response string) {
	d.t.Helper()
	d.send(&lookupv1.ServeRequest{Kind: &lookupv1.ServeRequest_Answer{Answer: &lookupv1.Answer{
		QuestionId: id, Outcome: &lookupv1.Answer_Response{Response: []byte(response)},
	}}})
}

// asked is the outcome of a question.
type asked struct {
	resp *lookupv1.AskResponse
	err  error
}

// ask asks in the background, again and again until the database is there.
func (h *hub) ask(node lookupv1.LookupServiceClient, req *lookupv1.AskRequest) <-chan asked {
	outcome := make(chan asked, 1)
	go func() {
		for {
			resp, err := node.Ask(h.t.Context(), req)
			if err != nil && fault.From(err).Reason == "answerer_unavailable" {
				continue
			}
			outcome <- asked{resp, err}
			return
		}
	}()
	return outcome
}

func (h *hub) audit() []*lookupv1.AuditRecord {
	h.t.Helper()
	entries, err := h.store.AuditAfter(h.t.Context(), 0, 10_000)
	if err != nil {
		h.t.Fatal(err)
	}
	records := make([]*lookupv1.AuditRecord, len(entries))
	for i, entry := range entries {
		records[i] = &lookupv1.AuditRecord{}
		if err := proto.Unmarshal(entry.Record, records[i]); err != nil {
			h.t.Fatal(err)
		}
	}
	return records
}

func wantRefused(t *testing.T, err error, code codes.Code, reason string) *fault.Error {
	t.Helper()
	if err == nil {
		t.Fatalf("was let through; want %s %s", code, reason)
	}
	told := fault.From(err)
	if told.Code != code || told.Reason != reason {
		t.Errorf("got %s %s (%v); want %s %s", told.Code, told.Reason, err, code, reason)
	}
	return told
}

func within[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	select {
	case v := <-ch:
		return v
	case <-timer.C:
		t.Fatalf("%s: nothing after 20 seconds", what)
	}
	panic("unreachable")
}
