package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lienthong/lienthong/hub/gateway"
)

func TestClientsAsTheyAre(t *testing.T) {
	e := startEdge(t, nil)
	host := "Host: hub.example"
	for _, tc := range []struct {
		name, line string
		headers    []string
		body       string
		halfClose  bool
		answer     string
	}{
		{"HTTP/1.1 without keep-alive", "POST /Document/SyncDocument HTTP/1.1",
			[]string{host, "Connection: close", "Content-Type: application/xml"}, dossierXML, false, xmlType},
		{"HTTP/1.0 without Host", "POST /Document/SyncDocument HTTP/1.0",
			[]string{"Content-Type: text/xml"}, dossierXML, false, "text/xml"},
		{"HTTP/1.0 that closes its side", "POST /Document/UpdateDocumentTraces HTTP/1.0",
			[]string{"Content-Type: application/json"}, progressJSON, true, jsonType},
		{"blank at the end of the path", "POST /Statistic/UpdateStatistic%20 HTTP/1.1",
			[]string{host, "Connection: close", "Content-Type: application/xml"}, statisticXML, false, xmlType},
		{"slash at the end of the path", "POST /Statistic/UpdateStatistic/ HTTP/1.1",
			[]string{host, "Connection: close", "Content-Type: application/json"}, statisticJSON, false, jsonType},
		{"base URL with a slash", "POST //Vote/UpdateVote HTTP/1.1",
			[]string{host, "Connection: close", "Content-Type: application/xml"}, surveyXML, false, xmlType},
		{"address in full", "POST http://hub.example/Vote/UpdateVote HTTP/1.1",
			[]string{host, "Connection: close", "Content-Type: application/xml"}, surveyXML, false, xmlType},
		{"header Charset", "POST /Vote/UpdateVote HTTP/1.1",
			[]string{host, "Connection: close", "Charset: utf-8", "Content-Type: application/json"}, surveyJSON, false, jsonType},
		{"no Content-Type, BOM", "POST /Vote/UpdateVote HTTP/1.1",
			[]string{host, "Connection: close"}, "\uFEFF" + surveyXML, false, xmlType},
		{"waits for 100 Continue that it could do without", "POST /Vote/UpdateVote HTTP/1.1",
			[]string{host, "Connection: close", "Expect: 100-continue", "Content-Type: application/xml"}, surveyXML, false, ""},
	} {
		got := e.raw(request(tc.line, tc.headers, tc.body), tc.halfClose)
		if tc.answer == "" { // the first answer is the interim one
			if got.StatusCode != http.StatusContinue {
				t.Errorf("%s: got %d", tc.name, got.StatusCode)
			}
			continue
		}
		if got.StatusCode != http.StatusOK {
			t.Errorf("%s: got %d %s", tc.name, got.StatusCode, got.body)
			continue
		}
		got.wantAccepted(t, tc.answer)
		if !got.Close {
			t.Errorf("%s: the connection is kept open", tc.name)
		}
	}
}

func TestCallerThatClosesItsSideStillGetsItsReceipt(t *testing.T) {
	e := startEdge(t, nil)
	e.exchange.hold, e.exchange.held = make(chan struct{}), make(chan struct{}, 1)
	answered := make(chan answer, 1)
	go func() {
		answered <- e.raw(request("POST /Vote/UpdateVote HTTP/1.0", []string{"Content-Type: application/xml"}, surveyXML), true)
	}()
	<-e.exchange.held
	close(e.exchange.hold)
	(<-answered).wantAccepted(t, xmlType)
}

func TestPullOfACallerThatClosesItsSideIsEmpty(t *testing.T) {
	e := startEdge(t, nil)
	e.exchange.hold, e.exchange.held = make(chan struct{}), make(chan struct{}, 1)
	got := e.raw("GET /Delivery/Pull?wait=60 HTTP/1.0\r\n\r\n", true)
	if got.StatusCode != http.StatusOK || strings.Contains(got.body, "<Delivery>") {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
}

func TestBodyLimit(t *testing.T) {
	const limit = 4096
	e := startEdge(t, func(cfg *gateway.Config, _ *http.Server) { cfg.MaxBodyBytes = limit })
	host := "Host: hub.example"
	// It is refused before any of it is sent.
	got := e.raw("POST /Vote/UpdateVote HTTP/1.1\r\n"+host+"\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 1099511627776\r\n\r\n", false)
	if status, message := got.result(t); got.StatusCode != http.StatusRequestEntityTooLarge || status != 0 || !strings.Contains(message, "4096") || !got.Close {
		t.Errorf("declared: got %d %s, closed %v", got.StatusCode, got.body, got.Close)
	}
	big := surveyJSON + strings.Repeat(" ", limit)
	got = e.raw("POST /Vote/UpdateVote HTTP/1.1\r\n"+host+"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"+
		fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big), false)
	if got.StatusCode != http.StatusRequestEntityTooLarge || !got.Close {
		t.Errorf("in chunks: got %d %s", got.StatusCode, got.body)
	}
	if got := e.post("/v1/packets", jsonType, big); got.StatusCode != http.StatusRequestEntityTooLarge || got.problem(t).Reason != "body_too_large" {
		t.Errorf("under /v1: got %d %s", got.StatusCode, got.body)
	}
	fits := surveyJSON + strings.Repeat(" ", limit-len(surveyJSON))
	e.post("/Vote/UpdateVote", jsonType, fits).wantAccepted(t, jsonType)
}

