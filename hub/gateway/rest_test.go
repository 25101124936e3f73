package gateway_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/lienthong/lienthong/hub/gateway"
)

// problem is what RFC 9457 and the edge put into an error.
type problem struct {
	Type, Title, Detail, DetailVi, Reason, RequestID string
	Status, RetryAfterSeconds                        int
	Violations                                       []struct{ Field, Rule, MessageEn, MessageVi string }
}

func (a answer) problem(t testing.TB) problem {
	t.Helper()
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.mediaType() != "application/problem+json" {
		t.Fatalf("no problem details (%v): %d %s %s", err, a.StatusCode, a.Header.Get("Content-Type"), a.body)
	}
	if p.Type != "urn:lienthong:problem:"+p.Reason || p.Title != http.StatusText(a.StatusCode) || p.Status != a.StatusCode || p.RequestID != a.Header.Get("X-Request-Id") {
		t.Errorf("problem is %+v", p)
	}
	return p
}

func envelopeJSON(content string) string {
	return `{"id":"rest-1","type":"PACKET_TYPE_SURVEY","format":"FORMAT_XML","content":"` +
		base64.StdEncoding.EncodeToString([]byte(content)) + `","recipients":["G22/portal"]}`
}

func TestRESTSubmitsAndFetches(t *testing.T) {
	e := startEdge(t, nil)
	got := e.post("/v1/packets", "application/json; charset=utf-8", envelopeJSON(surveyXML), "Accept", "application/json;q=0.9, */*")
	var submitted struct {
		Statement struct{ Sequence, EnvelopeID string }
		Receipt   struct{ Leaf []byte }
	}
	if err := json.Unmarshal([]byte(got.body), &submitted); err != nil || got.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s", got.StatusCode, got.body)
	}
	if submitted.Statement.Sequence != "1" || submitted.Statement.EnvelopeID != "rest-1" || len(submitted.Receipt.Leaf) == 0 {
		t.Errorf("got %+v", submitted)
	}
	if got.mediaType() != jsonType || got.Header.Get("Location") != "/v1/packets/1" || got.Header.Get("X-LienThong-Sequence") != "1" {
		t.Errorf("headers are %v", got.Header)
	}
	var fetched struct {
		Packet struct {
			Sequence string
			Envelope struct {
				ID      string
				Content []byte
			}
		}
	}
	got = e.get("/v1/packets/1/")
	if err := json.Unmarshal([]byte(got.body), &fetched); err != nil || string(fetched.Packet.Envelope.Content) != surveyXML || fetched.Packet.Sequence != "1" {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	if head := e.do(http.MethodHead, "/v1/packets/1", nil, http.NoBody); head.StatusCode != http.StatusOK || head.body != "" {
		t.Errorf("HEAD: got %d %q", head.StatusCode, head.body)
	}
}

func TestRESTPullsAndAcknowledges(t *testing.T) {
	e := startEdge(t, nil)
	e.post("/Vote/UpdateVote", xmlType, surveyXML).wantAccepted(t, xmlType)
	for _, body := range []string{"", " ", "{}", `{"max":1,"waitSeconds":1}`} {
		if got := e.post("/v1/deliveries:pull", "", body); got.StatusCode != http.StatusOK || strings.Count(got.body, `"attempt"`) != 1 {
			t.Errorf("pull %q: %d %s", body, got.StatusCode, got.body)
		}
	}
	got := e.post("/v1/deliveries:acknowledge", jsonType, `{"sequences":["1",7]}`)
	if got.StatusCode != http.StatusOK || strings.ReplaceAll(got.body, " ", "") != `{"acknowledged":["1"],"notWaiting":["7"]}` {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
}

func TestRESTIsStrict(t *testing.T) {
	e := startEdge(t, nil)
	for _, tc := range []struct {
		name, mediaType, body string
		status                int
		reason                string
	}{
		{"unknown member", jsonType, `{"id":"a","sender":"G22/portal"}`, 400, "request_invalid"},
		{"something after the value", jsonType, `{"id":"a"}{"id":"b"}`, 400, "request_invalid"},
		{"half a value", jsonType, `{"id":`, 400, "request_invalid"},
		{"member twice", jsonType, `{"id":"a","id":"b"}`, 400, "request_invalid"},
		{"wrong type", jsonType, `{"id":7}`, 400, "request_invalid"},
		{"content that is no base64", jsonType, `{"content":"<>"}`, 400, "request_invalid"},
		{"deep", jsonType, strings.Repeat("[", 100_000), 400, "request_invalid"},
		{"XML", xmlType, surveyXML, 415, "media_type_unsupported"},
		{"form", "application/x-www-form-urlencoded", "id=a", 415, "media_type_unsupported"},
	} {
		got := e.post("/v1/packets", tc.mediaType, tc.body)
		if p := got.problem(t); got.StatusCode != tc.status || p.Reason != tc.reason || p.DetailVi == "" {
			t.Errorf("%s: got %d %s", tc.name, got.StatusCode, got.body)
		}
	}
	if len(e.exchange.envelopes()) != 0 {
		t.Error("something was accepted")
	}
	if got := e.get("/v1/packets/x"); got.StatusCode != http.StatusBadRequest || got.problem(t).Reason != "request_invalid" {
		t.Errorf("sequence x: got %d %s", got.StatusCode, got.body)
	}
	if got := e.post("/v1/packets/1", "application/x-www-form-urlencoded", "", "X-HTTP-Method-Override", "GET"); got.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("method override: got %d", got.StatusCode)
	}
}

