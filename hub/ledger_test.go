package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/lienthong/lienthong/certs"
	ledgerv1 "github.com/lienthong/lienthong/gen/lienthong/ledger/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/nodes/receipt"
)

// auditing lets a hub sign checkpoints often.
func auditing(c *hub.Config) { c.CheckpointInterval = hub.MinCheckpointInterval }

// ledgerOf asks a hub's ledger with a profile.
func ledgerOf(t *testing.T, profile string) ledgerv1.LedgerServiceClient {
	t.Helper()
	at, source, err := certs.LoadProfile(profile, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(at.Address, grpc.WithTransportCredentials(credentials.NewTLS(certs.ClientConfig(source, at.ServerName(), nil))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return ledgerv1.NewLedgerServiceClient(conn)
}

// covering waits for a checkpoint that covers so many statements.
func covering(t *testing.T, of ledgerv1.LedgerServiceClient, size uint64) []byte {
	t.Helper()
	for {
		latest, err := of.GetCheckpoint(t.Context(), &ledgerv1.GetCheckpointRequest{})
		if err != nil && status.Code(err) != codes.NotFound {
			t.Fatalf("checkpoint: %v", err)
		}
		if latest.GetSize() >= size {
			return latest.GetCheckpoint()
		}
	}
}

func submitted(t *testing.T, m *member, from, count int) {
	t.Helper()
	for i := range count {
		if _, err := m.Submit(t.Context(), envelope(t, fmt.Sprintf("id-%d", from+i), "dossier.xml")); err != nil {
			t.Fatal(err)
		}
	}
}

// Receipts, once a checkpoint covers them, prove their place in the ledger offline; what
// was signed before a restart is proven to go on after it.
func TestTheLedgerGoesOnAcrossARestart(t *testing.T) {
	t.Parallel()
	first := hubtest.Start(t, auditing)
	province := join(t, first, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	join(t, first, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	first.Grant("H41", "G22/portal")
	submitted(t, province, 0, 5)
	verifier, err := receipt.NewVerifier(first.LedgerKey())
	if err != nil {
		t.Fatal(err)
	}
	older, err := verifier.Checkpoint(covering(t, ledgerOf(t, province.profile), 5))
	if err != nil {
		t.Fatal(err)
	}
	first.Stop()

	second := hubtest.Start(t, auditing, func(c *hub.Config) { c.DataDir, c.GRPC = first.DataDir, first.GRPCAddress() })
	again := open(t, province.profile)
	submitted(t, again, 5, 4)
	auditor := ledgerOf(t, filepath.Join(second.DataDir, hub.AdminDir)) // administrators may ask, too
	newer, err := verifier.Checkpoint(covering(t, auditor, 9))
	if err != nil {
		t.Fatal(err)
	}
	proof, err := auditor.GetConsistencyProof(t.Context(), &ledgerv1.GetConsistencyProofRequest{FromSize: older.Size, ToSize: newer.Size})
	if err != nil {
		t.Fatal(err)
	}
	if err := receipt.VerifyConsistency(older, newer, proof.GetProof()); err != nil {
		t.Errorf("from %d to %d across the restart: %v", older.Size, newer.Size, err)
	}
	for sequence := uint64(1); sequence <= 9; sequence++ {
		accepted, err := again.GetReceipt(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		proven, err := verifier.Prove(accepted.Receipt)
		if err != nil || proven.Checkpoint == nil || proven.Checkpoint.Size < 9 || proven.Statement.GetSequence() != sequence {
			t.Errorf("receipt %d: %+v, %v; want it proven in the ledger", sequence, proven, err)
		}
	}
}

// A receipt leaves at once, before any checkpoint; it then proves its group only.
func TestReceiptsDoNotWaitForACheckpoint(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.CheckpointInterval = time.Hour })
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	submitted(t, province, 0, 1)
	accepted, err := province.GetReceipt(t.Context(), 1)
	if err != nil || len(accepted.Receipt.GetCheckpoint()) != 0 {
		t.Errorf("receipt %v, %v; want one without a checkpoint", accepted, err)
	}
	_, err = ledgerOf(t, province.profile).GetCheckpoint(t.Context(), &ledgerv1.GetCheckpointRequest{})
	if status.Code(err) != codes.NotFound {
		t.Errorf("checkpoint: %v, want NOT_FOUND", err)
	}
}

// Without a certificate of this hub nobody is shown anything of the ledger.
func TestTheLedgerIsNotForStrangers(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	stranger, _ := strangers(t, province.profile)
	conn, err := grpc.NewClient(h.GRPCAddress(), grpc.WithTransportCredentials(credentials.NewTLS(stranger)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	_, err = ledgerv1.NewLedgerServiceClient(conn).GetCheckpoint(t.Context(), &ledgerv1.GetCheckpointRequest{})
	if status.Code(err) != codes.Unauthenticated {
		t.Errorf("a stranger is answered with %v", err)
	}
}

func TestTheLedgerByREST(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, auditing)
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	submitted(t, province, 0, 3)
	signed := covering(t, ledgerOf(t, province.profile), 3)
	var latest struct {
		Checkpoint []byte
		Size       string
	}
	if err := json.Unmarshal([]byte(got(t, province, h.EdgeURL()+"/v1/ledger/checkpoint", http.StatusOK)), &latest); err != nil {
		t.Fatal(err)
	}
	if string(latest.Checkpoint) != string(signed) || latest.Size != "3" {
		t.Errorf("checkpoint %q of size %s, want %q", latest.Checkpoint, latest.Size, signed)
	}
	var proof struct{ Proof [][]byte }
	if err := json.Unmarshal([]byte(got(t, province, h.EdgeURL()+"/v1/ledger/consistency?fromSize=1&toSize=3", http.StatusOK)), &proof); err != nil || len(proof.Proof) != 2 {
		t.Errorf("consistency proof %x, %v", proof.Proof, err)
	}
	for query, want := range map[string]string{
		"consistency?fromSize=1&toSize=4": "beyond the latest checkpoint, which covers 3", "consistency?fromSize=1": "to_size: has to be at least 1",
		"inclusion?sequence=4&size=3": "a size from 4 on is needed",
	} {
		if body := got(t, province, h.EdgeURL()+"/v1/ledger/"+query, http.StatusBadRequest); !strings.Contains(body, want) {
			t.Errorf("%s: %s, want it to say %q", query, body, want)
		}
	}
}

// got fetches an address of the edge.
func got(t *testing.T, m *member, url string, want int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := m.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		t.Fatalf("%s: %d %s, %v; want %d", url, resp.StatusCode, body, err, want)
	}
	return string(body)
}

// A hub whose store was restored from before its last checkpoint does not start: it
// would give numbers again that it has given, and sign another ledger.
func TestAHubWithoutPacketsItHasSignedDoesNotStart(t *testing.T) {
	t.Parallel()
	signedFor := hubtest.Start(t, auditing)
	province := join(t, signedFor, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	join(t, signedFor, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	signedFor.Grant("H41", "G22/portal")
	signedFor.Stop()
	saved := filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(saved, os.DirFS(filepath.Join(signedFor.DataDir, "store"))); err != nil {
		t.Fatal(err)
	}
	cfg := hub.Config{DataDir: signedFor.DataDir, GRPC: signedFor.GRPCAddress(), HTTP: "127.0.0.1:0"}
	again := hubtest.Start(t, auditing, func(c *hub.Config) { c.DataDir, c.GRPC = cfg.DataDir, cfg.GRPC })
	submitted(t, open(t, province.profile), 0, 2)
	covering(t, ledgerOf(t, province.profile), 2)
	again.Stop()
	if err := errors.Join(os.RemoveAll(filepath.Join(cfg.DataDir, "store")), os.CopyFS(filepath.Join(cfg.DataDir, "store"), os.DirFS(saved))); err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(context.WithoutCancel(t.Context()), cfg)
	if err == nil {
		t.Fatalf("the hub started; closing it: %v", h.Close())
	}
	if !errors.Is(err, ledger.ErrDiverged) || !strings.Contains(err.Error(), "of 2 packets, the accepted log ends before") {
		t.Errorf("refused with %v, want it to say what is missing", err)
	}
}
