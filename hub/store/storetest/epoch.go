package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/lienthong/lienthong/hub/store"
)

type epochStore interface {
	BeginEpoch(ctx context.Context, at, copied time.Time) (store.Epoch, error)
	Epochs() store.Epochs
}

func epochTime() time.Time { return time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC) }

func (b *bench) begin(at, copied time.Time) store.Epoch {
	b.t.Helper()
	e, err := b.store.BeginEpoch(b.t.Context(), at, copied)
	if err != nil {
		b.t.Fatalf("begin epoch: %v", err)
	}
	return e
}

// wantLog checks that the accepted log is of these sequences, whatever it is read by.
func (b *bench) wantLog(want ...uint64) {
	b.t.Helper()
	for _, atOnce := range []int{1, 1000} {
		var got []uint64
		for last, more := uint64(0), true; more; {
			entries, err := b.store.AcceptedAfter(b.t.Context(), last, atOnce, 1<<20)
			if err != nil {
				b.t.Fatalf("accepted log after %d: %v", last, err)
			}
			for _, e := range entries {
				got, last = append(got, e.Sequence), e.Sequence
				if string(e.Record) != string(record(e.Sequence)) {
					b.t.Errorf("record %d: %q", e.Sequence, e.Record)
				}
			}
			more = len(entries) > 0
		}
		if !slices.Equal(got, want) {
			b.t.Errorf("the accepted log has %v, read by %d; want %v", got, atOnce, want)
		}
	}
}

func (b *bench) wantSkipped(sequence uint64) {
	b.t.Helper()
	if g, err := b.store.Group(b.t.Context(), sequence); !errors.Is(err, store.ErrNotFound) {
		b.t.Errorf("group of %d, which was skipped: %+v, %v; want ErrNotFound", sequence, g, err)
	}
	if r, err := b.store.Records(b.t.Context(), []uint64{sequence}); !errors.Is(err, store.ErrNotFound) {
		b.t.Errorf("record %d, which was skipped: %q, %v; want ErrNotFound", sequence, r, err)
	}
	if done, err := b.store.Acknowledge(b.t.Context(), "P", []uint64{sequence}); err != nil || len(done) > 0 {
		b.t.Errorf("acknowledged %v, %v of what was skipped", done, err)
	}
}

func testEpochs(t *testing.T, b *bench) {
	b.accept(submission("A", "1", "x", "P"), submission("A", "2", "x", "P"))
	e := b.begin(epochTime(), epochTime().Add(-time.Hour))
	if e.Last != 2 || e.Next <= 1_000_000 || !e.Copied.Equal(epochTime().Add(-time.Hour)) || !e.At.Equal(epochTime()) {
		t.Errorf("epoch %+v; want one far beyond 2", e)
	}
	b.wantSkipped(3)
	b.wantLog(1, 2)
	n := e.Next
	for i, o := range b.accept(submission("A", "3", "x", "P"), submission("A", "1", "x", "P"), submission("A", "4", "x")) {
		want := []store.Outcome{{Verdict: store.Accepted, Sequence: n}, {Verdict: store.Duplicate, Sequence: 1}, {Verdict: store.Accepted, Sequence: n + 1}}[i]
		if o != want {
			t.Errorf("submission %d: %+v; want %+v", i, o, want)
		}
	}
	for range 2 {
		for _, skipped := range []uint64{3, n / 2, n - 1, n + 2} {
			b.wantSkipped(skipped)
		}
		b.wantLog(1, 2, n, n+1)
		b.wantPending("P", 1, 2, n)
		if got := b.store.Epochs(); !slices.Equal(got, store.Epochs{e}) {
			t.Errorf("epochs %+v; want %+v", got, e)
		}
		b.reopen()
	}
	b.acknowledge("P", 1, n)
	b.wantPending("P", 2)
}

// Epochs follow each other with nothing between them, and over restarts.
func testEpochsInARow(t *testing.T, b *bench) {
	var began store.Epochs
	for range 3 {
		began = append(began, b.begin(epochTime(), time.Time{}))
		b.reopen()
	}
	last := began[2].Next
	if began[0].Next >= began[1].Next || began[1].Next >= last || began[0].Last != 0 {
		t.Errorf("epochs %+v; want them to rise", began)
	}
	b.wantLog()
	if o := b.accept(submission("A", "1", "x", "P")); o[0].Sequence != last {
		t.Errorf("accepted %+v; want %d", o, last)
	}
	for _, skipped := range []uint64{1, began[0].Next, began[1].Next, last - 1} {
		b.wantSkipped(skipped)
	}
	b.reopen()
	b.wantLog(last)
	if got := b.store.Epochs(); !slices.Equal(got, began) || got.Ordinal(last) != 1 {
		t.Errorf("epochs %+v; want %+v", got, began)
	}
}
