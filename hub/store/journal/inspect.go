package journal

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// Inspection is how a journal is read that nobody has open.
type Inspection struct {
	// FS is the file system; required.
	FS vfs.FS
	// Visit gets every frame that verifies, in order, and the name of its file.
	Visit func(file string, frame Frame) error
	// Damaged is told, in order with the frames, of what does not verify.
	Damaged func(Damage) error
	// Read, where given, is told from time to time how many bytes of how many were read.
	Read func(done, all int64)
}

// Damage is a place in a journal that is not as it was written.
type Damage struct {
	// File is its name in the journal's directory; empty where files are missing.
	File string
	// Offset in the file.
	Offset int64
	// From and To are the positions between which nothing could be read; equal where no
	// frame is lost.
	From, To Position
	// Harmless is what a crash leaves behind and the next Open removes: nothing that
	// was synced is lost.
	Harmless bool
	What     string
}

// Inspect reads the journal in dir from its first frame to its last and returns where
// the next would begin. Unlike Open it changes nothing, and passes over what is
// damaged. It takes no lock: whoever calls it knows that nobody has the journal open.
// An error means that not all could be read, or comes from Visit or Damaged.
func Inspect(ctx context.Context, dir string, how Inspection) (Position, error) {
	j := &Journal{opts: Options{FS: how.FS}, dir: dir, table: crc32.MakeTable(crc32.Castagnoli), files: newFiles(how.FS, dir)}
	i := &inspector{Inspection: how, journal: j}
	if err := errors.Join(i.run(ctx), j.files.close()); err != nil {
		return 0, fmt.Errorf("journal %s: %w", dir, err)
	}
	return i.next, nil
}

// inspector is an Inspect under way.
type inspector struct {
	Inspection
	journal   *Journal
	next      Position
	done, all int64
	buffer    []byte // of the walkers, one after another
}

func (i *inspector) run(ctx context.Context) error {
	names, err := i.FS.List(i.journal.dir)
	if err != nil {
		return fmt.Errorf("list directory: %w", err)
	}
	slices.Sort(names)
	if i.journal.removed, _, err = spansIn(names); err != nil {
		return err
	}
	bases, err := i.bases(names)
	if err != nil {
		return err
	}
	if gap := i.journal.checkGaps(bases); gap != nil {
		if err := i.Damaged(Damage{What: inWords(gap)}); err != nil {
			return err
		}
	}
	for n, base := range bases {
		seg := &segment{name: segmentName(base), base: base}
		last := n == len(bases)-1
		if !last {
			seg.end.Store(uint64(i.journal.boundary(base, bases[n+1])))
		}
		if err := i.segment(ctx, seg, last); err != nil {
			return err
		}
	}
	return nil
}

// bases returns where segments begin, and tells of files that a crash has left.
func (i *inspector) bases(names []string) ([]Position, error) {
	bases, unfinished := i.journal.sorted(names)
	for _, name := range unfinished {
		if err := i.Damaged(Damage{File: name, Harmless: true, What: "an unfinished file"}); err != nil {
			return nil, err
		}
	}
	for _, base := range bases {
		info, err := i.FS.Stat(i.journal.path(segmentName(base)))
		if err != nil {
			return nil, fmt.Errorf("segment %s: %w", segmentName(base), err)
		}
		i.all += info.Size()
	}
	return bases, nil
}

// inWords says what is wrong. Where it is the caller says, and what to do.
func inWords(err error) string {
	_, what, found := strings.Cut(err.Error(), store.ErrCorrupt.Error()+": ")
	if !found {
		what = err.Error()
	}
	return strings.TrimSuffix(what, "; "+advice)
}

// segment reads one file. Of one that another follows, the end is known.
func (i *inspector) segment(ctx context.Context, seg *segment, last bool) (err error) {
	file, err := i.FS.Open(i.journal.path(seg.name))
	if err != nil {
		return seg.failed("open", err)
	}
	h, unreadable := i.journal.readHead(seg, file) // which takes the file over
	defer func() { err = i.journal.files.done(seg, err) }()
	info, err := file.Stat()
	if err != nil {
		return seg.failed("look at", err)
	}
	defer func() {
		if i.done += info.Size(); i.Read != nil {
			i.Read(i.done, i.all)
		}
	}()
	switch {
	case errors.Is(unreadable, store.ErrCorrupt):
		if last {
			seg.end.Store(uint64(seg.base) + uint64(info.Size())) //nolint:gosec // at most
		}
		i.next = seg.endPosition()
		return i.damaged(seg, 0, seg.base, i.next, unreadable)
	case unreadable != nil:
		return unreadable
	}
	r := &inspected{
		inspector: i, seg: seg, file: file, last: last, size: info.Size(),
		walker: &walker{seg: seg, file: file, offset: segmentHeader, limit: info.Size(), buffer: i.buffer},
	}
	defer func() { i.buffer = r.walker.buffer }()
	if h.rewritten {
		return r.rewritten(ctx)
	}
	return r.appended(ctx)
}

func (i *inspector) damaged(seg *segment, offset int64, from, to Position, err error) error {
	return i.Damaged(Damage{File: seg.name, Offset: offset, From: from, To: to, What: inWords(err)})
}

// inspected is a segment that is read.
type inspected struct {
	*inspector
	seg    *segment
	file   vfs.File
	walker *walker
	last   bool
	size   int64
	told   int64    // offset at which Read was told last
	ended  bool     // an end frame came
	at     Position // behind the last frame
	table  []entry  // what the table of a rewritten one must be
}

