package pebblestore

import (
	"encoding/binary"
	"fmt"

	"github.com/lienthong/lienthong/hub/store"
)

// Keys start with one byte for what they hold. Parts of variable length end in
// a zero byte, which no part may contain, so that no key is a prefix of another
// of its kind by accident. Numbers are big-endian: byte order is numeric order.
const (
	keyRecord   = 'e' // sequence -> record
	keyLeaf     = 'l' // sequence -> ledger leaf
	keyGroup    = 'g' // first sequence -> signed note
	keyIdentity = 'k' // sender 0 id -> sequence, digest
	keyInbox    = 'd' // recipient 0 sequence -> order, record size
	keyItem     = 'r' // kind 0 key -> registry item
	keyView     = 'v' // kind 0 key -> view item
	keyAudit    = 'a' // audit sequence -> record
	keyMeta     = 'm' // name -> value
)

const formatVersion = "lienthong pebble 1"

func sequenceKey(kind byte, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, sequence)
}

// following returns the sequence after one, which callers may have made up.
func following(sequence uint64) uint64 { return max(sequence, sequence+1) }

func pairKey(kind byte, first, second string) []byte {
	key := make([]byte, 0, len(first)+len(second)+2)
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

func sequenceOf(key []byte) (uint64, error) {
	if len(key) < 8 {
		return 0, fmt.Errorf("%w: key of %d bytes", store.ErrCorrupt, len(key))
	}
	return binary.BigEndian.Uint64(key[len(key)-8:]), nil
}

const identitySize = 8 + 32

func identityValue(sequence uint64, digest [32]byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, sequence), digest[:]...)
}

func parseIdentity(value []byte) (sequence uint64, digest [32]byte, err error) {
	if len(value) != identitySize {
		return 0, digest, fmt.Errorf("%w: idempotency record of %d bytes", store.ErrCorrupt, len(value))
	}
	copy(digest[:], value[8:])
	return binary.BigEndian.Uint64(value), digest, nil
}

const inboxSize = 8 + 4

func inboxValue(order uint64, size int) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, order), uint32(size)) //nolint:gosec // bounded by the packet limit
}

func parseInbox(key, value []byte) (store.Pending, error) {
	sequence, err := sequenceOf(key)
	if err != nil {
		return store.Pending{}, err
	}
	if len(value) != inboxSize {
		return store.Pending{}, fmt.Errorf("%w: inbox record of %d bytes", store.ErrCorrupt, len(value))
	}
	return store.Pending{
		Sequence: sequence,
		Order:    binary.BigEndian.Uint64(value),
		Size:     binary.BigEndian.Uint32(value[8:]),
	}, nil
}
