package hub_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/certs"
	enterprisev1 "github.com/lienthong/lienthong/gen/lienthong/enterprise/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	faultv1 "github.com/lienthong/lienthong/gen/lienthong/fault/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/packet"
)

// strangers returns the TLS sides of a caller without a certificate and of one
// whose certificate says H41/motcua, but is of an authority of its own. Both
// trust the hub that the profile is of.
func strangers(t *testing.T, profile string) (stranger, forger *tls.Config) {
	t.Helper()
	at, source, err := certs.LoadProfile(profile, nil)
	if err != nil {
		t.Fatal(err)
	}
	stranger = certs.ClientConfig(source, at.ServerName(), nil)
	stranger.GetClientCertificate = nil

	rogue, err := certs.Create(filepath.Join(t.TempDir(), "ca"), certs.AuthorityConfig{TrustDomain: hub.DefaultName, HubName: hub.DefaultName})
	if err != nil {
		t.Fatal(err)
	}
	id, err := certs.ParseNodeID("H41/motcua")
	if err != nil {
		t.Fatal(err)
	}
	key, request, err := certs.NewKeyAndCSR()
	if err != nil {
		t.Fatal(err)
	}
	issued, err := rogue.IssueNode(request, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	forged := &certs.Credentials{Key: key, Chain: issued.Chain, Roots: source.Credentials().Roots}
	return stranger, certs.ClientConfig(forged, at.ServerName(), nil)
}

// submitWith submits a good packet with some TLS side, past the SDK.
func submitWith(t *testing.T, c *cast, config *tls.Config) error {
	t.Helper()
	conn, err := grpc.NewClient(c.hub.GRPCAddress(), grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is about the call
	_, err = exchangev1.NewExchangeServiceClient(conn).Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: envelope(t, "stranger", "dossier.xml")})
	for _, detail := range status.Convert(err).Details() {
		if r, ok := detail.(*faultv1.Refusal); ok {
			return &nodes.Refused{Refusal: r}
		}
	}
	return err
}

func TestPacketsGoToWhoHoldsARight(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	portal := join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	finance := join(t, h, "G12/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	h.Grant("H41", "G22/portal")
	h.Grant("H41", "G12/motcua", dossier)

	submit := func(env *exchangev1.Envelope) []string {
		t.Helper()
		accepted, err := province.Submit(t.Context(), env)
		if err != nil {
			t.Fatal(err)
		}
		return accepted.Statement.GetRecipients()
	}
	narrowed := envelope(t, "narrowed", "dossier.xml")
	narrowed.Recipients = []string{"G22/portal"}
	for name, tc := range map[string]struct {
		env  *exchangev1.Envelope
		want string
	}{
		"a dossier goes to both":                {envelope(t, "dossier", "dossier.xml"), "[G12/motcua G22/portal]"},
		"a statistic goes to the portal only":   {envelope(t, "statistic", "statistic.xml"), "[G22/portal]"},
		"explicit recipients narrow the routes": {narrowed, "[G22/portal]"},
	} {
		if got := fmt.Sprint(submit(tc.env)); got != tc.want {
			t.Errorf("%s: recipients are %s, want %s", name, got, tc.want)
		}
	}
	take(t, portal, 3)
	if got := take(t, finance, 1); got[0].GetPacket().GetEnvelope().GetId() != "dossier" {
		t.Errorf("G12 received %s, want the dossier", got[0].GetPacket().GetEnvelope().GetId())
	}
	wantNothingWaiting(t, portal)
	wantNothingWaiting(t, finance)
}

func TestSuspendedNodesStreamsEnd(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	portal := join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	if _, err := province.Submit(t.Context(), envelope(t, "", "dossier.xml")); err != nil {
		t.Fatal(err)
	}
	// One delivery shows that the stream is live.
	live, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- portal.Receive(t.Context(), func(context.Context, *exchangev1.Delivery) error { close(live); return nil }, nodes.ReceiveOptions{})
	}()
	<-live
	h.SetState("G22/portal", registryv1.NodeState_NODE_STATE_SUSPENDED)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	select {
	case err := <-ended:
		var refused *nodes.Refused
		if !errors.As(err, &refused) || refused.Reason() != "node_not_active" {
			t.Errorf("the live stream ended with %v, want node_not_active", err)
		}
	case <-ctx.Done():
		t.Fatal("the live stream of a suspended node goes on")
	}
	h.SetState("G22/portal", registryv1.NodeState_NODE_STATE_ACTIVE)
	if _, err := province.Submit(t.Context(), envelope(t, "", "dossier.xml")); err != nil {
		t.Fatal(err)
	}
	take(t, portal, 1)
}

