package pebblestore

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

const (
	// checkpointEvery is how often a window that is not full is written to the index.
	checkpointEvery = 2 * time.Second
	// syncEvery is how long an acknowledgement may wait for its fsync.
	syncEvery = 50 * time.Millisecond
	// unflushedBytes of the journal may have to be read again at a start because of
	// what the index has not flushed; beside the window.
	unflushedBytes = 256 << 20
	// windowsAtMost is how many times over a window may be full before accepting waits
	// for the index.
	windowsAtMost = 2
)

// checkpoints writes the index in the background.
type checkpoints struct {
	wake  chan struct{}
	quit  chan struct{}
	once  sync.Once
	done  sync.WaitGroup
	alone sync.Mutex // held while the index is written

	mu      sync.Mutex
	settled chan struct{} // closed when a window has gone to the index, then made anew
}

func newCheckpoints() *checkpoints {
	return &checkpoints{wake: make(chan struct{}, 1), quit: make(chan struct{}), settled: make(chan struct{})}
}

func (c *checkpoints) start(s *Store) {
	c.done.Go(func() { c.run(s) })
}

func (c *checkpoints) stop() {
	c.once.Do(func() { close(c.quit) })
	c.done.Wait()
}

// due tells that a window is full.
func (c *checkpoints) due(full bool) {
	if !full {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *checkpoints) run(s *Store) {
	sync, write := time.NewTicker(syncEvery), time.NewTicker(checkpointEvery)
	defer sync.Stop()
	defer write.Stop()
	for {
		select {
		case <-c.quit:
			return
		case <-sync.C:
			s.syncAcknowledged()
			continue
		case <-write.C:
			s.lookAtSpace()
		case <-c.wake:
		}
		if err := c.now(s); err != nil {
			s.opts.Logger.Error("the index could not be written; it is tried again", "error", err)
		}
	}
}

// now writes the index.
func (c *checkpoints) now(s *Store) error {
	c.alone.Lock()
	defer c.alone.Unlock()
	defer c.tell()
	return s.checkpoint()
}

func (c *checkpoints) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.settled)
	c.settled = make(chan struct{})
}

func (c *checkpoints) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settled
}

// wait returns once the window may grow. It refuses where that is not to be
// expected, since the index cannot be written.
func (c *checkpoints) wait(ctx context.Context, s *Store) error {
	for {
		settled := c.next()
		changed, trouble := s.background.state()
		if s.windowSize() < windowsAtMost*s.opts.WindowEntries {
			return nil
		}
		if trouble != nil {
			return fmt.Errorf("the index cannot be written: %w", classify(trouble))
		}
		c.due(true)
		select {
		case <-settled:
		case <-changed:
		case <-c.quit:
			return store.ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("wait for the index: %w", context.Cause(ctx))
		}
	}
}

// upToDate says whether the index has all that the journal has.
func (s *Store) upToDate() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.current.size == 0 && s.current.from == s.journal.Next()
}

func (s *Store) windowSize() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.current.size
}

// syncAcknowledged makes durable what was acknowledged while nothing was accepted.
func (s *Store) syncAcknowledged() {
	if s.journal.Synced() == s.journal.Next() {
		return
	}
	if err := s.journal.Sync(); err != nil {
		s.opts.Logger.Error("acknowledgements are not on stable storage", "error", err)
	}
}

// checkpoint moves what is in memory to the index. The journal is synced before, so that
// the index never knows what the journal does not.
func (s *Store) checkpoint() error {
	if s.frozen != nil { // an earlier write of it failed
		if err := s.settle(s.checkpoints.quit); err != nil {
			return err
		}
	}
	if s.upToDate() {
		return nil
	}
	s.accepting.Lock() // so that no group is half way
	s.mu.Lock()
	s.freeze(s.journal.Next())
	s.mu.Unlock()
	s.accepting.Unlock()
	return s.settle(s.checkpoints.quit)
}

// freeze makes the window what is to be written: all that the journal has before a
// position.
func (s *Store) freeze(upTo journal.Position) {
	s.current.upTo = cursor{position: upTo, sequence: s.next - 1, audits: s.audits}
	for recipient, in := range s.current.inboxes {
		in.backlog = s.backlogs[recipient]
	}
	s.frozen, s.current = s.current, newWindow(upTo, s.current.identities.len())
}

// settle writes the frozen window to the index, and gives up waiting for room there when
// quit is closed.
func (s *Store) settle(quit <-chan struct{}) error {
	if err := s.journal.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	batch := s.index.db.NewBatch()
	if err := s.frozen.writeTo(batch); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if err := s.index.commit(context.Background(), quit, batch); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	upTo := s.settled()
	if upTo.position-s.index.flushed >= unflushedBytes {
		s.index.flushed = upTo.position
		return s.index.flushSoon()
	}
	return nil
}

// settled lets go of the frozen window, which the index has.
func (s *Store) settled() cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.frozen
	for sender, id := range w.greatest {
		if known, ok := s.greatest[sender]; ok && id > known {
			s.greatest[sender] = id
		}
	}
	s.indexed, s.frozen = w.upTo.sequence, nil
	s.moves++
	return w.upTo
}

// writeTo puts the window into a batch, in the order of the keys, which Pebble
// takes in faster.
func (w *window) writeTo(batch *pebble.Batch) error {
	var failed error
	set := func(key, value []byte) {
		if err := batch.Set(key, value, nil); err != nil && failed == nil {
			failed = err
		}
	}
	for i, line := range w.audit {
		set(sequenceKey(keyAudit, w.upTo.audits-uint64(len(w.audit))+uint64(i)+1), line)
	}
	for _, recipient := range slices.Sorted(maps.Keys(w.inboxes)) {
		if err := w.inboxes[recipient].writeTo(batch, recipient); err != nil {
			return err
		}
	}
	for _, g := range w.groups {
		set(sequenceKey(keyGroup, g.first), numberValue(uint64(g.position)))
	}
	for _, e := range w.epochs {
		set(sequenceKey(keyEpoch, e.Next), epochValue(e))
	}
	var number [8]byte
	for _, i := range w.identities.sorted() {
		binary.BigEndian.PutUint64(number[:], w.identities.all[i].sequence)
		set(w.identities.key(i), number[:])
	}
	for _, item := range w.items {
		key := pairKey(keyItem, item.Kind, item.Key)
		if item.Value != nil {
			set(key, item.Value)
		} else if err := batch.Delete(key, nil); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	set(cursorKey(), w.upTo.value())
	if failed != nil {
		return fmt.Errorf("store: %w", failed)
	}
	return nil
}

func (r *recent) writeTo(batch *pebble.Batch, recipient string) error {
	err := batch.Set(pairKey(keyBacklog, recipient, ""), backlogValue(r.backlog), nil)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	for sequence, grave := range r.dead {
		key := deadKey(recipient, sequence)
		if grave == nil {
			err = batch.Delete(key, nil)
		} else {
			err = batch.Set(key, grave.append(nil), nil)
		}
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	for sequence, grave := range r.discarded {
		if err := batch.Set(discardedKey(recipient, sequence), grave.append(nil), nil); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	key := inboxKey(recipient, 0)
	number := key[len(key)-8:]
	for sequence := range r.gone {
		binary.BigEndian.PutUint64(number, sequence)
		if err := batch.Delete(key, nil); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	for _, e := range r.entries {
		if e.done {
			continue
		}
		binary.BigEndian.PutUint64(number, e.sequence)
		value := e.inboxValue()
		if err := batch.Set(key, value[:], nil); err != nil {
			return fmt.Errorf("store: %w", err)
		}
	}
	return nil
}