func TestBodyThatDoesNotCome(t *testing.T) {
	e := startEdge(t, func(_ *gateway.Config, server *http.Server) { server.ReadTimeout = 200 * time.Millisecond })
	head := "POST /Vote/UpdateVote HTTP/1.1\r\nHost: hub.example\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
	if got := e.raw(head, false); got.StatusCode != http.StatusRequestTimeout || !got.Close {
		t.Errorf("too slow: got %d %s", got.StatusCode, got.body)
	}
	if got := e.raw(head, true); got.StatusCode != http.StatusBadRequest || !got.Close {
		t.Errorf("cut off: got %d %s", got.StatusCode, got.body)
	}
	if n := len(e.exchange.envelopes()); n != 0 {
		t.Errorf("%d packets were accepted", n)
	}
}

func TestServerOutlastsNoCaller(t *testing.T) {
	server := gateway.NewServer(http.NotFoundHandler(), 32<<20, nil)
	if server.ReadHeaderTimeout <= 0 || server.ReadTimeout <= server.ReadHeaderTimeout || server.IdleTimeout <= 0 || server.MaxHeaderBytes > 64<<10 {
		t.Errorf("timeouts are %v %v %v, header %d", server.ReadHeaderTimeout, server.ReadTimeout, server.IdleTimeout, server.MaxHeaderBytes)
	}
	// The longest pull is answered, and a body as large as allowed has come, before
	// the answer is cut.
	if server.WriteTimeout < server.ReadTimeout+60*time.Second {
		t.Errorf("WriteTimeout is %v", server.WriteTimeout)
	}
	if small := gateway.NewServer(http.NotFoundHandler(), 1<<20, nil); small.ReadTimeout >= server.ReadTimeout {
		t.Errorf("a small body is given %v, a large one %v", small.ReadTimeout, server.ReadTimeout)
	}
	addr := serve(t, server)
	e := &edge{t: t, addr: addr}
	got := e.raw("GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("a", 100<<10)+"\r\n\r\n", false)
	if got.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("header of 100 KiB: got %d", got.StatusCode)
	}
}

// All bodies together are bounded: one more is told to come back, and has room
// when those before it are done. Who has sent little takes little, however much is
// announced.
func TestBodiesTogetherAreBounded(t *testing.T) {
	const step = 64 << 10
	e := startEdge(t, func(cfg *gateway.Config, _ *http.Server) {
		cfg.MaxBodyBytes, cfg.HeldBytes = 2*step, 3*step
	})
	e.exchange.hold, e.exchange.held = make(chan struct{}), make(chan struct{}, 2)
	large := surveyJSON + strings.Repeat(" ", 2*step-1-len(surveyJSON))
	first := make(chan answer, 1)
	go func() { first <- e.post("/Vote/UpdateVote", jsonType, large) }()
	<-e.exchange.held
	got := e.post("/Vote/UpdateVote", jsonType, large)
	if status, message := got.result(t); got.StatusCode != http.StatusServiceUnavailable || status != 0 || got.Header.Get("Retry-After") == "" {
		t.Errorf("a body too many: got %d, Retry-After %q: %s", got.StatusCode, got.Header.Get("Retry-After"), message)
	}
	small := make(chan answer, 1)
	go func() { small <- e.post("/Vote/UpdateVote", jsonType, surveyJSON) }()
	<-e.exchange.held
	close(e.exchange.hold)
	(<-first).wantAccepted(t, jsonType)
	(<-small).wantAccepted(t, jsonType)
	e.post("/Vote/UpdateVote", jsonType, large).wantAccepted(t, jsonType)
}
