package pebblestore

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// window is what came since the index was last written: what the journal has from
// a position on. A frozen one is only read.
type window struct {
	from       journal.Position
	upTo       cursor // what the index has once the window is in it; set when frozen
	identities identities
	greatest   map[string]string  // the greatest id of each sender
	groups     []*group           // in order
	inboxes    map[string]*recent // by recipient
	epochs     []store.Epoch
	items      []store.Item
	audit      [][]byte
	size       int  // how many of these there are
	revived    bool // by reading the journal
}

// recent is what came for one recipient, or was done with.
type recent struct {
	entries []entry // in order of sequence
	// gone are deliveries of earlier windows and the index that are done with.
	gone map[uint64]bool
	// dead are the dead letters that came, and nil for those that are so no more.
	dead map[uint64]*buried
	// discarded are those of these that were discarded.
	discarded map[uint64]*buried
	// backlog is what waited in all when the window was frozen.
	backlog store.Backlog
}

type entry struct {
	sequence, order uint64
	size            uint32
	beside          int64 // bytes that the packet takes beside its record
	done            bool
}

// bytes is what the packet takes.
func (e entry) bytes() int64 { return int64(e.size) + e.beside }

func (e entry) pending() store.Pending {
	return store.Pending{Sequence: e.sequence, Order: e.order, Size: e.size}
}

// newWindow returns a window that has room for so many packets.
func newWindow(from journal.Position, expected int) *window {
	return &window{from: from, identities: newIdentities(expected), greatest: map[string]string{}, inboxes: map[string]*recent{}}
}

func (w *window) inbox(recipient string) *recent {
	r, ok := w.inboxes[recipient]
	if !ok {
		r = &recent{}
		w.inboxes[recipient] = r
	}
	return r
}

// accept puts a packet into the window.
func (w *window) accept(key []byte, sender, id string, what identity, recipients []string, e entry) {
	w.identities.add(key, what)
	if id > w.greatest[sender] {
		w.greatest[sender] = id
	}
	w.deliver(recipients, e)
}

func (w *window) addAudit(line []byte) {
	w.audit = append(w.audit, append([]byte(nil), line...))
	w.size++
}

// mayKnow reports whether an id is not greater than all that the sender has used.
func (w *window) mayKnow(sender, id string) bool { return w != nil && id <= w.greatest[sender] }

// deliver puts a packet into its recipients' inboxes.
func (w *window) deliver(recipients []string, e entry) {
	for _, recipient := range recipients {
		in := w.inbox(recipient)
		in.entries = append(in.entries, e)
	}
	w.size += 1 + len(recipients)
}

// group returns the group that has a sequence, nil where it is not in the window.
func (w *window) group(sequence uint64) *group {
	if w == nil {
		return nil
	}
	at, exact := slices.BinarySearchFunc(w.groups, sequence, func(g *group, sequence uint64) int { return cmp.Compare(g.first, sequence) })
	if !exact {
		at--
	}
	if at < 0 || w.groups[at].end() <= sequence {
		return nil
	}
	return w.groups[at]
}

// entry returns the entry of a sequence, nil where it is not in the window.
func (w *window) entry(recipient string, sequence uint64) *entry {
	if w == nil || w.inboxes[recipient] == nil {
		return nil
	}
	entries := w.inboxes[recipient].entries
	at, found := slices.BinarySearchFunc(entries, sequence, bySequence)
	if !found {
		return nil
	}
	return &entries[at]
}

func bySequence(e entry, sequence uint64) int { return cmp.Compare(e.sequence, sequence) }

// isGone reports whether an earlier delivery was done with in this window.
func (w *window) isGone(recipient string, sequence uint64) bool {
	return w != nil && w.inboxes[recipient] != nil && w.inboxes[recipient].gone[sequence]
}

func (w *window) setGone(recipient string, sequence uint64) {
	in := w.inbox(recipient)
	if in.gone == nil {
		in.gone = map[uint64]bool{}
	}
	in.gone[sequence] = true
	w.size++
}

// pending appends what waits after a sequence, at most limit in all.
func (w *window) pending(recipient string, after uint64, limit int, later *window, found []store.Pending) []store.Pending {
	if w == nil || w.inboxes[recipient] == nil {
		return found
	}
	entries := w.inboxes[recipient].entries
	at, _ := slices.BinarySearchFunc(entries, following(after), bySequence)
	for _, e := range entries[at:] {
		if len(found) >= limit {
			break
		}
		if !e.done && !later.isGone(recipient, e.sequence) {
			found = append(found, e.pending())
		}
	}
	return found
}

// acknowledgement writes which deliveries of a recipient are done with.
func acknowledgement(recipient string, sequences []uint64) []byte {
	payload := make([]byte, 0, len(recipient)+1+8*len(sequences))
	payload = append(append(payload, recipient...), 0)
	for _, sequence := range sequences {
		payload = binary.BigEndian.AppendUint64(payload, sequence)
	}
	return payload
}

func parseAcknowledgement(payload []byte) (recipient string, sequences []uint64, err error) {
	end := slices.Index(payload, 0)
	if end < 0 || (len(payload)-end-1)%8 != 0 {
		return "", nil, fmt.Errorf("%w: an acknowledgement of %d bytes", store.ErrCorrupt, len(payload))
	}
	for rest := payload[end+1:]; len(rest) > 0; rest = rest[8:] {
		sequences = append(sequences, binary.BigEndian.Uint64(rest))
	}
	return string(payload[:end]), sequences, nil
}

// changedItems writes changes of registry items: for each, a byte that says whether
// it is there, and kind, key and value with their lengths.
func changedItems(items []store.Item) []byte {
	var payload []byte
	for _, item := range items {
		there := byte(1)
		if item.Value == nil {
			there = 0
		}
		payload = append(payload, there)
		for _, part := range [][]byte{[]byte(item.Kind), []byte(item.Key), item.Value} {
			payload = append(binary.BigEndian.AppendUint32(payload, uint32(len(part))), part...) //nolint:gosec // registry items are small
		}
	}
	return payload
}

func (w *window) replayItems(payload []byte) error {
	items, err := parseItems(payload)
	w.items = append(w.items, items...)
	w.size += len(items)
	return err
}

func parseItems(payload []byte) (items []store.Item, err error) {
	r := reader{bytes: payload}
	for len(r.bytes) > 0 && !r.failed {
		there := r.take(1)[0] == 1
		kind, key, value := r.part(), r.part(), r.part()
		if !there {
			value = nil
		}
		items = append(items, store.Item{Kind: string(kind), Key: string(key), Value: value})
	}
	if r.failed {
		return nil, fmt.Errorf("%w: changed items", store.ErrCorrupt)
	}
	return items, nil
}

// part reads a length and so many bytes, as a copy that is not nil.
func (r *reader) part() []byte {
	n := int(r.uint32())
	if n > len(r.bytes) {
		r.failed = true
		return nil
	}
	return append([]byte{}, r.take(n)...)
}
