package admin_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/certs"
	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

func readToken(t *testing.T, text string) *enrolmentv1.Token {
	t.Helper()
	content, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, "lt1."))
	token := &enrolmentv1.Token{}
	if err != nil || proto.Unmarshal(content, token) != nil {
		t.Fatalf("token %q does not read", text)
	}
	return token
}

// enrolment returns a client of a caller that has nothing but a fingerprint.
func (h *hub) enrolment(root [32]byte) enrolmentv1.EnrolmentServiceClient {
	h.t.Helper()
	conn, err := grpc.NewClient(h.address, grpc.WithTransportCredentials(credentials.NewTLS(certs.PinnedClientConfig(root, "127.0.0.1", nil))))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	return enrolmentv1.NewEnrolmentServiceClient(conn)
}

// Joins are logged, refused ones too, and never with what they prove themselves by.
func TestJoinsAreLoggedWithoutSecrets(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.join("H41/motcua")
	secret := []byte("a secret of a stranger, 32 bytes")
	_, request, err := certs.NewKeyAndCSR()
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.enrolment(h.authority.RootSHA256()).Join(t.Context(), &enrolmentv1.JoinRequest{
		Node: "H41/motcua", Secret: secret, CertificateRequest: request,
	})
	if got := fault.From(err); err == nil || got.Code != codes.Unauthenticated || got.Reason != "token_refused" {
		t.Errorf("a wrong secret is answered with %v", err)
	}
	log := h.log.String()
	wantIn(t, log, `msg="registry changed" change=join by=nobody node=H41/motcua`,
		`msg="registry not changed" change=join by=nobody code=Unauthenticated reason=token_refused`)
	if strings.Contains(log, "secret of a stranger") {
		t.Errorf("the log holds a secret:\n%s", log)
	}
}

func TestEveryChangeIsLoggedWithItsOutcome(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.ok("node", "add", "G22/portal", "--kind", "portal")
	h.ok("right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "dossier")
	h.refused("right", "revoke", "12")
	h.refused("node", "suspend", "G22/portal")
	h.ok("node", "revoke", "G22/portal", "--yes")
	wantIn(t, h.log.String(),
		`msg="registry changed" change="create node" by=admin:an node=G22/portal kind=NODE_KIND_PORTAL`,
		`msg="registry changed" change="grant right" by=admin:an`, "sender=H41 receiver=G22/portal",
		`msg="registry not changed" change="revoke right" by=admin:an right=12 code=NotFound reason=right_unknown`,
		`msg="registry not changed" change="set node state" by=admin:an node=G22/portal state=NODE_STATE_SUSPENDED code=FailedPrecondition reason=node_state`,
		`msg="registry changed" change="set node state" by=admin:an node=G22/portal state=NODE_STATE_REVOKED`)
	answer, err := h.registry.ListNodes(t.Context(), &registryv1.ListNodesRequest{})
	if err != nil || len(answer.GetNodes()) != 1 {
		t.Fatalf("nodes are %v, %v", answer, err)
	}
}
