package pebblestore_test

import (
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// tablesOf returns the files of the index that hold what is looked up.
func tablesOf(t *testing.T, disk vfs.FS) []string {
	t.Helper()
	names, err := disk.List("data/index")
	if err != nil {
		t.Fatal(err)
	}
	var tables []string
	for _, name := range names {
		if path.Ext(name) == ".sst" {
			tables = append(tables, "data/index/"+name)
		}
	}
	if len(tables) == 0 {
		t.Fatalf("the index has no tables: %v", names)
	}
	return tables
}

// flipAt flips a bit of a file, at so many thousandths of it.
func flipAt(t *testing.T, disk vfs.FS, name string, thousandths int64) {
	t.Helper()
	f, err := disk.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	at, b := info.Size()*thousandths/1000, make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// packets are so many that the index has many blocks.
const packets = 2000

// A bit that flips in the index is found by a check, which says that it is the index. A
// store opens on it all the same, or finds out later and says so by its exit; the next
// start then has an index as if nothing had been.
func TestAFlippedBitInTheIndex(t *testing.T) {
	t.Parallel()
	checked, ended := 0, 0
	for at := int64(0); at < 1000; at += 61 {
		disk := lived(t, packets)
		for _, table := range tablesOf(t, disk) {
			flipAt(t, disk, table, at)
		}
		c := check(t, disk, 0)
		for _, f := range c.problems() {
			if f.Rule != pebblestore.RuleIndexDiffers || strings.Contains(f.What, "\n") {
				t.Errorf("flipped at %d: %+v; want a line that the index differs", at, f)
			}
		}
		if len(c.findings) > 0 {
			checked++
		}
		if c.Packets != packets {
			t.Errorf("flipped at %d: %d packets; want %d", at, c.Packets, packets)
		}
		if endedOn(t, disk) {
			ended++
			if c := check(t, disk, 0); len(c.findings) != 1 || !c.has(pebblestore.RuleIndexMissing) {
				t.Errorf("flipped at %d, and found: %+v; want that the next start makes the index", at, c.findings)
			}
			if endedOn(t, disk) {
				t.Errorf("flipped at %d: the index is damaged at the next start, too", at)
			}
		}
		wantOpens(t, disk)
	}
	if checked < 12 {
		t.Errorf("only %d of 17 flipped bits were found by a check", checked)
	}
	if ended == 0 {
		t.Error("no flipped bit was found after the start")
	}
}

// endedOn opens a store, reads what the index is for, closes it, and says whether the
// process would have ended.
func endedOn(t *testing.T, disk vfs.FS) bool {
	t.Helper()
	var status atomic.Int64
	s, err := pebblestore.Open("data", pebblestore.Options{
		FS: disk, SegmentBytes: 16 << 10, Exit: func(with int) { status.Store(int64(with)) },
	})
	if err != nil {
		t.Fatalf("open on a damaged index: %v", err)
	}
	failed := false
	for n := uint64(1); n <= packets; n++ {
		_, err := s.Group(t.Context(), n)
		failed = failed || err != nil
	}
	for _, recipient := range []string{"P", "Q"} {
		_, pending := s.Pending(t.Context(), recipient, 0, 1000)
		_, dead := s.DeadLetters(t.Context(), recipient, 0, 1000)
		failed = failed || pending != nil || dead != nil
	}
	_, _, found := s.Find(t.Context(), "A", "id-000007")
	failed = failed || found != nil
	_ = s.Close() // of a process that has ended
	if got := status.Load(); got != 0 && got != 74 || failed && got != 74 {
		t.Fatalf("exit status %d, failed: %v; want 74 where something cannot be read", got, failed)
	}
	return status.Load() != 0
}
