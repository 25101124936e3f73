package blobs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// syncBlocks is how many blocks are written before they are made durable.
const syncBlocks = 4

// Writer writes an upload. It is for one goroutine, and to be closed.
type Writer struct {
	blobs  *Blobs
	upload *upload
	file   vfs.File
	block  []byte // what has come of the next block
}

// Begin begins an upload, or goes on with one at an offset: what Held says, or
// ErrOffset. Another content than before under the same id takes its place. Whoever
// writes it already gets ErrTakenOver. Other errors: ErrTooMany, ErrBusy,
// store.ErrFull.
func (b *Blobs) Begin(ctx context.Context, c Content, offset int64) (*Writer, error) {
	u, err := b.uploadOf(ctx, c)
	if err != nil {
		return nil, err
	}
	defer u.mu.Unlock()
	switch {
	case u.holds > 0 || u.accepted:
		return nil, ErrBusy
	case u.writer != nil:
		// What the one before has begun of a block is lost; whole blocks are not.
		if err := u.writer.settle(); err != nil {
			return nil, err
		}
		u.writer = nil
	}
	if err := u.learn(b.opts.FS); err != nil {
		return nil, err
	}
	if offset != u.held {
		return nil, fmt.Errorf("%w: at %d, not at %d", ErrOffset, u.held, offset)
	}
	file, err := b.opts.FS.OpenReadWrite(u.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("open upload: %w", classify(err))
	}
	w := &Writer{blobs: b, upload: u, file: file}
	u.writer, u.touched = w, b.opts.Clock()
	return w, nil
}

// uploadOf returns the upload of a content, which it makes where there is none. It is
// locked.
func (b *Blobs) uploadOf(ctx context.Context, c Content) (*upload, error) {
	for {
		u, err := b.upload(c.Sender, c.ID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			u, err = b.create(c)
			if u == nil && err == nil {
				continue // somebody else has just begun it
			}
			return u, err
		case err != nil:
			return nil, err
		case u.content == c && !u.unneeded.Load():
			return u, nil
		}
		err = b.remove(ctx, u)
		u.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
}

// create makes the file of an upload, which is durable then. The upload is locked; nil
// where there is one meanwhile.
func (b *Blobs) create(c Content) (*upload, error) {
	u := &upload{content: c, path: b.pathOf(UploadsDir, c), touched: b.opts.Clock(), known: true, sum: sha256.New()}
	u.mu.Lock()
	if there, err := b.enlist(u); there || err != nil {
		u.mu.Unlock()
		return nil, err
	}
	if err := b.writeHead(u); err != nil {
		b.forget(u)
		u.mu.Unlock()
		return nil, errors.Join(classify(err), b.opts.FS.RemoveAll(u.path))
	}
	return u, nil
}

func (b *Blobs) enlist(u *upload) (there bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := key{u.content.Sender, u.content.ID}
	if b.uploads[at] != nil {
		return true, nil
	}
	if err := b.room(u.content); err != nil {
		return false, err
	}
	b.uploads[at] = u
	return false, nil
}

func (b *Blobs) writeHead(u *upload) error {
	head, err := u.content.head()
	if err != nil {
		return err
	}
	file, err := b.opts.FS.Create(u.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("make upload: %w", err)
	}
	_, err = file.Write(head)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write head of upload: %w", err)
	}
	return b.syncDir(b.opts.FS.PathDir(u.path))
}

// Write takes the next bytes. It blocks while others write to the disk. What comes
// after the end of the content is ErrOther, as is a content that is not the one
// announced: that ends the upload.
func (w *Writer) Write(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		length := w.upload.content.blockLength(w.block0())
		if length <= 0 {
			return fmt.Errorf("%w: it has more than %d bytes", ErrOther, w.upload.content.Size)
		}
		if w.block == nil {
			w.block = make([]byte, 0, min(blockSize, w.upload.content.Size))
		}
		n := min(length-int64(len(w.block)), int64(len(p)))
		w.block, p = append(w.block, p[:n]...), p[n:]
		if int64(len(w.block)) == length {
			if err := w.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// block0 is the number of the next block. Only this Writer moves it on.
func (w *Writer) block0() int64 {
	w.upload.mu.Lock()
	defer w.upload.mu.Unlock()
	return (w.upload.written + blockSize - 1) / blockSize
}

// flush writes a whole block, and makes some of them durable together.
func (w *Writer) flush(ctx context.Context) error {
	if err := w.blobs.writing.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("wait for the disk: %w", context.Cause(ctx))
	}
	defer w.blobs.writing.Release(1)
	u := w.upload
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.writer != w {
		return ErrTakenOver
	}
	if err := w.blobs.left(int64(len(w.block))); err != nil {
		return err
	}
	block := u.written / blockSize
	u.sum.Write(w.block)
	if u.written+int64(len(w.block)) == u.content.Size && [sha256.Size]byte(u.sum.Sum(nil)) != u.content.SHA256 {
		u.known = false
		return errors.Join(ErrOther, w.blobs.remove(ctx, u))
	}
	err := w.put(entry(block, crc32.Checksum(w.block, castagnoli())), headSize+block*entrySize)
	if err == nil {
		err = w.put(w.block, u.content.begins()+u.written)
	}
	if err != nil {
		u.known = false // what is there now, the file tells
		return err
	}
	u.written += int64(len(w.block))
	w.block = w.block[:0]
	if (block+1)%syncBlocks == 0 || u.written == u.content.Size {
		return w.settle()
	}
	return nil
}

func (w *Writer) put(p []byte, at int64) error {
	if _, err := w.file.WriteAt(p, at); err != nil {
		return fmt.Errorf("write upload: %w", classify(err))
	}
	return nil
}

// settle makes durable what is written. The upload is locked.
func (w *Writer) settle() error {
	u := w.upload
	if u.held == u.written {
		return nil
	}
	if err := w.file.Sync(); err != nil {
		// What of it is on the disk nobody knows: not even reading it would tell.
		w.blobs.forget(u)
		return errors.Join(fmt.Errorf("sync upload: %w", classify(err)), w.blobs.opts.FS.Remove(u.path))
	}
	u.held, u.touched = u.written, w.blobs.opts.Clock()
	return nil
}

// Close makes durable what has come, as far as it is whole blocks or all, and returns
// how much that is.
func (w *Writer) Close() (held int64, err error) {
	u := w.upload
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.writer != w && !u.gone:
		err = ErrTakenOver
	case u.writer == w:
		if err = w.settle(); err == nil {
			held = u.held
		}
		u.writer = nil
	}
	return held, errors.Join(err, w.file.Close())
}
