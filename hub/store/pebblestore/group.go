package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// Kinds of frames in the journal.
const (
	frameGroup        byte = 1 // a commit group; see group
	frameAcknowledged byte = 2 // recipient 0, then sequences of 8 bytes
	frameItems        byte = 3 // changed registry items
	frameAudit        byte = 4 // one line of the audit log
	frameBuried       byte = 5 // recipient, then dead letters; see buried
	frameRevived      byte = 6 // as frameAcknowledged: dead letters that are deliveries again
	frameDiscarded    byte = 7 // as frameAcknowledged: dead letters that are done with
	frameEpoch        byte = 8 // where sequences jump; see epochSize
)

// removedSize stands for the size of a record that is no longer kept.
const removedSize = 1<<32 - 1

// A group's frame is a head, a table, and four parts, one after another:
//
//	head    first sequence, count, sizes of the parts, time, checksums
//	table   for each packet: size and checksum of the record, size of the leaf, digest
//	names   for each packet: order, kind, bytes beside the record, recipients, sender, id
//	note    the signed note
//	leaves  as given out in receipts
//	records as given to recipients
//
// Head and table have a checksum of their own, so have note and leaves, and each
// record: any of them can be read without the others.
//
// Of a packet that was removed, the table says removedSize, there is no record, and the
// names have neither the bytes beside it nor recipients: each removal makes the frame
// shorter. So the frame's length tells whether a group in memory is still what there is.
const (
	headSize  = 8 + 4 + 4 + 4 + 4 + 8 + 4 + 4
	entrySize = 4 + 4 + 4 + 32
)

// group says where the parts of a commit group are.
type group struct {
	first    uint64
	position journal.Position
	at       time.Time
	names    int // offset of the names in the frame's payload
	note     int // offset of the note
	leaves   int // offset of the leaves
	length   int // of the frame's payload
	checksum uint32
	packets  []extent
	digests  [][32]byte // nil once the group is in the index
}

// extent is where a record and a leaf are in the payload of their group's frame.
type extent struct {
	record, recordSize, recordSum uint32
	leafSize                      uint32
	removed                       bool
}

func (g *group) end() uint64 { return g.first + uint64(len(g.packets)) }

// castagnoli has hardware support.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // made once by the library

// framed returns the parts of a group's frame, to be appended, and where they are.
func framed(submissions []store.Submission, fresh []store.Fresh, sealed store.Sealed) (parts [][]byte, g *group, err error) {
	table := castagnoli()
	var names []byte
	g = &group{first: fresh[0].Sequence, at: sealed.At, packets: make([]extent, len(fresh)), digests: make([][32]byte, len(fresh))}
	head := make([]byte, headSize, headSize+len(fresh)*entrySize)
	evidence := crc32.Checksum(sealed.Note, table)
	leaves := 0
	for i, f := range fresh {
		sub, record, leaf := &submissions[f.Index], sealed.Records[i], sealed.Leaves[i]
		if names, err = appendNames(names, sub); err != nil {
			return nil, nil, err
		}
		if len(record) >= removedSize || sub.ContentBytes < 0 {
			return nil, nil, fmt.Errorf("a record of %d bytes with %d beside it", len(record), sub.ContentBytes)
		}
		e := extent{recordSize: uint32(len(record)), recordSum: crc32.Checksum(record, table), leafSize: uint32(len(leaf))} //nolint:gosec // bounded by the packet limit
		evidence = crc32.Update(evidence, table, leaf)
		leaves += len(leaf)
		head = binary.BigEndian.AppendUint32(head, e.recordSize)
		head = binary.BigEndian.AppendUint32(head, e.recordSum)
		head = binary.BigEndian.AppendUint32(head, e.leafSize)
		head = append(head, sub.Digest[:]...)
		g.packets[i], g.digests[i] = e, sub.Digest
	}
	binary.BigEndian.PutUint64(head, g.first)
	for i, n := range []int{len(fresh), len(names), len(sealed.Note), leaves} {
		binary.BigEndian.PutUint32(head[8+4*i:], uint32(n)) //nolint:gosec // bounded by the group limit
	}
	binary.BigEndian.PutUint64(head[24:], uint64(sealed.At.UnixNano())) //nolint:gosec // read back the same way
	binary.BigEndian.PutUint32(head[32:], evidence)
	putSum(head)
	g.checksum = evidence
	if err := g.place(len(names), len(sealed.Note), leaves); err != nil {
		return nil, nil, err
	}
	parts = append(make([][]byte, 0, 3+2*len(fresh)), head, names, sealed.Note)
	parts = append(append(parts, sealed.Leaves...), sealed.Records...)
	return parts, g, nil
}

// headSum is the checksum of head and table, but for the checksum itself.
func headSum(head []byte) uint32 {
	table := castagnoli()
	return crc32.Update(crc32.Checksum(head[:36], table), table, head[headSize:])
}

