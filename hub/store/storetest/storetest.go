// Package storetest is the contract that every store keeps: one suite, run over
// each implementation by its own tests.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lienthong/lienthong/hub/store"
)

// Store is everything the hub's rooms ask of a store, together.
type Store interface {
	exchangeStore
	deadStore
	retentionStore
	viewStore
	registryStore
	Close() error
}

type exchangeStore interface {
	Accept(ctx context.Context, group []store.Submission, seal store.SealFunc) ([]store.Outcome, error)
	Find(ctx context.Context, sender, id string) (uint64, [32]byte, error)
	Group(ctx context.Context, sequence uint64) (store.Group, error)
	Records(ctx context.Context, sequences []uint64) ([][]byte, error)
	Pending(ctx context.Context, recipient string, after uint64, limit int) ([]store.Pending, error)
	Acknowledge(ctx context.Context, recipient string, sequences []uint64) ([]uint64, error)
	AcceptedAfter(ctx context.Context, after uint64, maxEntries, maxBytes int) ([]store.Entry, error)
}

type retentionStore interface {
	Retain(ctx context.Context, how store.Retention, removing func(context.Context, []store.Entry) error) (store.Retained, error)
}

type deadStore interface {
	Bury(ctx context.Context, recipient string, letters []store.DeadLetter) ([]uint64, error)
	DeadLetters(ctx context.Context, recipient string, after uint64, limit int) ([]store.DeadLetter, error)
	Revive(ctx context.Context, recipient string, sequences []uint64) ([]store.Pending, error)
	Discard(ctx context.Context, recipient string, sequences []uint64) ([]uint64, error)
	State(ctx context.Context, recipient string, sequence uint64) (store.State, store.DeadLetter, error)
	Backlog(ctx context.Context, recipient string) (store.Backlog, error)
}

type viewStore interface {
	ViewCursor(ctx context.Context) (uint64, error)
	ApplyView(ctx context.Context, cursor uint64, changes []store.Item) error
	ViewItem(ctx context.Context, kind, key string) ([]byte, error)
	ViewItems(ctx context.Context, kind, keyPrefix string, limit int) ([]store.Item, error)
}

type registryStore interface {
	LoadItems(ctx context.Context, kinds []string) ([]store.Item, error)
	SaveItems(ctx context.Context, items []store.Item) error
	AppendAudit(ctx context.Context, record []byte) (uint64, error)
	AuditAfter(ctx context.Context, after uint64, limit int) ([]store.Entry, error)
}

// Open opens the store that a test works on. Called again after Close it opens
// the same data. A store that puts off what is little is opened so that nothing is.
type Open func() (Store, error)

// Run runs the contract. fresh returns how to open a new, empty store.
func Run(t *testing.T, fresh func(t *testing.T) Open) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *bench){
		"accept gives sequences without gaps and delivers to each recipient": testAccept,
		"same key and digest is a duplicate, other digest a conflict":        testIdempotency,
		"a key twice in one group is decided once":                           testTwiceInGroup,
		"a failed seal stores nothing":                                       testFailedSeal,
		"acknowledged is gone, unacknowledged stays over a restart":          testAcknowledge,
		"inboxes of similar names do not mix":                                testSimilarNames,
		"a dead letter leaves the inbox and can come back":                   testDeadLetters,
		"dead letters are found over a restart, in pages":                    testDeadLettersStay,
		"a dead letter is settled once":                                      testSettledOnce,
		"the backlog is what waits":                                          testBacklog,
		"groups are found from any of their sequences":                       testGroups,
		"a group stays itself while others are committed":                    testGroupsWhileCommitting,
		"the accepted log is read in order within its bounds":                testAcceptedAfter,
		"view items and cursor move together":                                testViews,
		"registry items are saved all or none":                               testItems,
		"audit lines are numbered without gaps":                              testAudit,
		"concurrent groups lose and mix nothing":                             testConcurrent,
		"concurrent audit lines have numbers of their own":                   testConcurrentAudit,
		"sequences that callers make up lead nowhere":                        testMadeUpSequences,
		"what is done goes when it is old enough":                            testRetainByAge,
		"what is done goes when there is too much of it":                     testRetainBySize,
		"what is removed is still what was accepted":                         testRetainKeepsIdentities,
		"of a group some go and others stay":                                 testRetainPartsOfGroups,
		"a removal that fails leaves what is there":                          testRetainCanFail,
		"without bounds everything is kept":                                  testRetainForEver,
		"a closed store says so":                                             testClosed,
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{t: t, open: fresh(t)}
			b.reopen()
			t.Cleanup(func() {
				if err := b.store.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			test(t, b)
		})
	}
}

