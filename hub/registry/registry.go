// Package registry knows who takes part and who may send what to whom:
// organisations, nodes, rights, and the tokens that new nodes join with. It is
// kept in the store and served from memory: look-ups take no lock, and a change
// is on stable storage before anyone can see it.
//
// Requests are taken as checked against the rules of their .proto file, as the
// hub's gRPC door does; what those rules cannot say is checked here. Refusals are
// *fault.Error and name everything that is wrong.
package registry

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/certs"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/packet"
)

// Store keeps the registry. Its guarantees are those of package store.
type Store interface {
	// LoadItems returns the items of these kinds.
	LoadItems(ctx context.Context, kinds []string) ([]store.Item, error)
	// SaveItems writes and deletes items, all or none, durably.
	SaveItems(ctx context.Context, items []store.Item) error
}

// Issuer certifies nodes.
type Issuer interface {
	// IssueNode certifies a node for the key of a PKCS #10 request. The error is
	// certs.ErrRequest where the request is at fault.
	IssueNode(request []byte, node certs.Identity, validity time.Duration) (certs.Issued, error)
	// Roots returns the certificates to trust.
	Roots() []*x509.Certificate
	// RootSHA256 returns the fingerprint of the root certificate.
	RootSHA256() [32]byte
}

// Config is what a Registry is made of. Store, Issuer and Address are required.
type Config struct {
	Store  Store
	Issuer Issuer
	// Address is the hub's gRPC address that tokens name, host:port.
	Address string
	// LedgerKey verifies the hub's receipts; it is handed to nodes that join.
	LedgerKey string
	// StrictHub says that the hub reads the packets of every node strictly, whatever is
	// set of a node; administrators are told.
	StrictHub bool
	// Quota holds for nodes of which nothing else is set.
	Quota Quota
	// Epoch is the first sequence of the store's epoch; 0 before any. Tokens of others are void.
	Epoch uint64
	// TokenValidity is how long a token can be used; default 72 hours.
	TokenValidity time.Duration
	// CertificateValidity defaults to certs.DefaultNodeValidity.
	CertificateValidity time.Duration
	// Ended is told of a node that is no longer welcome, or not with the certificate
	// it had, once Authenticate refuses it, and why. It must not block. Nil: nobody is told.
	Ended func(node string, why *fault.Error)
	// Clock, Random and Logger default to time.Now, crypto/rand and slog.Default.
	Clock  func() time.Time
	Random io.Reader
	Logger *slog.Logger
}

// DefaultTokenValidity is how long a token can be used.
const DefaultTokenValidity = 72 * time.Hour

