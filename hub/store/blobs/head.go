package blobs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/lienthong/lienthong/hub/store"
)

// A file is a head, a table, and the content:
//
//	head     what content it is, with a checksum; headSize bytes
//	table    for each block: its number from 1 and its CRC-32C; whole pages
//	content  from a page boundary on, so that it can be mapped
//
// A block and its place in the table are written together, before one fsync. Whether
// both are there, the checksum tells: a block that is not, or only partly, on the disk
// does not fit it.
const (
	headSize  = 4 << 10
	pageSize  = 4 << 10
	blockSize = 1 << 20
	entrySize = 8

	magic = "lienthong blob 1\n"
)

// blocks returns how many blocks a content has.
func (c Content) blocks() int64 { return (c.Size + blockSize - 1) / blockSize }

// blockLength returns the length of a block: the last may be shorter.
func (c Content) blockLength(block int64) int64 { return min(blockSize, c.Size-block*blockSize) }

// begins returns where the content begins in its file.
func (c Content) begins() int64 {
	table := c.blocks() * entrySize
	return headSize + (table+pageSize-1)/pageSize*pageSize
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // made once by the library

// entry is what the table says of a block.
func entry(block int64, sum uint32) []byte {
	e := binary.BigEndian.AppendUint32(make([]byte, 0, entrySize), uint32(block)+1) //nolint:gosec // a block of a file
	return binary.BigEndian.AppendUint32(e, sum)
}

// sumOf returns the checksum that a table has for a block; false where it has none.
func sumOf(table []byte, block int64) (uint32, bool) {
	e := table[block*entrySize:]
	return binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e) == uint32(block)+1 //nolint:gosec // a block of a file
}

// head writes what content a file has.
func (c Content) head() ([]byte, error) {
	if len(c.Sender) > 1<<10 || len(c.ID) > 1<<10 {
		return nil, fmt.Errorf("a name of %d and an id of %d bytes", len(c.Sender), len(c.ID))
	}
	h := append(make([]byte, 0, headSize), magic...)
	h = append(h, 0, 0, 0, 0)
	h = binary.BigEndian.AppendUint64(h, uint64(c.Size)) //nolint:gosec // a size
	h = append(h, c.SHA256[:]...)
	for _, text := range [2]string{c.Sender, c.ID} {
		h = append(binary.BigEndian.AppendUint16(h, uint16(len(text))), text...) //nolint:gosec // checked
	}
	h = h[:headSize]
	binary.BigEndian.PutUint32(h[len(magic):], headSum(h))
	return h, nil
}

func headSum(h []byte) uint32 { return crc32.Checksum(h[len(magic)+4:], castagnoli()) }

// readHead reads what content a file has; store.ErrCorrupt where it does not say.
func readHead(file io.ReaderAt) (Content, error) {
	var c Content
	h := make([]byte, headSize)
	if _, err := file.ReadAt(h, 0); err != nil && !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("read head: %w", err)
	}
	if string(h[:len(magic)]) != magic || binary.BigEndian.Uint32(h[len(magic):]) != headSum(h) {
		return c, fmt.Errorf("%w: the head of a blob", store.ErrCorrupt)
	}
	rest := h[len(magic)+4:]
	c.Size = int64(binary.BigEndian.Uint64(rest)) //nolint:gosec // written the same way
	copy(c.SHA256[:], rest[8:])
	rest = rest[8+len(c.SHA256):]
	for _, text := range [2]*string{&c.Sender, &c.ID} {
		n := int(binary.BigEndian.Uint16(rest))
		*text, rest = string(rest[2:2+n]), rest[2+n:]
	}
	return c, nil
}

// readTable reads the table of a file; of one that is shorter, zeros.
func (c Content) readTable(file io.ReaderAt) ([]byte, error) {
	table := make([]byte, c.blocks()*entrySize)
	if _, err := file.ReadAt(table, headSize); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read table: %w", err)
	}
	return table, nil
}
