package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	validator "github.com/pb33f/libopenapi-validator"
	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/gateway"
)

// said holds calls and answers against OpenAPI.
type said struct {
	t    testing.TB
	rule validator.Validator
	doc  described
}

func whatIsSaid(t testing.TB) said {
	t.Helper()
	return said{t, openAPIValidator(t), describedOf(t, openAPI(t))}
}

// wire is a call of an edge.
type wire struct {
	method, path string
	header       http.Header
	body         string
}

func (w wire) request(e *edge, method string) *http.Request {
	r, err := http.NewRequestWithContext(e.t.Context(), method, "http://"+e.addr+w.path, strings.NewReader(w.body))
	if err != nil {
		e.t.Fatal(err)
	}
	maps.Copy(r.Header, w.header)
	return r
}

// call sends a call and fails the test unless the answer has the status and is as
// OpenAPI says, in the headers too; where it is no refusal, so is the call.
func (s said) call(e *edge, w wire, want int) answer {
	s.t.Helper()
	got := e.do(w.method, w.path, w.header, strings.NewReader(w.body))
	if got.StatusCode != want {
		s.t.Fatalf("%s %s: got %d %s; want %d", w.method, w.path, got.StatusCode, got.body, want)
	}
	if valid, wrong := s.rule.ValidateHttpRequest(w.request(e, w.method)); want == http.StatusOK && !valid {
		s.t.Errorf("%s %s: the call is not as said: %v", w.method, w.path, wrong[0])
	}
	s.answer(e, w, got)
	return got
}

// answer holds an answer against what is said of the address; of a method that is not
// for the address, against what is said of those that are.
func (s said) answer(e *edge, w wire, got answer) {
	s.t.Helper()
	method := w.method
	if got.StatusCode == http.StatusMethodNotAllowed {
		method, _, _ = strings.Cut(got.Header.Get("Allow"), ", ")
	}
	got.Response.Body = io.NopCloser(bytes.NewReader([]byte(got.body)))
	if valid, wrong := s.rule.ValidateHttpResponse(w.request(e, method), got.Response); !valid {
		s.t.Errorf("%s %s: the answer is not as said: %v %v\n%d %s", w.method, w.path, wrong[0], wrong[0].SchemaValidationErrors, got.StatusCode, got.body)
	}
	needed := map[int]string{
		http.StatusMethodNotAllowed: "Allow", http.StatusUnauthorized: "WWW-Authenticate", http.StatusNotModified: "ETag",
		http.StatusTooManyRequests: "Retry-After", http.StatusServiceUnavailable: "Retry-After",
	}[got.StatusCode]
	if got.Header.Get("X-Request-Id") == "" || needed != "" && got.Header.Get(needed) == "" {
		s.t.Errorf("%s %s: %d comes without X-Request-Id or %s: %v", w.method, w.path, got.StatusCode, needed, got.Header)
	}
}

func asJSON(more ...string) http.Header {
	header := http.Header{"Content-Type": {jsonType}, "Accept": {jsonType}, "X-Request-Id": {"r-1"}}
	for i := 0; i+1 < len(more); i += 2 {
		header.Set(more[i], more[i+1])
	}
	return header
}

func get(path string, more ...string) wire {
	return wire{http.MethodGet, path, asJSON(more...), ""}
}

func post(path, body string, more ...string) wire {
	return wire{http.MethodPost, path, asJSON(more...), body}
}

