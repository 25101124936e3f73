package certs

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"
)

// Why a certificate is not accepted.
var (
	// ErrNoCertificate means that none was presented.
	ErrNoCertificate = errors.New("no certificate was presented")
	// ErrUnknownAuthority means that no trusted root vouches for it.
	ErrUnknownAuthority = errors.New("certificate of an unknown authority")
	// ErrExpired means that it has ended, or has not begun by the clock here.
	ErrExpired = errors.New("certificate has expired or is not valid yet")
	// ErrUsage means that it is for the other side of a connection.
	ErrUsage = errors.New("certificate is not for this use")
	// ErrBadSAN means that it does not name exactly one identity as this package
	// writes them, of the trust domain.
	ErrBadSAN = errors.New("certificate does not name one valid identity")
)

// maxChain bounds the work that a stranger can ask for.
const maxChain = 8

// Verifier finds out who a client certificate speaks for. Whether its owner
// holds the key is TLS's part; whether the owner is still welcome, the
// registry's.
type Verifier struct {
	TrustDomain string
	Roots       []*x509.Certificate
	// Intermediates that clients need not send.
	Intermediates []*x509.Certificate
	Now           func() time.Time
}

// Identity returns who the first certificate of a chain speaks for: a node or an
// administrator. The error is one of ErrNoCertificate, ErrUnknownAuthority,
// ErrExpired, ErrUsage, ErrBadSAN.
func (v Verifier) Identity(chain []*x509.Certificate) (Identity, error) {
	if len(chain) == 0 {
		return Identity{}, ErrNoCertificate
	}
	if len(chain) > maxChain {
		return Identity{}, fmt.Errorf("%w: a chain of %d certificates; at most %d are looked at", ErrUnknownAuthority, len(chain), maxChain)
	}
	intermediates := pool(v.Intermediates)
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{
		Roots:         pool(v.Roots),
		Intermediates: intermediates,
		CurrentTime:   v.Now(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}); err != nil {
		return Identity{}, classify(err)
	}
	domain, id, err := identityOf(chain[0])
	if err != nil {
		return Identity{}, err
	}
	if domain != v.TrustDomain {
		return Identity{}, fmt.Errorf("%w: trust domain is not %s", ErrBadSAN, v.TrustDomain)
	}
	if id.Kind != KindNode && id.Kind != KindAdmin {
		return Identity{}, fmt.Errorf("%w: a %s is no client", ErrUsage, id.Kind)
	}
	return id, nil
}

// classify turns what crypto/x509 says into this package's errors.
func classify(err error) error {
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) {
		return fmt.Errorf("%w: %w", ErrUnknownAuthority, err)
	}
	switch invalid.Reason {
	case x509.Expired:
		return fmt.Errorf("%w: %w", ErrExpired, err)
	case x509.IncompatibleUsage:
		return fmt.Errorf("%w: %w", ErrUsage, err)
	case x509.CANotAuthorizedForThisName, x509.UnconstrainedName, x509.NameConstraintsWithoutSANs:
		return fmt.Errorf("%w: %w", ErrBadSAN, err)
	}
	return fmt.Errorf("%w: %w", ErrUnknownAuthority, err)
}

// identityOf reads the one URI name of a certificate, byte for byte as it stands
// there: x509's own parsing would smooth some spellings out.
func identityOf(c *x509.Certificate) (trustDomain string, id Identity, err error) {
	uris, err := uriNames(c)
	if err != nil {
		return "", Identity{}, fmt.Errorf("%w: %w", ErrBadSAN, err)
	}
	if len(uris) != 1 {
		return "", Identity{}, fmt.Errorf("%w: %d URI names; exactly one is required", ErrBadSAN, len(uris))
	}
	trustDomain, id, err = ParseURI(uris[0])
	if err != nil {
		return "", Identity{}, fmt.Errorf("%w: %w", ErrBadSAN, err)
	}
	id.Serial, id.NotAfter = serialOf(c), c.NotAfter
	return trustDomain, id, nil
}

func uriNames(c *x509.Certificate) ([]string, error) {
	const tagURI = 6 // RFC 5280, GeneralName
	var uris []string
	for _, extension := range c.Extensions {
		if !extension.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &names); err != nil || len(rest) > 0 {
			return nil, fmt.Errorf("subject alternative name cannot be read: %w", err)
		}
		for _, name := range names {
			if name.Class == asn1.ClassContextSpecific && name.Tag == tagURI {
				uris = append(uris, string(name.Bytes))
			}
		}
	}
	return uris, nil
}

func pool(certificates []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certificates {
		p.AddCert(c)
	}
	return p
}
