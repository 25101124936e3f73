package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// audited is a hub that has accepted two packets, with their receipts.
type audited struct {
	data, files, admin, province string
	receipts                     []string
}

func startAudited(t *testing.T) *audited {
	t.Helper()
	a := &audited{data: filepath.Join(t.TempDir(), "hub"), files: samplesDir(t)}
	a.admin = filepath.Join(a.data, "admin")
	config := filepath.Join(a.files, "hub.yaml")
	if err := os.WriteFile(config, []byte("checkpoint_interval: 20ms\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	startHub(t, a.data, "127.0.0.1:0", "127.0.0.1:0", "--config", config)
	a.province = enrol(t, a.admin, "H41/motcua", "one-stop")
	enrol(t, a.admin, "G22/portal", "portal")
	must(t, "admin", "--profile", a.admin, "right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "all")
	a.submit(t, "dossier.xml", "progress.xml")
	a.receipts = []string{a.file("receipts/1-dossier.xml.receipt.json"), a.file("receipts/2-progress.xml.receipt.json")}
	return a
}

func (a *audited) file(name string) string { return filepath.Join(a.files, name) }

func (a *audited) submit(t *testing.T, names ...string) {
	t.Helper()
	args := []string{"node", "submit", "--profile", a.province, "--receipts", a.file("receipts")}
	for _, name := range names {
		args = append(args, a.file(name))
	}
	must(t, args...)
}

// checkpoint keeps a checkpoint that covers a number of packets, as soon as there is
// one.
func (a *audited) checkpoint(t *testing.T, file string, covers int) string {
	t.Helper()
	for {
		got := lienthong(t, "", "ledger", "checkpoint", "--profile", a.province, "--out", a.file(file))
		if strings.Contains(got.stdout, fmt.Sprintf("has %d entries, under the checkpoint of 20", covers)) {
			return a.file(file)
		}
		if got.code != 0 && !strings.Contains(got.stderr, "ledger_empty") {
			t.Fatalf("exit code %d\n%s", got.code, got.stderr)
		}
	}
}

func wantSaid(t *testing.T, what string, got result, code int, wants ...string) {
	t.Helper()
	if got.code != code {
		t.Errorf("%s: exit code %d, want %d", what, got.code, code)
	}
	for _, want := range wants {
		if !strings.Contains(got.stdout+got.stderr, want) {
			t.Errorf("%s: %q is missing in\n%s%s", what, want, got.stdout, got.stderr)
		}
	}
}

// From acceptance to a proof of its place in the ledger that needs nobody's word.
func TestReceiptsAreBroughtUnderACheckpointAndVerifiedOffline(t *testing.T) {
	t.Parallel()
	a := startAudited(t)
	key := filepath.Join(a.data, "ledger.pub")
	verify := func(file string, more ...string) result {
		return lienthong(t, "", append([]string{"verify", file, "--key", key}, more...)...)
	}
	wantSaid(t, "as accepted", verify(a.receipts[0]), 0, "holds: lienthong accepted sequence 1, dossier from H41/motcua, at 20", "; proven by the signed group\n")
	first := a.checkpoint(t, "first", 2)
	wantSaid(t, "not brought under it", verify(a.receipts[1], "--checkpoint", first), 3,
		"the receipt holds; its proof under the checkpoint in "+first+" is not in the file\n  Next: lienthong ledger receipt --profile DIR --checkpoint "+first+" "+a.receipts[1])
	wantSaid(t, "with a profile", lienthong(t, "", "verify", a.receipts[1], "--profile", a.province, "--checkpoint", first), 3, "Next: lienthong ledger receipt --profile "+a.province+" --checkpoint ")
	// An administrator may ask for a node, and it may be done again.
	for _, profile := range []string{a.province, a.admin, a.admin} {
		got := lienthong(t, "", append([]string{"ledger", "receipt", "--profile", profile}, a.receipts...)...)
		wantSaid(t, "ledger receipt", got, 0, "proven by the signed group and its place in the ledger, index 0 of 2, under the checkpoint of 20", "index 1 of 2")
	}
	for i, file := range a.receipts {
		place := fmt.Sprintf("index %d of 2, under the checkpoint of 20", i)
		wantSaid(t, "under the latest", verify(file), 0, "proven by the signed group and its place in the ledger, "+place)
		wantSaid(t, "under the one that was kept", verify(file, "--checkpoint", first), 0, place)
	}
	a.submit(t, "survey.xml")
	third := a.checkpoint(t, "second", 3)
	wantSaid(t, "under a later one", verify(a.receipts[0], "--checkpoint", third), 3, "the receipt holds; its proof under the checkpoint in "+third+" is not in the file")
	wantSaid(t, "beyond an earlier one", verify(a.file("receipts/3-survey.xml.receipt.json"), "--checkpoint", first), 3, "the receipt holds, but is newer than the checkpoint in "+first+": it is of sequence 3, the checkpoint covers 2\n  Next: lienthong ledger consistency --from "+first)
	must(t, "ledger", "receipt", "--profile", a.province, "--checkpoint", third, a.receipts[0])
	wantSaid(t, "brought under a later one", verify(a.receipts[0], "--checkpoint", third), 0, "index 0 of 3")
	got := inVietnamese(t, "verify", a.receipts[0], "--key", key)
	wantSaid(t, "in Vietnamese", got, 0, "hợp lệ: lienthong đã tiếp nhận số thứ tự 1, dossier từ H41/motcua, lúc 20",
		"chứng minh bằng chữ ký của nhóm và vị trí 0 trong sổ cái 3 mục, theo điểm kiểm tra lúc 20")
}

// A receipt under a checkpoint of which anything was changed is refused, as is one with
// the checkpoint of another.
func TestChangedReceiptsUnderACheckpointDoNotHold(t *testing.T) {
	t.Parallel()
	a := startAudited(t)
	a.checkpoint(t, "first", 2)
	must(t, append([]string{"ledger", "receipt", "--profile", a.province}, a.receipts...)...)
	kept := read(t, a.receipts[0])
	member := func(name string) string {
		found := regexp.MustCompile(`"` + name + `": *\[?\s*"([^"]+)"`).FindStringSubmatch(kept)
		if found == nil {
			t.Fatalf("there is no %s in %s", name, kept)
		}
		return found[1]
	}
	written, err := base64.StdEncoding.DecodeString(member("checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(old, with string) string {
		text := bytes.Replace(written, []byte(old), []byte(with), 1)
		return strings.Replace(kept, member("checkpoint"), base64.StdEncoding.EncodeToString(text), 1)
	}
	inclusion := member("inclusion")
	other := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for name, content := range map[string]string{
		"another size":     changed("\n2\n", "\n3\n"),
		"another time":     changed("time 20", "time 21"),
		"another hub":      changed("lienthong\n", "lienthonh\n"),
		"another path":     strings.Replace(kept, inclusion, other, 1),
		"the group's note": strings.Replace(kept, member("checkpoint"), member("group"), 1),
	} {
		file := a.file("changed.json")
		if content == kept {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, name, lienthong(t, "", "verify", file, "--profile", a.province), 1, "changed.json: does not hold: in the ledger: ")
	}
}

// An auditor who kept a checkpoint finds out when the hub shows another ledger, is told
// so loudly, and has the evidence.
func TestAuditorsFindForks(t *testing.T) {
	t.Parallel()
	a := startAudited(t)
	first := a.checkpoint(t, "first", 2)
	a.submit(t, "survey.xml")
	a.checkpoint(t, "unused", 3)
	latest := a.file("latest")
	got := lienthong(t, "", "ledger", "consistency", "--profile", a.admin, "--from", first, "--out", latest)
	wantSaid(t, "an honest hub", got, 0, "consistent: the 3 entries of the ledger of lienthong begin with the 2 of "+first+", unchanged", latest+": the ledger of lienthong has 3 entries")
	must(t, "ledger", "consistency", "--profile", a.province, "--from", latest, "--out", latest) // of the same size
	honest := read(t, latest)
	for name, tc := range map[string]struct {
		size int
		want string
	}{
		"another ledger before":       {2, "the proof from 2 to 3 statements does not hold"},
		"another of the same size":    {3, "two checkpoints of size 3 have different roots"},
		"more than the hub has today": {9, "it had 9 statements, now it has 3"},
	} {
		signed := filepath.Join(t.TempDir(), "signed")
		if err := os.WriteFile(signed, a.sign(t, tc.size), 0o600); err != nil {
			t.Fatal(err)
		}
		got := lienthong(t, "", "ledger", "consistency", "--profile", a.province, "--from", signed, "--out", latest)
		wantSaid(t, name, got, 1, "FORK: the ledger that 127.0.0.1:", tc.want, "Keep both files", signed+".fork")
		if read(t, latest) != honest || !strings.HasPrefix(read(t, signed+".fork"), "lienthong\n3\n") {
			t.Errorf("%s: the evidence was not kept, or what was there was overwritten", name)
		}
		got = inVietnamese(t, "ledger", "consistency", "--profile", a.province, "--from", signed)
		wantSaid(t, name+", in Vietnamese", got, 1, "SỔ CÁI BỊ RẼ NHÁNH", "làm bằng chứng")
	}
}

// sign signs a checkpoint of a ledger that never was with the hub's own key.
func (a *audited) sign(t *testing.T, size int) []byte {
	t.Helper()
	signer, err := note.NewSigner(strings.TrimSpace(read(t, filepath.Join(a.data, "ledger.key"))))
	if err != nil {
		t.Fatal(err)
	}
	root := sha256.Sum256([]byte("another"))
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("lienthong\n%d\n%s\n", size, base64.StdEncoding.EncodeToString(root[:]))}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestLedgerCommandsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	for args, tc := range map[string]struct {
		code int
		want string
	}{
		"ledger consistency --profile " + none:                     {2, "--from FILE is required: an earlier checkpoint"},
		"ledger checkpoint --profile " + none:                      {1, "there is no node's profile in " + none},
		"ledger checkpoint x --profile " + none:                    {2, "lienthong ledger checkpoint takes no arguments"},
		"ledger checkpoint --timeout 0s --profile " + none:         {2, "--timeout 0s: more than nothing is expected"},
		"ledger receipt --profile " + none:                         {2, "lienthong ledger receipt needs a file with a receipt"},
		"ledger chekpoint":                                         {2, "did you mean checkpoint?"},
		"ledger checkpoint --lang fr --profile " + none:            {2, `--lang "fr": vi and en are allowed`},
		"verify x.json --key " + none + " --checkpoint " + none:    {1, "--key " + none},
		"verify x.json --profile " + none + " --checkpoint " + dir: {1, "there is no node's profile in " + none},
	} {
		wantSaid(t, args, lienthong(t, "", strings.Fields(args)...), tc.code, tc.want)
	}
}

// A hub that is not there is told in words.
func TestAHubThatIsNotThereGivesNoCheckpoint(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "hub")
	h := startHub(t, data, "127.0.0.1:0", "127.0.0.1:0")
	admin := filepath.Join(data, "admin")
	wantSaid(t, "nothing accepted", lienthong(t, "", "ledger", "checkpoint", "--profile", admin), 1, "the ledger has no checkpoint yet", "(ledger_empty)")
	if err := h.end(t, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantSaid(t, "no hub", lienthong(t, "", "ledger", "checkpoint", "--profile", admin, "--timeout", "5s"), 1, "cannot be reached")
}
