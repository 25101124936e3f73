package hub

import (
	"testing"
	"time"
)

// asked moves a clock that is so far ahead of the true time on, minute by minute, and
// returns how far what retention goes by is ahead in the end.
func (c *boundedClock) asked(from time.Time, ahead, during time.Duration) time.Duration {
	var goesBy time.Time
	end := from
	for ; end.Before(from.Add(during)); end = end.Add(time.Minute) {
		goesBy = c.at(end.Add(ahead+time.Minute), time.Minute)
	}
	return goesBy.Sub(end)
}

// A clock that jumps is not gone by; one that stays ahead is followed slowly; one that is
// right is gone by at once, for as long as the hub runs, whether anything is accepted or not.
func TestRetentionGoesByABoundedTime(t *testing.T) {
	t.Parallel()
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	start := time.Date(2026, time.March, 2, 8, 0, 0, 0, time.UTC)
	idle := &boundedClock{known: start}
	if off := idle.asked(start, 0, 100*day); off != 0 || idle.ahead {
		t.Errorf("an idle hub with a right clock goes by a time that is off by %v", off)
	}
	now := start.Add(100 * day)
	if off := idle.asked(now, 9*year, time.Hour); off > clockAhead+clockCatchUp*time.Hour || !idle.ahead {
		t.Errorf("a clock that is nine years ahead for an hour: goes by %v ahead", off)
	}
	now = now.Add(time.Hour)
	if off := idle.asked(now, 0, time.Hour); off != 0 || idle.ahead {
		t.Errorf("the clock is right again: off by %v", off)
	}
	now = now.Add(time.Hour)
	if off := idle.asked(now, -9*year, time.Hour); off >= 0 { // what is kept longer is not lost
		t.Errorf("a clock that is behind: goes by %v ahead", off)
	}
	now = now.Add(time.Hour)
	if off := idle.asked(now, 0, time.Minute); off != 0 {
		t.Errorf("the clock is right after it was behind: off by %v", off)
	}
	wasOff := &boundedClock{known: start} // for 60 days
	now = start.Add(60 * day)
	if off := wasOff.asked(now, 0, time.Hour); off > -50*day || !wasOff.ahead {
		t.Errorf("a hub that was off for 60 days goes by a time that is off by %v in its first hour", off)
	}
	if off := wasOff.asked(now.Add(time.Hour), 0, 10*day); off != 0 || wasOff.ahead {
		t.Errorf("ten days later it is off by %v", off)
	}
}
