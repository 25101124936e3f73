package exchange

import "sync"

// signal tells any number of waiters that something may have changed.
type signal struct {
	mu sync.Mutex
	ch chan struct{} // closed at the next change
}

func newSignal() *signal { return &signal{ch: make(chan struct{})} }

// next returns a channel that is closed at the next change. Take it before
// looking, so that no change is missed.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ch
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.ch)
	s.ch = make(chan struct{})
}
