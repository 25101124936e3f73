package nodes

import (
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// outgoing is an envelope that has no result yet.
type outgoing struct {
	envelope   *exchangev1.Envelope
	size       int
	prev, next *outgoing
}

// window holds the envelopes without a result, in the order they were sent. Those
// before unsent were given to the current stream.
type window struct {
	first, last, unsent *outgoing
	byID                map[string]*outgoing
	bytes               int
}

func (w *window) add(o *outgoing) {
	o.prev = w.last
	if w.last == nil {
		w.first = o
	} else {
		w.last.next = o
	}
	w.last = o
	if w.unsent == nil {
		w.unsent = o
	}
	w.byID[o.envelope.GetId()] = o
	w.bytes += o.size
}

func (w *window) remove(o *outgoing) {
	if o.prev == nil {
		w.first = o.next
	} else {
		o.prev.next = o.next
	}
	if o.next == nil {
		w.last = o.prev
	} else {
		o.next.prev = o.prev
	}
	if w.unsent == o {
		w.unsent = o.next
	}
	delete(w.byID, o.envelope.GetId())
	w.bytes -= o.size
}

// take returns the next envelopes for the current stream: at most count and,
// beyond the first, at most size bytes.
func (w *window) take(count, size int) []*exchangev1.Envelope {
	var taken []*exchangev1.Envelope
	for o := w.unsent; o != nil && len(taken) < count; o = o.next {
		if size -= o.size; size < 0 && len(taken) > 0 {
			break
		}
		taken = append(taken, o.envelope)
		w.unsent = o.next
	}
	return taken
}

// rewind makes everything unsent: a new stream begins.
func (w *window) rewind() { w.unsent = w.first }

// sentAlone returns an envelope that the current stream was given in a frame of its own,
// of a size; nil where there is none.
func (w *window) sentAlone(size int) *outgoing {
	for o := w.first; o != nil && o != w.unsent; o = o.next {
		if o.size > bytesPerFrame && proto.Size(frameOf(o.envelope)) == size {
			return o
		}
	}
	return nil
}
