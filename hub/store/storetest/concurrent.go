package storetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lienthong/lienthong/hub/store"
)

// Readers look at the newest group while a writer commits the next: each group has
// one leaf, whatever comes between.
func testGroupsWhileCommitting(t *testing.T, b *bench) {
	const groups, readers = 2000, 4
	var newest atomic.Uint64
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			for sequence := uint64(0); sequence < groups && !t.Failed(); {
				if sequence = newest.Load(); sequence == 0 {
					continue
				}
				group, err := b.store.Group(t.Context(), sequence)
				if err != nil || group.First != sequence || len(group.Leaves) != 1 {
					t.Errorf("group of %d: first %d with %d leaves, %v; want itself with one", sequence, group.First, len(group.Leaves), err)
				}
			}
		})
	}
	for i := range groups {
		b.accept(submission("A", fmt.Sprint(i), "content", "P"))
		newest.Store(uint64(i + 1))
	}
	all.Wait()
}

func testConcurrent(t *testing.T, b *bench) {
	const senders, each = 8, 25
	var wg sync.WaitGroup
	sequences := make([][]uint64, senders)
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				outcomes, err := b.store.Accept(t.Context(), []store.Submission{submission(fmt.Sprint(s), fmt.Sprint(i), "x", "P")}, seal)
				if err != nil || outcomes[0].Verdict != store.Accepted {
					t.Errorf("sender %d, packet %d: %v %v", s, i, outcomes, err)
					return
				}
				sequences[s] = append(sequences[s], outcomes[0].Sequence)
			}
		})
	}
	wg.Wait()
	var all []uint64
	for s := range senders {
		if !slices.IsSorted(sequences[s]) {
			t.Errorf("sender %d got sequences out of order: %v", s, sequences[s])
		}
		all = append(all, sequences[s]...)
	}
	slices.Sort(all)
	for i, sequence := range all {
		if sequence != uint64(i+1) {
			t.Fatalf("sequence %d at place %d", sequence, i+1)
		}
	}
	b.wantPending("P", all...)
}

func testConcurrentAudit(t *testing.T, b *bench) {
	const writers, each = 8, 10
	var wg sync.WaitGroup
	numbers := make([][]uint64, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				number, err := b.store.AppendAudit(t.Context(), fmt.Appendf(nil, "%d %d", w, i))
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				numbers[w] = append(numbers[w], number)
			}
		})
	}
	wg.Wait()
	entries, err := b.store.AuditAfter(t.Context(), 0, 1000)
	if err != nil || len(entries) != writers*each {
		t.Fatalf("%d lines, error %v; want %d", len(entries), err, writers*each)
	}
	for w, own := range numbers {
		for i, number := range own {
			if want := fmt.Sprintf("%d %d", w, i); string(entries[number-1].Record) != want || entries[number-1].Sequence != number {
				t.Errorf("line %d is %q with number %d; want %q", number, entries[number-1].Record, entries[number-1].Sequence, want)
			}
		}
	}
}
