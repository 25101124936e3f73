package certs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Reloader is a Source that follows the files in a directory: renewed
// credentials are used from the next handshake on, without a restart. Files that
// do not fit each other, as in the middle of a renewal, are not taken; the
// credentials before them stay.
type Reloader struct {
	dir    string
	failed func(error)

	mu      sync.Mutex
	current *Credentials
	seen    [3]stamp
}

// stamp tells versions of a file apart.
type stamp struct {
	modified time.Time
	size     int64
	mode     fs.FileMode
}

// NewReloader loads the credentials in a directory; see LoadCredentials. Failed,
// which may be nil, is told of changed files that could not be taken.
func NewReloader(dir string, failed func(error)) (*Reloader, error) {
	r := &Reloader{dir: dir, failed: failed}
	if err := r.Reload(); err != nil {
		return nil, err
	}
	return r, nil
}

// Reload loads the files now. On error the credentials stay as they were.
func (r *Reloader) Reload() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.load(r.stamps())
}

// Credentials implements Source: it looks whether the files have changed first.
func (r *Reloader) Credentials() *Credentials {
	current, err := r.refresh()
	if err != nil && r.failed != nil {
		r.failed(err)
	}
	return current
}

func (r *Reloader) refresh() (*Credentials, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if now := r.stamps(); now != r.seen {
		err = r.load(now)
	}
	return r.current, err
}

func (r *Reloader) load(now [3]stamp) error {
	// Also where loading fails: the same broken files are not read, and reported,
	// at every handshake.
	r.seen = now
	fresh, err := LoadCredentials(r.dir)
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	r.current = fresh
	return nil
}

func (r *Reloader) stamps() [3]stamp {
	var all [3]stamp
	for i, name := range []string{KeyFile, CertificateFile, RootsFile} {
		if info, err := os.Stat(filepath.Join(r.dir, name)); err == nil {
			all[i] = stamp{modified: info.ModTime(), size: info.Size(), mode: info.Mode()}
		}
	}
	return all
}
