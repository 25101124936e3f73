package pebblestore

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
)

// identities are idempotency keys and what was accepted under them. Hundreds of
// thousands are in memory at a time, so they are kept without a pointer that the
// garbage collector would have to follow.
type identities struct {
	seed   maphash.Seed
	byHash map[uint64]int32 // the latest one with a hash
	all    []kept
	keys   []byte // of all, one after another
}

type kept struct {
	identity
	keyEnd  int
	earlier int32 // one more with the same hash, or none
}

type identity struct {
	sequence uint64
	digest   [32]byte
}

const none int32 = -1

func newIdentities(expected int) identities {
	return identities{seed: maphash.MakeSeed(), byHash: make(map[uint64]int32, expected), all: make([]kept, 0, expected)}
}

func (s *identities) len() int { return len(s.all) }

func (s *identities) key(i int32) []byte {
	from := 0
	if i > 0 {
		from = s.all[i-1].keyEnd
	}
	return s.keys[from:s.all[i].keyEnd]
}

// get returns what was accepted under a key.
func (s *identities) get(key []byte) (identity, bool) {
	i, ok := s.byHash[maphash.Bytes(s.seed, key)]
	for ok && i != none {
		if bytes.Equal(s.key(i), key) {
			return s.all[i].identity, true
		}
		i = s.all[i].earlier
	}
	return identity{}, false
}

// add keeps a key that is not there yet.
func (s *identities) add(key []byte, what identity) {
	hash := maphash.Bytes(s.seed, key)
	earlier, ok := s.byHash[hash]
	if !ok {
		earlier = none
	}
	s.byHash[hash] = int32(len(s.all)) //nolint:gosec // bounded by the window
	s.keys = append(s.keys, key...)
	s.all = append(s.all, kept{identity: what, keyEnd: len(s.keys), earlier: earlier})
}

// reset forgets all.
func (s *identities) reset() {
	clear(s.byHash)
	s.all, s.keys = s.all[:0], s.keys[:0]
}

// sorted returns the numbers of all, in the order of their keys.
func (s *identities) sorted() []int32 {
	order := make([]int32, len(s.all))
	for i := range order {
		order[i] = int32(i) //nolint:gosec // bounded by the window
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Or(bytes.Compare(s.key(a), s.key(b)), cmp.Compare(a, b)) })
	return order
}
