package registry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/certs"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
)

func TestATokenSaysWhatTheNodeNeedsToJoin(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	answer, err := h.CreateNode(t.Context(), &registryv1.CreateNodeRequest{
		Id: "000.00.00.h41/motcua", Kind: oneStop, Description: " Một cửa điện tử Nghệ An ",
	})
	if err != nil {
		t.Fatal(err)
	}
	node := answer.GetNode()
	if node.GetId() != "H41/motcua" || node.GetState() != pending || node.GetDescription() != "Một cửa điện tử Nghệ An" ||
		!node.GetCreatedAt().AsTime().Equal(h.clock.Now()) || node.GetCertificateSerial() != "" {
		t.Errorf("registered as %v", node)
	}
	token := readToken(t, answer.GetToken())
	root := h.authority.RootSHA256()
	want := h.clock.Now().Add(72 * time.Hour)
	if token.GetNode() != "H41/motcua" || token.GetHubAddress() != "hub.test:8443" || string(token.GetRootSha256()) != string(root[:]) ||
		len(token.GetSecret()) != 32 || !token.GetExpiresAt().AsTime().Equal(want) || !answer.GetTokenExpiresAt().AsTime().Equal(want) {
		t.Errorf("token says %v", token)
	}
	if second := h.create("H41/motcua2", oneStop); string(second.GetSecret()) == string(token.GetSecret()) {
		t.Error("two tokens have one secret")
	}
}

func TestTheSecretOfATokenIsNotKept(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	token := h.create("H41/motcua", oneStop)
	items, err := h.store.LoadItems(t.Context(), []string{"organisation", "node", "token", "right"})
	if err != nil {
		t.Fatal(err)
	}
	tokens := 0
	for _, item := range items {
		if item.Kind == "token" {
			tokens++
		}
		if strings.Contains(string(item.Value), string(token.GetSecret())) {
			t.Errorf("%s %s holds the secret", item.Kind, item.Key)
		}
	}
	if tokens != 1 {
		t.Errorf("%d tokens are kept; want 1", tokens)
	}
}

func TestCreateNodeRefuses(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.create("H41/motcua", oneStop)
	for name, c := range map[string]struct {
		id, description string
		code            codes.Code
		reason          string
		findings        string
	}{
		"no name":                  {"H41", "", codes.InvalidArgument, "node_invalid", "id"},
		"no organisation":          {"/motcua", "", codes.InvalidArgument, "node_invalid", "id"},
		"not an organisation":      {"NGHEAN/motcua", "", codes.InvalidArgument, "node_invalid", "id"},
		"capital letters":          {"H41/MotCua", "", codes.InvalidArgument, "node_invalid", "id"},
		"two slashes":              {"H41/a/b", "", codes.InvalidArgument, "node_invalid", "id"},
		"everything at once":       {"H41/", "a\x1b[2Jb", codes.InvalidArgument, "node_invalid", "id description"},
		"organisation not there":   {"H99/motcua", "", codes.NotFound, "organisation_unknown", ""},
		"only its parent is there": {"H41.04/motcua", "", codes.NotFound, "organisation_unknown", ""},
		"registered already":       {"H41/motcua", "", codes.AlreadyExists, "node_exists", ""},
		"in the other spelling":    {"000.00.00.H41/motcua", "", codes.AlreadyExists, "node_exists", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.CreateNode(t.Context(), &registryv1.CreateNodeRequest{Id: c.id, Kind: oneStop, Description: c.description})
			got := wantRefusal(t, err, c.code, c.reason)
			var fields []string
			for _, f := range got.Findings {
				fields = append(fields, f.GetField())
			}
			if strings.Join(fields, " ") != c.findings {
				t.Errorf("findings at %q; want %q", fields, c.findings)
			}
		})
	}
}

