package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// Frame returns the frame that begins at a position. store.ErrNotFound where none
// does, any more or yet; store.ErrCorrupt where what is there does not verify.
func (j *Journal) Frame(at Position) (frame Frame, err error) {
	err = j.reading(at, func(seg *segment, file vfs.File, offset int64) error {
		h, err := seg.headAt(file, at, offset)
		if err != nil {
			return err
		}
		payload := make([]byte, padded(h.length))
		if err := seg.readFull(file, payload, offset+frameHeader); err != nil {
			return err
		}
		if seg.stamp.sum(payload) != h.sum {
			return seg.corrupt(offset, "the frame's payload does not verify")
		}
		frame = Frame{Position: at, Kind: h.kind, Payload: payload[:h.length:h.length]}
		return nil
	})
	return frame, err
}

// ReadPayload fills p with a part of a frame's payload, from an offset in it, and returns
// the length of the payload that it is a part of: who knows it can tell that a Rewrite has
// made another of the frame. The frame is known to be the right one, but the part is not
// verified: callers that read parts keep sums of them. store.ErrNotFound where the payload
// has no such part.
func (j *Journal) ReadPayload(at Position, offset int, p []byte) (length int, err error) {
	err = j.reading(at, func(seg *segment, file vfs.File, frame int64) error {
		h, err := seg.headAt(file, at, frame)
		if err != nil {
			return err
		}
		length = h.length
		if offset < 0 || offset > h.length || len(p) > h.length-offset {
			return fmt.Errorf("journal segment %s: bytes %d to %d of the payload of %d at %d: %w",
				seg.name, offset, offset+len(p), h.length, at, store.ErrNotFound)
		}
		return seg.readFull(file, p, frame+frameHeader+int64(offset))
	})
	return length, err
}

// reading calls read with the open segment that a position is in and the offset of
// its frame there.
func (j *Journal) reading(at Position, read func(seg *segment, file vfs.File, offset int64) error) error {
	for {
		seg, err := j.find(at)
		if err != nil {
			return err
		}
		file, err := j.files.acquire(seg)
		if errors.Is(err, errRetired) {
			continue
		}
		if err != nil {
			return err
		}
		offset, err := j.locate(seg, file, at)
		if err == nil {
			err = read(seg, file, offset)
		}
		return j.files.done(seg, err)
	}
}

// find returns the segment that a position is in.
func (j *Journal) find(at Position) (*segment, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.closed {
		return nil, fmt.Errorf("journal %s: %w", j.dir, store.ErrClosed)
	}
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].base > at })
	if i == 0 || at >= j.segments[i-1].endPosition() || at%alignment != 0 {
		return nil, j.absent(at)
	}
	return j.segments[i-1], nil
}

func (j *Journal) absent(at Position) error {
	return fmt.Errorf("journal %s, position %d: %w", j.dir, at, store.ErrNotFound)
}

// locate returns the offset of the frame at a position.
func (j *Journal) locate(seg *segment, file vfs.File, at Position) (int64, error) {
	if !seg.rewritten() {
		return seg.offset(at), nil
	}
	offset, found, err := j.seek(seg, file, at)
	if err == nil && found != at {
		err = j.absent(at)
	}
	return offset, err
}

// headAt reads the header of the caller's frame at a position and offset.
func (s *segment) headAt(file io.ReaderAt, at Position, offset int64) (head, error) {
	b := make([]byte, frameHeader)
	if err := s.readFull(file, b, offset); err != nil {
		return head{}, err
	}
	h, ok := s.stamp.parse(b)
	switch {
	case !ok || h.position != at:
		return head{}, s.corrupt(offset, "no frame begins here")
	case h.kind >= kindOwn:
		return head{}, fmt.Errorf("journal segment %s, position %d: %w", s.name, at, store.ErrNotFound)
	case h.bytes() > s.framesEnd()-offset:
		return head{}, s.corrupt(offset, "the frame is longer than the segment")
	}
	return h, nil
}

