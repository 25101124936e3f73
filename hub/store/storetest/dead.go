package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lienthong/lienthong/hub/store"
)

// letter is a dead letter as the tests make them.
func letter(sequence uint64) store.DeadLetter {
	return store.DeadLetter{Sequence: sequence, Reason: "không đọc được", Attempts: 3, At: time.Unix(1_700_000_000, 5)}
}

// threePackets accepts three packets to P, the second one to Q too.
func threePackets(b *bench) {
	b.t.Helper()
	b.accept(submission("A", "1", "x", "P"), submission("A", "2", "x", "P", "Q"), submission("A", "3", "x", "P"))
}

func (b *bench) bury(recipient string, sequences ...uint64) []uint64 {
	b.t.Helper()
	letters := make([]store.DeadLetter, len(sequences))
	for i, sequence := range sequences {
		letters[i] = letter(sequence)
	}
	done, err := b.store.Bury(b.t.Context(), recipient, letters)
	if err != nil {
		b.t.Fatalf("bury: %v", err)
	}
	return done
}

func (b *bench) wantState(recipient string, sequence uint64, want store.State) {
	b.t.Helper()
	state, dead, err := b.store.State(b.t.Context(), recipient, sequence)
	if err != nil || state != want {
		b.t.Errorf("delivery of %d to %s is in state %d, %v; want %d", sequence, recipient, state, err, want)
	}
	if (want == store.Dead || want == store.Discarded) && !dead.At.Equal(letter(sequence).At) {
		b.t.Errorf("%d is dead since %v", sequence, dead.At)
	}
}

func (b *bench) wantDead(recipient string, want ...uint64) {
	b.t.Helper()
	letters, err := b.store.DeadLetters(b.t.Context(), recipient, 0, 100)
	if err != nil {
		b.t.Fatalf("dead letters: %v", err)
	}
	var found []uint64
	for _, l := range letters {
		l.At = l.At.UTC()
		wanted := letter(l.Sequence)
		wanted.At = wanted.At.UTC()
		if diff := cmp.Diff(wanted, l); diff != "" {
			b.t.Errorf("dead letter (-want +got):\n%s", diff)
		}
		found = append(found, l.Sequence)
	}
	if !slices.Equal(found, want) {
		b.t.Errorf("dead letters of %s are %v; want %v", recipient, found, want)
	}
}

func testDeadLetters(t *testing.T, b *bench) {
	threePackets(b)
	if done := b.bury("P", 2, 2, 7); !slices.Equal(done, []uint64{2}) {
		t.Errorf("buried %v; want what waited", done)
	}
	b.wantPending("P", 1, 3)
	b.wantPending("Q", 2)
	b.wantState("P", 1, store.Waiting)
	b.wantState("P", 2, store.Dead)
	b.wantState("Q", 2, store.Waiting)
	if done := b.bury("P", 2); len(done) > 0 {
		t.Errorf("buried again: %v", done)
	}
	if done, err := b.store.Acknowledge(t.Context(), "P", []uint64{2}); err != nil || len(done) > 0 {
		t.Errorf("acknowledged a dead letter: %v, %v", done, err)
	}
	back, err := b.store.Revive(t.Context(), "P", []uint64{1, 2})
	want := []store.Pending{{Sequence: 2, Order: 7, Size: uint32(len(record(2)))}}
	if diff := cmp.Diff(want, back); diff != "" || err != nil {
		t.Errorf("came back (-want +got), error %v:\n%s", err, diff)
	}
	b.wantPending("P", 1, 2, 3)
	b.wantDead("P")
	b.wantState("P", 2, store.Waiting)
	b.reopen()
	b.wantPending("P", 1, 2, 3)
	b.wantDead("P")
	if done, err := b.store.Acknowledge(t.Context(), "P", []uint64{2}); err != nil || len(done) != 1 {
		t.Errorf("acknowledged what came back: %v, %v", done, err)
	}
	b.wantState("P", 2, store.Acknowledged)
}

func testDeadLettersStay(t *testing.T, b *bench) {
	threePackets(b)
	b.bury("P", 1, 3)
	b.reopen()
	b.wantDead("P", 1, 3)
	b.wantDead("Q")
	b.bury("P", 2)
	b.wantDead("P", 1, 2, 3)
	page, err := b.store.DeadLetters(t.Context(), "P", 1, 1)
	if err != nil || len(page) != 1 || page[0].Sequence != 2 {
		t.Errorf("one dead letter after 1: %v, %v", page, err)
	}
	b.reopen()
	b.wantDead("P", 1, 2, 3)
	b.wantPending("P")
	if done, err := b.store.Discard(t.Context(), "P", []uint64{2, 3, 9}); err != nil || !slices.Equal(done, []uint64{2, 3}) {
		t.Errorf("discarded %v, %v", done, err)
	}
	for range 2 {
		b.wantDead("P", 1)
		b.wantState("P", 1, store.Dead)
		b.wantState("P", 2, store.Discarded)
		b.wantState("P", 3, store.Discarded)
		b.wantState("Q", 2, store.Waiting)
		b.reopen()
	}
}

// Whoever settles a dead letter, by whatever call, only one does.
func testSettledOnce(t *testing.T, b *bench) {
	threePackets(b)
	b.bury("P", 1)
	var mu sync.Mutex
	settled := 0
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			var n int
			var err error
			if i%2 == 0 {
				var back []store.Pending
				back, err = b.store.Revive(t.Context(), "P", []uint64{1})
				n = len(back)
			} else {
				var done []uint64
				done, err = b.store.Discard(t.Context(), "P", []uint64{1})
				n = len(done)
			}
			if err != nil {
				t.Errorf("settle: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			settled += n
		})
	}
	all.Wait()
	if settled != 1 {
		t.Errorf("settled %d times", settled)
	}
	b.wantDead("P")
}

func testBacklog(t *testing.T, b *bench) {
	threePackets(b)
	size := int64(len(record(1)))
	for step, do := range []func(){
		func() {},
		func() { b.reopen() },
		func() {
			if _, err := b.store.Acknowledge(t.Context(), "P", []uint64{1, 1, 5}); err != nil {
				t.Error(err)
			}
		},
		func() { b.reopen() },
		func() { b.bury("P", 2) },
		func() { b.reopen() },
		func() {
			if _, err := b.store.Revive(t.Context(), "P", []uint64{2}); err != nil {
				t.Error(err)
			}
		},
		func() { b.reopen() },
		func() { b.accept(submission("A", "4", "x", "P")) },
	} {
		do()
		want := int64([]int{3, 3, 2, 2, 1, 1, 2, 2, 3}[step])
		got, err := b.store.Backlog(t.Context(), "P")
		if err != nil || got != (store.Backlog{Deliveries: want, Bytes: want * size}) {
			t.Errorf("step %d: backlog %v, %v; want %d deliveries of %d bytes", step, got, err, want, size)
		}
	}
	if got, err := b.store.Backlog(t.Context(), "nobody"); err != nil || got != (store.Backlog{}) {
		t.Errorf("backlog of nobody: %v, %v", got, err)
	}
}
