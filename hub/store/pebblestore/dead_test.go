package pebblestore_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// withDeadLetters accepts so many packets, which all become dead letters of P.
func withDeadLetters(t *testing.T, s *pebblestore.Store, count int) []uint64 {
	t.Helper()
	var letters []store.DeadLetter
	for i := range count {
		if err := accept(t.Context(), s, fmt.Sprintf("%08d", i)); err != nil {
			t.Fatal(err)
		}
		letters = append(letters, store.DeadLetter{Sequence: uint64(i + 1), Reason: "no", Attempts: 1, At: time.Unix(1, 0)})
	}
	buried, err := s.Bury(t.Context(), "P", letters)
	if err != nil || len(buried) != count {
		t.Fatalf("buried %d, %v; want %d", len(buried), err, count)
	}
	return buried
}

// Whatever calls settle a dead letter, while windows go into the index between them,
// one does; and the journal can be read again.
func TestDeadLettersAreSettledOnceBesideTheIndex(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	open := func() *pebblestore.Store {
		s, err := pebblestore.Open("data", pebblestore.Options{FS: disk, WindowEntries: 16})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	all := withDeadLetters(t, s, 300)
	settled := make(chan []uint64, 1000)
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			for some := range slices.Chunk(all, 7) {
				done, err := s.Discard(t.Context(), "P", some)
				if err != nil {
					t.Error(err)
				}
				settled <- done
				if _, err := s.DeadLetters(t.Context(), "P", 0, 1); err != nil { // writes the index
					t.Error(err)
				}
			}
		})
	}
	calls.Wait()
	close(settled)
	times := map[uint64]int{}
	for done := range settled {
		for _, sequence := range done {
			times[sequence]++
		}
	}
	for _, sequence := range all {
		if times[sequence] != 1 {
			t.Errorf("%d was discarded %d times", sequence, times[sequence])
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := disk.RemoveAll("data/index"); err != nil {
		t.Fatal(err)
	}
	again := open()
	if letters, err := again.DeadLetters(t.Context(), "P", 0, 10); err != nil || len(letters) > 0 {
		t.Errorf("from the journal alone: %v, %v", letters, err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// A store is closed while calls come in: each of them ends, and nothing else does.
func TestClosingWaitsForRevivals(t *testing.T) {
	t.Parallel()
	for range 10 {
		s, err := pebblestore.Open("data", pebblestore.Options{FS: vfs.NewMem(), WindowEntries: 16})
		if err != nil {
			t.Fatal(err)
		}
		all := withDeadLetters(t, s, 50)
		var calls sync.WaitGroup
		begun := make(chan struct{}, 4)
		for g := range 4 {
			calls.Go(func() {
				begun <- struct{}{}
				for i := g; i < len(all); i += 4 {
					if _, err := s.Revive(context.Background(), "P", all[i:i+1]); err != nil {
						return // closed
					}
				}
			})
		}
		<-begun
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		calls.Wait()
	}
}
