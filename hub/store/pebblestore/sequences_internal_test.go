package pebblestore

import (
	"testing"

	"pgregory.net/rapid"
)

// Sequences are a set, in chunks that are empty, full, and in between.
func TestSequencesAreASet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var of sequences
		want := map[uint64]bool{}
		for range rapid.IntRange(1, 3).Draw(t, "runs") {
			from := rapid.Uint64Range(0, 4*chunkBits).Draw(t, "from")
			length := rapid.SampledFrom([]uint64{1, 63, 64, 65, chunkBits, 2 * chunkBits}).Draw(t, "length")
			for n := from; n < from+length; n++ {
				of.add(n)
				want[n] = true
			}
		}
		for range 5 {
			from := rapid.Uint64Range(0, 7*chunkBits).Draw(t, "from")
			to := from + rapid.Uint64Range(0, chunkBits+100).Draw(t, "to")
			count := int64(0)
			for n := from; n < to; n++ {
				if want[n] {
					count++
				}
			}
			if got := of.count(from, to); got != count {
				t.Fatalf("%d from %d to %d; want %d", got, from, to, count)
			}
			if of.has(from) != want[from] {
				t.Fatalf("has %d: %t", from, of.has(from))
			}
		}
	})
}

// What is full takes no memory of its own.
func TestFullChunksAreOne(t *testing.T) {
	t.Parallel()
	var of sequences
	for n := range uint64(3 * chunkBits) {
		of.add(n)
	}
	of.add(7)
	if of.chunks[0] != of.chunks[1] || of.chunks[0] != of.chunks[2] || of.count(0, 4*chunkBits) != 3*chunkBits {
		t.Errorf("%d chunks, %d sequences; want one chunk three times", len(of.chunks), of.count(0, 4*chunkBits))
	}
}
