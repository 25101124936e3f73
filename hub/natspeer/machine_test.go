package natspeer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// used is what this process, server and load together, has used up to a moment.
type used struct {
	cpu     time.Duration
	written int64 // bytes that files were made to hold, cached ones too
}

func usedNow(b *testing.B) used {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	content, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(content), "\nwrite_bytes: ")
	digits, _, _ := strings.Cut(after, "\n")
	written, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		b.Fatalf("/proc/self/io: %v", err)
	}
	return used{cpu: time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), written: written}
}

// report writes what a packet cost since an earlier moment.
func (u used) report(b *testing.B, before used) {
	b.Helper()
	b.ReportMetric(float64((u.cpu-before.cpu).Microseconds())/float64(b.N), "cpu-us/packet")
	b.ReportMetric(float64(u.written-before.written)/float64(b.N), "written-B/packet")
}

// certificates are an authority's, and a pair that server and clients share.
type certificates struct {
	roots *x509.CertPool
	pair  tls.Certificate
}

func newCertificates(b *testing.B) certificates {
	b.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peer"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		b.Fatal(err)
	}
	own, err := x509.ParseCertificate(der)
	if err != nil {
		b.Fatal(err)
	}
	c := certificates{roots: x509.NewCertPool(), pair: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: own}}
	c.roots.AddCert(own)
	return c
}

func (c certificates) server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c.pair},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: c.roots,
	}
}

func (c certificates) client() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{c.pair}, RootCAs: c.roots}
}
