// Package blobs keeps the contents of large packets, each in a file of its own, so
// that none has to be whole in memory to come in, to be read or to go out.
//
// A content comes in pieces, into a file in the directory of uploads. It is written
// in blocks, each with a checksum that stands in the same file; what was held when a
// connection was cut or the hub was killed is still held, and the upload goes on from
// there. Once the content is complete, and its SHA-256 is what was announced, the
// packet can be accepted: the file is on stable storage before the journal says that
// it is. After that it moves to the directory of what was accepted, whenever that may
// be: both directories are looked into. A file among the uploads is removed only after
// Options.Accepted has said that no accepted packet needs it. So there is no moment at
// which an accepted packet lacks its content, and what a crash leaves behind is an
// upload like any other, which ends when its time is over. What was refused for good ends
// before that: it must make room for others. A start looks at the uploads alone, of which
// there are few.
package blobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/semaphore"

	"github.com/lienthong/lienthong/hub/store"
)

// Errors beside those of package store.
var (
	// ErrTooMany means that uploads that are not done with stand in the way of another.
	ErrTooMany = errors.New("too many uploads")
	// ErrOffset means that an upload does not go on where it says.
	ErrOffset = errors.New("the upload goes on elsewhere")
	// ErrBusy means that the upload is being submitted.
	ErrBusy = errors.New("the upload is being submitted")
	// ErrTakenOver means that another Writer writes the upload now.
	ErrTakenOver = errors.New("the upload goes on in another stream")
	// ErrOther means that the bytes that came are not the content announced.
	ErrOther = errors.New("the content is not the one announced")
	// ErrIncomplete means that the content has not come as a whole.
	ErrIncomplete = errors.New("the upload is not complete")
)

// Content is a large content: whose it is, for which envelope, and what it is.
type Content struct {
	Sender, ID string
	Size       int64
	SHA256     [sha256.Size]byte
}

// name is the name of the content's file.
func (c Content) name() string {
	said := append([]byte(c.Sender+"\x00"+c.ID+"\x00"), c.SHA256[:]...) // neither has a zero byte
	sum := sha256.Sum256(said)
	return hex.EncodeToString(sum[:])
}

// Options are what Blobs can be opened with. Accepted is required; zero values of the
// rest mean the defaults.
type Options struct {
	// Accepted reports whether a packet with this content was accepted, and is kept. It
	// is asked before anything is removed; with an error, that stays.
	Accepted func(context.Context, Content) (bool, error)
	// FS is the file system; nil means the machine's own.
	FS vfs.FS
	// Uploads bounds the uploads that are not done with, of one sender and of all, and
	// the bytes they announce; defaults 16 and 4 GiB, 512 and 64 GiB.
	SenderUploads, AllUploads int
	SenderBytes, AllBytes     int64
	// Keep is how long an upload waits to go on or to be submitted; default a day. One of
	// which nothing is held waits for KeepEmpty, default ten minutes.
	Keep, KeepEmpty time.Duration
	// SpareBytes is the space that uploads leave on the disk; default 512 MiB, which is
	// more than the store leaves: packets are still accepted where uploads are not.
	SpareBytes uint64
	// Clock defaults to time.Now.
	Clock func() time.Time
	// Logger is told of the disk's troubles; nil means no one is.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.SenderUploads == 0 {
		o.SenderUploads = 16
	}
	if o.AllUploads == 0 {
		o.AllUploads = 512
	}
	if o.SenderBytes == 0 {
		o.SenderBytes = 4 << 30
	}
	if o.AllBytes == 0 {
		o.AllBytes = 64 << 30
	}
	if o.Keep == 0 {
		o.Keep = 24 * time.Hour
	}
	if o.KeepEmpty == 0 {
		o.KeepEmpty = min(o.Keep, 10*time.Minute)
	}
	if o.SpareBytes == 0 {
		o.SpareBytes = 512 << 20
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Directories within that of Blobs. Files move from the first to the second.
const (
	UploadsDir  = "uploads"
	acceptedDir = "accepted"
	// retiredDir has a note of every content that was, or is about to be, removed. It comes
	// after acceptedDir: who copies the directories in the order of their names finds the
	// content, or the note.
	retiredDir = "retired"
)

// writersAtOnce bounds the uploads that put a block on the disk at one time: the disk
// is the journal's, too.
const writersAtOnce = 2

// Blobs is a directory of large contents. Its methods may be called concurrently.
type Blobs struct {
	opts    Options
	dir     string
	writing *semaphore.Weighted
	wake    chan struct{} // has a token when an upload is to be moved

	mu      sync.Mutex
	uploads map[key]*upload
	// replaced are uploads that another took the place of, and that were found all the
	// same.
	replaced []*upload
}

// key is what one upload is for.
type key struct{ sender, id string }

// Open opens or makes the directory. Only one Blobs at a time may have it: the lock of
// the store beside it sees to that. It reads no contents.
func Open(dir string, opts Options) (*Blobs, error) {
	if opts.Accepted == nil {
		return nil, errors.New("blobs: Accepted is required")
	}
	b := &Blobs{
		opts: opts.withDefaults(), dir: dir, writing: semaphore.NewWeighted(writersAtOnce),
		wake: make(chan struct{}, 1), uploads: map[key]*upload{},
	}
	for _, step := range []func() error{b.makeDirectories, b.findUploads} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("open blobs %s: %w", dir, err)
		}
	}
	return b, nil
}

