package gateway_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/gateway"
)

// withNode says who calls, as a connection of the tests carries it.
func withNode(ctx context.Context, node string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-test-node", node)
}

func TestNewNeedsItsParts(t *testing.T) {
	codec := newCodec(t)
	_, conn := startExchange(t, codec)
	caller := func(r *http.Request) (context.Context, error) { return r.Context(), nil }
	for name, cfg := range map[string]gateway.Config{
		"Conn":         {Codec: codec, Caller: caller},
		"Codec":        {Conn: conn, Caller: caller},
		"Caller":       {Conn: conn, Codec: codec},
		"MaxBodyBytes": {Conn: conn, Codec: codec, Caller: caller, MaxBodyBytes: -1},
	} {
		if _, err := gateway.New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if _, err := gateway.New(gateway.Config{Conn: conn, Codec: codec, Caller: caller}); err != nil {
		t.Errorf("with what is required: %v", err)
	}
}

func TestUnknownPathIsRefusedInTheCallersFormat(t *testing.T) {
	e := startEdge(t, nil)
	for _, tc := range []struct{ path, sent, accept, mediaType string }{
		{"/", "", "", xmlType},
		{"/document/syncdocument", xmlType, "", xmlType},
		{"/Document/SyncDocument/x", jsonType, "", jsonType},
		{"/Document/SyncDocument", jsonType, xmlType, ""}, // is known
		{"/token2", "application/x-www-form-urlencoded", jsonType, jsonType},
		{"/v1", jsonType, "", "application/problem+json"},
		{"/v1/nothing", xmlType, xmlType, "application/problem+json"},
		{"/v1/packets/1/2/3", "", "", "application/problem+json"},
		{"/v1/../healthz", "", "", "application/problem+json"},
		{"/v2", "", "", xmlType},
	} {
		var headers []string
		if tc.accept != "" {
			headers = []string{"Accept", tc.accept}
		}
		got := e.post(tc.path, tc.sent, "{}", headers...)
		if tc.mediaType == "" {
			if got.StatusCode == http.StatusNotFound {
				t.Errorf("%s: got 404", tc.path)
			}
			continue
		}
		if got.StatusCode != http.StatusNotFound || got.mediaType() != tc.mediaType {
			t.Errorf("%s: got %d %s %s", tc.path, got.StatusCode, got.mediaType(), got.body)
		}
	}
}

func TestWrongMethodSaysWhichIsRight(t *testing.T) {
	e := startEdge(t, nil)
	for _, tc := range []struct{ method, path, allow string }{
		{http.MethodGet, "/Document/SyncDocument", "POST"},
		{http.MethodPut, "/Statistic/UpdateStatistic%20", "POST"},
		{http.MethodHead, "/Delivery/Pull", "GET, POST"}, // it would lease what nobody sees
		{http.MethodDelete, "/Delivery/Acknowledge", "POST"},
		{http.MethodOptions, "/Vote/UpdateVote", "POST"},
		{"BREW", "/Vote/UpdateVote", "POST"},
		{http.MethodPost, "/healthz", "GET, HEAD"},
		{http.MethodGet, "/v1/packets", "POST"},
		{http.MethodDelete, "/v1/packets/1", "GET, HEAD"},
		{http.MethodPost, "/v1/packets/1/content", "GET, HEAD"},
		{http.MethodGet, "/v1/deliveries:pull", "POST"},
		{"BREW", "/v1/packets/1/receipt", "GET, HEAD"},
	} {
		got := e.do(tc.method, tc.path, nil, http.NoBody)
		if got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != tc.allow {
			t.Errorf("%s %s: got %d, Allow %q", tc.method, tc.path, got.StatusCode, got.Header.Get("Allow"))
		}
	}
	if len(e.exchange.metadata) != 0 {
		t.Error("the hub was called")
	}
}

func TestNobodyIsServedUnknown(t *testing.T) {
	refusal := fault.New(codes.Unauthenticated, "certificate_missing", "a certificate is required", "cần chứng thư")
	e := startEdge(t, func(cfg *gateway.Config, _ *http.Server) {
		cfg.Caller = func(r *http.Request) (context.Context, error) {
			switch r.Header.Get("X-Test") {
			case "suspended":
				return nil, fault.New(codes.PermissionDenied, "node_not_active", "suspended", "tạm dừng")
			case "broken":
				return nil, errors.New("lookup of 10.1.2.3 failed")
			}
			return nil, refusal
		}
	})
	for _, path := range []string{"/Document/SyncDocument", "/Delivery/Pull", "/Delivery/Acknowledge", "/v1/packets", "/v1/deliveries:pull"} {
		for who, want := range map[string]int{"": 401, "suspended": 403, "broken": 500} {
			got := e.post(path, jsonType, "{}", "X-Test", who)
			if got.StatusCode != want || (want == 401) != (got.Header.Get("WWW-Authenticate") != "") || strings.Contains(got.body, "10.1.2.3") {
				t.Errorf("%s by %q: got %d %s", path, who, got.StatusCode, got.body)
			}
		}
	}
	if !strings.Contains(e.log.String(), "10.1.2.3") {
		t.Error("the log does not say what broke")
	}
	if len(e.exchange.metadata) != 0 {
		t.Error("the hub was called")
	}
	if got := e.get("/healthz"); got.StatusCode != http.StatusOK || got.body != "ok\n" {
		t.Errorf("/healthz: got %d %s", got.StatusCode, got.body)
	}
}

func TestPagesOfOtherSitesAreRefused(t *testing.T) {
	e := startEdge(t, nil)
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
		for _, path := range []string{"/Delivery/Acknowledge", "/v1/deliveries:acknowledge"} {
			got := e.post(path, "", `{"DeliveryId":["1"]}`, headers...)
			if got.StatusCode != http.StatusForbidden || !strings.Contains(got.body, "other sites") {
				t.Errorf("%s with %v: got %d %s", path, headers, got.StatusCode, got.body)
			}
		}
	}
	got := e.do(http.MethodOptions, "/Vote/UpdateVote", http.Header{"Origin": {"https://evil.example"}, "Access-Control-Request-Method": {"POST"}}, http.NoBody)
	for name := range got.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("answers with %s", name)
		}
	}
}

