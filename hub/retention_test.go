package hub_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
)

// keeping is a hub that keeps dossiers for an hour, and everything else for ever.
type keeping struct {
	t                *testing.T
	hub              *hubtest.Hub
	passed           atomic.Int64 // on the hub's clock, which begins in the past: certificates are to be valid
	province, portal *member
	receipts         map[uint64]*exchangev1.Receipt
}

// What is sent to it, by sequence.
const (
	small   = 1 + iota // a dossier, acknowledged
	totals             // a statistic, acknowledged
	large              // a dossier, acknowledged
	waiting            // a dossier, not acknowledged
)

func newKeeping(t *testing.T) *keeping {
	t.Helper()
	k := &keeping{t: t, receipts: map[uint64]*exchangev1.Receipt{}}
	k.hub = hubtest.Start(t, k.config)
	k.province = join(t, k.hub, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	k.portal = join(t, k.hub, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	k.hub.Grant("H41", "G22/portal")
	for _, env := range []*exchangev1.Envelope{envelope(t, "small", "dossier.xml"), envelope(t, "totals", "statistic.xml")} {
		k.accepted(k.province.Submit(t.Context(), env))
	}
	env, content := ofAnotherDossier(t)
	k.accepted(k.province.SubmitLarge(t.Context(), env, bytes.NewReader(content), int64(len(content))))
	take(t, k.portal, large)
	k.accepted(k.province.Submit(t.Context(), envelope(t, "waiting", "dossier.xml")))
	return k
}

// ofAnotherDossier is a large packet that nothing else is there of.
func ofAnotherDossier(t *testing.T) (*exchangev1.Envelope, []byte) {
	t.Helper()
	env, content := largeDossier(t, 2<<20)
	return env, bytes.ReplaceAll(content, []byte("H41-261102-0007"), []byte("H41-261102-0008"))
}

// wantPages looks the dossiers up: that of which something waits, and the other.
func (k *keeping) wantPages(other bool) {
	k.t.Helper()
	if err := k.hub.WaitForViews(k.t.Context(), 5); err != nil {
		k.t.Fatal(err)
	}
	for code, there := range map[string]bool{"000.00.04.H41-261102-0007": true, "000.00.04.H41-261102-0008": other} {
		status, _, _ := fetchAs(k.t, http.DefaultClient, k.hub.WebURL()+"/ho-so?code="+code, "")
		if want := map[bool]int{true: http.StatusOK, false: http.StatusNotFound}[there]; status != want {
			k.t.Errorf("page of dossier %s: HTTP %d; want %d", code, status, want)
		}
	}
}

func (k *keeping) accepted(a *nodes.Accepted, err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
	k.receipts[a.Statement.GetSequence()] = a.Receipt
}

func (k *keeping) config(c *hub.Config) {
	c.Clock = func() time.Time { return time.Now().Add(time.Duration(k.passed.Load()) - 12*time.Hour) }
	c.Retention = hub.Retention{"dossier": {For: hub.Period(time.Hour)}}
	c.RetentionInterval, c.CheckpointInterval = 20*time.Millisecond, 20*time.Millisecond
}

// again starts a hub where the one before has stopped, or on a copy of that.
func (k *keeping) again(dir string) {
	k.t.Helper()
	k.hub.Stop()
	address := k.hub.GRPCAddress()
	k.hub = hubtest.Start(k.t, k.config, func(c *hub.Config) { c.DataDir, c.GRPC = dir, address })
}

// pass lets time pass, until a dossier that was acknowledged has gone, with its content.
func (k *keeping) pass(d time.Duration) {
	k.t.Helper()
	k.passed.Add(int64(d))
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, err := k.portal.GetPacket(k.t.Context(), large, exchangev1.Format_FORMAT_UNSPECIFIED)
		left := k.contents()
		if err != nil && len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("the large dossier: %v, contents %v; want both gone", err, left)
		}
	}
}

func (k *keeping) contents() []string {
	k.t.Helper()
	found, err := filepath.Glob(filepath.Join(k.hub.DataDir, "blobs", "accepted", "*"))
	if err != nil {
		k.t.Fatal(err)
	}
	return found
}

