package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"
)

// tileHeight is the height of tlog's tiles: one hash is kept of every 256 of the
// level below, so that any hash of the tree is at most 127 away from what is kept.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	maxLevels  = 63/tileHeight + 1
)

// hashes keeps what tlog's tiles are made of, in one flat file a level: hash after
// hash of the leaves, of every 256 leaves, of every 256 of these, and so on. How much
// of a file counts is for its owner to know: what is there beyond, after a crash or a
// failed write, is written over. One goroutine at a time may write; what counts may
// be read meanwhile.
//
// As a tlog.HashReader it takes the files at their word; as a tlog.TileReader it is
// for tlog.TileHashReader, which does not.
type hashes struct {
	fs  vfs.FS
	dir string

	dirty [maxLevels]bool // for the writer only

	mu    sync.Mutex
	files [maxLevels]vfs.File
	// unlisted is set while a file may not be in the directory for good: at first, too,
	// as the process before may have ended in the middle.
	unlisted bool
}

func newHashes(filesystem vfs.FS, dir string) *hashes {
	return &hashes{fs: filesystem, dir: dir, unlisted: true}
}

func (h *hashes) path(level int) string {
	return h.fs.PathJoin(h.dir, fmt.Sprintf("hashes-%02d", level*tileHeight))
}

// file returns the file of a level; where it is not there, only if it may be made.
func (h *hashes) file(level int, create bool) (vfs.File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.files[level] != nil {
		return h.files[level], nil
	}
	_, err := h.fs.Stat(h.path(level))
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && (!missing || !create) {
		return nil, fmt.Errorf("ledger hashes: %w", err)
	}
	file, err := h.fs.OpenReadWrite(h.path(level), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("ledger hashes: %w", err)
	}
	h.files[level], h.unlisted = file, h.unlisted || missing
	return file, nil
}

// extend writes the hashes of leaves that follow the first `from`, and all that they
// complete.
func (h *hashes) extend(from int64, leaves []byte) error {
	data := leaves
	for level := 0; len(data) > 0; level++ {
		file, err := h.file(level, true)
		if err != nil {
			return err
		}
		h.dirty[level] = true
		if _, err := file.WriteAt(data, from*tlog.HashSize); err != nil {
			return fmt.Errorf("ledger hashes: %w", err)
		}
		end := from + int64(len(data)/tlog.HashSize)
		if data, err = h.above(level, from/tileWidth, end/tileWidth); err != nil {
			return err
		}
		from /= tileWidth
	}
	return nil
}

// above returns the hashes of the tiles [first, end) of a level.
func (h *hashes) above(level int, first, end int64) ([]byte, error) {
	data := make([]byte, 0, (end-first)*tlog.HashSize)
	for n := first; n < end; n++ {
		tile, err := h.read(level, n*tileWidth, tileWidth)
		if err != nil {
			return nil, err
		}
		half := len(tile) / 2
		left, err := whole(tile[:half])
		if err != nil {
			return nil, err
		}
		right, err := whole(tile[half:])
		if err != nil {
			return nil, err
		}
		hash := tlog.NodeHash(left, right)
		data = append(data, hash[:]...)
	}
	return data, nil
}

// whole returns the hash over half a tile, the highest that a tile gives by itself.
func whole(half []byte) (tlog.Hash, error) {
	hash, err := tlog.HashFromTile(tlog.Tile{H: tileHeight, W: tileWidth / 2}, half, tlog.StoredHashIndex(tileHeight-1, 0))
	if err != nil {
		return hash, fmt.Errorf("ledger hashes: %w", err)
	}
	return hash, nil
}

// read returns hashes of a level. That they are not there is an error.
func (h *hashes) read(level int, first int64, count int) ([]byte, error) {
	file, err := h.file(level, false)
	if err != nil {
		return nil, err
	}
	data := make([]byte, count*tlog.HashSize)
	if n, err := file.ReadAt(data, first*tlog.HashSize); n < len(data) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("ledger hashes %d to %d of level %d: %w", first, first+int64(count), level*tileHeight, err)
	}
	return data, nil
}

// complete returns how many of the first size leaves the files can hold all hashes of,
// by their lengths.
func (h *hashes) complete(size int64) (int64, error) {
	for level, covers := 0, int64(1); covers <= size; level, covers = level+1, covers*tileWidth {
		length := int64(0)
		info, err := h.fs.Stat(h.path(level))
		switch {
		case err == nil:
			length = info.Size()
		case !errors.Is(err, fs.ErrNotExist):
			return 0, fmt.Errorf("ledger hashes: %w", err)
		}
		// One leaf fewer than would complete the first hash that is not there.
		size = min(size, (length/tlog.HashSize+1)*covers-1)
	}
	return size, nil
}

// sync puts what was written on stable storage.
func (h *hashes) sync() error {
	h.mu.Lock()
	files, unlisted := h.files, h.unlisted
	h.mu.Unlock()
	for level, file := range files {
		if !h.dirty[level] {
			continue
		}
		if err := file.Sync(); err != nil {
			return fmt.Errorf("ledger hashes: %w", err)
		}
		h.dirty[level] = false
	}
	if !unlisted {
		return nil
	}
	if err := syncDir(h.fs, h.dir); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unlisted = false // only the writer, who is here, makes files
	return nil
}

// close closes the files.
func (h *hashes) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for level, file := range h.files {
		if file != nil {
			errs = append(errs, file.Close())
			h.files[level] = nil
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("ledger hashes: %w", err)
	}
	return nil
}

// ReadHashes implements tlog.HashReader.
func (h *hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		tile := tlog.TileForIndex(tileHeight, index)
		data, err := h.read(tile.L, tile.N*tileWidth, tile.W)
		if err != nil {
			return nil, err
		}
		if found[i], err = tlog.HashFromTile(tile, data, index); err != nil {
			return nil, fmt.Errorf("ledger hashes: %w", err)
		}
	}
	return found, nil
}

// Height implements tlog.TileReader.
func (h *hashes) Height() int { return tileHeight }

// ReadTiles implements tlog.TileReader.
func (h *hashes) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		var err error
		if data[i], err = h.read(tile.L, tile.N*tileWidth, tile.W); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// SaveTiles implements tlog.TileReader: the files are their own cache.
func (h *hashes) SaveTiles([]tlog.Tile, [][]byte) {}

func syncDir(filesystem vfs.FS, dir string) error {
	opened, err := filesystem.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("ledger directory: %w", err)
	}
	if err := errors.Join(opened.Sync(), opened.Close()); err != nil {
		return fmt.Errorf("ledger directory: %w", err)
	}
	return nil
}
