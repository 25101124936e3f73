package rpc

import (
	"context"
	"crypto/tls"
)

// Caller returns the context for in-process calls of whoever is at the other end
// of an HTTPS connection. Without a certificate the calls themselves are refused;
// a certificate that is not valid here is refused at once, saying why.
func (s *Server) Caller(ctx context.Context, connection *tls.ConnectionState) (context.Context, error) {
	if connection == nil || len(connection.PeerCertificates) == 0 {
		return ctx, nil
	}
	identity, err := s.cfg.Verifier.Identity(connection.PeerCertificates)
	if err != nil {
		return nil, unauthenticated(err)
	}
	return WithCaller(ctx, identity), nil
}
