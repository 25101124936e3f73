package main_test

import (
	"os"
	"path/filepath"
	"strings"
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
	wantSaid(t, "status of a dead letter", lienthong(t, "", "node", "status", "--profile", province, "2"), 0, "G22/portal: dead letter: không mở được tệp\\u001b[2J (deliveries: 1)\n")
	wantSaid(t, "in Vietnamese", inVietnamese(t, "node", "status", "--profile", province, "2"), 0, "G22/portal: không giao được: không mở được tệp")
	wantSaid(t, "of a packet that it received", lienthong(t, "", "node", "status", "--profile", portal, "1"), 0, "G22/portal: dead letter: không mở được tệp")
	wantSaid(t, "discard", deadLetters("--discard", "2,9"), 1, "2: done away with, will not be delivered again\n", "9: is no dead letter of this node\n")
	wantSaid(t, "redeliver", deadLetters("--redeliver", "3"), 0, "3: is in the inbox again, to be delivered anew\n")
	if err := h.end(t, syscall.SIGTERM); err != nil {
		t.Fatalf("the hub ended with %v", err)
	}
	startHub(t, data, address, "127.0.0.1:0")
	wantSaid(t, "ack of a discarded one", lienthong(t, "", "node", "ack", "--profile", portal, "2"), 1, "2: nothing was done: it was rejected and discarded before\n")
	wantSaid(t, "status after all", lienthong(t, "", "node", "status", "--profile", province, "2"), 0, "G22/portal: dead letter, which the recipient has discarded: không mở được tệp\\u001b[2J (deliveries: 1)\n")
	wantSaid(t, "in Vietnamese", inVietnamese(t, "node", "status", "--profile", province, "2"), 0, "G22/portal: không giao được, bên nhận đã bỏ: không mở được tệp")
	wantSaid(t, "the rest", deadLetters("--all"), 0, "1: is in the inbox again, to be delivered anew\n")
	must(t, "node", "receive", "--profile", portal, "--count", "2", "--dir", filepath.Join(files, "inbox"))
	wantSaid(t, "in the end", inVietnamese(t, "node", "dead-letters", "--profile", portal), 0, "không có gói tin nào không giao được\n")
	wantSaid(t, "none to deliver", deadLetters("--all"), 0, "there are no dead letters\n")
}

