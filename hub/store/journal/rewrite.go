package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// Rewrite makes a sealed segment smaller: the one that begins at first. For each of
// its frames, in order, replace says whether it stays, and with which payload: the
// frame's own, unchanged, or another that is no longer. Positions and kinds stay. Readers
// see the segment as it was or as it will be, and so does Open after a crash; once Rewrite
// has returned nil, Open sees what will be, and after an error one or the other; an error
// of replace leaves it as it was. Only what Open will see is rewritten again. A segment
// with nothing left is removed.
func (j *Journal) Rewrite(ctx context.Context, first Position, replace func(Frame) (payload []byte, keep bool, err error)) error {
	j.rewriting.Lock()
	defer j.rewriting.Unlock()
	if err := j.refusal(); err != nil {
		return err
	}
	err := j.rewriteFirst(ctx, first, replace)
	if full(err) {
		return fmt.Errorf("journal %s: %w: %w", j.dir, ErrFull, err)
	}
	return err
}

func (j *Journal) rewriteFirst(ctx context.Context, first Position, replace func(Frame) ([]byte, bool, error)) error {
	if !j.named { // after an error, maybe of an earlier process
		if err := j.renamed(); err != nil {
			return err
		}
	}
	old, err := j.sealed(first)
	if err != nil {
		return err
	}
	// As long as it is open, nobody opens what takes its name.
	file, err := j.files.acquire(old)
	if err != nil {
		return err
	}
	return j.files.done(old, j.rewrite(ctx, old, file, replace))
}

// sealed returns the segment that begins at a position and that others follow.
func (j *Journal) sealed(first Position) (*segment, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for i, seg := range j.segments {
		switch {
		case seg.base != first:
		case i == len(j.segments)-1:
			return nil, fmt.Errorf("rewrite journal segment %s: it is the last, which is not sealed", seg.name)
		default:
			return seg, nil
		}
	}
	return nil, fmt.Errorf("rewrite journal %s: segment at %d: %w", j.dir, first, store.ErrNotFound)
}

func (j *Journal) rewrite(ctx context.Context, old *segment, file io.ReaderAt, replace func(Frame) ([]byte, bool, error)) error {
	salt, err := drawSalt(j.opts.Random)
	if err != nil {
		return fmt.Errorf("journal %s: %w", j.dir, err)
	}
	seg := &segment{name: old.name, base: old.base, stamp: newStamp(salt, j.table)}
	seg.end.Store(old.end.Load())
	temporary := seg.name + suffixRewriting
	out, err := j.opts.FS.Create(j.path(temporary), vfs.WriteCategoryUnspecified)
	if err != nil {
		return seg.failed("rewrite", err)
	}
	r := &rewriter{seg: seg, out: bufio.NewWriterSize(out, maxWindow)}
	err = r.segment(ctx, old, file, salt, replace)
	left := r.changed && r.kept > 0
	if err == nil && left {
		err = retried(out.Sync)
	}
	err = errors.Join(err, out.Close())
	if err != nil || !left {
		err = errors.Join(err, j.removeFile(temporary))
		if err != nil || !r.changed {
			return err
		}
		return j.remove(old)
	}
	if err := j.opts.FS.Rename(j.path(temporary), j.path(seg.name)); err != nil {
		return errors.Join(seg.failed("rewrite", err), j.removeFile(temporary))
	}
	j.swap(old, seg)
	return errors.Join(j.renamed(), j.files.retire(old))
}

// renamed makes durable which files there are. But for a lack of space a failure is final,
// as that of any sync: a file that has a name now may not have it after a loss of power.
func (j *Journal) renamed() error {
	err := j.syncDir()
	if err != nil && !full(err) {
		err = j.breakWith(err)
	}
	j.named = err == nil
	return err
}

// swap puts a segment in the place of another, or nil: takes it out.
func (j *Journal) swap(old, seg *segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var segments []*segment
	for _, s := range j.segments {
		switch {
		case s != old:
			segments = append(segments, s)
		case seg != nil:
			segments = append(segments, seg)
		}
	}
	j.segments = segments
}

// rewriter writes a rewritten segment.
type rewriter struct {
	seg     *segment
	out     *bufio.Writer
	offset  int64
	entries []entry
	buffer  []byte
	kept    int
	changed bool
}

func (r *rewriter) segment(ctx context.Context, old *segment, file io.ReaderAt, salt uint64, replace func(Frame) ([]byte, bool, error)) error {
	header := segmentHead{base: r.seg.base, salt: salt, rewritten: true}.encode(r.seg.stamp.table)
	if _, err := r.out.Write(header); err != nil {
		return r.seg.failed("rewrite", err)
	}
	r.offset = segmentHeader
	w := &walker{seg: old, file: file, offset: segmentHeader, limit: old.framesEnd()}
	for {
		h, payload, err := w.next()
		switch {
		case errors.Is(err, io.EOF):
			return r.finish()
		case err != nil:
			return err
		}
		if err := ctx.Err(); err != nil {
			return r.seg.failed("rewrite", err)
		}
		if err := r.replaced(h, payload, replace); err != nil {
			return err
		}
	}
}

