package pebblestore

import "hash/maphash"

// share is which part of all keys is looked at: those whose hashes are from one to
// another. What does not fit into memory at once is looked at one share after another.
type share struct{ from, to uint64 }

func (s share) has(k hashed) bool { return s.from <= k.hash && k.hash <= s.to }

// hashed is a key of a tally. With 80 bits, among a billion keys two are the same once
// in a million times.
type hashed struct {
	hash uint64
	more uint16
}

// hasher makes keys that nobody outside can foretell.
type hasher struct{ first, second maphash.Seed }

func newHasher() hasher { return hasher{maphash.MakeSeed(), maphash.MakeSeed()} }

func (h hasher) key(b []byte) hashed {
	return hashed{max(maphash.Bytes(h.first, b), 1), uint16(maphash.Bytes(h.second, b))} //nolint:gosec // a part is meant
}

// sum tells values apart.
func (h hasher) sum(b []byte) uint64 { return maphash.Bytes(h.second, b) & maxValue }

// valueBits is how large a value of a tally can be.
const valueBits = 48

const maxValue = 1<<valueBits - 1

// tally remembers keys and a number for each, in 16 bytes a place.
type tally struct {
	slots []slot // a power of two
	used  int
}

// slot has, in what, the rest of the key above the value. A hash of 0 is an empty slot.
type slot struct{ hash, what uint64 }

func (s slot) is(k hashed) bool { return s.hash == k.hash && s.what>>valueBits == uint64(k.more) }

const leastSlots = 1 << 10

func newTally() *tally { return &tally{slots: make([]slot, leastSlots)} }

// put remembers a value, and returns the one before.
func (t *tally) put(k hashed, value uint64) (before uint64, was bool) {
	at, was := t.find(k)
	if was {
		before = t.slots[at].what & maxValue
	} else {
		t.used++
	}
	t.slots[at] = slot{k.hash, uint64(k.more)<<valueBits | value&maxValue}
	return before, was
}

func (t *tally) get(k hashed) (value uint64, there bool) {
	at, there := t.find(k)
	return t.slots[at].what & maxValue, there
}

// remove forgets a key, and returns its value.
func (t *tally) remove(k hashed) (value uint64, was bool) {
	at, was := t.find(k)
	if !was {
		return 0, false
	}
	value = t.slots[at].what & maxValue
	t.used--
	// What stands behind moves up, unless it stands where it belongs.
	mask := len(t.slots) - 1
	for next := (at + 1) & mask; t.slots[next].hash != 0; next = (next + 1) & mask {
		if home := t.home(t.slots[next].hash); (next-home)&mask >= (next-at)&mask {
			t.slots[at] = t.slots[next]
			at = next
		}
	}
	t.slots[at] = slot{}
	return value, true
}

// home is where a key belongs. Shares are told by the upper bits; these are the lower.
func (t *tally) home(hash uint64) int { return int(hash & uint64(len(t.slots)-1)) } //nolint:gosec // masked

// find returns where a key is, or would be.
func (t *tally) find(k hashed) (at int, there bool) {
	for at = t.home(k.hash); t.slots[at].hash != 0; at = (at + 1) & (len(t.slots) - 1) {
		if t.slots[at].is(k) {
			return at, true
		}
	}
	return at, false
}

// crowded says that the next key needs more room.
func (t *tally) crowded() bool { return 4*t.used >= 3*len(t.slots) }

func (t *tally) grow() { t.rebuilt(2*len(t.slots), share{0, 1<<64 - 1}) }

// keep forgets what is not in a share.
func (t *tally) keep(s share) { t.rebuilt(len(t.slots), s) }

func (t *tally) rebuilt(size int, s share) {
	old := t.slots
	t.slots, t.used = make([]slot, size), 0
	for _, each := range old {
		k := hashed{each.hash, uint16(each.what >> valueBits)} //nolint:gosec // the rest of the key
		if each.hash != 0 && s.has(k) {
			t.put(k, each.what)
		}
	}
}