// What waits is taken, rejected and acknowledged by commands; its sender sees each of
// that, and the recipient its own.
func TestDeliveriesAreSettledByCommand(t *testing.T) {
	t.Parallel()
	data, files := filepath.Join(t.TempDir(), "hub"), samplesDir(t)
	admin := filepath.Join(data, "admin")
	startHub(t, data, freeAddress(t), "127.0.0.1:0", "--inbox-bytes", "8MiB")
	province, portal := enrol(t, admin, "H41/motcua", "one-stop"), enrol(t, admin, "G22/portal", "portal")
	must(t, "admin", "--profile", admin, "right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "all")
	as := func(profile, command string, args ...string) result {
		return lienthong(t, "", append([]string{"node", command, "--profile", profile}, args...)...)
	}
	wantSaid(t, "pull of nothing", as(portal, "pull"), 0, "nothing waits\n")
	wantSaid(t, "inbox with nothing", as(portal, "status"), 0, "G22/portal: packets waiting: 0 of at most 8.0 MiB\n")
	must(t, "node", "submit", "--profile", province, filepath.Join(files, "dossier.xml"), filepath.Join(files, "progress.xml"))
	wantSaid(t, "inbox", as(portal, "status"), 0, "G22/portal: packets waiting: 2, ", " KiB of at most 8.0 MiB; waiting longest: sequence 1, accepted at 20")
	wantSaid(t, "inbox in Vietnamese", as(portal, "status", "--lang", "vi"), 0, "số gói tin đang chờ: 2", "chờ lâu nhất: số thứ tự 1")

	wantSaid(t, "reject of what is not out", as(portal, "reject", "1", "--reason", "x"), 1, "1: nothing was done: it waits, but is not out with this node: ", "take it first: lienthong node pull\n")
	inbox := filepath.Join(t.TempDir(), "inbox")
	wantSaid(t, "pull", as(portal, "pull", "--count", "9", "--dir", inbox), 0, "received sequence 1: dossier from H41/motcua", "taken: 2; yours until ", "lienthong node ack --profile "+portal+" 1 ...")
	if found, err := filepath.Glob(filepath.Join(inbox, "*.xml")); err != nil || len(found) != 2 {
		t.Errorf("pulled into %q, %v; want two files", found, err)
	}
	nothing := as(portal, "pull")
	wantSaid(t, "pull of what is out", nothing, 0, "nothing can be taken now; packets waiting: 2: ", "\n  waiting longest: sequence 1: waiting; deliveries so far: 1\n")
	if strings.Contains(nothing.stderr, "nothing waits") {
		t.Errorf("packets wait, and it is said that none does:\n%s", nothing.stderr)
	}
	wantSaid(t, "in Vietnamese", as(portal, "pull", "--lang", "vi"), 0, "lúc này không lấy được gói tin nào; số gói tin đang chờ: 2", "chờ lâu nhất: số thứ tự 1: đang chờ")
	wantSaid(t, "reject", as(portal, "reject", "1", "9", "--reason", "kho lưu trữ đang tắt"), 1, "1: rejected, will be delivered again later\n", "9: nothing was done: no packet with sequence 9 was sent by or to this node")
	for _, profile := range []string{province, portal} {
		wantSaid(t, "status of what was rejected", as(profile, "status", "1"), 0, "G22/portal: waiting; deliveries so far: 1; rejected the last time: kho lưu trữ đang tắt; goes out again at 20")
	}
	wantSaid(t, "ack", as(portal, "ack", "1", "9"), 1, "1: acknowledged\n", "9: nothing was done: no packet with sequence 9")
	wantSaid(t, "ack again", as(portal, "ack", "1"), 1, "1: nothing was done: it was acknowledged before\n")
	wantSaid(t, "status of what was acknowledged", as(province, "status", "1"), 0, "G22/portal: acknowledged\n")
	must(t, "node", "submit", "--profile", province, filepath.Join(files, "survey.xml"))
	wantSaid(t, "pull in Vietnamese", as(portal, "pull", "--lang", "vi", "--wait", "10s"), 0, "đã nhận số thứ tự ", " từ H41/motcua\nđã lấy: 1; giữ đến 20")
	wantSaid(t, "of nobody's packet", as(portal, "status", "7"), 1, "no packet with sequence 7 was sent by or to this node", "không có gói tin số thứ tự 7")
	if one := as(portal, "status", "7", "--lang", "en"); strings.Contains(one.stderr, "không có") || one.code != 1 {
		t.Errorf("with --lang en: %+v; want English alone", one)
	}
}

// An upload that a quota slows down goes on for as long as the hub takes something of
// it; where it does not, it is said that it waits for the quota, and what to do.
func TestUploadsThatAQuotaSlowsDown(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "hub")
	admin := filepath.Join(data, "admin")
	startHub(t, data, freeAddress(t), "127.0.0.1:0", "--bytes-per-second", "1KiB")
	province := enrol(t, admin, "H41/motcua", "one-stop")
	enrol(t, admin, "G22/portal", "portal")
	must(t, "admin", "--profile", admin, "right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "all")
	large := filepath.Join(t.TempDir(), "large.xml")
	content := strings.Replace(sampleOf(t, "dossier.xml"), "<Base64>", "<Base64>"+strings.Repeat("QUJD", 5<<20), 1)
	if err := os.WriteFile(large, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	got := lienthong(t, "", "node", "submit", "--profile", province, "--timeout", "2s", "--lang", "en", large)
	wantSaid(t, "an upload", got, 1, "large.xml: no answer: ", " bytes were sent, and the hub takes no more for now; it may wait for this node's quota of bytes in a second",
		"The packet is not accepted yet. Run the same command again, and it goes on where it was")
	if strings.Contains(got.stderr, "deadline") {
		t.Errorf("it speaks of Go's errors: %s", got.stderr)
	}
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
