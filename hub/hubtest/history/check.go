package history

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// Rule is one thing that a hub promises.
type Rule string

// The rules. Check expects the history of clients that have resubmitted, in the
// end, whatever had no answer, and have received and acknowledged until nothing was
// left.
const (
	// Durable: what a receipt names is served, with that content and, byte for
	// byte, that receipt.
	Durable Rule = "durable"
	// Once: an id has one receipt ever, for a content that was sent under it before;
	// no two ids share a sequence; sequences run from 1 without a gap, and the hub
	// serves nothing beyond them; who is told of a conflict had sent other content
	// than what was accepted.
	Once Rule = "once"
	// Whole: every envelope has an answer in the end; what was delivered has a
	// receipt with the same sequence, sender, id, subject and content, and goes to
	// whom the receipt names; what was refused is not there.
	Whole Rule = "whole"
	// InOrder: when a delivery comes, every earlier one of its sender and subject
	// that the recipient has not acknowledged has come before it in the same run.
	// A run ends where the connection does, with each pull, or where a delivery comes
	// that is not later than the one before it: the hub has gone back, and then
	// everything that follows and is not acknowledged comes again. First deliveries,
	// therefore, come in the order of acceptance, and nothing is pulled while earlier
	// ones of its sender and subject are leased.
	InOrder Rule = "in order"
	// Delivered: everything accepted was delivered to each of its recipients, and
	// acknowledged by it; what the hub confirmed to be done with comes again only if
	// it was killed since; no handler that drops what it has seen takes it on twice.
	Delivered Rule = "delivered"
	// AsSent: the packets of one lane and subject are accepted in the order in which
	// they were first sent.
	AsSent Rule = "as sent"
)

// Violation is one broken promise.
type Violation struct {
	Rule Rule
	// Text says what was seen and what was to be expected.
	Text string
}

// String returns rule and text.
func (v Violation) String() string { return string(v.Rule) + ": " + v.Text }

// Hub is asked for what it holds, as one of its nodes.
type Hub interface {
	// Packet returns an accepted packet in the sender's own bytes; found is false
	// where the hub says that there is none for this node.
	Packet(ctx context.Context, node string, sequence uint64) (p *exchangev1.AcceptedPacket, found bool, err error)
	// Receipt returns the receipt of a packet that the node sent.
	Receipt(ctx context.Context, node string, sequence uint64) (r *exchangev1.Receipt, found bool, err error)
}

// Check returns every broken promise, by rule and in the order of what happened.
// The error says that the hub could not be asked.
func (h *History) Check(ctx context.Context, hub Hub) ([]Violation, error) {
	h.mu.Lock()
	events := slices.Clone(h.events)
	h.mu.Unlock()
	c := &check{
		events: events, keys: map[key]*submission{}, bySequence: map[uint64]*submission{},
		recipients: map[string]*recipient{},
	}
	c.senders()
	c.sequences()
	c.lanes()
	c.recipientsOf()
	c.drained()
	if err := c.compare(ctx, hub); err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.found, func(a, b Violation) int { return cmp.Compare(a.Rule, b.Rule) })
	return c.found, nil
}

// check is one judgement under way.
type check struct {
	events     []event
	keys       map[key]*submission
	order      []*submission // as first submitted
	bySequence map[uint64]*submission
	recipients map[string]*recipient
	found      []Violation
}

// submission is all that is known of one idempotency key.
type submission struct {
	key       key
	sent      map[digest]bool
	subjects  map[digest]string
	lane      string // empty where several compete
	refused   map[digest]bool
	conflicts map[digest]bool
	receipt   *exchangev1.Receipt
	statement *exchangev1.Statement
}

type digest = [32]byte

func (c *check) broken(rule Rule, format string, args ...any) {
	c.found = append(c.found, Violation{Rule: rule, Text: fmt.Sprintf(format, args...)})
}

// senders walks through what senders did, and looks at every answer.
func (c *check) senders() {
	for _, e := range c.events {
		switch e.kind {
		case submitted:
			c.submit(e)
		case accepted:
			c.accept(e)
		case refused:
			c.refuse(e)
		}
	}
	for _, s := range c.order {
		switch {
		case s.statement == nil && len(s.refused) == 0 && len(s.conflicts) == 0:
			c.broken(Whole, "%s of %s was never answered", s.key.id, s.key.sender)
		case s.statement == nil && len(s.conflicts) > 0:
			c.broken(Once, "%s of %s is said to conflict; nobody has a receipt for it", s.key.id, s.key.sender)
		case s.statement != nil && s.conflicts[digest(s.statement.GetContentSha256())]:
			c.broken(Once, "%s of %s was accepted as %d, and the same content refused as a conflict", s.key.id, s.key.sender, s.statement.GetSequence())
		case s.statement != nil && s.refused[digest(s.statement.GetContentSha256())]:
			c.broken(Whole, "%s of %s was refused, and is there as %d", s.key.id, s.key.sender, s.statement.GetSequence())
		}
	}
}

