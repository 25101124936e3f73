package blobs_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/blobs"
)

// sized is a disk with so many bytes free.
type sized struct {
	vfs.FS
	free *atomic.Uint64
}

func (s sized) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: s.free.Load(), TotalBytes: 100 << 30}, nil
}

func openSized(t *testing.T, free uint64, clock func() time.Time) (*blobs.Blobs, *atomic.Uint64) {
	t.Helper()
	left := &atomic.Uint64{}
	left.Store(free)
	b, err := blobs.Open("blobs", blobs.Options{
		FS: sized{vfs.NewMem(), left}, Clock: clock,
		Accepted: func(context.Context, blobs.Content) (bool, error) { return false, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b, left
}

// announce announces contents, of which nothing comes.
func announce(t *testing.T, b *blobs.Blobs, sender string, count int, size int64) {
	t.Helper()
	for i := range count {
		w, err := b.Begin(t.Context(), blobs.Content{Sender: sender, ID: fmt.Sprint(i), Size: size}, 0)
		if err != nil {
			t.Fatalf("announce %d: %v", i, err)
		}
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Who announces as much as the disk has, and sends nothing, keeps nobody out.
func TestAnnouncementsDoNotReserveTheDisk(t *testing.T) {
	t.Parallel()
	b, _ := openSized(t, 4<<30, nil)
	announce(t, b, "hostile", 4, 597<<20)
	w, err := b.Begin(t.Context(), blobs.Content{Sender: "other", ID: "1", Size: 20 << 20}, 0)
	if err != nil {
		t.Fatalf("20 MiB of another, with 4 GiB free and nothing sent by anybody: %v", err)
	}
	if _, err := w.Close(); err != nil {
		t.Error(err)
	}
}

// What comes is written only while enough is left on the disk; what was held by then stays.
func TestBlocksLeaveEnoughOnTheDisk(t *testing.T) {
	t.Parallel()
	const block = 1 << 20
	b, free := openSized(t, 4<<30, nil)
	content := make([]byte, 2*block)
	c := blobs.Content{Sender: "A", ID: "1", Size: 2 * block, SHA256: sha256.Sum256(content)}
	w, err := b.Begin(t.Context(), c, 0)
	if err == nil {
		err = w.Write(t.Context(), content[:block])
	}
	if err != nil {
		t.Fatal(err)
	}
	free.Store(512 << 20)
	if err := w.Write(t.Context(), content[block:]); !errors.Is(err, store.ErrFull) {
		t.Errorf("with nothing to spare: %v; want ErrFull", err)
	}
	held, err := w.Close()
	if err != nil || held != block {
		t.Errorf("held %d, %v; want the first block", held, err)
	}
	free.Store(4 << 30)
	if w, err = b.Begin(t.Context(), c, block); err == nil {
		err = w.Write(t.Context(), content[block:])
	}
	if err != nil {
		t.Fatalf("when there is space again: %v", err)
	}
	if held, err := w.Close(); err != nil || held != c.Size {
		t.Errorf("held %d, %v; want all", held, err)
	}
}

// What nothing came of ends after minutes; what has begun to come waits a day.
func TestEmptyAnnouncementsEndSoon(t *testing.T) {
	t.Parallel()
	now := &atomic.Int64{}
	b, _ := openSized(t, 40<<30, func() time.Time { return time.Unix(now.Load(), 0) })
	announce(t, b, "A", 16, 2<<20)
	begun := blobs.Content{Sender: "B", ID: "begun", Size: 2 << 20}
	w, err := b.Begin(t.Context(), begun, 0)
	if err == nil {
		err = w.Write(t.Context(), make([]byte, 1<<20))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, at := range []struct {
		after time.Duration
		a, b  int
	}{{9 * time.Minute, 16, 1}, {11 * time.Minute, 0, 1}, {23 * time.Hour, 0, 1}, {25 * time.Hour, 0, 0}} {
		now.Store(int64(at.after.Seconds()))
		if err := b.Run(ended); err != nil { // it looks once
			t.Fatal(err)
		}
		if a, of := len(b.Uploads("A")), len(b.Uploads("B")); a != at.a || of != at.b {
			t.Errorf("after %v there are %d empty ones and %d that have begun; want %d and %d", at.after, a, of, at.a, at.b)
		}
	}
}
