package pebblestore

import (
	"context"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lienthong/lienthong/hub/store"
)

// Pebble makes a write wait where earlier ones have not become files, without a way to
// give up: on a full disk, for ever. So it is told not to, and writers wait here, in
// which time they can be refused.
const (
	neverStall = 1 << 20
	// tablesAtMost times Options.MemoryBytes may wait to become files.
	tablesAtMost = 3
	// levelsAtMost of files may lie over each other before more come.
	levelsAtMost = 24
)

// background is what is known of Pebble's work in the background.
type background struct {
	mu      sync.Mutex
	trouble error         // what it last failed with; nil once it has worked again
	changed chan struct{} // closed when something was done, or could not be; then made anew
}

func newBackground() *background { return &background{changed: make(chan struct{})} }

// tell notes how a piece of work has ended.
func (b *background) tell(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trouble = err
	close(b.changed)
	b.changed = make(chan struct{})
}

// state returns what is closed when something has changed, and what it last failed with.
func (b *background) state() (changed <-chan struct{}, trouble error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed, b.trouble
}

// listen returns what Pebble tells of its work.
func (b *background) listen() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: b.tell,
		FlushEnd: func(info pebble.FlushInfo) {
			if info.Err == nil {
				b.tell(nil)
			}
		},
		CompactionEnd: func(info pebble.CompactionInfo) {
			if info.Err == nil {
				b.tell(nil)
			}
		},
	}
}

// room waits until there is room to write: at most until ctx ends or quit is closed. It
// refuses where room is not to be expected.
func (x *index) room(ctx context.Context, quit <-chan struct{}) error {
	for {
		changed, trouble := x.background.state()
		if x.hasRoom() {
			return nil
		}
		if trouble != nil {
			return classify(trouble)
		}
		select {
		case <-changed:
		case <-quit:
			return store.ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("wait for the index: %w", context.Cause(ctx))
		}
	}
}

// hasRoom asks Pebble only once as much was written as may wait.
func (x *index) hasRoom() bool {
	if x.written.Load() < x.memory {
		return true
	}
	m := x.db.Metrics()
	waits := int64(m.MemTable.Size) //nolint:gosec // bytes in memory
	if waits >= tablesAtMost*x.memory || m.Levels[0].Sublevels >= levelsAtMost {
		return false
	}
	x.written.Store(0)
	return true
}