func putSum(head []byte) { binary.BigEndian.PutUint32(head[36:], headSum(head)) }

// place finds the offsets from the sizes.
func (g *group) place(names, note, leaves int) error {
	g.names = headSize + len(g.packets)*entrySize
	g.note = g.names + names
	g.leaves = g.note + note
	at := uint64(g.leaves) + uint64(leaves) //nolint:gosec // sizes
	for i := range g.packets {
		if at > 1<<32-1 {
			return errors.New("a commit group of more than 4 GiB")
		}
		g.packets[i].record = uint32(at)
		at += uint64(g.packets[i].recordSize)
	}
	g.length = int(at) //nolint:gosec // at most two records more than 4 GiB
	return nil
}

// headLength returns the length of head and table, once the head has been read.
func headLength(head []byte) int {
	return headSize + int(binary.BigEndian.Uint32(head[8:]))*entrySize
}

// parseHead reads head and table.
func parseHead(head []byte, position journal.Position) (*group, error) {
	if len(head) < headSize || len(head) < headLength(head) {
		return nil, fmt.Errorf("%w: a group's head of %d bytes at %d", store.ErrCorrupt, len(head), position)
	}
	head = head[:headLength(head)]
	if headSum(head) != binary.BigEndian.Uint32(head[36:]) {
		return nil, fmt.Errorf("%w: the head of the group at %d has changed", store.ErrCorrupt, position)
	}
	count := int(binary.BigEndian.Uint32(head[8:]))
	g := &group{
		first: binary.BigEndian.Uint64(head), position: position, checksum: binary.BigEndian.Uint32(head[32:]),
		at:      time.Unix(0, int64(binary.BigEndian.Uint64(head[24:]))), //nolint:gosec // written the same way
		packets: make([]extent, count), digests: make([][32]byte, count),
	}
	for i := range g.packets {
		entry := head[headSize+i*entrySize:]
		e := extent{recordSize: binary.BigEndian.Uint32(entry), recordSum: binary.BigEndian.Uint32(entry[4:]), leafSize: binary.BigEndian.Uint32(entry[8:])}
		if e.recordSize == removedSize {
			e.recordSize, e.removed = 0, true
		}
		g.packets[i] = e
		copy(g.digests[i][:], entry[12:entrySize])
	}
	err := g.place(int(binary.BigEndian.Uint32(head[12:])), int(binary.BigEndian.Uint32(head[16:])), int(binary.BigEndian.Uint32(head[20:])))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return g, nil
}

// named is what the index is made of.
type named struct {
	sender, id string
	order      uint64
	kind       uint32
	beside     int64 // bytes beside the record
	recipients []string
}

func appendNames(names []byte, sub *store.Submission) ([]byte, error) {
	names = binary.BigEndian.AppendUint64(names, sub.Order)
	names = binary.BigEndian.AppendUint32(names, sub.Kind)
	names = binary.BigEndian.AppendUint64(names, uint64(sub.ContentBytes))    //nolint:gosec // read back the same way
	names = binary.BigEndian.AppendUint32(names, uint32(len(sub.Recipients))) //nolint:gosec // bounded by the message
	for _, texts := range [2][]string{sub.Recipients, {sub.Sender, sub.ID}} {
		for _, text := range texts {
			if len(text) > 1<<16-1 {
				return nil, fmt.Errorf("a name of %d bytes", len(text))
			}
			names = append(binary.BigEndian.AppendUint16(names, uint16(len(text))), text...) //nolint:gosec // checked
		}
	}
	return names, nil
}

// namesOf reads the names of a whole frame, which has been verified.
func (g *group) namesOf(payload []byte) ([]named, error) {
	r := reader{bytes: payload[g.names:g.note]}
	all := make([]named, len(g.packets))
	for i := range all {
		n := &all[i]
		n.order, n.kind = r.uint64(), r.uint32()
		if !g.packets[i].removed {
			n.beside = int64(r.uint64()) //nolint:gosec // written the same way
			for recipients := r.uint32(); recipients > 0 && !r.failed; recipients-- {
				n.recipients = append(n.recipients, r.text())
			}
		}
		n.sender, n.id = r.text(), r.text()
	}
	if r.failed || len(r.bytes) > 0 {
		return nil, fmt.Errorf("%w: the names of the group at %d", store.ErrCorrupt, g.position)
	}
	return all, nil
}

// reader reads what is in bytes, and notes where it ends too soon.
type reader struct {
	bytes  []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.bytes) {
		r.failed = true
		return make([]byte, min(n, 8))
	}
	taken := r.bytes[:n]
	r.bytes = r.bytes[n:]
	return taken
}

func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }

func (r *reader) text() string {
	n := int(binary.BigEndian.Uint16(r.take(2)))
	if n > len(r.bytes) {
		r.failed = true
		return ""
	}
	return string(r.take(n))
}
