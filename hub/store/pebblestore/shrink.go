package pebblestore

import (
	"encoding/binary"
	"fmt"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// costs are what there is of a packet, and what would go with it.
type costs struct {
	kind    uint32
	removed bool
	bytes   int64 // of the record and beside it
	beside  int64
	frees   int64 // bytes of the frame
}

// parseWhole reads head and table of a whole frame, which has been verified.
func parseWhole(f journal.Frame) (*group, error) {
	g, err := parseHead(f.Payload, f.Position)
	if err != nil {
		return nil, err
	}
	if err := g.fits(len(f.Payload)); err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return g, nil
}

// each visits the packets of a group, of whose frame it gets the payload.
func (g *group) each(payload []byte, visit func(sequence uint64, c costs)) error {
	r := reader{bytes: payload[g.names:g.note]}
	for i, e := range g.packets {
		c := costs{removed: e.removed}
		r.take(8)
		c.kind = r.uint32()
		if !e.removed {
			before := len(r.bytes)
			c.beside = int64(r.uint64()) //nolint:gosec // written the same way
			c.bytes = int64(e.recordSize) + c.beside
			for recipients := r.uint32(); recipients > 0 && !r.failed; recipients-- {
				r.skip()
			}
			c.frees = int64(e.recordSize) + int64(before-len(r.bytes))
		}
		r.skip() // the sender
		r.skip() // the id
		if r.failed {
			return fmt.Errorf("%w: the names of the group at %d", store.ErrCorrupt, g.position)
		}
		visit(g.first+uint64(i), c) //nolint:gosec // index
	}
	return nil
}

// skip passes over a text.
func (r *reader) skip() { r.take(int(binary.BigEndian.Uint16(r.take(2)))) }

// without returns the payload of a group's frame without what of some packets goes.
func (g *group) without(payload []byte, gone *sequences) ([]byte, error) {
	shorter := append(make([]byte, 0, len(payload)), payload[:g.names]...)
	r := reader{bytes: payload[g.names:g.note]}
	for i, e := range g.packets {
		shorter = append(shorter, r.take(8+4)...)
		going := gone.has(g.first + uint64(i)) //nolint:gosec // index
		if !e.removed {
			stays := r.bytes
			r.take(8)
			for recipients := r.uint32(); recipients > 0 && !r.failed; recipients-- {
				r.skip()
			}
			if !going {
				shorter = append(shorter, stays[:len(stays)-len(r.bytes)]...)
			}
		}
		names := r.bytes
		r.skip()
		r.skip()
		shorter = append(shorter, names[:len(names)-len(r.bytes)]...)
		if going {
			entry := shorter[headSize+i*entrySize:]
			binary.BigEndian.PutUint32(entry, removedSize)
			binary.BigEndian.PutUint32(entry[4:], 0)
		}
	}
	if r.failed || len(r.bytes) > 0 {
		return nil, fmt.Errorf("%w: the names of the group at %d", store.ErrCorrupt, g.position)
	}
	binary.BigEndian.PutUint32(shorter[12:], uint32(len(shorter)-g.names)) //nolint:gosec // less than it was
	putSum(shorter[:g.names])
	shorter = append(shorter, payload[g.note:g.recordsAt()]...)
	for i, e := range g.packets {
		if !gone.has(g.first + uint64(i)) { //nolint:gosec // index
			shorter = append(shorter, payload[e.record:e.record+e.recordSize]...)
		}
	}
	return shorter, nil
}

// recordsAt is where leaves end and records begin.
func (g *group) recordsAt() int {
	at := g.leaves
	for _, e := range g.packets {
		at += int(e.leafSize)
	}
	return at
}

// settlementsIn visits what a frame says of deliveries: the packets, and what it takes to
// say it.
func settlementsIn(f journal.Frame, visit func(sequence uint64, bytes int) bool) error {
	_, _, err := settlementsOf(f, visit)
	return err
}

// settlementsOf returns the payload of a frame that says what became of deliveries, with
// those that are to stay, and whether there are any. Where all stay, it is the frame's own.
func settlementsOf(f journal.Frame, stays func(sequence uint64, bytes int) bool) (payload []byte, any bool, err error) {
	if f.Kind == frameBuried {
		return gravesThat(f, stays)
	}
	recipient, all, err := parseAcknowledgement(f.Payload)
	if err != nil {
		return nil, false, err
	}
	var left []uint64
	for _, sequence := range all {
		if stays(sequence, 8) {
			left = append(left, sequence)
		}
	}
	if len(left) == len(all) {
		return f.Payload, true, nil
	}
	return acknowledgement(recipient, left), len(left) > 0, nil
}

func gravesThat(f journal.Frame, stay func(sequence uint64, bytes int) bool) (payload []byte, any bool, err error) {
	recipient, all, err := parseGraves(f.Payload)
	if err != nil {
		return nil, false, err
	}
	payload, left := append([]byte(recipient), 0), 0
	for _, grave := range all {
		written := grave.append(nil)
		if stay(grave.Sequence, len(written)) {
			payload = append(payload, written...)
			left++
		}
	}
	if left == len(all) {
		return f.Payload, true, nil
	}
	return payload, left > 0, nil
}
