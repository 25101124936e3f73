package pebblestore

import (
	"context"

	"github.com/lienthong/lienthong/hub/store"
)

// Backlog returns what waits for a recipient.
func (s *Store) Backlog(ctx context.Context, recipient string) (store.Backlog, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return store.Backlog{}, err
	}
	defer leave()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.backlogs[recipient], nil
}

// count notes that deliveries came, or went, of so many bytes each.
func (s *Store) count(recipient string, deliveries, bytes int64) {
	b := s.backlogs[recipient]
	b.Deliveries += deliveries
	b.Bytes += deliveries * bytes
	s.backlogs[recipient] = b
}

// loadBacklogs reads the backlogs that the index has.
func (s *Store) loadBacklogs() error {
	return s.index.scan([]byte{keyBacklog}, []byte{keyBacklog + 1}, func(key, value []byte) (bool, error) {
		backlog, err := parseBacklog(value)
		s.backlogs[string(key[1:len(key)-1])] = backlog
		return err == nil, err
	})
}