// wantKept checks what is there of what was sent, and what is said of what is not.
func (k *keeping) wantKept() {
	k.t.Helper()
	ctx := k.t.Context()
	for sequence, kept := range map[uint64]bool{small: false, totals: true, large: false, waiting: true} {
		for _, m := range []*member{k.province, k.portal} {
			_, err := m.GetPacket(ctx, sequence, exchangev1.Format_FORMAT_UNSPECIFIED)
			if kept && err != nil {
				k.t.Errorf("packet %d, for %s: %v; want it kept", sequence, m.Node(), err)
			}
			if told := fault.From(err); !kept && (told.Code != codes.NotFound || told.Reason != "packet_expired" || !strings.Contains(told.VI, "không còn lưu")) {
				k.t.Errorf("packet %d, for %s: %v; want packet_expired", sequence, m.Node(), err)
			}
		}
		got, err := k.province.GetReceipt(ctx, sequence)
		if err != nil {
			k.t.Errorf("receipt of %d: %v", sequence, err)
			continue
		}
		receipt := proto.CloneOf(got.Receipt)
		receipt.Checkpoint, receipt.Inclusion, receipt.LedgerIndex = nil, nil, nil // they came later
		if !proto.Equal(receipt, k.receipts[sequence]) {
			k.t.Errorf("receipt of %d is not the one that was given", sequence)
		}
		if !kept && len(got.Receipt.GetInclusion()) == 0 { // of others it may come
			k.t.Errorf("receipt of %d is not proven in the ledger", sequence)
		}
	}
	status, body, _ := fetchAs(k.t, k.portal.http, k.hub.EdgeURL()+"/v1/packets/1", "application/json")
	if status != http.StatusGone || !strings.Contains(string(body), "packet_expired") {
		k.t.Errorf("at the edge: %d %.200s; want 410", status, body)
	}
	stream, err := transfer(k.t, k.hub, k.portal).Download(ctx, &exchangev1.DownloadRequest{Sequence: large})
	if err == nil {
		_, err = stream.Recv()
	}
	if fault.From(err).Reason != "packet_expired" {
		k.t.Errorf("content of %d: %v; want packet_expired", large, err)
	}
	left, err := k.portal.Pull(ctx, &exchangev1.PullRequest{Max: 10})
	if err != nil || len(left.GetDeliveries()) != 1 || left.GetDeliveries()[0].GetPacket().GetSequence() != waiting {
		k.t.Errorf("deliveries %v, %v; want %d, which nobody has acknowledged", left, err, waiting)
	}
}

// wantAnswered submits again what was sent, and something else under its ids.
func (k *keeping) wantAnswered() {
	k.t.Helper()
	ctx := k.t.Context()
	same, err := k.province.Submit(ctx, envelope(k.t, "small", "dossier.xml"))
	if err != nil || !proto.Equal(same.Receipt, k.receipts[small]) {
		k.t.Errorf("the small one again: %v; want its receipt", err)
	}
	env, content := ofAnotherDossier(k.t)
	sent := &countingReader{ReaderAt: bytes.NewReader(content)}
	if same, err = k.province.SubmitLarge(ctx, env, sent, int64(len(content))); err != nil || !proto.Equal(same.Receipt, k.receipts[large]) {
		k.t.Errorf("the large one again: %v; want its receipt", err)
	}
	if read := sent.read.Load(); read > int64(len(content)) { // once, for its SHA-256
		k.t.Errorf("of %d bytes, %d were read; none had to be uploaded", len(content), read)
	}
	other := envelope(k.t, "small", "dossier.xml")
	other.Content = append(bytes.Clone(other.GetContent()), '\n')
	_, err = k.province.Submit(ctx, other)
	if told := fault.From(err); told.Reason != "id_conflict" || !strings.Contains(told.EN, "other content") {
		k.t.Errorf("another content under the id: %v; want id_conflict, and that the content is another", err)
	}
	narrowed := envelope(k.t, "small", "dossier.xml")
	narrowed.Recipients = []string{"G22/portal"}
	_, err = k.province.Submit(ctx, narrowed)
	if told := fault.From(err); told.Reason != "id_conflict" || !strings.Contains(told.EN, "recipients") || !strings.Contains(told.VI, "nơi nhận") {
		k.t.Errorf("other recipients under the id: %v; want id_conflict, and what may differ", err)
	}
}

type countingReader struct {
	io.ReaderAt
	read atomic.Int64
}

func (r *countingReader) ReadAt(p []byte, at int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, at)
	r.read.Add(int64(n))
	return n, err
}

