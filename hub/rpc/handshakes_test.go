package rpc_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/rpc"
)

// handshakesSeen counts, from outside, the handshakes between the client's first
// message and the verification of its certificate.
type handshakesSeen struct {
	rpc.Verifier
	mu         sync.Mutex
	open, most int
	begun      []time.Time
}

func (h *handshakesSeen) begin(*tls.ClientHelloInfo) (*tls.Config, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open++
	h.most = max(h.most, h.open)
	h.begun = append(h.begun, time.Now())
	return nil, nil //nolint:nilnil // nil keeps the configuration
}

// Identity implements rpc.Verifier.
func (h *handshakesSeen) Identity(chain []*x509.Certificate) (certs.Identity, error) {
	h.mu.Lock()
	h.open--
	h.mu.Unlock()
	return h.Verifier.Identity(chain)
}

func (h *handshakesSeen) watch(c *rpc.Config) {
	h.Verifier = c.Verifier
	c.Verifier = h
	c.TLS = c.TLS.Clone()
	c.TLS.GetConfigForClient = h.begin
}

// Nodes that all come at once are verified a few at a time, and no faster than is
// said; all of them get in, and one that was in before is served meanwhile.
func TestHandshakesArePaced(t *testing.T) {
	t.Parallel()
	const nodes, perSecond, most = 120, 100, 4
	seen := &handshakesSeen{}
	d := open(t, &services{}, func(c *rpc.Config) {
		c.HandshakesPerSecond, c.HandshakesInProgress = perSecond, most
		seen.watch(c)
	})
	served := d.node("H41/motcua")
	if err := pullOnce(t.Context(), served); err != nil {
		t.Fatal(err)
	}
	own := issueNode(t, d.authority, "H42/motcua")
	began := time.Now()
	var coming sync.WaitGroup
	for range nodes {
		node := exchangev1.NewExchangeServiceClient(d.dial(own))
		coming.Go(func() {
			if err := pullOnce(t.Context(), node); err != nil {
				t.Errorf("one of many that come at once: %v", err)
			}
		})
	}
	for range 50 {
		if err := pullOnce(t.Context(), served); err != nil {
			t.Errorf("one that was there: %v", err)
		}
	}
	coming.Wait()
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if seen.most > most {
		t.Errorf("%d handshakes were in progress at one time; want at most %d", seen.most, most)
	}
	// A tenth of a second's worth may come ahead.
	if took := seen.begun[nodes].Sub(began); took < time.Second*(nodes-perSecond/10-2)/perSecond {
		t.Errorf("%d handshakes began within %v; %d a second may", nodes, took, perSecond)
	}
}

// Who would wait for long is closed at once, without a handshake. It is free to try
// again.
func TestTooManyAtOnceAreClosedAtOnce(t *testing.T) {
	t.Parallel()
	const perSecond, most = 1, 1 // five seconds' worth and what is in progress, a quarter of it from one address
	seen := &handshakesSeen{}
	d := open(t, &services{}, func(c *rpc.Config) {
		c.HandshakesPerSecond, c.HandshakesInProgress = perSecond, most
		seen.watch(c)
	})
	first, second := connect(t, d.address), connect(t, d.address) // one says nothing, and takes the only place of its address
	ends := make(chan error, 2)
	for _, conn := range []net.Conn{first, second} {
		go func() {
			_, err := conn.Read(make([]byte, 1))
			ends <- err
		}()
	}
	if err := within(t, 2*time.Second, ends, "end of the connection that is one too many"); err != io.EOF { //nolint:errorlint // of the socket itself
		t.Errorf("it ended with %v; want EOF", err)
	}
	if len(seen.begun) > 0 {
		t.Error("it cost a handshake")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, ends, "end of the other connection")
	node := d.node("H41/motcua")
	for deadline := time.Now().Add(10 * time.Second); pullOnce(t.Context(), node) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("the place is not given back")
		}
	}
}

// A connection that has said nothing does not hold up the end of a server.
func TestSilentConnectionsDoNotHoldUpAStop(t *testing.T) {
	t.Parallel()
	d := open(t, &services{}, func(c *rpc.Config) { c.StopWithin = 30 * time.Second })
	silent := connect(t, d.address)
	if err := pullOnce(t.Context(), d.node("H41/motcua")); err != nil { // the silent one was accepted before
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	if err := within(t, 3*time.Second, stopped, "end of the server"); err != nil {
		t.Error(err)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Error("the silent connection was told something")
	}
}

func connect(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
