package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/gateway"
	"github.com/lienthong/lienthong/packet"
)

// startClosedEdge serves a gateway to which nobody is known.
func startClosedEdge(t testing.TB) *edge {
	t.Helper()
	return startEdge(t, func(cfg *gateway.Config, _ *http.Server) {
		cfg.Caller = func(*http.Request) (context.Context, error) {
			return nil, fault.New(codes.Unauthenticated, "certificate_missing", "a certificate is required", "cần chứng thư")
		}
	})
}

func TestXMLSchemasAreServedToAnybody(t *testing.T) {
	e := startClosedEdge(t)
	for query, want := range map[string]struct {
		mode  packet.XSDMode
		types []packetv1.PacketType
	}{
		"":                              {packet.XSDStrict, nil},
		"?mode=strict":                  {packet.XSDStrict, nil},
		"?mode=structure":               {packet.XSDStructure, nil},
		"?type=dossier":                 {packet.XSDStrict, []packetv1.PacketType{packetv1.PacketType_PACKET_TYPE_DOSSIER}},
		"?type=progress&mode=structure": {packet.XSDStructure, []packetv1.PacketType{packetv1.PacketType_PACKET_TYPE_PROGRESS}},
		"?type=survey":                  {packet.XSDStrict, []packetv1.PacketType{packetv1.PacketType_PACKET_TYPE_SURVEY}},
		"?type=statistic":               {packet.XSDStrict, []packetv1.PacketType{packetv1.PacketType_PACKET_TYPE_STATISTIC}},
	} {
		schema, err := packet.XSD(want.mode, want.types...)
		if err != nil {
			t.Fatal(err)
		}
		got := e.get("/schema/lienthong.xsd" + query)
		if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "application/xml; charset=utf-8" || got.body != string(schema) {
			t.Errorf("%s: got %d %s, %d bytes; want the schema, %d bytes", query, got.StatusCode, got.Header.Get("Content-Type"), len(got.body), len(schema))
		}
	}
	if got := e.get("/Delivery/Pull"); got.StatusCode != http.StatusUnauthorized {
		t.Errorf("everything else: got %d, want 401", got.StatusCode)
	}
}

func TestXMLSchemasThatThereAreNotAreRefusedWithThoseThereAre(t *testing.T) {
	e := startClosedEdge(t)
	for query, want := range map[string]string{
		"?mode=loose": "strict, structure", "?mode=": "strict, structure", "?mode=strict&mode=structure": "strict, structure",
		"?type=MSyncDocument": "dossier, progress, survey, statistic", "?type=dossier&type=survey": "dossier, progress, survey, statistic", "?%": "",
	} {
		got := e.get("/schema/lienthong.xsd"+query, "Accept", jsonType)
		if _, message := got.result(t); got.StatusCode != http.StatusBadRequest || !strings.Contains(message, want) || got.Header.Get("ETag") != "" {
			t.Errorf("%s: got %d %s", query, got.StatusCode, got.body)
		}
	}
}

func TestWhatTheEdgeSaysOfItselfMayBeKept(t *testing.T) {
	e := startClosedEdge(t)
	tags := map[string]string{}
	for _, path := range []string{"/openapi.json", "/schema/lienthong.xsd", "/schema/lienthong.xsd?mode=structure", "/schema/lienthong.xsd?type=survey"} {
		whole := e.get(path)
		tag := whole.Header.Get("ETag")
		if other, seen := tags[tag]; seen || len(tag) < 10 {
			t.Errorf("%s and %q have the ETag %s", path, other, tag)
		}
		tags[tag] = path
		if kept := whole.Header.Get("Cache-Control"); kept != "public, max-age=3600" {
			t.Errorf("%s: Cache-Control is %q", path, kept)
		}
		if again := e.get(path, "If-None-Match", tag); again.StatusCode != http.StatusNotModified || again.body != "" || again.Header.Get("ETag") != tag {
			t.Errorf("%s, had already: got %d, %d bytes", path, again.StatusCode, len(again.body))
		}
		if other := e.get(path, "If-None-Match", `"other"`); other.StatusCode != http.StatusOK || other.body != whole.body {
			t.Errorf("%s, another had: got %d", path, other.StatusCode)
		}
		head := e.do(http.MethodHead, path, nil, http.NoBody)
		if head.StatusCode != http.StatusOK || head.body != "" || head.ContentLength != int64(len(whole.body)) || head.Header.Get("ETag") != tag {
			t.Errorf("HEAD %s: got %d, %d of %d bytes", path, head.StatusCode, head.ContentLength, len(whole.body))
		}
		if wrong := e.post(path, jsonType, "{}"); wrong.StatusCode != http.StatusMethodNotAllowed || wrong.Header.Get("Allow") != "GET, HEAD" || wrong.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("POST %s: got %d, Allow %q", path, wrong.StatusCode, wrong.Header.Get("Allow"))
		}
	}
}
