package rpc_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/lienthong/lienthong/hub/rpc"
)

// edge is a server for HTTPS whose handshakes a door paces.
func (d *door) edge(t *testing.T) (url string) {
	t.Helper()
	own, err := d.authority.IssueServer([]string{"127.0.0.1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{*own.TLS()}},
		ErrorLog:  log.New(io.Discard, "", 0), ReadHeaderTimeout: 20 * time.Second,
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateActive {
				rpc.Verified(c)
			}
		},
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(d.server.Paced(listener), "", "") }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return "https://" + listener.Addr().String()
}

// fetch makes a call on a connection of its own, which stays open.
func fetch(ctx context.Context, t *testing.T, url string, http2 bool) error {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Handshakes of the HTTPS edge take turns with those of nodes: clients that stop in the
// middle of theirs, on one door, leave others room on both; a connection that is served
// takes none; who stops, gives its place back in time.
func TestHandshakesOfTheEdgeArePaced(t *testing.T) {
	t.Parallel()
	const most = 8 // two from one address
	d := open(t, &services{}, func(c *rpc.Config) { c.HandshakesInProgress, c.HandshakesPerSecond = most, 1000 })
	url := d.edge(t)
	for i := range 2 * most {
		if err := fetch(t.Context(), t, url, i%2 == 0); err != nil {
			t.Fatalf("connection %d, beside others that are open: %v", i+1, err)
		}
	}
	first, second := stalled(t, url[len("https://"):], own), stalled(t, url[len("https://"):], own)
	for _, conn := range []net.Conn{first, second} { // both have their turn: the door would close them if they waited
		if err := conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); closedByPeer(err) {
			t.Fatal("a client that is slow was closed at once")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := pullOnce(ctx, d.node("H41/motcua")); err == nil {
		t.Error("a node of that address has its handshake beside two that stall; two may be in progress")
	}
	if err := fetch(t.Context(), t, url, false); err != nil { // waits until one is over
		t.Errorf("when those that stalled have had their time: %v", err)
	}
}
