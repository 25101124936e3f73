package nodes

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/certs"
	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	"github.com/lienthong/lienthong/nodes/receipt"
)

// Why a node could not join. A hub that refuses does it with a *Refused.
var (
	// ErrTokenExpired means that the token has ended: ask for a new one.
	ErrTokenExpired = errors.New("the token has expired; an administrator can issue a new one")
	// ErrHub means that the hub does not prove to be the one that the token is for:
	// another hub, or somebody between.
	ErrHub = errors.New("the hub is not the one the token is for")
	// ErrUnreachable means that nobody answers at the hub's address.
	ErrUnreachable = errors.New("the hub cannot be reached")
	// ErrProfile means that the directory holds the profile of another node.
	ErrProfile = errors.New("the directory holds the profile of another node")
	// ErrAnswer means that what the hub gave is not what was asked for.
	ErrAnswer = errors.New("the hub's answer does not fit the token")
)

// JoinOptions are options of Join; the zero value works.
type JoinOptions struct {
	// Address of the hub, host:port, where the one in the token cannot be reached
	// from here. The hub must prove to be the token's all the same, and its
	// certificate must name this host.
	Address string
	// Clock defaults to time.Now.
	Clock func() time.Time
}

// Joined is what a node has after Join.
type Joined struct {
	// Node is whom the certificate is for, with its serial number and end.
	Node certs.Identity
	// Hub is the hub that was joined.
	Hub certs.Hub
}

// Join makes a private key in dir, where it stays, trades an enrolment token for
// the certificate, and saves the profile in dir durably; see certs.SaveProfile.
// The hub is recognised by the root fingerprint in the token, before the secret of
// the token is sent. What it answers is verified: a certificate for this key, of
// the token's node, that the pinned root vouches for.
//
// After an interruption, Join with the same token and dir does it again: the key
// is used again, and the hub gives the same key the same certificate. What the hub
// refuses for good leaves nothing behind. Errors:
// ErrToken, ErrTokenExpired, ErrProfile, ErrUnreachable, ErrHub, ErrAnswer, *Refused, those of
// certs.KeyAndCSRIn, and what ctx ended with.
func Join(ctx context.Context, token, dir string, opts JoinOptions) (Joined, error) {
	parsed, err := ParseToken(token)
	if err != nil {
		return Joined{}, fmt.Errorf("join: %w", err)
	}
	j := joining{token: parsed, root: [sha256.Size]byte(parsed.GetRootSha256()), clock: opts.Clock, hub: certs.Hub{Address: opts.Address}}
	if j.clock == nil {
		j.clock = time.Now
	}
	if j.hub.Address == "" {
		j.hub.Address = parsed.GetHubAddress()
	}
	if end := parsed.GetExpiresAt().AsTime(); !j.clock().Before(end) {
		return Joined{}, fmt.Errorf("join: %w: it ended at %s", ErrTokenExpired, end.UTC().Format(time.RFC3339))
	}
	if j.hub.ServerName() == "" {
		return Joined{}, fmt.Errorf("join: hub address %.100q; host:port is expected", j.hub.Address)
	}
	if err := checkProfile(dir, parsed); err != nil {
		return Joined{}, fmt.Errorf("join: %w", err)
	}
	undo := remember(dir)
	joined, err := j.join(ctx, dir)
	if err != nil {
		if forGood(err) {
			undo()
		}
		return Joined{}, fmt.Errorf("join %s at %s: %w", parsed.GetNode(), j.hub.Address, err)
	}
	return joined, nil
}

// remember returns what removes a key that comes into dir from here on, and dir itself
// where it is not there yet. Where that fails, what is left does no harm.
func remember(dir string) (undo func()) {
	_, noDir := os.Lstat(dir)
	path := filepath.Join(dir, certs.KeyFile)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return func() {}
	}
	return func() {
		_ = os.Remove(path)
		if errors.Is(noDir, fs.ErrNotExist) {
			_ = os.Remove(dir) // unless there is something in it
		}
	}
}

// forGood reports whether the hub has refused the token: to try again with the same key
// will not help, as it may after a cut.
func forGood(err error) bool {
	refused, isOne := errors.AsType[*Refused](err)
	if !isOne {
		return false
	}
	switch refused.Code() {
	case codes.InvalidArgument, codes.PermissionDenied, codes.NotFound, codes.FailedPrecondition, codes.Unauthenticated, codes.AlreadyExists:
		return refused.cause == nil
	default:
		return false
	}
}

