package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// ErrInUse means that a process has the store open.
var ErrInUse = errors.New("a process has it open")

// Rule says what kind of thing a finding is. Rules keep their names.
type Rule string

// The rules.
const (
	// RuleDamaged: a part of the journal is not what was written, or missing.
	RuleDamaged Rule = "journal.damaged"
	// RuleUnfinished: a crash has left something that the next start clears away.
	RuleUnfinished Rule = "journal.unfinished"
	// RuleFrame: a part of the journal is whole, but says nothing that can be.
	RuleFrame Rule = "journal.frame"
	// RuleSequence: sequences do not follow each other.
	RuleSequence Rule = "packet.sequence"
	// RuleChanged: a record, a leaf or a note is not what its checksum says.
	RuleChanged Rule = "packet.changed"
	// RuleID: a sender's id is that of two packets.
	RuleID Rule = "packet.id"
	// RuleDelivery: a delivery was done with that was not there.
	RuleDelivery Rule = "delivery.unknown"
	// RuleIndexAhead: the index has more than the journal.
	RuleIndexAhead Rule = "index.ahead"
	// RuleIndexDiffers: the index is another than the journal makes.
	RuleIndexDiffers Rule = "index.differs"
	// RuleIndexMissing: there is no index, or none that can be opened; the next start
	// makes it.
	RuleIndexMissing Rule = "index.missing"
	// RuleNotCompared: something could not be compared because of other findings.
	RuleNotCompared Rule = "not.compared"
)

// Rules returns all the rules.
func Rules() []Rule {
	return []Rule{
		RuleDamaged, RuleUnfinished, RuleFrame, RuleSequence, RuleChanged, RuleID, RuleDelivery,
		RuleIndexAhead, RuleIndexDiffers, RuleIndexMissing, RuleNotCompared,
	}
}

// Finding is something that Check has found.
type Finding struct {
	Rule Rule
	// Notice is a finding that is no problem: nothing is lost, and nothing to be done.
	Notice bool
	// File, in the store's directory, and Offset in it; empty and 0 where that is not
	// known.
	File   string
	Offset int64
	// Position in the journal, where File is one of its files.
	Position journal.Position
	// Sequence of the packet, 0 where it is not about one.
	Sequence uint64
	// What it is, beyond what the rule says.
	What string
}

// Contents is a commit group as the journal has it, for who knows what is in it.
type Contents struct {
	First   uint64
	At      time.Time
	Note    []byte
	Packets []Packet
}

// Packet is an accepted packet as the journal has it.
type Packet struct {
	store.Submission
	Record, Leaf []byte
	// Removed means that record and recipients are no longer kept.
	Removed bool
}

// Wrong is what is wrong with a packet, or with the group where Sequence is 0.
type Wrong struct {
	Rule     Rule
	Sequence uint64
	What     string
}

// JudgeFunc judges what the store does not understand: that records, leaves and notes
// say what they must. It is called concurrently; what it is given is valid until it
// returns. What it returns, if not nil, is called in order of the groups, and told whether
// all groups before are there.
type JudgeFunc func(group *Contents) (wrong []Wrong, inOrder func(whole bool))

// CheckOptions are what a Check is told. Zero values mean the defaults.
type CheckOptions struct {
	// FS is the file system; nil means the machine's own.
	FS vfs.FS
	// Locked, where given, is called once the store is locked, before it is read. An error
	// ends the check.
	Locked func() error
	// Judge, where given, judges every group.
	Judge JudgeFunc
	// MemoryBytes bounds what is remembered to compare; default 512 MiB, at least 64 KiB,
	// and beside it a bit for each packet from which on, or up to which, some were removed.
	// With more packets than fit, about 12 in a KiB of the half, the journal is read more
	// than once.
	MemoryBytes int64
	// Progress, where given, is told how many bytes of how many were read.
	Progress func(done, all int64)
}

// Checked says what a Check has read.
type Checked struct {
	Packets uint64
	Removed uint64 // packets whose records are no longer kept
	Last    uint64 // sequence
	Epochs  store.Epochs
	// Waiting and Dead are deliveries in inboxes and dead letters.
	Waiting, Dead uint64
	Bytes         int64 // read of the journal
	// Damaged says that a part of the journal could not be read: what is behind it could
	// not be compared with what is not there.
	Damaged bool
}

// Check reads a store that nobody has open, all of it, and reports everything that is
// wrong. It holds the store's lock meanwhile, and changes nothing. Memory is bounded,
// however much is stored. The error is ErrInUse where a process has the store open,
// fs.ErrNotExist where there is none in dir, and else says why not all could be read.
func Check(ctx context.Context, dir string, opts CheckOptions, report func(Finding)) (checked Checked, err error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.MemoryBytes == 0 {
		opts.MemoryBytes = 512 << 20
	}
	lock, err := lockToRead(opts.FS, dir)
	if err != nil {
		return Checked{}, fmt.Errorf("check store %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if opts.Locked != nil {
		if err := opts.Locked(); err != nil {
			return Checked{}, fmt.Errorf("check store %s: %w", dir, err)
		}
	}
	c := &checker{dir: dir, opts: opts, told: map[Finding]bool{}, hasher: newHasher()}
	c.report = func(f Finding) {
		if !c.told[f] { // what is looked at share by share is found more than once
			c.told[f] = len(c.told) < maxTold
			report(f)
		}
	}
	if err := c.run(ctx); err != nil {
		return c.checked, fmt.Errorf("check store %s: %w", dir, err)
	}
	return c.checked, nil
}

// maxTold bounds the findings that are remembered.
const maxTold = 10_000

// lockToRead takes the lock that an open store has.
func lockToRead(files vfs.FS, dir string) (io.Closer, error) {
	if _, err := files.Stat(filepath.Join(dir, journalDir)); err != nil {
		return nil, fmt.Errorf("there is no store: %w", err)
	}
	lock, err := files.Lock(filepath.Join(dir, lockFile))
	if errors.Is(err, syscall.EAGAIN) {
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	return lock, nil
}

// checker is a Check under way.
type checker struct {
	dir     string
	opts    CheckOptions
	report  func(Finding)
	told    map[Finding]bool
	hasher  hasher
	index   *checkedIndex // nil where there is none that can be read
	checked Checked
}

// run reads the journal: once with all that is in it, and again for as long as there
// are keys that had no room in memory before.
func (c *checker) run(ctx context.Context) (err error) {
	if c.index, err = openToCheck(c.opts.FS, filepath.Join(c.dir, indexDir), c.report); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.index.close()) }()
	for now, thorough := (share{0, 1<<64 - 1}), true; ; thorough = false {
		done, err := c.take(ctx, now, thorough)
		if err != nil || done.to == 1<<64-1 {
			return err
		}
		now.from = done.to + 1
	}
}

// take looks at one share of the keys, or as much of it as there is room for, which it
// returns.
func (c *checker) take(ctx context.Context, s share, thorough bool) (done share, err error) {
	t := newTaking(c, s, thorough)
	defer func() { t.groups.close(); t.lines.close(); t.epochs.close() }()
	read, err := c.read(ctx, thorough, t)
	if err != nil {
		return s, err
	}
	if thorough {
		c.checked.Bytes = read.bytes
	}
	return t.share, t.end(read.next)
}
