package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/gateway"
	"github.com/lienthong/lienthong/packet"
)

const (
	xmlType  = "application/xml"
	jsonType = "application/json"
)

const (
	formatXML  = exchangev1.Format_FORMAT_XML
	formatJSON = exchangev1.Format_FORMAT_JSON
)

// door is one of the official addresses with a good packet for it.
type door struct {
	path      string
	typ       packetv1.PacketType
	xml, json string
}

func doors() []door {
	return []door{
		{"/Document/SyncDocument", packetv1.PacketType_PACKET_TYPE_DOSSIER, dossierXML, dossierJSON},
		{"/Document/UpdateDocumentTraces", packetv1.PacketType_PACKET_TYPE_PROGRESS, progressXML, progressJSON},
		{"/Statistic/UpdateStatistic", packetv1.PacketType_PACKET_TYPE_STATISTIC, statisticXML, statisticJSON},
		{"/Vote/UpdateVote", packetv1.PacketType_PACKET_TYPE_SURVEY, surveyXML, surveyJSON},
	}
}

// edge is a gateway over an exchange, served on loopback.
type edge struct {
	t        testing.TB
	addr     string
	exchange *exchange
	codec    *packet.Codec
	log      *lines
}

// lines is a log that goroutines share.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newCodec(t testing.TB) *packet.Codec {
	t.Helper()
	codec, err := packet.NewCodec(packet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

// startEdge serves a gateway; change, where given, alters its configuration and
// its server first.
func startEdge(t testing.TB, change func(*gateway.Config, *http.Server)) *edge {
	t.Helper()
	e := &edge{t: t, codec: newCodec(t), log: &lines{}}
	var conn *grpc.ClientConn
	e.exchange, conn = startExchange(t, e.codec)
	cfg := gateway.Config{
		Conn: conn, Codec: e.codec,
		Caller: func(r *http.Request) (context.Context, error) { return r.Context(), nil },
		Logger: slog.New(slog.NewJSONHandler(e.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	server := gateway.NewServer(nil, 0, nil)
	if change != nil {
		change(&cfg, server)
	}
	handler, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server.Handler = handler
	e.addr = serve(t, server)
	return e
}

// serve runs a server on loopback until the test ends.
func serve(t testing.TB, server *http.Server) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return listener.Addr().String()
}

// answer is what a caller gets.
type answer struct {
	*http.Response
	body string
}

// do sends a request as it is.
func (e *edge) do(method, path string, header http.Header, body io.Reader) answer {
	e.t.Helper()
	r, err := http.NewRequestWithContext(e.t.Context(), method, "http://"+e.addr+path, body)
	if err != nil {
		e.t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return answer{Response: resp, body: string(got)}
}

// post sends a body of a media type; headers come in pairs.
func (e *edge) post(path, mediaType, body string, headers ...string) answer {
	e.t.Helper()
	header := http.Header{}
	if mediaType != "" {
		header.Set("Content-Type", mediaType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		header.Add(headers[i], headers[i+1])
	}
	return e.do(http.MethodPost, path, header, strings.NewReader(body))
}

// get fetches a path; headers come in pairs.
func (e *edge) get(path string, headers ...string) answer {
	e.t.Helper()
	header := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		header.Add(headers[i], headers[i+1])
	}
	return e.do(http.MethodGet, path, header, http.NoBody)
}

// raw sends bytes over a socket of its own and reads one answer.
func (e *edge) raw(request string, halfClose bool) answer {
	e.t.Helper()
	conn, err := net.Dial("tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		e.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		e.t.Fatal(err)
	}
	if tcp, ok := conn.(*net.TCPConn); ok && halfClose {
		if err := tcp.CloseWrite(); err != nil {
			e.t.Fatal(err)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		e.t.Fatalf("no answer: %v", err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return answer{Response: resp, body: string(got)}
}

// request writes an HTTP request by hand.
func request(line string, headers []string, body string) string {
	var b strings.Builder
	b.WriteString(line + "\r\n")
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.String()
}

// mediaType returns the media type of an answer without parameters.
func (a answer) mediaType() string {
	mediaType, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	return mediaType
}

// result reads an MResult by what the answer says it is, with the standard
// library's readers and not the product's.
func (a answer) result(t testing.TB) (status int, message string) {
	t.Helper()
	var m struct {
		XMLName xml.Name `json:"-"`
		Status  *int
		Message *string
	}
	var err error
	switch a.mediaType() {
	case xmlType, "text/xml":
		err = xml.Unmarshal([]byte(a.body), &m)
		if err == nil && m.XMLName.Local != "MResult" {
			t.Fatalf("root is %q, want MResult", m.XMLName.Local)
		}
	case jsonType:
		err = json.Unmarshal([]byte(a.body), &m)
	default:
		err = fmt.Errorf("answer is %q", a.Header.Get("Content-Type"))
	}
	if err != nil || m.Status == nil || m.Message == nil {
		t.Fatalf("not an MResult (%v): %d %s", err, a.StatusCode, a.body)
	}
	return *m.Status, *m.Message
}

// wantAccepted fails the test unless the answer is a receipt.
func (a answer) wantAccepted(t testing.TB, mediaType string) {
	t.Helper()
	if a.StatusCode != http.StatusOK || a.mediaType() != mediaType {
		t.Fatalf("got %d %s, want 200 %s: %s", a.StatusCode, a.mediaType(), mediaType, a.body)
	}
	if status, message := a.result(t); status != 1 || !strings.Contains(message, "Accepted: sequence") {
		t.Fatalf("got Status %d, Message %q", status, message)
	}
}
