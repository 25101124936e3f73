package rpc

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// What callers that the hub does not know, or does not welcome, can make it hold.
// A request to join is a few KiB, a health check a few hundred bytes.
const (
	maxStrangers     = 1000 // connections at one time
	maxStrangersFrom = 50   // of them from one address
	// strangerBytes is read of a connection: more than the window of 64 KiB that a
	// client fills before it hears that it is refused.
	strangerBytes = 256 << 10
	// strangerLife is how long a connection lasts; clients connect anew.
	strangerLife = time.Minute
)

// Why a stranger's connection is ended.
var (
	errTooManyStrangers = errors.New("too many connections of callers without a valid certificate")
	errStrangerTalks    = errors.New("a caller without a valid certificate sends too much")
)

// strangers bounds the connections of callers without a valid certificate, so that
// nobody can fill the hub's memory with messages that are refused once they are
// read, or take all its places.
type strangers struct {
	logger *slog.Logger

	mu     sync.Mutex
	open   int
	from   map[string]int // by address, without port
	denied bool           // since the last one that was let in
}

func newStrangers(logger *slog.Logger) *strangers {
	return &strangers{logger: logger, from: map[string]int{}}
}

// bound returns a connection that reads no more, and lasts no longer, than a
// stranger's may.
func (s *strangers) bound(conn net.Conn) (net.Conn, error) {
	host := hostOf(conn)
	if err := s.enter(host); err != nil {
		return nil, err
	}
	leave := sync.OnceFunc(func() { s.leave(host) })
	end := time.AfterFunc(strangerLife, func() {
		leave()
		_ = conn.Close() // its reader is told
	})
	return &stranger{Conn: conn, left: leave, end: end}, nil
}

func (s *strangers) enter(host string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= maxStrangers || s.from[host] >= maxStrangersFrom {
		if !s.denied { // once, not for each
			s.logger.Warn("connections without a valid certificate are turned away", "open", s.open, "from_one_address", s.from[host])
		}
		s.denied = true
		return errTooManyStrangers
	}
	s.denied = false
	s.open++
	s.from[host]++
	return nil
}

func (s *strangers) leave(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.from[host]--; s.from[host] == 0 {
		delete(s.from, host)
	}
}

type stranger struct {
	net.Conn
	read int64 // by the one goroutine that reads a connection
	left func()
	end  *time.Timer
}

// Read implements net.Conn.
func (s *stranger) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if s.read += int64(n); s.read > strangerBytes {
		return 0, errStrangerTalks
	}
	return n, err //nolint:wrapcheck // a connection's own error is what its reader expects
}

// Close implements net.Conn.
func (s *stranger) Close() error {
	s.left()
	s.end.Stop()
	return s.Conn.Close() //nolint:wrapcheck // as above
}
