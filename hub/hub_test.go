package hub_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/packet/samples"
)

const (
	dossier   = packetv1.PacketType_PACKET_TYPE_DOSSIER
	statistic = packetv1.PacketType_PACKET_TYPE_STATISTIC
)

// member is a node that has joined.
type member struct {
	*nodes.Client
	profile string
	http    *http.Client
}

// join registers a node with a hub and joins as it.
func join(t *testing.T, h *hubtest.Hub, id string, kind registryv1.NodeKind) *member {
	t.Helper()
	profile := filepath.Join(t.TempDir(), "profile")
	if _, err := nodes.Join(t.Context(), h.AddNode(id, kind), profile, nodes.JoinOptions{}); err != nil {
		t.Fatalf("join as %s: %v", id, err)
	}
	return open(t, profile)
}

// open connects with a profile.
func open(t *testing.T, profile string) *member {
	t.Helper()
	client, err := nodes.DialProfile(profile, nodes.Config{})
	if err != nil {
		t.Fatal(err)
	}
	at, source, err := certs.LoadProfile(profile, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{Client: client, profile: profile, http: httpClient(t, certs.ClientConfig(source, at.ServerName(), nil))}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return m
}

func httpClient(t *testing.T, config *tls.Config) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func sample(t *testing.T, of []samples.Sample, name string) samples.Sample {
	t.Helper()
	at := slices.IndexFunc(of, func(s samples.Sample) bool { return s.Name == name })
	if at < 0 {
		t.Fatalf("there is no sample %s", name)
	}
	return of[at]
}

// envelope returns an envelope with a good sample.
func envelope(t *testing.T, id, name string) *exchangev1.Envelope {
	t.Helper()
	s := sample(t, samples.Good(), name)
	return &exchangev1.Envelope{Id: id, Type: s.Type, Format: s.Format, Content: s.Content}
}

// post sends a document to the HTTPS edge.
func post(t *testing.T, client *http.Client, url string, content []byte) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/xml")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// take receives until count deliveries have been handled.
func take(t *testing.T, m *member, count int) []*exchangev1.Delivery {
	t.Helper()
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	var got []*exchangev1.Delivery
	err := m.Receive(ctx, func(_ context.Context, d *exchangev1.Delivery) error {
		if got = append(got, d); len(got) == count {
			enough()
		}
		return nil
	}, nodes.ReceiveOptions{})
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return got
}

func wantNothingWaiting(t *testing.T, m *member) {
	t.Helper()
	left, err := m.Pull(t.Context(), &exchangev1.PullRequest{Max: 10})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(left.GetDeliveries()); n > 0 {
		t.Errorf("%d deliveries wait for %s, none expected", n, m.Node())
	}
}

// badInput is one way to send something wrong.
type badInput struct {
	name string
	// grpc and http send it, to a hub that has the nodes of TestBadInput.
	grpc func(*testing.T, *cast) error
	http func(*testing.T, *cast) (status int, body string)

	wantCode   codes.Code
	wantReason string
	wantStatus int
	// wantText stands in the answers of both doors.
	wantText string
}

// cast is who takes part in TestBadInput.
type cast struct {
	hub              *hubtest.Hub
	province         *member // H41, may send dossiers only
	portal           *member // G22
	finance          *member // G12, may send nothing
	stranger, forger *tls.Config
}

const limitBytes = 8 << 10

func TestBadInput(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.ContentBytes = limitBytes })
	c := &cast{
		hub:      h,
		province: join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP),
		portal:   join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL),
		finance:  join(t, h, "G12/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP),
	}
	c.stranger, c.forger = strangers(t, c.province.profile)
	h.Grant("H41", "G22/portal", dossier)

	// Another sender's stream is open all the while and must not notice.
	results := make(chan nodes.Result, 1)
	other, err := c.province.OpenSubmitter(t.Context(), nodes.SubmitterOptions{OnResult: func(r nodes.Result) { results <- r }})
	if err != nil {
		t.Fatal(err)
	}
	var sequence uint64
	goOn := func(t *testing.T) {
		t.Helper()
		if err := other.Send(t.Context(), envelope(t, fmt.Sprintf("other-%d", sequence), "dossier.xml")); err != nil {
			t.Fatalf("the stream of others: %v", err)
		}
		result := <-results
		if result.Err != nil {
			t.Fatalf("the stream of others: %v", result.Err)
		}
		if sequence++; result.Accepted.Statement.GetSequence() != sequence {
			t.Fatalf("the next packet of others got sequence %d, want %d: something refused was stored", result.Accepted.Statement.GetSequence(), sequence)
		}
	}
	goOn(t)
	for _, bad := range badInputs() {
		t.Run(bad.name, func(t *testing.T) {
			bad.wantRefusedByGRPC(t, c)
			goOn(t)
			bad.wantRefusedByHTTP(t, c)
			goOn(t)
		})
	}
	if err := other.CloseAndWait(t.Context()); err != nil {
		t.Errorf("the stream of others ended with: %v", err)
	}
	if got := take(t, c.portal, int(sequence)); len(got) != int(sequence) { //nolint:gosec // small
		t.Errorf("the portal received %d packets, want %d", len(got), sequence)
	}
	wantNothingWaiting(t, c.portal)
}

