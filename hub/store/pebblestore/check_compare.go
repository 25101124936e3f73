package pebblestore

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/lienthong/lienthong/hub/store"
)

// compare holds the index against what the journal has up to the index's cursor.
func (t *taking) compare() error {
	t.compared = true
	if t.damaged {
		t.report(Finding{Rule: RuleNotCompared, Notice: true, File: indexDir, What: "the index with the journal, of which parts are missing"})
		return nil
	}
	if t.thorough {
		if err := t.compareOrdered(); err != nil {
			return err
		}
	}
	for _, of := range []struct {
		kind  byte
		in    *tally
		parse func(key, value []byte) (uint64, error)
	}{
		{keyIdentity, t.ids, func(_, value []byte) (uint64, error) { return parseNumber(value) }},
		{keyInbox, t.waiting, func(key, value []byte) (uint64, error) {
			e, err := parseInbox(key, value)
			return t.hasher.delivery(e), err
		}},
		{keyDead, t.graves, func(_, value []byte) (uint64, error) { return t.hasher.sum(value), nil }},
		{keyDiscarded, t.gone, func(_, value []byte) (uint64, error) { return t.hasher.sum(value), nil }},
		{keyItem, t.items, func(_, value []byte) (uint64, error) { return t.hasher.sum(value), nil }},
	} {
		if err := t.compareKeys(of.kind, of.in, of.parse); err != nil {
			return err
		}
	}
	return nil
}

// differs reports that the index is another than the journal makes.
func (t *taking) differs(sequence uint64, format string, args ...any) {
	t.report(Finding{Rule: RuleIndexDiffers, File: indexDir, Sequence: sequence, What: fmt.Sprintf(format, args...)})
}

// compareOrdered compares what stands in the order of the journal, and what there is
// one of.
func (t *taking) compareOrdered() error {
	for _, of := range []struct {
		name string
		*follower
	}{{"commit groups", t.groups}, {"audit lines", t.lines}, {"epochs", t.epochs}} {
		what, err := of.end()
		if err != nil {
			return t.unreadable(err)
		}
		if what != "" {
			t.differs(0, "%s: %s", of.name, what)
		}
	}
	last := max(t.next, 1) - 1
	if c := t.index.cursor; c.sequence != last || c.audits != t.audits {
		t.differs(0, "it says that it ends with packet %d and audit line %d; up to there the journal has %d and %d", c.sequence, c.audits, last, t.audits)
	}
	return t.compareBacklogs()
}

// compareKeys compares all keys of a kind, in whatever order they came.
func (t *taking) compareKeys(kind byte, in *tally, parse func(key, value []byte) (uint64, error)) error {
	matched, scratch := 0, []byte(nil)
	err := t.index.scan([]byte{kind}, []byte{kind + 1}, func(key, value []byte) (bool, error) {
		scratch = append(scratch[:0], key...)
		switch kind { // by what the tally knows it
		case keyDead:
			scratch[0] = keyInbox
		case keyDiscarded:
			recipient, sequence, err := parseDiscardedKey(key)
			if err != nil {
				return false, err
			}
			scratch = inboxKey(recipient, sequence)
		}
		k := t.hasher.key(scratch)
		if !t.share.has(k) {
			return true, nil
		}
		has, err := parse(key, value)
		if err != nil {
			return false, err
		}
		sequence, what := keyInWords(kind, key)
		switch want, there := in.get(k); {
		case !there && kind == keyDiscarded && t.removed.has(sequence): // until the next pass
		case !there && sequence > 0 && t.removed.has(sequence):
			t.differs(sequence, "it has %s; the packet was removed, as if it were done", what)
		case !there:
			t.differs(sequence, "it has %s, which the journal has not", what)
		case want != has:
			matched++
			t.differs(sequence, "of %s it has something else than the journal", what)
		default:
			matched++
		}
		return true, nil
	})
	if err != nil {
		return t.unreadable(err)
	}
	if matched < in.used {
		t.differs(0, "it lacks %d of %d %s", in.used-matched, in.used, plural(kind))
	}
	return nil
}

// keyInWords says what a key is of. Keys of the registry are not told: they may name people.
func keyInWords(kind byte, key []byte) (sequence uint64, what string) {
	first, second, _ := bytes.Cut(key[1:], []byte{0})
	switch kind {
	case keyIdentity:
		return 0, fmt.Sprintf("id %q of %s", second, first)
	case keyInbox:
		sequence, _ = sequenceOf(key)
		return sequence, fmt.Sprintf("a delivery to %s", first)
	case keyDead:
		sequence, _ = sequenceOf(key)
		return sequence, fmt.Sprintf("a dead letter of %s", first)
	case keyDiscarded:
		recipient, sequence, _ := parseDiscardedKey(key)
		return sequence, fmt.Sprintf("a discarded dead letter of %s", recipient)
	}
	return 0, fmt.Sprintf("a registry item %q", first)
}

func plural(kind byte) string {
	return map[byte]string{keyIdentity: "ids", keyInbox: "deliveries", keyDead: "dead letters", keyDiscarded: "discarded dead letters", keyItem: "registry items"}[kind]
}

// compareBacklogs holds what the index says of inboxes against what is in them.
func (t *taking) compareBacklogs() error {
	var of string
	var now, all store.Backlog
	settle := func() error {
		if of == "" {
			return nil
		}
		value, err := t.index.get(pairKey(keyBacklog, of, ""))
		var said store.Backlog
		if err == nil {
			said, err = parseBacklog(value)
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if said != now {
			t.differs(0, "it says that %d deliveries of %d bytes wait for %s; there are %d of %d bytes", said.Deliveries, said.Bytes, of, now.Deliveries, now.Bytes)
		}
		return nil
	}
	err := t.index.scan([]byte{keyInbox}, []byte{keyInbox + 1}, func(key, value []byte) (bool, error) {
		recipient, _, _ := bytes.Cut(key[1:], []byte{0})
		if string(recipient) != of {
			if err := settle(); err != nil {
				return false, err
			}
			of, now = string(recipient), store.Backlog{}
		}
		e, err := parseInbox(key, value)
		for _, b := range []*store.Backlog{&now, &all} {
			b.Deliveries++
			b.Bytes += e.bytes()
		}
		return err == nil, err
	})
	if err == nil {
		err = settle()
	}
	if err == nil {
		err = t.compareAllBacklogs(all)
	}
	return t.unreadable(err)
}

// compareAllBacklogs finds backlogs of empty inboxes.
func (t *taking) compareAllBacklogs(all store.Backlog) error {
	var said store.Backlog
	err := t.index.scan([]byte{keyBacklog}, []byte{keyBacklog + 1}, func(_, value []byte) (bool, error) {
		b, err := parseBacklog(value)
		said.Deliveries += b.Deliveries
		said.Bytes += b.Bytes
		return err == nil, err
	})
	if err == nil && said != all {
		t.differs(0, "it says that %d deliveries of %d bytes wait in all; there are %d of %d bytes", said.Deliveries, said.Bytes, all.Deliveries, all.Bytes)
	}
	return err
}

// unreadable reports an index that cannot be read on. Other errors are returned.
func (t *taking) unreadable(err error) error {
	if !errors.Is(err, store.ErrCorrupt) {
		return ofReading(err)
	}
	t.differs(0, "it cannot be read: %s", inWords(err))
	return nil
}

func ofReading(err error) error {
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	return nil
}
