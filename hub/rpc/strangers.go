package rpc

import (
	"errors"
	"net"
	"sync"
	"time"
)

// What callers that the hub does not know, or does not welcome, can make it hold.
// A request to join is a few KiB, a health check a few hundred bytes.
const (
	maxStrangers = 1000 // connections at one time
	// strangerBytes is read of a connection at once: more than the window of 64 KiB
	// that a client fills before it hears that it is refused.
	strangerBytes  = 256 << 10
	strangerRefill = 1 << 10 // and every second after that
)

// Why a stranger's connection is ended.
var (
	errTooManyStrangers = errors.New("too many connections of callers without a valid certificate")
	errStrangerTalks    = errors.New("a caller without a valid certificate sends too much")
)

// strangers bounds the connections of callers without a valid certificate, so that
// nobody can fill the hub's memory with messages that are refused once they are
// read.
type strangers struct {
	clock func() time.Time

	mu   sync.Mutex
	open int
}

func newStrangers(clock func() time.Time) *strangers { return &strangers{clock: clock} }

// bound returns a connection that reads no more than a stranger may send.
func (s *strangers) bound(conn net.Conn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= maxStrangers {
		return nil, errTooManyStrangers
	}
	s.open++
	left := sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	})
	return &stranger{Conn: conn, clock: s.clock, since: s.clock(), left: left}, nil
}

type stranger struct {
	net.Conn
	clock func() time.Time
	since time.Time
	read  int64 // by the one goroutine that reads a connection
	left  func()
}

// Read implements net.Conn.
func (s *stranger) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	s.read += int64(n)
	if s.read > strangerBytes+strangerRefill*int64(s.clock().Sub(s.since)/time.Second) {
		return 0, errStrangerTalks
	}
	return n, err //nolint:wrapcheck // a connection's own error is what its reader expects
}

// Close implements net.Conn.
func (s *stranger) Close() error {
	s.left()
	return s.Conn.Close() //nolint:wrapcheck // as above
}