// bench is what one test works on.
type bench struct {
	t     *testing.T
	open  Open
	store Store
}

func (b *bench) reopen() {
	b.t.Helper()
	if b.store != nil {
		if err := b.store.Close(); err != nil {
			b.t.Fatalf("close: %v", err)
		}
	}
	opened, err := b.open()
	if err != nil {
		b.t.Fatalf("open: %v", err)
	}
	b.store = opened
}

// accept submits a group whose records and leaves tell their sequence.
func (b *bench) accept(group ...store.Submission) []store.Outcome {
	b.t.Helper()
	outcomes, err := b.store.Accept(b.t.Context(), group, seal)
	if err != nil {
		b.t.Fatalf("accept: %v", err)
	}
	if len(outcomes) != len(group) {
		b.t.Fatalf("%d outcomes for %d submissions", len(outcomes), len(group))
	}
	return outcomes
}

func seal(fresh []store.Fresh) (store.Sealed, error) {
	sealed := store.Sealed{Note: fmt.Appendf(nil, "note %d %d", fresh[0].Sequence, len(fresh))}
	for _, f := range fresh {
		sealed.Records = append(sealed.Records, record(f.Sequence))
		sealed.Leaves = append(sealed.Leaves, fmt.Appendf(nil, "leaf %d", f.Sequence))
	}
	return sealed, nil
}

func record(sequence uint64) []byte { return fmt.Appendf(nil, "record %d", sequence) }

func submission(sender, id, content string, recipients ...string) store.Submission {
	sub := store.Submission{Sender: sender, ID: id, Recipients: recipients, Order: 7}
	copy(sub.Digest[:], content)
	return sub
}

func (b *bench) pending(recipient string) []uint64 {
	b.t.Helper()
	pending, err := b.store.Pending(b.t.Context(), recipient, 0, 1000)
	if err != nil {
		b.t.Fatalf("pending of %s: %v", recipient, err)
	}
	sequences := []uint64{}
	for _, p := range pending {
		sequences = append(sequences, p.Sequence)
	}
	return sequences
}

func (b *bench) wantPending(recipient string, want ...uint64) {
	b.t.Helper()
	if diff := cmp.Diff(append([]uint64{}, want...), b.pending(recipient)); diff != "" {
		b.t.Errorf("pending of %s (-want +got):\n%s", recipient, diff)
	}
}

func wantOutcomes(t *testing.T, got []store.Outcome, want ...store.Outcome) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

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

func testViews(t *testing.T, b *bench) {
	ctx := t.Context()
	if cursor, err := b.store.ViewCursor(ctx); cursor != 0 || err != nil {
		t.Errorf("cursor of a new store: %d %v", cursor, err)
	}
	items := []store.Item{{Kind: "k", Key: "a1", Value: []byte("1")}, {Kind: "k", Key: "a2", Value: []byte{}}, {Kind: "k", Key: "b", Value: []byte("3")}, {Kind: "k2", Key: "a", Value: []byte("4")}}
	if err := b.store.ApplyView(ctx, 9, items); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	if err := b.store.ApplyView(ctx, 11, []store.Item{{Kind: "k", Key: "b"}}); err != nil {
		t.Fatal(err)
	}
	if cursor, err := b.store.ViewCursor(ctx); cursor != 11 || err != nil {
		t.Errorf("cursor: %d %v", cursor, err)
	}
	found, err := b.store.ViewItems(ctx, "k", "a", 10)
	if diff := cmp.Diff(items[:2], found); diff != "" || err != nil {
		t.Errorf("items with prefix a (-want +got), error %v:\n%s", err, diff)
	}
	if found, err = b.store.ViewItems(ctx, "k", "", 1); len(found) != 1 || err != nil {
		t.Errorf("limit of 1: %v %v", found, err)
	}
	if value, err := b.store.ViewItem(ctx, "k2", "a"); string(value) != "4" || err != nil {
		t.Errorf("item: %q %v", value, err)
	}
	if _, err := b.store.ViewItem(ctx, "k", "b"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted item: %v", err)
	}
}