func TestCallsAndAnswersAreAsOpenAPISays(t *testing.T) {
	t.Parallel()
	e, s := startEdge(t, nil), whatIsSaid(t)
	for _, door := range doors() {
		s.call(e, post(door.path, door.json, "X-LienThong-To", "H41/a,H41/b"), http.StatusOK)
		s.call(e, post(door.path, door.json, "Accept", "image/png"), http.StatusOK)
	}
	for _, w := range []wire{
		get("/v1/packets/1"), get("/v1/packets/1?format=FORMAT_XML"), get("/v1/packets/1/content"), get("/v1/packets/1/content", "Accept", "*/*"),
		get("/Delivery/Pull?max=2&wait=0"), post("/Delivery/Acknowledge", `{"DeliveryId":["1"]}`),
		post("/v1/deliveries:pull", `{"max":2}`), post("/v1/deliveries:pull", "{}"), post("/v1/deliveries:acknowledge", `{"sequences":["2",3]}`),
		post("/v1/packets", envelopeJSON(surveyXML)),
		post("/v1/deliveries:reject", `{"rejections":[{"sequence":"3","reason":"hỏng","final":true},{"sequence":4,"reason":"bận"}]}`), get("/v1/packets/3/deliveries"),
		get("/v1/dead-letters"), get("/v1/dead-letters?after=2&limit=1"), post("/v1/dead-letters:settle", `{"redeliver":["3"],"discard":["9"]}`), post("/v1/dead-letters:settle", "{}"),
		get("/openapi.json"), get("/schema/lienthong.xsd?mode=structure&type=survey"), get("/healthz"),
	} {
		s.call(e, w, http.StatusOK)
	}
	for _, path := range []string{"/openapi.json", "/schema/lienthong.xsd"} {
		tag := e.get(path).Header.Get("ETag")
		s.call(e, get(path, "If-None-Match", tag), http.StatusNotModified)
		s.call(e, wire{http.MethodHead, path, asJSON("If-None-Match", tag), ""}, http.StatusNotModified)
	}
}

// What a sender spelt loosely comes back as it was spelt, unless Accept names a type.
func TestLooseSpellingsAreAsOpenAPISays(t *testing.T) {
	t.Parallel()
	e, s := startEdge(t, nil), whatIsSaid(t)
	loose := regexp.MustCompile(`"Total": ?100`).ReplaceAllString(statisticJSON, `"Total":"100"`)
	e.post("/Statistic/UpdateStatistic", jsonType, loose).wantAccepted(t, jsonType)
	if got := s.call(e, get("/v1/packets/1/content", "Accept", "*/*"), http.StatusOK); got.body != loose || !strings.Contains(loose, `"100"`) {
		t.Errorf("got %s, want it as it was sent", got.body)
	}
	if got := s.call(e, get("/v1/packets/1/content"), http.StatusOK); strings.Contains(got.body, `"100"`) {
		t.Errorf("got %s, want the official spelling", got.body)
	}
}

