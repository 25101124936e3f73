package rpc

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/lienthong/lienthong/certs"
)

// Caller returns the context for in-process calls of whoever is at the other end
// of an HTTPS connection. No certificate, one that is not valid here, or a caller
// that is not welcome is refused with a *fault.Error that says why.
func (s *Server) Caller(ctx context.Context, connection *tls.ConnectionState) (context.Context, error) {
	if connection == nil {
		return nil, unauthenticated(certs.ErrNoCertificate)
	}
	identity, err := s.cfg.Verifier.Identity(connection.PeerCertificates)
	if err != nil {
		return nil, unauthenticated(err)
	}
	if err := s.cfg.Authenticate(identity); err != nil {
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	return WithCaller(ctx, identity), nil
}
