package nodes_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lienthong/lienthong/certs"
	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	hubfault "github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/nodes"
)

// token returns a good token of the hub, altered by change.
func (h *scripted) token(t testing.TB, change func(*enrolmentv1.Token)) string {
	t.Helper()
	root := h.authority.RootSHA256()
	token := &enrolmentv1.Token{
		Node: sender, HubAddress: h.listener.Addr().String(), RootSha256: root[:],
		Secret: make([]byte, 32), ExpiresAt: timestamppb.New(time.Now().Add(time.Hour)),
	}
	if change != nil {
		change(token)
	}
	return nodes.TokenPrefix + base64.RawURLEncoding.EncodeToString(marshal(t, token))
}

// issue answers a join as a hub does, for any node.
func (h *scripted) issue(req *enrolmentv1.JoinRequest, node string) (*enrolmentv1.JoinResponse, error) {
	id, err := certs.ParseNodeID(node)
	if err != nil {
		return nil, err
	}
	issued, err := h.authority.IssueNode(req.GetCertificateRequest(), id, 0)
	if err != nil {
		return nil, err
	}
	resp := &enrolmentv1.JoinResponse{LedgerKey: h.ledger.VerifierKey()}
	for _, c := range issued.Chain {
		resp.CertificateChain = append(resp.CertificateChain, c.Raw)
	}
	for _, c := range h.authority.Roots() {
		resp.Roots = append(resp.Roots, c.Raw)
	}
	return resp, nil
}

func TestJoinMakesAProfileThatWorks(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.join = func(req *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
		return h.issue(req, req.GetNode())
	}
	dir := filepath.Join(t.TempDir(), "profile")
	joined, err := nodes.Join(t.Context(), "\n"+h.token(t, nil)+"\n", dir, nodes.JoinOptions{})
	if err != nil {
		t.Fatalf("join: %v", err)
	}
	if joined.Node.String() != sender || joined.Hub != h.profile() {
		t.Errorf("joined as %s at %v", joined.Node, joined.Hub)
	}
	c, err := nodes.DialProfile(dir, nodes.Config{})
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Submit(t.Context(), envelope("a", "1")); err != nil || c.Node() != sender {
		t.Errorf("submit as %s: %v", c.Node(), err)
	}
}

func TestJoinLeavesOtherProfilesAlone(t *testing.T) {
	t.Parallel()
	h, otherHub := startHub(t), startHub(t)
	for _, hub := range []*scripted{h, otherHub} {
		hub.join = func(req *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
			return hub.issue(req, req.GetNode())
		}
	}
	dir := filepath.Join(t.TempDir(), "profile")
	if _, err := nodes.Join(t.Context(), h.token(t, nil), dir, nodes.JoinOptions{}); err != nil {
		t.Fatal(err)
	}
	for what, token := range map[string]string{
		"of another node":                     h.token(t, func(token *enrolmentv1.Token) { token.Node = "G22/portal" }),
		"of the same name, with another hub,": otherHub.token(t, nil),
	} {
		if _, err := nodes.Join(t.Context(), token, dir, nodes.JoinOptions{}); !errors.Is(err, nodes.ErrProfile) {
			t.Errorf("a token %s: %v; want ErrProfile", what, err)
		}
	}
	if c, err := nodes.DialProfile(dir, nodes.Config{}); err != nil || c.Node() != sender || c.Close() != nil {
		t.Errorf("the profile that was there: %v", err)
	}
}

