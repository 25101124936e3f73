package blobs

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"runtime"
	"runtime/debug"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// Fate is what became of a packet whose upload was held.
type Fate int

// The fates.
const (
	// Kept: it was not accepted now, and may be when it is submitted again.
	Kept Fate = iota + 1
	// Accepted: the content is that of an accepted packet.
	Accepted
	// Unneeded: it was refused for good, or there is a packet under its id already. The
	// upload goes at once, unless another submission holds it.
	Unneeded
	// Unknown: it may have been accepted; only the next start will know. Until then
	// nothing removes the upload.
	Unknown
)

// Hold is an upload that is kept as it is, from when its packet is read until it is
// known what became of that.
type Hold struct {
	blobs  *Blobs
	upload *upload
}

// Hold keeps a complete upload until Release. store.ErrNotFound where there is none of
// this content, ErrIncomplete where it is not complete.
func (b *Blobs) Hold(c Content) (*Hold, error) {
	u, err := b.upload(c.Sender, c.ID)
	if err != nil {
		return nil, err
	}
	defer u.mu.Unlock()
	if u.content != c || u.unneeded.Load() {
		return nil, store.ErrNotFound
	}
	if err := u.learn(b.opts.FS); err != nil {
		return nil, err
	}
	if !u.complete() {
		return nil, fmt.Errorf("%w: %d of %d bytes are there", ErrIncomplete, u.held, c.Size)
	}
	u.holds++
	return &Hold{blobs: b, upload: u}, nil
}

// Release says what became of the packet. It blocks for no disk. It is called once.
func (h *Hold) Release(fate Fate) {
	u := h.upload
	u.mu.Lock()
	defer u.mu.Unlock()
	u.holds--
	switch fate {
	case Accepted:
		u.accepted = true
		h.blobs.wakeUp()
	case Unneeded:
		h.blobs.discard(u)
	case Unknown:
		u.unknown = true
	case Kept:
	}
}

// Discard lets go of the upload of a content, if there is one, whose packet was refused
// for good. What is held, or was accepted, stays. It blocks for no disk.
func (b *Blobs) Discard(c Content) {
	u, err := b.upload(c.Sender, c.ID)
	if err != nil {
		return
	}
	defer u.mu.Unlock()
	if u.content == c {
		b.discard(u)
	}
}

// discard makes an upload one that is as good as gone. The upload is locked. Whether its
// packet was accepted after all is asked before the file goes.
func (b *Blobs) discard(u *upload) {
	if u.holds > 0 || u.accepted || u.unknown || u.gone {
		return
	}
	u.unneeded.Store(true)
	b.wakeUp()
}

