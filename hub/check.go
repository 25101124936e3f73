package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
	// RuleDiverged: what was accepted is not what the last checkpoint says.
	RuleDiverged pebblestore.Rule = "ledger.diverged"
)

// Rules returns all the rules of a Check.
func Rules() []pebblestore.Rule {
	return append(pebblestore.Rules(), RuleContent, RuleSignature, RuleLarge, RuleKey, RuleCheckpoint, RuleHashes, RuleDiverged)
}

// Finding is something that Check has found; File is in the data directory.
type Finding = pebblestore.Finding

// Checked says what a Check has read.
type Checked struct {
	pebblestore.Checked
	// Covered is how many packets the ledger's last checkpoint covers.
	Covered uint64
}

// ErrInUse means that a hub has the data directory open.
var ErrInUse = pebblestore.ErrInUse

// CheckOptions are what a Check is told.
type CheckOptions struct {
	// Quick leaves out what is in the packets, and the ledger: signatures, hashes of
	// contents, statements. Journal and index are compared all the same.
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
	if err := c.openLedger(); err != nil {
		return Checked{}, fmt.Errorf("check %s: %w", dataDir, err)
	}
	options := pebblestore.CheckOptions{MemoryBytes: opts.MemoryBytes, Progress: opts.Progress}
	if c.audit != nil && !opts.Quick {
		options.Judge = c.judge
	}
	stored, err := pebblestore.Check(ctx, filepath.Join(dataDir, storeDir), options, func(f Finding) {
		f.File = filepath.ToSlash(filepath.Join(storeDir, f.File))
		report(f)
	})
	covered, ended := c.endLedger(stored)
	if err := errors.Join(err, c.failed, ended); err != nil {
		return Checked{}, fmt.Errorf("check %s: %w", dataDir, err)
	}
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
}

// openLedger reads the ledger key and the last checkpoint.
func (c *check) openLedger() error {
	if _, err := os.Stat(filepath.Join(c.dir, storeDir)); err != nil {
		return fmt.Errorf("no hub was started there: %w", err)
	}
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
	return err
}

// judge judges a commit group: that it is what was signed, and that everything said of
// its packets agrees.
func (c *check) judge(group *pebblestore.Contents) (wrong []pebblestore.Wrong, inOrder func(whole bool)) {
	leaves := make([][]byte, len(group.Packets))
	for i, p := range group.Packets {
		leaves[i] = p.Leaf
		sequence := group.First + uint64(i) //nolint:gosec // index
		stored := exchange.Stored{Submission: p.Submission, Sequence: sequence, At: group.At, Record: p.Record, Leaf: p.Leaf, Removed: p.Removed}
		for _, what := range exchange.Disagreements(c.audit.Hub(), stored, func(content blobs.Content) {
			if err := c.checkLarge(content); err != nil {
				wrong = append(wrong, pebblestore.Wrong{Rule: RuleLarge, Sequence: sequence, What: err.Error()})
			}
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

// checkLarge reads the content of a large packet.
func (c *check) checkLarge(content blobs.Content) error {
	err := blobs.Check(filepath.Join(c.dir, blobsDir), content)
	if errors.Is(err, store.ErrNotFound) {
		return errors.New("its content is missing")
	}
	return err
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
