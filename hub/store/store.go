// Package store says what the hub keeps and what it may rely on. It holds record
// types, sentinel errors and the guarantees in words; the interfaces stand with
// their consumers (exchange, registry, views, lookup), the implementations in
// pebblestore and redisstore, and storetest holds every implementation to the
// same contract.
//
// Guarantees that every implementation keeps:
//
//   - A write that returned nil is on stable storage: it survives kill -9 and
//     power loss. A write that returned an error, or did not return, is either
//     wholly there or wholly absent after a restart, never half.
//   - Sequences start at 1, only grow, have no gaps but where an epoch begins, and never
//     change meaning: nor do those that were given after a copy was made, for a store that
//     begins an epoch where it goes on from that copy.
//   - A delivery is there from the commit that accepted its packet until it is
//     acknowledged or becomes a dead letter, whatever happens in between. That it was
//     acknowledged, or given up, may be lost in a crash (the packet is then delivered
//     again); a delivery may not, nor a dead letter that was one before the last write
//     that returned nil.
//   - What was written is read back as it was, or not at all: stored bytes that
//     have changed are ErrCorrupt.
//   - A record is there until a Retain removes it, which is never before all its
//     deliveries are acknowledged or, as dead letters, discarded.
//   - All methods may be called concurrently.
package store

import (
	"errors"
	"time"
)

// Sentinel errors.
var (
	// ErrNotFound means that there is no such record.
	ErrNotFound = errors.New("not found")
	// ErrCorrupt means that stored bytes are not what was written. It is never
	// papered over: the call that met it fails.
	ErrCorrupt = errors.New("stored data is corrupt")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrBroken means that a write failed in a way that leaves open what is on stable
	// storage: nothing is accepted any more until the store is opened again.
	ErrBroken = errors.New("store is broken; it has to be opened again")
	// ErrFull means that there is no space left: nothing of the write was stored. The
	// same write may succeed once there is space again.
	ErrFull = errors.New("no space left for the store")
	// ErrRemoved means that a record is no longer kept: its retention has ended. What
	// proves that it was accepted still is: its leaf, its id and its digest.
	ErrRemoved = errors.New("the record is no longer kept")
)

// Submission is one envelope on its way into the accepted log.
type Submission struct {
	// Sender is the node that submits, and ID the envelope's id: together the
	// idempotency key.
	Sender, ID string
	// Digest tells contents apart: equal digests under one key are the same
	// submission again, others are a conflict.
	Digest [32]byte
	// Recipients are the nodes to deliver to; no duplicates.
	Recipients []string
	// Order is equal for packets that recipients must see in acceptance order.
	Order uint64
	// Kind is what the packet is, so that each kind can be kept for a time of its own.
	Kind uint32
	// ContentBytes are what the packet takes beside its record: a large content in a
	// file of its own. They count where space is counted, and nowhere else.
	ContentBytes int64
}

// Fresh is a submission that will be accepted, with its place in the log.
type Fresh struct {
	// Index of the submission in the group given to Accept.
	Index int
	// Sequence it gets.
	Sequence uint64
}

// Sealed is what makes a group of fresh submissions evidence: for each, in
// order, the record to store and its ledger leaf; for all, one signed note.
type Sealed struct {
	Records [][]byte
	Leaves  [][]byte
	Note    []byte
	// At is when the group was accepted.
	At time.Time
}

// SealFunc seals a group once its sequences are known and before it is written.
// It is called at most once per Accept, and only when something is fresh.
type SealFunc func(fresh []Fresh) (Sealed, error)

// Verdict says what became of a submission.
type Verdict int

// The verdicts.
const (
	// Accepted: it is in the log now, under Outcome.Sequence.
	Accepted Verdict = iota + 1
	// Duplicate: it was in the log already, under Outcome.Sequence.
	Duplicate
	// Conflict: other content is in the log under this key and Outcome.Sequence.
	Conflict
)

// Outcome is the answer to one submission.
type Outcome struct {
	Verdict  Verdict
	Sequence uint64
}

// Pending is a delivery that waits in a recipient's inbox.
type Pending struct {
	Sequence uint64
	// Order as given in the Submission.
	Order uint64
	// Size of the record in bytes, so that memory can be bounded before reading.
	Size uint32
}

// DeadLetter is a delivery that its recipient could not handle and that was given up.
type DeadLetter struct {
	Sequence uint64
	// Reason is what the recipient said.
	Reason string
	// Attempts is how often it was delivered.
	Attempts uint32
	At       time.Time
}

// State says how far a delivery has got.
type State int

// The states.
const (
	// Waiting: it is in the recipient's inbox.
	Waiting State = iota + 1
	// Acknowledged: the recipient is done with it.
	Acknowledged
	// Dead: it is a dead letter.
	Dead
	// Discarded: it was a dead letter, which was done away with; after its packet is
	// kept no longer, it may be Acknowledged.
	Discarded
)

// Backlog is what waits in a recipient's inbox. Dead letters do not count.
type Backlog struct {
	Deliveries int64
	Bytes      int64 // of their records, and what is beside these
}

// Entry is one record of the accepted log.
type Entry struct {
	Sequence uint64
	Record   []byte
}

// Group is the commit group that a sequence belongs to: what its receipt is
// proven with.
type Group struct {
	// First sequence of the group; its leaves follow without gaps.
	First  uint64
	Leaves [][]byte
	Note   []byte
}

// Item is one named record of the registry.
type Item struct {
	Kind, Key string
	// Value is the record; nil in a change deletes it.
	Value []byte
}
