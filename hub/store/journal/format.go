package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/lienthong/lienthong/hub/store"
)

// A segment file is a header and frames. In a segment as it was appended, a frame
// of position p is at offset segmentHeader + p - base; the last is an end frame. A
// rewritten one has frames of any distance, a table of where they are, and an end
// frame that is the last of the file.
//
// Segment header, little endian as everything:
//
//	 0  magic, 8 bytes
//	 8  format version, 4 bytes
//	12  flags, 4 bytes
//	16  position of the first frame, 8 bytes
//	24  salt, 8 bytes
//	32  zero, 4 bytes
//	36  CRC-32C of the above, 4 bytes
//
// Frame header:
//
//	 0  mark: half of the salt, 4 bytes
//	 4  bytes of the payload, without padding, 4 bytes
//	 8  position, 8 bytes
//	16  bytes before it that were not known to be synced when it was written, 4 bytes
//	20  kind, 4 bytes
//	24  CRC-32C of the padded payload, 4 bytes
//	28  CRC-32C of the above, 4 bytes
//
// Both sums of a frame begin with the other half of the salt. Payloads come from
// outside; who does not know the salt cannot make one that holds a frame header.
const (
	segmentMagic   = "LTHG-jnl"
	segmentVersion = 1
	segmentHeader  = 40
	flagRewritten  = 1

	frameHeader = 32
	alignment   = 8

	maxPayload      = 1 << 30
	maxSegmentBytes = 1 << 30

	lockName = "LOCK"
	// suffixes of file names
	suffixSegment   = ".journal"
	suffixNew       = ".new"
	suffixRewriting = ".rewriting"
	suffixRemoved   = ".removed"
)

// Kinds of frames that are the journal's own.
const (
	kindOwn    = 0xF0
	kindEnd    = 0xF1 // nothing follows in this segment
	kindTable  = 0xF2 // where frames are in a rewritten segment
	kindClosed = 0xF3 // everything before was synced when the journal was closed
)

// An end frame's payload is offset and size of the table's, or zeros.
const (
	endPayload  = 16
	endBytes    = frameHeader + endPayload
	closedBytes = frameHeader
)

// head is a frame's header.
type head struct {
	position, synced Position
	kind             byte
	length           int
	sum              uint32
}

// frameBytes is what a frame with such a payload takes.
func frameBytes(length int) int64 { return frameHeader + padded(length) }

func padded(length int) int64 { return (int64(length) + alignment - 1) &^ (alignment - 1) }

func (h head) bytes() int64 { return frameBytes(h.length) }

// stamp writes and checks the frames of one segment.
type stamp struct {
	mark, seed uint32
	table      *crc32.Table
}

func newStamp(salt uint64, table *crc32.Table) stamp {
	return stamp{mark: uint32(salt), seed: uint32(salt >> 32), table: table}
}

// drawSalt returns a salt whose mark differs from zeroes, which is what unwritten
// places hold.
func drawSalt(random io.Reader) (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return 0, fmt.Errorf("draw salt: %w", err)
	}
	return binary.LittleEndian.Uint64(b[:]) | 1, nil
}

// write fills in the header of a frame whose padded payload follows it in frame.
func (s stamp) write(frame []byte, h head) {
	binary.LittleEndian.PutUint32(frame[0:], s.mark)
	binary.LittleEndian.PutUint32(frame[4:], uint32(h.length))
	binary.LittleEndian.PutUint64(frame[8:], uint64(h.position))
	binary.LittleEndian.PutUint32(frame[16:], uint32(h.position-h.synced))
	binary.LittleEndian.PutUint32(frame[20:], uint32(h.kind))
	binary.LittleEndian.PutUint32(frame[24:], s.sum(frame[frameHeader:]))
	binary.LittleEndian.PutUint32(frame[28:], s.sum(frame[:28]))
}

// parse reads a header; false where it is none of this segment.
func (s stamp) parse(b []byte) (head, bool) {
	if len(b) < frameHeader || binary.LittleEndian.Uint32(b) != s.mark ||
		binary.LittleEndian.Uint32(b[28:]) != s.sum(b[:28]) {
		return head{}, false
	}
	h := head{
		position: Position(binary.LittleEndian.Uint64(b[8:])),
		kind:     b[20],
		length:   int(binary.LittleEndian.Uint32(b[4:])),
		sum:      binary.LittleEndian.Uint32(b[24:]),
	}
	h.synced = h.position - Position(binary.LittleEndian.Uint32(b[16:]))
	return h, h.length <= maxPayload && h.synced <= h.position
}

func (s stamp) sum(b []byte) uint32 { return crc32.Update(s.seed, s.table, b) }

// segmentHead is a segment's header.
type segmentHead struct {
	base      Position
	salt      uint64
	rewritten bool
}

func (h segmentHead) encode(table *crc32.Table) []byte {
	b := make([]byte, segmentHeader)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint32(b[8:], segmentVersion)
	if h.rewritten {
		binary.LittleEndian.PutUint32(b[12:], flagRewritten)
	}
	binary.LittleEndian.PutUint64(b[16:], uint64(h.base))
	binary.LittleEndian.PutUint64(b[24:], h.salt)
	binary.LittleEndian.PutUint32(b[36:], crc32.Checksum(b[:36], table))
	return b
}

// parseSegmentHead reads the header of the segment that begins at base.
func parseSegmentHead(b []byte, base Position, table *crc32.Table) (segmentHead, error) {
	if string(b[:8]) != segmentMagic || binary.LittleEndian.Uint32(b[36:]) != crc32.Checksum(b[:36], table) {
		return segmentHead{}, fmt.Errorf("%w: the segment's header does not verify; %s", store.ErrCorrupt, advice)
	}
	if begins := Position(binary.LittleEndian.Uint64(b[16:])); begins != base {
		return segmentHead{}, fmt.Errorf("%w: the segment's header says that it begins at %d; %s", store.ErrCorrupt, begins, advice)
	}
	if version := binary.LittleEndian.Uint32(b[8:]); version != segmentVersion {
		return segmentHead{}, fmt.Errorf("format version %d; this program reads %d", version, segmentVersion)
	}
	return segmentHead{
		base:      base,
		salt:      binary.LittleEndian.Uint64(b[24:]),
		rewritten: binary.LittleEndian.Uint32(b[12:])&flagRewritten != 0,
	}, nil
}

func segmentName(base Position) string { return fmt.Sprintf("%020d%s", base, suffixSegment) }
