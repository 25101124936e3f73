package hub

import (
	"fmt"
	"sync"
	"time"

	"github.com/lienthong/lienthong/certs"
)

// serverIdentity is the hub's own certificate, made anew when two thirds of its
// life are over; its key lives in memory only.
type serverIdentity struct {
	authority *certs.Authority
	hosts     []string
	clock     func() time.Time

	mu      sync.Mutex
	current *certs.Credentials
	renewAt time.Time
}

func newServerIdentity(authority *certs.Authority, hosts []string, clock func() time.Time) (*serverIdentity, error) {
	s := &serverIdentity{authority: authority, hosts: hosts, clock: clock}
	return s, s.renew()
}

// Credentials implements certs.Source.
func (s *serverIdentity) Credentials() *certs.Credentials {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clock().After(s.renewAt) {
		// The one at hand is good for another third of its life; the next handshake
		// tries again.
		_ = s.renew()
	}
	return s.current
}

func (s *serverIdentity) renew() error {
	fresh, err := s.authority.IssueServer(s.hosts, 0)
	if err != nil {
		return fmt.Errorf("server certificate: %w", err)
	}
	s.current = fresh
	s.renewAt = s.clock().Add(fresh.Chain[0].NotAfter.Sub(s.clock()) * 2 / 3)
	return nil
}
