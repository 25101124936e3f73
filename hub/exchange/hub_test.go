package exchange_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/registry"
	"github.com/lienthong/lienthong/hub/rpc"
	"github.com/lienthong/lienthong/hub/store/blobs"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
	"github.com/lienthong/lienthong/packet"
)

func TestMain(m *testing.M) {
	// The crash test runs this binary again, as the process to be killed.
	if dir := crashDir(); dir != "" {
		crashable(dir)
	}
	goleak.VerifyTestMain(m)
}

// rights grants every node in it the progress packets of an organisation and of
// all below it.
type rights struct {
	mu        sync.Mutex
	receivers map[string][]string // by organisation
}

func (r *rights) grant(organisation string, nodes ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.receivers[organisation] = append(r.receivers[organisation], nodes...)
}

func (r *rights) revoke(organisation string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.receivers, organisation)
}

// Receivers implements exchange.Rights.
func (r *rights) Receivers(organisation packet.Organisation, typ packetv1.PacketType, _ time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var nodes []string
	if typ == packetv1.PacketType_PACKET_TYPE_PROGRESS {
		for _, up := range organisation.Up() {
			nodes = append(nodes, r.receivers[up.String()]...)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// clock is the machine's, put forward, or stopped.
type clock struct {
	mu      sync.Mutex
	ahead   time.Duration
	stopped time.Time
	asked   int
}

func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = time.Now()
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if !c.stopped.IsZero() {
		return c.stopped.Add(c.ahead)
	}
	return time.Now().Add(c.ahead)
}

func (c *clock) timesAsked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// hub is an exchange over a real store and ledger behind real mutual TLS.
type hub struct {
	t         *testing.T
	dir       string
	rights    *rights
	clock     *clock
	key       string // verifies receipts
	service   *exchange.Service
	store     *pebblestore.Store
	authority *certs.Authority
	address   string

	stopServer, stopRun, stop func()
}

type options struct {
	dir    string
	limits exchange.Limits
	// brake lets a test hold up or break the store.
	brake func(exchange.Store) exchange.Store
	codec exchange.Codec // nil: the real one
	quota func(node string) exchange.Quota
	large bool // it takes large packets
}

func start(t *testing.T, o options) *hub {
	t.Helper()
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	h := &hub{t: t, dir: o.dir, rights: &rights{receivers: map[string][]string{}}, clock: &clock{}}
	h.rights.grant("H41", "G22/cong")
	var err error
	if h.store, err = pebblestore.Open(filepath.Join(o.dir, "store"), pebblestore.Options{}); err != nil {
		t.Fatal(err)
	}
	var s exchange.Store = h.store
	if o.brake != nil {
		s = o.brake(s)
	}
	signer, err := ledger.Open(o.dir, "hub.test")
	if err != nil {
		t.Fatal(err)
	}
	h.key = signer.VerifierKey()
	cfg := exchange.Config{
		Store: s, DeadLetters: h.store, Rights: h.rights, Ledger: signer, Caller: rpc.NodeFrom, Limits: o.limits, Clock: h.clock.now,
		Codec: o.codec, Quota: o.quota, Stopping: rpc.Stopping, End: rpc.End,
	}
	if o.large {
		cfg.Large = readers(t)
		if cfg.Blobs, err = blobs.Open(filepath.Join(o.dir, "blobs"), blobs.Options{Accepted: exchange.NeedsContent(h.store)}); err != nil {
			t.Fatal(err)
		}
	}
	h.service = newService(t, cfg)
	runCtx, stopRun := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)
	go func() { ran <- h.service.Run(runCtx) }()
	h.stopRun = sync.OnceFunc(func() {
		stopRun()
		if err := <-ran; err != nil {
			t.Errorf("exchange ended with: %v", err)
		}
	})
	h.stopServer = sync.OnceFunc(h.serve())
	h.stop = sync.OnceFunc(func() {
		h.stopServer()
		h.stopRun()
		if err := h.store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	t.Cleanup(h.stop)
	return h
}

// newService fills in what all tests have in common.
func newService(t testing.TB, cfg exchange.Config) *exchange.Service {
	t.Helper()
	validator, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Codec == nil {
		cfg.Codec = newCodec(t)
	}
	cfg.SpeaksFor = registry.SpeaksFor
	cfg.Validator, cfg.Logger = validator, slog.New(slog.DiscardHandler)
	service, err := exchange.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func newCodec(t testing.TB) *packet.Codec {
	t.Helper()
	codec, err := packet.NewCodec(packet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

func (h *hub) serve() (stop func()) {
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
	server, err := rpc.New(rpc.Config{
		TLS: certs.ServerConfig(own), Verifier: h.authority.Verifier(), Authenticate: func(certs.Identity) error { return nil },
		Policy: rpc.Policy{
			exchangev1.ExchangeService_ServiceDesc.ServiceName: rpc.Nodes | rpc.Admins, exchangev1.TransferService_ServiceDesc.ServiceName: rpc.Nodes,
		},
		Validator: validator, MaxMessageBytes: 32 << 20, StopWithin: 5 * time.Second, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	server.Register(func(r grpc.ServiceRegistrar) {
		exchangev1.RegisterExchangeServiceServer(r, h.service)
		exchangev1.RegisterTransferServiceServer(r, h.service)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	h.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.t.Context()))
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	return func() {
		cancel()
		if err := <-served; err != nil {
			h.t.Errorf("server ended with: %v", err)
		}
	}
}

// node returns a client that is the node, on a connection of its own.
func (h *hub) node(id string) exchangev1.ExchangeServiceClient {
	h.t.Helper()
	return h.dial(h.issue(id))
}

// transfers returns a client for large contents that is the node.
func (h *hub) transfers(id string) exchangev1.TransferServiceClient {
	h.t.Helper()
	return exchangev1.NewTransferServiceClient(h.connect(h.issue(id)))
}

func (h *hub) issue(id string) *certs.Credentials {
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
	return &certs.Credentials{Key: key, Chain: issued.Chain, Roots: h.authority.Roots()}
}

func (h *hub) dial(own *certs.Credentials) exchangev1.ExchangeServiceClient {
	h.t.Helper()
	return exchangev1.NewExchangeServiceClient(h.connect(own))
}

func (h *hub) connect(own *certs.Credentials) *grpc.ClientConn {
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
	return conn
}

// progress is a progress packet about a dossier of H41.
func progress(dossier, comment string) []byte { return progressOf("H41", dossier, comment) }

func progressOf(inCharge, dossier, comment string) []byte {
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>
<MDocumentTraces>
  <DocumentId>1</DocumentId>
  <DocCode>H41.04-240105-%s</DocCode>
  <UserName>Mẫu</UserName>
  <UserPosition>Chuyên viên</UserPosition>
  <DateCreated>2024-01-08T10:00:00.000+07:00</DateCreated>
  <Comment>%s</Comment>
  <Status>4</Status>
  <OrganizationInchargeIdLevel1>%s</OrganizationInchargeIdLevel1>
  <OrganizationInchargeName>UBND tỉnh</OrganizationInchargeName>
</MDocumentTraces>
`, dossier, comment, inCharge)
}

// envelope is one with a progress packet about a dossier.
func envelope(id, dossier string) *exchangev1.Envelope {
	return &exchangev1.Envelope{
		Id: id, Type: packetv1.PacketType_PACKET_TYPE_PROGRESS, Format: exchangev1.Format_FORMAT_XML,
		Content: progress(dossier, "Đã thẩm định "+id),
	}
}

// padded makes an envelope's content that much larger.
func padded(env *exchangev1.Envelope, size int) {
	env.Content = append(env.Content, "<!--"+strings.Repeat(" ", size)+"-->"...)
}

func submit(t *testing.T, node exchangev1.ExchangeServiceClient, env *exchangev1.Envelope) *exchangev1.SubmitResponse {
	t.Helper()
	resp, err := node.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: env})
	if err != nil {
		t.Fatalf("submit %s: %v", env.GetId(), err)
	}
	return resp
}

// stream opens a stream that ends with the test.
func submitStream(t *testing.T, node exchangev1.ExchangeServiceClient) exchangev1.ExchangeService_SubmitStreamClient {
	t.Helper()
	stream, err := node.SubmitStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// results reads that many results, by id and in the order of each id's.
func results(t *testing.T, stream exchangev1.ExchangeService_SubmitStreamClient, count int) map[string][]*exchangev1.SubmitResult {
	t.Helper()
	byID := map[string][]*exchangev1.SubmitResult{}
	for got := 0; got < count; {
		frame, err := stream.Recv()
		if err != nil {
			t.Fatalf("after %d of %d results: %v", got, count, err)
		}
		for _, result := range frame.GetResults() {
			byID[result.GetId()] = append(byID[result.GetId()], result)
			got++
		}
	}
	return byID
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
	if told.VI == "" || told.EN == "" {
		t.Errorf("%s: texts are %q and %q; want both languages", reason, told.EN, told.VI)
	}
	return told
}

// within fails the test where a channel brings nothing in time.
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

func sequences(deliveries []*exchangev1.Delivery) []uint64 {
	all := []uint64{}
	for _, d := range deliveries {
		all = append(all, d.GetPacket().GetSequence())
	}
	return all
}

func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
