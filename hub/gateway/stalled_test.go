package gateway_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/lienthong/lienthong/hub/gateway"
)

// TestStrangersWhoReadNothingHoldLittle: who asks for documents and takes none of
// what is sent keeps others waiting at most, and makes the hub hold no more.
func TestStrangersWhoReadNothingHoldLittle(t *testing.T) {
	const handed, asked = 64, 70
	e := startEdge(t, func(_ *gateway.Config, server *http.Server) {
		server.Protocols = &http.Protocols{}
		server.Protocols.SetHTTP1(true)
		server.Protocols.SetUnencryptedHTTP2(true)
	})
	statuses, hangUp := askAndTakeNothing(t, e.addr, asked)
	if statuses["200"] != handed || statuses["503"] != asked-handed {
		t.Errorf("answers to %d who read nothing: %v; want %d handed out", asked, statuses, handed)
	}
	if busy := e.get("/openapi.json"); busy.StatusCode != http.StatusServiceUnavailable || busy.Header.Get("Retry-After") == "" || busy.Header.Get("ETag") != "" {
		t.Errorf("while all is handed out: got %d %v", busy.StatusCode, busy.Header)
	}
	hangUp()
	for got := e.get("/openapi.json"); got.StatusCode != http.StatusOK; got = e.get("/openapi.json") {
		if got.StatusCode != http.StatusServiceUnavailable || t.Context().Err() != nil {
			t.Fatalf("after they hung up: got %d", got.StatusCode)
		}
	}
}

// askAndTakeNothing asks for a document so often over one connection with no room for
// any of it, and counts the statuses of the answers.
func askAndTakeNothing(t *testing.T, addr string, times int) (statuses map[string]int, hangUp func()) {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	hangUp = func() { _ = conn.Close() }
	t.Cleanup(hangUp)
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := range times {
		block.Reset()
		for _, field := range [][2]string{{":method", "GET"}, {":path", "/openapi.json"}, {":scheme", "http"}, {":authority", addr}} {
			if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
				t.Fatal(err)
			}
		}
		ask := http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}
		if err := framer.WriteHeaders(ask); err != nil {
			t.Fatal(err)
		}
	}
	statuses = map[string]int{}
	for answers := 0; answers < times; {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("after %v: %v", statuses, err)
		}
		if answer, ok := frame.(*http2.MetaHeadersFrame); ok {
			statuses[answer.PseudoValue("status")]++
			answers++
		}
	}
	return statuses, hangUp
}