func (b *Blobs) makeDirectories() error {
	for _, dir := range []string{UploadsDir, acceptedDir, retiredDir} {
		if err := b.opts.FS.MkdirAll(filepath.Join(b.dir, dir), 0o700); err != nil {
			return fmt.Errorf("directory: %w", err)
		}
	}
	return errors.Join(b.syncDir(b.dir), b.syncDir(b.opts.FS.PathDir(b.dir)))
}

// findUploads finds what earlier runs have left.
func (b *Blobs) findUploads() error {
	names, err := b.opts.FS.List(filepath.Join(b.dir, UploadsDir))
	if err != nil {
		return fmt.Errorf("list uploads: %w", err)
	}
	for _, name := range names {
		u, err := b.found(filepath.Join(b.dir, UploadsDir, name))
		if err != nil {
			return err
		}
		if u == nil {
			continue
		}
		if name != u.content.name() {
			b.opts.Logger.Error("an upload is not under its own name; it is left alone", "file", name)
			continue
		}
		// Of two for one envelope, the one that came later took the other's place.
		at := key{u.content.Sender, u.content.ID}
		other := b.uploads[at]
		if other != nil && other.touched.After(u.touched) {
			u, other = other, u
		}
		if b.uploads[at] = u; other != nil {
			other.touched = time.Time{}
			b.replaced = append(b.replaced, other)
		}
	}
	return nil
}

// found reads the head of a file among the uploads; nil where it is no upload.
func (b *Blobs) found(path string) (*upload, error) {
	file, err := b.opts.FS.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open upload: %w", err)
	}
	content, err := readHead(file)
	info, statErr := file.Stat()
	if closeErr := errors.Join(statErr, file.Close()); closeErr != nil {
		return nil, fmt.Errorf("read upload: %w", closeErr)
	}
	switch {
	case err == nil:
		return &upload{content: content, path: path, touched: info.ModTime()}, nil
	case info.Size() <= headSize: // the hub was cut down as it made the file: it holds nothing
		if err := b.opts.FS.Remove(path); err != nil {
			return nil, fmt.Errorf("remove what is no upload: %w", err)
		}
	default:
		b.opts.Logger.Error("an upload cannot be read; it is left alone", "file", filepath.Base(path), "error", err)
	}
	return nil, nil
}

func (b *Blobs) pathOf(dir string, c Content) string { return filepath.Join(b.dir, dir, c.name()) }

// syncDir makes durable what files a directory has.
func (b *Blobs) syncDir(path string) error {
	dir, err := b.opts.FS.OpenDir(path)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// upload returns an upload, or store.ErrNotFound. It is locked.
func (b *Blobs) upload(sender, id string) (*upload, error) {
	b.mu.Lock()
	u := b.uploads[key{sender, id}]
	b.mu.Unlock()
	if u == nil {
		return nil, store.ErrNotFound
	}
	u.mu.Lock()
	if u.gone {
		u.mu.Unlock()
		return nil, store.ErrNotFound
	}
	return u, nil
}

// Uploads returns what a sender uploads, or has uploaded and not submitted; by id.
func (b *Blobs) Uploads(sender string) []Content {
	b.mu.Lock()
	defer b.mu.Unlock()
	var own []Content
	for at, u := range b.uploads {
		if at.sender == sender && !u.unneeded.Load() {
			own = append(own, u.content)
		}
	}
	slices.SortFunc(own, func(a, b Content) int { return strings.Compare(a.ID, b.ID) })
	return own
}

// reserveBytes bounds what of the disk is kept free for what others have announced: else
// who announces much and sends nothing would keep everybody out. Each block is checked
// again as it is written, so that more than there is never goes onto the disk.
const reserveBytes = 1 << 30

// left checks that so much more leaves enough on the disk. Where the disk does not say,
// it does.
func (b *Blobs) left(more int64) error {
	usage, err := b.opts.FS.GetDiskUsage(b.dir)
	if err == nil && usage.AvailBytes < b.opts.SpareBytes+uint64(more) { //nolint:gosec // a size
		return fmt.Errorf("%w: %d bytes more would not leave %d on the disk", store.ErrFull, more, b.opts.SpareBytes)
	}
	return nil
}

// room checks that one more upload keeps within the bounds. Under mu.
func (b *Blobs) room(c Content) error {
	var own, all int
	ownBytes, allBytes := c.Size, c.Size
	for at, u := range b.uploads {
		if at == (key{c.Sender, c.ID}) || u.unneeded.Load() {
			continue
		}
		all, allBytes = all+1, allBytes+u.content.Size
		if at.sender == c.Sender {
			own, ownBytes = own+1, ownBytes+u.content.Size
		}
	}
	switch {
	case own >= b.opts.SenderUploads:
		return fmt.Errorf("%w: this sender has %d, which is as many as are allowed", ErrTooMany, own)
	case ownBytes > b.opts.SenderBytes:
		return fmt.Errorf("%w: those of this sender would have more than %d bytes", ErrTooMany, b.opts.SenderBytes)
	case all >= b.opts.AllUploads || allBytes > b.opts.AllBytes:
		return fmt.Errorf("%w: there is no room for another of any sender", ErrTooMany)
	}
	// Of the others, what has come is on the disk already: this leaves rather too much.
	return b.left(c.Size + min(allBytes-c.Size, reserveBytes))
}
