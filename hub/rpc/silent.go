package rpc

import (
	"net"
	"slices"
	"sync"
)

// silent are the connections that nothing has come from yet. They wait for nobody's
// place: where there are too many, of one address or of all, the one that has been
// silent for longest gives way, of all of the address with the most. Who speaks at once
// is gone from here before that.
type silent struct {
	places limit

	mu   sync.Mutex
	all  int
	from map[string][]net.Conn // by address; the first has come first
}

func newSilent(places limit) *silent {
	return &silent{places: places, from: map[string][]net.Conn{}}
}

// enter counts a connection until leave is called for it. It may close others.
func (s *silent) enter(conn net.Conn, host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.from[host]) >= s.places.each:
		s.close(host)
	case s.all >= s.places.all:
		s.close(s.longest())
	}
	s.from[host] = append(s.from[host], conn)
	s.all++
}

func (s *silent) longest() string {
	longest := ""
	for host, conns := range s.from {
		if len(conns) > len(s.from[longest]) {
			longest = host
		}
	}
	return longest
}

// close closes what has been silent for longest of an address.
func (s *silent) close(host string) {
	oldest := s.from[host][0]
	_ = oldest.Close() // who waits for what comes from it is told
	s.remove(host, 0)
}

func (s *silent) remove(host string, at int) {
	s.all--
	if s.from[host] = slices.Delete(s.from[host], at, at+1); len(s.from[host]) == 0 {
		delete(s.from, host)
	}
}

// leave is called where something has come, or never will.
func (s *silent) leave(conn net.Conn, host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := slices.Index(s.from[host], conn); at >= 0 {
		s.remove(host, at)
	}
}

// spoken is a connection whose first byte was read ahead.
type spoken struct {
	net.Conn
	ahead []byte
}

// Read implements net.Conn.
func (b *spoken) Read(p []byte) (int, error) {
	if len(b.ahead) > 0 {
		n := copy(p, b.ahead)
		b.ahead = b.ahead[n:]
		return n, nil
	}
	return b.Conn.Read(p) //nolint:wrapcheck // io.EOF has to stay what it is
}
