package store_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/hub/store"
)

func TestNewEpoch(t *testing.T) {
	t.Parallel()
	day := func(n int) time.Time { return time.Date(2026, time.January, 1+n, 0, 0, 0, 0, time.UTC) }
	const perDay = 86_400_000_000
	for name, tc := range map[string]struct {
		last       uint64
		at, copied time.Time
		want       uint64
	}{
		"by the clock":                                 {7, day(1), day(0), perDay + 1},
		"of an empty store":                            {0, day(1), time.Time{}, perDay + 1},
		"later from the same copy":                     {7, day(2), day(0), 2*perDay + 1},
		"again after an epoch":                         {perDay + 9, day(2), day(1), 2*perDay + 1},
		"with a clock before 2026":                     {7, time.Unix(0, 0), time.Time{}, 1_000_000_000_001},
		"with a clock before the copy":                 {7, day(1), day(2), 1_000_000_000_001},
		"with a clock behind what was given":           {2 * perDay, day(1), time.Time{}, 1_000_000_000_001},
		"with a clock of a far future":                 {7, day(200_000), day(0), 1_000_000_000_001},
		"without a clock, near a multiple":             {500_000_000_001, time.Unix(0, 0), time.Time{}, 2_000_000_000_001},
		"without a clock, as far away as is asked for": {500_000_000_000, time.Unix(0, 0), time.Time{}, 1_000_000_000_001},
		"without a clock, again":                       {1_000_000_000_005, time.Unix(0, 0), time.Time{}, 2_000_000_000_001},
	} {
		e, err := store.NewEpoch(tc.last, tc.at, tc.copied)
		if err != nil || e.Next != tc.want || e.Last != tc.last {
			t.Errorf("%s: %+v, %v; want %d", name, e, err, tc.want)
		}
	}
	if e, err := store.NewEpoch(1<<53-1_000_000, day(1), day(0)); !errors.Is(err, store.ErrExhausted) {
		t.Errorf("at the end of sequences: %+v, %v; want ErrExhausted", e, err)
	}
}

// Places in the log and sequences are one to one, and rise together; what is skipped is in
// the gap of one epoch.
func TestOrdinalsOfEpochs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var epochs store.Epochs
		var given []uint64
		next := uint64(1)
		for range rapid.IntRange(0, 4).Draw(t, "epochs") {
			for range rapid.IntRange(0, 5).Draw(t, "packets") {
				given = append(given, next)
				next++
			}
			e := store.Epoch{Last: next - 1, Next: next + rapid.Uint64Range(1, 1000).Draw(t, "gap")}
			for _, skipped := range []uint64{next, e.Next - 1} {
				if in, ok := append(epochs, e).Gap(skipped); !ok || in != e {
					t.Fatalf("%d is in %+v, %v; want %+v", skipped, in, ok, e)
				}
			}
			epochs, next = append(epochs, e), e.Next
		}
		for range 3 {
			given = append(given, next)
			next++
		}
		for i, sequence := range given {
			ordinal := uint64(i + 1)
			if got := epochs.Ordinal(sequence); got != ordinal {
				t.Fatalf("%d has place %d; want %d; epochs %+v", sequence, got, ordinal, epochs)
			}
			if got := epochs.Sequence(ordinal); got != sequence {
				t.Fatalf("at place %d is %d; want %d; epochs %+v", ordinal, got, sequence, epochs)
			}
			if e, ok := epochs.Gap(sequence); ok {
				t.Fatalf("%d was skipped by %+v", sequence, e)
			}
		}
	})
}
