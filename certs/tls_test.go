package certs_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lienthong/lienthong/certs"
)

func serverSide(t testing.TB, a *certs.Authority, hosts ...string) *certs.Credentials {
	t.Helper()
	c, err := a.IssueServer(hosts, 0)
	if err != nil {
		t.Fatalf("server certificate: %v", err)
	}
	return c
}

// connect shakes hands over loopback and returns both sides' errors and what the
// server saw. One byte goes each way: in TLS 1.3 a client learns only then.
func connect(t testing.TB, server, client *tls.Config) (seen tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan error, 1)
	go func() { done <- answer(ctx, listener, server, &seen) }()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, client)
	clientErr = conn.HandshakeContext(ctx)
	if clientErr == nil {
		_, clientErr = io.ReadFull(conn, make([]byte, 1))
	}
	_ = raw.Close()
	return seen, <-done, clientErr
}

func answer(ctx context.Context, listener net.Listener, config *tls.Config, seen *tls.ConnectionState) error {
	raw, err := listener.Accept()
	if err != nil {
		return err
	}
	defer raw.Close()
	conn := tls.Server(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	*seen = conn.ConnectionState()
	_, err = conn.Write([]byte{1})
	return err
}

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	a, _ := authority(t)
	hub := serverSide(t, a, "hub.example", "127.0.0.1", "::1")
	mine := joined(t, a, "H41/motcua", 0)
	for _, name := range []string{"hub.example", "127.0.0.1", "::1"} {
		seen, serverErr, clientErr := connect(t, certs.ServerConfig(hub), certs.ClientConfig(mine, name, today))
		if serverErr != nil || clientErr != nil {
			t.Errorf("%s: server %v, client %v", name, serverErr, clientErr)
		}
		id, err := a.Verifier().Identity(seen.PeerCertificates)
		if err != nil || id.String() != "H41/motcua" || seen.Version != tls.VersionTLS13 {
			t.Errorf("%s: hub sees %v, %v over TLS %x", name, id, err, seen.Version)
		}
	}
}

// A client with no certificate, or one of another CA, is let through the
// handshake and found out by the verifier.
func TestWrongClientsGetThroughTheHandshakeOnly(t *testing.T) {
	t.Parallel()
	a, _ := authority(t)
	twin, _ := authority(t)
	hub := serverSide(t, a, "localhost")
	foreign := joined(t, twin, "H41/motcua", 0)
	foreign.Roots = a.Roots()
	for name, c := range map[string]struct {
		client *tls.Config
		want   error
	}{
		"none":     {certs.PinnedClientConfig(a.RootSHA256(), "localhost", today), certs.ErrNoCertificate},
		"other CA": {certs.ClientConfig(foreign, "localhost", today), certs.ErrUnknownAuthority},
	} {
		seen, serverErr, clientErr := connect(t, certs.ServerConfig(hub), c.client)
		if serverErr != nil || clientErr != nil {
			t.Errorf("%s: server %v, client %v", name, serverErr, clientErr)
		}
		if id, err := a.Verifier().Identity(seen.PeerCertificates); !errors.Is(err, c.want) {
			t.Errorf("%s: taken for %v, %v", name, id, err)
		}
	}
}

// Showing a certificate is not enough: the handshake proves that its key is held.
func TestStolenCertificateWithoutKey(t *testing.T) {
	t.Parallel()
	a, _ := authority(t)
	mine, other := joined(t, a, "H41/motcua", 0), joined(t, a, "G22/portal", 0)
	thieving := certs.ClientConfig(mine, "localhost", today)
	thieving.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		stolen := other.TLS()
		stolen.PrivateKey = mine.Key
		return stolen, nil
	}
	seen, serverErr, clientErr := connect(t, certs.ServerConfig(serverSide(t, a, "localhost")), thieving)
	if (serverErr == nil && clientErr == nil) || len(seen.PeerCertificates) > 0 {
		t.Errorf("the hub saw %d certificates; server %v, client %v", len(seen.PeerCertificates), serverErr, clientErr)
	}
}

