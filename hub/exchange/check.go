package exchange

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/blobs"
)

// Stored is an accepted packet as a store has it.
type Stored struct {
	store.Submission
	Sequence uint64
	At       time.Time
	// Record and Leaf are what was sealed.
	Record, Leaf []byte
	// Removed means that the record and the recipients are no longer kept.
	Removed bool
}

// Disagreements says in which points record, leaf and what the store was told of an
// accepted packet do not say the same, and whether the content is what was accepted. A
// content that is kept beside its packet is told to beside. Of content and names nothing
// is said: they may be personal data.
func Disagreements(hub string, p Stored, beside func(blobs.Content)) []string {
	var found disagreements
	statement := &exchangev1.Statement{}
	if err := proto.Unmarshal(p.Leaf, statement); err != nil {
		return []string{"the statement cannot be read"}
	}
	found.note(statement.GetHub() != hub, "the statement is of hub %q", statement.GetHub())
	found.note(statement.GetSequence() != p.Sequence, "the statement is of packet %d", statement.GetSequence())
	found.note(!statement.GetAcceptedAt().AsTime().Equal(p.At), "the statement says another time than its group")
	found.note(statement.GetSender() != p.Sender, "the statement is of another sender")
	found.note(statement.GetEnvelopeId() != p.ID, "the statement is of another id")
	found.note(uint32(statement.GetType()) != p.Kind, "the statement is of another type") //nolint:gosec // enum
	found.note(orderOf(statement.GetSender(), statement.GetSubject()) != p.Order, "the statement is of another subject")
	if p.Removed {
		return found
	}
	found.note(!slices.Equal(statement.GetRecipients(), p.Recipients), "the statement names other recipients")
	return append(found, inRecord(statement, p, beside)...)
}

// inRecord says in which points a record is not what its statement says.
func inRecord(statement *exchangev1.Statement, p Stored, beside func(blobs.Content)) []string {
	var found disagreements
	record := &exchangev1.AcceptedPacket{}
	if err := proto.Unmarshal(p.Record, record); err != nil {
		return []string{"the record cannot be read"}
	}
	env := record.GetEnvelope()
	sum := newSubmission("", env).contentDigest // of a large packet, what it says: its content is beside it
	found.note(!bytes.Equal(sum[:], record.GetContentSha256()), "the content is not what its SHA-256 in the record says")
	found.note(!bytes.Equal(sum[:], statement.GetContentSha256()), "the content is not what its SHA-256 in the statement says")
	found.note(digestOf(env, sum) != p.Digest, "the envelope is not what its digest says")
	found.note(record.GetSequence() != p.Sequence, "the record is of packet %d", record.GetSequence())
	found.note(!proto.Equal(record.GetAcceptedAt(), statement.GetAcceptedAt()), "the record says another time")
	found.note(record.GetSender() != statement.GetSender(), "the record is of another sender")
	found.note(env.GetId() != statement.GetEnvelopeId(), "the record is of another id")
	found.note(env.GetType() != statement.GetType(), "the record is of another type")
	found.note(record.GetOnBehalfOf() != statement.GetOnBehalfOf(), "the record is of another organisation")
	found.note(record.GetSubject() != statement.GetSubject(), "the record is of another subject")
	content, large := LargeContent(record)
	found.note(content.Size != p.ContentBytes, "of the content, %d bytes are said to be beside the record", p.ContentBytes)
	if large {
		beside(content)
	}
	return found
}

type disagreements []string

func (d *disagreements) note(is bool, format string, args ...any) {
	if is {
		*d = append(*d, fmt.Sprintf(format, args...))
	}
}
