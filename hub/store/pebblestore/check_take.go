package pebblestore

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/lienthong/lienthong/hub/store/journal"
)

// taking is one reading of the journal: what is there after each frame, of a share of
// the keys. Keys are those of the index.
type taking struct {
	*checker
	share    share
	thorough bool // the first reading, which tells of everything that is no key

	ids     *tally // -> sequence
	waiting *tally // -> sum of the delivery
	dead    *tally // -> sum of the delivery
	graves  *tally // -> sum of the dead letter
	gone    *tally // discarded -> sum of the dead letter
	items   *tally // -> sum of the item

	next     uint64 // sequence; 0 before the first group
	audits   uint64
	removed  sequences // packets that are no longer kept
	damaged  bool      // not all of the journal could be read
	compared bool
	gap      bool      // packets are missing, or not in order
	groups   *follower // nil unless thorough and with an index
	lines    *follower
	epochs   *follower
	key      []byte
	at       *checkedFrame
}

func newTaking(c *checker, s share, thorough bool) *taking {
	t := &taking{
		checker: c, share: s, thorough: thorough,
		ids: newTally(), waiting: newTally(), dead: newTally(), graves: newTally(), gone: newTally(), items: newTally(),
	}
	if thorough {
		t.groups, t.lines, t.epochs = c.index.follow(keyGroup), c.index.follow(keyAudit), c.index.follow(keyEpoch)
	}
	return t
}

func (t *taking) tallies() []*tally {
	return []*tally{t.ids, t.waiting, t.dead, t.graves, t.gone, t.items}
}

// put remembers a key, for which there is room then.
func (t *taking) put(in *tally, k hashed, value uint64) (before uint64, was bool) {
	for in.crowded() {
		slots := int64(0)
		for _, each := range t.tallies() {
			slots += int64(len(each.slots))
		}
		if (slots+int64(len(in.slots)))*slotBytes <= t.opts.MemoryBytes {
			in.grow()
			continue
		}
		t.share.to = t.share.from + (t.share.to-t.share.from)/2
		for _, each := range t.tallies() {
			each.keep(t.share)
		}
		if !t.share.has(k) {
			return 0, false
		}
	}
	return in.put(k, value)
}

const slotBytes = 16

// batch takes the frames of a batch in, once they are judged.
func (t *taking) batch(ctx context.Context, b *batch) error {
	select {
	case <-b.judged:
	case <-ctx.Done():
		return ctx.Err() //nolint:wrapcheck // the context's
	}
	for i := range b.frames {
		f := &b.frames[i]
		if t.index != nil && !t.compared && f.damage == nil && f.Position >= t.index.cursor.position {
			if err := t.compare(); err != nil {
				return err
			}
		}
		t.at = f
		t.frame(f)
	}
	return nil
}

// tell reports something about the frame at hand.
func (t *taking) tell(rule Rule, sequence uint64, format string, args ...any) {
	t.report(Finding{Rule: rule, File: inJournal(t.at.file), Position: t.at.Position, Sequence: sequence, What: fmt.Sprintf(format, args...)})
}

func inJournal(file string) string { return journalDir + "/" + file }

func (t *taking) frame(f *checkedFrame) {
	if f.damage != nil {
		t.damage(f)
		return
	}
	err := f.err
	switch {
	case err != nil:
	case f.Kind == frameGroup:
		t.group(f)
	case f.Kind == frameAcknowledged, f.Kind == frameRevived, f.Kind == frameDiscarded:
		err = t.settled(f)
	case f.Kind == frameBuried:
		err = t.buried(f)
	case f.Kind == frameItems:
		err = t.changed(f)
	case f.Kind == frameEpoch:
		err = t.epoch(f)
	case f.Kind == frameAudit:
		t.audits++
		t.lines.expect(sequenceKey(keyAudit, t.audits), f.Payload)
	default:
		err = fmt.Errorf("kind %d, of a later version of this program", f.Kind)
	}
	if err != nil {
		t.damaged = true
		t.tell(RuleFrame, 0, "%s", inWords(err))
	}
}

func (t *taking) damage(f *checkedFrame) {
	d := f.damage
	t.damaged = t.damaged || !d.Harmless && d.To > d.From || d.File == ""
	if !t.thorough {
		return
	}
	t.checked.Damaged = t.checked.Damaged || t.damaged
	found := Finding{Rule: RuleDamaged, File: inJournal(d.File), Offset: d.Offset, Position: d.From, What: d.What}
	if d.Harmless {
		found.Rule, found.Notice = RuleUnfinished, true
	}
	t.report(found)
}

func (t *taking) group(f *checkedFrame) {
	g := f.group
	t.follows(g)
	t.groups.expect(sequenceKey(keyGroup, g.first), numberValue(uint64(g.position)))
	for i, n := range f.names {
		t.accepted(n, g.first+uint64(i), g.packets[i]) //nolint:gosec // index
	}
	if !t.thorough {
		return
	}
	t.checked.Packets += uint64(len(f.names))
	for _, w := range f.wrong {
		t.tell(w.Rule, w.Sequence, "%s", w.What)
	}
	if f.inOrder != nil {
		f.inOrder(!t.gap)
	}
}

