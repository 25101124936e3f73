// Package storetest is the contract that every store keeps: one suite, run over
// each implementation by its own tests.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lienthong/lienthong/hub/store"
)

// Store is everything the hub's rooms ask of a store, together.
type Store interface {
	exchangeStore
	deadStore
	retentionStore
	epochStore
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
		"an epoch skips sequences, and changes none":                         testEpochs,
		"epochs follow each other":                                           testEpochsInARow,
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
