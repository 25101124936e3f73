package pebblestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"golang.org/x/sync/errgroup"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// busy is a store on which everything goes on at once.
type busy struct {
	*pebblestore.Store
	last atomic.Uint64 // sequence accepted
	done atomic.Bool
}

const busyPackets = 3000

// accept accepts packets in groups, of two kinds: 1 goes, 2 stays.
func (b *busy) accept(ctx context.Context) error {
	defer b.done.Store(true)
	for n := 0; n < busyPackets; n += 5 {
		var group []store.Submission
		for i := n; i < n+5; i++ {
			group = append(group, store.Submission{Sender: "A", ID: fmt.Sprintf("id-%06d", i+1), Recipients: []string{"P", "Q"}[:1+i%2], Kind: kindOf(uint64(i + 1))}) //nolint:gosec // small
		}
		_, err := b.Accept(ctx, group, func(fresh []store.Fresh) (store.Sealed, error) {
			sealed := store.Sealed{Note: []byte("note"), At: time.Unix(1, 0)}
			for _, f := range fresh {
				sealed.Records = append(sealed.Records, recordOf(f.Sequence))
				sealed.Leaves = append(sealed.Leaves, fmt.Appendf(nil, "leaf %d", f.Sequence))
			}
			return sealed, nil
		})
		if err != nil {
			return err
		}
		b.last.Store(uint64(n + 5)) //nolint:gosec // small
	}
	return nil
}

// kindOf a packet: one of eight stays.
func kindOf(sequence uint64) uint32 {
	if sequence%8 == 0 {
		return 2
	}
	return 1
}

// deliver reads what waits and acknowledges it: what waits can be read.
func (b *busy) deliver(ctx context.Context, recipient string) error {
	for all := false; !all; {
		all = b.done.Load()
		pending, err := b.Pending(ctx, recipient, 0, 100)
		if err != nil {
			return err
		}
		var sequences []uint64
		for _, p := range pending {
			sequences = append(sequences, p.Sequence)
		}
		if _, err := b.Records(ctx, sequences); err != nil {
			return fmt.Errorf("what waits for %s: %w", recipient, err)
		}
		if _, err := b.Acknowledge(ctx, recipient, sequences); err != nil {
			return err
		}
		all = all && len(pending) == 0
	}
	return nil
}

// read reads anything that was accepted.
func (b *busy) read(ctx context.Context, seed uint64) error {
	random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test
	for !b.done.Load() {
		last := b.last.Load()
		if last == 0 {
			continue
		}
		n := 1 + random.Uint64N(last)
		records, err := b.Records(ctx, []uint64{n})
		gone := errors.Is(err, store.ErrRemoved)
		if gone && kindOf(n) == 2 || !gone && (err != nil || !bytes.Equal(records[0], recordOf(n))) {
			return fmt.Errorf("record %d: %.20q, %w", n, records, err)
		}
		g, err := b.Group(ctx, n)
		if err != nil || string(g.Leaves[n-g.First]) != fmt.Sprintf("leaf %d", n) {
			return fmt.Errorf("group of %d: %v, %w", n, g, err)
		}
		if sequence, _, err := b.Find(ctx, "A", fmt.Sprintf("id-%06d", n)); err != nil || sequence != n {
			return fmt.Errorf("id of %d: %d, %w", n, sequence, err)
		}
		entries, err := b.AcceptedAfter(ctx, n-1, 20, 10<<10)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Sequence < n || !bytes.Equal(e.Record, recordOf(e.Sequence)) {
				return fmt.Errorf("after %d comes %d: %.20q", n-1, e.Sequence, e.Record)
			}
		}
	}
	return nil
}

func (b *busy) retain(ctx context.Context) error {
	for !b.done.Load() {
		if _, err := b.Retain(ctx, ofOneSecond(9), nil); err != nil {
			return err
		}
	}
	return nil
}

// Everything goes on while packets are removed, and copies are taken: nobody is told of
// damage, and every copy is sound and has nothing waiting of what was removed.
func TestRetainWhileEverythingGoesOn(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	s, err := pebblestore.Open("data", pebblestore.Options{FS: disk, WindowEntries: 256, SegmentBytes: 64 << 10, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	b := &busy{Store: s}
	group, ctx := errgroup.WithContext(t.Context())
	group.Go(func() error { return b.accept(ctx) })
	for _, recipient := range []string{"P", "Q"} {
		group.Go(func() error { return b.deliver(ctx, recipient) })
	}
	for seed := range uint64(2) {
		group.Go(func() error { return b.read(ctx, seed) })
	}
	group.Go(func() error { return b.retain(ctx) })
	copies := 0
	group.Go(func() error {
		for ; !b.done.Load() && copies < 20; copies++ {
			to := fmt.Sprintf("copy-%d/journal", copies)
			if _, err := journal.Copy(ctx, journal.Copying{FS: disk, From: "data/journal", To: to}); err != nil {
				return fmt.Errorf("copy: %w", err)
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	retained, err := s.Retain(t.Context(), ofOneSecond(9), nil)
	if k := retained.Kinds[1]; err != nil || k.Packets > 0 {
		t.Errorf("when everything is done, %d packets are kept that have to go, %v", k.Packets, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, disk)
	for i := range copies {
		wantSoundCopy(t, disk, fmt.Sprintf("copy-%d", i))
	}
}

// wantSoundCopy checks a copy, and that everything that waits in it is there, and returns
// how much waits.
func wantSoundCopy(t *testing.T, disk vfs.FS, dir string) int {
	t.Helper()
	_, err := pebblestore.Check(t.Context(), dir, pebblestore.CheckOptions{FS: disk}, func(f pebblestore.Finding) {
		if !f.Notice {
			t.Errorf("%s: %+v", dir, f)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := pebblestore.Open(dir, pebblestore.Options{FS: disk, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	waiting := 0
	for _, recipient := range []string{"P", "Q"} {
		pending, err := s.Pending(t.Context(), recipient, 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		waiting += len(pending)
		for _, p := range pending {
			if _, err := s.Records(t.Context(), []uint64{p.Sequence}); err != nil {
				t.Errorf("%s: what waits for %s: %v", dir, recipient, err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return waiting
}

// Whenever in a copy a pass comes, the copy has nothing waiting that was done: not groups
// as they were before it with acknowledgements as they were after.
func TestACopyDuringRetainBringsNothingBack(t *testing.T) {
	t.Parallel()
	for at := int64(1); ; at += 3 {
		mem := vfs.NewMem()
		k := keep(t, mem)
		k.put(1, 1, 400)
		k.acknowledge(1, 400) // which fills a segment
		k.put(2, 1, 30)
		var opened atomic.Int64
		removed := int64(0)
		disk := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpOpen && strings.HasSuffix(op.Path, ".journal") && path.Dir(op.Path) == "data/journal" && opened.Add(1) == at {
				for range 2 {
					retained, err := k.Retain(context.Background(), ofOneSecond(9), nil)
					if err != nil {
						return err //nolint:wrapcheck // a test
					}
					removed += retained.Removed
				}
			}
			return nil
		}))
		if _, err := journal.Copy(t.Context(), journal.Copying{FS: disk, From: "data/journal", To: "copy/journal"}); err != nil {
			t.Fatal(err)
		}
		k.close()
		if waiting := wantSoundCopy(t, mem, "copy"); waiting != 30 {
			t.Errorf("a pass at file %d: %d deliveries wait in the copy; want 30", at, waiting)
		}
		if removed == 0 {
			if at < 5 {
				t.Errorf("%d files only were copied", at)
			}
			return
		}
	}
}
