package blobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// How a content goes with its packet: a note of it is made durable, then the packet is
// removed, then the content. So, whatever is cut short, a packet that is there has its
// content, and what has lost its packet is found by its note. Who copies the directory
// meanwhile, after having copied the packets, may have a packet without its content: the
// note, which stays for a while, tells that from a content that was lost.

// noteLife is how long a note stays after its content has gone: longer than any copy takes.
const noteLife = 30 * 24 * time.Hour

// Retire notes that contents are about to be removed, because their packets are. When it
// returns nil, that is on stable storage; nothing was removed.
func (b *Blobs) Retire(ctx context.Context, contents []Content) error {
	for _, c := range contents {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("retire contents: %w", err)
		}
		if err := b.note(c); err != nil {
			return fmt.Errorf("retire contents: %w", classify(err))
		}
	}
	if len(contents) == 0 {
		return nil
	}
	return b.syncDir(filepath.Join(b.dir, retiredDir))
}

func (b *Blobs) note(c Content) error {
	head, err := c.head()
	if err != nil {
		return err
	}
	file, err := b.opts.FS.Create(b.pathOf(retiredDir, c), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("make note: %w", err)
	}
	_, err = file.Write(bytes.TrimRight(head, "\x00")) // what is not there reads as zeros
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write note: %w", err)
	}
	return nil
}

// Retired is what RemoveRetired has removed.
type Retired struct {
	Contents int
	Bytes    int64
}

// RemoveRetired removes the contents that were noted and whose packets, by
// Options.Accepted, are not kept any more. Whether a content is needed after all it asks
// each time: it may be called whenever no packets are being removed, and again after
// whatever cut it short. It returns what it has removed, with an error too.
func (b *Blobs) RemoveRetired(ctx context.Context) (Retired, error) {
	var done Retired
	dir := filepath.Join(b.dir, retiredDir)
	names, err := b.opts.FS.List(dir)
	if err != nil {
		return done, fmt.Errorf("list retired contents: %w", err)
	}
	var failed error
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return done, fmt.Errorf("remove retired contents: %w", err)
		}
		if err := b.removeRetired(ctx, name, &done); err != nil {
			failed = errors.Join(failed, fmt.Errorf("remove retired content %s: %w", name, err))
		}
	}
	return done, failed
}

// removeRetired goes by one note.
func (b *Blobs) removeRetired(ctx context.Context, name string, done *Retired) error {
	note, content := filepath.Join(b.dir, retiredDir, name), filepath.Join(b.dir, acceptedDir, name)
	c, noted, err := b.headOf(note)
	if errors.Is(err, store.ErrCorrupt) { // it was cut short: nothing was removed by it
		return b.opts.FS.Remove(note) //nolint:wrapcheck // by the caller
	}
	if err != nil {
		return err
	}
	if c.name() != name {
		return fmt.Errorf("%w: a note that is not under its own name", store.ErrCorrupt)
	}
	needed, err := b.opts.Accepted(ctx, c)
	if err != nil {
		return fmt.Errorf("ask whether it is kept: %w", err)
	}
	there, err := b.holds(c)
	switch {
	case err != nil:
		return err
	case needed && there, !needed && !there && b.opts.Clock().Sub(noted) > noteLife:
		return b.opts.FS.Remove(note) //nolint:wrapcheck // by the caller
	case needed, !there:
		return nil
	}
	err = b.opts.FS.Remove(content)
	if errors.Is(err, fs.ErrNotExist) { // it has not been moved yet
		return nil
	}
	if err != nil {
		return err //nolint:wrapcheck // by the caller
	}
	done.Contents++
	done.Bytes += c.Size
	return nil
}

// headOf reads what content a file is of, and when that was written.
func (b *Blobs) headOf(path string) (Content, time.Time, error) {
	file, err := b.opts.FS.Open(path)
	if err != nil {
		return Content{}, time.Time{}, err //nolint:wrapcheck // by the caller
	}
	c, err := readHead(file)
	info, statErr := file.Stat()
	if err := errors.Join(err, statErr, file.Close()); err != nil {
		return c, time.Time{}, err
	}
	return c, info.ModTime(), nil
}

// holds says whether a content is there.
func (b *Blobs) holds(c Content) (bool, error) {
	for _, dir := range []string{acceptedDir, UploadsDir, acceptedDir} { // as in open
		_, err := b.opts.FS.Stat(b.pathOf(dir, c))
		if !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err //nolint:wrapcheck // by the caller
		}
	}
	return false, nil
}

// IsRetired says whether a content that is not there was removed with its packet.
func (b *Blobs) IsRetired(c Content) bool {
	said, _, err := b.headOf(b.pathOf(retiredDir, c))
	return err == nil && said == c
}

// IsRetired says, of a directory that no Blobs has open, whether a content that is not
// there was removed with its packet: a copy of the directory may have the packet still.
func IsRetired(dir string, c Content) bool {
	return (&Blobs{dir: dir, opts: Options{FS: vfs.Default}}).IsRetired(c)
}
