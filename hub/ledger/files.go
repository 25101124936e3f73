package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// checkpointFile holds the latest checkpoint, and historyFile one an hour, each as a
// note with an empty line after it. The second is for who looks into the past, and for
// a hub whose latest was lost.
const (
	checkpointFile = "checkpoint"
	historyFile    = "checkpoints"
	historyEvery   = time.Hour
)

// history says how far the file of past checkpoints is whole.
type history struct {
	end int64
	at  time.Time // of the last in it
}

// maxNote is far more than a checkpoint has.
const maxNote = 4096

// readLast returns the checkpoint signed last; nil before the first.
func (l *Log) readLast() (*checkpoint, error) {
	past, err := l.readHistory()
	if err != nil {
		return nil, err
	}
	signed, err := readTail(l.cfg.FS, l.path(checkpointFile), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return past, nil
	}
	if err != nil {
		return nil, err
	}
	last, err := l.cfg.Ledger.openCheckpoint(signed)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged, or of another hub; restore it from a backup, or remove it to go on from the last in %s: %w",
			l.path(checkpointFile), historyFile, err)
	}
	if past.size() > last.size() {
		return past, nil
	}
	return last, nil
}

func (l *Log) path(file string) string { return l.cfg.FS.PathJoin(l.cfg.Dir, file) }

// readHistory finds the end of the file of past checkpoints and returns the last of
// them. What a crash left behind that end is written over by the next.
func (l *Log) readHistory() (*checkpoint, error) {
	info, err := l.cfg.FS.Stat(l.path(historyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ledger checkpoints: %w", err)
	}
	from := max(0, info.Size()-2*maxNote)
	tail, err := readTail(l.cfg.FS, l.path(historyFile), from)
	if err != nil {
		return nil, err
	}
	separator := []byte("\n\n")
	var last *checkpoint
	// A note is a text, an empty line and its signatures; then comes an empty line.
	for start := 0; ; {
		text := bytes.Index(tail[start:], separator)
		if text < 0 {
			break
		}
		signatures := bytes.Index(tail[start+text+len(separator):], separator)
		if signatures < 0 {
			break
		}
		end := start + text + len(separator) + signatures + len(separator)
		read, err := l.cfg.Ledger.openCheckpoint(tail[start : end-1])
		if err != nil {
			// The tail may begin in the middle of one: between a text and its signatures, too.
			start += text + len(separator)
			continue
		}
		last, start = read, end
		l.history = history{end: from + int64(end), at: read.at}
	}
	return last, nil
}

// readTail reads a file of checkpoints from an offset on, at most 2*maxNote bytes.
func readTail(filesystem vfs.FS, path string, from int64) ([]byte, error) {
	file, err := filesystem.Open(path)
	if err != nil {
		return nil, fmt.Errorf("ledger checkpoints: %w", err)
	}
	tail, err := io.ReadAll(io.NewSectionReader(file, from, 2*maxNote))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("ledger checkpoints: %w", err)
	}
	return tail, nil
}

// keep puts a checkpoint on stable storage, as the latest and, where the last in the
// history is an hour old, there.
func (l *Log) keep(fresh *checkpoint) error {
	temporary := l.path(checkpointFile + ".new")
	file, err := l.cfg.FS.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("keep checkpoint: %w", err)
	}
	_, err = file.Write(bytes.Clone(fresh.signed)) // the file system may write to what it is given
	if err := errors.Join(err, synced(file, err), file.Close()); err != nil {
		return fmt.Errorf("keep checkpoint: %w", err)
	}
	if err := l.cfg.FS.Rename(temporary, l.path(checkpointFile)); err != nil {
		return fmt.Errorf("keep checkpoint: %w", err)
	}
	if age := fresh.at.Sub(l.history.at); age >= historyEvery || age < 0 {
		if err := l.remember(fresh); err != nil {
			return err
		}
	}
	return syncDir(l.cfg.FS, l.cfg.Dir)
}

// synced syncs a file that was written to without an error.
func synced(file vfs.File, written error) error {
	if written != nil {
		return nil
	}
	return file.Sync()
}

// remember adds a checkpoint to the history.
func (l *Log) remember(fresh *checkpoint) error {
	file, err := l.cfg.FS.OpenReadWrite(l.path(historyFile), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("keep checkpoint: %w", err)
	}
	record := append(bytes.Clone(fresh.signed), '\n')
	_, err = file.WriteAt(record, l.history.end)
	if err := errors.Join(err, synced(file, err), file.Close()); err != nil {
		return fmt.Errorf("keep checkpoint: %w", err)
	}
	l.history = history{end: l.history.end + int64(len(record)), at: fresh.at}
	return nil
}