// What is done and older than it is to be kept goes, with its content; everything else
// stays: what waits, what is kept for ever, and all receipts, byte for byte. Ids are
// never free again. So it is after a restart, and in a backup, where dossiers of which
// nothing is left are not known any more.
func TestPacketsAreKeptForTheirTime(t *testing.T) {
	t.Parallel()
	k := newKeeping(t)
	k.passed.Add(int64(59 * time.Minute))
	if _, err := k.province.Submit(t.Context(), envelope(t, "later", "statistic.xml")); err != nil { // a while has passed
		t.Fatal(err)
	}
	if _, err := k.portal.GetPacket(t.Context(), small, exchangev1.Format_FORMAT_UNSPECIFIED); err != nil {
		t.Errorf("before its time is over: %v", err)
	}
	if _, err := k.portal.Acknowledge(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	k.pass(2 * time.Hour)
	k.wantKept()
	k.wantAnswered()
	k.again(k.hub.DataDir)
	k.wantKept()
	k.wantAnswered()
	k.wantPages(true)
	backup := filepath.Join(t.TempDir(), "backup")
	backedUp(t, k.hub.DataDir, backup)
	wantSoundBackup(t, backup)
	k.hub.Stop()
	if checked, found := checkOf(t, k.hub.DataDir, false); len(found) > 0 || checked.Removed != 2 {
		t.Errorf("fsck: %+v, %d removed; want nothing wrong, and two removed", found, checked.Removed)
	}
	k.again(backup) // which has no index: it is made anew
	k.wantKept()
	k.wantAnswered()
	k.wantPages(false)
}

// A backup that has copied the packets before they were removed, and the contents after,
// is sound, and says of what is not there what the hub says.
func TestABackupMadeWhilePacketsGo(t *testing.T) {
	t.Parallel()
	k := newKeeping(t)
	before := filepath.Join(t.TempDir(), "backup")
	backedUp(t, k.hub.DataDir, before)
	k.pass(2 * time.Hour)
	if err := os.RemoveAll(filepath.Join(before, "blobs")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", filepath.Join(k.hub.DataDir, "blobs"), before).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	wantSoundBackup(t, before)
	passed := k.passed.Swap(0) // nothing is due
	k.again(before)
	if _, err := k.portal.GetPacket(t.Context(), large, exchangev1.Format_FORMAT_UNSPECIFIED); err != nil {
		t.Errorf("the packet, from the backup: %v", err)
	}
	stream, err := transfer(t, k.hub, k.portal).Download(t.Context(), &exchangev1.DownloadRequest{Sequence: large})
	if err == nil {
		_, err = stream.Recv()
	}
	if fault.From(err).Reason != "packet_expired" {
		t.Errorf("its content: %v; want packet_expired", err)
	}
	k.pass(time.Duration(passed))
	k.wantKept()
}

// Backups that are made while packets go, again and again, are sound.
func TestBackupsWhilePacketsGo(t *testing.T) {
	t.Parallel()
	k := newKeeping(t)
	const sent = 24
	for n := range sent { // each five minutes after the other
		k.passed.Add(int64(5 * time.Minute))
		env, content := largeDossier(t, 64<<10)
		env.Id = fmt.Sprint("large-", n)
		k.accepted(k.province.SubmitLarge(t.Context(), env, bytes.NewReader(content), int64(len(content))))
	}
	take(t, k.portal, 1+sent) // and what waits
	backup := filepath.Join(t.TempDir(), "backup")
	for rounds := 0; len(k.contents()) > 0; rounds++ {
		if rounds == 100 {
			t.Fatalf("%d contents are left", len(k.contents()))
		}
		k.passed.Add(int64(7 * time.Minute))
		backedUp(t, k.hub.DataDir, backup)
		wantSoundBackup(t, backup)
	}
	k.hub.Stop()
	if _, found := checkOf(t, k.hub.DataDir, false); len(found) > 0 {
		t.Errorf("fsck: %+v; want nothing wrong", found)
	}
}

// No packet goes that the ledger's checkpoints do not cover yet, however long it was
// there.
func TestPacketsGoWhenACheckpointCoversThem(t *testing.T) {
	t.Parallel()
	k := &keeping{t: t, receipts: map[uint64]*exchangev1.Receipt{}}
	k.hub = hubtest.Start(t, k.config, func(c *hub.Config) { c.CheckpointInterval = time.Hour })
	k.province = join(t, k.hub, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	k.portal = join(t, k.hub, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	k.hub.Grant("H41", "G22/portal")
	k.accepted(k.province.Submit(t.Context(), envelope(t, "small", "dossier.xml")))
	take(t, k.portal, 1)
	k.passed.Add(int64(3 * time.Hour))
	there := func() error {
		_, err := k.portal.GetPacket(t.Context(), small, exchangev1.Format_FORMAT_UNSPECIFIED)
		return err
	}
	for until := time.Now().Add(500 * time.Millisecond); time.Now().Before(until); { // it is looked at every 20 ms
		if err := there(); err != nil {
			t.Fatalf("with no checkpoint: %v; want the packet", err)
		}
	}
	k.again(k.hub.DataDir) // signs checkpoints
	for deadline := time.Now().Add(20 * time.Second); fault.From(there()).Reason != "packet_expired"; {
		if time.Now().After(deadline) {
			t.Fatal("with a checkpoint, the packet is still there")
		}
	}
}

// What a restored hub accepts goes when its time is over, as what was there before.
func TestARestoredHubKeepsPacketsForTheirTime(t *testing.T) {
	t.Parallel()
	k := newKeeping(t)
	backup := filepath.Join(t.TempDir(), "backup")
	backedUp(t, k.hub.DataDir, backup)
	k.again(backup)
	after := sent(t, k.province, "after").Statement.GetSequence()
	for _, sequence := range []uint64{waiting, after} { // of one dossier: one after the other
		if _, err := k.portal.Pull(t.Context(), &exchangev1.PullRequest{Max: 10, WaitSeconds: 5}); err != nil {
			t.Fatal(err)
		}
		if _, err := k.portal.Acknowledge(t.Context(), sequence); err != nil {
			t.Fatal(err)
		}
	}
	k.passed.Add(int64(8 * time.Hour))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for give := time.After(30 * time.Second); ; {
		_, err := k.portal.GetPacket(t.Context(), after, exchangev1.Format_FORMAT_UNSPECIFIED)
		if fault.From(err).Reason == "packet_expired" {
			return
		}
		select {
		case <-tick.C:
		case <-give:
			t.Fatalf("packet %d of the restored hub, past its time: %v; want packet_expired", after, err)
		}
	}
}
