package pebblestore

import (
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// A tally is a map, whatever is put and removed, and wherever keys collide.
func TestTallyIsAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		of, want := newTally(), map[hashed]uint64{}
		keys := rapid.Custom(func(t *rapid.T) hashed {
			return hashed{1 + rapid.Uint64Range(0, 40).Draw(t, "place")*uint64(leastSlots)/8, rapid.Uint16Range(0, 40).Draw(t, "more")}
		})
		for range rapid.IntRange(1, 2000).Draw(t, "steps") {
			k := keys.Draw(t, "key")
			before, was := want[k]
			var got uint64
			var there bool
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2, 3:
				if of.crowded() {
					of.grow()
				}
				value := rapid.Uint64Range(0, maxValue).Draw(t, "value")
				got, there = of.put(k, value)
				want[k] = value
			case 4, 5, 6:
				got, there = of.remove(k)
				delete(want, k)
			case 7, 8:
				got, there = of.get(k)
			case 9:
				half := share{0, rapid.Uint64Range(leastSlots, 1<<14).Draw(t, "share")}
				of.keep(half)
				maps.DeleteFunc(want, func(k hashed, _ uint64) bool { return !half.has(k) })
				continue
			}
			if there != was || was && got != before || of.used != len(want) {
				t.Fatalf("%v: %d, %t; want %d, %t; %d keys of %d", k, got, there, before, was, of.used, len(want))
			}
		}
	})
}
