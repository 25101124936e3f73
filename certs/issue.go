package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"
)

// ErrRequest means that a certificate signing request is refused. The text says
// why, without repeating what was sent.
var ErrRequest = errors.New("certificate signing request refused")

const maxRequest = 16 << 10

// CheckRequest returns the public key of a PKCS #10 request (DER) that keeps the
// policy: at most 16 KiB, signed by its own key, the key ECDSA P-256 or P-384 or
// Ed25519. Subject, names and extensions it asks for are not looked at: names
// come from the registry. The error is ErrRequest.
func CheckRequest(der []byte) (crypto.PublicKey, error) {
	if len(der) > maxRequest {
		return nil, fmt.Errorf("%w: %d bytes; at most %d are allowed", ErrRequest, len(der), maxRequest)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("%w: not a PKCS #10 request in DER: %w", ErrRequest, err)
	}
	switch key := request.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return nil, fmt.Errorf("%w: ECDSA keys must be on P-256 or P-384", ErrRequest)
		}
	case ed25519.PublicKey:
	default:
		return nil, fmt.Errorf("%w: keys must be ECDSA P-256, ECDSA P-384 or Ed25519", ErrRequest)
	}
	strong := []x509.SignatureAlgorithm{x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519}
	if !slices.Contains(strong, request.SignatureAlgorithm) {
		return nil, fmt.Errorf("%w: signature algorithm %s; SHA-256 or stronger is required", ErrRequest, request.SignatureAlgorithm)
	}
	if err := request.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: it is not signed by the key it holds: %w", ErrRequest, err)
	}
	return request.PublicKey, nil
}

// Issued is a new client certificate.
type Issued struct {
	// Chain is the certificate and the issuing CA's, without the root.
	Chain []*x509.Certificate
	// Serial number, as in Identity.Serial.
	Serial string
	// NotAfter is its end.
	NotAfter time.Time
}

// IssueNode certifies a node for the key of a request; see CheckRequest.
// Validity 0 means DefaultNodeValidity. Errors: ErrName, ErrRequest.
func (a *Authority) IssueNode(request []byte, node Identity, validity time.Duration) (Issued, error) {
	if node.Kind != KindNode {
		return Issued{}, fmt.Errorf("%w: %s is not a node", ErrName, node.Kind)
	}
	public, err := CheckRequest(request)
	if err != nil {
		return Issued{}, err
	}
	if validity == 0 {
		validity = DefaultNodeValidity
	}
	return a.issueClient(public, node, validity)
}

// IssueAdmin makes a key and certifies an administrator. Validity 0 means
// DefaultAdminValidity.
func (a *Authority) IssueAdmin(name string, validity time.Duration) (*Credentials, error) {
	if validity == 0 {
		validity = DefaultAdminValidity
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), a.cfg.Random)
	if err != nil {
		return nil, fmt.Errorf("administrator key: %w", err)
	}
	issued, err := a.issueClient(key.Public(), Identity{Kind: KindAdmin, Name: name}, validity)
	if err != nil {
		return nil, err
	}
	return &Credentials{Key: key, Chain: issued.Chain, Roots: a.Roots()}, nil
}

// IssueServer makes a key and certifies the hub as the server that clients reach
// by these host names and IP addresses. Validity 0 means DefaultServerValidity.
// The chain includes the root, for clients that know its fingerprint only.
func (a *Authority) IssueServer(hosts []string, validity time.Duration) (*Credentials, error) {
	if len(hosts) == 0 {
		return nil, errors.New("server certificate: at least one host name or IP address is required")
	}
	if validity == 0 {
		validity = DefaultServerValidity
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), a.cfg.Random)
	if err != nil {
		return nil, fmt.Errorf("server key: %w", err)
	}
	template, err := a.leafTemplate(Identity{Kind: KindHub, Name: a.cfg.HubName}, validity)
	if err != nil {
		return nil, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	leaf, err := sign(a.cfg.Random, template, a.issuing, key.Public(), a.issuingKey)
	if err != nil {
		return nil, fmt.Errorf("server certificate: %w", err)
	}
	return &Credentials{Key: key, Chain: []*x509.Certificate{leaf, a.issuing, a.root}, Roots: a.Roots()}, nil
}

func (a *Authority) issueClient(public crypto.PublicKey, id Identity, validity time.Duration) (Issued, error) {
	template, err := a.leafTemplate(id, validity)
	if err != nil {
		return Issued{}, err
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	leaf, err := sign(a.cfg.Random, template, a.issuing, public, a.issuingKey)
	if err != nil {
		return Issued{}, fmt.Errorf("certificate of %s: %w", id, err)
	}
	return Issued{Chain: []*x509.Certificate{leaf, a.issuing}, Serial: serialOf(leaf), NotAfter: leaf.NotAfter}, nil
}

func (a *Authority) leafTemplate(id Identity, validity time.Duration) (*x509.Certificate, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	uri, err := url.Parse(id.URI(a.cfg.TrustDomain))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrName, err)
	}
	now := a.cfg.Clock()
	end := now.Add(validity)
	if end.After(a.issuing.NotAfter) {
		end = a.issuing.NotAfter
	}
	if validity <= 0 || !end.After(now) {
		return nil, fmt.Errorf("certificate of %s: it would end at %s, before it begins", id, end.UTC().Format(time.RFC3339))
	}
	return &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Lien Thong"}, CommonName: commonName(id)},
		URIs:                  []*url.URL{uri},
		NotBefore:             now.Add(-backdate),
		NotAfter:              end,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}, nil
}

// commonName is for people who look at the certificate; nothing reads it. X.509
// allows it 64 characters.
func commonName(id Identity) string {
	name := id.String()
	return name[:min(len(name), 64)]
}

func serialOf(c *x509.Certificate) string { return fmt.Sprintf("%032x", c.SerialNumber) }