func TestJoinAfterAnInterruptionUsesTheSameKey(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	var requests []*enrolmentv1.JoinRequest
	h.join = func(req *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
		requests = append(requests, req)
		resp, err := h.issue(req, req.GetNode())
		if len(requests) == 1 {
			h.listener.cut() // the answer is lost
		}
		return resp, err
	}
	dir, token := t.TempDir(), h.token(t, nil)
	if _, err := nodes.Join(t.Context(), token, dir, nodes.JoinOptions{}); !errors.Is(err, nodes.ErrUnreachable) {
		t.Errorf("join: %v; want ErrUnreachable", err)
	}
	if _, err := nodes.DialProfile(dir, nodes.Config{}); err == nil {
		t.Error("half a profile can be dialled with")
	}
	for range 2 {
		if _, err := nodes.Join(t.Context(), token, dir, nodes.JoinOptions{}); err != nil {
			t.Errorf("join again: %v", err)
		}
	}
	first, err := certs.CheckRequest(requests[0].GetCertificateRequest())
	if err != nil {
		t.Fatal(err)
	}
	for i, req := range requests {
		key, err := certs.CheckRequest(req.GetCertificateRequest())
		if err != nil {
			t.Fatal(err)
		}
		one, _ := certs.KeySHA256(first)
		other, _ := certs.KeySHA256(key)
		if one != other {
			t.Errorf("request %d is for another key than the first", i+1)
		}
	}
}

func TestJoinRefusesAnswersThatDoNotFitTheToken(t *testing.T) {
	t.Parallel()
	other := startHub(t)
	for name, answer := range map[string]func(h *scripted, req *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error){
		"another node": func(h *scripted, req *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
			return h.issue(req, "G22/portal")
		},
		"another key": func(h *scripted, req *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
			_, csr, err := certs.NewKeyAndCSR()
			return must2(h.issue(&enrolmentv1.JoinRequest{CertificateRequest: csr}, req.GetNode()))(err)
		},
		"another authority": func(_ *scripted, req *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
			return other.issue(req, req.GetNode())
		},
		"another authority under the right root": func(h *scripted, req *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
			resp, err := other.issue(req, req.GetNode())
			resp.Roots = append(resp.Roots, h.authority.Roots()[0].Raw)
			return resp, err
		},
		"no certificate": func(*scripted, *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
			return &enrolmentv1.JoinResponse{}, nil
		},
		"no ledger key": func(h *scripted, req *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
			resp, err := h.issue(req, req.GetNode())
			resp.LedgerKey = ""
			return resp, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHub(t)
			h.join = func(req *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) { return answer(h, req) }
			dir := t.TempDir()
			if _, err := nodes.Join(t.Context(), h.token(t, nil), dir, nodes.JoinOptions{}); !errors.Is(err, nodes.ErrAnswer) {
				t.Errorf("join: %v; want ErrAnswer", err)
			}
			if _, err := os.Stat(filepath.Join(dir, certs.CertificateFile)); err == nil {
				t.Error("the certificate was kept")
			}
		})
	}
}

// must2 lets an error that came first win.
func must2(resp *enrolmentv1.JoinResponse, err error) func(error) (*enrolmentv1.JoinResponse, error) {
	return func(first error) (*enrolmentv1.JoinResponse, error) { return resp, errors.Join(first, err) }
}

func TestJoinSendsTheSecretOnlyToTheHubOfTheToken(t *testing.T) {
	t.Parallel()
	h, impostor := startHub(t), startHub(t)
	impostor.join = func(*enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
		t.Error("the impostor was given the secret")
		return nil, errors.New("no")
	}
	address := impostor.listener.Addr().String()
	_, err := nodes.Join(t.Context(), h.token(t, nil), t.TempDir(), nodes.JoinOptions{Address: address})
	root := h.authority.RootSHA256()
	if !errors.Is(err, nodes.ErrHub) || !contains(err, address, string(hexOf(root))) {
		t.Errorf("join: %v; want ErrHub with address and fingerprint", err)
	}
}

func hexOf(sum [sha256.Size]byte) []byte {
	const digits = "0123456789abcdef"
	text := make([]byte, 0, 2*len(sum))
	for _, b := range sum {
		text = append(text, digits[b>>4], digits[b&15])
	}
	return text
}

func TestJoinSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.join = func(*enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
		return nil, hubfault.New(codes.PermissionDenied, "token_used", "used", "đã dùng")
	}
	gone := startHub(t)
	gone.server.Stop()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx   context.Context
		token string
		want  error
	}{
		"not a token": {t.Context(), "hello", nodes.ErrToken},
		"expired": {t.Context(), h.token(t, func(token *enrolmentv1.Token) {
			token.ExpiresAt = timestamppb.New(time.Now().Add(-time.Hour))
		}), nodes.ErrTokenExpired},
		"nobody there":  {t.Context(), gone.token(t, nil), nodes.ErrUnreachable},
		"context ended": {ended, h.token(t, nil), context.Canceled},
	} {
		if _, err := nodes.Join(c.ctx, c.token, t.TempDir(), nodes.JoinOptions{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
	var refused *nodes.Refused
	dir := filepath.Join(t.TempDir(), "profile")
	if _, err := nodes.Join(t.Context(), h.token(t, nil), dir, nodes.JoinOptions{}); !errors.As(err, &refused) || refused.Reason() != "token_used" {
		t.Errorf("used token: %v; want token_used", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a join that was refused has left its directory behind: %v", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	key, _, err := certs.KeyAndCSRIn(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nodes.Join(t.Context(), h.token(t, nil), dir, nodes.JoinOptions{}); !errors.As(err, &refused) {
		t.Errorf("used token, with a key of before: %v; want a refusal", err)
	}
	if again, _, err := certs.KeyAndCSRIn(dir); err != nil || !reflect.DeepEqual(again.Public(), key.Public()) {
		t.Errorf("a key that was there before the join is another now: %v", err)
	}
}

func TestParseTokenRefuses(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	good := h.token(t, nil)
	if _, err := nodes.ParseToken(good); err != nil {
		t.Fatalf("a good token: %v", err)
	}
	bad := map[string]string{
		"empty":        "",
		"no prefix":    strings.TrimPrefix(good, nodes.TokenPrefix),
		"prefix only":  nodes.TokenPrefix,
		"cut":          good[:len(good)/2],
		"not base64":   good + "!",
		"endless":      nodes.TokenPrefix + strings.Repeat("A", 10_000),
		"not protobuf": nodes.TokenPrefix + "____",
	}
	for name, change := range map[string]func(*enrolmentv1.Token){
		"no node":           func(token *enrolmentv1.Token) { token.Node = "" },
		"bad node":          func(token *enrolmentv1.Token) { token.Node = "../etc" },
		"no address":        func(token *enrolmentv1.Token) { token.HubAddress = "" },
		"address, no host":  func(token *enrolmentv1.Token) { token.HubAddress = ":8443" },
		"short fingerprint": func(token *enrolmentv1.Token) { token.RootSha256 = token.GetRootSha256()[:31] },
		"short secret":      func(token *enrolmentv1.Token) { token.Secret = token.GetSecret()[:31] },
		"no end":            func(token *enrolmentv1.Token) { token.ExpiresAt = nil },
	} {
		bad[name] = h.token(t, change)
	}
	for name, text := range bad {
		token, err := nodes.ParseToken(text)
		if !errors.Is(err, nodes.ErrToken) || token != nil {
			t.Errorf("%s: %v, %v; want ErrToken", name, token, err)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	token := &enrolmentv1.Token{
		Node: sender, HubAddress: "hub:8443", RootSha256: make([]byte, 32), Secret: make([]byte, 32), ExpiresAt: timestamppb.New(time.Unix(1, 0)),
	}
	f.Add(nodes.TokenPrefix + base64.RawURLEncoding.EncodeToString(marshal(f, token)))
	f.Add("lt1.")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := nodes.ParseToken(text)
		if err != nil {
			if !errors.Is(err, nodes.ErrToken) || (len(text) > 20 && strings.Contains(err.Error(), text)) {
				t.Errorf("error %v; want ErrToken, without the token", err)
			}
			return
		}
		again, err := nodes.ParseToken(nodes.TokenPrefix + base64.RawURLEncoding.EncodeToString(marshal(t, got)))
		if err != nil || !proto.Equal(got, again) {
			t.Errorf("read as %v, then as %v, %v", got, again, err)
		}
	})
}
