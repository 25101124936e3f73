package ledger_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/lienthong/lienthong/hub/ledger"
)

// audit compares a ledger with leaves, some at a time.
func audit(t *testing.T, filesystem vfs.FS, key *ledger.Ledger, leaves [][]byte) (uint64, error) {
	t.Helper()
	a, err := ledger.NewAudit(filesystem, "ledger", key.VerifierKey())
	if err != nil {
		if a != nil {
			_, end := a.End()
			err = errors.Join(err, end)
		}
		return 0, err
	}
	for from := 0; from < len(leaves); from += 31 {
		var hashes []tlog.Hash
		for _, leaf := range leaves[from:min(from+31, len(leaves))] {
			hashes = append(hashes, tlog.RecordHash(leaf))
		}
		if err := a.Add(uint64(from), hashes); err != nil {
			t.Fatal(err)
		}
	}
	return a.End()
}

func TestAuditFindsWhatIsNotAsItWasSigned(t *testing.T) {
	t.Parallel()
	key := newKey(t, t.TempDir())
	changed := func(at int) func([][]byte) [][]byte {
		return func(leaves [][]byte) [][]byte {
			other := append([][]byte(nil), leaves...)
			other[at] = []byte("another")
			return other
		}
	}
	all := func(leaves [][]byte) [][]byte { return leaves }
	damaged := func(file string, at int) func(*testing.T, vfs.FS) {
		return func(t *testing.T, filesystem vfs.FS) {
			content := contentOf(t, filesystem, file)
			content[at] ^= 1
			put(t, filesystem, file, content)
		}
	}
	nothing := func(*testing.T, vfs.FS) {}
	for name, tc := range map[string]struct {
		damage func(*testing.T, vfs.FS)
		leaves func([][]byte) [][]byte
		want   error
	}{
		"all is well":              {nothing, all, nil},
		"the first leaf changed":   {nothing, changed(0), ledger.ErrDiverged},
		"the last leaf changed":    {nothing, changed(699), ledger.ErrDiverged},
		"leaves are missing":       {nothing, func(l [][]byte) [][]byte { return l[:699] }, ledger.ErrDiverged},
		"more leaves than covered": {nothing, func(l [][]byte) [][]byte { return append(l[:700:700], []byte("new")) }, nil},
		"a leaf's hash flipped":    {damaged("hashes-00", 32*500), all, ledger.ErrHashes},
		"an upper hash flipped":    {damaged("hashes-08", 33), all, ledger.ErrHashes},
		"a file cut": {func(t *testing.T, f vfs.FS) { put(t, f, "hashes-00", contentOf(t, f, "hashes-00")[:32*699]) },
			all, ledger.ErrHashes},
		"a file lost":            {func(t *testing.T, f vfs.FS) { remove(t, f, "hashes-08") }, all, ledger.ErrHashes},
		"the checkpoint flipped": {damaged("checkpoint", 30), all, ledger.ErrCheckpoint},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			filesystem, source := written(t, key)
			tc.damage(t, filesystem)
			size, err := audit(t, filesystem, key, tc.leaves(source.leaves))
			if tc.want == nil && (err != nil || size != 700) || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("a ledger of %d, %v; want one of 700 and %v", size, err, tc.want)
			}
		})
	}
}

func remove(t *testing.T, filesystem vfs.FS, file string) {
	t.Helper()
	if err := filesystem.Remove("ledger/" + file); err != nil {
		t.Fatal(err)
	}
}

func TestAuditVerifiesGroups(t *testing.T) {
	t.Parallel()
	key, other := newKey(t, t.TempDir()), newKey(t, t.TempDir())
	a, err := ledger.NewAudit(vfs.NewMem(), "ledger", key.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	leaves := [][]byte{[]byte("a"), []byte("b"), []byte("c")}
	note := func(by *ledger.Ledger, first uint64, leaves [][]byte) []byte {
		sealed, err := by.SealGroup(first, leaves)
		if err != nil {
			t.Fatal(err)
		}
		return sealed.Note()
	}
	for name, tc := range map[string]struct {
		note []byte
		want string
	}{
		"as it was sealed":  {note(key, 7, leaves), ""},
		"of other leaves":   {note(key, 7, leaves[:2]), "other leaves"},
		"of another place":  {note(key, 8, leaves), "other leaves"},
		"of another signer": {note(other, 7, leaves), "note"},
		"no note":           {[]byte("x"), "note"},
	} {
		hashes, err := a.Group(7, leaves, tc.note)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %q", name, err, tc.want)
		}
		for i, leaf := range leaves {
			if len(hashes) != 3 || hashes[i] != tlog.RecordHash(leaf) {
				t.Errorf("%s: leaf %d has hash %v", name, i, hashes)
			}
		}
	}
}

func TestReadKeyMakesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if key, err := ledger.ReadKey(dir); !errors.Is(err, ledger.ErrKey) || key != "" {
		t.Errorf("of nothing: %q, %v; want ErrKey", key, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	want := newKey(t, dir).VerifierKey()
	if key, err := ledger.ReadKey(dir); err != nil || key != want {
		t.Errorf("%q, %v; want %q", key, err, want)
	}
	if err := os.WriteFile(filepath.Join(dir, "ledger.pub"), fmt.Appendln(nil, newKey(t, t.TempDir()).VerifierKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	if key, err := ledger.ReadKey(dir); !errors.Is(err, ledger.ErrKey) || key != want {
		t.Errorf("published is another: %q, %v; want %q and ErrKey", key, err, want)
	}
	if err := os.Remove(filepath.Join(dir, "ledger.key")); err != nil {
		t.Fatal(err)
	}
	if key, err := ledger.ReadKey(dir); !errors.Is(err, ledger.ErrKey) || key == "" {
		t.Errorf("without the private key: %q, %v; want the published one and ErrKey", key, err)
	}
}