func TestEveryAnswerIsHardenedAndNumbered(t *testing.T) {
	e := startEdge(t, nil)
	for _, path := range []string{"/healthz", "/nothing", "/v1/packets/1", "/Delivery/Pull"} {
		got := e.get(path, "X-Request-Id", "req-1")
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "X-Request-Id": "req-1",
		} {
			if got.Header.Get(name) != want {
				t.Errorf("%s: %s is %q", path, name, got.Header.Get(name))
			}
		}
	}
	seen := map[string]bool{}
	for _, bad := range []string{"", "a b", "<script>", strings.Repeat("x", 129)} {
		id := e.get("/healthz", "X-Request-Id", bad).Header.Get("X-Request-Id")
		if id == bad || len(id) < 20 || seen[id] {
			t.Errorf("%q became %q", bad, id)
		}
		seen[id] = true
	}
	if !strings.Contains(e.log.String(), `"request_id":"req-1"`) {
		t.Error("the log does not name the request")
	}
}

// failing is a connection as a broken network or a broken server makes them.
type failing struct {
	err   error
	panic any
}

func (f failing) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	if f.panic != nil {
		panic(f.panic)
	}
	return f.err
}

func (f failing) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, f.err
}

func TestNothingInternalLeaves(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	unreachable, err := grpc.NewClient(nobody, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unreachable.Close() })
	for name, tc := range map[string]struct {
		conn   grpc.ClientConnInterface
		status int
	}{
		"nobody listens": {unreachable, 503},
		"plain error":    {failing{err: errors.New("open /var/lib/x: secret")}, 500},
		"internal":       {failing{err: status.Error(codes.Internal, "open /var/lib/x: secret")}, 500},
		"unknown":        {failing{err: status.Error(codes.Unknown, "secret")}, 500},
		"hidden cause":   {failing{err: fault.Internal(errors.New("secret"))}, 500},
		"proxy":          {failing{err: status.Error(codes.Unauthenticated, "secret")}, 401},
		"too large":      {failing{err: status.Error(codes.ResourceExhausted, "grpc: trying to send message larger than max secret")}, 429},
		"data loss":      {failing{err: status.Error(codes.DataLoss, "secret")}, 500},
		"panic":          {failing{panic: "secret"}, 500},
	} {
		e := startEdge(t, func(cfg *gateway.Config, _ *http.Server) { cfg.Conn = tc.conn })
		for _, got := range []answer{
			e.post("/Vote/UpdateVote", xmlType, surveyXML), e.get("/Delivery/Pull"),
			e.post("/v1/packets", jsonType, `{"id":"a"}`), e.get("/v1/packets/1/content"),
		} {
			if got.StatusCode != tc.status {
				t.Errorf("%s: got %d %s", name, got.StatusCode, got.body)
			}
			for _, leak := range []string{"secret", "/var/lib", nobody, "dial", "goroutine", "rpc error"} {
				if strings.Contains(got.body, leak) {
					t.Errorf("%s: answer holds %q: %s", name, leak, got.body)
				}
			}
		}
		if tc.status == 500 && !strings.Contains(e.log.String(), "secret") {
			t.Errorf("%s: the log does not say what broke: %s", name, e.log)
		}
	}
}

func TestLogHoldsNoPersonalData(t *testing.T) {
	e := startEdge(t, nil)
	e.post("/Document/SyncDocument", xmlType, dossierXML).wantAccepted(t, xmlType)
	e.post("/Document/SyncDocument", xmlType, strings.Replace(dossierXML, "<IsSuccess>false", "<IsSuccess>Nguyễn Văn Mẫu", 1))
	e.post("/v1/packets", jsonType, `{"Nguyễn Văn Mẫu":"001090000001"}`)
	e.get("/Nguyễn%20Văn%20Mẫu/001090000001?phone=0900000001")
	e.get("/Delivery/Pull?max=0900000001")
	log := e.log.String()
	if strings.Count(log, "\n") != 5 {
		t.Errorf("log of 5 requests is %s", log)
	}
	for _, personal := range []string{"Nguyễn", "Mẫu", "001090000001", "0900000001", "H41.01.02-240105-0007"} {
		if strings.Contains(log, personal) {
			t.Errorf("log holds %q: %s", personal, log)
		}
	}
}