func TestClientsRefuseWrongServers(t *testing.T) {
	t.Parallel()
	a, dir := authority(t)
	twin, _ := authority(t)
	mine := joined(t, a, "H41/motcua", 0)
	forger := steal(t, dir)
	forged := func(uris ...string) *certs.Credentials {
		key := mine.Key
		template := func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}
		chain := forger.forgeFor(t, key.Public(), template, uris...)
		return &certs.Credentials{Key: key, Chain: append(chain, a.Roots()...), Roots: a.Roots()}
	}
	late := func() time.Time { return today().Add(2 * 365 * 24 * time.Hour) }
	if _, _, err := connect(t, certs.ServerConfig(forged("spiffe://lienthong.test/hub/hub1")), certs.ClientConfig(mine, "localhost", today)); err != nil {
		t.Fatalf("the forger's tools do not work: %v", err)
	}
	for name, c := range map[string]struct {
		hub    *certs.Credentials
		expect string
		clock  func() time.Time
		want   error
	}{
		"other CA":            {serverSide(t, twin, "localhost"), "localhost", today, certs.ErrUnknownAuthority},
		"other host":          {serverSide(t, a, "hub.example"), "localhost", today, certs.ErrBadSAN},
		"no name expected":    {serverSide(t, a, "localhost"), "", today, certs.ErrBadSAN},
		"expired":             {serverSide(t, a, "localhost"), "localhost", late, certs.ErrExpired},
		"a node as server":    {&certs.Credentials{Key: mine.Key, Chain: append(append([]*x509.Certificate{}, mine.Chain...), a.Roots()...)}, "localhost", today, certs.ErrUsage},
		"node name, server":   {forged("spiffe://lienthong.test/node/H41/motcua"), "localhost", today, certs.ErrUsage},
		"no URI name":         {forged(), "localhost", today, certs.ErrBadSAN},
		"two URI names":       {forged("spiffe://lienthong.test/hub/a", "spiffe://lienthong.test/hub/b"), "localhost", today, certs.ErrBadSAN},
		"hub of another city": {forged("spiffe://sub.lienthong.test/hub/a"), "localhost", today, certs.ErrBadSAN},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := connect(t, certs.ServerConfig(c.hub), certs.ClientConfig(mine, c.expect, c.clock)); !errors.Is(err, c.want) {
				t.Errorf("with roots: %v; want %v", err, c.want)
			}
			if name == "hub of another city" {
				return // a joining node knows the root, not the trust domain
			}
			if _, _, err := connect(t, certs.ServerConfig(c.hub), certs.PinnedClientConfig(a.RootSHA256(), c.expect, c.clock)); !errors.Is(err, c.want) {
				t.Errorf("with fingerprint: %v; want %v", err, c.want)
			}
		})
	}
}

// A server that shows the right root beside a chain of its own is not believed.
func TestPinnedRootMustVouch(t *testing.T) {
	t.Parallel()
	a, _ := authority(t)
	twin, _ := authority(t)
	hub := serverSide(t, twin, "localhost")
	hub.Chain = append(hub.Chain, a.Roots()...)
	if _, _, err := connect(t, certs.ServerConfig(hub), certs.PinnedClientConfig(a.RootSHA256(), "localhost", today)); !errors.Is(err, certs.ErrUnknownAuthority) {
		t.Errorf("client: %v", err)
	}
}

func TestOnlyTLS13(t *testing.T) {
	t.Parallel()
	a, _ := authority(t)
	old := &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true}
	if _, serverErr, clientErr := connect(t, certs.ServerConfig(serverSide(t, a, "localhost")), old); serverErr == nil || clientErr == nil {
		t.Errorf("TLS 1.2 got through: server %v, client %v", serverErr, clientErr)
	}
}

