package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lienthong/lienthong/hub/store"
)

func testAccept(t *testing.T, b *bench) {
	wantOutcomes(t, b.accept(submission("A", "1", "x", "P", "Q"), submission("A", "2", "y", "P")),
		store.Outcome{Verdict: store.Accepted, Sequence: 1}, store.Outcome{Verdict: store.Accepted, Sequence: 2})
	b.reopen()
	wantOutcomes(t, b.accept(submission("B", "1", "x", "Q")), store.Outcome{Verdict: store.Accepted, Sequence: 3})
	b.wantPending("P", 1, 2)
	b.wantPending("Q", 1, 3)
	b.wantPending("R")
	pending, err := b.store.Pending(t.Context(), "P", 1, 1)
	want := []store.Pending{{Sequence: 2, Order: 7, Size: uint32(len(record(2)))}}
	if diff := cmp.Diff(want, pending); diff != "" || err != nil {
		t.Errorf("pending after 1 (-want +got), error %v:\n%s", err, diff)
	}
	records, err := b.store.Records(t.Context(), []uint64{3, 1})
	if diff := cmp.Diff([][]byte{record(3), record(1)}, records); diff != "" || err != nil {
		t.Errorf("records (-want +got), error %v:\n%s", err, diff)
	}
	if _, err := b.store.Records(t.Context(), []uint64{4}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("record that is not there: %v", err)
	}
}

func testIdempotency(t *testing.T, b *bench) {
	b.accept(submission("A", "1", "x", "P"))
	b.reopen()
	wantOutcomes(t, b.accept(submission("A", "1", "x", "P", "Q"), submission("A", "1", "other", "P"), submission("B", "1", "other", "P")),
		store.Outcome{Verdict: store.Duplicate, Sequence: 1},
		store.Outcome{Verdict: store.Conflict, Sequence: 1},
		store.Outcome{Verdict: store.Accepted, Sequence: 2})
	b.wantPending("P", 1, 2)
	b.wantPending("Q")
	sequence, digest, err := b.store.Find(t.Context(), "A", "1")
	if sequence != 1 || digest != submission("A", "1", "x").Digest || err != nil {
		t.Errorf("find: %d %x %v", sequence, digest, err)
	}
	if _, _, err := b.store.Find(t.Context(), "A", "2"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("find what is not there: %v", err)
	}
}

func testTwiceInGroup(t *testing.T, b *bench) {
	wantOutcomes(t, b.accept(submission("A", "1", "x", "P"), submission("A", "1", "x", "P"), submission("A", "1", "y", "P"), submission("A", "2", "x", "P")),
		store.Outcome{Verdict: store.Accepted, Sequence: 1},
		store.Outcome{Verdict: store.Duplicate, Sequence: 1},
		store.Outcome{Verdict: store.Conflict, Sequence: 1},
		store.Outcome{Verdict: store.Accepted, Sequence: 2})
	b.wantPending("P", 1, 2)
}

func testFailedSeal(t *testing.T, b *bench) {
	b.accept(submission("A", "1", "x", "P"))
	broken := errors.New("no key")
	_, err := b.store.Accept(t.Context(), []store.Submission{submission("A", "2", "x", "P")},
		func([]store.Fresh) (store.Sealed, error) { return store.Sealed{}, broken })
	if !errors.Is(err, broken) {
		t.Errorf("accept with a failing seal: %v", err)
	}
	_, err = b.store.Accept(t.Context(), []store.Submission{submission("A", "2", "x", "P")},
		func([]store.Fresh) (store.Sealed, error) { return store.Sealed{Note: []byte("n")}, nil })
	if err == nil {
		t.Error("accept with a seal that has no records succeeded")
	}
	wantOutcomes(t, b.accept(submission("A", "2", "x", "P")), store.Outcome{Verdict: store.Accepted, Sequence: 2})
	b.wantPending("P", 1, 2)
}

func testAcknowledge(t *testing.T, b *bench) {
	b.accept(submission("A", "1", "x", "P", "Q"), submission("A", "2", "x", "P", "Q"), submission("A", "3", "x", "P"))
	done, err := b.store.Acknowledge(t.Context(), "P", []uint64{2, 2, 99})
	if diff := cmp.Diff([]uint64{2}, done); diff != "" || err != nil {
		t.Errorf("acknowledged (-want +got), error %v:\n%s", err, diff)
	}
	b.wantPending("P", 1, 3)
	b.wantPending("Q", 1, 2)
	b.reopen()
	b.wantPending("P", 1, 3)
	if done, err = b.store.Acknowledge(t.Context(), "P", []uint64{2}); len(done) != 0 || err != nil {
		t.Errorf("acknowledged twice: %v %v", done, err)
	}
}

func testSimilarNames(t *testing.T, b *bench) {
	b.accept(submission("H4/a", "1", "x", "H4/a"), submission("H4/a1", "", "x", "H4/a1"), submission("H4/a", "11", "x", "H4/a", "H41/a"))
	b.wantPending("H4/a", 1, 3)
	b.wantPending("H4/a1", 2)
	b.wantPending("H41/a", 3)
	b.wantPending("H4")
}

func testGroups(t *testing.T, b *bench) {
	b.accept(submission("A", "1", "x", "P"))
	b.accept(submission("A", "2", "x", "P"), submission("A", "1", "x", "P"), submission("A", "3", "x", "P"))
	b.accept(submission("A", "4", "x", "P"))
	b.reopen()
	want := map[uint64]store.Group{
		1: {First: 1, Leaves: [][]byte{[]byte("leaf 1")}, Note: []byte("note 1 1")},
		3: {First: 2, Leaves: [][]byte{[]byte("leaf 2"), []byte("leaf 3")}, Note: []byte("note 2 2")},
		4: {First: 4, Leaves: [][]byte{[]byte("leaf 4")}, Note: []byte("note 4 1")},
	}
	want[2] = want[3]
	for sequence, group := range want {
		got, err := b.store.Group(t.Context(), sequence)
		if diff := cmp.Diff(group, got); diff != "" || err != nil {
			t.Errorf("group of %d (-want +got), error %v:\n%s", sequence, err, diff)
		}
	}
	for _, sequence := range []uint64{0, 5} {
		if _, err := b.store.Group(t.Context(), sequence); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("group of %d: %v", sequence, err)
		}
	}
}

func testAcceptedAfter(t *testing.T, b *bench) {
	for i := range 5 {
		b.accept(submission("A", fmt.Sprint(i), "x", "P"))
	}
	size := len(record(1))
	for _, c := range []struct {
		after             uint64
		entries, bytes    int
		first, countWants int
	}{
		{0, 10, 1 << 20, 1, 5},
		{2, 10, 1 << 20, 3, 3},
		{0, 2, 1 << 20, 1, 2},
		{0, 10, 2 * size, 1, 2},
		{0, 10, 1, 1, 1},
		{5, 10, 1 << 20, 0, 0},
	} {
		entries, err := b.store.AcceptedAfter(t.Context(), c.after, c.entries, c.bytes)
		if err != nil || len(entries) != c.countWants {
			t.Errorf("after %d, %d entries, %d bytes: %d entries, error %v; want %d", c.after, c.entries, c.bytes, len(entries), err, c.countWants)
			continue
		}
		for i, e := range entries {
			want := uint64(c.first + i)
			if e.Sequence != want || string(e.Record) != string(record(want)) {
				t.Errorf("after %d: entry %d is %d %q", c.after, i, e.Sequence, e.Record)
			}
		}
	}
}
