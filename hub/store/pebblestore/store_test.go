package pebblestore_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
	"github.com/lienthong/lienthong/hub/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Open {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "store")
		// So little is in a segment that nothing that can go is put off.
		return func() (storetest.Store, error) {
			return pebblestore.Open(dir, pebblestore.Options{SegmentBytes: 16 << 10})
		}
	})
}

// What Accept returned for is there after the power goes: the strict in-memory
// file system forgets everything that was not synced.
func TestAcceptedSurvivesPowerLoss(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	s, err := pebblestore.Open("data", pebblestore.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	seal := func(fresh []store.Fresh) (store.Sealed, error) {
		sealed := store.Sealed{Note: []byte("note")}
		for range fresh {
			sealed.Records = append(sealed.Records, []byte("record"))
			sealed.Leaves = append(sealed.Leaves, []byte("leaf"))
		}
		return sealed, nil
	}
	for i := range 20 {
		id := string(rune('a' + i))
		group := []store.Submission{{Sender: "A", ID: id, Recipients: []string{"P"}}}
		if _, err := s.Accept(t.Context(), group, seal); err != nil {
			t.Fatal(err)
		}
		crashed, err := pebblestore.Open("data", pebblestore.Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})})
		if err != nil {
			t.Fatalf("open after a crash: %v", err)
		}
		pending, err := crashed.Pending(t.Context(), "P", 0, 100)
		if err != nil || len(pending) != i+1 {
			t.Fatalf("after %d accepted packets and a crash: %d pending, error %v", i+1, len(pending), err)
		}
		if sequence, _, err := crashed.Find(t.Context(), "A", id); err != nil || sequence != uint64(i+1) {
			t.Fatalf("idempotency key %s after a crash: %d, %v", id, sequence, err)
		}
		if group, err := crashed.Group(t.Context(), uint64(i+1)); err != nil || len(group.Leaves) != 1 {
			t.Fatalf("ledger leaf %d after a crash: %v, %v", i+1, group, err)
		}
		if err := crashed.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	t.Run("a directory in use", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s, err := pebblestore.Open(dir, pebblestore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close() //nolint:errcheck // the test is about the second
		if second, err := pebblestore.Open(dir, pebblestore.Options{}); err == nil {
			t.Errorf("a second store opened: %v", second.Close())
		}
	})
	t.Run("a format it does not know", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		db, err := pebble.Open(dir, &pebble.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Set([]byte("mv"), []byte("lienthong pebble 99"), pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err := pebblestore.Open(dir, pebblestore.Options{}); err == nil {
			t.Errorf("opened: %v", s.Close())
		}
	})
	t.Run("a file in place of the directory", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := pebblestore.Open(path, pebblestore.Options{}); err == nil {
			t.Errorf("opened: %v", s.Close())
		}
	})
}
