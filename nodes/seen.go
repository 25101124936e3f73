package nodes

import "sync"

// Seen knows the deliveries that are done with. One that is kept in the handler's
// own store, written together with what the handler does, makes deliveries
// exactly-once across crashes. It may be called concurrently.
type Seen interface {
	// Contains reports whether the delivery with this sequence is done with.
	Contains(sequence uint64) bool
	// Add is called after the handler has returned nil.
	Add(sequence uint64)
}

const defaultSeen = 1 << 16

// recent is a Seen of the latest so many sequences.
type recent struct {
	mu    sync.Mutex
	ring  []uint64
	next  int
	limit int
	known map[uint64]bool
}

// NewSeen returns a Seen in memory of the latest limit sequences; 0 means 65,536.
// A redelivery comes soon after its cut, with nothing newer of its order between:
// more is not needed.
func NewSeen(limit int) Seen {
	if limit <= 0 {
		limit = defaultSeen
	}
	return &recent{limit: limit, known: map[uint64]bool{}}
}

// Contains implements Seen.
func (r *recent) Contains(sequence uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[sequence]
}

// Add implements Seen.
func (r *recent) Add(sequence uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[sequence] {
		return
	}
	r.known[sequence] = true
	if len(r.ring) < r.limit {
		r.ring = append(r.ring, sequence)
		return
	}
	delete(r.known, r.ring[r.next])
	r.ring[r.next] = sequence
	r.next = (r.next + 1) % r.limit
}
