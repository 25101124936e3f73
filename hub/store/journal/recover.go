package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

const advice = "restore the data directory from a backup, or see with `lienthong fsck` what is still good"

// recover reads what is in the directory.
func (j *Journal) recover() error {
	names, err := j.opts.FS.List(j.dir)
	if err != nil {
		return fmt.Errorf("list directory: %w", err)
	}
	if err := j.readSpans(names); err != nil {
		return err
	}
	bases, err := j.clean(names)
	if err != nil {
		return err
	}
	if err := j.checkGaps(bases); err != nil {
		return err
	}
	for i, base := range bases {
		if i == len(bases)-1 {
			return j.openLast(base)
		}
		seg, err := j.openSealed(base, j.boundary(base, bases[i+1]))
		if err != nil {
			return err
		}
		j.segments = append(j.segments, seg)
	}
	return nil
}

// clean removes what a crash left unfinished, and returns where segments begin.
func (j *Journal) clean(names []string) ([]Position, error) {
	bases, unfinished := j.sorted(names)
	if len(unfinished) > 0 { // some because of what other names say, which has to stay so
		if err := j.syncDir(); err != nil {
			return nil, err
		}
	}
	for _, name := range unfinished {
		if err := j.removeFile(name); err != nil {
			return nil, err
		}
	}
	return bases, nil
}

// sorted tells where segments begin from files that a crash left unfinished: those
// not yet made, or not yet removed.
func (j *Journal) sorted(names []string) (bases []Position, unfinished []string) {
	for _, name := range names {
		if strings.HasSuffix(name, suffixNew) || strings.HasSuffix(name, suffixRewriting) {
			unfinished = append(unfinished, name)
			continue
		}
		var base Position
		if _, err := fmt.Sscanf(name, "%d"+suffixSegment, &base); err != nil || name != segmentName(base) {
			continue
		}
		if j.isRemoved(base) {
			unfinished = append(unfinished, name)
			continue
		}
		bases = append(bases, base)
	}
	sort.Slice(bases, func(i, j int) bool { return bases[i] < bases[j] })
	return bases, unfinished
}

// checkGaps checks that between the segments is nothing but what was removed.
func (j *Journal) checkGaps(bases []Position) error {
	var last Position
	for _, removed := range j.removed {
		last = max(last, removed.to)
	}
	if last > 0 && (len(bases) == 0 || bases[len(bases)-1] < last) {
		return fmt.Errorf("journal position %d: %w: the newest segment is missing; %s", last, store.ErrCorrupt, advice)
	}
	if len(bases) > 0 && bases[0] != 0 && j.boundary(0, bases[0]) != 0 {
		return fmt.Errorf("journal position 0: %w: segments before %s are missing; %s",
			store.ErrCorrupt, segmentName(bases[0]), advice)
	}
	return nil
}

// boundary returns where a segment must end: where the next begins, or what was
// removed between the two. Where something else is missing, that is the next.
func (j *Journal) boundary(base, next Position) Position {
	for _, removed := range j.removed {
		if removed.to == next && removed.from >= base {
			return removed.from
		}
	}
	return next
}

// readHead reads the header of a segment whose open file it takes over.
func (j *Journal) readHead(seg *segment, file vfs.File) (segmentHead, error) {
	j.files.adopt(seg, file)
	b := make([]byte, segmentHeader)
	if err := seg.readFull(file, b, 0); err != nil {
		return segmentHead{}, err
	}
	h, err := parseSegmentHead(b, seg.base, j.table)
	if err != nil {
		return segmentHead{}, seg.failed("open", err)
	}
	seg.stamp = newStamp(h.salt, j.table)
	return h, nil
}

// openSealed looks at both ends of a segment that another follows.
func (j *Journal) openSealed(base, end Position) (*segment, error) {
	seg := &segment{name: segmentName(base), base: base}
	seg.end.Store(uint64(end))
	file, err := j.opts.FS.Open(j.path(seg.name))
	if err != nil {
		return nil, seg.failed("open", err)
	}
	h, err := j.readHead(seg, file)
	if err == nil {
		err = seg.readEnd(file, h.rewritten)
	}
	return seg, j.files.done(seg, err)
}

// readEnd verifies the end frame. That of a rewritten segment is the last of the file
// and says where the table is.
func (s *segment) readEnd(file vfs.File, rewritten bool) error {
	offset := s.offset(s.endPosition())
	if rewritten {
		info, err := file.Stat()
		if err != nil {
			return s.failed("look at", err)
		}
		offset = max(segmentHeader, info.Size()-endBytes)
	}
	b := make([]byte, endBytes)
	if err := s.readFull(file, b, offset); err != nil {
		return err
	}
	h, ok := s.stamp.parse(b)
	if !ok || h.kind != kindEnd || h.length != endPayload || h.position != s.endPosition() || h.sum != s.stamp.sum(b[frameHeader:]) {
		return s.corrupt(offset, "the segment does not end here as it should: frames, or a segment after it, are missing; "+advice)
	}
	if !rewritten {
		return nil
	}
	s.tableAt = int64(binary.LittleEndian.Uint64(b[frameHeader:]))
	s.tableBytes = int64(binary.LittleEndian.Uint64(b[frameHeader+8:]))
	if s.tableAt < segmentHeader || s.tableBytes < 0 || s.tableBytes > offset || s.bytes() != offset {
		return s.corrupt(offset, "the segment's table is not where it should be; "+advice)
	}
	return nil
}

