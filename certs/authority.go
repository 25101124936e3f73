package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// AuthorityConfig is what an authority is made of.
type AuthorityConfig struct {
	// TrustDomain stands in every name the authority certifies: lower-case letters,
	// digits, hyphens and dots. It is fixed when the authority is created.
	TrustDomain string
	// HubName is the hub the authority belongs to, the name in its server certificates.
	HubName string
	// Clock defaults to time.Now, Random (for serial numbers) to crypto/rand.
	Clock  func() time.Time
	Random io.Reader
}

// Authority is a root CA with the issuing CA that signs everybody's
// certificates. All methods may be called concurrently.
type Authority struct {
	cfg        AuthorityConfig
	root       *x509.Certificate
	issuing    *x509.Certificate
	issuingKey crypto.Signer
}

// How long certificates last, and how far they are backdated so that a client
// whose clock is behind can use a new one at once.
const (
	DefaultNodeValidity   = 90 * 24 * time.Hour
	DefaultAdminValidity  = 365 * 24 * time.Hour
	DefaultServerValidity = 365 * 24 * time.Hour

	rootValidity    = 20 * 365 * 24 * time.Hour
	issuingValidity = 10 * 365 * 24 * time.Hour
	backdate        = 5 * time.Minute
)

const (
	rootCertFile    = "root.crt"
	rootKeyFile     = "root.key"
	issuingCertFile = "issuing.crt"
	issuingKeyFile  = "issuing.key"
)

// Create makes an authority in a directory that does not exist or is empty: new
// keys (ECDSA P-256, mode 0600, in a directory of mode 0700), a root certificate
// and an issuing certificate that can certify names of the trust domain only.
// After a crash the directory is either complete or not there. The error is
// fs.ErrExist where something is there already.
func Create(dir string, cfg AuthorityConfig) (*Authority, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	if cfg.TrustDomain == "" {
		return nil, fmt.Errorf("%w: trust domain is empty", ErrName)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("create authority: %s is not empty: %w", dir, fs.ErrExist)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	// What a crash left of an earlier attempt has certified nothing.
	draft := filepath.Clean(dir) + ".new"
	if err := os.RemoveAll(draft); err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	if err := os.MkdirAll(draft, 0o700); err != nil {
		return nil, fmt.Errorf("create authority: %w", err)
	}
	if err := write(draft, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("create authority: %w", err), os.RemoveAll(draft))
	}
	if err := os.Rename(draft, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("create authority: %w", err), os.RemoveAll(draft))
	}
	if err := syncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		return nil, err
	}
	return Open(dir, cfg)
}

