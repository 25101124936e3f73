package main_test

import (
	"path/filepath"
	"syscall"
	"testing"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes"
)

// What a recipient gives up, its sender sees by one command, and its administrator
// lists, delivers anew and does away with by another; after the hub was restarted, too.
func TestDeadLettersAreSettledByCommand(t *testing.T) {
	t.Parallel()
	data, files := filepath.Join(t.TempDir(), "hub"), samplesDir(t)
	admin := filepath.Join(data, "admin")
	address := freeAddress(t)
	h := startHub(t, data, address, "127.0.0.1:0", "--delivery-attempts", "1")
	province, portal := enrol(t, admin, "H41/motcua", "one-stop"), enrol(t, admin, "G22/portal", "portal")
	must(t, "admin", "--profile", admin, "right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "all")
	must(t, "node", "submit", "--profile", province, filepath.Join(files, "dossier.xml"), filepath.Join(files, "progress.xml"), filepath.Join(files, "survey.xml"))
	wantSaid(t, "status", lienthong(t, "", "node", "status", "--profile", province, "1"), 0, "G22/portal: waiting\n")
	wantSaid(t, "before", lienthong(t, "", "node", "dead-letters", "--profile", portal), 0, "there are no dead letters\n")
	rejectAll(t, portal, "không mở được tệp\x1b[2J")

	deadLetters := func(more ...string) result {
		return lienthong(t, "", append([]string{"node", "dead-letters", "--profile", portal}, more...)...)
	}
	wantSaid(t, "list", deadLetters(), 0, "1: deliveries: 1, given up at 20", "+07: không mở được tệp\\u001b[2J\n", "\n2: deliveries: 1, ", "\n3: deliveries: 1, ")
	wantSaid(t, "status of a dead letter", lienthong(t, "", "node", "status", "--profile", province, "2"), 0, "G22/portal: dead letter: không mở được tệp\\u001b[2J\n")
	wantSaid(t, "in Vietnamese", inVietnamese(t, "node", "status", "--profile", province, "2"), 0, "G22/portal: không giao được: không mở được tệp")
	wantSaid(t, "of another's packet", lienthong(t, "", "node", "status", "--profile", portal, "1"), 1, "packet_not_found")
	wantSaid(t, "discard", deadLetters("--discard", "2,9"), 1, "2: done away with\n", "9: no dead letter\n")
	wantSaid(t, "redeliver", deadLetters("--redeliver", "3"), 0, "3: will be delivered anew\n")
	if err := h.end(t, syscall.SIGTERM); err != nil {
		t.Fatalf("the hub ended with %v", err)
	}
	startHub(t, data, address, "127.0.0.1:0")
	wantSaid(t, "status after all", lienthong(t, "", "node", "status", "--profile", province, "2"), 0, "G22/portal: acknowledged\n")
	wantSaid(t, "the rest", deadLetters("--all"), 0, "1: will be delivered anew\n")
	must(t, "node", "receive", "--profile", portal, "--count", "2", "--dir", filepath.Join(files, "inbox"))
	wantSaid(t, "in the end", inVietnamese(t, "node", "dead-letters", "--profile", portal), 0, "không có gói tin nào không giao được\n")
	wantSaid(t, "none to deliver", deadLetters("--all"), 0, "there are no dead letters\n")
}

// rejectAll rejects what waits for a node.
func rejectAll(t *testing.T, profile, reason string) {
	t.Helper()
	client, err := nodes.DialProfile(profile, nodes.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // what was rejected is looked at
	pulled, err := client.Pull(t.Context(), &exchangev1.PullRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var rejections []*exchangev1.Rejection
	for _, d := range pulled.GetDeliveries() {
		rejections = append(rejections, &exchangev1.Rejection{Sequence: d.GetPacket().GetSequence(), Reason: reason})
	}
	if resp, err := client.Reject(t.Context(), rejections...); err != nil || len(resp.GetDead()) != len(rejections) {
		t.Fatalf("reject: %v, %v; want %d dead letters after the only attempt", resp, err, len(rejections))
	}
}