// openLast recovers the segment that was written to last.
func (j *Journal) openLast(base Position) error {
	seg := &segment{name: segmentName(base), base: base}
	file, err := j.opts.FS.OpenReadWrite(j.path(seg.name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return seg.failed("open", err)
	}
	tail, err := j.recoverTail(seg, file)
	if err != nil {
		return j.files.done(seg, err)
	}
	j.segments = append(j.segments, seg)
	j.next.Store(seg.end.Load())
	j.synced.Store(seg.end.Load())
	switch tail.last {
	case kindEnd:
		return j.files.release(seg)
	case kindClosed:
		j.closedAt = seg.endPosition()
	}
	j.active = seg
	return nil
}

func (j *Journal) recoverTail(seg *segment, file vfs.File) (tail, error) {
	h, err := j.readHead(seg, file)
	if err != nil {
		return tail{}, err
	}
	if h.rewritten {
		return tail{}, seg.corrupt(0, "the segments after it are missing; "+advice)
	}
	t, err := j.readTail(seg)
	if err != nil {
		return tail{}, err
	}
	return t, j.settle(seg, t)
}

// tail is what recovery found of the last segment.
type tail struct {
	proven Position // what a frame says was synced when it was written
	last   byte     // kind of the last good frame
	end    int64    // offset after it
	size   int64    // of the file
}

// readTail verifies the frames of the last segment. The first that does not verify
// is the end, if nothing says that it was ever synced.
func (j *Journal) readTail(seg *segment) (tail, error) {
	info, err := seg.file.Stat()
	if err != nil {
		return tail{}, seg.failed("look at", err)
	}
	t := tail{proven: seg.base, size: info.Size()}
	w := &walker{seg: seg, file: seg.file, offset: segmentHeader, limit: info.Size()}
	for {
		h, _, err := w.next()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, store.ErrCorrupt) {
				return tail{}, err
			}
			break
		}
		t.proven, t.last = max(t.proven, h.synced), h.kind
		if t.end = w.offset; h.kind == kindEnd {
			seg.end.Store(uint64(h.position))
			return t, nil
		}
	}
	t.end = w.offset
	seg.end.Store(uint64(seg.base) + uint64(t.end-segmentHeader))
	return t, j.refuseDamage(seg, t)
}

// refuseDamage looks behind the bad place for a frame that was written when that
// place had been synced: then it is no torn end. A header says so by itself.
func (j *Journal) refuseDamage(seg *segment, t tail) error {
	buffer := make([]byte, min(maxWindow, t.size-t.end))
	for from := t.end; from+frameHeader <= t.size; {
		window := buffer[:min(int64(len(buffer)), t.size-from)]
		if err := seg.readFull(seg.file, window, from); err != nil {
			return err
		}
		at := int64(0)
		for ; at+frameHeader <= int64(len(window)); at += alignment {
			h, ok := seg.stamp.parse(window[at:])
			if ok && seg.offset(h.position) == from+at && h.synced > seg.endPosition() {
				return seg.corrupt(t.end, fmt.Sprintf("a frame that was synced is damaged: the one at %d was written after it; %s", from+at, advice))
			}
		}
		from += at
	}
	return nil
}

// settle makes the good frames durable and removes what is behind them.
func (j *Journal) settle(seg *segment, t tail) error {
	cut, err := clearFrom(seg, t)
	if err != nil {
		return j.settling(seg, err)
	}
	if t.last == kindClosed && !cut {
		return nil
	}
	if err := rewriteUnproven(seg, t); err != nil {
		return j.settling(seg, err)
	}
	if err := retried(seg.file.SyncData); err != nil {
		return seg.failed("sync", err)
	}
	return nil
}

func (j *Journal) settling(seg *segment, err error) error {
	if full(err) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return seg.failed("write", err)
}

// clearFrom writes zeros over what is behind the good frames, so that nothing of it
// can be taken for a frame later. It says whether there was anything.
func clearFrom(seg *segment, t tail) (bool, error) {
	cut := false
	err := inChunks(seg, t.end, t.size, func(chunk []byte, offset int64) error {
		used := false
		for _, b := range chunk {
			used = used || b != 0
		}
		if !used {
			return nil
		}
		cut = true
		clear(chunk)
		_, err := seg.file.WriteAt(chunk, offset)
		return err
	})
	return cut, err
}

// rewriteUnproven writes the frames again of which nothing says that they were
// synced. They may be in the kernel's memory only, and after a failed sync it may
// hold them for written: a sync alone would then do nothing.
func rewriteUnproven(seg *segment, t tail) error {
	return inChunks(seg, seg.offset(t.proven), t.end, func(chunk []byte, offset int64) error {
		_, err := seg.file.WriteAt(chunk, offset)
		return err
	})
}

func inChunks(seg *segment, from, to int64, do func(chunk []byte, offset int64) error) error {
	buffer := make([]byte, max(0, min(maxWindow, to-from)))
	for from < to {
		chunk := buffer[:min(int64(len(buffer)), to-from)]
		if err := seg.readFull(seg.file, chunk, from); err != nil {
			return err
		}
		if err := do(chunk, from); err != nil {
			return err
		}
		from += int64(len(chunk))
	}
	return nil
}