// follows checks that a group begins where the one before has ended.
func (t *taking) follows(g *group) {
	expected := max(t.next, 1)
	t.next = max(t.next, g.end())
	if !t.thorough {
		return
	}
	t.checked.Last = t.next - 1
	t.gap = t.gap || g.first != expected
	switch {
	case g.first > expected:
		what := fmt.Sprintf("packets %d to %d are not there", expected, g.first-1)
		if g.first == expected+1 {
			what = fmt.Sprintf("packet %d is not there", expected)
		}
		t.tell(RuleSequence, expected, "%s", what)
	case g.first < expected:
		t.tell(RuleSequence, g.first, "packet %d follows packet %d", g.first, expected-1)
	}
}

func (t *taking) accepted(n named, sequence uint64, e extent) {
	t.key = appendPair(t.key[:0], keyIdentity, n.sender, n.id)
	if k := t.hasher.key(t.key); t.share.has(k) {
		if before, was := t.put(t.ids, k, sequence); was {
			t.tell(RuleID, sequence, "id %q of %s is that of packet %d, too", n.id, n.sender, before)
		}
	}
	if e.removed {
		t.removed.add(sequence)
		if t.thorough {
			t.checked.Removed++
		}
	}
	for _, recipient := range n.recipients {
		if k, ours := t.delivery(recipient, sequence); ours {
			t.put(t.waiting, k, t.hasher.delivery(entry{order: n.order, size: e.recordSize, beside: n.beside}))
		}
	}
}

// delivery returns the key of a delivery, waiting or dead, if it is in the share.
func (t *taking) delivery(recipient string, sequence uint64) (hashed, bool) {
	t.key = binary.BigEndian.AppendUint64(appendPair(t.key[:0], keyInbox, recipient, ""), sequence)
	k := t.hasher.key(t.key)
	return k, t.share.has(k)
}

// delivery tells deliveries of one packet to one recipient apart.
func (h hasher) delivery(e entry) uint64 {
	value := e.inboxValue()
	return h.sum(value[:])
}

// settled takes in that deliveries were acknowledged, or that dead letters came back or
// were discarded.
func (t *taking) settled(f *checkedFrame) error {
	recipient, sequences, err := parseAcknowledgement(f.Payload)
	if err != nil {
		return err
	}
	for _, sequence := range sequences {
		k, ours := t.delivery(recipient, sequence)
		switch {
		case !ours:
		case f.Kind == frameAcknowledged:
			t.leave(t.waiting, k, recipient, sequence, "was acknowledged, but was not in the inbox")
		default:
			letter, there := t.graves.remove(k)
			if there && f.Kind == frameDiscarded {
				t.put(t.gone, k, letter)
			}
			value, was := t.leave(t.dead, k, recipient, sequence, "came back or was discarded, but was no dead letter")
			if was && f.Kind == frameRevived {
				t.put(t.waiting, k, value)
			}
		}
	}
	return nil
}

// leave removes a delivery from where it must be, unless its packet was removed: then
// nothing of what became of it counts any more.
func (t *taking) leave(from *tally, k hashed, recipient string, sequence uint64, what string) (value uint64, was bool) {
	if value, was = from.remove(k); !was && !t.damaged && !t.removed.has(sequence) {
		t.tell(RuleDelivery, sequence, "the delivery to %s %s", recipient, what)
	}
	return value, was
}

// buried takes in that deliveries became dead letters.
func (t *taking) buried(f *checkedFrame) error {
	recipient, graves, err := parseGraves(f.Payload)
	if err != nil {
		return err
	}
	for _, grave := range graves {
		k, ours := t.delivery(recipient, grave.Sequence)
		if !ours || t.removed.has(grave.Sequence) {
			continue
		}
		t.leave(t.waiting, k, recipient, grave.Sequence, "became a dead letter, but was not in the inbox")
		t.put(t.dead, k, t.hasher.delivery(grave.delivery()))
		t.put(t.graves, k, t.hasher.sum(grave.append(nil)))
	}
	return nil
}

// changed takes in changes of the registry.
func (t *taking) changed(f *checkedFrame) error {
	items, err := parseItems(f.Payload)
	if err != nil {
		return err
	}
	for _, item := range items {
		t.key = appendPair(t.key[:0], keyItem, item.Kind, item.Key)
		k := t.hasher.key(t.key)
		switch {
		case !t.share.has(k):
		case item.Value == nil:
			t.items.remove(k)
		default:
			t.put(t.items, k, t.hasher.sum(item.Value))
		}
	}
	return nil
}

// end compares what is left to compare, once all was read.
func (t *taking) end(next journal.Position) error {
	t.checked.Waiting += uint64(t.waiting.used) //nolint:gosec // not negative
	t.checked.Dead += uint64(t.dead.used)       //nolint:gosec // not negative
	if t.index == nil {
		return nil
	}
	t.at = &checkedFrame{}
	if behind := t.index.cursor.position; behind > next {
		t.report(Finding{Rule: RuleIndexAhead, Position: next, What: fmt.Sprintf("the journal ends at %d, the index has what came before %d", next, behind)})
		t.compared = true
	}
	if t.compared {
		return nil
	}
	return t.compare()
}
