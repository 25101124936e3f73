package rpc

import (
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// Paced returns a listener for another server that speaks TLS, such as the HTTPS edge:
// its handshakes take turns with those of this one, and count with them. That server
// tells Verified of a connection whose handshake is over.
func (s *Server) Paced(listener net.Listener) net.Listener {
	return pacedListener{Listener: listener, handshakes: s.handshakes}
}

// Verified ends the turn of a connection, or of the one below it, that came through a
// listener of Paced. Without it a turn ends with the time a handshake may take.
func Verified(conn net.Conn) {
	if over, ok := conn.(*tls.Conn); ok {
		conn = over.NetConn()
	}
	if p, ok := conn.(*paced); ok {
		p.end()
	}
}

type pacedListener struct {
	net.Listener
	handshakes *handshakes
}

// Accept implements net.Listener.
func (l pacedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // a listener's own error is what a server expects
	}
	return &paced{Conn: conn, handshakes: l.handshakes}, nil
}

// paced is a connection that waits for its turn when it is read for the first time.
type paced struct {
	net.Conn
	handshakes *handshakes

	entering sync.Once
	ready    net.Conn // by the goroutine that reads
	err      error

	mu    sync.Mutex
	ended bool
	leave func() // until its turn is over
	timer *time.Timer
}

// Read implements net.Conn.
func (p *paced) Read(b []byte) (int, error) {
	p.entering.Do(p.enter)
	if p.err != nil {
		return 0, p.err
	}
	return p.ready.Read(b) //nolint:wrapcheck // io.EOF has to stay what it is
}

func (p *paced) enter() {
	ready, leave, err := p.handshakes.enter(p.Conn)
	if err == nil {
		p.begin(leave)
		err = p.SetDeadline(time.Now().Add(handshakeWithin))
	}
	p.ready, p.err = ready, err
}

func (p *paced) begin(leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended { // closed while it waited
		leave()
		return
	}
	p.leave, p.timer = leave, time.AfterFunc(handshakeWithin, p.end)
}

// end ends the turn, if there is one.
func (p *paced) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.leave != nil {
		p.timer.Stop()
		p.leave()
		p.leave = nil
	}
}

// Close implements net.Conn.
func (p *paced) Close() error {
	p.end()
	return p.Conn.Close() //nolint:wrapcheck // as above
}
