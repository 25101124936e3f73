//go:build !unix

package blobs

import "github.com/cockroachdb/pebble/v2/vfs"

// mapped reads a content: this system is not one on which it is mapped.
func mapped(file vfs.File, c Content) (content []byte, unmap func() error, err error) {
	return whole(file, c)
}