func (b badInput) wantRefusedByGRPC(t *testing.T, c *cast) {
	t.Helper()
	err := b.grpc(t, c)
	var refused *nodes.Refused
	if !errors.As(err, &refused) {
		t.Fatalf("gRPC: error is %v, want a refusal", err)
	}
	r := refused.Refusal
	if refused.Code() != b.wantCode || r.GetReason() != b.wantReason {
		t.Errorf("gRPC: refused with %s %q, want %s %q", refused.Code(), r.GetReason(), b.wantCode, b.wantReason)
	}
	text := r.GetMessageEn()
	for _, f := range r.GetFindings() {
		text += "\n" + f.GetField() + ": " + f.GetMessageEn()
	}
	if !strings.Contains(text, b.wantText) {
		t.Errorf("gRPC: the refusal says %q, want it to say %q", text, b.wantText)
	}
	if r.GetMessageVi() == "" || r.GetMessageVi() == r.GetMessageEn() {
		t.Errorf("gRPC: the Vietnamese text is %q", r.GetMessageVi())
	}
}

func (b badInput) wantRefusedByHTTP(t *testing.T, c *cast) {
	t.Helper()
	status, body := b.http(t, c)
	if status != b.wantStatus {
		t.Errorf("HTTP: status is %d, want %d; body: %s", status, b.wantStatus, body)
	}
	if !strings.Contains(body, "<MResult>") || !strings.Contains(body, b.wantText) {
		t.Errorf("HTTP: the answer is %q, want an MResult that says %q", body, b.wantText)
	}
}

const dossierPath = "/Document/SyncDocument"

// withContent is bad content from a node that may send.
func withContent(name, wantText string, content func(*testing.T) []byte) badInput {
	return badInput{
		name: name,
		grpc: func(t *testing.T, c *cast) error {
			_, err := c.province.Submit(t.Context(), &exchangev1.Envelope{Type: dossier, Format: exchangev1.Format_FORMAT_XML, Content: content(t)})
			return err
		},
		http: func(t *testing.T, c *cast) (int, string) {
			return post(t, c.province.http, c.hub.EdgeURL()+dossierPath, content(t))
		},
		wantCode: codes.InvalidArgument, wantReason: "packet_invalid", wantStatus: http.StatusBadRequest, wantText: wantText,
	}
}

// without cuts an element out of the good dossier.
func without(element string) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		content := string(sample(t, samples.Good(), "dossier.xml").Content)
		start, end := strings.Index(content, "<"+element+">"), strings.Index(content, "</"+element+">")
		if start < 0 || end < 0 {
			t.Fatalf("the sample has no %s", element)
		}
		return []byte(content[:start] + content[end+len("</"+element+">"):])
	}
}

func badInputs() []badInput {
	good := func(t *testing.T) []byte { return sample(t, samples.Good(), "dossier.xml").Content }
	oversized := withContent("an oversized message", "8192", func(t *testing.T) []byte {
		return bytes.Replace(good(t), []byte("<CitizenName>"), append([]byte("<CitizenName>"), bytes.Repeat([]byte("A"), limitBytes)...), 1)
	})
	oversized.wantCode, oversized.wantReason, oversized.wantStatus = codes.ResourceExhausted, "packet_too_large", http.StatusRequestEntityTooLarge
	return []badInput{
		withContent("malformed XML", "MSyncDocument", func(t *testing.T) []byte { return good(t)[:len(good(t))/2] }),
		withContent("an unknown packet", "MInvoice", func(*testing.T) []byte { return []byte("<MInvoice><No>1</No></MInvoice>") }),
		withContent("a missing required field", "MSyncDocument.DocCode", without("DocCode")),
		oversized,
		{
			name: "an unauthorised organisation",
			grpc: func(t *testing.T, c *cast) error {
				_, err := c.finance.Submit(t.Context(), envelope(t, "", "dossier.xml"))
				return err
			},
			http: func(t *testing.T, c *cast) (int, string) {
				return post(t, c.finance.http, c.hub.EdgeURL()+dossierPath, good(t))
			},
			wantCode: codes.PermissionDenied, wantReason: "organisation_not_yours", wantStatus: http.StatusForbidden, wantText: "G12",
		},
		{
			name: "a packet that nobody has a right to",
			grpc: func(t *testing.T, c *cast) error {
				_, err := c.province.Submit(t.Context(), envelope(t, "", "statistic.xml"))
				return err
			},
			http: func(t *testing.T, c *cast) (int, string) {
				return post(t, c.province.http, c.hub.EdgeURL()+"/Statistic/UpdateStatistic", sample(t, samples.Good(), "statistic.xml").Content)
			},
			wantCode: codes.PermissionDenied, wantReason: "right_missing", wantStatus: http.StatusForbidden, wantText: "right to statistic packets from H41",
		},
		{
			name: "no client certificate",
			grpc: func(t *testing.T, c *cast) error { return submitWith(t, c, c.stranger) },
			http: func(t *testing.T, c *cast) (int, string) {
				return post(t, httpClient(t, c.stranger), c.hub.EdgeURL()+dossierPath, good(t))
			},
			wantCode: codes.Unauthenticated, wantReason: "certificate_missing", wantStatus: http.StatusUnauthorized, wantText: "certificate",
		},
		{
			name: "a certificate of another authority",
			grpc: func(t *testing.T, c *cast) error { return submitWith(t, c, c.forger) },
			http: func(t *testing.T, c *cast) (int, string) {
				return post(t, httpClient(t, c.forger), c.hub.EdgeURL()+dossierPath, good(t))
			},
			wantCode: codes.Unauthenticated, wantReason: "certificate_unknown_authority", wantStatus: http.StatusUnauthorized, wantText: "authority",
		},
	}
}
