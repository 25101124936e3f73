package pebblestore

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/lienthong/lienthong/hub/store"
)

// setAside tells of the segments that nothing went from since they are damaged.
func (p *pass) setAside() error {
	var first error
	count := 0
	for _, s := range p.segments {
		if s.damage != nil {
			count++
			first = cmp.Or(first, s.damage)
		}
	}
	if count == 0 {
		return nil
	}
	return fmt.Errorf("%d journal files are damaged and stay as they are, the others are done with; the first: %w", count, first)
}

// setAside keeps a segment out of this and later passes where an error is that it is
// damaged: once it has been restored, another process reads it. Other errors are returned.
func (s *summary) setAside(err error) error {
	if !errors.Is(err, store.ErrCorrupt) {
		return err
	}
	s.damage = err
	return nil
}
