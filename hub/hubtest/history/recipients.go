package history

import (
	"slices"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// recipient is what is known of one inbox while its history is walked through.
type recipient struct {
	name         string
	subjects     map[line]*run
	delivered    map[uint64]bool
	acknowledged map[uint64]bool
	handled      map[uint64]bool
	// confirmed: the connection that a delivery was confirmed on, by the number of
	// the event that ended the connection before.
	confirmed map[uint64]int
	connected int // event that ended the connection before
}

// line is what order is kept for.
type line struct{ sender, subject string }

// run is the present run of deliveries of one sender and subject.
type run struct {
	accepted []uint64 // every sequence of it that goes to the recipient, sorted
	last     int      // index of the latest delivery of the run; -1 before the first
	done     int      // everything before this index is acknowledged
}

// recipientsOf walks through what recipients saw. Receipts are known by now.
func (c *check) recipientsOf() {
	for i := range c.order {
		for _, name := range c.order[i].statement.GetRecipients() {
			c.recipient(name)
		}
	}
	for _, sequence := range sorted(c.bySequence) {
		s := c.bySequence[sequence]
		for _, name := range s.statement.GetRecipients() {
			at := c.recipient(name).run(line{s.key.sender, s.statement.GetSubject()})
			at.accepted = append(at.accepted, sequence)
		}
	}
	lastKill := -1
	for i, e := range c.events {
		switch e.kind {
		case killed:
			lastKill = i
		case delivered:
			c.deliver(e, lastKill)
		case handled:
			r := c.recipient(e.node)
			if r.handled[e.sequence] {
				c.broken(Delivered, "%s handled %d twice", e.node, e.sequence)
			}
			r.handled[e.sequence] = true
		case acknowledged:
			c.recipient(e.node).acknowledged[e.sequence] = true
		case confirmed:
			c.confirm(e)
		case cut:
			c.recipient(e.node).connected = i
			c.recipient(e.node).endRuns()
		case pulling:
			c.recipient(e.node).endRuns()
		}
	}
}

func sorted(m map[uint64]*submission) []uint64 {
	all := make([]uint64, 0, len(m))
	for sequence := range m {
		all = append(all, sequence)
	}
	slices.Sort(all)
	return all
}

func (c *check) recipient(name string) *recipient {
	r := c.recipients[name]
	if r == nil {
		r = &recipient{
			name: name, subjects: map[line]*run{}, delivered: map[uint64]bool{}, acknowledged: map[uint64]bool{},
			handled: map[uint64]bool{}, confirmed: map[uint64]int{}, connected: -1,
		}
		c.recipients[name] = r
	}
	return r
}

func (r *recipient) run(at line) *run {
	found := r.subjects[at]
	if found == nil {
		found = &run{last: -1}
		r.subjects[at] = found
	}
	return found
}

func (r *recipient) endRuns() {
	for _, each := range r.subjects {
		each.last = -1
	}
}

func (c *check) confirm(e event) {
	r := c.recipient(e.node)
	if !r.acknowledged[e.sequence] {
		c.broken(Delivered, "%s is told that %d is done with, and has not acknowledged it", e.node, e.sequence)
	}
	r.confirmed[e.sequence] = r.connected
}

// deliver looks at one delivery. A confirmation binds until the hub is killed; one
// that came on a connection of before the kill may have come before it, however late
// the recipient read it.
func (c *check) deliver(e event, lastKill int) {
	r, s := c.recipient(e.node), c.bySequence[e.sequence]
	if s == nil || !s.is(e) {
		c.broken(Whole, "%s was delivered %d, which is %s of %s, subject %s; %s", e.node, e.sequence, e.key.id, e.key.sender, e.subject, s.told())
		return
	}
	if !slices.Contains(s.statement.GetRecipients(), e.node) {
		c.broken(Whole, "%s was delivered %d; its receipt names %v", e.node, e.sequence, s.statement.GetRecipients())
		return
	}
	if since, ok := r.confirmed[e.sequence]; ok && lastKill <= since {
		c.broken(Delivered, "%s was delivered %d again after the hub had confirmed its acknowledgement, without being killed since", e.node, e.sequence)
	}
	r.delivered[e.sequence] = true
	c.inOrder(r, e)
}

func (s *submission) is(e event) bool {
	return s.key == e.key && s.statement.GetSubject() == e.subject && digest(s.statement.GetContentSha256()) == e.digest
}

func (s *submission) told() string {
	if s == nil {
		return "nobody has a receipt for it"
	}
	return "the receipt is for " + s.key.id + " of " + s.key.sender + ", subject " + s.statement.GetSubject()
}

// inOrder looks at what has to be before a delivery: between the one before it in
// its run, and itself, everything is acknowledged.
func (c *check) inOrder(r *recipient, e event) {
	at := r.run(line{e.key.sender, e.subject})
	index, _ := slices.BinarySearch(at.accepted, e.sequence)
	if index <= at.last {
		at.last = -1
	}
	for at.done < len(at.accepted) && r.acknowledged[at.accepted[at.done]] {
		at.done++
	}
	for i := max(at.last+1, at.done); i < index; i++ {
		if !r.acknowledged[at.accepted[i]] {
			c.broken(InOrder, "%s was delivered %d while %d of the same sender and subject, neither acknowledged nor on its way, has to come first",
				e.node, e.sequence, at.accepted[i])
			break
		}
	}
	at.last = index
}

// drained looks for what has not arrived.
func (c *check) drained() {
	for _, sequence := range sorted(c.bySequence) {
		for _, name := range recipientsIn(c.bySequence[sequence].statement) {
			r := c.recipient(name)
			switch {
			case !r.delivered[sequence]:
				c.broken(Delivered, "%d was never delivered to %s", sequence, name)
			case !r.acknowledged[sequence]:
				c.broken(Delivered, "%d was delivered to %s, not acknowledged, and did not come again", sequence, name)
			}
		}
	}
}

func recipientsIn(s *exchangev1.Statement) []string {
	return slices.Sorted(slices.Values(s.GetRecipients()))
}
