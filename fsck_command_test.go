package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	command "github.com/lienthong/lienthong"
	"github.com/lienthong/lienthong/hub"
)

// A hub's data directory, from while it runs to when it is damaged.
func TestFsck(t *testing.T) {
	t.Parallel()
	data, files := filepath.Join(t.TempDir(), "hub"), samplesDir(t)
	admin := filepath.Join(data, "admin")
	running := startHub(t, data, "127.0.0.1:0", "127.0.0.1:0")
	province := enrol(t, admin, "H41/motcua", "one-stop")
	enrol(t, admin, "G22/portal", "portal")
	must(t, "admin", "--profile", admin, "right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "all")
	must(t, "node", "submit", "--profile", province, filepath.Join(files, "dossier.xml"), filepath.Join(files, "progress.xml"))

	if got := lienthong(t, "", "fsck", "--data", data); got.code != 2 || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, "a hub runs on "+data+": nothing was checked; stop it first, or check a backup: lienthong backup") {
		t.Errorf("while the hub runs: %+v; want one line, and nothing about the ledger", got)
	}
	var summary struct {
		Type, Error string
		Checked     bool
		Problems    *int
	}
	got := lienthong(t, "", "fsck", "--data", data, "--output", "json")
	if err := json.Unmarshal([]byte(got.stdout), &summary); err != nil || got.code != 2 || got.stderr != "" ||
		summary.Type != "summary" || summary.Checked || !strings.Contains(summary.Error, "a hub runs on") || summary.Problems == nil || *summary.Problems != 0 {
		t.Errorf("while the hub runs, as JSON: %+v, %v; want a summary with the error and no problems", got, err)
	}
	if err := running.end(t, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantSaid(t, "of a sound hub", lienthong(t, "", "fsck", "--data", data), 0, "packets: 2, last sequence: 2; deliveries waiting: 2, dead letters: 0", "everything is as it must be")
	wantSaid(t, "in Vietnamese", inVietnamese(t, "fsck", "--quick", "--data", data), 0, "gói tin: 2, số thứ tự cuối: 2", "những gì đã kiểm tra đều đúng; chưa kiểm tra (--quick): chữ ký")
	wantSaid(t, "quickly, in JSON", lienthong(t, "", "fsck", "--quick", "--data", data, "--output", "json"), 0, `"checked":true,"quick":true`)

	tables, err := filepath.Glob(filepath.Join(data, "store", "index", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables of the index: %v, %v", tables, err)
	}
	for _, table := range tables {
		content, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		content[3] ^= 1
		if err := os.WriteFile(table, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantSaid(t, "of a damaged index", lienthong(t, "", "fsck", "--data", data), 1, "store/index: error: ", "remove the directory store/index and start the hub", "(index.differs)")
	if err := startHub(t, data, "127.0.0.1:0", "127.0.0.1:0").end(t, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantSaid(t, "of an index that was made anew", lienthong(t, "", "fsck", "--data", data), 0, "packets: 2, last sequence: 2", "everything is as it must be")

	segment := filepath.Join(data, "store", "journal", "00000000000000000000.journal")
	content, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(content), "MSyncDocument")
	content[at] ^= 1
	if err := os.WriteFile(segment, content, 0o600); err != nil {
		t.Fatal(err)
	}
	wantSaid(t, "of a damaged one", lienthong(t, "", "fsck", "--data", data), 1,
		"store/journal/00000000000000000000.journal: error: a part of the journal is damaged or missing; restore the data directory from a backup", "(journal.damaged)", "problems: ")
	told := lienthong(t, "", "fsck", "--data", data, "--output", "json")
	if told.code != 1 {
		t.Errorf("exit code %d with --output json, want 1", told.code)
	}
	lines := strings.Split(strings.TrimSpace(told.stdout), "\n")
	for i, line := range lines {
		var object struct{ Type, Rule, File, Message string }
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if last := i == len(lines)-1; last != (object.Type == "summary") || !last && (object.Rule == "" || object.Message == "") {
			t.Errorf("line %d: %s", i, line)
		}
	}
	if strings.Contains(told.stdout, "Nguyễn") {
		t.Errorf("it tells what is in packets:\n%s", told.stdout)
	}
}

func TestFsckOfNoHub(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	wantSaid(t, "of an empty directory", lienthong(t, "", "fsck", "--data", dir), 2, dir+" is no data directory of a hub")
	wantSaid(t, "without a directory", lienthong(t, "", "fsck"), 2, "--data DIR is required")
	wantSaid(t, "with a wrong output", lienthong(t, "", "fsck", "--data", dir, "--output", "xml"), 2, `--output "xml": text and json are allowed`)
}

// Every rule that a check has is explained, in both languages.
func TestEveryRuleOfFsckIsExplained(t *testing.T) {
	t.Parallel()
	for _, rule := range hub.Rules() {
		if vi, en := command.Explain(rule); vi == string(rule) || en == string(rule) || vi == en {
			t.Errorf("rule %s is explained as %q, %q", rule, vi, en)
		}
	}
}

// From a backup of a running hub, checked, to a hub that goes on from it.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	data, files := filepath.Join(t.TempDir(), "hub"), samplesDir(t)
	admin, to := filepath.Join(data, "admin"), filepath.Join(t.TempDir(), "backup")
	address := freeAddress(t)
	running := startHub(t, data, address, "127.0.0.1:0")
	province := enrol(t, admin, "H41/motcua", "one-stop")
	portal := enrol(t, admin, "G22/portal", "portal")
	must(t, "admin", "--profile", admin, "right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "all")
	accepted := must(t, "node", "submit", "--profile", province, filepath.Join(files, "dossier.xml"))
	wantSaid(t, "backup", lienthong(t, "", "backup", "--data", data, "--to", to), 0, to+": backed up", "Next: lienthong fsck --data "+to)
	wantSaid(t, "backup again", lienthong(t, "", "backup", "--data", data, "--to", to, "--output", "json"), 0, `"linked_bytes":`)
	wantSaid(t, "fsck of the backup", lienthong(t, "", "fsck", "--data", to), 0, "packets: 1, last sequence: 1", "(index.missing)", "everything is as it must be")
	wantSaid(t, "backup over something", lienthong(t, "", "backup", "--data", data, "--to", files), 1, files+" is there and is no backup")
	wantSaid(t, "backup of nothing", lienthong(t, "", "backup", "--data", files, "--to", to), 1, files+" is no data directory of a hub")
	inFile := filepath.Join(files, "dossier.xml", "backup")
	if got := lienthong(t, "", "backup", "--data", data, "--to", inFile); got.code != 1 || strings.Contains(got.stderr, "is no data directory") || !strings.Contains(got.stderr, inFile) {
		t.Errorf("backup into a file: exit code %d, %q; want it to name the file", got.code, got.stderr)
	}
	wantSaid(t, "backup to nowhere", lienthong(t, "", "backup", "--data", data), 2, "--to DIR are required")
	if err := running.end(t, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}

	moved := freeAddress(t)
	startHub(t, to, moved, "127.0.0.1:0")
	for _, profile := range []string{province, portal} {
		wantSaid(t, "set-address", lienthong(t, "", "node", "set-address", moved, "--profile", profile), 0, profile+": the hub is at "+moved+" now, was at "+address)
	}
	wantSaid(t, "of an administrator", lienthong(t, "", "node", "set-address", moved, "--profile", admin), 0, "Next: lienthong admin --profile "+admin+" node list\n")
	if again := must(t, "node", "submit", "--profile", province, filepath.Join(files, "dossier.xml")); again != accepted {
		t.Errorf("submitted again to the restored hub: %q; before: %q", again, accepted)
	}
	must(t, "node", "receive", "--profile", portal, "--count", "1", "--dir", filepath.Join(t.TempDir(), "inbox"))
}

// An auditor and a sender, over a restore: what is shared stays proven, what is lost is
// said to be, and receipts from before and after hold.
func TestRestoreIsSaidToAuditorsAndSenders(t *testing.T) {
	t.Parallel()
	dir, files, address := t.TempDir(), samplesDir(t), freeAddress(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	data, admin, to := in("hub"), filepath.Join(dir, "hub", "admin"), in("backup")
	running := startHub(t, data, address, "127.0.0.1:0")
	province := enrol(t, admin, "H41/motcua", "one-stop")
	enrol(t, admin, "G22/portal", "portal")
	must(t, "admin", "--profile", admin, "right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "all")
	submit := func(receipts, file string) string {
		must(t, "node", "submit", "--profile", province, "--receipts", in(receipts), filepath.Join(files, file))
		kept, err := filepath.Glob(filepath.Join(in(receipts), "*.json"))
		if err != nil || len(kept) != 1 {
			t.Fatalf("receipts %v, %v", kept, err)
		}
		proven := false
		for deadline := time.Now().Add(30 * time.Second); !proven && time.Now().Before(deadline); {
			proven = lienthong(t, "", "ledger", "receipt", "--profile", province, kept[0]).code == 0
		}
		if !proven {
			t.Fatalf("%s came under no checkpoint", kept[0])
		}
		return kept[0]
	}
	shared := submit("shared", "dossier.xml")
	must(t, "ledger", "checkpoint", "--profile", province, "--out", in("shared.checkpoint"))
	must(t, "backup", "--data", data, "--to", to)
	lost := submit("lost", "progress.xml")
	must(t, "ledger", "checkpoint", "--profile", province, "--out", in("lost.checkpoint"))
	wantSaid(t, "declared while the hub runs", lienthong(t, "", "restore", "--data", data), 1, "a hub runs on "+data)
	if err := running.end(t, syscall.SIGKILL); err == nil {
		t.Fatal("the hub ended well, though killed")
	}

	running = startHub(t, to, address, "127.0.0.1:0")
	after := submit("after", "progress.xml")
	wantSaid(t, "all shared", lienthong(t, "", "ledger", "consistency", "--profile", province, "--from", in("shared.checkpoint")), 0,
		"consistent: ", "The hub was restored from a backup: the ledger ")
	wantSaid(t, "some lost", lienthong(t, "", "ledger", "consistency", "--profile", province, "--from", in("lost.checkpoint")), 1,
		"RESTORED: ", "submit it again with the same id", in("lost.checkpoint.fork"))
	wantSaid(t, "in Vietnamese", inVietnamese(t, "ledger", "consistency", "--profile", province, "--from", in("lost.checkpoint")), 1,
		"TRỤC ĐÃ ĐƯỢC KHÔI PHỤC", "đã ký 2 mục; sổ cái mới có ", "--out "+in("lost.checkpoint.new"))
	got := lienthong(t, "", "ledger", "receipt", "--profile", province, lost, shared)
	wantSaid(t, "a lost receipt among others", got, 1, lost+": the receipt holds, but sequence 2 was lost in the restore: submit it again with the same id\n", shared+": proven by ")
	if strings.Contains(got.stdout+got.stderr, "try again") {
		t.Errorf("a lost receipt is to be tried again:\n%s", got.stdout)
	}
	if err := os.WriteFile(in("lost.checkpoint.fork"), []byte("of before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantSaid(t, "with evidence there", lienthong(t, "", "ledger", "consistency", "--profile", province, "--from", in("lost.checkpoint")), 1, in("lost.checkpoint.2.fork"))
	if read(t, in("lost.checkpoint.fork")) != "of before\n" {
		t.Error("evidence was overwritten")
	}
	must(t, "verify", "--profile", province, shared, lost, after)
	wantSaid(t, "its index", lienthong(t, "", "verify", "--profile", province, after), 0, "index 1 of 2")
	must(t, "ledger", "checkpoint", "--profile", province, "--out", in("after.checkpoint"))
	must(t, "verify", "--profile", province, "--checkpoint", in("after.checkpoint"), after)
	if err := running.end(t, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantSaid(t, "fsck of the restored", lienthong(t, "", "fsck", "--data", to), 0, "the hub was restored from a backup of ", "after sequence 1 comes ", "everything is as it must be")
	wantSaid(t, "fsck in JSON", lienthong(t, "", "fsck", "--data", to, "--output", "json"), 0, `"epochs":[{"last":1,"next":`)
	wantSaid(t, "declared", lienthong(t, "", "restore", "--data", to), 0, to+": declared as a copy")
	wantSaid(t, "declared in Vietnamese", inVietnamese(t, "restore", "--data", to), 0, "đã khai báo là bản sao")
	wantSaid(t, "of nothing", lienthong(t, "", "restore", "--data", files), 1, files+" is no data directory of a hub")
	wantSaid(t, "nowhere", lienthong(t, "", "restore"), 2, "--data DIR is required")
}
