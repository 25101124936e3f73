package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// maxKeptBuffer is how large a frame's buffer is kept for the next.
const maxKeptBuffer = 4 << 20

// Append adds one frame, whose payload is the parts joined, and returns where it
// begins. It is durable after the next Sync. With ErrFull nothing was appended, and
// nothing of it will ever be there; with ErrBroken it may be there after a restart.
func (j *Journal) Append(kind byte, parts ...[]byte) (Position, error) {
	if kind == 0 || kind >= kindOwn {
		return 0, fmt.Errorf("append to journal %s: kind %#x; allowed are 0x1 to %#x", j.dir, kind, kindOwn-1)
	}
	length := 0
	for _, part := range parts {
		if length += len(part); length > maxPayload {
			return 0, fmt.Errorf("append to journal %s: a payload of more than %d bytes", j.dir, maxPayload)
		}
	}
	j.appending.Lock()
	defer j.appending.Unlock()
	if err := j.refusal(); err != nil {
		return 0, err
	}
	if j.active == nil || !j.fits(length) {
		if err := j.roll(length); err != nil {
			return 0, err
		}
	}
	return j.appendFrame(kind, length, parts)
}

// fits says whether a frame leaves room for a closed and an end frame; in an empty
// segment any does.
func (j *Journal) fits(length int) bool {
	used := j.active.framesEnd()
	return used == segmentHeader || used+frameBytes(length)+closedBytes+endBytes <= j.opts.SegmentBytes
}

// appendFrame writes a frame to the active segment.
func (j *Journal) appendFrame(kind byte, length int, parts [][]byte) (Position, error) {
	at := j.Next()
	frame := j.frame(int(frameBytes(length)))
	rest := frame[frameHeader:]
	for _, part := range parts {
		rest = rest[copy(rest, part):]
	}
	clear(rest) // the padding
	j.active.stamp.write(frame, head{position: at, synced: j.Synced(), kind: kind, length: length})
	if err := j.write(frame, at); err != nil {
		return 0, err
	}
	next := uint64(at) + uint64(len(frame))
	j.active.end.Store(next)
	j.next.Store(next)
	return at, nil
}

// frame returns the buffer for a frame.
func (j *Journal) frame(size int) []byte {
	if size > maxKeptBuffer {
		return make([]byte, size)
	}
	if cap(j.buffer) < size {
		j.buffer = make([]byte, max(size, min(2*cap(j.buffer), maxKeptBuffer)))
	}
	return j.buffer[:size]
}

// write puts a frame into the active segment, wholly or, with ErrFull, not at all.
func (j *Journal) write(frame []byte, at Position) error {
	offset := j.active.offset(at)
	n, err := j.active.file.WriteAt(frame, offset)
	switch {
	case err == nil:
		return nil
	case !full(err):
		return j.breakWith(j.active.failed("write", err))
	}
	if n > 0 {
		if err := j.unwrite(min(n, frameHeader), offset); err != nil {
			return err
		}
	}
	return fmt.Errorf("journal %s: %w: %w", j.dir, ErrFull, err)
}

// unwrite removes the beginning of a frame that did not fit: what it lacks may be
// zeros only, and then it would be whole after a restart.
func (j *Journal) unwrite(n int, offset int64) error {
	if _, err := j.active.file.WriteAt(make([]byte, n), offset); err != nil {
		return j.breakWith(j.active.failed("write", err))
	}
	j.syncing.Lock()
	defer j.syncing.Unlock()
	return j.syncActive()
}

// Sync makes durable what was appended before it was called. Calls that come
// during a sync share the next one.
func (j *Journal) Sync() error {
	target := j.Next()
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if err := j.refusal(); err != nil {
		return err
	}
	if j.Synced() >= target {
		return nil
	}
	return j.syncActive()
}

// syncActive syncs the active segment; syncing is held. A failure is final: after
// it the kernel may take pages for clean that never reached the disk.
func (j *Journal) syncActive() error {
	target := j.active.end.Load()
	if err := retried(j.active.file.SyncData); err != nil {
		return j.breakWith(j.active.failed("sync", err))
	}
	j.synced.Store(target)
	return nil
}

