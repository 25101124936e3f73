package pebblestore

import (
	"encoding/binary"
	"fmt"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// Keys of the index start with one byte for what they hold. Parts of variable
// length end in a zero byte, which no part may contain, so that no key is a prefix
// of another of its kind by accident. Numbers are big-endian: byte order is
// numeric order.
const (
	keyGroup     = 'g' // first sequence -> position in the journal
	keyIdentity  = 'k' // sender 0 id -> sequence
	keyInbox     = 'd' // recipient 0 sequence -> order, record size, bytes beside the record
	keyBacklog   = 'b' // recipient -> number and bytes of what waits
	keyDead      = 'x' // recipient 0 sequence -> buried
	keyDiscarded = 'z' // sequence recipient 0 -> buried
	keyItem      = 'r' // kind 0 key -> registry item
	keyView      = 'v' // kind 0 key -> view item
	keyAudit     = 'a' // audit sequence -> record
	keySegment   = 's' // position in the journal -> summary of the segment
	keyMeta      = 'm' // name -> value
	keyEpoch     = 'e' // first sequence -> epoch
)

const formatVersion = "lienthong index 2"

func formatKey() []byte     { return []byte{keyMeta, 'v'} }
func cursorKey() []byte     { return []byte{keyMeta, 'i'} }
func viewCursorKey() []byte { return []byte{keyMeta, 'c'} }

func sequenceKey(kind byte, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, sequence)
}

// following returns the sequence after one, which callers may have made up.
func following(sequence uint64) uint64 { return max(sequence, sequence+1) }

func pairKey(kind byte, first, second string) []byte {
	return appendPair(make([]byte, 0, len(first)+len(second)+2+8), kind, first, second)
}

func appendPair(key []byte, kind byte, first, second string) []byte {
	key = append(key, kind)
	key = append(key, first...)
	key = append(key, 0)
	return append(key, second...)
}

func inboxKey(recipient string, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(pairKey(keyInbox, recipient, ""), sequence)
}

// after returns the smallest key that is larger than every key with the prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

func deadKey(recipient string, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(pairKey(keyDead, recipient, ""), sequence)
}

func sequenceOf(key []byte) (uint64, error) {
	if len(key) < 8 {
		return 0, fmt.Errorf("%w: key of %d bytes", store.ErrCorrupt, len(key))
	}
	return binary.BigEndian.Uint64(key[len(key)-8:]), nil
}

func numberValue(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func parseNumber(value []byte) (uint64, error) {
	if len(value) != 8 {
		return 0, fmt.Errorf("%w: number of %d bytes", store.ErrCorrupt, len(value))
	}
	return binary.BigEndian.Uint64(value), nil
}

func backlogValue(b store.Backlog) []byte {
	return binary.BigEndian.AppendUint64(numberValue(uint64(b.Deliveries)), uint64(b.Bytes)) //nolint:gosec // read back the same way
}

func parseBacklog(value []byte) (store.Backlog, error) {
	if len(value) != 16 {
		return store.Backlog{}, fmt.Errorf("%w: backlog of %d bytes", store.ErrCorrupt, len(value))
	}
	return store.Backlog{
		Deliveries: int64(binary.BigEndian.Uint64(value)),     //nolint:gosec // written the same way
		Bytes:      int64(binary.BigEndian.Uint64(value[8:])), //nolint:gosec // written the same way
	}, nil
}

const inboxSize = 8 + 4 + 8

// inboxValue is what the index has of a delivery.
func (e entry) inboxValue() (value [inboxSize]byte) {
	binary.BigEndian.PutUint64(value[:], e.order)
	binary.BigEndian.PutUint32(value[8:], e.size)
	binary.BigEndian.PutUint64(value[12:], uint64(e.beside)) //nolint:gosec // read back the same way
	return value
}

func parseInbox(key, value []byte) (entry, error) {
	sequence, err := sequenceOf(key)
	if err != nil {
		return entry{}, err
	}
	if len(value) != inboxSize {
		return entry{}, fmt.Errorf("%w: inbox record of %d bytes", store.ErrCorrupt, len(value))
	}
	return entry{
		sequence: sequence,
		order:    binary.BigEndian.Uint64(value),
		size:     binary.BigEndian.Uint32(value[8:]),
		beside:   int64(binary.BigEndian.Uint64(value[12:])), //nolint:gosec // written the same way
	}, nil
}

// cursor says up to where the index has what the journal has.
type cursor struct {
	position journal.Position
	sequence uint64 // last one accepted
	audits   uint64 // audit lines
}

func (c cursor) value() []byte {
	value := binary.BigEndian.AppendUint64(nil, uint64(c.position))
	value = binary.BigEndian.AppendUint64(value, c.sequence)
	return binary.BigEndian.AppendUint64(value, c.audits)
}

func parseCursor(value []byte) (cursor, error) {
	if len(value) != 24 {
		return cursor{}, fmt.Errorf("%w: cursor of %d bytes", store.ErrCorrupt, len(value))
	}
	return cursor{
		position: journal.Position(binary.BigEndian.Uint64(value)),
		sequence: binary.BigEndian.Uint64(value[8:]),
		audits:   binary.BigEndian.Uint64(value[16:]),
	}, nil
}
