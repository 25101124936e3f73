package registry_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lienthong/lienthong/certs"
	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/registry"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
	"github.com/lienthong/lienthong/packet"
)

const (
	dossier  = packetv1.PacketType_PACKET_TYPE_DOSSIER
	progress = packetv1.PacketType_PACKET_TYPE_PROGRESS
	survey   = packetv1.PacketType_PACKET_TYPE_SURVEY

	oneStop  = registryv1.NodeKind_NODE_KIND_ONE_STOP
	portal   = registryv1.NodeKind_NODE_KIND_PORTAL
	database = registryv1.NodeKind_NODE_KIND_DATABASE

	pending   = registryv1.NodeState_NODE_STATE_PENDING
	active    = registryv1.NodeState_NODE_STATE_ACTIVE
	suspended = registryv1.NodeState_NODE_STATE_SUSPENDED
	revoked   = registryv1.NodeState_NODE_STATE_REVOKED

	enterprise = "lienthong.enterprise.v1.EnterpriseService/LookUpEnterprise"
)

// clock is a clock that moves when told.
type clock struct {
	mu  sync.Mutex
	now time.Time
	// once, where set, is called by the next look at the clock, before it.
	once func()
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	once := c.once
	c.once = nil
	c.mu.Unlock()
	if once != nil {
		once()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// ends remembers which nodes were ended.
type ends struct {
	mu    sync.Mutex
	nodes []string
}

func (e *ends) add(node string, _ *fault.Error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nodes = append(e.nodes, node)
}

func (e *ends) all() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.nodes, " ")
}

// hub is a registry on a real store with a real authority.
type hub struct {
	*registry.Registry
	t         *testing.T
	dir       string
	store     *pebblestore.Store
	authority *certs.Authority
	clock     *clock
	ended     *ends
	quota     registry.Quota // of nodes that have none of their own
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{
		t: t, dir: filepath.Join(t.TempDir(), "store"),
		clock: &clock{now: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)}, ended: &ends{},
	}
	var err error
	h.authority, err = certs.Create(filepath.Join(t.TempDir(), "ca"), certs.AuthorityConfig{
		TrustDomain: "hub.test", HubName: "hub", Clock: h.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.open()
	t.Cleanup(func() { _ = h.store.Close() })
	return h
}

// open opens store and registry, as a hub that starts does.
func (h *hub) open() {
	h.t.Helper()
	var err error
	h.store, err = pebblestore.Open(h.dir, pebblestore.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	h.Registry = h.on(h.store)
}

// on opens another registry of the same hub on a store.
func (h *hub) on(kept registry.Store) *registry.Registry {
	h.t.Helper()
	r, err := registry.Open(context.Background(), registry.Config{
		Store: kept, Issuer: h.authority, Address: "hub.test:8443", LedgerKey: "hub+key", Quota: h.quota,
		Ended: h.ended.add, Clock: h.clock.Now, Random: rand.Reader, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *hub) reopen() {
	h.t.Helper()
	if err := h.store.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.open()
}

// create registers a node and returns what its token says.
func (h *hub) create(id string, kind registryv1.NodeKind) *enrolmentv1.Token {
	h.t.Helper()
	answer, err := h.CreateNode(h.t.Context(), &registryv1.CreateNodeRequest{Id: id, Kind: kind})
	if err != nil {
		h.t.Fatalf("create %s: %v", id, err)
	}
	return readToken(h.t, answer.GetToken())
}

func readToken(t *testing.T, text string) *enrolmentv1.Token {
	t.Helper()
	encoded, found := strings.CutPrefix(text, "lt1.")
	content, err := base64.RawURLEncoding.DecodeString(encoded)
	token := &enrolmentv1.Token{}
	if !found || err != nil || proto.Unmarshal(content, token) != nil {
		t.Fatalf("token %q does not read", text)
	}
	return token
}

// join joins with a token and returns who the new certificate speaks for.
func (h *hub) join(token *enrolmentv1.Token) certs.Identity {
	h.t.Helper()
	key, request := keyAndRequest(h.t)
	answer, err := h.Join(h.t.Context(), joinWith(token, request))
	if err != nil {
		h.t.Fatalf("join %s: %v", token.GetNode(), err)
	}
	return h.identity(key, answer)
}

// identity returns who a join's certificate speaks for, as the hub's verifier
// and the node itself see it.
func (h *hub) identity(key crypto.Signer, answer *enrolmentv1.JoinResponse) certs.Identity {
	h.t.Helper()
	credentials, err := certs.ParseCredentials(key, answer.GetCertificateChain(), answer.GetRoots())
	if err != nil {
		h.t.Fatalf("what Join answered is no use to the node: %v", err)
	}
	id, err := h.authority.Verifier().Identity([]*x509.Certificate{credentials.Chain[0]})
	if err != nil {
		h.t.Fatalf("the hub does not take the certificate it issued: %v", err)
	}
	return id
}

func keyAndRequest(t *testing.T) (crypto.Signer, []byte) {
	t.Helper()
	key, request, err := certs.NewKeyAndCSR()
	if err != nil {
		t.Fatal(err)
	}
	return key, request
}

func joinWith(token *enrolmentv1.Token, request []byte) *enrolmentv1.JoinRequest {
	return &enrolmentv1.JoinRequest{Node: token.GetNode(), Secret: token.GetSecret(), CertificateRequest: request}
}

// setState takes a node to a state.
func (h *hub) setState(id string, state registryv1.NodeState) error {
	_, err := h.SetNodeState(h.t.Context(), &registryv1.SetNodeStateRequest{Id: id, State: state})
	return err
}

// grant grants a right; a zero end means for good.
func (h *hub) grant(from, to string, end time.Time, types ...packetv1.PacketType) *registryv1.Right {
	h.t.Helper()
	right := &registryv1.Right{Sender: from, Receiver: to, Types: types}
	if !end.IsZero() {
		right.ExpiresAt = timestamppb.New(end)
	}
	return h.grantRight(right)
}

func (h *hub) grantRight(right *registryv1.Right) *registryv1.Right {
	h.t.Helper()
	answer, err := h.GrantRight(h.t.Context(), &registryv1.GrantRightRequest{Right: right})
	if err != nil {
		h.t.Fatalf("grant %v: %v", right, err)
	}
	return answer.GetRight()
}

func (h *hub) receivers(from string, typ packetv1.PacketType) string {
	h.t.Helper()
	return strings.Join(h.Receivers(organisation(h.t, from), typ, h.clock.Now()), " ")
}

func organisation(t interface {
	Helper()
	Fatal(...any)
}, code string) packet.Organisation {
	t.Helper()
	o, err := packet.ParseOrganisation(code)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// wantRefusal fails unless err is a refusal with this code and reason.
func wantRefusal(t *testing.T, err error, code codes.Code, reason string) *fault.Error {
	t.Helper()
	got := fault.From(err)
	if err == nil || got.Code != code || got.Reason != reason {
		t.Fatalf("got %v; want a refusal %s %s", err, code, reason)
	}
	if got.EN == "" || got.VI == "" {
		t.Errorf("refusal %s lacks a text: en %q, vi %q", reason, got.EN, got.VI)
	}
	return got
}