func (b *Blobs) wakeUp() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Check reads a content in a directory that no Blobs has open, and compares it with its
// checksums and its SHA-256. Errors: store.ErrNotFound, store.ErrCorrupt.
func Check(dir string, c Content) (err error) {
	r, err := (&Blobs{dir: dir, opts: Options{FS: vfs.Default}}).Read(c, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	sum := sha256.New()
	for {
		block, err := r.Next()
		switch {
		case errors.Is(err, io.EOF) && [sha256.Size]byte(sum.Sum(nil)) != c.SHA256:
			return fmt.Errorf("%w: its SHA-256 is %x, not %x", store.ErrCorrupt, sum.Sum(nil), c.SHA256)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		sum.Write(block)
	}
}

// Look is a Check that does not read the content: whether it is there, under the head
// that says what it is, with its table and all of its length.
func Look(dir string, c Content) (err error) {
	file, _, err := (&Blobs{dir: dir, opts: Options{FS: vfs.Default}}).open(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("look at blob: %w", err)
	}
	if want := c.begins() + c.Size; info.Size() < want {
		return fmt.Errorf("%w: its file has %d bytes, not %d", store.ErrCorrupt, info.Size(), want)
	}
	return nil
}

// Unfinished reports whether a file among the uploads lacks a part that has never come.
// No accepted packet needs such a file: one is complete before its packet is accepted,
// and stays so. Of what cannot be read that is not known, and it is no unfinished one.
func Unfinished(path string) (unfinished bool, err error) {
	file, err := vfs.Default.Open(path)
	if err != nil {
		return false, fmt.Errorf("open upload: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	c, err := readHead(file)
	if errors.Is(err, store.ErrCorrupt) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	table, err := c.readTable(file)
	if err != nil {
		return false, err
	}
	for block := range c.blocks() {
		if binary.BigEndian.Uint64(table[block*entrySize:]) == 0 {
			return true, nil
		}
	}
	return false, nil
}

// open opens the file of a content, wherever it is, and reads its table. Errors:
// store.ErrNotFound, store.ErrCorrupt.
func (b *Blobs) open(c Content) (file vfs.File, table []byte, err error) {
	// What is moved between the first look and the second, the third finds.
	for _, dir := range []string{acceptedDir, UploadsDir, acceptedDir} {
		file, err = b.opts.FS.Open(b.pathOf(dir, c))
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, store.ErrNotFound
	case err != nil:
		return nil, nil, fmt.Errorf("open blob: %w", err)
	}
	said, err := readHead(file)
	if err == nil && said != c {
		err = fmt.Errorf("%w: a blob is of another content", store.ErrCorrupt)
	}
	if err == nil {
		table, err = c.readTable(file)
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, table, nil
}

// Reader reads a content that is there as a whole. It is for one goroutine, and to be
// closed.
type Reader struct {
	content Content
	file    vfs.File
	table   []byte
	block   []byte
	at      int64
}

// Read returns what reads a content from an offset on. Errors: store.ErrNotFound,
// store.ErrCorrupt.
func (b *Blobs) Read(c Content, offset int64) (*Reader, error) {
	if offset < 0 || offset > c.Size {
		return nil, fmt.Errorf("offset %d in a content of %d bytes", offset, c.Size)
	}
	file, table, err := b.open(c)
	if err != nil {
		return nil, err
	}
	return &Reader{content: c, file: file, table: table, at: offset}, nil
}

// Next returns the next bytes, up to a block, or io.EOF. They are good until the next
// call. What has changed on the disk is store.ErrCorrupt and is not returned.
func (r *Reader) Next() ([]byte, error) {
	if r.at >= r.content.Size {
		return nil, io.EOF
	}
	block := r.at / blockSize
	if r.block == nil {
		r.block = make([]byte, min(blockSize, r.content.Size))
	}
	read := r.block[:r.content.blockLength(block)]
	if _, err := r.file.ReadAt(read, r.content.begins()+block*blockSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read blob: %w", err)
	} else if err != nil {
		return nil, fmt.Errorf("%w: a blob has lost its end", store.ErrCorrupt)
	}
	if err := check(r.table, block, read); err != nil {
		return nil, err
	}
	read = read[r.at-block*blockSize:]
	r.at += int64(len(read))
	return read, nil
}

// Close frees the file.
func (r *Reader) Close() error {
	if err := r.file.Close(); err != nil {
		return fmt.Errorf("close blob: %w", err)
	}
	return nil
}

func check(table []byte, block int64, bytes []byte) error {
	if want, there := sumOf(table, block); !there || crc32.Checksum(bytes, castagnoli()) != want {
		return fmt.Errorf("%w: block %d of a blob has changed on the disk", store.ErrCorrupt, block)
	}
	return nil
}

// View calls look with the whole content. It is not read into memory where the file
// system can map it: look may not write to it, and may keep nothing of it. Before, it
// is compared with its checksums. A disk that fails while look reads is
// store.ErrCorrupt, not the end of the process. Other errors: store.ErrNotFound, and
// those of look.
func (b *Blobs) View(ctx context.Context, c Content, look func(content []byte) error) (err error) {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("view blob: %w", err)
	}
	file, table, err := b.open(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	content, unmap, err := mapped(file, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unmap()) }()
	return guarded(func() error {
		for block := range c.blocks() {
			if err := check(table, block, content[block*blockSize:][:c.blockLength(block)]); err != nil {
				return err
			}
		}
		return look(content)
	})
}

// guarded calls f, and makes an error of a read from memory that the disk behind it
// could not give.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		fault, isFault := p.(interface {
			runtime.Error
			Addr() uintptr
		})
		if !isFault {
			panic(p) // it is not this function's to hide
		}
		err = fmt.Errorf("%w: a blob cannot be read: %w", store.ErrCorrupt, fault)
	}()
	return f()
}

// whole reads a content into memory, where it cannot be mapped.
func whole(file vfs.File, c Content) ([]byte, func() error, error) {
	content := make([]byte, c.Size)
	if _, err := file.ReadAt(content, c.begins()); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("read blob: %w", err)
	}
	return content, func() error { return nil }, nil
}