func (c *check) submit(e event) {
	s := c.keys[e.key]
	if s == nil {
		s = &submission{
			key: e.key, lane: e.lane, sent: map[digest]bool{}, subjects: map[digest]string{},
			refused: map[digest]bool{}, conflicts: map[digest]bool{},
		}
		c.keys[e.key] = s
		c.order = append(c.order, s)
	}
	if s.statement == nil && s.lane != e.lane {
		s.lane = ""
	}
	s.sent[e.digest] = true
	s.subjects[e.digest] = e.subject
	// What was refused may be accepted when it is sent again.
	delete(s.refused, e.digest)
}

func (c *check) refuse(e event) {
	s := c.keys[e.key]
	switch {
	case s == nil:
		c.broken(Once, "%s of %s was refused and never sent", e.key.id, e.key.sender)
	case e.conflict:
		s.conflicts[e.digest] = true
	default:
		s.refused[e.digest] = true
	}
}

func (c *check) accept(e event) {
	statement := &exchangev1.Statement{}
	if err := proto.Unmarshal(e.receipt.GetLeaf(), statement); err != nil || len(statement.GetContentSha256()) != len(digest{}) {
		c.broken(Durable, "%s of %s has a receipt that states nothing: %v", e.key.id, e.key.sender, err)
		return
	}
	s, content := c.keys[e.key], digest(statement.GetContentSha256())
	switch {
	case s == nil || !s.sent[content]:
		c.broken(Once, "%s of %s was accepted as %d with content that had not been sent", e.key.id, e.key.sender, statement.GetSequence())
	case statement.GetSender() != e.key.sender || statement.GetEnvelopeId() != e.key.id || statement.GetSubject() != s.subjects[content]:
		c.broken(Once, "%s of %s got a receipt for %s of %s, subject %s", e.key.id, e.key.sender,
			statement.GetEnvelopeId(), statement.GetSender(), statement.GetSubject())
	case s.receipt == nil:
		s.receipt, s.statement = e.receipt, statement
		c.place(s)
	case !sameWord(s.receipt, e.receipt):
		c.broken(Once, "%s of %s has two receipts, for %d and for %d", e.key.id, e.key.sender, s.statement.GetSequence(), statement.GetSequence())
	}
}

// sameWord reports whether two receipts are, byte for byte, what was given on
// acceptance. A hub may add later what it has proven since: a receipt that was
// fetched may hold more.
func sameWord(a, b *exchangev1.Receipt) bool {
	return bytes.Equal(a.GetLeaf(), b.GetLeaf()) && a.GetIndex() == b.GetIndex() &&
		slices.EqualFunc(a.GetPath(), b.GetPath(), bytes.Equal) && bytes.Equal(a.GetGroup(), b.GetGroup())
}

func (c *check) place(s *submission) {
	sequence := s.statement.GetSequence()
	if other := c.bySequence[sequence]; other != nil {
		c.broken(Once, "sequence %d is of %s of %s and of %s of %s", sequence, other.key.id, other.key.sender, s.key.id, s.key.sender)
		return
	}
	c.bySequence[sequence] = s
}

// sequences looks for gaps.
func (c *check) sequences() {
	next := uint64(1)
	for _, sequence := range slices.Sorted(maps.Keys(c.bySequence)) {
		switch {
		case sequence == next+1:
			c.broken(Once, "there is no %d, yet a %d", next, sequence)
		case sequence > next:
			c.broken(Once, "there is no %d to %d, yet a %d", next, sequence-1, sequence)
		}
		next = sequence + 1
	}
}

// lanes compares the order of sending with the order of acceptance.
func (c *check) lanes() {
	type queue struct{ sender, lane, subject string }
	last := map[queue]*submission{}
	for _, s := range c.order {
		if s.lane == "" || s.statement == nil {
			continue
		}
		at := queue{s.key.sender, s.lane, s.statement.GetSubject()}
		if before := last[at]; before != nil && before.statement.GetSequence() > s.statement.GetSequence() {
			c.broken(AsSent, "%s sent %s before %s; they were accepted as %d and %d", at.sender,
				before.key.id, s.key.id, before.statement.GetSequence(), s.statement.GetSequence())
			continue
		}
		last[at] = s
	}
}