// Seal ends the last segment, if there is anything in it, so that it can be rewritten.
// ErrFull where there is no room for the one that follows; then nothing has changed.
func (j *Journal) Seal() error {
	j.appending.Lock()
	defer j.appending.Unlock()
	if err := j.refusal(); err != nil {
		return err
	}
	if j.active == nil || j.active.endPosition() == j.active.base {
		return nil
	}
	return j.roll(0)
}

// roll seals the active segment and makes a new one that has room for a frame.
// What may lack space comes first.
func (j *Journal) roll(length int) error {
	base := j.Next()
	seg, file, err := j.prepare(base, length)
	if err != nil {
		return err
	}
	if j.active != nil {
		if err := j.seal(); err != nil {
			return errors.Join(err, j.discard(file, seg.name+suffixNew))
		}
	}
	if err := j.opts.FS.Rename(j.path(seg.name+suffixNew), j.path(seg.name)); err != nil {
		return errors.Join(j.lacking(seg, "name", err), j.discard(file, seg.name+suffixNew))
	}
	if err := j.syncDir(); err != nil {
		return errors.Join(j.breakWith(err), file.Close())
	}
	j.files.adopt(seg, file)
	j.syncing.Lock()
	j.active = seg
	j.syncing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments = append(j.segments[:len(j.segments):len(j.segments)], seg)
	return nil
}

// prepare makes the file of a new segment, whole but for its name: a file that has
// a segment's name has a header that verifies.
func (j *Journal) prepare(base Position, length int) (*segment, vfs.File, error) {
	salt, err := drawSalt(j.opts.Random)
	if err != nil {
		return nil, nil, fmt.Errorf("journal %s: %w", j.dir, err)
	}
	seg := &segment{name: segmentName(base), base: base, stamp: newStamp(salt, j.table)}
	seg.end.Store(uint64(base))
	temporary := seg.name + suffixNew
	if err := j.removeFile(temporary); err != nil {
		return nil, nil, j.lacking(seg, "create", err)
	}
	file, err := j.opts.FS.OpenReadWrite(j.path(temporary), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, nil, j.lacking(seg, "create", err)
	}
	size := max(j.opts.SegmentBytes, segmentHeader+frameBytes(length)+closedBytes+endBytes)
	err = preallocate(file, size)
	if err == nil {
		_, err = file.WriteAt(segmentHead{base: base, salt: salt}.encode(j.table), 0)
	}
	if err == nil {
		err = retried(file.Sync)
	}
	if err != nil {
		return nil, nil, errors.Join(j.lacking(seg, "create", err), j.discard(file, temporary))
	}
	return seg, file, nil
}

// seal ends the active segment, durably.
func (j *Journal) seal() error {
	frame := j.frame(endBytes)
	clear(frame)
	at := j.Next()
	j.active.stamp.write(frame, head{position: at, synced: j.Synced(), kind: kindEnd, length: endPayload})
	if err := j.write(frame, at); err != nil {
		return err
	}
	j.syncing.Lock()
	defer j.syncing.Unlock()
	if err := j.syncActive(); err != nil {
		return err
	}
	sealed := j.active
	j.active = nil
	return j.files.release(sealed)
}

// lacking turns a failure to make a new file into ErrFull where space is lacking.
// Nothing depends on the file yet, so that other failures break nothing either.
func (j *Journal) lacking(seg *segment, doing string, err error) error {
	if full(err) {
		return fmt.Errorf("journal %s: %w: %w", j.dir, ErrFull, err)
	}
	return seg.failed(doing, err)
}

// discard closes and removes a file that was not finished.
func (j *Journal) discard(file vfs.File, name string) error {
	return errors.Join(file.Close(), j.removeFile(name))
}

// removeFile removes a file, if it is there.
func (j *Journal) removeFile(name string) error {
	if err := j.opts.FS.Remove(j.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

func (j *Journal) syncDir() error {
	if err := retried(j.dirFile.Sync); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// preallocate takes the blocks of a file, where the file system can.
func preallocate(file vfs.File, size int64) error {
	for {
		err := file.Preallocate(0, size)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EINVAL):
			return nil
		case err != nil:
			return fmt.Errorf("preallocate %d bytes: %w", size, err)
		default:
			return nil
		}
	}
}
