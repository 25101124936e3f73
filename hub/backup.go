package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/certs"
	"github.com/lienthong/lienthong/hub/store/blobs"
	"github.com/lienthong/lienthong/hub/store/journal"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// What tells a backup from a data directory.
const (
	// backupFile says that a directory is a whole backup; a hub that is started on it
	// removes the file.
	backupFile = "backup.json"
	// unfinishedFile says that a backup is not whole. No hub starts on it.
	unfinishedFile = "backup.unfinished"
	// A backup is made in a directory with the first suffix beside the one it is for; an
	// earlier backup has the second for a moment, when it gives way.
	suffixPartial = ".partial"
	suffixEarlier = ".old"
)

// ErrNoBackup means that a directory that a backup was to replace is something else.
var ErrNoBackup = errors.New("it is there, and no backup")

// Backup says what was backed up. It stands in the backup, as backup.json.
type Backup struct {
	Source string    `json:"source"`
	Begun  time.Time `json:"begun"`
	// Bytes were copied; LinkedBytes were in the backup before.
	Bytes       int64 `json:"bytes"`
	LinkedBytes int64 `json:"linked_bytes"`
}

// MakeBackup copies a data directory, of a hub that may be running, to another
// directory, which a hub then can be started on. Everything that had a receipt before
// the call is in it. An earlier backup in that directory is replaced once the new one is
// whole and on stable storage, not before; what has not changed since is shared with it,
// not copied; no hub starts on it meanwhile. The index is left out: a hub makes it again.
func MakeBackup(ctx context.Context, dataDir, to string, clock func() time.Time) (Backup, error) {
	b := &backup{from: filepath.Clean(dataDir), to: filepath.Clean(to)}
	b.made = Backup{Source: b.from, Begun: clock().UTC().Truncate(time.Millisecond)}
	if err := b.run(ctx); err != nil {
		return Backup{}, fmt.Errorf("back up %s to %s: %w", dataDir, to, err)
	}
	return b.made, nil
}

// backup is a MakeBackup under way.
type backup struct {
	from, to, partial string
	earlier           string // the backup before; empty without one
	made              Backup
}

func (b *backup) run(ctx context.Context) (err error) {
	if err := b.look(); err != nil {
		return err
	}
	if b.earlier != "" {
		kept, err := lockEarlier(b.earlier)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, kept.Close()) }()
	}
	lock, err := b.begin()
	if err != nil {
		return err
	}
	err = b.copyAll(ctx)
	if err == nil {
		err = b.finish()
	}
	if err := errors.Join(err, lock.Close()); err != nil {
		return err
	}
	return b.replace()
}