func (r *rewriter) replaced(h head, payload []byte, replace func(Frame) ([]byte, bool, error)) error {
	if h.kind >= kindOwn {
		return nil
	}
	own := payload
	payload, keep, err := replace(Frame{Position: h.position, Kind: h.kind, Payload: own})
	if err != nil {
		return err
	}
	switch {
	case !keep:
		r.changed = true
		return nil
	case len(payload) > h.length:
		return fmt.Errorf("rewrite journal segment %s: frame at %d of %d bytes was to get %d", r.seg.name, h.position, h.length, len(payload))
	}
	r.changed = r.changed || !bytes.Equal(payload, own)
	r.kept++
	if n := len(r.entries); n == 0 || r.offset-r.entries[n-1].offset >= stride {
		r.entries = append(r.entries, entry{h.position, r.offset})
	}
	h.length = len(payload)
	return r.frame(h, payload)
}

// finish writes table and end frame.
func (r *rewriter) finish() error {
	table := make([]byte, 0, entryBytes*len(r.entries))
	for _, e := range r.entries {
		table = binary.LittleEndian.AppendUint64(table, uint64(e.position))
		table = binary.LittleEndian.AppendUint64(table, uint64(e.offset))
	}
	at := r.seg.endPosition()
	r.seg.tableAt, r.seg.tableBytes = r.offset, int64(len(table))
	if err := r.frame(head{position: at, synced: at, kind: kindTable, length: len(table)}, table); err != nil {
		return err
	}
	end := binary.LittleEndian.AppendUint64(nil, uint64(r.seg.tableAt))
	end = binary.LittleEndian.AppendUint64(end, uint64(r.seg.tableBytes))
	if err := r.frame(head{position: at, synced: at, kind: kindEnd, length: len(end)}, end); err != nil {
		return err
	}
	if err := r.out.Flush(); err != nil {
		return r.seg.failed("rewrite", err)
	}
	return nil
}

func (r *rewriter) frame(h head, payload []byte) error {
	size := int(h.bytes())
	if cap(r.buffer) < size {
		r.buffer = make([]byte, size)
	}
	frame := r.buffer[:size]
	clear(frame[frameHeader+copy(frame[frameHeader:], payload):])
	r.seg.stamp.write(frame, h)
	if _, err := r.out.Write(frame); err != nil {
		return r.seg.failed("rewrite", err)
	}
	r.offset += int64(size)
	return nil
}

// span is a part of the journal that was removed: its bounds are the name of an
// empty file. Segments that are missing elsewhere are damage.
type span struct{ from, to Position }

func (s span) name() string { return fmt.Sprintf("%020d-%020d%s", s.from, s.to, suffixRemoved) }

// remove removes a segment with nothing left in it. First it notes, durably, that
// nothing is missing there.
func (j *Journal) remove(old *segment) error {
	removed := span{old.base, old.endPosition()}
	var stale, others []span
	for _, s := range j.removed {
		if s.to < removed.from || s.from > removed.to {
			others = append(others, s)
			continue
		}
		stale = append(stale, s)
		removed.from, removed.to = min(removed.from, s.from), max(removed.to, s.to)
	}
	note, err := j.opts.FS.Create(j.path(removed.name()), vfs.WriteCategoryUnspecified)
	if err != nil {
		return old.failed("remove", err)
	}
	if err := errors.Join(note.Close(), j.renamed()); err != nil {
		return old.failed("remove", err)
	}
	j.removed = append(others, removed)
	j.swap(old, nil)
	err = j.removeFile(old.name)
	for _, s := range stale {
		err = errors.Join(err, j.removeFile(s.name()))
	}
	return errors.Join(err, j.files.retire(old))
}

// readSpans reads what was removed from the names in the directory.
func (j *Journal) readSpans(names []string) error {
	kept, stale, err := spansIn(names)
	if err != nil {
		return err
	}
	for _, s := range stale {
		if err := j.removeFile(s.name()); err != nil {
			return err
		}
	}
	j.removed = kept
	return nil
}

// spansIn reads what was removed from names of files. Stale ones are within others.
func spansIn(names []string) (kept, stale []span, err error) {
	var all []span
	for _, name := range names {
		if !strings.HasSuffix(name, suffixRemoved) {
			continue
		}
		var s span
		if _, err := fmt.Sscanf(name, "%d-%d"+suffixRemoved, &s.from, &s.to); err != nil || name != s.name() || s.from >= s.to {
			return nil, nil, fmt.Errorf("journal file %s: %w: its name says nothing", name, store.ErrCorrupt)
		}
		all = append(all, s)
	}
	sort.Slice(all, func(a, b int) bool {
		return all[a].from < all[b].from || all[a].from == all[b].from && all[a].to > all[b].to
	})
	for _, s := range all {
		if n := len(kept); n > 0 && s.to <= kept[n-1].to {
			stale = append(stale, s)
			continue
		}
		kept = append(kept, s)
	}
	return kept, stale, nil
}

// isRemoved says whether a segment's removal was begun.
func (j *Journal) isRemoved(base Position) bool {
	for _, s := range j.removed {
		if s.from <= base && base < s.to {
			return true
		}
	}
	return false
}