func TestRefusalsAreAsOpenAPISays(t *testing.T) {
	t.Parallel()
	e, s := startEdge(t, func(cfg *gateway.Config, _ *http.Server) { cfg.MaxBodyBytes = 32 << 10 }), whatIsSaid(t)
	large := strings.Repeat(" ", 33<<10)
	s.call(e, post("/Vote/UpdateVote", surveyJSON, "Idempotency-Key", "used"), http.StatusOK)
	ids := strings.TrimSuffix(strings.Repeat(`"1",`, 1025), ",")
	for want, wires := range map[int][]wire{
		http.StatusBadRequest: {
			post("/Vote/UpdateVote", ""), post("/Vote/UpdateVote", surveyXML), post("/Vote/UpdateVote", surveyJSON, "Idempotency-Key", "a b"),
			post("/Vote/UpdateVote", surveyJSON, "X-LienThong-To", "\xff"), post("/Vote/UpdateVote?to=a&to=b", surveyJSON), post("/Vote/UpdateVote", `{"TotalVoted":"x"}`),
			get("/Delivery/Pull?max=0"), get("/Delivery/Pull?wait=61"), get("/Delivery/Pull?max=%zz"),
			post("/Delivery/Acknowledge", `{"DeliveryId":[]}`), post("/Delivery/Acknowledge", `{"DeliveryId":["0"]}`), post("/Delivery/Acknowledge", `{"DeliveryId":[`+ids+`]}`),
			get("/v1/packets/x"), get("/v1/packets/0/receipt"), get("/v1/packets/x/deliveries"), get("/v1/dead-letters?after=x"), get("/v1/dead-letters?limit=-1"),
			post("/v1/deliveries:reject", `{"rejections":[{"sequence":"x"}]}`), post("/v1/dead-letters:settle", `{"redeliver":["-1"]}`), get("/v1/packets/1?format=x"),
			post("/v1/packets", ""), post("/v1/packets", surveyXML), post("/v1/packets", `{"id":"a","sender":"x"}`), post("/v1/packets", `{"id":"a"}`),
			post("/v1/packets", `{"id":"a","type":"PACKET_TYPE_STATISTIC","format":"FORMAT_JSON","content":"e30="}`), post("/v1/deliveries:pull", `{"max":"x"}`),
			get("/schema/lienthong.xsd?mode=loose"), get("/schema/lienthong.xsd?%zz"),
		},
		http.StatusForbidden: {
			post("/Delivery/Acknowledge", `{"DeliveryId":["1"]}`, "Sec-Fetch-Site", "cross-site"), post("/v1/deliveries:pull", "{}", "Sec-Fetch-Site", "cross-site"),
		},
		http.StatusNotFound: {get("/v1/packets/99"), get("/v1/packets/99/deliveries"), get("/v1/packets/99/content"), get("/v1/packets/99", "Accept", xmlType)},
		http.StatusConflict: {post("/Vote/UpdateVote", surveyJSON+" ", "Idempotency-Key", "used"), post("/v1/packets", strings.Replace(envelopeJSON(surveyXML), "rest-1", "used", 1))},
		http.StatusRequestEntityTooLarge: {
			post("/Vote/UpdateVote", large), post("/Delivery/Acknowledge", large), post("/v1/packets", large), post("/v1/deliveries:pull", large), post("/v1/deliveries:acknowledge", large),
		},
		http.StatusUnsupportedMediaType: {
			post("/Vote/UpdateVote", surveyJSON, "Content-Type", "text/plain"), post("/Vote/UpdateVote", surveyJSON, "Content-Encoding", "gzip"),
			post("/Delivery/Acknowledge", "{}", "Content-Type", "text/plain"), post("/v1/packets", surveyXML, "Content-Type", xmlType), post("/v1/deliveries:pull", "{}", "Content-Encoding", "br"),
		},
	} {
		for _, w := range wires {
			s.call(e, w, want)
		}
	}
}

// What is not kept any more is told from what never was.
func TestExpiredPacketsAreAsOpenAPISays(t *testing.T) {
	t.Parallel()
	e, s := startEdge(t, nil), whatIsSaid(t)
	e.exchange.refuse(fault.New(codes.NotFound, "packet_expired", "not kept any more", "không còn lưu"))
	for _, w := range []wire{get("/v1/packets/1"), get("/v1/packets/1", "Accept", xmlType), get("/v1/packets/1/content")} {
		s.call(e, w, http.StatusGone)
	}
}

func TestAddressesRefuseOtherMethodsAsOpenAPISays(t *testing.T) {
	t.Parallel()
	e, s := startEdge(t, nil), whatIsSaid(t)
	for path := range s.doc.Paths {
		w := wire{http.MethodDelete, strings.Replace(path, "{sequence}", "1", 1), asJSON(), ""}
		s.call(e, w, http.StatusMethodNotAllowed)
	}
}

// everyCall is a call of every address that is not open, by a method it is for.
func everyCall() []wire {
	calls := []wire{
		get("/Delivery/Pull"), post("/Delivery/Pull", ""), post("/Delivery/Acknowledge", `{"DeliveryId":["1"]}`), post("/v1/packets", envelopeJSON(surveyXML)),
		post("/v1/deliveries:pull", "{}"), post("/v1/deliveries:acknowledge", `{"sequences":["1"]}`),
		get("/v1/packets/1"), get("/v1/packets/1/content"), get("/v1/packets/1/receipt"), get("/v1/packets/1/deliveries"), get("/v1/dead-letters"),
		post("/v1/deliveries:reject", `{"rejections":[{"sequence":"1","reason":"x"}]}`), post("/v1/dead-letters:settle", `{"discard":["1"]}`),
	}
	for _, door := range doors() {
		calls = append(calls, post(door.path, door.json))
	}
	return calls
}