// Open opens an authority. The root key is not needed and may be kept offline.
// Errors: fs.ErrNotExist where there is no authority, ErrKeyPermissions where
// others may read a key, ErrFile where files do not fit each other. A trust
// domain in cfg must be the authority's.
func Open(dir string, cfg AuthorityConfig) (*Authority, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	roots, err := readCertificates(filepath.Join(dir, rootCertFile))
	if err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	issuings, err := readCertificates(filepath.Join(dir, issuingCertFile))
	if err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	key, err := readKey(filepath.Join(dir, issuingKeyFile))
	if err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	if _, err := readKey(filepath.Join(dir, rootKeyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	a := &Authority{cfg: cfg, root: roots[0], issuing: issuings[0], issuingKey: key}
	if err := a.adopt(); err != nil {
		return nil, fmt.Errorf("open authority %s: %w", dir, err)
	}
	return a, nil
}

// TrustDomain returns the trust domain.
func (a *Authority) TrustDomain() string { return a.cfg.TrustDomain }

// Roots returns the certificates to trust.
func (a *Authority) Roots() []*x509.Certificate { return []*x509.Certificate{a.root} }

// RootSHA256 returns the fingerprint of the root certificate: SHA-256 of its DER.
func (a *Authority) RootSHA256() [sha256.Size]byte { return sha256.Sum256(a.root.Raw) }

// Verifier returns what tells whose client certificate is presented to the hub.
func (a *Authority) Verifier() Verifier {
	return Verifier{
		TrustDomain:   a.cfg.TrustDomain,
		Roots:         a.Roots(),
		Intermediates: []*x509.Certificate{a.issuing},
		Now:           a.cfg.Clock,
	}
}

func (c AuthorityConfig) checked() (AuthorityConfig, error) {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.TrustDomain != "" && !isDomain(c.TrustDomain) {
		return c, fmt.Errorf("%w: trust domain %.100q; a-z, 0-9, hyphens and single dots are allowed, at most %d", ErrName, c.TrustDomain, maxName)
	}
	return c, Identity{Kind: KindHub, Name: c.HubName}.check()
}

// adopt checks that root, issuing certificate and key fit, and takes the trust
// domain from them.
func (a *Authority) adopt() error {
	if err := a.issuing.CheckSignatureFrom(a.root); err != nil {
		return fmt.Errorf("%w: %s is not signed by %s: %w", ErrFile, issuingCertFile, rootCertFile, err)
	}
	if !samePublicKey(a.issuing, a.issuingKey) {
		return fmt.Errorf("%w: %s is not for the key in %s", ErrFile, issuingCertFile, issuingKeyFile)
	}
	if len(a.issuing.PermittedURIDomains) != 1 || !isDomain(a.issuing.PermittedURIDomains[0]) {
		return fmt.Errorf("%w: %s is not limited to one trust domain", ErrFile, issuingCertFile)
	}
	domain := a.issuing.PermittedURIDomains[0]
	if a.cfg.TrustDomain != "" && a.cfg.TrustDomain != domain {
		return fmt.Errorf("%w: the authority is for trust domain %s, not %s", ErrFile, domain, a.cfg.TrustDomain)
	}
	a.cfg.TrustDomain = domain
	return nil
}

// write makes keys and certificates and writes them.
func write(dir string, cfg AuthorityConfig) error {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), cfg.Random)
	if err != nil {
		return fmt.Errorf("root key: %w", err)
	}
	issuingKey, err := ecdsa.GenerateKey(elliptic.P256(), cfg.Random)
	if err != nil {
		return fmt.Errorf("issuing key: %w", err)
	}
	now := cfg.Clock()
	rootTemplate := authorityTemplate("Root", cfg, now, rootValidity)
	rootTemplate.MaxPathLen = 1
	root, err := sign(cfg.Random, rootTemplate, rootTemplate, rootKey.Public(), rootKey)
	if err != nil {
		return fmt.Errorf("root certificate: %w", err)
	}
	issuingTemplate := authorityTemplate("Issuing", cfg, now, issuingValidity)
	issuingTemplate.MaxPathLenZero = true
	issuingTemplate.PermittedDNSDomainsCritical = true // makes the URI constraint critical, too
	issuingTemplate.PermittedURIDomains = []string{cfg.TrustDomain}
	issuing, err := sign(cfg.Random, issuingTemplate, root, issuingKey.Public(), rootKey)
	if err != nil {
		return fmt.Errorf("issuing certificate: %w", err)
	}
	return errors.Join(
		writeKey(filepath.Join(dir, rootKeyFile), rootKey),
		writeKey(filepath.Join(dir, issuingKeyFile), issuingKey),
		writeCertificates(filepath.Join(dir, rootCertFile), []*x509.Certificate{root}),
		writeCertificates(filepath.Join(dir, issuingCertFile), []*x509.Certificate{issuing}),
	)
}

func authorityTemplate(role string, cfg AuthorityConfig, now time.Time, validity time.Duration) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"Lien Thong"}, CommonName: role + " CA of " + cfg.HubName},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(validity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
}

// sign gives a template a random 128-bit serial number and signs it.
func sign(random io.Reader, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial := make([]byte, 16)
	if _, err := io.ReadFull(random, serial); err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	serial[0] = serial[0]&0x7f | 0x40 // positive, and always 16 bytes long
	template.SerialNumber = new(big.Int).SetBytes(serial)
	der, err := x509.CreateCertificate(random, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return x509.ParseCertificate(der)
}
