package certs_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lienthong/lienthong/certs"
)

const domain = "lienthong.test"

func today() time.Time { return time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC) }

func config() certs.AuthorityConfig {
	return certs.AuthorityConfig{TrustDomain: domain, HubName: "hub1", Clock: today}
}

// authority creates one and returns it with its directory.
func authority(t testing.TB) (*certs.Authority, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	a, err := certs.Create(dir, config())
	if err != nil {
		t.Fatalf("create authority: %v", err)
	}
	return a, dir
}

func node(t testing.TB, id string) certs.Identity {
	t.Helper()
	identity, err := certs.ParseNodeID(id)
	if err != nil {
		t.Fatalf("node id: %v", err)
	}
	return identity
}

func request(t testing.TB) []byte {
	t.Helper()
	_, csr, err := certs.NewKeyAndCSR()
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	return csr
}

// joined returns the credentials of a node that an authority has certified.
func joined(t testing.TB, a *certs.Authority, id string, validity time.Duration) *certs.Credentials {
	t.Helper()
	key, csr, err := certs.NewKeyAndCSR()
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	issued, err := a.IssueNode(csr, node(t, id), validity)
	if err != nil {
		t.Fatalf("issue: %v", err)
	}
	return &certs.Credentials{Key: key, Chain: issued.Chain, Roots: a.Roots()}
}

func TestCreateThenOpen(t *testing.T) {
	t.Parallel()
	created, dir := authority(t)
	opened, err := certs.Open(dir, certs.AuthorityConfig{HubName: "hub1", Clock: today})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	if opened.TrustDomain() != domain || opened.RootSHA256() != created.RootSHA256() {
		t.Errorf("opened as %s %x; created as %s %x", opened.TrustDomain(), opened.RootSHA256(), domain, created.RootSHA256())
	}
	id, err := created.Verifier().Identity(joined(t, opened, "H41/motcua", 0).Chain)
	if err != nil || id.String() != "H41/motcua" {
		t.Errorf("what the reopened authority issues is %v, %v to the first one", id, err)
	}
	for name, want := range map[string]fs.FileMode{"": 0o700 | fs.ModeDir, "root.key": 0o600, "issuing.key": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%q has mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	if _, err := certs.Create(dir, config()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating over an authority: %v", err)
	}
}

func TestCreateAfterACrashInCreate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ca")
	if err := os.MkdirAll(dir+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir+".new", "root.key"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := certs.Open(dir, config()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a half-made authority opens: %v", err)
	}
	if _, err := certs.Create(dir, config()); err != nil {
		t.Errorf("create: %v", err)
	}
	if _, err := os.Stat(dir + ".new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the half-made authority is still there: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	_, other := authority(t)
	copyFrom := func(name, to string) error {
		content, err := os.ReadFile(filepath.Join(other, name))
		return errors.Join(err, os.WriteFile(to, content, 0o600))
	}
	for name, c := range map[string]struct {
		spoil func(dir string) error
		cfg   certs.AuthorityConfig
		want  error
	}{
		"issuing key open to the group": {spoil: func(dir string) error { return os.Chmod(filepath.Join(dir, "issuing.key"), 0o640) }, want: certs.ErrKeyPermissions},
		"root key open to all":          {spoil: func(dir string) error { return os.Chmod(filepath.Join(dir, "root.key"), 0o604) }, want: certs.ErrKeyPermissions},
		"issuing key of another CA":     {spoil: func(dir string) error { return copyFrom("issuing.key", filepath.Join(dir, "issuing.key")) }, want: certs.ErrFile},
		"root of another CA":            {spoil: func(dir string) error { return copyFrom("root.crt", filepath.Join(dir, "root.crt")) }, want: certs.ErrFile},
		"key cut short":                 {spoil: func(dir string) error { return os.Truncate(filepath.Join(dir, "issuing.key"), 40) }, want: certs.ErrFile},
		"certificate empty":             {spoil: func(dir string) error { return os.Truncate(filepath.Join(dir, "issuing.crt"), 0) }, want: certs.ErrFile},
		"certificate missing":           {spoil: func(dir string) error { return os.Remove(filepath.Join(dir, "issuing.crt")) }, want: fs.ErrNotExist},
		"other trust domain asked for":  {cfg: certs.AuthorityConfig{TrustDomain: "else.where", HubName: "hub1"}, want: certs.ErrFile},
		"hub name with a space":         {cfg: certs.AuthorityConfig{HubName: "my hub"}, want: certs.ErrName},
		"trust domain with a slash":     {cfg: certs.AuthorityConfig{TrustDomain: "a/node/H41", HubName: "hub1"}, want: certs.ErrName},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, dir := authority(t)
			if c.spoil != nil {
				if err := c.spoil(dir); err != nil {
					t.Fatal(err)
				}
			}
			cfg := c.cfg
			if cfg.HubName == "" {
				cfg.HubName = "hub1"
			}
			if _, err := certs.Open(dir, cfg); !errors.Is(err, c.want) {
				t.Errorf("open: %v; want %v", err, c.want)
			}
		})
	}
}

