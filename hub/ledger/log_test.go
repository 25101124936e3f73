package ledger_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/hub/ledger"
)

const hubName = "hub.test"

// accepted is an accepted log in memory, read in groups of any size.
type accepted struct {
	mu     sync.Mutex
	leaves [][]byte
	group  int // leaves at once; 0: all
	fails  error
}

func (a *accepted) add(leaves ...[]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leaves = append(a.leaves, leaves...)
}

// grow adds leaves that differ.
func (a *accepted) grow(count int) {
	for range count {
		a.add(fmt.Appendf(nil, "leaf %d", len(a.leaves)))
	}
}

func (a *accepted) read(_ context.Context, after uint64) ([][]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	rest := a.leaves[min(after, uint64(len(a.leaves))):]
	if a.fails != nil {
		return nil, a.fails
	}
	if a.group > 0 {
		rest = rest[:min(len(rest), a.group)]
	}
	return rest, nil
}

var signedAt = time.Date(2026, 11, 25, 2, 3, 4, 56_000_000, time.UTC)

func newKey(t rapid.TB, dir string) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(dir, hubName)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func openLog(ctx context.Context, filesystem vfs.FS, key *ledger.Ledger, source *accepted) (*ledger.Log, error) {
	return ledger.OpenLog(ctx, ledger.LogConfig{
		Ledger: key, Dir: "ledger", FS: filesystem, Leaves: source.read,
		Clock: func() time.Time { return signedAt }, Logger: slog.New(slog.DiscardHandler),
	})
}