// Each state against each other: who becomes what, by an administrator's word.
func TestNodeStates(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	reach := map[registryv1.NodeState]func(id string){
		pending: func(id string) { h.create(id, oneStop) },
		active:  func(id string) { h.join(h.create(id, oneStop)) },
		suspended: func(id string) {
			h.join(h.create(id, oneStop))
			if err := h.setState(id, suspended); err != nil {
				t.Fatal(err)
			}
		},
		revoked: func(id string) {
			h.create(id, oneStop)
			if err := h.setState(id, revoked); err != nil {
				t.Fatal(err)
			}
		},
	}
	allowed := map[registryv1.NodeState]string{
		pending: "REVOKED", active: "ACTIVE SUSPENDED REVOKED", suspended: "ACTIVE SUSPENDED REVOKED", revoked: "REVOKED",
	}
	number := 0
	for from, makeNode := range reach {
		for _, to := range []registryv1.NodeState{active, suspended, revoked} {
			number++
			id := fmt.Sprintf("H41/n%d", number)
			makeNode(id)
			err := h.setState(id, to)
			want := strings.Contains(allowed[from], strings.TrimPrefix(to.String(), "NODE_STATE_"))
			if want && err != nil {
				t.Errorf("%s to %s: %v", from, to, err)
			}
			if !want {
				wantRefusal(t, err, codes.FailedPrecondition, "node_state")
			}
			wantState := to
			if !want {
				wantState = from
			}
			if got := h.node(id).GetState(); got != wantState {
				t.Errorf("%s asked to become %s is %s; want %s", from, to, got, wantState)
			}
		}
	}
	wantRefusal(t, h.setState("H41/nowhere", revoked), codes.NotFound, "node_unknown")
	wantRefusal(t, h.setState("nowhere", revoked), codes.InvalidArgument, "node_invalid")
}

func (h *hub) node(id string) *registryv1.Node {
	h.t.Helper()
	answer, err := h.ListNodes(h.t.Context(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, n := range answer.GetNodes() {
		if n.GetId() == id {
			return n
		}
	}
	h.t.Fatalf("node %s is not listed", id)
	return nil
}

func TestOnlyWelcomeNodesAuthenticate(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	token := h.create("H41/motcua", oneStop)
	wantRefusal(t, h.Authenticate(certs.Identity{Kind: certs.KindNode, Organisation: "H41", Name: "motcua"}), codes.PermissionDenied, "node_not_active")
	id := h.join(token)
	if err := h.Authenticate(id); err != nil {
		t.Fatalf("a node that joined is refused: %v", err)
	}
	if err := h.Authenticate(certs.Identity{Kind: certs.KindAdmin, Name: "an"}); err != nil {
		t.Errorf("an administrator is refused: %v", err)
	}
	older := id
	older.Serial = strings.Repeat("4", 32)
	wantRefusal(t, h.Authenticate(older), codes.Unauthenticated, "certificate_superseded")
	older.Serial = ""
	wantRefusal(t, h.Authenticate(older), codes.Unauthenticated, "certificate_superseded")
	for _, stranger := range []certs.Identity{
		{}, {Kind: certs.KindHub, Name: "hub"}, {Kind: certs.KindNode, Organisation: "H41", Name: "other", Serial: id.Serial},
	} {
		wantRefusal(t, h.Authenticate(stranger), codes.PermissionDenied, "node_unknown")
	}

	if err := h.setState("H41/motcua", suspended); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, h.Authenticate(id), codes.PermissionDenied, "node_not_active")
	if err := h.setState("H41/motcua", active); err != nil {
		t.Fatal(err)
	}
	if err := h.Authenticate(id); err != nil {
		t.Errorf("a node that was brought back is refused: %v", err)
	}
	if err := h.setState("H41/motcua", revoked); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, h.Authenticate(id), codes.PermissionDenied, "node_not_active")
	if got := h.ended.all(); got != "H41/motcua H41/motcua" {
		t.Errorf("told the end of %q; want it twice: suspended, revoked", got)
	}
}

