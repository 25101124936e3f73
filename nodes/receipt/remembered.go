package receipt

import (
	"sync"

	"golang.org/x/mod/sumdb/note"
)

// rememberedNotes is how many verified notes of a kind a Verifier remembers: a hub
// commits one group at a time, and the receipts of a group arrive together.
const rememberedNotes = 16

// remembered holds the notes that were verified last. It may be used concurrently.
type remembered[T any] struct {
	mu    sync.Mutex
	known map[string]T // by the signed note, byte for byte
	order []string     // of known, oldest first
}

// open returns what a signed note says. Only notes that verified are remembered.
func (r *remembered[T]) open(message []byte, keys note.Verifiers, verify func([]byte, note.Verifiers) (T, error)) (T, error) {
	r.mu.Lock()
	known, ok := r.known[string(message)]
	r.mu.Unlock()
	if ok {
		return known, nil
	}
	said, err := verify(message, keys)
	if err != nil {
		var none T
		return none, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.known[string(message)]; ok {
		return said, nil
	}
	if r.known == nil {
		r.known = map[string]T{}
	}
	r.known[string(message)] = said
	if r.order = append(r.order, string(message)); len(r.order) > rememberedNotes {
		delete(r.known, r.order[0])
		r.order = r.order[1:]
	}
	return said, nil
}