func TestRESTRefusalHoldsEveryViolation(t *testing.T) {
	e := startEdge(t, nil)
	got := e.post("/v1/packets", jsonType, envelopeJSON("<MVotes><TotalVoted>x</TotalVoted></MVotes>"))
	p := got.problem(t)
	if got.StatusCode != http.StatusBadRequest || p.Reason != "packet_invalid" {
		t.Fatalf("got %d %s", got.StatusCode, got.body)
	}
	for _, field := range []string{"MVotes.DateCreated", "MVotes.TotalVoted", "MVotes.PercentGood", "MVotes.OrganizationInchargeName"} {
		if !slices.ContainsFunc(p.Violations, func(v struct{ Field, Rule, MessageEn, MessageVi string }) bool {
			return v.Field == field && v.Rule != "" && v.MessageEn != "" && v.MessageVi != ""
		}) {
			t.Errorf("no violation of %s in %s", field, got.body)
		}
	}
}

func TestPacketAsDocument(t *testing.T) {
	e := startEdge(t, nil)
	bom := "\uFEFF" + progressXML
	e.post("/Document/UpdateDocumentTraces", xmlType, bom).wantAccepted(t, xmlType)
	e.post("/Vote/UpdateVote", jsonType, surveyJSON).wantAccepted(t, jsonType)
	for _, tc := range []struct {
		path, accept, mediaType string
		holds                   string
	}{
		{"/v1/packets/1/content", "", xmlType, bom},
		{"/v1/packets/1/content", "*/*", xmlType, bom},
		{"/v1/packets/2/content", "image/png", jsonType, surveyJSON},
		{"/v1/packets/1/content", jsonType, jsonType, `"DocCode"`},
		{"/v1/packets/2/content", xmlType, xmlType, "<TotalVoted>10</TotalVoted>"},
		{"/v1/packets/2/content", "text/xml", "text/xml", "<TotalVoted>10</TotalVoted>"},
		{"/v1/packets/2/content", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", xmlType, "<TotalVoted>"},
		{"/v1/packets/1/content", "application/json;q=0.5, */*", xmlType, bom},
		{"/v1/packets/2", xmlType, xmlType, "<TotalVoted>"},
		{"/v1/packets/2", "application/xml, application/json;q=0.9", xmlType, "<TotalVoted>"},
		{"/v1/packets/2", "application/xml, application/json", jsonType, `"packet"`},
		{"/v1/packets/2", jsonType, jsonType, `"packet"`},
		{"/v1/packets/2", "*/*", jsonType, `"packet"`},
	} {
		var headers []string
		if tc.accept != "" {
			headers = []string{"Accept", tc.accept}
		}
		got := e.get(tc.path, headers...)
		if got.StatusCode != http.StatusOK || got.mediaType() != tc.mediaType || !strings.Contains(got.body, tc.holds) {
			t.Errorf("%s, Accept %q: got %d %s %s", tc.path, tc.accept, got.StatusCode, got.mediaType(), got.body)
		}
		if asked := !strings.HasSuffix(tc.path, "/content") && tc.mediaType == xmlType; asked != (got.Header.Get("Content-Location") == tc.path+"/content") {
			t.Errorf("%s, Accept %q: Content-Location is %q", tc.path, tc.accept, got.Header.Get("Content-Location"))
		}
	}
	for path, status := range map[string]int{
		"/v1/packets/9/content":                    404,
		"/v1/packets/x/content":                    404,
		"/v1/packets/99999999999999999999/content": 404,
		"/v1/packets//content":                     404,
	} {
		if got := e.get(path); got.StatusCode != status || got.problem(t).Status != status {
			t.Errorf("%s: got %d %s", path, got.StatusCode, got.body)
		}
	}
}

// What the edge is told about its caller stays with the edge.
func TestCredentialsGoNoFurther(t *testing.T) {
	e := startEdge(t, nil)
	for _, path := range []string{"/v1/deliveries:pull", "/Delivery/Pull"} {
		e.post(path, jsonType, "{}", "Authorization", "Bearer secret", "Grpc-Metadata-X-Caller", "G22/portal",
			"Cookie", "secret", "X-Forwarded-For", "10.0.0.1", "Grpc-Timeout", "1n")
	}
	if len(e.exchange.metadata) != 2 {
		t.Fatalf("%d calls arrived", len(e.exchange.metadata))
	}
	for _, md := range e.exchange.metadata {
		for name, values := range md {
			if strings.Contains(strings.Join(values, " "), "secret") || strings.Contains(name, "forwarded") || strings.Contains(name, "caller") || strings.HasPrefix(name, "grpcgateway") {
				t.Errorf("%s: %v was handed on", name, values)
			}
		}
	}
}

func TestContextOfTheCallerIsTheContextOfTheCall(t *testing.T) {
	e := startEdge(t, func(cfg *gateway.Config, _ *http.Server) {
		cfg.Caller = func(r *http.Request) (context.Context, error) { return withNode(r.Context(), "H41/motcua"), nil }
	})
	e.post("/v1/deliveries:pull", jsonType, "{}")
	e.get("/Delivery/Pull")
	e.post("/Vote/UpdateVote", xmlType, surveyXML)
	e.post("/v1/packets", jsonType, envelopeJSON(surveyXML))
	e.get("/v1/packets/1")
	e.get("/v1/packets/1/content")
	e.post("/Delivery/Acknowledge", jsonType, `{"DeliveryId":["1"]}`)
	if len(e.exchange.metadata) != 7 {
		t.Errorf("%d calls arrived", len(e.exchange.metadata))
	}
	for i, md := range e.exchange.metadata {
		if !slices.Equal(md.Get("x-test-node"), []string{"H41/motcua"}) {
			t.Errorf("call %d came as %v", i, md)
		}
	}
}
