package registry_test

import (
	"testing"

	"google.golang.org/grpc/codes"

	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/registry"
)

// another issues another token.
func (h *hub) another(id string) *enrolmentv1.Token {
	h.t.Helper()
	answer, err := h.IssueToken(h.t.Context(), &registryv1.IssueTokenRequest{Id: id})
	if err != nil {
		h.t.Fatalf("another token for %s: %v", id, err)
	}
	return readToken(h.t, answer.GetToken())
}

func (h *hub) wantTokenRefused(token *enrolmentv1.Token) {
	h.t.Helper()
	_, request := keyAndRequest(h.t)
	_, err := h.Join(h.t.Context(), joinWith(token, request))
	wantRefusal(h.t, err, codes.Unauthenticated, "token_refused")
}

func TestAnotherTokenTakesThePlaceOfOneThatEnded(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first := h.create("H41/motcua", oneStop)
	h.clock.advance(registry.DefaultTokenValidity)
	h.wantTokenRefused(first)
	if err := h.Authenticate(h.join(h.another("H41/motcua"))); err != nil {
		t.Errorf("joined with another token: %v", err)
	}
}

func TestAnotherTokenVoidsTheUnusedOne(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	first := h.create("H41/motcua", oneStop)
	second := h.another("H41/motcua")
	h.wantTokenRefused(first)
	h.join(second)
}

func TestJoiningAgainEndsTheCertificateBefore(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	before := h.join(h.create("H41/motcua", oneStop))
	token := h.another("H41/motcua")
	if err := h.Authenticate(before); err != nil {
		t.Errorf("the certificate does not last until the new token is used: %v", err)
	}
	after := h.join(token)
	if err := h.Authenticate(after); err != nil {
		t.Errorf("the new certificate: %v", err)
	}
	wantRefusal(t, h.Authenticate(before), codes.Unauthenticated, "certificate_superseded")
	if got := h.ended.all(); got != "H41/motcua" {
		t.Errorf("ended are %q, want what lived by the certificate before", got)
	}
}

func TestSuspensionAndRevocationVoidTokens(t *testing.T) {
	t.Parallel()
	for _, state := range []registryv1.NodeState{suspended, revoked} {
		h := newHub(t)
		h.join(h.create("H41/motcua", oneStop))
		token := h.another("H41/motcua")
		if err := h.setState("H41/motcua", state); err != nil {
			t.Fatal(err)
		}
		h.wantTokenRefused(token)
		if got := h.node("H41/motcua").GetState(); got != state {
			t.Errorf("a token brought a node that was %s back: it is %s", state, got)
		}
		_, err := h.IssueToken(t.Context(), &registryv1.IssueTokenRequest{Id: "H41/motcua"})
		wantRefusal(t, err, codes.FailedPrecondition, "node_state")
	}
}

func TestTokensAreForNodesThatAreThere(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	_, err := h.IssueToken(t.Context(), &registryv1.IssueTokenRequest{Id: "H41/nowhere"})
	wantRefusal(t, err, codes.NotFound, "node_unknown")
	_, err = h.IssueToken(t.Context(), &registryv1.IssueTokenRequest{Id: "nowhere"})
	wantRefusal(t, err, codes.InvalidArgument, "node_invalid")
}
