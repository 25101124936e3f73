package exchange

import "github.com/lienthong/lienthong/hub/store"

// What one recipient can make the hub hold. Beyond it, its consumers wait until
// something is acknowledged.
const (
	// maxAside bounds, together with what is out, what an inbox remembers of
	// deliveries it passed over or that are stalled; beyond it, the inbox waits for
	// those to be done before it reads on.
	maxAside = 10_000
	// consumerBytes bounds what one consumer has out beside its first.
	consumerBytes = 64 << 20
	// Consumers of one recipient have at most consumersShare times what one may have.
	consumersShare = 8
	// maxStreams bounds the receive streams of one recipient: each holds a frame.
	maxStreams = 64
)

// load is what is out.
type load struct{ count, bytes int }

func (l load) plus(other load) load {
	return load{count: l.count + other.count, bytes: l.bytes + other.bytes}
}

func (l load) minus(other load) load {
	return load{count: l.count - other.count, bytes: l.bytes - other.bytes}
}

func loadOf(p store.Pending) load { return load{count: 1, bytes: int(p.Size)} }

// roomFor returns how much more a consumer may have out. While there are bytes
// left, the next one may exceed them.
func (in *inbox) roomFor(consumer uint64) load {
	most := load{count: in.limits.Unacknowledged, bytes: consumerBytes}
	room := most.minus(in.byOwner[consumer])
	all := load{count: consumersShare * most.count, bytes: consumersShare * most.bytes}.minus(in.total)
	room = load{count: min(room.count, all.count), bytes: min(room.bytes, all.bytes)}
	if room.bytes <= 0 {
		room.count = 0
	}
	return room
}
