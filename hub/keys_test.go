package hub_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
)

// A lost authority locks every node out, a lost ledger key takes the receipts'
// worth: neither is silently made anew.
func TestLostKeysAreNotReplaced(t *testing.T) {
	t.Parallel()
	dir, other := filepath.Join(t.TempDir(), "hub"), filepath.Join(t.TempDir(), "other")
	for _, data := range []string{dir, other} {
		hubtest.Start(t, func(c *hub.Config) { c.DataDir = data }).Stop()
	}
	start := func() error {
		h, err := hub.New(t.Context(), hub.Config{
			DataDir: dir, GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler),
		})
		if err == nil {
			return h.Close()
		}
		return err
	}
	for name, files := range map[string][]string{
		"the authority is gone":       {"ca"},
		"the ledger key is gone":      {"ledger.key"},
		"nothing of the ledger is":    {"ledger.key", "ledger.pub"},
		"another hub's authority":     {"ca"},
		"another hub's ledger's keys": {"ledger.key", "ledger.pub"},
	} {
		for _, file := range files {
			if err := os.Rename(filepath.Join(dir, file), filepath.Join(dir, file+".kept")); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(name, "another") {
				if err := os.Rename(filepath.Join(other, file), filepath.Join(dir, file)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := start(); err == nil || !strings.Contains(err.Error(), "restore it from a backup") {
			t.Errorf("%s: started with error %v; want it refused, saying what to restore", name, err)
		}
		for _, file := range files {
			if strings.HasPrefix(name, "another") {
				if err := os.Rename(filepath.Join(dir, file), filepath.Join(other, file)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.RemoveAll(filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, file+".kept"), filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
		}
		if err := start(); err != nil {
			t.Fatalf("%s, then restored: %v", name, err)
		}
	}
}

func TestTheAcceptedLogIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "hub")
	if err := os.MkdirAll(filepath.Join(dir, "store"), 0o755); err != nil { // as an operator might
		t.Fatal(err)
	}
	hubtest.Start(t, func(c *hub.Config) { c.DataDir = dir })
	info, err := os.Stat(filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o700 {
		t.Errorf("others may look into the accepted log: mode %o, want 700", mode)
	}
}

func TestAStricterHubShowsWhatItAcceptedBefore(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "hub")
	first := hubtest.Start(t, func(c *hub.Config) { c.DataDir = dir })
	province := join(t, first, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	portal := join(t, first, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	first.Grant("H41", "G22/portal")
	env := envelope(t, "", "dossier.xml")
	env.Content = bytes.Replace(env.GetContent(), []byte("<Status>2<"), []byte("<Status> 2 <"), 1)
	env.Content = bytes.Replace(env.GetContent(), []byte("<Compendium>"), append([]byte("<Compendium>"), bytes.Repeat([]byte("x"), 4096)...), 1)
	accepted, err := province.Submit(t.Context(), env)
	if err != nil || len(accepted.Statement.GetWarnings()) == 0 {
		t.Fatalf("a dossier that takes a liberty: %v, %v", accepted, err)
	}
	first.Stop()

	second := hubtest.Start(t, func(c *hub.Config) { c.DataDir, c.Strict, c.ContentBytes = dir, true, 2048 })
	readdress(t, second, portal)
	got, err := open(t, portal.profile).GetPacket(t.Context(), 1, exchangev1.Format_FORMAT_XML)
	if err != nil || !bytes.Contains(got.GetEnvelope().GetContent(), []byte("<Status>2</Status>")) {
		t.Errorf("as official XML: %v", err)
	}
}

func TestTheHubRenewsItsOwnCertificate(t *testing.T) {
	t.Parallel()
	var days atomic.Int64
	h := hubtest.Start(t, func(c *hub.Config) {
		c.Clock = func() time.Time { return time.Now().AddDate(0, 0, int(days.Load())) }
	})
	end := func() time.Time {
		t.Helper()
		conn, err := tls.Dial("tcp", h.GRPCAddress(), &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // only looked at
		return conn.ConnectionState().PeerCertificates[0].NotAfter
	}
	first := end()
	days.Store(200) // of 365
	if again := end(); !again.Equal(first) {
		t.Errorf("after 200 days the certificate ends at %s, want the first one's %s", again, first)
	}
	days.Store(250) // more than two thirds
	if renewed := end(); !renewed.After(first.AddDate(0, 0, 200)) {
		t.Errorf("after 250 days the certificate still ends at %s", renewed)
	}
}

func TestAnotherAdministratorsProfile(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	profile := filepath.Join(t.TempDir(), "lan")
	if err := hub.IssueAdministrator(h.DataDir, "lan", profile, time.Now); err != nil {
		t.Fatal(err)
	}
	at, source, err := certs.LoadProfile(profile, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(at.Address, grpc.WithTransportCredentials(credentials.NewTLS(certs.ClientConfig(source, at.ServerName(), nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is about the call
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := registryv1.NewRegistryServiceClient(conn).ListNodes(ctx, &registryv1.ListNodesRequest{}); err != nil {
		t.Errorf("as the new administrator: %v", err)
	}
	for name, bad := range map[string]error{
		"a profile that is there":       hub.IssueAdministrator(h.DataDir, "lan", profile, time.Now),
		"no data directory":             hub.IssueAdministrator(t.TempDir(), "lan", profile+"2", time.Now),
		"a name that fits no authority": hub.IssueAdministrator(h.DataDir, "Lan Anh", profile+"3", time.Now),
	} {
		if bad == nil {
			t.Errorf("%s: a profile was made", name)
		}
	}
}
