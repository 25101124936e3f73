package store_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/hub/store"
)

func day(n int) time.Time { return time.Date(2026, time.January, 1+n, 0, 0, 0, 0, time.UTC) }

func TestNewEpoch(t *testing.T) {
	t.Parallel()
	const perDay, apart = 86_400_000_000, 500_000_000_000
	for name, tc := range map[string]struct {
		last       uint64
		at, copied time.Time
		random     uint64
		want       uint64
	}{
		"by the clock":                                {7, day(1), day(0).Add(time.Hour), 0, perDay + 1},
		"within a second":                             {7, day(1).Add(3 * time.Millisecond), day(0).Add(time.Hour), 0, perDay + 3_001},
		"by the clock and at random":                  {7, day(1), day(0).Add(time.Hour), 12_345, perDay + 12_346},
		"by the clock, and as random as can be":       {7, day(1), day(0).Add(time.Hour), 999_999_999, perDay + 1_000_000_000},
		"with a number that is larger":                {7, day(1), day(0).Add(time.Hour), 1_000_000_000, perDay + 1},
		"of an empty store":                           {0, day(10), time.Time{}, 0, 10*perDay + 1},
		"later from the same copy":                    {7, day(2), day(0).Add(time.Hour), 0, 2*perDay + 1},
		"again after an epoch":                        {perDay + 9, day(3), day(2), 0, 3*perDay + 1},
		"of a copy whose sequences were ahead":        {perDay + 9, day(2), day(1), 0, perDay + 9 + apart + 1},
		"of a copy of an unknown time, and too soon":  {7, day(5), time.Time{}, 0, 7 + apart + 1},
		"with a clock before 2026":                    {7, time.Unix(0, 0), time.Time{}, 0, 7 + apart + 1},
		"with a clock before the copy":                {7, day(1), day(2), 0, 7 + apart + 1},
		"with a clock behind what was given":          {2 * perDay, day(1), time.Time{}, 0, 2*perDay + apart + 1},
		"with a clock of a far future":                {7, day(200_000), day(0).Add(time.Hour), 0, 7 + apart + 1},
		"without a clock and at random":               {7, time.Unix(0, 0), day(0).Add(time.Hour), 12_345, 7 + apart + 12_346},
		"without a clock, and as random as can be":    {7, time.Unix(0, 0), day(0), 9_999_999_999_999, 7 + apart + 10_000_000_000_000},
		"without a clock, with a number larger still": {7, time.Unix(0, 0), day(0), 10_000_000_000_000, 7 + apart + 1},
	} {
		e, err := store.NewEpoch(tc.last, tc.at, tc.copied, tc.random)
		if err != nil || e.Next != tc.want || e.Last != tc.last {
			t.Errorf("%s: %+v, %v; want %d", name, e, err, tc.want)
		}
	}
	if e, err := store.NewEpoch(1<<53-1_000_000, day(1), day(0), 0); !errors.Is(err, store.ErrExhausted) {
		t.Errorf("at the end of sequences: %+v, %v; want ErrExhausted", e, err)
	}
}

// Whatever the clock says, epochs fit the numbers of JSON, and two of one copy begin at
// different sequences.
func TestTwoEpochsOfOneCopyDiffer(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		last := rapid.Uint64Range(0, 1<<53-1-20_000_000_000_000).Draw(t, "last")
		times := rapid.Custom(func(t *rapid.T) time.Time {
			return day(rapid.IntRange(-20_000, 200_000).Draw(t, "day")).Add(time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "time")))
		})
		at, copied := times.Draw(t, "at"), times.Draw(t, "copied")
		if rapid.Bool().Draw(t, "unknown") {
			copied = time.Time{}
		}
		random := rapid.Uint64Range(0, 1<<63).Draw(t, "random")
		first, err := store.NewEpoch(last, at, copied, random)
		if err != nil || first.Next <= last+1 || first.Next >= 1<<53 {
			t.Fatalf("%+v, %v after %d", first, err, last)
		}
		second, err := store.NewEpoch(last, at, copied, random+1)
		if err != nil || second.Next == first.Next {
			t.Fatalf("both begin with %d: %v", second.Next, err)
		}
	})
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
