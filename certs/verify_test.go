package certs_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lienthong/lienthong/certs"
)

// thief has stolen an authority's issuing key and certifies what he likes.
type thief struct {
	issuing *x509.Certificate
	key     crypto.Signer
}

func steal(t testing.TB, dir string) thief {
	t.Helper()
	block := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := pem.Decode(content)
		return b.Bytes
	}
	issuing, err := x509.ParseCertificate(block("issuing.crt"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(block("issuing.key"))
	if err != nil {
		t.Fatal(err)
	}
	return thief{issuing: issuing, key: key.(crypto.Signer)}
}

// forge certifies names as they stand, byte for byte.
func (f thief) forge(t testing.TB, change func(*x509.Certificate), uris ...string) []*x509.Certificate {
	t.Helper()
	return f.forgeFor(t, curve(t, elliptic.P256()).Public(), change, uris...)
}

func (f thief) forgeFor(t testing.TB, key crypto.PublicKey, change func(*x509.Certificate), uris ...string) []*x509.Certificate {
	t.Helper()
	var names []asn1.RawValue
	for _, uri := range uris {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(uri)})
	}
	names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte("localhost")})
	san, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), NotBefore: today().Add(-time.Hour), NotAfter: today().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: san}}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, f.issuing, key, f.key)
	if err != nil {
		t.Fatalf("forge: %v", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("forge: crypto/x509 does not even parse it: %v", err)
	}
	return []*x509.Certificate{leaf, f.issuing}
}

func TestForgedNames(t *testing.T) {
	t.Parallel()
	a, dir := authority(t)
	forger := steal(t, dir)
	if id, err := a.Verifier().Identity(forger.forge(t, nil, "spiffe://lienthong.test/node/H41/motcua")); err != nil || id.String() != "H41/motcua" {
		t.Fatalf("the forger's tools do not work: %v, %v", id, err)
	}
	for name, uris := range map[string][]string{
		"none":                    {},
		"two":                     {"spiffe://lienthong.test/node/H41/motcua", "spiffe://lienthong.test/node/G22/portal"},
		"twice the same":          {"spiffe://lienthong.test/node/H41/motcua", "spiffe://lienthong.test/node/H41/motcua"},
		"other trust domain":      {"spiffe://other.test/node/H41/motcua"},
		"trust domain below":      {"spiffe://sub.lienthong.test/node/H41/motcua"},
		"trust domain as user":    {"spiffe://lienthong.test@other.test/node/H41/motcua"},
		"query":                   {"spiffe://lienthong.test/node/H41/motcua?admin"},
		"empty query":             {"spiffe://lienthong.test/node/H41/motcua?"},
		"empty fragment":          {"spiffe://lienthong.test/node/H41/motcua#"},
		"escaped slash":           {"spiffe://lienthong.test/node/H41%2fmotcua"},
		"parent directory":        {"spiffe://lienthong.test/node/H41/../G22/portal"},
		"organisation lower-case": {"spiffe://lienthong.test/node/h41/motcua"},
		"scheme in capitals":      {"SPIFFE://lienthong.test/node/H41/motcua"},
		"no scheme":               {"lienthong.test/node/H41/motcua"},
		"kind unknown":            {"spiffe://lienthong.test/root/H41/motcua"},
		"organisation empty":      {"spiffe://lienthong.test/node//motcua"},
		"trailing slash":          {"spiffe://lienthong.test/admin/root/"},
		"port":                    {"spiffe://lienthong.test:1/admin/root"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if id, err := a.Verifier().Identity(forger.forge(t, nil, uris...)); !errors.Is(err, certs.ErrBadSAN) || id != (certs.Identity{}) {
				t.Errorf("taken for %q, %v", id, err)
			}
		})
	}
}

func TestVerifierRefuses(t *testing.T) {
	t.Parallel()
	a, dir := authority(t)
	twin, _ := authority(t) // same names, other keys
	forger := steal(t, dir)
	serverSide, err := a.IssueServer([]string{"localhost"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	mine := joined(t, a, "H41/motcua", 0)
	const uri = "spiffe://lienthong.test/node/H41/motcua"
	clientUse := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	below := thief{key: curve(t, elliptic.P256())}
	below.issuing = forgeAuthority(t, forger, below.key)
	for name, c := range map[string]struct {
		chain []*x509.Certificate
		at    time.Time
		want  error
	}{
		"no certificate":          {nil, today(), certs.ErrNoCertificate},
		"other CA, same names":    {joined(t, twin, "H41/motcua", 0).Chain, today(), certs.ErrUnknownAuthority},
		"other CA, our issuing":   {[]*x509.Certificate{joined(t, twin, "H41/motcua", 0).Chain[0], mine.Chain[1]}, today(), certs.ErrUnknownAuthority},
		"expired":                 {mine.Chain, today().Add(90*24*time.Hour + time.Second), certs.ErrExpired},
		"not yet valid":           {mine.Chain, today().Add(-6 * time.Minute), certs.ErrExpired},
		"hub's own certificate":   {serverSide.Chain, today(), certs.ErrUsage},
		"hub name for client use": {forger.forge(t, clientUse, "spiffe://lienthong.test/hub/hub1"), today(), certs.ErrUsage},
		"node for server use": {forger.forge(t, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}, uri), today(), certs.ErrUsage},
		"issuing CA itself":       {mine.Chain[1:], today(), certs.ErrBadSAN},
		"CA below the issuing CA": {append(below.forge(t, nil, uri), forger.issuing), today(), certs.ErrUnknownAuthority},
		"chain without end":       {repeat(mine.Chain[0], 40), today(), certs.ErrUnknownAuthority},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := a.Verifier()
			v.Now = func() time.Time { return c.at }
			if id, err := v.Identity(c.chain); !errors.Is(err, c.want) || id != (certs.Identity{}) {
				t.Errorf("taken for %q, %v; want %v", id, err, c.want)
			}
		})
	}
}

func TestVerifierNeedsNoIntermediate(t *testing.T) {
	t.Parallel()
	a, _ := authority(t)
	admin, err := a.IssueAdmin("nguyen-van-a", 0)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := a.Verifier().Identity(admin.Chain[:1]); err != nil || id.String() != "admin:nguyen-van-a" || id.Kind != certs.KindAdmin {
		t.Errorf("identity %v, %v", id, err)
	}
}

func repeat(c *x509.Certificate, times int) []*x509.Certificate {
	all := make([]*x509.Certificate, times)
	for i := range all {
		all[i] = c
	}
	return all
}

// forgeAuthority makes the thief's own CA, signed by the stolen key.
func forgeAuthority(t testing.TB, f thief, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: "below"}, NotBefore: today().Add(-time.Hour), NotAfter: today().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, f.issuing, key.Public(), f.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
