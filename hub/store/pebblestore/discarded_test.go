package pebblestore_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// That a dead letter was discarded is known as long as its packet is kept, whether the
// index is made anew or not, and no longer in the index then.
func TestDiscardedLettersGoWithTheirPackets(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	k := keep(t, disk)
	k.put(1, 100, 100)
	k.put(2, 100, 10)
	letters := []store.DeadLetter{{Sequence: 5, Reason: "five", Attempts: 2, At: time.Unix(101, 0)}, {Sequence: 105, Reason: "late", At: time.Unix(101, 0)}}
	if done, err := k.Bury(t.Context(), "P", letters); err != nil || len(done) != 2 {
		t.Fatalf("buried %v, %v", done, err)
	}
	if done, err := k.Discard(t.Context(), "P", []uint64{5, 105}); err != nil || len(done) != 2 {
		t.Fatalf("discarded %v, %v", done, err)
	}
	k.acknowledge(1, 4)
	k.acknowledge(6, 100)
	wantDiscarded := func(letters ...store.DeadLetter) {
		t.Helper()
		for _, want := range letters {
			if state, got, err := k.State(t.Context(), "P", want.Sequence); err != nil || state != store.Discarded || got.Reason != want.Reason || got.Attempts != want.Attempts {
				t.Errorf("%d is in state %d, %+v, %v; want that it was discarded", want.Sequence, state, got, err)
			}
		}
	}
	wantDiscarded(letters...)
	for _, anew := range []bool{false, true} {
		k.close()
		if c := check(t, disk, 0); len(c.problems()) > 0 {
			t.Errorf("checked: %+v", c.findings)
		}
		if anew {
			if err := disk.RemoveAll("data/index"); err != nil {
				t.Fatal(err)
			}
		}
		k.open()
		wantDiscarded(letters...)
	}
	retained, err := k.Retain(t.Context(), ofOneSecond(1000), nil)
	if err != nil || retained.Removed != 100 {
		t.Fatalf("removed %d, %v; want 100", retained.Removed, err)
	}
	wantDiscarded(letters[1])
	k.close()
	if c := check(t, disk, 0); len(c.problems()) > 0 {
		t.Errorf("checked after packets were removed: %+v", c.findings)
	}
	withIndex(t, disk, func(db *pebble.DB) error {
		it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte("z"), UpperBound: []byte("{")})
		if err != nil {
			return err
		}
		count := 0
		for ok := it.First(); ok; ok = it.Next() {
			count++
		}
		if count != 1 {
			t.Errorf("the index has %d discarded dead letters; want that of the packet that is kept", count)
		}
		return it.Close()
	})
}
