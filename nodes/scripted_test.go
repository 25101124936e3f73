package nodes_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lienthong/lienthong/certs"
	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	lookupv1 "github.com/lienthong/lienthong/gen/lienthong/lookup/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/nodes"
)

const sender = "H41/motcua"

// scripted is a hub that can be told to fail, and when: a gRPC server over mutual
// TLS on loopback. What it accepts and signs is real.
type scripted struct {
	exchangev1.UnimplementedExchangeServiceServer
	lookupv1.UnimplementedLookupServiceServer
	enrolmentv1.UnimplementedEnrolmentServiceServer
	exchangev1.UnimplementedTransferServiceServer

	authority *certs.Authority
	ledger    *ledger.Ledger
	listener  *breakable
	server    *grpc.Server

	mu        sync.Mutex
	accepted  []*exchangev1.Envelope // in order of first acceptance
	receipts  map[string]*exchangev1.Receipt
	submitted int // envelopes that came, repeated ones too
	streams   int // streams that were opened
	fault     func(n int, env *exchangev1.Envelope) fault

	delivered uint64                 // last sequence
	sentUpTo  uint64                 // last sequence a stream was given
	inbox     []*exchangev1.Delivery // not acknowledged
	// deaf loses acknowledgements: the connection is cut instead of taking them.
	deaf func(sequences []uint64) bool

	join     func(*enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error)
	ask      func(context.Context, *lookupv1.AskRequest) (*lookupv1.AskResponse, error)
	serve    func(lookupv1.LookupService_ServeServer) error
	uploads  exchangev1.TransferServiceServer
	changed  chan struct{}
	admitted func(context.Context) error
}

// fault is what becomes of one envelope.
type fault struct {
	cutBefore, cutAfter bool  // the connection, before or after it is accepted
	refuse              error // a *fault.Error
	end                 error // of the stream
	spoil               func(*exchangev1.Receipt)
}

// breakable is a listener whose connections can be cut.
type breakable struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (b *breakable) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	if err == nil {
		b.mu.Lock()
		b.conns = append(b.conns, conn)
		b.mu.Unlock()
	}
	return conn, err
}

func (b *breakable) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, conn := range b.conns {
		_ = conn.Close()
	}
	b.conns = nil
}

func startHub(t testing.TB) *scripted {
	t.Helper()
	dir := t.TempDir()
	authority, err := certs.Create(filepath.Join(dir, "ca"), certs.AuthorityConfig{TrustDomain: "lienthong.test", HubName: "hub1"})
	if err != nil {
		t.Fatalf("authority: %v", err)
	}
	book, err := ledger.Open(dir, "hub1")
	if err != nil {
		t.Fatalf("ledger: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	own, err := authority.IssueServer([]string{"127.0.0.1"}, 0)
	if err != nil {
		t.Fatalf("server certificate: %v", err)
	}
	h := &scripted{
		authority: authority, ledger: book, listener: &breakable{Listener: listener},
		receipts: map[string]*exchangev1.Receipt{}, changed: make(chan struct{}),
		server: grpc.NewServer(grpc.Creds(credentials.NewTLS(certs.ServerConfig(own))), grpc.MaxRecvMsgSize(4<<20)),
	}
	exchangev1.RegisterExchangeServiceServer(h.server, h)
	lookupv1.RegisterLookupServiceServer(h.server, h)
	enrolmentv1.RegisterEnrolmentServiceServer(h.server, h)
	exchangev1.RegisterTransferServiceServer(h.server, transfers{h})
	served := make(chan error, 1)
	go func() { served <- h.server.Serve(h.listener) }()
	t.Cleanup(func() {
		h.server.Stop()
		if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("serve: %v", err)
		}
	})
	return h
}

// transfers are those of a hub, as a test has set them.
type transfers struct{ *scripted }

func (t transfers) GetUpload(ctx context.Context, req *exchangev1.GetUploadRequest) (*exchangev1.GetUploadResponse, error) {
	return t.uploads.GetUpload(ctx, req)
}

func (t transfers) Upload(stream exchangev1.TransferService_UploadServer) error {
	return t.uploads.Upload(stream)
}

func (h *scripted) profile() certs.Hub {
	return certs.Hub{Address: h.listener.Addr().String(), LedgerKey: h.ledger.VerifierKey()}
}

func (h *scripted) credentials(t testing.TB, node string) *certs.Credentials {
	t.Helper()
	key, csr, err := certs.NewKeyAndCSR()
	if err != nil {
		t.Fatalf("key: %v", err)
	}
	id, err := certs.ParseNodeID(node)
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	issued, err := h.authority.IssueNode(csr, id, 0)
	if err != nil {
		t.Fatalf("issue: %v", err)
	}
	return &certs.Credentials{Key: key, Chain: issued.Chain, Roots: h.authority.Roots()}
}

// config has a backoff of a millisecond.
func (h *scripted) config(t testing.TB) nodes.Config {
	t.Helper()
	return nodes.Config{
		Hub: h.profile(), Credentials: h.credentials(t, sender), Logger: slog.New(slog.DiscardHandler),
		Backoff: nodes.Backoff{Min: time.Millisecond, Max: 2 * time.Millisecond},
	}
}

func dial(t testing.TB, cfg nodes.Config) *nodes.Client {
	t.Helper()
	c, err := nodes.Dial(cfg)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

func (h *scripted) change(do func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do()
	close(h.changed)
	h.changed = make(chan struct{})
}

// until waits for something that change has brought about.
func (h *scripted) until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	timer := time.NewTimer(30 * time.Second)
	defer timer.Stop()
	for {
		h.mu.Lock()
		held, changed := holds(), h.changed
		h.mu.Unlock()
		if held {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			t.Fatalf("%s has not come about", what)
		}
	}
}

var errCut = errors.New("cut")

// accept gives an envelope its receipt, the same every time.
func (h *scripted) accept(env *exchangev1.Envelope) (*exchangev1.Receipt, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.submitted++
	var f fault
	if h.fault != nil {
		f = h.fault(h.submitted, env)
	}
	if f.cutBefore {
		h.listener.cut()
		return nil, errCut
	}
	if f.refuse != nil {
		return nil, f.refuse
	}
	if f.end != nil {
		return nil, errors.Join(errCut, f.end)
	}
	if h.receipts[env.GetId()] == nil {
		h.accepted = append(h.accepted, env)
		receipt, err := h.sign(env)
		if err != nil {
			return nil, err
		}
		h.receipts[env.GetId()] = receipt
	}
	if f.cutAfter {
		h.listener.cut()
		return nil, errCut
	}
	receipt := proto.CloneOf(h.receipts[env.GetId()])
	if f.spoil != nil {
		f.spoil(receipt)
	}
	return receipt, nil
}

func (h *scripted) sign(env *exchangev1.Envelope) (*exchangev1.Receipt, error) {
	digest := sha256.Sum256(env.GetContent())
	if env.GetUpload() != nil {
		copy(digest[:], env.GetUpload().GetSha256())
	}
	sequence := uint64(len(h.accepted))
	leaf, err := proto.Marshal(&exchangev1.Statement{
		Hub: "hub1", Sequence: sequence, AcceptedAt: timestamppb.Now(), Sender: sender,
		EnvelopeId: env.GetId(), Type: env.GetType(), OnBehalfOf: "H41", ContentSha256: digest[:],
	})
	if err != nil {
		return nil, fmt.Errorf("leaf: %w", err)
	}
	sealed, err := h.ledger.SealGroup(sequence, [][]byte{leaf})
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed.Receipt(0)
}

func (h *scripted) ids() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := make([]string, len(h.accepted))
	for i, env := range h.accepted {
		ids[i] = env.GetId()
	}
	return ids
}