// Scan visits the frames from a position on, in order and verified, up to what was
// synced when it was called. The position is one where a frame begins, or began or
// ended before it was removed. Scan ends with the first error: the visit's, unchanged;
// store.ErrCorrupt where a frame does not verify.
func (j *Journal) Scan(ctx context.Context, from Position, visit func(Frame) error) error {
	return j.ScanTo(ctx, from, j.Synced(), visit)
}

// ScanTo is Scan up to a position, where a frame or a segment ends; nothing is read of
// segments behind it.
func (j *Journal) ScanTo(ctx context.Context, from, to Position, visit func(Frame) error) error {
	until := min(to, j.Synced())
	scan := scan{journal: j, until: until, visit: visit}
	for from < until {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("scan journal %s: %w", j.dir, err)
		}
		seg, err := j.following(from)
		if err != nil || seg == nil {
			return err
		}
		end := seg.endPosition()
		switch err := scan.segment(ctx, seg, from, end); {
		case errors.Is(err, errRetired):
			continue // a newer list has what took its place
		case err != nil:
			return err
		}
		from = end
	}
	return nil
}

// following returns the first segment that ends after a position, or nil.
func (j *Journal) following(from Position) (*segment, error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.closed {
		return nil, fmt.Errorf("scan journal %s: %w", j.dir, store.ErrClosed)
	}
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].endPosition() > from })
	if i == len(j.segments) {
		return nil, nil
	}
	return j.segments[i], nil
}

// scan is a Scan under way; its buffer serves every segment.
type scan struct {
	journal *Journal
	until   Position
	visit   func(Frame) error
	buffer  []byte
}

// segment visits the frames of one segment from a position to its end, as that was.
func (s *scan) segment(ctx context.Context, seg *segment, from, end Position) (err error) {
	file, err := s.journal.files.acquire(seg)
	if err != nil {
		return err
	}
	defer func() { err = s.journal.files.done(seg, err) }()
	w := &walker{seg: seg, file: file, offset: segmentHeader, limit: seg.offset(min(end, s.until)), buffer: s.buffer}
	if seg.rewritten() {
		w.limit = seg.tableAt
		if _, err := s.journal.files.table(seg, func() ([]entry, error) { return seg.readTable(file) }); err != nil {
			return err
		}
	}
	if from > seg.base {
		if w.offset, err = s.journal.start(seg, file, from); err != nil {
			return err
		}
	}
	err = s.frames(ctx, w, from)
	s.buffer = w.buffer
	return err
}

func (s *scan) frames(ctx context.Context, w *walker, from Position) error {
	for {
		h, payload, err := w.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case h.position < from || h.kind >= kindOwn:
			continue
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("scan journal %s: %w", s.journal.dir, err)
		}
		if err := s.visit(Frame{Position: h.position, Kind: h.kind, Payload: payload}); err != nil {
			return err
		}
	}
}

// start returns the offset of the first frame from a position on.
func (j *Journal) start(seg *segment, file vfs.File, from Position) (int64, error) {
	if seg.rewritten() {
		offset, _, err := j.seek(seg, file, from)
		return offset, err
	}
	if from%alignment != 0 {
		return 0, j.absent(from)
	}
	return seg.offset(from), nil
}

// stride is the distance of a table's entries: the headers of the frames that
// begin between two are read at once.
const stride = 4096

// seek returns offset and position of the first frame from a position on, in a
// rewritten segment; the end of the frames where there is none.
func (j *Journal) seek(seg *segment, file vfs.File, from Position) (int64, Position, error) {
	entries, err := j.files.table(seg, func() ([]entry, error) { return seg.readTable(file) })
	if err != nil {
		return 0, 0, err
	}
	i := sort.Search(len(entries), func(i int) bool { return entries[i].position > from }) - 1
	if i < 0 {
		return segmentHeader, seg.firstPosition(entries), nil
	}
	at := entries[i].offset
	near := make([]byte, min(stride+frameHeader, seg.tableAt-at))
	if err := seg.readFull(file, near, at); err != nil {
		return 0, 0, err
	}
	for offset := at; offset < seg.tableAt; {
		if i+1 < len(entries) && offset == entries[i+1].offset {
			return offset, entries[i+1].position, nil
		}
		within := offset - at
		if within > int64(len(near)) {
			return 0, 0, seg.corrupt(offset, "the segment's table has no such frame")
		}
		h, ok := seg.stamp.parse(near[within:])
		if !ok {
			return 0, 0, seg.corrupt(offset, "no frame begins here")
		}
		if h.position >= from {
			return offset, h.position, nil
		}
		offset += h.bytes()
	}
	return seg.tableAt, seg.endPosition(), nil
}

