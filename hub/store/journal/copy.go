package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// Copying is how a journal is copied, also while it is open.
type Copying struct {
	// FS is the file system; required.
	FS vfs.FS
	// From is the journal's directory, and To a new one.
	From, To string
	// Before, where given, is the directory of an earlier copy. Of a segment that is
	// there as it is in the journal, To gets a link.
	Before string
}

// Copied says what was copied.
type Copied struct {
	Bytes, LinkedBytes int64
}

// Copy copies a journal, which may be appended to and rewritten meanwhile. The copy is a
// journal that has everything that was appended before Copy was called, and maybe some
// of what came later; it is on stable storage when Copy returns, but for its own
// directory. store.ErrCorrupt where the last segment has damaged frames; other segments
// are copied as they are. Of two segments, the earlier one is never as it was before a
// Rewrite and the later one as it was after another that followed that: what is taken out
// of the later one because of what is no longer in the earlier one is not missed.
func Copy(ctx context.Context, how Copying) (Copied, error) {
	c := &copying{Copying: how, table: crc32.MakeTable(crc32.Castagnoli)}
	if err := c.FS.MkdirAll(c.To, 0o755); err != nil {
		return Copied{}, fmt.Errorf("copy journal: %w", err)
	}
	for {
		err := c.all(ctx)
		if err == nil {
			err = syncDir(c.FS, c.To)
		}
		if !errors.Is(err, errVanished) { // what is gone was removed: look again
			if err != nil {
				return Copied{}, fmt.Errorf("copy journal %s: %w", c.From, err)
			}
			return c.copied, nil
		}
	}
}

// errVanished means that a file was there a moment ago.
var errVanished = errors.New("a file was removed meanwhile")

// copying is a Copy under way.
type copying struct {
	Copying
	table  *crc32.Table
	copied Copied
}

// all copies what is in the directory now. What an earlier round copied is written over,
// or removed.
func (c *copying) all(ctx context.Context) error {
	names, err := c.FS.List(c.From)
	if err != nil {
		return fmt.Errorf("list directory: %w", err)
	}
	stale, err := c.FS.List(c.To)
	if err != nil {
		return fmt.Errorf("list directory: %w", err)
	}
	for _, name := range stale {
		if err := c.FS.Remove(c.FS.PathJoin(c.To, name)); err != nil {
			return fmt.Errorf("remove: %w", err)
		}
	}
	j := &Journal{}
	if j.removed, _, err = spansIn(names); err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, suffixRemoved) {
			if err := c.write(name, strings.NewReader("")); err != nil {
				return err
			}
		}
	}
	c.copied = Copied{}
	bases, _ := j.sorted(names)
	for i, base := range slices.Backward(bases) { // as documented: the latest first
		if err := ctx.Err(); err != nil {
			return err //nolint:wrapcheck // by the caller
		}
		if err := c.segment(segmentName(base), base, i == len(bases)-1); err != nil {
			return err
		}
	}
	return nil
}

func (c *copying) segment(name string, base Position, last bool) (err error) {
	file, err := c.FS.Open(c.FS.PathJoin(c.From, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errVanished
	case err != nil:
		return fmt.Errorf("segment %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("segment %s: %w", name, err)
	}
	size := info.Size()
	if last {
		if size, err = c.usedOf(name, base, file); err != nil {
			return err
		}
	} else if c.link(name, file, size) {
		c.copied.LinkedBytes += size
		return nil
	}
	c.copied.Bytes += size
	return c.write(name, io.NewSectionReader(file, 0, size))
}

// usedOf returns how much of the last segment has frames. What was read before the end
// and verified does not change any more; what is behind may be half written.
func (c *copying) usedOf(name string, base Position, file vfs.File) (int64, error) {
	j := &Journal{table: c.table, files: newFiles(c.FS, c.From)}
	seg := &segment{name: name, base: base}
	h, err := j.readHead(seg, file)
	if err != nil {
		return 0, err
	}
	if h.rewritten {
		return 0, fmt.Errorf("%w: it became another while it was looked at", errVanished)
	}
	t, err := j.readTail(seg)
	if !errors.Is(err, store.ErrCorrupt) {
		return t.end, err
	}
	// Frames that came since the end was found look like frames behind damage. Then there
	// is a whole one at the end by now.
	if later, failed := j.readTail(seg); later.end > t.end || failed == nil {
		return t.end, nil
	}
	return 0, err
}

// link makes a link to a segment of an earlier copy, if that is the same.
func (c *copying) link(name string, file vfs.File, size int64) bool {
	if c.Before == "" {
		return false
	}
	before := c.FS.PathJoin(c.Before, name)
	earlier, err := c.FS.Open(before)
	if err != nil {
		return false
	}
	defer earlier.Close() //nolint:errcheck // only read
	info, err := earlier.Stat()
	if err != nil || info.Size() != size || !sameEnds(file, earlier, size) {
		return false
	}
	return c.FS.Link(before, c.FS.PathJoin(c.To, name)) == nil
}

// sameEnds compares the beginnings of two segments, which have what was drawn for each,
// and the ends, where one that was not yet sealed has no frame.
func sameEnds(a, b io.ReaderAt, size int64) bool {
	for _, at := range []int64{0, max(0, size-endBytes)} {
		length := min(size, endBytes)
		of := [2][]byte{make([]byte, length), make([]byte, length)}
		for i, file := range []io.ReaderAt{a, b} {
			if n, _ := file.ReadAt(of[i], at); int64(n) < length {
				return false
			}
		}
		if !bytes.Equal(of[0], of[1]) {
			return false
		}
	}
	return true
}

// write writes a file of the copy, durably.
func (c *copying) write(name string, content io.Reader) error {
	file, err := c.FS.Create(c.FS.PathJoin(c.To, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, content, make([]byte, maxWindow))
	if err == nil {
		err = retried(file.Sync)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
