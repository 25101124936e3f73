package ledger_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/hub/ledger"
)

// rootIn returns the root that a group's note signs.
func rootIn(t rapid.TB, signed []byte) []byte {
	t.Helper()
	root, err := base64.StdEncoding.DecodeString(strings.Split(string(signed), "\n")[4])
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestGroupsHaveTheGoldenRoots(t *testing.T) {
	t.Parallel()
	key := newKey(t, t.TempDir())
	for i, want := range goldenRoots() {
		prover, err := key.SealGroup(1, goldenLeaves(t)[:i+1])
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(rootIn(t, prover.Note())); got != want {
			t.Errorf("root over %d leaves is %s, want %s", i+1, got, want)
		}
	}
}

// The root and every path of a group are those of RFC 6962, whether its receipts are
// made when it is sealed or later, in order or not, and however often.
func TestGroupsAreTreesOfRFC6962(t *testing.T) {
	t.Parallel()
	key := newKey(t, t.TempDir())
	rapid.Check(t, func(rt *rapid.T) {
		leaves := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 1, 70).Draw(rt, "leaves")
		prover, err := key.SealGroup(9, leaves)
		if err != nil {
			rt.Fatal(err)
		}
		if got := rootIn(rt, prover.Note()); !bytes.Equal(got, treeHash(leaves)) {
			rt.Fatalf("root is %x, want %x", got, treeHash(leaves))
		}
		again, err := ledger.NewProver(leaves, prover.Note())
		if err != nil {
			rt.Fatal(err)
		}
		order := rapid.SliceOfN(rapid.IntRange(0, len(leaves)-1), 1, 200).Draw(rt, "order")
		var paths [][][]byte
		for _, index := range order {
			receipt, err := prover.Receipt(index)
			if err != nil {
				rt.Fatal(err)
			}
			later, err := again.Receipt(index)
			if err != nil || !sameHashes(receipt.GetPath(), later.GetPath()) || receipt.GetIndex() != uint32(index) {
				rt.Fatalf("receipt %d made later is another one: %v", index, err)
			}
			paths = append(paths, receipt.GetPath())
		}
		for i, index := range order { // after all were made: none has overwritten another
			if !sameHashes(paths[i], auditPath(index, leaves)) {
				rt.Fatalf("path of leaf %d of %d is %x", index, len(leaves), paths[i])
			}
		}
	})
}

// A receipt that a caller adds to does not change its neighbours'.
func TestReceiptsOfAGroupDoNotShareRoomToGrow(t *testing.T) {
	t.Parallel()
	key := newKey(t, t.TempDir())
	prover, err := key.SealGroup(1, goldenLeaves(t))
	if err != nil {
		t.Fatal(err)
	}
	first, err := prover.Receipt(0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := prover.Receipt(1)
	if err != nil {
		t.Fatal(err)
	}
	first.Path = append(first.Path, []byte("more"))
	if !sameHashes(second.GetPath(), auditPath(1, goldenLeaves(t))) {
		t.Errorf("the path of the second receipt is %q", second.GetPath())
	}
}

// A checkpoint cannot be taken for a group, nor a group for a checkpoint: their first
// lines differ, whatever the hub is called.
func TestGroupsAndCheckpointsDifferInTheirFirstLine(t *testing.T) {
	t.Parallel()
	key, source := newKey(t, t.TempDir()), &accepted{}
	source.grow(1)
	log := newLog(t, vfs.NewMem(), key, source)
	advance(t, log)
	signed, _ := log.Checkpoint()
	prover, err := key.SealGroup(1, source.leaves)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(key.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	for want, message := range map[string][]byte{hubName: signed, "lienthong/group/v1": prover.Note()} {
		opened, err := note.Open(message, note.VerifierList(verifier))
		if err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(opened.Text, "\n"); first != want {
			t.Errorf("first line is %q, want %q", first, want)
		}
	}
}

// What a commit waits for is bounded in allocations: not by the number of hashes.
func TestSealingAllocatesLittle(t *testing.T) {
	key := newKey(t, t.TempDir())
	var leaves [][]byte
	for i := range 512 {
		leaves = append(leaves, fmt.Appendf(nil, "%0200d", i))
	}
	perReceipt := testing.AllocsPerRun(10, func() {
		prover, err := key.SealGroup(1, leaves)
		if err != nil {
			t.Fatal(err)
		}
		for i := range leaves {
			if _, err := prover.Receipt(i); err != nil {
				t.Fatal(err)
			}
		}
	}) / float64(len(leaves))
	if perReceipt > 2.1 {
		t.Errorf("%.2f allocations a receipt", perReceipt)
	}
}

func BenchmarkSealGroup(b *testing.B) {
	key := newKey(b, b.TempDir())
	var leaves [][]byte
	for i := range 512 {
		leaves = append(leaves, fmt.Appendf(nil, "%0200d", i))
	}
	b.ReportAllocs()
	for b.Loop() {
		prover, err := key.SealGroup(1, leaves)
		if err != nil {
			b.Fatal(err)
		}
		for i := range leaves {
			if _, err := prover.Receipt(i); err != nil {
				b.Fatal(err)
			}
		}
	}
}