func (s *segment) firstPosition(entries []entry) Position {
	if len(entries) == 0 {
		return s.endPosition()
	}
	return entries[0].position
}

// entryBytes is what an entry takes in a table: position and offset.
const entryBytes = 16

// readTable reads and verifies the table of a rewritten segment.
func (s *segment) readTable(file io.ReaderAt) ([]entry, error) {
	b := make([]byte, frameBytes(int(s.tableBytes)))
	if err := s.readFull(file, b, s.tableAt); err != nil {
		return nil, err
	}
	h, ok := s.stamp.parse(b)
	if !ok || h.kind != kindTable || int64(h.length) != s.tableBytes || s.stamp.sum(b[frameHeader:]) != h.sum {
		return nil, s.corrupt(s.tableAt, "the segment's table does not verify")
	}
	entries := make([]entry, 0, h.length/entryBytes)
	last := entry{offset: segmentHeader - 1}
	for b = b[frameHeader : frameHeader+h.length]; len(b) >= entryBytes; b = b[entryBytes:] {
		e := entry{Position(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))}
		if e.offset <= last.offset || e.offset >= s.tableAt || e.position < last.position {
			return nil, s.corrupt(s.tableAt, "the segment's table is not in order")
		}
		entries = append(entries, e)
		last = e
	}
	return entries, nil
}

// maxWindow is how much a walker reads at once, unless a frame is larger.
const maxWindow = 1 << 20

// walker reads the frames of one segment in order, each verified.
type walker struct {
	seg  *segment
	file io.ReaderAt
	// offset of the next frame, and where frames end.
	offset, limit int64
	last          Position // of the frame before; rewritten segments ascend

	buffer []byte
	window []byte // what of the file, from offset on, is in buffer
}

// next returns the next frame; the payload is valid until the next call. io.EOF at
// the limit. store.ErrCorrupt where no frame verifies; the walker then stays there.
func (w *walker) next() (head, []byte, error) {
	if w.offset >= w.limit {
		return head{}, nil, io.EOF
	}
	if err := w.have(frameHeader); err != nil {
		return head{}, nil, err
	}
	h, ok := w.seg.stamp.parse(w.window)
	if !ok || !w.plausible(h) {
		return head{}, nil, w.seg.corrupt(w.offset, "no frame begins here")
	}
	size := h.bytes()
	if err := w.have(size); err != nil {
		return head{}, nil, err
	}
	if w.seg.stamp.sum(w.window[frameHeader:size]) != h.sum {
		return head{}, nil, w.seg.corrupt(w.offset, "the frame's payload does not verify")
	}
	payload := w.window[frameHeader : frameHeader+h.length]
	w.window = w.window[size:]
	w.offset += size
	w.last = h.position
	return h, payload, nil
}

// plausible says whether a frame of that position can be here.
func (w *walker) plausible(h head) bool {
	if w.seg.rewritten() {
		return h.position > w.last || h.position == w.seg.base && w.offset == segmentHeader
	}
	return h.position == w.seg.base+Position(w.offset-segmentHeader)
}

// have makes sure that n bytes from the offset on are in the window.
func (w *walker) have(n int64) error {
	if int64(len(w.window)) >= n {
		return nil
	}
	if n > w.limit-w.offset {
		return w.seg.corrupt(w.offset, "the frame is longer than the segment")
	}
	if room := max(n, min(maxWindow, w.limit-w.offset)); int64(cap(w.buffer)) < room {
		larger := make([]byte, room)
		w.window = larger[:copy(larger, w.window)]
		w.buffer = larger
	}
	kept := copy(w.buffer[:cap(w.buffer)], w.window)
	size := min(int64(cap(w.buffer)), w.limit-w.offset)
	w.window = w.buffer[:size]
	return w.seg.readFull(w.file, w.window[kept:], w.offset+int64(kept))
}
