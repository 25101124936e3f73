package blobs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// upload is a content that comes in, or has come and was not accepted, or was accepted
// and has not been moved.
type upload struct {
	content Content
	path    string

	mu       sync.Mutex
	known    bool      // what the file holds has been read
	held     int64     // bytes on stable storage: whole blocks, or all
	written  int64     // bytes in the file
	sum      hash.Hash // of what is written
	touched  time.Time
	writer   *Writer // who writes it; nil: no one
	holds    int     // submissions under way
	accepted bool
	unknown  bool // may have been accepted
	gone     bool // removed, or moved
	// unneeded uploads are as good as gone: nobody finds them, and they do not count. It
	// is changed with mu only, and read without.
	unneeded atomic.Bool
}

func (u *upload) complete() bool { return u.known && u.held == u.content.Size }

// learn reads what the file holds. After a crash, that is all blocks that fit their
// checksums. They are made durable first: that a block can be read does not say that
// it is on the disk.
func (u *upload) learn(files vfs.FS) error {
	if u.known {
		return nil
	}
	file, err := files.OpenReadWrite(u.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("open upload: %w", err)
	}
	u.sum, u.written = sha256.New(), 0
	if err = file.Sync(); err == nil {
		err = u.readBlocks(file)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("read upload: %w", err)
	}
	// What was complete has to be what was announced: else it is written anew.
	if u.written == u.content.Size && [sha256.Size]byte(u.sum.Sum(nil)) != u.content.SHA256 {
		u.sum, u.written = sha256.New(), 0
	}
	u.known, u.held = true, u.written
	return nil
}

func (u *upload) readBlocks(file vfs.File) error {
	table, err := u.content.readTable(file)
	if err != nil {
		return err
	}
	block := make([]byte, min(blockSize, u.content.Size))
	for i := range u.content.blocks() {
		want, there := sumOf(table, i)
		if !there {
			return nil
		}
		block = block[:u.content.blockLength(i)]
		_, err := file.ReadAt(block, u.content.begins()+i*blockSize)
		switch {
		case errors.Is(err, io.EOF) || err == nil && crc32.Checksum(block, castagnoli()) != want:
			return nil
		case err != nil:
			return fmt.Errorf("read block: %w", err)
		}
		u.sum.Write(block)
		u.written += int64(len(block))
	}
	return nil
}

// Held returns what an upload is of, how much of it is on stable storage, and until
// when it is kept; or store.ErrNotFound.
func (b *Blobs) Held(sender, id string) (c Content, held int64, until time.Time, err error) {
	u, err := b.upload(sender, id)
	if err != nil {
		return c, 0, until, err
	}
	defer u.mu.Unlock()
	if u.unneeded.Load() {
		return c, 0, until, store.ErrNotFound
	}
	if err := u.learn(b.opts.FS); err != nil {
		return c, 0, until, err
	}
	return u.content, u.held, u.touched.Add(b.keeps(u)), nil
}

// keeps returns how long an upload waits for what comes next. The upload is locked. What
// an earlier run has left may hold something, until its file is read.
func (b *Blobs) keeps(u *upload) time.Duration {
	if u.known && u.held == 0 && u.content.Size > 0 {
		return b.opts.KeepEmpty
	}
	return b.opts.Keep
}

// Drop removes an upload; ErrBusy where it is being submitted.
func (b *Blobs) Drop(ctx context.Context, sender, id string) error {
	u, err := b.upload(sender, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer u.mu.Unlock()
	return b.remove(ctx, u)
}

// remove removes an upload, unless it was accepted: that moves away by itself. The
// upload is locked.
func (b *Blobs) remove(ctx context.Context, u *upload) error {
	if u.holds > 0 || u.unknown {
		return ErrBusy
	}
	if !u.accepted {
		accepted, err := b.opts.Accepted(ctx, u.content)
		if err != nil {
			return fmt.Errorf("ask whether it was accepted: %w", err)
		}
		u.accepted = accepted
	}
	if u.accepted {
		return b.move(u)
	}
	if err := b.opts.FS.Remove(u.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove upload: %w", err)
	}
	b.forget(u)
	return nil
}

// move moves what was accepted to where that is kept. The upload is locked. It is not
// renamed, but gets its new name before it loses the old one: between two directories, a
// loss of power may leave one of the two changes without the other.
func (b *Blobs) move(u *upload) error {
	err := b.opts.FS.Link(u.path, b.pathOf(acceptedDir, u.content))
	if errors.Is(err, fs.ErrExist) { // since before a loss of power
		err = nil
	}
	if err == nil {
		err = b.syncDir(b.opts.FS.PathJoin(b.dir, acceptedDir))
	}
	if err != nil {
		return fmt.Errorf("move what was accepted: %w", err)
	}
	b.forget(u)
	if err := errors.Join(b.opts.FS.Remove(u.path), b.syncDir(b.opts.FS.PathDir(u.path))); err != nil {
		return fmt.Errorf("move what was accepted: %w", err)
	}
	return nil
}

// forget takes an upload out of the list. The upload is locked.
func (b *Blobs) forget(u *upload) {
	u.gone, u.writer = true, nil
	b.mu.Lock()
	defer b.mu.Unlock()
	if at := (key{u.content.Sender, u.content.ID}); b.uploads[at] == u {
		delete(b.uploads, at)
	}
}

// sweepEvery is how often Run looks for uploads whose time is over.
const sweepEvery = time.Minute

// Run moves away what was accepted, and removes uploads whose time is over, until ctx
// ends.
func (b *Blobs) Run(ctx context.Context) error {
	b.sweep(ctx, true)
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			b.sweep(ctx, false)
		case <-b.wake:
			b.sweep(ctx, false)
		}
	}
}

// sweep looks at every upload; the first time, also whether it was accepted by a run
// that did not come to moving it.
func (b *Blobs) sweep(ctx context.Context, first bool) {
	b.mu.Lock()
	all := append(make([]*upload, 0, len(b.replaced)+len(b.uploads)), b.replaced...)
	for _, u := range b.uploads {
		all = append(all, u)
	}
	b.replaced = nil
	b.mu.Unlock()
	for _, u := range all {
		if err := b.settle(ctx, u, first); err != nil && ctx.Err() == nil {
			b.opts.Logger.Error("an upload cannot be settled; it is tried again", "error", err)
		}
	}
}

func (b *Blobs) settle(ctx context.Context, u *upload, first bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.gone || u.holds > 0 {
		return nil
	}
	if first && !u.accepted {
		accepted, err := b.opts.Accepted(ctx, u.content)
		if err != nil {
			return fmt.Errorf("ask whether it was accepted: %w", err)
		}
		u.accepted = accepted
	}
	switch {
	case u.accepted:
		return b.move(u)
	case u.unneeded.Load():
		// Where that fails it is an upload like any other again, whose time ends.
		err := b.remove(ctx, u)
		u.unneeded.Store(err == nil)
		return err
	case u.writer == nil && !u.unknown && b.opts.Clock().Sub(u.touched) > b.keeps(u):
		return b.remove(ctx, u)
	}
	return nil
}

// classify tells a full disk from other failures.
func classify(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}
