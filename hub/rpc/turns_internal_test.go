package rpc

import (
	"slices"
	"testing"
	"time"
)

// line joins turns and says, by its names, whose turn has come.
type line struct {
	t     *testing.T
	turns *turns
	in    map[string]*turn
}

func newLine(t *testing.T, slots, places limit) *line {
	t.Helper()
	at := time.Unix(0, 0)
	clock := func() time.Time { at = at.Add(time.Hour); return at } // nobody waits for the rate
	l := &line{t: t, turns: newTurns(clock, time.Millisecond, slots, places), in: map[string]*turn{}}
	t.Cleanup(l.turns.stop)
	return l
}

// join is for names like "a1": the first letter is the address.
func (l *line) join(names ...string) {
	l.t.Helper()
	for _, name := range names {
		joined, err := l.turns.join(name[:1])
		if err != nil {
			l.t.Fatalf("%s: %v", name, err)
		}
		l.in[name] = joined
	}
}

// told takes what was said since the last time.
func (l *line) told() (come, refused []string) {
	for name, one := range l.in {
		select {
		case err := <-one.told:
			if err != nil {
				refused = append(refused, name)
			} else {
				come = append(come, name)
			}
		default:
		}
	}
	slices.Sort(come)
	slices.Sort(refused)
	return come, refused
}

// Who comes from an address of its own waits for one of each other address, not for all
// that came before it from them.
func TestAddressesTakeTurns(t *testing.T) {
	t.Parallel()
	l := newLine(t, limit{all: 1, each: 1}, limit{all: 100, each: 100})
	l.join("a1", "a2", "a3", "a4", "b1", "b2", "c1")
	for _, want := range []string{"a1", "a2", "b1", "c1", "a3", "b2", "a4"} {
		if come, refused := l.told(); !slices.Equal(come, []string{want}) || len(refused) > 0 {
			t.Fatalf("it is the turn of %v (refused: %v); want %s", come, refused, want)
		}
		l.turns.leave(l.in[want])
	}
	if len(l.turns.addresses)+len(l.turns.round)+l.turns.waiting+l.turns.running != 0 {
		t.Errorf("all have left; still there: %+v", l.turns)
	}
}

// Where the line is full, the last of the address with the most gives way to another
// address, as long as that has fewer.
func TestAFullLineMakesRoomForOtherAddresses(t *testing.T) {
	t.Parallel()
	l := newLine(t, limit{all: 1, each: 1}, limit{all: 4, each: 100})
	l.join("a0", "a1", "a2", "a3", "a4") // the first is not waiting
	l.join("b1", "b2")
	if _, refused := l.told(); !slices.Equal(refused, []string{"a3", "a4"}) {
		t.Errorf("%v made room; want the last two of the address with the most", refused)
	}
	for _, host := range []string{"a", "b"} {
		if _, err := l.turns.join(host); err == nil {
			t.Errorf("%s has as many in the full line as any other, and got one more in", host)
		}
	}
	for _, name := range []string{"a3", "a4", "a0", "a1", "a2", "b1", "b2"} { // in any order
		l.turns.leave(l.in[name])
	}
	if len(l.turns.addresses)+len(l.turns.round)+l.turns.waiting+l.turns.running != 0 {
		t.Errorf("all have left; still there: %+v", l.turns)
	}
}

// One address has no more in progress than its share, however few come from others.
func TestAnAddressHasNoMoreThanItsShare(t *testing.T) {
	t.Parallel()
	l := newLine(t, shared(8), shared(16))
	l.join("a1", "a2", "a3", "b1")
	if come, _ := l.told(); !slices.Equal(come, []string{"a1", "a2", "b1"}) {
		t.Errorf("%v go on; want two of the one address, and the other", come)
	}
	l.join("a4")
	if _, err := l.turns.join("a"); err == nil {
		t.Error("an address got a fifth of 16 places")
	}
}

// A clock that was put back, or stands still, does not hold up the line.
func TestTurnsGoOnWhateverTheClockSays(t *testing.T) {
	t.Parallel()
	at := make(chan time.Time, 1)
	at <- time.Unix(1000, 0)
	clock := func() time.Time { now := <-at; at <- now; return now }
	turns := newTurns(clock, time.Millisecond, shared(4000), shared(4000))
	defer turns.stop()
	for i := range 300 { // more than may come ahead
		if i == 150 {
			<-at
			at <- time.Unix(10, 0)
		}
		joined, err := turns.join("a")
		if err != nil {
			t.Fatal(err)
		}
		if err := <-joined.told; err != nil {
			t.Fatal(err)
		}
	}
}