// newLog opens a log in a file system in memory.
func newLog(t *testing.T, filesystem vfs.FS, key *ledger.Ledger, source *accepted) *ledger.Log {
	t.Helper()
	log, err := openLog(t.Context(), filesystem, key, source)
	if err != nil {
		t.Fatalf("open log: %v", err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func advance(t *testing.T, log *ledger.Log) {
	t.Helper()
	if err := log.Advance(t.Context()); err != nil {
		t.Fatalf("advance: %v", err)
	}
}

// rootOf opens the latest checkpoint of a log and returns its root.
func rootOf(t rapid.TB, log *ledger.Log, key *ledger.Ledger, wantSize int) []byte {
	t.Helper()
	signed, size := log.Checkpoint()
	if size != uint64(wantSize) {
		t.Fatalf("the checkpoint covers %d leaves, want %d", size, wantSize)
	}
	verifier, err := note.NewVerifier(key.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		t.Fatalf("checkpoint of %d: %v", size, err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 5 || lines[0] != hubName || lines[1] != fmt.Sprint(wantSize) || lines[3] != "time 2026-11-25T02:03:04.056Z" {
		t.Fatalf("the checkpoint says %q", opened.Text)
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func sameHashes(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

func TestCheckpointsHaveTheGoldenRoots(t *testing.T) {
	t.Parallel()
	key, source := newKey(t, t.TempDir()), &accepted{}
	log := newLog(t, vfs.NewMem(), key, source)
	if signed, size := log.Checkpoint(); signed != nil || size != 0 {
		t.Errorf("before anything is accepted there is a checkpoint of %d: %q", size, signed)
	}
	for i, leaf := range goldenLeaves(t) {
		source.add(leaf)
		advance(t, log)
		if got := hex.EncodeToString(rootOf(t, log, key, i+1)); got != goldenRoots()[i] {
			t.Errorf("root over %d leaves is %s, want %s", i+1, got, goldenRoots()[i])
		}
	}
}

// Whatever the steps in which a log grew: roots, and proofs between all sizes and of
// all leaves, are those of RFC 6962. Sizes cross the borders of tiles, of which a level
// has 256 hashes.
func TestProofsAreThoseOfRFC6962(t *testing.T) {
	t.Parallel()
	key := newKey(t, t.TempDir())
	rapid.Check(t, func(rt *rapid.T) {
		source := &accepted{group: rapid.IntRange(0, 90).Draw(rt, "group")}
		filesystem := vfs.NewMem()
		log, err := openLog(t.Context(), filesystem, key, source)
		if err != nil {
			rt.Fatal(err)
		}
		for range rapid.IntRange(1, 5).Draw(rt, "steps") {
			source.grow(rapid.IntRange(1, 300).Draw(rt, "step"))
			if err := log.Advance(t.Context()); err != nil {
				rt.Fatal(err)
			}
			if rapid.Bool().Draw(rt, "reopen") {
				if err := log.Close(); err != nil {
					rt.Fatal(err)
				}
				if log, err = openLog(t.Context(), filesystem, key, source); err != nil {
					rt.Fatal(err)
				}
			}
		}
		all := source.leaves
		if got := rootOf(rt, log, key, len(all)); !bytes.Equal(got, treeHash(all)) {
			rt.Fatalf("root over %d leaves is %x, want %x", len(all), got, treeHash(all))
		}
		to := rapid.IntRange(1, len(all)).Draw(rt, "to")
		from := rapid.IntRange(1, to).Draw(rt, "from")
		proof, err := log.Consistency(uint64(from), uint64(to))
		if err != nil || !sameHashes(proof, consistencyProof(from, all[:to])) {
			rt.Fatalf("consistency from %d to %d of %d: %x, %v", from, to, len(all), proof, err)
		}
		included, err := log.Inclusion(uint64(from), uint64(to))
		if err != nil || !sameHashes(included.Path, auditPath(from-1, all[:to])) {
			rt.Fatalf("inclusion of %d in %d of %d: %x, %v", from, to, len(all), included.Path, err)
		}
		if included, err = log.Included(uint64(to)); err != nil || !sameHashes(included.Path, auditPath(to-1, all)) {
			rt.Fatalf("inclusion of %d under the latest of %d: %x, %v", to, len(all), included.Path, err)
		}
		if err := log.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// A tree high enough for the third level of tiles.
func TestManyLeaves(t *testing.T) {
	t.Parallel()
	key, source := newKey(t, t.TempDir()), &accepted{}
	log := newLog(t, vfs.NewMem(), key, source)
	for _, size := range []int{65_535, 65_536, 65_537, 150_000} {
		source.grow(size - len(source.leaves))
		advance(t, log)
		if got := rootOf(t, log, key, size); !bytes.Equal(got, treeHash(source.leaves)) {
			t.Errorf("root over %d leaves is %x", size, got)
		}
	}
	proof, err := log.Consistency(65_537, 149_999)
	if err != nil || !sameHashes(proof, consistencyProof(65_537, source.leaves[:149_999])) {
		t.Errorf("consistency: %d hashes, %v", len(proof), err)
	}
	included, err := log.Inclusion(70_000, 149_999)
	if err != nil || !sameHashes(included.Path, auditPath(69_999, source.leaves[:149_999])) {
		t.Errorf("inclusion: %d hashes, %v", len(included.Path), err)
	}
}

func TestNothingNewIsNotSigned(t *testing.T) {
	t.Parallel()
	source := &accepted{}
	log := newLog(t, vfs.NewMem(), newKey(t, t.TempDir()), source)
	source.grow(3)
	advance(t, log)
	before, _ := log.Checkpoint()
	advance(t, log)
	if after, _ := log.Checkpoint(); !bytes.Equal(before, after) {
		t.Errorf("signed again: %q, before %q", after, before)
	}
}

func TestProofsBeyondTheCheckpointAreRefused(t *testing.T) {
	t.Parallel()
	source := &accepted{}
	log := newLog(t, vfs.NewMem(), newKey(t, t.TempDir()), source)
	for _, size := range []int{0, 5} {
		source.grow(size)
		advance(t, log)
		source.grow(1) // accepted, but under no checkpoint
		covered := uint64(len(source.leaves) - 1)
		for _, tc := range [][2]uint64{{0, covered}, {covered, covered + 1}, {covered + 1, covered + 1}, {3, 2}, {1, 1 << 63}} {
			if _, err := log.Consistency(tc[0], tc[1]); !errors.Is(err, ledger.ErrBeyond) {
				t.Errorf("consistency %v of %d: %v", tc, covered, err)
			}
			if _, err := log.Inclusion(tc[0], tc[1]); !errors.Is(err, ledger.ErrBeyond) {
				t.Errorf("inclusion %v of %d: %v", tc, covered, err)
			}
		}
		for _, sequence := range []uint64{0, covered + 1, 1<<64 - 1} {
			if included, err := log.Included(sequence); included.Checkpoint != nil || included.Path != nil || err != nil {
				t.Errorf("sequence %d of %d is included: %+v %v", sequence, covered, included, err)
			}
		}
		source.leaves = source.leaves[:covered]
	}
}

// A log that has far to catch up keeps what it did when it fails on the way.
func TestCatchingUpKeepsWhatItDid(t *testing.T) {
	t.Parallel()
	key, filesystem := newKey(t, t.TempDir()), vfs.NewMem()
	source := &accepted{group: 1000}
	source.grow(100_000)
	short := &accepted{leaves: source.leaves[:70_000], group: 1000}
	failing := func(ctx context.Context, after uint64) ([][]byte, error) {
		leaves, err := short.read(ctx, after)
		if len(leaves) == 0 {
			err = errors.New("the disk is gone")
		}
		return leaves, err
	}
	log, err := ledger.OpenLog(t.Context(), ledger.LogConfig{
		Ledger: key, Dir: "ledger", FS: filesystem, Leaves: failing,
		Clock: func() time.Time { return signedAt }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Advance(t.Context()); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Errorf("advance: %v, want the failure of the store", err)
	}
	if _, size := log.Checkpoint(); size != 1<<16 {
		t.Errorf("a checkpoint of %d was kept, want one of %d", size, 1<<16)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log = newLog(t, filesystem, key, source)
	advance(t, log)
	if got := rootOf(t, log, key, 100_000); !bytes.Equal(got, treeHash(source.leaves)) {
		t.Errorf("root after catching up is %x", got)
	}
}
