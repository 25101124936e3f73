package ledger_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/hub/ledger"
)

// Every receipt of a group proves its leaf under the root that the note signs.
func TestReceiptsProveTheirLeaves(t *testing.T) {
	t.Parallel()
	l, err := ledger.Open(t.TempDir(), "hub.test")
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(l.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		leaves := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 1, 40).Draw(rt, "leaves")
		first := rapid.Uint64Range(1, 1<<40).Draw(rt, "first")
		sealed, err := l.SealGroup(first, leaves)
		if err != nil {
			rt.Fatal(err)
		}
		signed := sealed.Note()
		opened, err := note.Open(signed, note.VerifierList(verifier))
		if err != nil {
			rt.Fatalf("note does not verify: %v", err)
		}
		lines := strings.Split(opened.Text, "\n")
		want := []string{"lienthong/group/v1", "hub.test", strconv.FormatUint(first, 10), strconv.Itoa(len(leaves))}
		for i, line := range want {
			if lines[i] != line {
				rt.Fatalf("line %d of the note is %q, want %q", i+1, lines[i], line)
			}
		}
		root, err := base64.StdEncoding.DecodeString(lines[4])
		if err != nil || len(root) != tlog.HashSize {
			rt.Fatalf("root %q: %v", lines[4], err)
		}
		prover, err := ledger.NewProver(leaves, signed)
		if err != nil {
			rt.Fatal(err)
		}
		for i, leaf := range leaves {
			receipt, err := prover.Receipt(i)
			if err != nil {
				rt.Fatal(err)
			}
			var proof tlog.RecordProof
			for _, hash := range receipt.GetPath() {
				proof = append(proof, tlog.Hash(hash))
			}
			if err := tlog.CheckRecord(proof, int64(len(leaves)), tlog.Hash(root), int64(i), tlog.RecordHash(leaf)); err != nil {
				rt.Fatalf("leaf %d of %d: %v", i, len(leaves), err)
			}
		}
	})
}

func TestKeyIsKeptAndPrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := ledger.Open(dir, "hub.test")
	if err != nil {
		t.Fatal(err)
	}
	again, err := ledger.Open(dir, "hub.test")
	if err != nil || again.VerifierKey() != first.VerifierKey() {
		t.Fatalf("reopened with another key: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, "ledger.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("ledger.key has mode %v, error %v; want 0600", info.Mode(), err)
	}
	published, err := os.ReadFile(filepath.Join(dir, "ledger.pub"))
	if err != nil || strings.TrimSpace(string(published)) != first.VerifierKey() {
		t.Errorf("ledger.pub is %q, error %v", published, err)
	}
}

// A key's text may hold any character of base64, + among them, which is also what
// separates its parts: whatever key is made, the hub starts again with it.
func TestEveryKeyOpensAgain(t *testing.T) {
	t.Parallel()
	for range 40 {
		dir := t.TempDir()
		first, err := ledger.Open(dir, "hub.test")
		if err != nil {
			t.Fatalf("make: %v", err)
		}
		again, err := ledger.Open(dir, "hub.test")
		if err != nil || again.VerifierKey() != first.VerifierKey() {
			t.Fatalf("open again: %v", err)
		}
	}
}

// A stop between the two files costs nothing; a lost key is not replaced by one
// that would not vouch for the receipts that were given.
func TestLostFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := ledger.Open(dir, "hub.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "ledger.pub")); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(dir, "hub.test"); err != nil {
		t.Fatalf("without ledger.pub: %v", err)
	}
	published, err := os.ReadFile(filepath.Join(dir, "ledger.pub"))
	if err != nil || strings.TrimSpace(string(published)) != first.VerifierKey() {
		t.Errorf("ledger.pub is %q, error %v; want it written again", published, err)
	}
	if err := os.Remove(filepath.Join(dir, "ledger.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(dir, "hub.test"); err == nil || !strings.Contains(err.Error(), "restore") {
		t.Errorf("without ledger.key: %v; want a refusal that says what to do", err)
	}
}

func TestKeyThatOthersMayReadIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := ledger.Open(dir, "hub.test"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "ledger.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(dir, "hub.test"); err == nil || !strings.Contains(err.Error(), "0640") {
		t.Errorf("a key of mode 0640: %v; want a refusal that names the mode", err)
	}
}

func TestReceiptOutsideOfTheGroup(t *testing.T) {
	t.Parallel()
	prover, err := ledger.NewProver([][]byte{[]byte("leaf")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []int{-1, 1} {
		if _, err := prover.Receipt(index); err == nil {
			t.Errorf("receipt %d of a group of one was made", index)
		}
	}
	if _, err := ledger.NewProver(nil, nil); err == nil {
		t.Error("a group without leaves was taken")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "-hub", ".hub", "Hub", "hub name", "hub+1", "hub\n", strings.Repeat("a", 65)} {
		if _, err := ledger.Open(t.TempDir(), name); err == nil {
			t.Errorf("hub name %q was accepted", name)
		}
	}
	dir := t.TempDir()
	if _, err := ledger.Open(dir, "hub.one"); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(dir, "hub.two"); err == nil {
		t.Error("another hub's ledger key was accepted")
	}
	if err := os.WriteFile(filepath.Join(dir, "ledger.key"), []byte("PRIVATE+KEY+hub.one+00+broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(dir, "hub.one"); err == nil || strings.Contains(fmt.Sprint(err), "broken") {
		t.Errorf("a broken key gave %v; want an error that does not show the key", err)
	}
}