// look sees whether there is something to back up, and room for a backup.
func (b *backup) look() error {
	if _, err := os.Stat(filepath.Join(b.from, storeDir)); err != nil {
		return fmt.Errorf("no hub was started there: %w", err)
	}
	if err := outside(b.from, b.to); err != nil {
		return err
	}
	b.partial = b.to + suffixPartial
	// That of a backup goes away in the end.
	if _, err := os.Stat(filepath.Join(b.to+suffixEarlier, storeDir, pebblestore.IndexDir)); err == nil {
		return fmt.Errorf("%s%s: %w (a hub was started on it)", b.to, suffixEarlier, ErrNoBackup)
	}
	// A crash may have come between the two steps of replace.
	if _, err := os.Stat(b.to); errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(b.to+suffixEarlier, b.to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	entries, err := os.ReadDir(b.to)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if err := isBackup(b.to); err != nil {
		return err
	}
	b.earlier = b.to
	return nil
}

// lockEarlier keeps hubs from being started on the backup before until it is replaced,
// and refuses where one was.
func lockEarlier(dir string) (io.Closer, error) {
	lock, err := vfs.Default.Lock(filepath.Join(dir, storeDir, lockFile))
	if err != nil {
		return nil, fmt.Errorf("%s is in use: a hub is being started on it, or it is being checked: %w", dir, err)
	}
	if err := isBackup(dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

func isBackup(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, backupFile)); err != nil {
		return fmt.Errorf("%s: %w (a hub that was started on a backup made it its data directory)", dir, ErrNoBackup)
	}
	return nil
}

// outside refuses a backup in what it is of, and the other way round.
func outside(from, to string) error {
	var paths [2]string
	for i, dir := range []string{from, to} {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if real, err := filepath.EvalSymlinks(absolute); err == nil {
			absolute = real
		}
		paths[i] = absolute + string(filepath.Separator)
	}
	if strings.HasPrefix(paths[0], paths[1]) || strings.HasPrefix(paths[1], paths[0]) {
		return errors.New("one of the two directories is in the other; a backup belongs on another disk")
	}
	return nil
}

// begin makes the directory in which the backup becomes whole, and keeps others out.
func (b *backup) begin() (io.Closer, error) {
	if err := makePrivate(b.partial); err != nil {
		return nil, err
	}
	lock, err := vfs.Default.Lock(filepath.Join(b.partial, lockFile))
	if errors.Is(err, syscall.EAGAIN) {
		return nil, fmt.Errorf("another backup to there is being made: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	err = os.WriteFile(filepath.Join(b.partial, unfinishedFile), nil, 0o600)
	entries, listed := os.ReadDir(b.partial)
	err = errors.Join(err, listed)
	for _, entry := range entries {
		if name := entry.Name(); name != lockFile && name != unfinishedFile { // of one that was cut short
			err = errors.Join(err, os.RemoveAll(filepath.Join(b.partial, name)))
		}
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// lockFile keeps a second process out of a directory. It is nobody's data.
const lockFile = "LOCK"

// copyAll copies in an order in which nothing is ahead of what it is derived from: the
// checkpoint of the ledger, its hashes, then the journal; then what the journal speaks
// of.
func (b *backup) copyAll(ctx context.Context) error {
	c := &copier{ctx: ctx, backup: b}
	for _, step := range []func() error{
		func() error { return c.tree(ledgerDir, isHashes) },
		func() error { return c.tree(ledgerDir, func(name string) bool { return !isHashes(name) }) },
		func() error { return b.copyJournal(ctx) },
		// What is accepted moves from the one directory to the other, which is read after it.
		// An upload that lacks a part was not of an accepted packet when the journal was
		// copied; of one that is complete, the journal alone knows.
		func() error { return c.tree(uploadsDir(), b.isUnfinished) },
		func() error { return c.tree(".", func(name string) bool { return !b.isData(name) }) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func uploadsDir() string { return filepath.Join(blobsDir, blobs.UploadsDir) }

// isUnfinished says whether an upload has not come to its end. One about which that
// cannot be told is copied.
func (b *backup) isUnfinished(path string) bool {
	unfinished, err := blobs.Unfinished(filepath.Join(b.from, path))
	return err == nil && unfinished
}

func isHashes(name string) bool { return strings.HasPrefix(filepath.Base(name), "hashes-") }

func (b *backup) copyJournal(ctx context.Context) error {
	how := journal.Copying{FS: vfs.Default, From: filepath.Join(b.from, storeDir, pebblestore.JournalDir), To: filepath.Join(b.partial, storeDir, pebblestore.JournalDir)}
	if b.earlier != "" {
		how.Before = filepath.Join(b.earlier, storeDir, pebblestore.JournalDir)
	}
	if err := makePrivate(filepath.Join(b.partial, storeDir)); err != nil {
		return err
	}
	copied, err := journal.Copy(ctx, how)
	b.made.Bytes += copied.Bytes
	b.made.LinkedBytes += copied.LinkedBytes
	return err
}

// isData says whether a path in the data directory is to be copied with everything else.
func (b *backup) isData(path string) bool {
	switch path {
	case ledgerDir, uploadsDir(), filepath.Join(storeDir, pebblestore.JournalDir), filepath.Join(storeDir, pebblestore.IndexDir), backupFile, unfinishedFile:
		return false
	}
	return filepath.Base(path) != lockFile
}

// finish makes the backup whole.
func (b *backup) finish() error {
	written, err := json.MarshalIndent(b.made, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", backupFile, err)
	}
	if err := certs.WriteFile(filepath.Join(b.partial, backupFile), append(written, '\n'), 0o600); err != nil {
		return err
	}
	for _, name := range []string{unfinishedFile, lockFile} {
		if err := os.Remove(filepath.Join(b.partial, name)); err != nil {
			return err
		}
	}
	return syncDirectory(b.partial)
}

// replace gives the backup its name. The one before is locked.
func (b *backup) replace() error {
	old, above := b.to+suffixEarlier, filepath.Dir(b.to)
	if b.earlier != "" {
		if err := isBackup(b.earlier); err != nil { // whoever made it something else does not keep to locks
			return err
		}
		if err := errors.Join(os.RemoveAll(old), os.Rename(b.to, old), syncDirectory(above)); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Rename(b.partial, b.to), syncDirectory(above)); err != nil {
		return err
	}
	return os.RemoveAll(old)
}

func syncDirectory(dir string) error {
	opened, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := errors.Join(opened.Sync(), opened.Close()); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	return nil
}

// refuseUnfinished refuses a backup that is not whole.
func refuseUnfinished(dataDir string) error {
	if _, err := os.Stat(filepath.Join(dataDir, unfinishedFile)); err == nil {
		return fmt.Errorf("%s is a backup that was not finished; start on a whole one", dataDir)
	}
	return nil
}
