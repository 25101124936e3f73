package store

import "time"

// Keep says how long packets of a kind are kept once all their deliveries are done.
// Zero means no bound; a packet goes as soon as one of the bounds is passed.
type Keep struct {
	// Age is how long after they were accepted.
	Age time.Duration
	// Bytes is how much of the kind there may be: records, and what is beside them.
	Bytes int64
}

// Retention is what a pass of Retain goes by.
//
// What is removed is done: no delivery waits in any inbox, and none is a dead letter
// (one that was discarded is none). Of a kind with too many bytes the oldest such
// packets go, until it has no more than allowed. What waits, or is a dead letter, counts
// towards the bytes but stays.
//
// Of a removed packet go the record and the recipients. What stays is its place in its
// group, with leaf and note, and sender, id and digest: Group proves the receipt as
// before, and the same id is a Duplicate or a Conflict as before. Records fails with
// ErrRemoved, AcceptedAfter passes over it.
//
// To remove one packet may cost much more than it frees. A store may therefore put off
// what is little until more can go with it, by size or by age; it says for how long.
type Retention struct {
	// Kinds says how long each kind is kept. Those that are not named are kept for ever.
	Kinds map[uint32]Keep
	// Now is what ages are told by.
	Now time.Time
	// UpTo is the last sequence that may be removed: later ones may not have been read
	// by who follows the accepted log.
	UpTo uint64
}

// Retained says what a pass of Retain has done, and what is there after it.
type Retained struct {
	// Removed packets, and what their records and what was beside them took.
	Removed, RemovedBytes int64
	// Kinds are the records that are there, of every kind that has any.
	Kinds map[uint32]Kept
	// Freed is how many bytes the store takes less of the disk, without what is beside
	// the records.
	Freed int64
}

// Kept is what there is of a kind.
type Kept struct {
	Packets int64
	Bytes   int64 // of the records, and what is beside them
	Oldest  time.Time
}
