package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/blobs"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// Rules of a Check, beside those of the store.
const (
	// RuleContent: record, statement, and what the store was told do not say the same.
	RuleContent pebblestore.Rule = "packet.content"
	// RuleSignature: a commit group is not what the hub has signed.
	RuleSignature pebblestore.Rule = "packet.signature"
	// RuleLarge: the content of a large packet is missing, or is not what was accepted.
	RuleLarge pebblestore.Rule = "packet.large"
	// RuleKey: the ledger key is missing, or does not go with what is published.
	RuleKey pebblestore.Rule = "ledger.key"
	// RuleCheckpoint: the last checkpoint cannot be read.
	RuleCheckpoint pebblestore.Rule = "ledger.checkpoint"
	// RuleHashes: the hashes of the ledger are not those of what was accepted.
	RuleHashes pebblestore.Rule = "ledger.hashes"
	// RuleLedger: the directory of the ledger is lost.
	RuleLedger pebblestore.Rule = "ledger.missing"
	// RuleUnsigned: there is no checkpoint, though packets were accepted.
	RuleUnsigned pebblestore.Rule = "ledger.unsigned"
	// RuleAuthority: the certificate authority is lost, or cannot be used.
	RuleAuthority pebblestore.Rule = "ca"
	// RuleDiverged: what was accepted is not what the last checkpoint says.
	RuleDiverged pebblestore.Rule = "ledger.diverged"
)

// Rules returns all the rules of a Check.
func Rules() []pebblestore.Rule {
	return append(pebblestore.Rules(), RuleContent, RuleSignature, RuleLarge, RuleKey, RuleCheckpoint, RuleHashes, RuleLedger, RuleUnsigned, RuleAuthority, RuleDiverged)
}

// Finding is something that Check has found; File is in the data directory.
type Finding = pebblestore.Finding

// Checked says what a Check has read.
type Checked struct {
	pebblestore.Checked // Bytes are those of large contents, too, where they were read
	// Covered is how many packets the ledger's last checkpoint covers.
	Covered uint64
}

// ErrInUse means that a hub has the data directory open.
var ErrInUse = pebblestore.ErrInUse

// CheckOptions are what a Check is told.
type CheckOptions struct {
	// Quick leaves out what is in the packets, and the ledger: signatures, hashes of
	// contents, statements. Journal and index are compared all the same, and of large
	// contents it is seen that they are there, with all of their length.
	Quick bool
	// MemoryBytes bounds what is remembered to compare; 0 means the store's default.
	MemoryBytes int64
	// Progress, where given, is told how many bytes of how many were read.
	Progress func(done, all int64)
}

// Check reads the whole data directory of a hub that is not running and reports all
// that is not as the hub has written it. It changes nothing. An error means that not
// all could be checked: ErrInUse while a hub runs, fs.ErrNotExist where there is none.
func Check(ctx context.Context, dataDir string, opts CheckOptions, report func(Finding)) (Checked, error) {
	c := &check{dir: dataDir, opts: opts, report: report}
	if _, err := os.Stat(filepath.Join(dataDir, storeDir)); err != nil {
		return Checked{}, fmt.Errorf("check %s: no hub was started there: %w", dataDir, err)
	}
	// Nothing beside the store is looked at before its lock says that no hub runs.
	options := pebblestore.CheckOptions{MemoryBytes: opts.MemoryBytes, Progress: opts.Progress, Locked: c.openLedger, Judge: c.judge}
	stored, err := pebblestore.Check(ctx, filepath.Join(dataDir, storeDir), options, func(f Finding) {
		f.File = filepath.ToSlash(filepath.Join(storeDir, f.File))
		report(f)
	})
	if err != nil {
		return Checked{}, fmt.Errorf("check %s: %w", dataDir, err)
	}
	c.lookForLost(stored)
	covered, ended := c.endLedger(stored)
	if err := errors.Join(c.failed, ended); err != nil {
		return Checked{}, fmt.Errorf("check %s: %w", dataDir, err)
	}
	stored.Bytes += c.large.Load()
	return Checked{Checked: stored, Covered: covered}, nil
}

// check is a Check under way.
type check struct {
	dir    string
	opts   CheckOptions
	report func(Finding)
	audit  *ledger.Audit // nil without a key
	// followed is how many leaves the audit has, from the first on; under inOrder.
	followed uint64
	failed   error
	unsigned bool         // there is no checkpoint
	large    atomic.Int64 // bytes of large contents that were read
}

// openLedger reads the ledger key and the last checkpoint.
func (c *check) openLedger() error {
	key, err := ledger.ReadKey(c.dir)
	switch {
	case errors.Is(err, ledger.ErrKey):
		c.report(Finding{Rule: RuleKey, What: err.Error()})
	case err != nil:
		return err
	}
	if key == "" {
		return nil
	}
	c.audit, err = ledger.NewAudit(nil, filepath.Join(c.dir, ledgerDir), key)
	if errors.Is(err, ledger.ErrCheckpoint) {
		c.report(Finding{Rule: RuleCheckpoint, File: ledgerDir, What: err.Error()})
		return nil
	}
	c.unsigned = err == nil && c.audit.Size() == 0
	return err
}