func TestRootKeyMayBeOffline(t *testing.T) {
	t.Parallel()
	_, dir := authority(t)
	if err := os.Remove(filepath.Join(dir, "root.key")); err != nil {
		t.Fatal(err)
	}
	a, err := certs.Open(dir, config())
	if err != nil {
		t.Fatalf("open without root key: %v", err)
	}
	if _, err := a.IssueNode(request(t), node(t, "H41/motcua"), 0); err != nil {
		t.Errorf("issue: %v", err)
	}
}

func TestIssuedCertificate(t *testing.T) {
	t.Parallel()
	a, _ := authority(t)
	issued, err := a.IssueNode(request(t), node(t, "G12.18/motcua"), 0)
	if err != nil {
		t.Fatalf("issue: %v", err)
	}
	leaf := issued.Chain[0]
	if !leaf.NotBefore.Equal(today().Add(-5*time.Minute)) || !leaf.NotAfter.Equal(today().Add(90*24*time.Hour)) || !issued.NotAfter.Equal(leaf.NotAfter) {
		t.Errorf("valid from %v to %v", leaf.NotBefore, leaf.NotAfter)
	}
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != "spiffe://lienthong.test/node/G12.18/motcua" || len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses) != 0 {
		t.Errorf("names %v %v %v %v", leaf.URIs, leaf.DNSNames, leaf.IPAddresses, leaf.EmailAddresses)
	}
	if leaf.IsCA || len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || leaf.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("may be used as CA %v, %v, %v", leaf.IsCA, leaf.ExtKeyUsage, leaf.KeyUsage)
	}
	id, err := a.Verifier().Identity(issued.Chain)
	if err != nil || id != (certs.Identity{Kind: certs.KindNode, Organisation: "G12.18", Name: "motcua", Serial: issued.Serial, NotAfter: issued.NotAfter}) {
		t.Errorf("identity %+v, %v", id, err)
	}
	if len(issued.Serial) != 32 || leaf.SerialNumber.BitLen() < 126 {
		t.Errorf("serial %s is shorter than 128 bits", issued.Serial)
	}
	again, err := a.IssueNode(request(t), node(t, "G12.18/motcua"), time.Hour)
	if err != nil || again.Serial == issued.Serial || !again.NotAfter.Equal(today().Add(time.Hour)) {
		t.Errorf("second certificate: serial %s after %s, ends %v, %v", again.Serial, issued.Serial, again.NotAfter, err)
	}
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	a, dir := authority(t)
	for name, id := range map[string]certs.Identity{
		"nobody":                  {},
		"hub":                     {Kind: certs.KindHub, Name: "hub1"},
		"admin":                   {Kind: certs.KindAdmin, Name: "root"},
		"organisation in lower":   {Kind: certs.KindNode, Organisation: "h41", Name: "motcua"},
		"organisation with slash": {Kind: certs.KindNode, Organisation: "H41/x", Name: "motcua"},
		"name with dots":          {Kind: certs.KindNode, Organisation: "H41", Name: ".."},
	} {
		if _, err := a.IssueNode(request(t), id, 0); !errors.Is(err, certs.ErrName) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := a.IssueNode(request(t), node(t, "H41/motcua"), -time.Hour); err == nil {
		t.Error("a certificate that ends before it begins was issued")
	}
	if _, err := a.IssueAdmin("../../etc", 0); !errors.Is(err, certs.ErrName) {
		t.Errorf("administrator: %v", err)
	}
	if _, err := a.IssueServer(nil, 0); err == nil {
		t.Error("a server certificate without names was issued")
	}
	late := func() time.Time { return today().Add(9*365*24*time.Hour + 300*24*time.Hour) }
	old, err := certs.Open(dir, certs.AuthorityConfig{HubName: "hub1", Clock: late})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := old.IssueNode(request(t), node(t, "H41/motcua"), 0)
	if err != nil || issued.NotAfter.After(issued.Chain[1].NotAfter) {
		t.Errorf("issued until %v by a CA that ends %v, %v", issued.NotAfter, issued.Chain[1].NotAfter, err)
	}
}

