package pebblestore

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// damagedFile, beside the index, says that the index was found damaged while it was read:
// the next start makes it anew.
const damagedFile = "index.damaged"

// errIndexDamaged means that the index was found damaged before the store was open.
var errIndexDamaged = errors.New("the index is damaged")

// damage is what there is to do once the index turns out to be damaged.
type damage struct {
	once   sync.Once
	found  atomic.Bool
	opened atomic.Bool // the store is
}

// indexDamaged is called where a part of the index is read that is not what was written.
// While the store is being opened, it is made anew then and there. Later, what was read
// before may have been wrong as well, and an index that is made anew takes longer than
// callers wait: the process ends, and the next start makes it.
func (s *Store) indexDamaged(info pebble.DataCorruptionInfo) {
	s.damage.once.Do(func() {
		if err := s.markDamaged(); err != nil {
			s.opts.Logger.Error("that the index is damaged could not be noted: remove its directory before the next start",
				"directory", filepath.Join(s.dir, indexDir), "error", err)
		}
	})
	s.damage.found.Store(true)
	if !s.damage.opened.Load() {
		return
	}
	s.opts.Logger.Error("the index is damaged, and the hub ends: nothing is lost, the next start makes the index again from the journal; look at the disk",
		"file", info.Path, "detail", inWords(info.Details))
	s.opts.Exit(exitBroken)
}

func (s *Store) markDamaged() error {
	f, err := s.opts.FS.Create(filepath.Join(s.dir, damagedFile), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err //nolint:wrapcheck // names the file
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return s.syncDirectory()
}

// removeDamaged removes an index that was found damaged before.
func (s *Store) removeDamaged() error {
	mark := filepath.Join(s.dir, damagedFile)
	if _, err := s.opts.FS.Stat(mark); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("look whether the index is damaged: %w", err)
	}
	s.opts.Logger.Error("the index was found damaged; it is made again from the journal")
	err := s.opts.FS.RemoveAll(filepath.Join(s.dir, indexDir))
	if err == nil {
		err = s.syncDirectory()
	}
	if err == nil {
		err = s.opts.FS.Remove(mark)
	}
	if err != nil {
		return fmt.Errorf("remove damaged index: %w", err)
	}
	return nil
}

func (s *Store) syncDirectory() error {
	d, err := s.opts.FS.OpenDir(s.dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	return err
}