// lookForLost looks for what cannot be made again. Where nothing was ever written, such
// as when a first start was cut short, nothing is lost.
func (c *check) lookForLost(stored pebblestore.Checked) {
	if stored.Bytes == 0 {
		return
	}
	if _, err := certs.Open(filepath.Join(c.dir, authorityDir), certs.AuthorityConfig{HubName: DefaultName}); err != nil {
		what := err.Error()
		if errors.Is(err, fs.ErrNotExist) {
			what = "not all of it is there"
		}
		c.report(Finding{Rule: RuleAuthority, File: authorityDir, What: what})
	}
	_, err := os.Stat(filepath.Join(c.dir, ledgerDir))
	switch {
	case stored.Last == 0: // there is nothing to sign
	case errors.Is(err, fs.ErrNotExist):
		c.report(Finding{Rule: RuleLedger, File: ledgerDir})
	case c.unsigned:
		c.report(Finding{Rule: RuleUnsigned, Notice: true, File: ledgerDir})
	}
}

// judge judges a commit group: that it is what was signed, and that everything said of
// its packets agrees.
func (c *check) judge(group *pebblestore.Contents) (wrong []pebblestore.Wrong, inOrder func(whole bool)) {
	if c.audit == nil || c.opts.Quick {
		return c.judgeLarge(group), nil
	}
	leaves := make([][]byte, len(group.Packets))
	for i, p := range group.Packets {
		leaves[i] = p.Leaf
		sequence := group.First + uint64(i) //nolint:gosec // index
		stored := exchange.Stored{Submission: p.Submission, Sequence: sequence, At: group.At, Record: p.Record, Leaf: p.Leaf, Removed: p.Removed}
		for _, what := range exchange.Disagreements(c.audit.Hub(), stored, func(content blobs.Content) {
			wrong = append(wrong, c.checkLarge(content, sequence)...)
		}) {
			wrong = append(wrong, pebblestore.Wrong{Rule: RuleContent, Sequence: sequence, What: what})
		}
	}
	hashes, err := c.audit.Group(group.First, leaves, group.Note)
	if err != nil {
		wrong = append(wrong, pebblestore.Wrong{Rule: RuleSignature, Sequence: group.First, What: err.Error()})
	}
	return wrong, func(whole bool) {
		if !whole { // some are missing, which was reported
			return
		}
		c.failed = errors.Join(c.failed, c.audit.Add(c.followed, hashes))
		c.followed += uint64(len(hashes))
	}
}

// judgeLarge judges the large contents of a commit group alone.
func (c *check) judgeLarge(group *pebblestore.Contents) (wrong []pebblestore.Wrong) {
	for i, p := range group.Packets {
		record := &exchangev1.AcceptedPacket{}
		if proto.Unmarshal(p.Record, record) != nil {
			continue // its checksum was verified, and what it says is not looked at here
		}
		if content, large := exchange.LargeContent(record); large {
			wrong = append(wrong, c.checkLarge(content, group.First+uint64(i))...) //nolint:gosec // index
		}
	}
	return wrong
}

// checkLarge reads the content of a large packet, or sees that it is there.
func (c *check) checkLarge(content blobs.Content, sequence uint64) []pebblestore.Wrong {
	look := blobs.Check
	if c.opts.Quick {
		look = blobs.Look
	} else {
		c.large.Add(content.Size)
	}
	dir := filepath.Join(c.dir, blobsDir)
	err := look(dir, content)
	switch {
	case errors.Is(err, store.ErrNotFound) && blobs.IsRetired(dir, content): // its packet is about to go, too
		return nil
	case errors.Is(err, store.ErrNotFound):
		return []pebblestore.Wrong{{Rule: RuleLarge, Sequence: sequence, What: "its content is missing"}}
	case err != nil:
		return []pebblestore.Wrong{{Rule: RuleLarge, Sequence: sequence, What: err.Error()}}
	}
	return nil
}

// endLedger compares the ledger with what was accepted.
func (c *check) endLedger(stored pebblestore.Checked) (covered uint64, err error) {
	if c.audit == nil {
		return 0, nil
	}
	covered, err = c.audit.End()
	last := stored.Epochs.Ordinal(stored.Last)
	beyond := covered > last
	switch {
	case c.failed != nil:
		return covered, nil
	case c.opts.Quick && beyond:
		c.report(Finding{Rule: RuleDiverged, File: ledgerDir, What: fmt.Sprintf("the last checkpoint is of %d packets, the accepted log ends after %d", covered, last)})
		return covered, nil
	case c.opts.Quick:
		return covered, nil
	case !beyond && c.followed < covered:
		c.report(Finding{Rule: pebblestore.RuleNotCompared, Notice: true, File: ledgerDir, What: fmt.Sprintf("the ledger after packet %d, as packets are missing", c.followed)})
		return covered, nil
	case errors.Is(err, ledger.ErrDiverged):
		c.report(Finding{Rule: RuleDiverged, File: ledgerDir, What: err.Error()})
	case errors.Is(err, ledger.ErrHashes):
		c.report(Finding{Rule: RuleHashes, File: ledgerDir, What: err.Error()})
	default:
		return covered, err
	}
	return covered, nil
}