// Joining anew into the profile that a program runs on is how certificates are
// renewed for now: the program goes on.
func TestARunningNodeTakesUpItsNewCertificate(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	portal := join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	received, ended := make(chan uint64), make(chan error, 1)
	go func() {
		ended <- portal.Receive(ctx, func(_ context.Context, d *exchangev1.Delivery) error {
			received <- d.GetPacket().GetSequence()
			return nil
		}, nodes.ReceiveOptions{})
	}()
	for _, again := range []bool{false, true} {
		if again {
			answer, err := h.Admin.IssueToken(t.Context(), &registryv1.IssueTokenRequest{Id: "G22/portal"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := nodes.Join(t.Context(), answer.GetToken(), portal.profile, nodes.JoinOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		accepted, err := province.Submit(t.Context(), envelope(t, "", "dossier.xml"))
		if err != nil {
			t.Fatal(err)
		}
		select {
		case sequence := <-received:
			if sequence != accepted.Statement.GetSequence() {
				t.Errorf("received %d, want %d", sequence, accepted.Statement.GetSequence())
			}
		case err := <-ended:
			t.Fatalf("after joining anew %v: receiving ended with %v", again, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestARestartedHubGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "hub")
	onDir := func(c *hub.Config) { c.DataDir = dir }
	first := hubtest.Start(t, onDir)
	province := join(t, first, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	portal := join(t, first, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	first.Grant("H41", "G22/portal")
	before, err := province.Submit(t.Context(), envelope(t, "kept", "dossier.xml"))
	if err != nil {
		t.Fatal(err)
	}
	first.Stop()

	second := hubtest.Start(t, onDir)
	readdress(t, second, province, portal)
	province, portal = open(t, province.profile), open(t, portal.profile)
	again, err := province.Submit(t.Context(), envelope(t, "kept", "dossier.xml"))
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(before.Receipt, again.Receipt) {
		t.Error("the same submission got another receipt after the restart")
	}
	changed := envelope(t, "kept", "dossier.xml")
	changed.Content = bytes.Replace(changed.GetContent(), []byte("<Phone>"), []byte("<Phone>0"), 1)
	var refused *nodes.Refused
	if _, err := province.Submit(t.Context(), changed); !errors.As(err, &refused) || refused.Code() != codes.AlreadyExists {
		t.Errorf("other content under a used id got %v, want ALREADY_EXISTS", err)
	}
	if got := take(t, portal, 1); got[0].GetPacket().GetSequence() != before.Statement.GetSequence() {
		t.Errorf("the portal received sequence %d, want %d", got[0].GetPacket().GetSequence(), before.Statement.GetSequence())
	}
	wantNothingWaiting(t, portal)
}

// readdress points profiles at where a restarted hub listens now.
func readdress(t *testing.T, h *hubtest.Hub, members ...*member) {
	t.Helper()
	for _, m := range members {
		at, source, err := certs.LoadProfile(m.profile, nil)
		if err != nil {
			t.Fatal(err)
		}
		at.Address = h.GRPCAddress()
		if err := certs.SaveProfile(m.profile, at, source.Credentials()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheFirstAdministratorsProfileIsIssuedOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "hub")
	onDir := func(c *hub.Config) { c.DataDir = dir }
	first := hubtest.Start(t, onDir)
	first.Stop()
	profile := filepath.Join(dir, hub.AdminDir)
	key, err := os.Stat(filepath.Join(profile, certs.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if mode := key.Mode().Perm(); mode != 0o600 {
		t.Errorf("the administrator's key has mode %o, want 600", mode)
	}
	hubtest.Start(t, onDir).Stop() // the profile still works, at the new address

	if err := os.RemoveAll(profile); err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(t.Context(), hub.Config{DataDir: dir, GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(profile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a profile that was taken away came back: %v", err)
	}
}

func TestABodyTooLargeIsAnsweredInEveryVersionOfHTTP(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.ContentBytes = limitBytes })
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	tooLarge := bytes.Repeat([]byte(" "), 4<<20)
	for _, protocol := range []string{"h2", "http/1.1", "http/1.0"} {
		at, source, err := certs.LoadProfile(province.profile, nil)
		if err != nil {
			t.Fatal(err)
		}
		config := certs.ClientConfig(source, at.ServerName(), nil)
		config.NextProtos = []string{protocol}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: protocol == "h2"}}
		status, body := post(t, client, h.EdgeURL()+dossierPath, tooLarge)
		if status != http.StatusRequestEntityTooLarge || !bytes.Contains([]byte(body), []byte("8192")) {
			t.Errorf("%s: HTTP %d with %q, want 413 and the limit", protocol, status, body)
		}
		client.CloseIdleConnections()
	}
}

func TestTheSamePacketAtTwoDoorsIsOnePacket(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	portal := join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	env := envelope(t, "", "dossier.xml")
	env.Id = packet.EnvelopeID(env)
	if _, err := province.Submit(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	if status, body := post(t, province.http, h.EdgeURL()+dossierPath, env.GetContent()); status != http.StatusOK {
		t.Fatalf("HTTP %d: %s", status, body)
	}
	take(t, portal, 1)
	wantNothingWaiting(t, portal)
}

// Who is not let in is told so before a body has come, so that bodies of strangers
// take no memory.
func TestTheEdgeAnswersStrangersBeforeTheirBody(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	revoked := join(t, h, "H41/cu", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	h.SetState("H41/cu", registryv1.NodeState_NODE_STATE_REVOKED)
	stranger, _ := strangers(t, province.profile)
	for name, tc := range map[string]struct {
		client *http.Client
		want   int
	}{
		"no certificate": {httpClient(t, stranger), http.StatusUnauthorized},
		"a revoked node": {revoked.http, http.StatusForbidden},
	} {
		body, never := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.EdgeURL()+dossierPath, body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tc.client.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if resp.StatusCode != tc.want {
			t.Errorf("%s: HTTP %d, want %d", name, resp.StatusCode, tc.want)
		}
		if err := errors.Join(resp.Body.Close(), never.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestLookUp(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	finance := join(t, h, "G12/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	register := join(t, h, "G05/dkkd", registryv1.NodeKind_NODE_KIND_DATABASE)
	h.GrantService("H41", "G05/dkkd", "lienthong.enterprise.v1.EnterpriseService/LookUpEnterprise")

	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- register.Serve(ctx, func(r grpc.ServiceRegistrar) { enterprisev1.RegisterEnterpriseServiceServer(r, oneEnterprise{}) })
	}()
	defer func() {
		stop()
		<-served
	}()
	question := &enterprisev1.LookUpEnterpriseRequest{Code: "0100000001"}
	asProvince := enterprisev1.NewEnterpriseServiceClient(province.Via("G05/dkkd"))
	// The register may still be on its way: UNAVAILABLE says so, and nothing else does.
	resp, err := asProvince.LookUpEnterprise(t.Context(), question)
	for status.Code(err) == codes.Unavailable {
		resp, err = asProvince.LookUpEnterprise(t.Context(), question)
	}
	if err != nil || resp.GetEnterprise().GetName() != "Công ty Mẫu" {
		t.Fatalf("asked with a right: %v, %v", resp, err)
	}
	if _, err := asProvince.LookUpEnterprise(t.Context(), &enterprisev1.LookUpEnterpriseRequest{Code: "0100000002"}); status.Code(err) != codes.NotFound {
		t.Errorf("an unknown enterprise: %v, want NOT_FOUND", err)
	}
	asFinance := enterprisev1.NewEnterpriseServiceClient(finance.Via("G05/dkkd"))
	if _, err := asFinance.LookUpEnterprise(t.Context(), question); status.Code(err) != codes.PermissionDenied {
		t.Errorf("asked without a right: %v, want PERMISSION_DENIED", err)
	}
}

type oneEnterprise struct {
	enterprisev1.UnimplementedEnterpriseServiceServer
}

func (oneEnterprise) LookUpEnterprise(_ context.Context, req *enterprisev1.LookUpEnterpriseRequest) (*enterprisev1.LookUpEnterpriseResponse, error) {
	if req.GetCode() != "0100000001" {
		return nil, status.Error(codes.NotFound, "not in the register")
	}
	return &enterprisev1.LookUpEnterpriseResponse{Enterprise: &enterprisev1.Enterprise{Code: req.GetCode(), Name: "Công ty Mẫu"}}, nil
}

func TestPublicPagesFollowTheLog(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	accepted, err := province.Submit(t.Context(), envelope(t, "", "dossier.xml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.WaitForViews(t.Context(), accepted.Statement.GetSequence()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(h.WebURL() + "/ho-so?code=" + accepted.Statement.GetSubject())
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the dossier's page: HTTP %d, %v", resp.StatusCode, err)
	}
	view := viewv1.NewViewServiceClient(connect(t, h, province.profile))
	got, err := view.GetDossier(t.Context(), &viewv1.GetDossierRequest{Code: accepted.Statement.GetSubject()})
	if err != nil || got.GetDossier().GetOrganisationCode() != "H41" {
		t.Errorf("the dossier over gRPC: %v, %v", got, err)
	}
}

// connect opens a plain gRPC connection with a profile.
func connect(t *testing.T, h *hubtest.Hub, profile string) *grpc.ClientConn {
	t.Helper()
	at, source, err := certs.LoadProfile(profile, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(h.GRPCAddress(), grpc.WithTransportCredentials(credentials.NewTLS(certs.ClientConfig(source, at.ServerName(), nil))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return conn
}
