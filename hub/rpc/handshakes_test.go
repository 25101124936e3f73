package rpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
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
	const nodes, perSecond, most = 120, 100, 16
	const each = most / 4 // of one address
	seen := &handshakesSeen{}
	d := open(t, &services{}, func(c *rpc.Config) {
		c.HandshakesPerSecond, c.HandshakesInProgress = perSecond, most
		seen.watch(c)
	})
	served := d.node("H41/motcua")
	if err := pullOnce(t.Context(), served); err != nil {
		t.Fatal(err)
	}
	identity := issueNode(t, d.authority, "H42/motcua")
	began := time.Now()
	var coming sync.WaitGroup
	for range nodes {
		node := exchangev1.NewExchangeServiceClient(d.dial(identity))
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
	if seen.most > each {
		t.Errorf("%d handshakes were in progress at one time; want at most %d", seen.most, each)
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
	first, second := stalled(t, d.address, own), stalled(t, d.address, own) // one takes the only place of its address
	ends := make(chan error, 2)
	for _, conn := range []net.Conn{first, second} {
		go func() {
			_, err := conn.Read(make([]byte, 1))
			ends <- err
		}()
	}
	if err := within(t, 2*time.Second, ends, "end of the connection that is one too many"); !closedByPeer(err) {
		t.Errorf("it ended with %v; want it closed", err)
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
	silent := connect(t, d.address, own)
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

// Strangers that say nothing, and there may be many of them, keep nobody out.
func TestSilentStrangersKeepNobodyOut(t *testing.T) {
	t.Parallel()
	const most = 2
	d := open(t, &services{}, func(c *rpc.Config) { c.HandshakesInProgress = most })
	for i := range 8 * most {
		connect(t, d.address, [...]string{"127.0.0.9", "127.0.0.10"}[i%2])
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // less than they may be silent
	defer cancel()
	if err := pullOnce(ctx, d.node("H41/motcua")); err != nil {
		t.Errorf("a node, behind silent strangers: %v", err)
	}
}

// Where too many are silent, the one that has been for longest gives way to the next.
func TestTheLongestSilentGivesWay(t *testing.T) {
	t.Parallel()
	d := open(t, &services{}, func(c *rpc.Config) { c.HandshakesPerSecond, c.HandshakesInProgress = 1, 1 }) // one of an address
	first := connect(t, d.address, own)
	for range 3 {
		if err := pullOnce(t.Context(), d.node("H41/motcua")); err != nil { // the first was accepted before
			t.Fatal(err)
		}
		next := connect(t, d.address, own)
		ends := make(chan error, 1)
		go func() {
			_, err := first.Read(make([]byte, 1))
			ends <- err
		}()
		if err := within(t, 3*time.Second, ends, "end of the one that was silent before"); !closedByPeer(err) {
			t.Errorf("it ended with %v; want it closed", err)
		}
		first = next
	}
}

// Clients of one address that stop in the middle of their handshakes leave others
// three quarters of what may be in progress.
func TestStalledHandshakesOfOneAddressLeaveRoom(t *testing.T) {
	t.Parallel()
	const most = 4
	d := open(t, &services{}, func(c *rpc.Config) { c.HandshakesInProgress = most })
	for range 4 * most {
		stalled(t, d.address, "127.0.0.9")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // less than a handshake may take
	defer cancel()
	if err := pullOnce(ctx, d.node("H41/motcua")); err != nil {
		t.Errorf("a node, beside an address that stalls: %v", err)
	}
}

// own is the address that nodes come from here.
const own = "127.0.0.1"

func connect(t *testing.T, address, from string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// stalled is a connection whose client stops after the first byte of its first message.
func stalled(t *testing.T, address, from string) net.Conn {
	t.Helper()
	conn := connect(t, address, from)
	if _, err := conn.Write([]byte{22}); err != nil { // the type of a handshake's record
		t.Fatal(err)
	}
	return conn
}

// closedByPeer tells that from a deadline.
func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}