func signed(t testing.TB, key crypto.Signer, template *x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	return der
}

func curve(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestRequestPolicy(t *testing.T) {
	t.Parallel()
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := signed(t, curve(t, elliptic.P256()), &x509.CertificateRequest{})
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1
	for name, c := range map[string]struct {
		der []byte
		ok  bool
	}{
		"P-256":               {good, true},
		"P-384":               {signed(t, curve(t, elliptic.P384()), &x509.CertificateRequest{}), true},
		"Ed25519":             {signed(t, edKey, &x509.CertificateRequest{}), true},
		"P-521":               {signed(t, curve(t, elliptic.P521()), &x509.CertificateRequest{}), false},
		"P-224":               {signed(t, curve(t, elliptic.P224()), &x509.CertificateRequest{}), false},
		"RSA":                 {signed(t, rsaKey, &x509.CertificateRequest{}), false},
		"signature broken":    {broken, false},
		"trailing bytes":      {append(bytes.Clone(good), 0), false},
		"PEM":                 {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: good}), false},
		"empty":               {nil, false},
		"padded to 17 KiB":    {signed(t, curve(t, elliptic.P256()), &x509.CertificateRequest{Subject: pkix.Name{CommonName: strings.Repeat("x", 17<<10)}}), false},
		"signed by other key": {swapKey(t, good), false},
	} {
		if _, err := certs.CheckRequest(c.der); c.ok != (err == nil) || (!c.ok && !errors.Is(err, certs.ErrRequest)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// swapKey puts another public key into a request and leaves the signature.
func swapKey(t testing.TB, der []byte) []byte {
	t.Helper()
	parsed, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := x509.MarshalPKIXPublicKey(curve(t, elliptic.P256()).Public())
	if err != nil {
		t.Fatal(err)
	}
	swapped := bytes.Replace(der, parsed.RawSubjectPublicKeyInfo, mine, 1)
	if bytes.Equal(swapped, der) {
		t.Fatal("nothing swapped")
	}
	return swapped
}

// What a request asks to be called is not what it gets.
func TestRequestedNamesAreIgnored(t *testing.T) {
	t.Parallel()
	a, _ := authority(t)
	uri, err := url.Parse("spiffe://lienthong.test/admin/root")
	if err != nil {
		t.Fatal(err)
	}
	csr := signed(t, curve(t, elliptic.P256()), &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "admin:root"}, URIs: []*url.URL{uri}, DNSNames: []string{"hub1"},
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}},
	})
	issued, err := a.IssueNode(csr, node(t, "H41/motcua"), 0)
	if err != nil {
		t.Fatalf("issue: %v", err)
	}
	leaf := issued.Chain[0]
	if got := fmt.Sprint(leaf.Subject.CommonName, leaf.URIs, leaf.DNSNames, leaf.IsCA); got != "H41/motcua[spiffe://lienthong.test/node/H41/motcua] [] false" {
		t.Errorf("issued %s", got)
	}
}

func FuzzCheckRequest(f *testing.F) {
	f.Add(request(f))
	f.Add(signed(f, curve(f, elliptic.P384()), &x509.CertificateRequest{DNSNames: []string{"a"}}))
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, der []byte) {
		key, err := certs.CheckRequest(der)
		if (err == nil) != (key != nil) || (err != nil && !errors.Is(err, certs.ErrRequest)) {
			t.Fatalf("key %v, error %v", key, err)
		}
		if err != nil {
			return
		}
		if parsed, err := x509.ParseCertificateRequest(der); err != nil || parsed.CheckSignature() != nil {
			t.Fatalf("accepted a request that is not signed by its key")
		}
	})
}
