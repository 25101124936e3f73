package ledger_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/lienthong/lienthong/hub/ledger"
)

// crashed is a machine that lost power before one operation on its disk.
type crashed struct {
	at         string
	filesystem *vfs.MemFS
	accepted   int // leaves that were
	published  int // size of the checkpoint that others may have seen: definitely there
	signed     int // size of the tree that was being signed: maybe there
}

// powerCuts runs a log and returns what would be left had power gone before any one of
// its operations. What was not synced survives with a probability, block by block.
func powerCuts(t *testing.T, key *ledger.Ledger, source *accepted, unsynced int) []crashed {
	t.Helper()
	var cuts []crashed
	var log *ledger.Log
	below := vfs.NewCrashableMem()
	if err := below.MkdirAll("ledger", 0o700); err != nil {
		t.Fatal(err)
	}
	syncRoot(t, below)
	random := rand.New(rand.NewPCG(uint64(unsynced), 1))
	filesystem := errorfs.Wrap(below, errorfs.InjectorFunc(func(op errorfs.Op) error {
		published := uint64(0)
		if log != nil {
			_, published = log.Checkpoint()
		}
		cuts = append(cuts, crashed{
			at:         fmt.Sprintf("operation %d (%v of %s) with %d%% of what was not synced", len(cuts), op.Kind, op.Path, unsynced),
			filesystem: below.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: random}),
			accepted:   len(source.leaves), published: int(published), signed: len(source.leaves),
		})
		return nil
	}))
	log = newLog(t, filesystem, key, source)
	for _, more := range []int{1, 254, 2, 300} { // across borders of tiles
		source.grow(more)
		advance(t, log)
	}
	return cuts
}

func syncRoot(t *testing.T, filesystem vfs.FS) {
	t.Helper()
	root, err := filesystem.OpenDir("")
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
}

// Whatever of its files survives a power cut: a checkpoint that others may have seen
// is there, or a later one; what it says is the root over the accepted leaves; and the
// log goes on from it with proofs that hold for every size that was published.
func TestPowerCutAtAnyOperation(t *testing.T) {
	t.Parallel()
	key := newKey(t, t.TempDir())
	for _, unsynced := range []int{0, 40, 100} {
		t.Run(fmt.Sprintf("%d percent", unsynced), func(t *testing.T) {
			t.Parallel()
			source := &accepted{}
			cuts := powerCuts(t, key, source, unsynced)
			if len(cuts) < 40 {
				t.Errorf("only %d operations were cut short", len(cuts))
			}
			for _, cut := range cuts {
				checkAfterCut(t, key, source, cut)
			}
		})
	}
}

func checkAfterCut(t *testing.T, key *ledger.Ledger, source *accepted, cut crashed) {
	t.Helper()
	survived := &accepted{leaves: source.leaves[:cut.accepted:cut.accepted], group: 100}
	log, err := openLog(t.Context(), cut.filesystem, key, survived)
	if err != nil {
		t.Errorf("%s: %v", cut.at, err)
		return
	}
	defer log.Close() //nolint:errcheck // a file system in memory
	_, size := log.Checkpoint()
	if int(size) < cut.published || int(size) > cut.signed {
		t.Errorf("%s: the checkpoint is of %d; %d was published and %d accepted", cut.at, size, cut.published, cut.signed)
		return
	}
	if size > 0 && !bytes.Equal(rootOf(t, log, key, int(size)), treeHash(survived.leaves[:size])) {
		t.Errorf("%s: the root of %d is another one", cut.at, size)
	}
	survived.grow(60)
	advance(t, log)
	all := survived.leaves
	if !bytes.Equal(rootOf(t, log, key, len(all)), treeHash(all)) {
		t.Errorf("%s: the root after going on is another one", cut.at)
	}
	root := tlog.Hash(rootOf(t, log, key, len(all)))
	for index := 0; index < len(all); index += 97 { // what was kept of hashes is right
		included, err := log.Included(uint64(index + 1))
		path := included.Path
		var proof tlog.RecordProof
		for _, hash := range path {
			proof = append(proof, tlog.Hash(hash))
		}
		if err != nil || tlog.CheckRecord(proof, int64(len(all)), root, int64(index), tlog.RecordHash(all[index])) != nil {
			t.Errorf("%s: inclusion of %d: %x, %v", cut.at, index+1, path, err)
			return
		}
	}
	for _, from := range []int{cut.published, int(size)} {
		if from == 0 {
			continue
		}
		if proof, err := log.Consistency(uint64(from), uint64(len(all))); err != nil || !sameHashes(proof, consistencyProof(from, all)) {
			t.Errorf("%s: consistency from %d: %v", cut.at, from, err)
		}
	}
}
