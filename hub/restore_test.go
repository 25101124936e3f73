package hub_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/nodes/receipt"
)

// received runs a client that receives until the test ends, over whatever hubs follow
// each other at the address, and returns the ids that it gets.
func received(t *testing.T, portal *member) <-chan string {
	t.Helper()
	ids, done := make(chan string, 100), make(chan struct{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() {
		defer close(done)
		_ = portal.Receive(ctx, func(_ context.Context, d *exchangev1.Delivery) error {
			ids <- d.GetPacket().GetEnvelope().GetId()
			return nil
		}, nodes.ReceiveOptions{})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return ids
}

func wantNext(t *testing.T, ids <-chan string, want string) {
	t.Helper()
	select {
	case got := <-ids:
		if got != want {
			t.Fatalf("delivered: %s; want %s", got, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%s was accepted, and never handed to the recipient", want)
	}
}

// sent submits one packet and returns its receipt.
func sent(t *testing.T, m *member, id string) *nodes.Accepted {
	t.Helper()
	given, err := m.Submit(t.Context(), envelope(t, id, "dossier.xml"))
	if err != nil {
		t.Fatalf("submit %s: %v", id, err)
	}
	return given
}

// A hub is lost, and goes on from a backup, twice from the same one: a recipient that runs
// all the while gets every packet, no sequence is given twice, what is lost is told so and
// can be submitted again, and late acknowledgements settle nothing that they are not of.
func TestARestoredHubGivesNoSequenceAgain(t *testing.T) {
	t.Parallel()
	running := hubtest.Start(t, auditing)
	address := running.GRPCAddress()
	province := join(t, running, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	portal := join(t, running, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	running.Grant("H41", "G22/portal")
	ids := received(t, portal)
	given := map[uint64]string{}
	submit := func(id string) uint64 {
		t.Helper()
		sequence := sent(t, province, id).Statement.GetSequence()
		if before, ok := given[sequence]; ok {
			t.Fatalf("%s got sequence %d, which was that of %s", id, sequence, before)
		}
		given[sequence] = id
		wantNext(t, ids, id)
		return sequence
	}
	submit("a")
	backup := filepath.Join(t.TempDir(), "backup")
	backedUp(t, running.DataDir, backup)
	copied := filepath.Join(t.TempDir(), "copy")
	copyPrivately(t, backup, copied)
	lost := submit("b")
	before := running
	var log bytes.Buffer
	for _, dir := range []string{backup, copied} {
		before.Stop()
		log.Reset()
		before = hubtest.Start(t, auditing, func(c *hub.Config) {
			c.DataDir, c.GRPC, c.Logger = dir, address, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		})
		if text := log.String(); !strings.Contains(text, "lost_after=1 ") {
			t.Errorf("the start on a backup said %q; want the sequence after which packets are lost", text)
		}
		_, err := province.GetReceipt(t.Context(), lost)
		if said := fault.From(err); status.Code(err) != codes.NotFound || said.Reason != "packet_lost" || !strings.Contains(said.EN, "same id") || !strings.Contains(said.EN, "+07:00. If there is a receipt for it, it was accepted after that was made") || said.VI == said.EN {
			t.Errorf("the receipt of a lost packet: %v; want that it was lost, and what to do", err)
		}
		first := submit("c-of-" + filepath.Base(dir))
		if first <= 1_000_000_000 {
			t.Errorf("after the restore it goes on with %d", first)
		}
		if again := submit("b"); again <= first {
			t.Errorf("b, submitted again, has sequence %d", again)
		}
		delete(given, lost)
	}
	before.Stop()
	wantSound(t, copied, 3)
}

// copyPrivately copies a directory, to files that only their owner can read.
func copyPrivately(t *testing.T, from, to string) {
	t.Helper()
	err := os.CopyFS(to, os.DirFS(from))
	if err == nil {
		err = filepath.WalkDir(to, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			return os.Chmod(path, 0o600)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wantSound checks a data directory, and that it has so many packets and one epoch or more.
func wantSound(t *testing.T, dir string, packets uint64) hub.Checked {
	t.Helper()
	checked, found := checkOf(t, dir, false)
	found = slices.DeleteFunc(found, func(f hub.Finding) bool { return f.Rule == hub.RuleUnsigned }) // it may have ended before a checkpoint
	if len(found) > 0 || checked.Packets != packets || len(checked.Epochs) == 0 {
		t.Errorf("%s: %+v, %+v; want %d packets, an epoch and no finding", dir, checked, found, packets)
	}
	return checked
}

// Receipts from before and after a restore hold offline, each with its place in the ledger
// of its time; the ledger goes on under another name, and what it shares is proven.
func TestTheLedgerOfARestoredHub(t *testing.T) {
	t.Parallel()
	running := hubtest.Start(t, auditing)
	address := running.GRPCAddress()
	province := join(t, running, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	join(t, running, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	running.Grant("H41", "G22/portal")
	verifier, err := receipt.NewVerifier(running.LedgerKey())
	if err != nil {
		t.Fatal(err)
	}
	proven := func(sequence uint64) receipt.Proven {
		t.Helper()
		got, err := verifier.Prove(placed(t, province, sequence))
		if err != nil {
			t.Fatalf("receipt %d: %v", sequence, err)
		}
		return got
	}
	first := sent(t, province, "a").Statement.GetSequence()
	shared := proven(first)
	dirs := []string{filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "again")}
	backedUp(t, running.DataDir, dirs[0])
	forgotten := proven(sent(t, province, "lost").Statement.GetSequence())
	packets := uint64(1)
	for i, dir := range dirs { // the second is a backup of a restored hub
		running.Stop()
		running = hubtest.Start(t, auditing, func(c *hub.Config) { c.DataDir, c.GRPC = dir, address })
		packets++
		after := proven(sent(t, province, "after-"+filepath.Base(dir)).Statement.GetSequence())
		if after.Index != packets-1 || after.Checkpoint.Size != packets || after.Checkpoint.Epoch == 0 || after.Checkpoint.Origin() == shared.Checkpoint.Origin() {
			t.Errorf("restored: the %d. packet has the index %d of %+v", packets, after.Index, after.Checkpoint)
		}
		if before := proven(first); before.Index != 0 || before.Checkpoint.Epoch != after.Checkpoint.Epoch {
			t.Errorf("the receipt of the first packet has index %d of %+v", before.Index, before.Checkpoint)
		}
		if err := receipt.VerifyConsistency(*forgotten.Checkpoint, *after.Checkpoint, nil); !errors.Is(err, receipt.ErrRestored) || !errors.Is(err, receipt.ErrFork) {
			t.Errorf("from what was lost: %v; want ErrRestored", err)
		}
		if i == 0 {
			backedUp(t, dir, dirs[1])
		}
	}
	running.Stop()
	checked := wantSound(t, dirs[1], packets)
	if len(checked.Epochs) != 2 || checked.Covered != packets {
		t.Errorf("checked: %+v; want two epochs, all covered", checked)
	}
}

// placed waits for the receipt with its place in the ledger.
func placed(t *testing.T, m *member, sequence uint64) *exchangev1.Receipt {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		given, err := m.GetReceipt(t.Context(), sequence)
		if err != nil {
			t.Fatalf("receipt %d: %v", sequence, err)
		}
		if len(given.Receipt.GetCheckpoint()) > 0 {
			return given.Receipt
		}
	}
	t.Fatalf("receipt %d came under no checkpoint", sequence)
	return nil
}

// A copy that nothing tells from the original is declared; that of a running hub is not.
func TestDeclareRestored(t *testing.T) {
	t.Parallel()
	running := hubtest.Start(t)
	if err := hub.DeclareRestored(running.DataDir, time.Now); err == nil || !strings.Contains(err.Error(), "lock") {
		t.Errorf("while a hub runs: %v; want that it is locked", err)
	}
	if err := hub.DeclareRestored(t.TempDir(), time.Now); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("where no hub was: %v; want that there is none", err)
	}
	dir := running.DataDir
	province := join(t, running, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	join(t, running, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	running.Grant("H41", "G22/portal")
	sent(t, province, "a")
	address := running.GRPCAddress()
	running.Stop()
	for range 2 { // declared twice, begun once
		if err := hub.DeclareRestored(dir, time.Now); err != nil {
			t.Fatal(err)
		}
	}
	for restart := range 2 {
		running = hubtest.Start(t, func(c *hub.Config) { c.DataDir, c.GRPC = dir, address })
		if sequence := sent(t, province, string(rune('b'+restart))).Statement.GetSequence(); sequence < 1_000_000_000 {
			t.Errorf("sequence %d after a declared restore", sequence)
		}
		_, err := province.GetReceipt(t.Context(), 2)
		if said := fault.From(err); said.Reason != "packet_lost" {
			t.Errorf("a skipped sequence: %v", err)
		}
		running.Stop()
	}
	if checked := wantSound(t, dir, 3); len(checked.Epochs) != 1 || checked.Epochs[0].Last != 1 {
		t.Errorf("epochs %+v; want one after packet 1", checked.Epochs)
	}
}

// Deliveries that were pulled from the lost hub are acknowledged late, at the restored one:
// that settles nothing that waits there. The start on the backup is cut short before it
// was noted that its epoch has begun; the next goes on with it.
func TestLateAcknowledgementsSettleNothingElse(t *testing.T) {
	t.Parallel()
	running := hubtest.Start(t)
	address := running.GRPCAddress()
	province := join(t, running, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	portal := join(t, running, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	running.Grant("H41", "G22/portal")
	sent(t, province, "a")
	dir := filepath.Join(t.TempDir(), "backup")
	backedUp(t, running.DataDir, dir)
	sent(t, province, "b")
	sent(t, province, "c")
	pulled, err := portal.Pull(t.Context(), &exchangev1.PullRequest{Max: 10})
	if err != nil || len(pulled.GetDeliveries()) != 3 {
		t.Fatalf("pulled %v, %v; want three deliveries", pulled, err)
	}
	running.Stop()
	mark, err := os.ReadFile(filepath.Join(dir, "backup.json"))
	if err != nil {
		t.Fatal(err)
	}
	on := func(c *hub.Config) { c.DataDir, c.GRPC = dir, address }
	hubtest.Start(t, on).Stop()
	if err := os.WriteFile(filepath.Join(dir, "backup.json"), mark, 0o600); err != nil {
		t.Fatal(err)
	}
	running = hubtest.Start(t, on)
	d, e := sent(t, province, "d").Statement.GetSequence(), sent(t, province, "e").Statement.GetSequence()
	late, err := portal.Acknowledge(t.Context(), 1, 2, 3)
	if err != nil || !slices.Equal(late.GetAcknowledged(), []uint64{1}) || !slices.Equal(late.GetNotWaiting(), []uint64{2, 3}) {
		t.Errorf("late acknowledgements: %v, %v; want that 2 and 3 are not waiting", late, err)
	}
	again, err := portal.Pull(t.Context(), &exchangev1.PullRequest{Max: 10})
	if err != nil || len(again.GetDeliveries()) != 2 || again.GetDeliveries()[0].GetPacket().GetSequence() != d || again.GetDeliveries()[1].GetPacket().GetSequence() != e {
		t.Errorf("pulled %v, %v; want %d and %d", again, err, d, e)
	}
	running.Stop()
	if checked := wantSound(t, dir, 3); len(checked.Epochs) != 1 {
		t.Errorf("epochs %+v; want one", checked.Epochs)
	}
}
