package pebblestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// keeper works on a store of small segments.
type keeper struct {
	t    testing.TB
	disk vfs.FS
	*pebblestore.Store
	last   uint64 // sequence
	beside int64  // bytes beside the records that come
}

const keeperSegment = 16 << 10

func keep(t testing.TB, disk vfs.FS) *keeper {
	t.Helper()
	k := &keeper{t: t, disk: disk}
	k.open()
	return k
}

func (k *keeper) open() {
	k.t.Helper()
	var err error
	k.Store, err = pebblestore.Open("data", pebblestore.Options{FS: k.disk, WindowEntries: 64, SegmentBytes: keeperSegment, CacheBytes: 1 << 20})
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeper) close() {
	k.t.Helper()
	if err := k.Close(); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keeper) reopen() {
	k.t.Helper()
	k.close()
	k.open()
}

func recordOf(sequence uint64) []byte { return bytes.Repeat(fmt.Appendf(nil, "%07d,", sequence), 128) }

// put accepts packets of a kind to P at a second, in groups of one, of 1 KiB each.
func (k *keeper) put(kind uint32, second int64, count int) {
	k.t.Helper()
	for range count {
		sub := store.Submission{Sender: "A", ID: fmt.Sprintf("id-%06d", k.last+1), Recipients: []string{"P"}, Kind: kind, ContentBytes: k.beside}
		outcomes, err := k.Accept(k.t.Context(), []store.Submission{sub}, func(fresh []store.Fresh) (store.Sealed, error) {
			n := fresh[0].Sequence
			return store.Sealed{Records: [][]byte{recordOf(n)}, Leaves: [][]byte{fmt.Appendf(nil, "leaf %d", n)}, Note: []byte("note"), At: time.Unix(second, 0)}, nil
		})
		if err != nil {
			k.t.Fatal(err)
		}
		k.last = outcomes[0].Sequence
	}
}

// acknowledge acknowledges packets from one to another, one by one.
func (k *keeper) acknowledge(from, to uint64) {
	k.t.Helper()
	for n := from; n <= to; n++ {
		if done, err := k.Acknowledge(k.t.Context(), "P", []uint64{n}); err != nil || len(done) != 1 {
			k.t.Fatalf("acknowledged %v, %v; want %d", done, err, n)
		}
	}
}

// ofOneSecond keeps packets of kind 1 for a second.
func ofOneSecond(now int64) store.Retention {
	return store.Retention{Kinds: map[uint32]store.Keep{1: {Age: time.Second}}, Now: time.Unix(now, 0), UpTo: 1 << 40}
}

func (k *keeper) retain(how store.Retention, removed int64) store.Retained {
	k.t.Helper()
	retained, err := k.Retain(k.t.Context(), how, nil)
	if err != nil || retained.Removed != removed {
		k.t.Fatalf("removed %d, %v; want %d", retained.Removed, err, removed)
	}
	return retained
}

// untilRetained tries again until the index has noticed that there is space.
func (k *keeper) untilRetained(how store.Retention, removed int64) {
	k.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for give := time.After(30 * time.Second); ; {
		retained, err := k.Retain(k.t.Context(), how, nil)
		if err == nil && retained.Removed == removed {
			return
		}
		select {
		case <-tick.C:
		case <-give:
			k.t.Fatalf("removed %d, %v; want %d", retained.Removed, err, removed)
		}
	}
}

// wantReadable checks packets from one to another: that their records are there, or were
// removed, and that everything else is there.
func (k *keeper) wantReadable(from, to uint64, removed bool) {
	k.t.Helper()
	for n := from; n <= to; n++ {
		records, err := k.Records(k.t.Context(), []uint64{n})
		if removed && !errors.Is(err, store.ErrRemoved) || !removed && (err != nil || !bytes.Equal(records[0], recordOf(n))) {
			k.t.Errorf("record %d: %.20q, %v; removed: %v", n, records, err, removed)
		}
		if g, err := k.Group(k.t.Context(), n); err != nil || string(g.Leaves[0]) != fmt.Sprintf("leaf %d", n) {
			k.t.Errorf("group of %d: %v, %v", n, g, err)
		}
	}
}

func (k *keeper) wantWaiting(want int) {
	k.t.Helper()
	pending, err := k.Pending(k.t.Context(), "P", 0, 1<<20)
	if err != nil || len(pending) != want {
		k.t.Errorf("%d deliveries wait, %v; want %d", len(pending), err, want)
	}
}

// journalFiles returns the journal's files, and what is in them.
func journalFiles(t testing.TB, disk vfs.FS) map[string]int64 {
	t.Helper()
	names, err := disk.List("data/journal")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]int64{}
	for _, name := range names {
		info, err := disk.Stat("data/journal/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = info.Size()
	}
	return files
}

// lost is a disk after a loss of power: what was not synced is gone.
func lost(disk *vfs.MemFS) *vfs.MemFS { return disk.CrashClone(vfs.CrashCloneCfg{}) }
