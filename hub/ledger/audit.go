package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Errors of an Audit.
var (
	// ErrCheckpoint means that a file with checkpoints holds something else.
	ErrCheckpoint = errors.New("the ledger's last checkpoint cannot be read")
	// ErrKey means that the ledger key is missing, or does not go with what is published.
	ErrKey = errors.New("the ledger key is not whole")
)

// ReadKey returns the verifier key of the ledger whose key is in dir. Unlike Open it
// makes nothing. Where the private key is missing or another than ledger.pub says, the
// error is ErrKey, and the verifier key may be there all the same.
func ReadKey(dir string) (verifierKey string, err error) {
	published, err := os.ReadFile(filepath.Join(dir, verifierFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("ledger key: %w", err)
	}
	verifierKey = strings.TrimSpace(string(published))
	private, err := readPrivate(filepath.Join(dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return verifierKey, fmt.Errorf("%w: %s is missing", ErrKey, keyFile)
	}
	if err != nil {
		return verifierKey, fmt.Errorf("%w: %w", ErrKey, err)
	}
	public, err := publicKey(private)
	switch {
	case err != nil:
		return verifierKey, fmt.Errorf("%w: %w", ErrKey, err)
	case verifierKey == "":
		return public, nil // the next start writes it
	case verifierKey != public:
		return public, fmt.Errorf("%w: %s is of another key than %s", ErrKey, verifierFile, keyFile)
	}
	return public, nil
}

// Audit compares a ledger that no process has open with the leaves of the accepted log,
// in memory that does not grow. It changes nothing.
type Audit struct {
	ledger   *Ledger // that cannot sign
	log      *Log
	verifier note.Verifier
	last     *checkpoint
	edge     edge
	size     int64
	files    [maxLevels]*bufio.Reader
	open     []vfs.File
	wrong    error // in the files of hashes
	diverged error
}

// NewAudit begins the audit of the ledger in dir; no files means the machine's own. A
// checkpoint that cannot be read is
// ErrCheckpoint; groups can be verified all the same.
func NewAudit(files vfs.FS, dir, verifierKey string) (*Audit, error) {
	if files == nil {
		files = vfs.Default
	}
	verifier, err := note.NewVerifier(verifierKey)
	if err != nil {
		return nil, fmt.Errorf("ledger key: %w", err)
	}
	a := &Audit{verifier: verifier, ledger: &Ledger{hub: verifier.Name(), verifierKey: verifierKey}, edge: edge{}}
	a.log = &Log{cfg: LogConfig{FS: files, Dir: dir, Ledger: a.ledger}, hashes: newHashes(files, dir)}
	if a.last, err = a.log.readLast(); err != nil {
		return a, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return a, nil
}

// Hub returns the name that the ledger signs for.
func (a *Audit) Hub() string { return a.ledger.hub }

// Size returns how many leaves the last checkpoint covers; 0 without one.
func (a *Audit) Size() uint64 { return uint64(a.last.size()) } //nolint:gosec // not negative

// Group verifies the signed note of a group and returns the hashes of its leaves. It may
// be called concurrently.
func (a *Audit) Group(first uint64, leaves [][]byte, signed []byte) ([]tlog.Hash, error) {
	t, err := newTree(leaves)
	if err != nil {
		return nil, err
	}
	hashes := t[:len(leaves):len(leaves)]
	opened, err := note.Open(signed, note.VerifierList(a.verifier))
	if err != nil {
		return hashes, fmt.Errorf("the group's note: %w", err)
	}
	if want := groupText(a.ledger.hub, first, len(leaves), t[len(t)-1]); opened.Text != want {
		return hashes, errors.New("the group's note is signed, but is of other leaves")
	}
	return hashes, nil
}

// Add goes on with the hashes of leaves that follow so many others.
func (a *Audit) Add(after uint64, leaves []tlog.Hash) error {
	if a.size >= a.last.size() {
		return nil // not covered yet
	}
	if after != uint64(a.size) { //nolint:gosec // not negative
		return fmt.Errorf("ledger audit: leaves after %d were to come, not after %d", a.size, after)
	}
	for _, leaf := range leaves[:min(int64(len(leaves)), a.last.size()-a.size)] {
		if err := a.add(leaf); err != nil {
			return err
		}
	}
	return nil
}

func (a *Audit) add(leaf tlog.Hash) error {
	complete, err := tlog.StoredHashesForRecordHash(a.size, leaf, a.edge)
	if err != nil {
		return fmt.Errorf("ledger audit: %w", err)
	}
	for level, hash := range complete {
		n := a.size >> level
		a.edge[level] = placed{n, hash}
		if level%tileHeight == 0 && a.wrong == nil {
			a.wrong = a.compare(level/tileHeight, n, hash)
		}
	}
	if a.size++; a.size < a.last.tree.N {
		return nil
	}
	root, err := tlog.TreeHash(a.size, a.edge)
	if err != nil {
		return fmt.Errorf("ledger audit: %w", err)
	}
	if root != a.last.tree.Hash {
		a.diverged = fmt.Errorf("%w: the root over the first %d packets is another one", ErrDiverged, a.size)
	}
	return nil
}

// compare holds a hash against the next in the file of its level.
func (a *Audit) compare(level int, n int64, hash tlog.Hash) error {
	if a.files[level] == nil {
		file, err := a.log.cfg.FS.Open(a.log.hashes.path(level))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrHashes, err)
		}
		a.open = append(a.open, file)
		a.files[level] = bufio.NewReaderSize(file, 64<<10)
	}
	var kept tlog.Hash
	if _, err := io.ReadFull(a.files[level], kept[:]); err != nil {
		return fmt.Errorf("%w: hash %d of level %d: %w", ErrHashes, n, level*tileHeight, err)
	}
	if kept != hash {
		return fmt.Errorf("%w: hash %d of level %d is another one", ErrHashes, n, level*tileHeight)
	}
	return nil
}

// End closes the files and says what was found: ErrDiverged where the leaves are not
// what was signed, or fewer; ErrHashes where files of hashes are not what they must be.
func (a *Audit) End() (size uint64, err error) {
	var errs []error
	for _, file := range a.open {
		errs = append(errs, file.Close())
	}
	if a.size < a.last.size() {
		errs = append(errs, fmt.Errorf("%w: that is of %d packets, the accepted log ends after %d", ErrDiverged, a.last.size(), a.size))
	}
	return uint64(a.last.size()), errors.Join(append(errs, a.diverged, a.wrong)...) //nolint:gosec // not negative
}

// edge has the last whole hash of each level: all that is needed to go on, and to tell
// the root.
type edge map[int]placed

type placed struct {
	n    int64
	hash tlog.Hash
}

// ReadHashes implements tlog.HashReader.
func (e edge) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		at, ok := e[level]
		if !ok || at.n != n {
			return nil, fmt.Errorf("hash %d of level %d is not kept", n, level)
		}
		found[i] = at.hash
	}
	return found, nil
}