func TestCredentialsOnDisk(t *testing.T) {
	t.Parallel()
	a, _ := authority(t)
	mine, other := joined(t, a, "H41/motcua", 0), joined(t, a, "G22/portal", 0)
	save := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "node")
		if err := mine.Save(dir); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	dir := save(t)
	loaded, err := certs.LoadCredentials(dir)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	if _, id, err := loaded.Identity(); err != nil || id.String() != "H41/motcua" || len(loaded.Chain) != 2 || len(loaded.Roots) != 1 {
		t.Errorf("loaded %v, %v, chain of %d, %d roots", id, err, len(loaded.Chain), len(loaded.Roots))
	}
	if info, err := os.Stat(filepath.Join(dir, certs.KeyFile)); err != nil || info.Mode() != 0o600 {
		t.Errorf("key has mode %v, %v", info.Mode(), err)
	}
	if err := (&certs.Credentials{Key: mine.Key, Chain: other.Chain, Roots: a.Roots()}).Save(t.TempDir()); !errors.Is(err, certs.ErrFile) {
		t.Errorf("a certificate of another key was saved: %v", err)
	}
	for name, spoil := range map[string]struct {
		do   func(dir string) error
		want error
	}{
		"key open to others": {func(dir string) error { return os.Chmod(filepath.Join(dir, certs.KeyFile), 0o644) }, certs.ErrKeyPermissions},
		"no certificate yet": {func(dir string) error { return os.Remove(filepath.Join(dir, certs.CertificateFile)) }, os.ErrNotExist},
		"key of another":     {func(dir string) error { return writeOther(t, other, dir, certs.KeyFile) }, certs.ErrFile},
		"PEM of a key in cert.pem": {func(dir string) error {
			return os.Rename(filepath.Join(save(t), certs.KeyFile), filepath.Join(dir, certs.CertificateFile))
		}, certs.ErrFile},
	} {
		dir := save(t)
		if err := spoil.do(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := certs.LoadCredentials(dir); !errors.Is(err, spoil.want) {
			t.Errorf("%s: %v; want %v", name, err, spoil.want)
		}
	}
}

// writeOther puts one file of other credentials into a directory.
func writeOther(t testing.TB, other *certs.Credentials, dir, file string) error {
	t.Helper()
	from := filepath.Join(t.TempDir(), "other")
	if err := other.Save(from); err != nil {
		return err
	}
	return os.Rename(filepath.Join(from, file), filepath.Join(dir, file))
}

func TestReloader(t *testing.T) {
	t.Parallel()
	a, _ := authority(t)
	dir := filepath.Join(t.TempDir(), "node")
	first, second := joined(t, a, "H41/motcua", 0), joined(t, a, "H41/motcua", 0)
	if err := first.Save(dir); err != nil {
		t.Fatal(err)
	}
	var told []error
	reloader, err := certs.NewReloader(dir, func(err error) { told = append(told, err) })
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		seen, _, clientErr := connect(t, certs.ServerConfig(serverSide(t, a, "localhost")), certs.ClientConfig(reloader, "localhost", today))
		id, err := a.Verifier().Identity(seen.PeerCertificates)
		if err != nil || clientErr != nil {
			t.Fatalf("handshake: %v, %v", err, clientErr)
		}
		return id.Serial
	}
	before := serial()
	// In the middle of a renewal: the new key is there, its certificate is not.
	if err := writeOther(t, second, dir, certs.KeyFile); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != before || len(told) != 1 || !errors.Is(told[0], certs.ErrFile) {
		t.Errorf("half a renewal: serial %s after %s, told %v", got, before, told)
	}
	if got := serial(); got != before || len(told) != 1 {
		t.Errorf("the same broken files were reported again: %v", told)
	}
	if err := reloader.Reload(); !errors.Is(err, certs.ErrFile) {
		t.Errorf("reload: %v", err)
	}
	if err := second.Save(dir); err != nil {
		t.Fatal(err)
	}
	_, want, err := second.Identity()
	if err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != want.Serial {
		t.Errorf("after renewal serial %s; want %s", got, want.Serial)
	}
	if _, err := certs.NewReloader(t.TempDir(), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
}
