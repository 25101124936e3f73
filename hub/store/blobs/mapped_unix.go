//go:build unix

package blobs

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"

	"github.com/lienthong/lienthong/hub/store"
)

// mapped maps a content into memory, until unmap.
func mapped(file vfs.File, c Content) (content []byte, unmap func() error, err error) {
	fd := file.Fd()
	if fd == vfs.InvalidFd {
		return whole(file, c)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("size of blob: %w", err)
	}
	end := c.begins() + c.Size
	if info.Size() < end {
		return nil, nil, fmt.Errorf("%w: a blob has lost its end", store.ErrCorrupt)
	}
	all, err := unix.Mmap(int(fd), 0, int(end), unix.PROT_READ, unix.MAP_SHARED) //nolint:gosec // a file descriptor
	if err != nil {
		return nil, nil, fmt.Errorf("map blob: %w", err)
	}
	return all[c.begins():], func() error {
		if err := unix.Munmap(all); err != nil {
			return fmt.Errorf("unmap blob: %w", err)
		}
		return nil
	}, nil
}
