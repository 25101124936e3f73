package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copier copies files of a data directory that may change meanwhile, with their modes.
type copier struct {
	ctx    context.Context //nolint:containedctx // of one backup
	backup *backup
}

// linkedBytes is the size from which a file is shared with the backup before.
const linkedBytes = 64 << 10

// tree copies what is below a path of the data directory, but for what is left out.
func (c *copier) tree(below string, leaveOut func(path string) bool) error {
	var dirs []string
	err := filepath.WalkDir(filepath.Join(c.backup.from, below), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was there a moment ago, or never
		}
		if err != nil {
			return err
		}
		if err := c.ctx.Err(); err != nil {
			return err //nolint:wrapcheck // the context's
		}
		name, err := filepath.Rel(c.backup.from, path)
		if err != nil {
			return err //nolint:wrapcheck // does not happen
		}
		switch {
		case name != "." && name != below && leaveOut(name):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			dirs = append(dirs, filepath.Join(c.backup.partial, name))
			return makePrivate(dirs[len(dirs)-1])
		}
		if err := c.file(name); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	for _, dir := range dirs {
		if err == nil {
			err = syncDirectory(dir)
		}
	}
	return err //nolint:wrapcheck // says where
}

// file copies one file. fs.ErrNotExist where it is gone.
func (c *copier) file(name string) (err error) {
	source, err := os.Open(filepath.Join(c.backup.from, name))
	if err != nil {
		return err //nolint:wrapcheck // says where
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	info, err := source.Stat()
	if err != nil {
		return err //nolint:wrapcheck // says where
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %s in place of a file", source.Name(), info.Mode().Type())
	}
	to := filepath.Join(c.backup.partial, name)
	if c.link(name, to, info) {
		c.backup.made.LinkedBytes += info.Size()
		return nil
	}
	file, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err //nolint:wrapcheck // says where
	}
	n, err := io.Copy(file, source)
	if err == nil {
		err = errors.Join(file.Chmod(info.Mode().Perm()), file.Sync()) // whatever the umask is
	}
	c.backup.made.Bytes += n
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Chtimes(to, info.ModTime(), info.ModTime())
	}
	return err //nolint:wrapcheck // says where
}

// link shares a file with the backup before, if it has not changed since.
func (c *copier) link(name, to string, info fs.FileInfo) bool {
	if c.backup.earlier == "" || info.Size() < linkedBytes {
		return false
	}
	earlier := filepath.Join(c.backup.earlier, name)
	before, err := os.Stat(earlier)
	same := err == nil && before.Size() == info.Size() && before.Mode() == info.Mode() && before.ModTime().Equal(info.ModTime())
	return same && os.Link(earlier, to) == nil
}
