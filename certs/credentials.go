package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names of the files that Credentials are kept in.
const (
	KeyFile         = "key.pem"
	CertificateFile = "cert.pem"
	RootsFile       = "roots.pem"
)

// Credentials are what one party proves itself with, and whom it trusts.
type Credentials struct {
	// Key never leaves the party's machine.
	Key crypto.Signer
	// Chain is the certificate of the key and what leads to a root.
	Chain []*x509.Certificate
	// Roots are the authorities to trust.
	Roots []*x509.Certificate
}

// NewKeyAndCSR makes an ECDSA P-256 key and a certificate signing request (DER)
// for it. The request names nobody: the hub takes the name from its registry.
func NewKeyAndCSR() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("new key: %w", err)
	}
	request, err := newRequest(key)
	return key, request, err
}

// KeyAndCSRIn is NewKeyAndCSR with the key kept in a directory's key.pem, on
// stable storage before the request exists. A key that is there already is used
// again, so that a join that was interrupted can be repeated.
func KeyAndCSRIn(dir string) (crypto.Signer, []byte, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("new key: %w", err)
	}
	path := filepath.Join(dir, KeyFile)
	key, err := readKey(path)
	if err == nil {
		request, err := newRequest(key)
		return key, request, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	key, request, err := NewKeyAndCSR()
	if err != nil {
		return nil, nil, err
	}
	return key, request, writeKey(path, key)
}

func newRequest(key crypto.Signer) ([]byte, error) {
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, fmt.Errorf("certificate signing request: %w", err)
	}
	return request, nil
}

// KeySHA256 returns the fingerprint of a public key: SHA-256 of its
// SubjectPublicKeyInfo in DER.
func KeySHA256(public crypto.PublicKey) ([sha256.Size]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("public key: %w", err)
	}
	return sha256.Sum256(der), nil
}

// ParseCredentials puts credentials together from a key and DER certificates, as
// they come from the hub. The first of the chain must be for the key.
func ParseCredentials(key crypto.Signer, chain, roots [][]byte) (*Credentials, error) {
	c := &Credentials{Key: key}
	var err error
	if c.Chain, err = parseAll(chain); err != nil {
		return nil, fmt.Errorf("certificate chain: %w", err)
	}
	if c.Roots, err = parseAll(roots); err != nil {
		return nil, fmt.Errorf("roots: %w", err)
	}
	return c, c.check()
}

// Save writes key.pem (mode 0600), roots.pem and cert.pem into a directory that
// it makes where needed (mode 0700), each durably and at once. cert.pem comes
// last: a crash before it leaves credentials that LoadCredentials refuses, never
// a certificate without its key.
func (c *Credentials) Save(dir string) error {
	if err := c.check(); err != nil {
		return fmt.Errorf("save credentials: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("save credentials: %w", err)
	}
	if err := writeKey(filepath.Join(dir, KeyFile), c.Key); err != nil {
		return fmt.Errorf("save credentials: %w", err)
	}
	if err := writeCertificates(filepath.Join(dir, RootsFile), c.Roots); err != nil {
		return fmt.Errorf("save credentials: %w", err)
	}
	if err := writeCertificates(filepath.Join(dir, CertificateFile), c.Chain); err != nil {
		return fmt.Errorf("save credentials: %w", err)
	}
	return nil
}

// LoadCredentials reads what Save wrote. Errors: fs.ErrNotExist,
// ErrKeyPermissions, ErrFile.
func LoadCredentials(dir string) (*Credentials, error) {
	key, err := readKey(filepath.Join(dir, KeyFile))
	if err != nil {
		return nil, fmt.Errorf("load credentials: %w", err)
	}
	chain, err := readCertificates(filepath.Join(dir, CertificateFile))
	if err != nil {
		return nil, fmt.Errorf("load credentials: %w", err)
	}
	roots, err := readCertificates(filepath.Join(dir, RootsFile))
	if err != nil {
		return nil, fmt.Errorf("load credentials: %w", err)
	}
	c := &Credentials{Key: key, Chain: chain, Roots: roots}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("load credentials from %s: %w", dir, err)
	}
	return c, nil
}

// Identity returns who the credentials are for, as their certificate says, and
// the trust domain. Nothing is verified: they are one's own.
func (c *Credentials) Identity() (trustDomain string, id Identity, err error) {
	return identityOf(c.Chain[0])
}

// Credentials returns c: credentials that stay the same are a Source.
func (c *Credentials) Credentials() *Credentials { return c }

// TLS returns key and chain as crypto/tls takes them.
func (c *Credentials) TLS() *tls.Certificate {
	pair := &tls.Certificate{PrivateKey: c.Key, Leaf: c.Chain[0]}
	for _, certificate := range c.Chain {
		pair.Certificate = append(pair.Certificate, certificate.Raw)
	}
	return pair
}

func (c *Credentials) check() error {
	switch {
	case c.Key == nil || len(c.Chain) == 0 || len(c.Roots) == 0:
		return fmt.Errorf("%w: key, certificate and roots are required", ErrFile)
	case !samePublicKey(c.Chain[0], c.Key):
		return fmt.Errorf("%w: the certificate is not for the key", ErrFile)
	}
	return nil
}

func parseAll(ders [][]byte) ([]*x509.Certificate, error) {
	all := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFile, err)
		}
		all[i] = c
	}
	return all, nil
}