// checkProfile keeps a profile from being overwritten by that of another node, or
// of another hub's node.
func checkProfile(dir string, token *enrolmentv1.Token) error {
	credentials, err := certs.LoadCredentials(dir)
	if err != nil { // none, or the rest of a join that was interrupted
		return nil //nolint:nilerr // whatever is wrong with it, it is nobody's whole profile
	}
	if _, id, err := credentials.Identity(); err == nil && id.String() != token.GetNode() {
		return fmt.Errorf("%w: %s is that of %s, the token is for %s; choose another directory", ErrProfile, dir, id, token.GetNode())
	}
	for _, root := range credentials.Roots {
		if sha256.Sum256(root.Raw) == [sha256.Size]byte(token.GetRootSha256()) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s is that of a node of another hub; choose another directory", ErrProfile, dir)
}

type joining struct {
	token *enrolmentv1.Token
	root  [sha256.Size]byte
	hub   certs.Hub
	clock func() time.Time
}

func (j *joining) join(ctx context.Context, dir string) (Joined, error) {
	key, request, err := certs.KeyAndCSRIn(dir)
	if err != nil {
		return Joined{}, fmt.Errorf("key: %w", err)
	}
	resp, err := j.trade(ctx, request)
	if err != nil {
		return Joined{}, err
	}
	credentials, id, err := j.check(key, resp)
	if err != nil {
		return Joined{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	j.hub.LedgerKey = resp.GetLedgerKey()
	if err := certs.SaveProfile(dir, j.hub, credentials); err != nil {
		return Joined{}, fmt.Errorf("save: %w", err)
	}
	return Joined{Node: id, Hub: j.hub}, nil
}

// trade gives the hub the secret and the request.
func (j *joining) trade(ctx context.Context, request []byte) (resp *enrolmentv1.JoinResponse, err error) {
	ls := newLinks(nil, func(error) {})
	config := certs.PinnedClientConfig(j.root, j.hub.ServerName(), j.clock)
	conn, err := grpc.NewClient(j.hub.Address,
		grpc.WithTransportCredentials(newTransport(config, ls)),
		grpc.WithContextDialer(ls.dial),
		grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, fmt.Errorf("connection: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	resp, err = enrolmentv1.NewEnrolmentServiceClient(conn).Join(ctx, &enrolmentv1.JoinRequest{
		Node: j.token.GetNode(), Secret: j.token.GetSecret(), CertificateRequest: request,
	})
	if err != nil {
		return nil, j.told(ctx, ls, err)
	}
	return resp, nil
}

// told says why the hub gave no certificate.
func (j *joining) told(ctx context.Context, ls *links, err error) error {
	trouble := ls.trouble()
	var refused *Refused
	switch {
	case errors.Is(trouble, certs.ErrUnknownAuthority), errors.Is(trouble, certs.ErrBadSAN), errors.Is(trouble, certs.ErrUsage):
		return fmt.Errorf("%w: %w", ErrHub, trouble)
	case trouble != nil:
		return fmt.Errorf("%w: %w", ErrUnreachable, trouble)
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrUnreachable, context.Cause(ctx))
	}
	c := &Client{hub: j.hub, links: ls}
	refused = c.refused(err)
	if refused.Code() == codes.Unavailable && refused.cause != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, refused)
	}
	return refused
}

// check verifies what the hub gave.
func (j *joining) check(key crypto.Signer, resp *enrolmentv1.JoinResponse) (*certs.Credentials, certs.Identity, error) {
	credentials, err := certs.ParseCredentials(key, resp.GetCertificateChain(), resp.GetRoots())
	if err != nil {
		return nil, certs.Identity{}, fmt.Errorf("credentials: %w", err)
	}
	pinned, err := j.pinned(credentials.Roots)
	if err != nil {
		return nil, certs.Identity{}, err
	}
	domain, _, err := credentials.Identity()
	if err != nil {
		return nil, certs.Identity{}, fmt.Errorf("certificate: %w", err)
	}
	id, err := certs.Verifier{TrustDomain: domain, Roots: []*x509.Certificate{pinned}, Now: j.clock}.Identity(credentials.Chain)
	if err != nil {
		return nil, certs.Identity{}, fmt.Errorf("certificate: %w", err)
	}
	if id.String() != j.token.GetNode() {
		return nil, certs.Identity{}, fmt.Errorf("the certificate is of %s, the token of %s", id, j.token.GetNode())
	}
	if _, err := receipt.NewVerifier(resp.GetLedgerKey()); err != nil {
		return nil, certs.Identity{}, fmt.Errorf("ledger key: %w", err)
	}
	return credentials, id, nil
}

func (j *joining) pinned(roots []*x509.Certificate) (*x509.Certificate, error) {
	for _, root := range roots {
		if sha256.Sum256(root.Raw) == j.root {
			return root, nil
		}
	}
	return nil, fmt.Errorf("the root with fingerprint %x is not among its roots", j.root)
}
