package registry

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lienthong/lienthong/certs"
	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// tokenPrefix tells people and programs what a token is.
const tokenPrefix = "lt1."

const secretBytes = 32

// token is a new token: what its node gets, and what the hub keeps.
type token struct {
	text   string
	stored *registryv1.StoredToken
}

func (r *Registry) newToken(node certs.Identity, now time.Time) (token, error) {
	secret := make([]byte, secretBytes)
	if _, err := io.ReadFull(r.cfg.Random, secret); err != nil {
		return token{}, fmt.Errorf("token: %w", err)
	}
	root := r.cfg.Issuer.RootSHA256()
	hash := sha256.Sum256(secret)
	expires := timestamppb.New(now.Add(r.cfg.TokenValidity))
	content, err := proto.Marshal(&enrolmentv1.Token{
		Node: node.String(), HubAddress: r.cfg.Address, RootSha256: root[:], Secret: secret, ExpiresAt: expires,
	})
	if err != nil {
		return token{}, fmt.Errorf("token: %w", err)
	}
	return token{
		text:   tokenPrefix + base64.RawURLEncoding.EncodeToString(content),
		stored: &registryv1.StoredToken{SecretSha256: hash[:], ExpiresAt: expires, Epoch: r.cfg.Epoch},
	}, nil
}

// Join trades a token for a node certificate and makes the node active. The
// certificate is kept before it is handed out: the key that got one gets the same
// again while the token lasts, so that a join whose answer was lost can be
// repeated; any other key is refused. Errors: INVALID_ARGUMENT for a certificate
// request that is refused; UNAUTHENTICATED, always in the same words, for a token
// that is wrong, has ended, or was used, and in words of its own for one that was issued
// before the hub was restored.
func (r *Registry) Join(ctx context.Context, req *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
	// Before anything that costs: strangers do not queue for the lock.
	if err := r.checkToken(r.current.Load(), req); err != nil {
		return nil, err
	}
	public, err := certs.CheckRequest(req.GetCertificateRequest())
	if err != nil {
		return nil, requestRefused(err)
	}
	key, err := certs.KeySHA256(public)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	var chain [][]byte
	rejoined := false
	err = r.update(ctx, func(d *draft) error {
		if err := r.checkToken(&d.snapshot, req); err != nil {
			return err
		}
		id := nodeOf(req)
		stored := d.tokens[id] // unused: then the node is pending or active, for other states drop the token
		if len(stored.GetUsedKeySha256()) == 0 {
			rejoined = d.nodes[id].GetState() == active
			if stored, err = r.useToken(d, id, key, req.GetCertificateRequest()); err != nil {
				return err
			}
		}
		if subtle.ConstantTimeCompare(stored.GetUsedKeySha256(), key[:]) != 1 {
			return tokenRefused()
		}
		chain = stored.GetCertificateChain()
		return nil
	})
	if err != nil {
		return nil, err
	}
	if rejoined { // what lives by the certificate before ends with it
		r.cfg.Ended(nodeOf(req), joinedAnew(nodeOf(req)))
	}
	answer := &enrolmentv1.JoinResponse{CertificateChain: chain, LedgerKey: r.cfg.LedgerKey}
	for _, root := range r.cfg.Issuer.Roots() {
		answer.Roots = append(answer.Roots, root.Raw)
	}
	return answer, nil
}

// useToken drafts the node's joining with a key.
func (r *Registry) useToken(d *draft, id string, key [sha256.Size]byte, request []byte) (*registryv1.StoredToken, error) {
	identity, err := certs.ParseNodeID(id)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	issued, err := r.cfg.Issuer.IssueNode(request, identity, r.cfg.CertificateValidity)
	if err != nil {
		return nil, requestRefused(err)
	}
	node, stored := proto.CloneOf(d.nodes[id]), proto.CloneOf(d.tokens[id])
	node.State = active
	node.CertificateSerial = issued.Serial
	node.CertificateExpiresAt = timestamppb.New(issued.NotAfter)
	stored.UsedKeySha256 = key[:]
	for _, certificate := range issued.Chain {
		stored.CertificateChain = append(stored.CertificateChain, certificate.Raw)
	}
	d.putNode(node)
	d.putToken(id, stored)
	return stored, nil
}

// checkToken refuses a secret that is not the node's, or has ended, or is of another epoch:
// it may have been used after the copy was made that the hub goes on from.
func (r *Registry) checkToken(s *snapshot, req *enrolmentv1.JoinRequest) error {
	stored := s.tokens[nodeOf(req)]
	hash := sha256.Sum256(req.GetSecret())
	if subtle.ConstantTimeCompare(stored.GetSecretSha256(), hash[:]) != 1 || !r.cfg.Clock().Before(stored.GetExpiresAt().AsTime()) {
		return tokenRefused()
	}
	if stored.GetEpoch() != r.cfg.Epoch { // said to who knows the secret only
		return fault.New(codes.Unauthenticated, "token_before_restore",
			"the token was issued before the hub was restored and is void, used or not; ask an administrator of the hub for a new one",
			"mã đăng ký được cấp trước khi trục liên thông được khôi phục nên không còn giá trị, dù đã dùng hay chưa; hãy xin quản trị viên trục liên thông mã mới")
	}
	return nil
}

// nodeOf returns the canonical id of the node to join as, or what cannot be one.
func nodeOf(req *enrolmentv1.JoinRequest) string {
	var wrong violations
	_, identity, _ := wrong.node("node", strings.TrimSpace(req.GetNode()))
	return identity.String()
}

func tokenRefused() *fault.Error {
	return fault.New(codes.Unauthenticated, "token_refused",
		"the token is not valid for this node: it is wrong, has expired, was used, or the node was revoked; ask an administrator of the hub for a new one",
		"mã đăng ký không có giá trị với hệ thống này: sai, hết hạn, đã dùng, hoặc hệ thống đã bị thu hồi; hãy xin quản trị viên trục liên thông mã mới")
}

func requestRefused(err error) error {
	if !errors.Is(err, certs.ErrRequest) {
		return fmt.Errorf("join: %w", err)
	}
	return fault.New(codes.InvalidArgument, "certificate_request_invalid", err.Error(),
		"yêu cầu cấp chứng thư (PKCS #10) không hợp lệ; khóa phải là ECDSA P-256, P-384 hoặc Ed25519").Because(err)
}
