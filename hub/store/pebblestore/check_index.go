package pebblestore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// checkedIndex is an index that is only read.
type checkedIndex struct {
	index
	cursor cursor
}

// openToCheck opens the index. It returns nil where there is none, or none that can be
// read, and has reported that then.
func openToCheck(files vfs.FS, dir string, report func(Finding)) (*checkedIndex, error) {
	if _, err := files.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		report(Finding{Rule: RuleIndexMissing, Notice: true, File: indexDir})
		return nil, nil //nolint:nilnil // as documented
	}
	if _, err := files.Stat(filepath.Join(files.PathDir(dir), damagedFile)); err == nil {
		report(Finding{Rule: RuleIndexMissing, Notice: true, File: indexDir, What: "it was found damaged while the hub ran"})
		return nil, nil //nolint:nilnil // as documented
	}
	db, err := pebble.Open(dir, &pebble.Options{
		FS: files, ReadOnly: true, CacheSize: 16 << 20, FormatMajorVersion: pebble.FormatNewest,
		Logger: pebbleLogger{slog.New(slog.DiscardHandler), os.Exit},
		// Else it would be the end of the process. Whoever reads is told so, too.
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}},
	})
	switch {
	case errors.Is(err, pebble.ErrDBDoesNotExist):
		report(Finding{Rule: RuleIndexMissing, Notice: true, File: indexDir})
		return nil, nil //nolint:nilnil // as documented
	case err != nil && (pebble.IsCorruptionError(err) || errors.Is(err, fs.ErrNotExist)):
		// A loss of power may leave it so; Open makes it again by itself.
		report(Finding{Rule: RuleIndexMissing, Notice: true, File: indexDir, What: fmt.Sprintf("it cannot be opened: %v", err)})
		return nil, nil //nolint:nilnil // as documented
	case err != nil:
		return nil, fmt.Errorf("index: %w", err)
	}
	x := &checkedIndex{index: index{db: db}}
	version, err := x.get(formatKey())
	if err == nil && string(version) != formatVersion {
		err = fmt.Errorf("%w: its format is %q; this program reads %q", store.ErrCorrupt, version, formatVersion)
	}
	if err == nil {
		x.cursor, err = x.index.cursor()
	}
	switch {
	case err == nil:
		return x, nil
	case errors.Is(err, store.ErrNotFound): // a crash came before anything was in it
		return x, nil
	case errors.Is(err, store.ErrCorrupt):
		report(Finding{Rule: RuleIndexDiffers, File: indexDir, What: inWords(err)})
		return nil, x.close()
	}
	return nil, errors.Join(err, x.close())
}

// inWords says what is wrong, in a line.
func inWords(err error) string {
	line, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), store.ErrCorrupt.Error()+": "), "\n")
	return line
}

func (x *checkedIndex) close() error {
	if x == nil {
		return nil
	}
	return x.index.close()
}

// follower goes along entries of the index that stand in the order of the journal.
type follower struct {
	it                    *pebble.Iterator
	ok                    bool
	more, less, different uint64
	first                 []byte // key of the first that is not as expected
	err                   error
}

// follow returns what goes along the entries of a kind; nil without an index.
func (x *checkedIndex) follow(kind byte) *follower {
	if x == nil {
		return nil
	}
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kind}, UpperBound: []byte{kind + 1}})
	if err != nil {
		return &follower{err: classify(err)}
	}
	return &follower{it: it, ok: it.First()}
}

// expect goes on to the entry that has to be next.
func (f *follower) expect(key, value []byte) {
	if f == nil || f.it == nil {
		return
	}
	for f.ok && bytes.Compare(f.it.Key(), key) < 0 {
		f.unexpected(&f.more, f.it.Key())
		f.ok = f.it.Next()
	}
	if !f.ok || !bytes.Equal(f.it.Key(), key) {
		f.unexpected(&f.less, key)
		return
	}
	if got, err := f.it.ValueAndErr(); err != nil || !bytes.Equal(got, value) {
		f.unexpected(&f.different, key)
	}
	f.ok = f.it.Next()
}

func (f *follower) unexpected(count *uint64, key []byte) {
	if *count++; f.first == nil {
		f.first = bytes.Clone(key)
	}
}

// end counts what is left, and returns what was not as expected.
func (f *follower) end() (what string, err error) {
	if f == nil {
		return "", nil
	}
	if f.it == nil {
		return "", f.err
	}
	for ; f.ok; f.ok = f.it.Next() {
		f.unexpected(&f.more, f.it.Key())
	}
	err = f.it.Error()
	f.close()
	if err != nil {
		return "", classify(err)
	}
	if f.first == nil {
		return "", nil
	}
	number, _ := sequenceOf(f.first)
	return fmt.Sprintf("%d more than in the journal, %d fewer, %d others; the first is %d", f.more, f.less, f.different, number), nil
}

// close ends the following; what is expected later is not looked at. What could not be read
// is what end tells.
func (f *follower) close() {
	if f == nil || f.it == nil {
		return
	}
	_ = f.it.Close()
	f.it = nil
}
