package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"
)

// Source hands out the credentials to use for the next handshake: Credentials
// that stay the same, or a Reloader's.
type Source interface {
	Credentials() *Credentials
}

// ServerConfig returns the hub's side: TLS 1.3 only, HTTP/2 or HTTP/1.1. Clients
// are asked for a certificate and must hold its key, but the handshake accepts
// any and none: a Verifier decides per connection, so that a wrong certificate
// gets an answer that says so instead of a dropped connection.
func ServerConfig(source Source) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return source.Credentials().TLS(), nil
		},
		// Every connection proves anew that the client holds its key.
		SessionTicketsDisabled: true,
	}
}

// ClientConfig returns a node's or administrator's side: TLS 1.3 only; the
// server must have a certificate for serverName (host name or IP address) that
// leads to one of the source's roots and names a hub of the source's own trust
// domain. A nil clock means time.Now.
func ClientConfig(source Source, serverName string, clock func() time.Time) *tls.Config {
	config := clientConfig(serverName, clock)
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return source.Credentials().TLS(), nil
	}
	now := config.Time
	config.VerifyConnection = func(state tls.ConnectionState) error {
		own := source.Credentials()
		domain, _, err := own.Identity()
		if err != nil {
			return fmt.Errorf("own certificate: %w", err)
		}
		return server{roots: own.Roots, trustDomain: domain, name: serverName, now: now()}.verify(state.PeerCertificates)
	}
	return config
}

// PinnedClientConfig returns the side of a node that joins: TLS 1.3 only, no
// client certificate; the server must present a chain for serverName that ends in
// the root certificate with this SHA-256 fingerprint and names a hub. A nil clock
// means time.Now.
func PinnedClientConfig(rootSHA256 [sha256.Size]byte, serverName string, clock func() time.Time) *tls.Config {
	config := clientConfig(serverName, clock)
	now := config.Time
	config.VerifyConnection = func(state tls.ConnectionState) error {
		for _, c := range state.PeerCertificates {
			if sha256.Sum256(c.Raw) == rootSHA256 {
				return server{roots: []*x509.Certificate{c}, name: serverName, now: now()}.verify(state.PeerCertificates)
			}
		}
		return fmt.Errorf("%w: the server does not present the root certificate with fingerprint %x", ErrUnknownAuthority, rootSHA256)
	}
	return config
}

func clientConfig(serverName string, clock func() time.Time) *tls.Config {
	if clock == nil {
		clock = time.Now
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: serverName,
		Time:       clock,
		// VerifyConnection takes the place of crypto/tls's own verification: roots
		// may be reloaded or pinned, which a fixed RootCAs cannot express.
		InsecureSkipVerify: true,
	}
}

// server is what a client expects of the one it connects to.
type server struct {
	roots       []*x509.Certificate
	trustDomain string // empty: any, the root being pinned
	name        string
	now         time.Time
}

func (s server) verify(chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return ErrNoCertificate
	}
	if s.name == "" {
		return fmt.Errorf("%w: the name of the server to expect is empty", ErrBadSAN)
	}
	intermediates := pool(chain[1:])
	if _, err := chain[0].Verify(x509.VerifyOptions{
		Roots:         pool(s.roots),
		Intermediates: intermediates,
		CurrentTime:   s.now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}); err != nil {
		return classify(err)
	}
	if err := chain[0].VerifyHostname(s.name); err != nil {
		return fmt.Errorf("%w: %w", ErrBadSAN, err)
	}
	domain, id, err := identityOf(chain[0])
	switch {
	case err != nil:
		return err
	case id.Kind != KindHub:
		return fmt.Errorf("%w: the server is a %s, not a hub", ErrUsage, id.Kind)
	case s.trustDomain != "" && domain != s.trustDomain:
		return fmt.Errorf("%w: the server is of trust domain %s, not %s", ErrBadSAN, domain, s.trustDomain)
	}
	return nil
}