// appended reads a segment that is as it was written first.
func (r *inspected) appended(ctx context.Context) error {
	r.at = r.seg.base
	if err := r.frames(ctx); err != nil {
		return err
	}
	r.next = r.at
	switch {
	case r.last:
		return nil
	case !r.ended:
		return r.damaged(r.seg, r.walker.offset, r.at, r.seg.endPosition(), errors.New("the segment does not end as it should: frames are missing"))
	case r.at != r.seg.endPosition():
		return r.damaged(r.seg, r.walker.offset, r.at, r.seg.endPosition(), errors.New("segments after this one are missing"))
	}
	return nil
}

// rewritten reads a segment that was made smaller: frames, a table of them, the end.
func (r *inspected) rewritten(ctx context.Context) error {
	if r.last {
		if err := r.damaged(r.seg, 0, 0, 0, errors.New("the segments after this one are missing")); err != nil {
			return err
		}
		r.seg.end.Store(1<<64 - 1)
	}
	if err := r.seg.readEnd(r.file, true); err != nil {
		r.seg.tableAt = r.size
		if !r.last {
			if err := r.damaged(r.seg, r.size, r.seg.endPosition(), r.seg.endPosition(), err); err != nil {
				return err
			}
		}
	} else {
		r.walker.limit = r.seg.tableAt
	}
	if err := r.frames(ctx); err != nil {
		return err
	}
	if r.next = r.seg.endPosition(); r.last {
		r.next = r.at
	}
	if r.seg.tableAt == r.size {
		return nil
	}
	table, err := r.seg.readTable(r.file)
	if err == nil && !slices.Equal(table, r.table) {
		err = errors.New("the segment's table is another than its frames make")
	}
	if err != nil {
		return r.damaged(r.seg, r.seg.tableAt, r.seg.endPosition(), r.seg.endPosition(), err)
	}
	return nil
}

// frames visits what verifies, up to the end.
func (r *inspected) frames(ctx context.Context) error {
	for !r.ended {
		if err := ctx.Err(); err != nil {
			return err //nolint:wrapcheck // by the caller
		}
		offset := r.walker.offset
		h, payload, err := r.walker.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, store.ErrCorrupt):
			if more, err := r.passOver(err); err != nil || !more {
				return err
			}
			continue
		case err != nil:
			return err
		}
		if err := r.frame(h, payload, offset); err != nil {
			return err
		}
	}
	return nil
}

func (r *inspected) frame(h head, payload []byte, offset int64) error {
	r.tell()
	switch {
	case h.kind == kindTable:
		r.ended = true // of which the end is damaged
		return nil
	case h.kind == kindEnd:
		r.ended, r.at = true, h.position
		return nil
	}
	r.at = h.position + Position(h.bytes())
	if h.kind >= kindOwn {
		return nil
	}
	if n := len(r.table); r.seg.rewritten() && (n == 0 || offset-r.table[n-1].offset >= stride) {
		r.table = append(r.table, entry{h.position, offset})
	}
	return r.Visit(r.seg.name, Frame{Position: h.position, Kind: h.kind, Payload: payload})
}

// tell says how far the reading is.
func (r *inspected) tell() {
	if r.Read != nil && r.walker.offset-r.told >= maxWindow {
		r.told = r.walker.offset
		r.Read(r.done+r.told, r.all)
	}
}

// passOver looks, behind a place that does not verify, for the next frame. In the last
// segment the place may be no damage but the end: what was written and not synced
// before a crash.
func (r *inspected) passOver(why error) (more bool, err error) {
	bad := r.walker.offset
	if r.last && !r.seg.rewritten() {
		r.seg.end.Store(uint64(r.seg.base) + uint64(bad-segmentHeader)) //nolint:gosec // behind the header
		damage := r.journal.refuseDamage(r.seg, tail{end: bad, size: r.size})
		switch {
		case damage == nil:
			return false, r.torn(bad)
		case !errors.Is(damage, store.ErrCorrupt):
			return false, damage
		}
		r.seg.end.Store(0)
	}
	h, at, err := r.resume(bad + alignment)
	if err != nil {
		return false, err
	}
	to := h.position
	if at == r.size {
		to, r.ended = max(r.seg.endPosition(), r.at), true
	}
	r.walker.offset, r.walker.window = at, nil
	if err := r.damaged(r.seg, bad, r.at, to, why); err != nil {
		return false, err
	}
	r.at = to
	return true, nil
}

// resume finds the first header of a frame from an offset on; the size of the file
// where there is none.
func (r *inspected) resume(from int64) (head, int64, error) {
	buffer := make([]byte, max(0, min(maxWindow, r.walker.limit-from)))
	for from+frameHeader <= r.walker.limit {
		window := buffer[:min(int64(len(buffer)), r.walker.limit-from)]
		if err := r.seg.readFull(r.file, window, from); err != nil {
			return head{}, 0, err
		}
		at := int64(0)
		for ; at+frameHeader <= int64(len(window)); at += alignment {
			h, ok := r.seg.stamp.parse(window[at:])
			r.walker.offset = from + at
			if ok && r.walker.plausible(h) {
				return h, from + at, nil
			}
		}
		from += at
	}
	return head{}, r.size, nil
}

// torn tells what is behind the last frame, if it is anything.
func (r *inspected) torn(from int64) error {
	used := int64(0)
	err := inChunks(r.seg, from, r.size, func(chunk []byte, offset int64) error {
		for i, b := range chunk {
			if b != 0 {
				used = offset + int64(i) + 1 - from
			}
		}
		return nil
	})
	if err != nil || used == 0 {
		return err
	}
	return r.Damaged(Damage{
		File: r.seg.name, Offset: from, From: r.at, To: r.at, Harmless: true,
		What: fmt.Sprintf("%d bytes that were being written when the hub ended", used),
	})
}
