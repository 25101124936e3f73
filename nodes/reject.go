package nodes

import (
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// Rejection is the error, wrapped or not, with which a handler of Receive says that it
// cannot handle a delivery, and why. The hub delivers it again after a while, and as a
// rule makes it a dead letter after ten attempts; later packets of its sender and
// subject wait until then, others do not.
type Rejection struct {
	// Reason for people: it stands with the dead letter, and the packet's sender sees
	// it. No personal data. What is longer than 500 characters is cut.
	Reason string
	// Final says that trying again will not help: it is a dead letter at once.
	Final bool
}

// Error implements error.
func (r *Rejection) Error() string { return "delivery rejected: " + r.Reason }

// message returns what is sent to the hub.
func (r *Rejection) message(sequence uint64) *exchangev1.Rejection {
	reason := []rune(strings.ToValidUTF8(r.Reason, "\uFFFD"))
	if len(reason) == 0 {
		reason = []rune("no reason given")
	}
	return &exchangev1.Rejection{Sequence: sequence, Reason: string(reason[:min(len(reason), maxReason())]), Final: r.Final}
}

// maxReason returns how many characters the .proto file allows for a reason.
func maxReason() int {
	field := (&exchangev1.Rejection{}).ProtoReflect().Descriptor().Fields().ByName("reason")
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	return int(rules.GetString().GetMaxLen()) //nolint:gosec // by the .proto file
}

// order is what packets are kept in order for.
type order struct{ sender, subject string }

func orderOf(d *exchangev1.Delivery) order {
	return order{sender: d.GetPacket().GetSender(), subject: d.GetPacket().GetSubject()}
}

// rejections are those of a stream that the hub has not confirmed. It is for one
// goroutine.
type rejections struct {
	bySequence map[uint64]order
	byOrder    map[order][]uint64
}

func newRejections() rejections {
	return rejections{bySequence: map[uint64]order{}, byOrder: map[order][]uint64{}}
}

func (r rejections) add(d *exchangev1.Delivery) {
	sequence, order := d.GetPacket().GetSequence(), orderOf(d)
	r.bySequence[sequence] = order
	r.byOrder[order] = append(r.byOrder[order], sequence)
}

// confirm forgets what the hub has confirmed.
func (r rejections) confirm(sequences []uint64) {
	for _, sequence := range sequences {
		order := r.bySequence[sequence]
		delete(r.bySequence, sequence)
		var left []uint64
		for _, other := range r.byOrder[order] {
			if other != sequence {
				left = append(left, other)
			}
		}
		if len(left) > 0 {
			r.byOrder[order] = left
		} else {
			delete(r.byOrder, order)
		}
	}
}

// takenBack reports whether a delivery was on its way when one that comes before it
// was rejected: the hub takes it back, and delivers it anew.
func (r rejections) takenBack(d *exchangev1.Delivery) bool {
	if len(r.byOrder) == 0 {
		return false
	}
	for _, sequence := range r.byOrder[orderOf(d)] {
		if sequence <= d.GetPacket().GetSequence() {
			return true
		}
	}
	return false
}