func TestFailuresOfEveryCallAreAsOpenAPISays(t *testing.T) {
	t.Parallel()
	var refusal error
	s := whatIsSaid(t)
	e := startEdge(t, func(cfg *gateway.Config, _ *http.Server) {
		cfg.Caller = func(*http.Request) (context.Context, error) { return nil, refusal }
	})
	for want, cause := range map[int]error{
		http.StatusUnauthorized:        fault.New(codes.Unauthenticated, "certificate_missing", "a certificate is required", "cần chứng thư"),
		http.StatusForbidden:           fault.New(codes.PermissionDenied, "node_not_active", "suspended", "tạm dừng"),
		http.StatusTooManyRequests:     fault.New(codes.ResourceExhausted, "quota_exceeded", "too much", "quá nhiều").After(90 * time.Second),
		http.StatusInternalServerError: errors.New("broken"),
		http.StatusServiceUnavailable:  fault.New(codes.Unavailable, "stopping", "shutting down", "đang dừng"),
		http.StatusGatewayTimeout:      fault.New(codes.DeadlineExceeded, "deadline_exceeded", "too late", "quá hạn"),
	} {
		refusal = cause
		for _, w := range everyCall() {
			s.call(e, w, want)
		}
	}
}

func TestBusyEdgeAnswersAsOpenAPISays(t *testing.T) {
	t.Parallel()
	const step = 64 << 10
	e, s := startEdge(t, func(cfg *gateway.Config, server *http.Server) {
		cfg.MaxBodyBytes, cfg.HeldBytes = 2*step, 3*step
		server.Protocols = &http.Protocols{}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
	}), whatIsSaid(t)
	_, hangUp := askAndTakeNothing(t, e.addr, 64)
	defer hangUp()
	s.call(e, get("/openapi.json"), http.StatusServiceUnavailable)
	s.call(e, get("/schema/lienthong.xsd"), http.StatusServiceUnavailable)
	e.exchange.hold, e.exchange.held = make(chan struct{}), make(chan struct{}, 1)
	large := surveyJSON + strings.Repeat(" ", 2*step-1-len(surveyJSON))
	first := make(chan answer, 1)
	go func() { first <- e.post("/Vote/UpdateVote", jsonType, large) }()
	<-e.exchange.held
	for _, path := range []string{"/Vote/UpdateVote", "/Delivery/Acknowledge", "/v1/packets"} {
		s.call(e, post(path, large), http.StatusServiceUnavailable)
	}
	close(e.exchange.hold)
	(<-first).wantAccepted(t, jsonType)
}

// Many clients say a type with every call; where there is no body it means nothing.
func TestCallsWithoutBodyMaySayAnyType(t *testing.T) {
	t.Parallel()
	e := startEdge(t, nil)
	e.post("/Vote/UpdateVote", xmlType, surveyXML).wantAccepted(t, xmlType)
	for _, mediaType := range []string{"text/plain", "application/x-www-form-urlencoded", "application/octet-stream", "x", xmlType, jsonType} {
		for _, path := range []string{"/v1/packets/1", "/v1/packets/1/content", "/Delivery/Pull", "/openapi.json", "/healthz"} {
			if got := e.get(path, "Content-Type", mediaType); got.StatusCode != http.StatusOK {
				t.Errorf("%s, Content-Type %s: got %d %s", path, mediaType, got.StatusCode, got.body)
			}
		}
		if got := e.post("/v1/deliveries:pull", mediaType, ""); got.StatusCode != http.StatusOK {
			t.Errorf("pull, Content-Type %s: got %d %s", mediaType, got.StatusCode, got.body)
		}
		if got := e.post("/v1/deliveries:pull", mediaType, "{}"); (got.StatusCode == http.StatusUnsupportedMediaType) != (mediaType != jsonType) {
			t.Errorf("pull with a body, Content-Type %s: got %d %s", mediaType, got.StatusCode, got.body)
		}
	}
}
