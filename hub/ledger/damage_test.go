package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/lienthong/lienthong/hub/ledger"
)

func contentOf(t *testing.T, filesystem vfs.FS, file string) []byte {
	t.Helper()
	f, err := filesystem.Open("ledger/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	content, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func put(t *testing.T, filesystem vfs.FS, file string, content []byte) {
	t.Helper()
	f, err := filesystem.Create("ledger/"+file, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Clone(content)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// written is a closed log of 700 leaves, on files of its own.
func written(t *testing.T, key *ledger.Ledger) (*vfs.MemFS, *accepted) {
	t.Helper()
	filesystem, source := vfs.NewMem(), &accepted{group: 64}
	source.grow(700)
	log := newLog(t, filesystem, key, source)
	advance(t, log)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return filesystem, source
}

// Files of hashes that are lost, cut short or damaged are made anew; the log then has
// the root that was signed and goes on.
func TestHashesThatAreLostAreMadeAnew(t *testing.T) {
	t.Parallel()
	key := newKey(t, t.TempDir())
	cut := func(file string, length int) func(*testing.T, vfs.FS) {
		return func(t *testing.T, filesystem vfs.FS) {
			put(t, filesystem, file, contentOf(t, filesystem, file)[:length])
		}
	}
	flip := func(file string, at int) func(*testing.T, vfs.FS) {
		return func(t *testing.T, filesystem vfs.FS) {
			content := contentOf(t, filesystem, file)
			content[at] ^= 4
			put(t, filesystem, file, content)
		}
	}
	remove := func(files ...string) func(*testing.T, vfs.FS) {
		return func(t *testing.T, filesystem vfs.FS) {
			for _, file := range files {
				if err := filesystem.Remove("ledger/" + file); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name, damage := range map[string]func(*testing.T, vfs.FS){
		"the leaves are lost":                remove("hashes-00"),
		"the second level is lost":           remove("hashes-08"),
		"both are lost":                      remove("hashes-00", "hashes-08"),
		"the leaves are empty":               cut("hashes-00", 0),
		"the leaves are cut in a hash":       cut("hashes-00", 32*600+7),
		"the leaves are cut in a whole tile": cut("hashes-00", 32*300),
		"the second level is cut in a hash":  cut("hashes-08", 33),
		"a bit of the last tile is another":  flip("hashes-00", 32*650),
		"a bit of the second level":          flip("hashes-08", 3),
		"there is more than was signed": func(t *testing.T, filesystem vfs.FS) {
			put(t, filesystem, "hashes-00", append(contentOf(t, filesystem, "hashes-00"), bytes.Repeat([]byte{7}, 99)...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			filesystem, source := written(t, key)
			damage(t, filesystem)
			log := newLog(t, filesystem, key, source)
			if got := rootOf(t, log, key, 700); !bytes.Equal(got, treeHash(source.leaves)) {
				t.Errorf("root is %x", got)
			}
			source.grow(400)
			advance(t, log)
			proof, err := log.Consistency(700, 1100)
			if err != nil || !sameHashes(proof, consistencyProof(700, source.leaves)) || !bytes.Equal(rootOf(t, log, key, 1100), treeHash(source.leaves)) {
				t.Errorf("the log does not go on: %x, %v", proof, err)
			}
		})
	}
}

// Damage deep in a file is found when it is read: no wrong proof leaves, and what helps
// is said.
func TestDamagedHashesGiveNoProof(t *testing.T) {
	t.Parallel()
	key := newKey(t, t.TempDir())
	filesystem, source := written(t, key)
	content := contentOf(t, filesystem, "hashes-00")
	content[32*10] ^= 1
	put(t, filesystem, "hashes-00", content)
	log := newLog(t, filesystem, key, source)
	for name, call := range map[string]func() error{
		"included":    func() error { _, err := log.Included(12); return err },
		"inclusion":   func() error { _, err := log.Inclusion(12, 600); return err },
		"consistency": func() error { _, err := log.Consistency(11, 600); return err },
	} {
		if err := call(); !errors.Is(err, ledger.ErrHashes) || !strings.Contains(err.Error(), "remove ledger/hashes-*") {
			t.Errorf("%s over a damaged hash: %v, want a refusal that says what to do", name, err)
		}
	}
	if included, err := log.Inclusion(500, 600); err != nil || !sameHashes(included.Path, auditPath(499, source.leaves[:600])) {
		t.Errorf("a proof beside the damage: %v", err)
	}
}

func TestAHubWhoseAcceptedLogIsNotWhatItSignedDoesNotStart(t *testing.T) {
	t.Parallel()
	key := newKey(t, t.TempDir())
	for name, tc := range map[string]struct {
		change func(*accepted)
		files  []string // that are lost besides
		want   string
	}{
		"packets are missing":                  {change: func(a *accepted) { a.leaves = a.leaves[:699] }, want: "that is of 700 packets, the accepted log ends before"},
		"all are":                              {change: func(a *accepted) { a.leaves = nil }, want: "missing"},
		"the last is another":                  {change: func(a *accepted) { a.leaves[699] = []byte("x") }, want: "packet 700 is another one"},
		"one is another, and hashes made anew": {change: func(a *accepted) { a.leaves[5] = []byte("x") }, files: []string{"hashes-00"}, want: "the root over the first 700 packets is another one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			filesystem, source := written(t, key)
			tc.change(source)
			for _, file := range tc.files {
				if err := filesystem.Remove("ledger/" + file); err != nil {
					t.Fatal(err)
				}
			}
			log, err := openLog(t.Context(), filesystem, key, source)
			if log != nil || !errors.Is(err, ledger.ErrDiverged) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("opened with %v, want a refusal that says %q", err, tc.want)
			}
		})
	}
}

// A checkpoint that was lost is not forgotten: the one an hour ago bounds what is
// signed next from below. One that is damaged is refused.
func TestTheLastCheckpointIsLostOrDamaged(t *testing.T) {
	t.Parallel()
	key := newKey(t, t.TempDir())
	filesystem, source := written(t, key)
	if err := filesystem.Remove("ledger/checkpoint"); err != nil {
		t.Fatal(err)
	}
	log := newLog(t, filesystem, key, source)
	rootOf(t, log, key, 700)

	filesystem, source = written(t, key)
	content := contentOf(t, filesystem, "checkpoint")
	for at := range content {
		damaged := bytes.Clone(content)
		damaged[at] ^= 1
		put(t, filesystem, "checkpoint", damaged)
		if log, err := openLog(t.Context(), filesystem, key, source); err == nil || !strings.Contains(err.Error(), "restore it from a backup") {
			t.Errorf("byte %d of the checkpoint is another: %v", at, errors.Join(err, log.Close()))
		}
	}
	other := newKey(t, t.TempDir())
	put(t, filesystem, "checkpoint", content)
	if _, err := openLog(t.Context(), filesystem, other, source); err == nil {
		t.Error("the checkpoint of another key was taken")
	}
}

// What cannot be written is not signed, and not shown; when the disk is well again, the
// log goes on.
func TestADiskThatFailsDelaysCheckpoints(t *testing.T) {
	t.Parallel()
	key := newKey(t, t.TempDir())
	for _, kind := range []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileWriteAt, errorfs.OpFileWrite, errorfs.OpCreate, errorfs.OpRename, errorfs.OpOpenDir} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			t.Parallel()
			broken := false
			below := vfs.NewCrashableMem()
			filesystem := errorfs.Wrap(below, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if broken && op.Kind == kind {
					return errors.New("no space left")
				}
				return nil
			}))
			source := &accepted{}
			log := newLog(t, filesystem, key, source)
			source.grow(200)
			advance(t, log)
			source.grow(100)
			broken = true
			// Files that are there need no directory to be written.
			if err := log.Advance(t.Context()); err == nil || !strings.Contains(err.Error(), "no space left") {
				t.Errorf("advance: %v, want the failure of the disk", err)
			}
			rootOf(t, log, key, 200)
			broken = false
			source.grow(300)
			advance(t, log)
			if got := rootOf(t, log, key, 600); !bytes.Equal(got, treeHash(source.leaves)) {
				t.Errorf("root is %x", got)
			}
			if proof, err := log.Consistency(200, 600); err != nil || !sameHashes(proof, consistencyProof(200, source.leaves)) {
				t.Errorf("consistency: %v", err)
			}
		})
	}
}