func testItems(t *testing.T, b *bench) {
	ctx := t.Context()
	items := []store.Item{{Kind: "node", Key: "H41/a", Value: []byte("1")}, {Kind: "node", Key: "H41/b", Value: []byte("2")}, {Kind: "right", Key: "1", Value: []byte("3")}}
	if err := b.store.SaveItems(ctx, items); err != nil {
		t.Fatal(err)
	}
	if err := b.store.SaveItems(ctx, []store.Item{{Kind: "node", Key: "H41/a", Value: []byte("changed")}, {Kind: "no\x00de", Key: "x", Value: []byte("1")}}); err == nil {
		t.Error("a kind with a zero byte was saved")
	}
	if err := b.store.SaveItems(ctx, []store.Item{{Kind: "node", Key: "H41/b"}}); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	found, err := b.store.LoadItems(ctx, []string{"node", "right", "token"})
	if diff := cmp.Diff([]store.Item{items[0], items[2]}, found); diff != "" || err != nil {
		t.Errorf("items (-want +got), error %v:\n%s", err, diff)
	}
}

func testAudit(t *testing.T, b *bench) {
	for i := range 3 {
		sequence, err := b.store.AppendAudit(t.Context(), fmt.Appendf(nil, "line %d", i+1))
		if err != nil || sequence != uint64(i+1) {
			t.Fatalf("line %d: sequence %d, error %v", i+1, sequence, err)
		}
		b.reopen()
	}
	entries, err := b.store.AuditAfter(t.Context(), 1, 1)
	if diff := cmp.Diff([]store.Entry{{Sequence: 2, Record: []byte("line 2")}}, entries); diff != "" || err != nil {
		t.Errorf("audit after 1 (-want +got), error %v:\n%s", err, diff)
	}
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

func testMadeUpSequences(t *testing.T, b *bench) {
	ctx := t.Context()
	b.accept(submission("A", "1", "x", "P"))
	if _, err := b.store.AppendAudit(ctx, []byte("line")); err != nil {
		t.Fatal(err)
	}
	for _, after := range []uint64{1, 2, 1 << 40, math.MaxUint64 - 1, math.MaxUint64} {
		if pending, err := b.store.Pending(ctx, "P", after, 10); len(pending) != 0 || err != nil {
			t.Errorf("pending after %d: %v, %v; want none", after, pending, err)
		}
		if entries, err := b.store.AcceptedAfter(ctx, after, 10, 1000); len(entries) != 0 || err != nil {
			t.Errorf("accepted after %d: %v, %v; want none", after, entries, err)
		}
		if lines, err := b.store.AuditAfter(ctx, after, 10); len(lines) != 0 || err != nil {
			t.Errorf("audit after %d: %v, %v; want none", after, lines, err)
		}
		if after == 1 {
			continue
		}
		if _, err := b.store.Group(ctx, after); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("group of %d: %v; want ErrNotFound", after, err)
		}
		if _, err := b.store.Records(ctx, []uint64{after}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("record %d: %v; want ErrNotFound", after, err)
		}
		if done, err := b.store.Acknowledge(ctx, "P", []uint64{after}); len(done) != 0 || err != nil {
			t.Errorf("acknowledge %d: %v, %v; want none", after, done, err)
		}
	}
	if _, err := b.store.Records(ctx, []uint64{0}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("record 0: %v; want ErrNotFound", err)
	}
}

func testClosed(t *testing.T, b *bench) {
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.store.Accept(t.Context(), []store.Submission{submission("A", "1", "x", "P")}, seal); !errors.Is(err, store.ErrClosed) {
		t.Errorf("accept on a closed store: %v", err)
	}
	if _, err := b.store.Pending(t.Context(), "P", 0, 1); !errors.Is(err, store.ErrClosed) {
		t.Errorf("pending on a closed store: %v", err)
	}
	if _, err := b.store.Retain(t.Context(), store.Retention{}, nil); !errors.Is(err, store.ErrClosed) {
		t.Errorf("retain on a closed store: %v", err)
	}
}
