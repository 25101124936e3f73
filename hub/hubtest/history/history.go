// Package history judges whether a hub kept its word. Clients write down what they
// did and what they saw; Check compares that with itself and with what the hub
// still serves, whatever was killed or cut meanwhile.
//
// The checker is made for its purpose. A checker of linearizability would add
// nothing: the only object that clients compete for is an idempotency key, and that
// is a register that is written once. Whether a history of it has an order is
// decided by looking at each answer once, which the rule Once does: all answers
// name one sequence and one content, which somebody had sent before, and whoever is
// told of a conflict had sent something else.
package history

import (
	"crypto/sha256"
	"sync"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// kind says what happened.
type kind int

const (
	submitted kind = iota + 1
	accepted
	refused
	delivered
	handled
	acknowledged
	confirmed
	cut
	pulling
	killed
)

// event is one thing that happened to one node, or to the hub. What is not said for
// a kind is zero.
type event struct {
	kind     kind
	node     string // sender of what is submitted, recipient of what is delivered
	lane     string
	key      key
	subject  string
	digest   [sha256.Size]byte
	sequence uint64
	receipt  *exchangev1.Receipt
	// conflict: the refusal says that the id was used for other content.
	conflict bool
}

// key is an idempotency key.
type key struct{ sender, id string }

// History is what the clients of one hub did and saw, in the order of the calls
// that wrote it down. All methods may be called concurrently, but each lane, and
// each recipient, writes in the order in which it sent or received: a recipient has
// one consumer at a time.
type History struct {
	mu     sync.Mutex
	events []event
}

func (h *History) add(e ...event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e...)
}

// Submitted says that an envelope is about to be sent, also when it is sent again.
// A lane is one submitter whose order the hub keeps; without one, no order is
// expected.
func (h *History) Submitted(lane, sender, subject string, env *exchangev1.Envelope) {
	h.add(event{
		kind: submitted, lane: lane, node: sender, key: key{sender, env.GetId()},
		subject: subject, digest: sha256.Sum256(env.GetContent()),
	})
}

// Accepted says that a sender got a receipt for an id.
func (h *History) Accepted(sender, id string, receipt *exchangev1.Receipt) {
	h.add(event{kind: accepted, node: sender, key: key{sender, id}, receipt: proto.CloneOf(receipt)})
}

// ReasonConflict is the reason of a refusal because the id was used before, for
// other content.
const ReasonConflict = "id_conflict"

// Refused says that a sender was told, for good, that an envelope is not accepted.
func (h *History) Refused(sender string, env *exchangev1.Envelope, reason string) {
	h.add(event{
		kind: refused, node: sender, key: key{sender, env.GetId()},
		digest: sha256.Sum256(env.GetContent()), conflict: reason == ReasonConflict,
	})
}

// Delivered says that a delivery has come to a recipient, as the hub sent it.
func (h *History) Delivered(recipient string, d *exchangev1.Delivery) {
	p := d.GetPacket()
	h.add(event{
		kind: delivered, node: recipient, key: key{p.GetSender(), p.GetEnvelope().GetId()},
		subject: p.GetSubject(), digest: sha256.Sum256(p.GetEnvelope().GetContent()), sequence: p.GetSequence(),
	})
}

// Handled says that a recipient that drops what it has seen took a delivery on.
func (h *History) Handled(recipient string, sequence uint64) {
	h.add(event{kind: handled, node: recipient, sequence: sequence})
}

// Acknowledged says that a recipient is about to acknowledge deliveries.
func (h *History) Acknowledged(recipient string, sequences ...uint64) {
	h.each(acknowledged, recipient, sequences)
}

// Confirmed says that the hub has told a recipient that deliveries are done with.
func (h *History) Confirmed(recipient string, sequences ...uint64) {
	h.each(confirmed, recipient, sequences)
}

func (h *History) each(k kind, recipient string, sequences []uint64) {
	events := make([]event, len(sequences))
	for i, sequence := range sequences {
		events[i] = event{kind: k, node: recipient, sequence: sequence}
	}
	h.add(events...)
}

// Cut says that a recipient's stream has ended, or a call has failed, and that
// whatever comes next comes by another. It may be left out, which makes Check more
// lenient.
func (h *History) Cut(recipient string) { h.add(event{kind: cut, node: recipient}) }

// Pulling says that a recipient is about to pull: whatever comes next comes to another
// consumer than what has come before.
func (h *History) Pulling(recipient string) { h.add(event{kind: pulling, node: recipient}) }

// Killed says that the hub is about to be killed, not stopped in order.
func (h *History) Killed() { h.add(event{kind: killed}) }

// Receipts returns how many receipts the clients got so far.
func (h *History) Receipts() int { return h.count(accepted) }

// Deliveries returns how many deliveries have come so far.
func (h *History) Deliveries() int { return h.count(delivered) }

func (h *History) count(k kind) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for i := range h.events {
		if h.events[i].kind == k {
			n++
		}
	}
	return n
}
