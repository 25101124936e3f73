package hub

import (
	"fmt"
	"log/slog"
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
	logger    *slog.Logger

	mu      sync.Mutex
	current *certs.Credentials
	renewAt time.Time
}

func newServerIdentity(authority *certs.Authority, cfg Config) (*serverIdentity, error) {
	s := &serverIdentity{authority: authority, hosts: cfg.Hosts, clock: cfg.Clock, logger: cfg.Logger}
	return s, s.renew()
}

// Credentials implements certs.Source.
func (s *serverIdentity) Credentials() *certs.Credentials {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clock().After(s.renewAt) {
		if err := s.renew(); err != nil {
			// The one at hand is good for another third of its life; a handshake after an
			// hour tries again.
			s.logger.Error("the hub's own certificate could not be renewed", "ends", s.current.Chain[0].NotAfter, "error", err)
			s.renewAt = s.clock().Add(time.Hour)
		}
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