func (c Config) withDefaults() (Config, error) {
	if c.Store == nil || c.Issuer == nil || c.Address == "" {
		return c, errors.New("registry: Store, Issuer and Address are required")
	}
	if c.TokenValidity == 0 {
		c.TokenValidity = DefaultTokenValidity
	}
	if c.CertificateValidity == 0 {
		c.CertificateValidity = certs.DefaultNodeValidity
	}
	if c.TokenValidity < 0 || c.CertificateValidity < 0 {
		return c, errors.New("registry: TokenValidity and CertificateValidity cannot be negative")
	}
	if c.Ended == nil {
		c.Ended = func(string, *fault.Error) {}
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

// Registry answers who may do what, and changes it for administrators. All
// methods may be called concurrently.
type Registry struct {
	cfg     Config
	current atomic.Pointer[snapshot]

	writing   sync.Mutex // held from reading the snapshot to replacing it
	uncertain bool       // a write failed: what the store holds is not known; under writing
}

// Open reads the registry from the store. An empty one starts with the ministries
// and provinces of the official code list; administrators can change it.
func Open(ctx context.Context, cfg Config) (*Registry, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &Registry{cfg: cfg}
	loaded, err := load(ctx, cfg.Store)
	if err != nil {
		return nil, err
	}
	r.current.Store(loaded)
	if !loaded.empty() {
		return r, nil
	}
	official, err := defaultOrganisations()
	if err != nil {
		return nil, err
	}
	put, err := r.PutOrganisations(ctx, &registryv1.PutOrganisationsRequest{Organisations: official})
	if err != nil {
		return nil, fmt.Errorf("default organisations: %w", err)
	}
	cfg.Logger.InfoContext(ctx, "registry starts with the official code list", "organisations", put.GetAdded())
	return r, nil
}

// ActiveNodes returns the nodes that a store says are active, sorted: who is let in by a
// registry that is opened on it.
func ActiveNodes(ctx context.Context, from Store) ([]string, error) {
	loaded, err := load(ctx, from)
	if err != nil {
		return nil, err
	}
	var ids []string
	for id, node := range loaded.nodes {
		if node.GetState() == active {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Receivers returns the nodes that hold a right to packets of a type from an
// organisation, sorted: by rights of the organisation or of one that contains it,
// unless they have ended. A node that has not joined yet or is suspended keeps
// receiving, into its inbox; a revoked one does not. The caller does not change
// the slice.
func (r *Registry) Receivers(organisation packet.Organisation, typ packetv1.PacketType, at time.Time) []string {
	return r.current.Load().receivers.find(organisation, typ, at)
}

// Answerers returns the active nodes that an organisation may ask for a service
// ("pkg.Service/Method"), sorted. The caller does not change the slice.
func (r *Registry) Answerers(organisation packet.Organisation, service string, at time.Time) []string {
	return r.current.Load().answerers.find(organisation, service, at)
}

// MayAnswer reports whether a node is an active database.
func (r *Registry) MayAnswer(node string) bool {
	n := r.current.Load().nodes[node]
	return n.GetKind() == registryv1.NodeKind_NODE_KIND_DATABASE && n.GetState() == registryv1.NodeState_NODE_STATE_ACTIVE
}

// ReadStrictly reports whether an administrator has asked that a node's packets be
// read strictly.
func (r *Registry) ReadStrictly(node string) bool { return r.current.Load().nodes[node].GetStrict() }

// Authenticate returns nil for who is welcome: administrators, and active nodes
// that present the newest certificate issued to them.
func (r *Registry) Authenticate(id certs.Identity) error {
	if id.Kind == certs.KindAdmin {
		return nil
	}
	var node *registryv1.Node
	if id.Kind == certs.KindNode {
		node = r.current.Load().nodes[id.String()]
	}
	switch {
	case node == nil:
		return fault.New(codes.PermissionDenied, "node_unknown",
			fmt.Sprintf("%s is not registered with this hub", id),
			fmt.Sprintf("%s chưa được đăng ký với trục liên thông này", id))
	case node.GetState() != registryv1.NodeState_NODE_STATE_ACTIVE:
		return notActive(node)
	case id.Serial != node.GetCertificateSerial():
		return fault.New(codes.Unauthenticated, "certificate_superseded",
			fmt.Sprintf("the certificate of node %s is not the newest one issued to it", id),
			fmt.Sprintf("chứng thư của hệ thống %s không phải chứng thư mới nhất đã cấp", id))
	}
	return nil
}

func notActive(node *registryv1.Node) *fault.Error {
	return fault.New(codes.PermissionDenied, "node_not_active",
		fmt.Sprintf("node %s %s; ask an administrator of the hub", node.GetId(), stateEN(node.GetState())),
		fmt.Sprintf("hệ thống %s %s; hãy liên hệ quản trị viên trục liên thông", node.GetId(), stateVI(node.GetState())))
}

// joinedAnew ends what lives by the certificate before. It asks to connect again: a
// program that has taken up the newer certificate goes on.
func joinedAnew(node string) *fault.Error {
	return fault.New(codes.Unavailable, "certificate_superseded",
		fmt.Sprintf("node %s has joined anew; connect again, with its newest certificate", node),
		fmt.Sprintf("hệ thống %s đã đăng ký lại; hãy kết nối lại bằng chứng thư mới nhất", node)).After(2 * time.Second)
}

// OrganisationName returns the Vietnamese name of an organisation; empty where it
// is not registered.
func (r *Registry) OrganisationName(code packet.Organisation) string {
	return r.current.Load().organisations[code.String()].GetName()
}

// update makes one change: edit drafts it, the store keeps it, then everyone sees
// it. Changes come one after the other.
func (r *Registry) update(ctx context.Context, edit func(*draft) error) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.uncertain {
		loaded, err := load(ctx, r.cfg.Store)
		if err != nil {
			return err
		}
		r.current.Store(loaded)
		r.uncertain = false
	}
	d := newDraft(r.current.Load())
	if err := edit(d); err != nil {
		return err
	}
	if d.err != nil {
		return fmt.Errorf("registry: %w", d.err)
	}
	if len(d.items) == 0 {
		return nil
	}
	if err := r.cfg.Store.SaveItems(ctx, d.items); err != nil {
		r.uncertain = true
		return fmt.Errorf("save registry: %w", err)
	}
	r.current.Store(d.finish())
	return nil
}
