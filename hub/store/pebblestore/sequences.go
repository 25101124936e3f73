package pebblestore

import "math/bits"

// sequences is a set of sequences: a bit for each in a range where some are in it and some
// are not.
type sequences struct {
	chunks map[uint64]*chunk
	full   *chunk // stands for all that have every sequence
}

// chunkBits is how many sequences a chunk is of.
const chunkBits = 1 << 15

type chunk [chunkBits / 64]uint64

func (s *sequences) add(sequence uint64) {
	if s.chunks == nil {
		s.chunks = map[uint64]*chunk{}
	}
	number := sequence / chunkBits
	c, ok := s.chunks[number]
	if !ok {
		c = &chunk{}
		s.chunks[number] = c
	}
	word := &c[sequence%chunkBits/64]
	if bit := uint64(1) << (sequence % 64); *word&bit == 0 {
		if *word |= bit; *word == 1<<64-1 {
			s.share(number, c)
		}
	}
}

// share lets go of a chunk that is full.
func (s *sequences) share(number uint64, c *chunk) {
	for _, word := range c {
		if word != 1<<64-1 {
			return
		}
	}
	if s.full == nil {
		s.full = c
	}
	s.chunks[number] = s.full
}

func (s *sequences) has(sequence uint64) bool {
	c, ok := s.chunks[sequence/chunkBits]
	return ok && c[sequence%chunkBits/64]>>(sequence%64)&1 == 1
}

// count returns how many there are from one sequence to before another, between which an
// epoch may begin.
func (s *sequences) count(from, to uint64) (n int64) {
	if from < to && (to-from)/chunkBits > uint64(len(s.chunks)) {
		for at := range s.chunks {
			n += s.count(max(from, at*chunkBits), min(to, (at+1)*chunkBits))
		}
		return n
	}
	for at := from; at < to; {
		c, ok := s.chunks[at/chunkBits]
		if !ok {
			at = (at/chunkBits + 1) * chunkBits
			continue
		}
		word := c[at%chunkBits/64] >> (at % 64)
		if left := to - at; left < 64 {
			word &= 1<<left - 1
		}
		n += int64(bits.OnesCount64(word))
		at = (at/64 + 1) * 64
	}
	return n
}
