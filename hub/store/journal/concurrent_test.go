package journal_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each payload says where its frame is and repeats a number that nobody else has.
func numbered(at journal.Position, size int) []byte {
	p := make([]byte, 16+size)
	binary.LittleEndian.PutUint64(p, uint64(at))
	binary.LittleEndian.PutUint64(p[8:], uint64(size))
	for i := range p[16:] {
		p[16+i] = byte(uint64(at) >> 3)
	}
	return p
}

func checkNumbered(f journal.Frame) error {
	if len(f.Payload) < 16 || binary.LittleEndian.Uint64(f.Payload) != uint64(f.Position) {
		return fmt.Errorf("the frame at %d is another's", f.Position)
	}
	for _, b := range f.Payload[16:] {
		if b != byte(uint64(f.Position)>>3) {
			return fmt.Errorf("the frame at %d has bytes of another", f.Position)
		}
	}
	return nil
}

// Everything at once: frames are appended and synced by several, read, scanned, and
// rewritten. Whatever is read is what was written there.
func TestAllMethodsAtOnce(t *testing.T) {
	t.Parallel()
	j := open(t, vfs.NewMem(), 16<<10)
	group, ctx := errgroup.WithContext(t.Context())
	var done atomic.Bool
	appending, appendCtx := errgroup.WithContext(ctx)
	for range 3 {
		appending.Go(func() error { return appendMany(appendCtx, j) })
	}
	group.Go(func() error {
		defer done.Store(true)
		return appending.Wait()
	})
	group.Go(func() error { return scanMany(ctx, j, &done) })
	group.Go(func() error { return readMany(j, &done) })
	group.Go(func() error { return rewriteMany(ctx, j, &done) })
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	closed(t, j)
}

func appendMany(ctx context.Context, j *journal.Journal) error {
	for i := range 300 {
		if err := ctx.Err(); err != nil {
			return err
		}
		// Where it will be is not known with others appending: it says its own size only.
		at, err := j.Append(1, make([]byte, i*7%3000))
		if err != nil {
			return err
		}
		if i%3 != 0 {
			continue
		}
		if err := j.Sync(); err != nil {
			return err
		}
		if at >= j.Synced() {
			return fmt.Errorf("a frame at %d was synced, Synced says %d", at, j.Synced())
		}
		if f, err := j.Frame(at); err == nil && len(f.Payload) > i*7%3000 || err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("a frame at %d of %d bytes: %d bytes, %w", at, i*7%3000, len(f.Payload), err)
		}
	}
	return nil
}

func scanMany(ctx context.Context, j *journal.Journal, done *atomic.Bool) error {
	for !done.Load() {
		last, first := journal.Position(0), true
		err := j.Scan(ctx, 0, func(f journal.Frame) error {
			if !first && f.Position <= last {
				return fmt.Errorf("%d after %d", f.Position, last)
			}
			last, first = f.Position, false
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func readMany(j *journal.Journal, done *atomic.Bool) error {
	for !done.Load() {
		for _, s := range j.Segments() {
			if _, err := j.Frame(s.First); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			if _, err := j.ReadPayload(s.First, 0, nil); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
	}
	return nil
}

func rewriteMany(ctx context.Context, j *journal.Journal, done *atomic.Bool) error {
	for n := 0; !done.Load(); n++ {
		segments := j.Segments()
		if len(segments) < 2 {
			continue
		}
		i := 0
		err := j.Rewrite(ctx, segments[n%(len(segments)-1)].First, func(f journal.Frame) ([]byte, bool, error) {
			i++
			return f.Payload[:len(f.Payload)/2], (n+i)%4 > 0, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Readers hold frames that one appender writes, in every state of a segment.
func TestReadersSeeWhatOneAppends(t *testing.T) {
	t.Parallel()
	j := open(t, vfs.NewMem(), 8<<10)
	group, ctx := errgroup.WithContext(t.Context())
	var done atomic.Bool
	group.Go(func() error {
		defer done.Store(true)
		for i := range 1000 {
			at := j.Next()
			if _, err := j.Append(1, numbered(at, i%500)); err != nil {
				return err
			}
			if f, err := j.Frame(at); err != nil || checkNumbered(f) != nil {
				return fmt.Errorf("the frame just appended at %d: %w", at, err)
			}
			if i%10 == 0 {
				if err := j.Sync(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for range 2 {
		group.Go(func() error {
			for !done.Load() {
				if err := j.Scan(ctx, 0, checkNumbered); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	closed(t, j)
}

// Close comes in the middle of everything: calls end well or with store.ErrClosed.
func TestCloseInTheMiddle(t *testing.T) {
	t.Parallel()
	for range 20 {
		fs := vfs.NewMem()
		j := open(t, fs, 2048)
		var group errgroup.Group
		var durable atomic.Int64
		started := make(chan struct{})
		group.Go(func() error {
			for n := int64(1); ; n++ {
				if _, err := j.Append(1, make([]byte, 100)); err != nil {
					return err
				}
				if err := j.Sync(); err != nil {
					return err
				}
				if durable.Store(n); n == 20 {
					close(started)
				}
			}
		})
		group.Go(func() error {
			for {
				if err := j.Scan(context.Background(), 0, func(journal.Frame) error { return nil }); err != nil {
					return err
				}
			}
		})
		<-started
		closed(t, j)
		if err := group.Wait(); !errors.Is(err, store.ErrClosed) {
			t.Fatalf("calls after Close: %v, want store.ErrClosed", err)
		}
		j = open(t, fs, 2048)
		frames, err := scanned(t.Context(), j, 0)
		if n := durable.Load(); err != nil || int64(len(frames)) < n {
			t.Fatalf("%d frames, %d were synced: %v", len(frames), n, err)
		}
		closed(t, j)
	}
}