func (h *scripted) admit(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams++
	if h.admitted != nil {
		return h.admitted(ctx)
	}
	return nil
}

func (h *scripted) Submit(ctx context.Context, req *exchangev1.SubmitRequest) (*exchangev1.SubmitResponse, error) {
	if err := h.admit(ctx); err != nil {
		return nil, err
	}
	receipt, err := h.accept(req.GetEnvelope())
	if err != nil {
		return nil, err
	}
	return &exchangev1.SubmitResponse{Receipt: receipt}, nil
}

func envelope(id, content string) *exchangev1.Envelope {
	return &exchangev1.Envelope{
		Id: id, Type: packetv1.PacketType_PACKET_TYPE_DOSSIER, Format: exchangev1.Format_FORMAT_PROTOBUF, Content: []byte(content),
	}
}

func (h *scripted) deliver(n int) {
	h.change(func() {
		for range n {
			h.delivered++
			h.inbox = append(h.inbox, &exchangev1.Delivery{Packet: &exchangev1.AcceptedPacket{Sequence: h.delivered, Sender: "G22/portal"}})
		}
	})
}

func (h *scripted) waiting() []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []uint64
	for _, d := range h.inbox {
		all = append(all, d.GetPacket().GetSequence())
	}
	return all
}

func (h *scripted) acknowledge(stream exchangev1.ExchangeService_ReceiveServer, sequences []uint64) error {
	if len(sequences) == 0 {
		return nil
	}
	h.mu.Lock()
	lost := h.deaf != nil && h.deaf(sequences)
	h.mu.Unlock()
	if lost {
		h.listener.cut()
		return errCut
	}
	// Confirmed first: a test that sees the inbox empty has its confirmation on the way.
	if err := stream.Send(&exchangev1.ReceiveResponse{Acknowledged: sequences}); err != nil {
		return fmt.Errorf("confirm: %w", err)
	}
	h.change(func() {
		h.inbox = slices.DeleteFunc(h.inbox, func(d *exchangev1.Delivery) bool {
			return slices.Contains(sequences, d.GetPacket().GetSequence())
		})
	})
	return nil
}

// changing is a source of credentials that are renewed.
type changing struct {
	mu      sync.Mutex
	current *certs.Credentials
}

func (c *changing) Credentials() *certs.Credentials {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

func (c *changing) set(renewed *certs.Credentials) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = renewed
}

func serialOf(t testing.TB, c *certs.Credentials) string {
	t.Helper()
	_, id, err := c.Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id.Serial
}

// peerSerial returns the serial number of the client's certificate.
func peerSerial(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%032x", info.State.PeerCertificates[0].SerialNumber)
}
