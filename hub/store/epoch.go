package store

import (
	"errors"
	"slices"
	"time"
)

// ErrExhausted means that no epoch can begin: its sequences would be too large.
var ErrExhausted = errors.New("there are no sequences left for another epoch")

// Epoch is a run of sequences without gaps. A store that goes on from a backup, or from
// another copy, begins one: whatever the original gave out after the copy was made, the
// epoch gives out other sequences.
type Epoch struct {
	// Last sequence that may have been given before, as far as the store knows, and Next,
	// the first of the epoch. What is between is of nobody here: it may have been accepted
	// by the original, which is lost.
	Last, Next uint64
	// At is when the epoch began, and Copied when the copy was made that it goes on from;
	// zero where that is not known.
	At, Copied time.Time
}

// maxSequence fits the numbers of JSON.
const maxSequence = 1<<53 - 1

const (
	// What a hub accepts in a second is far less than perSecond. So a sequence that
	// begins with the clock is beyond all that were given by anyone before.
	perSecond = 1_000_000
	// Without a clock that can be right, an epoch begins at a multiple of round, and at
	// least apart away.
	round = 1_000_000_000_000
	apart = round / 2
)

// clockBegin is what the clock's sequences count from. It never changes.
func clockBegin() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }

// NewEpoch returns the epoch that follows a sequence at a time. Its first sequence comes
// from the clock, a million for each second since 2026, and not from the sequence alone:
// else two hubs that go on, one after the other, from the same backup would give the same.
// A clock that must be wrong is not gone by: the epoch begins then at the next multiple of
// 10^12 that is half of that away. ErrExhausted where its sequences would not fit the
// numbers of JSON.
func NewEpoch(last uint64, at, copied time.Time) (Epoch, error) {
	e := Epoch{Last: last, At: at, Copied: copied}
	seconds := at.Unix() - clockBegin().Unix()
	byClock := uint64(max(seconds, 0)) * perSecond //nolint:gosec // not negative
	switch {
	case last > maxSequence-2*round:
		return Epoch{}, ErrExhausted
	case seconds < maxSequence/perSecond/2 && byClock > last && !at.Before(copied):
		e.Next = byClock + 1
	default:
		e.Next = (last+apart+round-1)/round*round + 1
	}
	return e, nil
}

// Epochs are those that a store has begun, in order. Before the first of them, sequences
// start at 1.
type Epochs []Epoch

// First returns the first sequence of the last epoch; 0 where none was begun.
func (all Epochs) First() uint64 {
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1].Next
}

// Gap returns the epoch before whose beginning a sequence was skipped.
func (all Epochs) Gap(sequence uint64) (Epoch, bool) {
	at := slices.IndexFunc(all, func(e Epoch) bool { return sequence < e.Next })
	if at < 0 || sequence <= all[at].Last {
		return Epoch{}, false
	}
	return all[at], true
}

// Ordinal returns how many sequences there are up to one, itself included, without those
// that were skipped.
func (all Epochs) Ordinal(sequence uint64) uint64 {
	skipped := uint64(0)
	for _, e := range all {
		if sequence <= e.Last {
			break
		}
		skipped += min(sequence, e.Next-1) - e.Last
	}
	return sequence - skipped
}

// Sequence returns the sequence of an ordinal: Ordinal of it is that.
func (all Epochs) Sequence(ordinal uint64) uint64 {
	sequence := ordinal
	for _, e := range all {
		if sequence <= e.Last {
			break
		}
		sequence += e.Next - 1 - e.Last
	}
	return sequence
}
