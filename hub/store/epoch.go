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
	// apart is how far beyond the last sequence an epoch begins that does not begin with
	// the clock: nearly six days of it.
	apart = 500_000_000_000
	// An epoch begins up to so much later than it could, at random: a quarter of an hour
	// of the clock, and nearly four months where there is no clock to go by.
	spread, spreadWide = 1_000_000_000, 10_000_000_000_000
)

// clockBegin is what the clock's sequences count from. It never changes.
func clockBegin() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }

// NewEpoch returns the epoch that follows a sequence at a time. Two that go on from the
// same copy must not give the same sequences, so its first is not from the sequence alone:
// it is the clock's, the microseconds since 2026. No hub accepts a packet in each of them:
// it is beyond all that were given by anyone before. Up to 10^9 more, at random, are for
// epochs that begin at the same time.
//
// The clock is not gone by where it must be wrong, or where sequences were ahead of it when
// the copy was made: whoever gave them may have given the clock's. The epoch begins then
// half of 10^12 beyond the last sequence, and up to 10^13 more, at random.
//
// random is any number, drawn anew for each epoch. ErrExhausted where sequences would not
// fit the numbers of JSON.
func NewEpoch(last uint64, at, copied time.Time, random uint64) (Epoch, error) {
	e := Epoch{Last: last, At: at, Copied: copied}
	byClock := clockSequence(at)
	switch {
	case last > maxSequence-2*spreadWide:
		return Epoch{}, ErrExhausted
	case byClock < maxSequence/2 && beyond(last, byClock, at, copied):
		e.Next = byClock + random%spread + 1
	default:
		e.Next = last + apart + random%spreadWide + 1
	}
	return e, nil
}

// beyond says whether the clock is beyond all that was given after a sequence, as far as
// can be known.
func beyond(last, byClock uint64, at, copied time.Time) bool {
	if copied.IsZero() {
		return byClock > last+apart
	}
	return byClock > last && last <= clockSequence(copied) && !at.Before(copied)
}

// clockSequence is the sequence that the clock is at; 0 before 2026.
func clockSequence(at time.Time) uint64 {
	return uint64(max(at.UnixMicro()-clockBegin().UnixMicro(), 0)) //nolint:gosec // not negative
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