// Each request against a node that was there before: what it gives is changed, the
// rest of the node is as it was, and a restart changes nothing.
func TestUpdateNodeChangesWhatItIsGiven(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	yes, no := true, false
	for name, c := range map[string]struct {
		req        *registryv1.UpdateNodeRequest
		want       string
		wantStrict bool
	}{
		"nothing":              {&registryv1.UpdateNodeRequest{}, "Một cửa", true},
		"strict no more":       {&registryv1.UpdateNodeRequest{Strict: &no}, "Một cửa", false},
		"strict again":         {&registryv1.UpdateNodeRequest{Strict: &yes}, "Một cửa", true},
		"another description":  {&registryv1.UpdateNodeRequest{Description: text(" Một cửa điện tử ")}, "Một cửa điện tử", true},
		"no description":       {&registryv1.UpdateNodeRequest{Description: text("")}, "", true},
		"both":                 {&registryv1.UpdateNodeRequest{Description: text("x"), Strict: &no}, "x", false},
		"a node id of 2016":    {&registryv1.UpdateNodeRequest{Id: "000.00.00.h41/motcua", Strict: &no}, "Một cửa", false},
		"with spaces about it": {&registryv1.UpdateNodeRequest{Description: text("\u00a0")}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHub(t)
			created, err := h.CreateNode(t.Context(), &registryv1.CreateNodeRequest{Id: "H41/motcua", Kind: oneStop, Description: "Một cửa", Strict: true})
			if err != nil {
				t.Fatal(err)
			}
			h.join(readToken(t, created.GetToken()))
			want := proto.CloneOf(h.node("H41/motcua"))
			want.Description, want.Strict = c.want, c.wantStrict
			if c.req.GetId() == "" {
				c.req.Id = "H41/motcua"
			}
			answer, err := h.UpdateNode(t.Context(), c.req)
			if err != nil || !proto.Equal(answer.GetNode(), want) {
				t.Errorf("answered %v, %v; want %v", answer.GetNode(), err, want)
			}
			for _, when := range []string{"at once", "after a restart"} {
				if got := h.node("H41/motcua"); !proto.Equal(got, want) || h.ReadStrictly("H41/motcua") != c.wantStrict {
					t.Errorf("%s the node is %v, read strictly %v; want %v", when, got, h.ReadStrictly("H41/motcua"), want)
				}
				h.reopen()
			}
		})
	}
}

func TestUpdateNodeRefuses(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.create("H41/motcua", oneStop)
	before := proto.CloneOf(h.node("H41/motcua"))
	bad, yes := "a\x1b[2Jb", true
	_, err := h.UpdateNode(t.Context(), &registryv1.UpdateNodeRequest{Id: "H41", Description: &bad, Strict: &yes})
	if got := wantRefusal(t, err, codes.InvalidArgument, "node_invalid"); len(got.Findings) != 2 {
		t.Errorf("findings are %v; want one at id, one at description", got.Findings)
	}
	_, err = h.UpdateNode(t.Context(), &registryv1.UpdateNodeRequest{Id: "H41/motcua", Description: &bad, Strict: &yes})
	wantRefusal(t, err, codes.InvalidArgument, "node_invalid")
	if got := h.node("H41/motcua"); !proto.Equal(got, before) {
		t.Errorf("a request that was refused made the node %v", got)
	}
	_, err = h.UpdateNode(t.Context(), &registryv1.UpdateNodeRequest{Id: "H41/nowhere", Strict: &yes})
	wantRefusal(t, err, codes.NotFound, "node_unknown")
	if h.ReadStrictly("H41/nowhere") {
		t.Error("a node that is not there is read strictly")
	}
}

// Strictness lasts through everything else that happens to a node.
func TestNodesStayStrict(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	created, err := h.CreateNode(t.Context(), &registryv1.CreateNodeRequest{Id: "H41/motcua", Kind: oneStop, Strict: true})
	if err != nil || !created.GetNode().GetStrict() {
		t.Fatalf("created %v, %v; want it strict", created, err)
	}
	want := func(when string) {
		t.Helper()
		if !h.ReadStrictly("H41/motcua") {
			t.Errorf("%s the node is read strictly no more", when)
		}
	}
	h.join(readToken(t, created.GetToken()))
	want("joined,")
	for _, state := range []registryv1.NodeState{suspended, active, revoked} {
		if err := h.setState("H41/motcua", state); err != nil {
			t.Fatal(err)
		}
		want(state.String() + ",")
	}
	h.create("H41/khac", oneStop)
	if h.ReadStrictly("H41/khac") {
		t.Error("a node that nobody has made strict is read strictly")
	}
	if got := h.ended.all(); got != "H41/motcua H41/motcua" {
		t.Errorf("told the end of %q; want it twice: suspended, revoked", got)
	}
}

func TestWhatListsGiveOutIsNobodyElses(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.create("H41/motcua", oneStop)
	before := proto.CloneOf(h.node("H41/motcua"))
	h.node("H41/motcua").State = active
	if got := h.node("H41/motcua"); !proto.Equal(got, before) {
		t.Errorf("a caller changed the registry to %v", got)
	}
}
