package views

import (
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/packet"
)

// Accepted is a packet of the accepted log that has been read.
type Accepted struct {
	Sequence uint64
	// Speaker is the organisation that its sender spoke for.
	Speaker packet.Organisation
	// Packet is not changed by anyone any more. Nil of a large packet: that is read from
	// the log.
	Packet *packet.Packet
}

// What is kept of packets that were offered and not yet taken in.
const (
	maxOffered      = 4096
	maxOfferedBytes = 16 << 20
)

// offered holds packets until they are taken in, in order.
type offered struct {
	mu      sync.Mutex
	packets []sized
	bytes   int
}

type sized struct {
	Accepted
	bytes int
}

func (o *offered) add(accepted []Accepted) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range accepted {
		if a.Packet == nil {
			return // what follows is read from the log, with this one
		}
		size := proto.Size(a.Packet.Message)
		if len(o.packets) >= maxOffered || o.bytes+size > maxOfferedBytes {
			return
		}
		o.packets = append(o.packets, sized{a, size})
		o.bytes += size
	}
}

// take returns what follows a sequence without a gap, at most limit. Where that is
// nothing, missing is how many packets have to be read from the log, at most limit,
// before there is something.
func (o *offered) take(after uint64, limit int) (run []Accepted, missing int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.packets) > 0 && o.packets[0].Sequence <= after {
		o.drop(1)
	}
	if len(o.packets) == 0 {
		return nil, limit
	}
	if gap := o.packets[0].Sequence - after - 1; gap > 0 {
		return nil, int(min(gap, uint64(limit))) //nolint:gosec // small
	}
	n := 0
	for n < min(len(o.packets), limit) && o.packets[n].Sequence == after+1+uint64(n) {
		n++
	}
	run = make([]Accepted, n)
	for i := range run {
		run[i] = o.packets[i].Accepted
	}
	o.drop(n)
	return run, 0
}

// drop lets go of the first n packets.
func (o *offered) drop(n int) {
	for i := range n {
		o.bytes -= o.packets[i].bytes
		o.packets[i] = sized{}
	}
	if o.packets = o.packets[n:]; len(o.packets) == 0 {
		o.packets, o.bytes = nil, 0
	}
}
