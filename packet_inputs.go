package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// stdinName stands for standard input on the command line.
const stdinName = "-"

// input is something to read a packet from.
type input struct {
	// name is what it is told as: the argument, or below it.
	name string
	// below is its path below the directory that was named; of a file its own name.
	below string
	// size is what it was found with; 0 where that is not known, of pipes.
	size   int64
	stream bool // pipes and standard input
	// problem is why it cannot be read; nil where nothing is known against it.
	problem *packetv1.Finding
	// kept says that its conversion is there already, and that it is not to be read.
	kept bool
}

// toRead is how many bytes of an input are expected to be read, where each may have
// as many as limit.
func (in input) toRead(limit int64) int64 {
	if in.problem != nil || in.kept || in.size > limit {
		return 0
	}
	return in.size
}

// weight is how many bytes of an input may be held.
func (in input) weight(limit int64) int64 {
	if in.stream {
		return limit
	}
	return in.toRead(limit)
}

// search says what is looked for in directories.
type search struct {
	suffixes []string // of names, in lower case
	except   string   // directory that is not entered; none where empty
}

// findInputs returns what the arguments stand for: files as they are named,
// directories by what is in them, of which none is read twice. What cannot be read
// is among them, with its problem. An error means that the command line is wrong, or ctx is over.
func findInputs(ctx context.Context, args []string, s search) ([]input, error) {
	var all []input
	stdin, seen := false, map[string]*walk{}
	for _, arg := range args {
		if arg == stdinName {
			if stdin {
				return nil, usage("standard input can be read once: - was given twice")
			}
			stdin = true
			all = append(all, input{name: stdinName, below: stdinName, stream: true})
			continue
		}
		info, err := os.Stat(arg)
		switch {
		case err != nil:
			all = append(all, input{name: arg, below: filepath.Base(arg), problem: unreadable(err)})
		case info.IsDir():
			found, err := s.in(ctx, arg, seen)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		default:
			all = append(all, fileInput(arg, filepath.Base(arg), info))
		}
	}
	return all, nil
}

// fileInput returns an input that was found to be there.
func fileInput(name, below string, info fs.FileInfo) input {
	in := input{name: name, below: below, stream: !info.Mode().IsRegular()}
	if !in.stream {
		in.size = info.Size()
	}
	return in
}

// in returns the packets below a directory, sorted by path, without those in
// directories that were seen. Links to directories come last, so that a directory is
// read by its own name where it is below.
func (s search) in(ctx context.Context, root string, seen map[string]*walk) ([]input, error) {
	w := &walk{search: s, root: filepath.Clean(root), seen: seen}
	if real, err := realPath(s.except); s.except != "" && err == nil {
		w.except = real
	}
	real, err := realPath(root)
	if err != nil {
		return []input{{name: root, below: filepath.Base(root), problem: unreadable(err)}}, nil
	}
	for pending := []directory{{w.root, real}}; len(pending) > 0; pending = pending[1:] {
		links, err := w.enter(ctx, pending[0])
		if err != nil {
			return nil, err
		}
		pending = append(pending, links...)
	}
	if len(w.found) == 0 && !w.elsewhere {
		return []input{{name: root, below: filepath.Base(root), problem: noPackets(s.suffixes)}}, nil
	}
	slices.SortFunc(w.found, func(a, b input) int { return strings.Compare(a.name, b.name) })
	return w.found, nil
}

func realPath(path string) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", path, err)
	}
	return filepath.EvalSymlinks(absolute)
}

// directory is one by the name it was found under, and by the one it really has.
type directory struct{ name, real string }

// walk is one search of a directory.
type walk struct {
	search
	root      string
	seen      map[string]*walk // real paths of directories, and who read them
	elsewhere bool             // something was read by another walk
	found     []input
}

// enter reads a directory and those below it, and returns the links to
// directories that it met.
func (w *walk) enter(ctx context.Context, d directory) (links []directory, err error) {
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%w: interrupted", errIncomplete)
	}
	if by := w.seen[d.real]; by != nil || d.real == w.except && d.name != w.root {
		w.elsewhere = w.elsewhere || by != nil && by != w
		return nil, nil
	}
	w.seen[d.real] = w
	entries, err := os.ReadDir(d.name)
	if err != nil {
		w.problem(d.name, err)
	}
	for _, entry := range entries {
		name := filepath.Join(d.name, entry.Name())
		switch {
		case strings.HasPrefix(entry.Name(), "."):
		case entry.IsDir():
			below, err := w.enter(ctx, directory{name, filepath.Join(d.real, entry.Name())})
			if err != nil {
				return nil, err
			}
			links = append(links, below...)
		case entry.Type()&fs.ModeSymlink != 0:
			if real, isDir := w.link(name); isDir {
				links = append(links, directory{name, real})
			}
		default:
			w.file(name, entry.Info)
		}
	}
	return links, nil
}

// link follows one; of a directory it returns the real path.
func (w *walk) link(name string) (real string, isDir bool) {
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		w.file(name, func() (fs.FileInfo, error) { return info, err })
		return "", false
	}
	if real, err = realPath(name); err != nil {
		w.problem(name, err)
		return "", false
	}
	return real, true
}

// file keeps a file that has one of the suffixes.
func (w *walk) file(name string, stat func() (fs.FileInfo, error)) {
	if !slices.Contains(w.suffixes, strings.ToLower(filepath.Ext(name))) {
		return
	}
	info, err := stat()
	if err != nil {
		w.problem(name, err)
		return
	}
	in := fileInput(name, w.below(name), info)
	if in.stream {
		in.problem = unreadableAs("không phải là tệp thường", "not a regular file")
	}
	w.found = append(w.found, in)
}

func (w *walk) problem(name string, err error) {
	w.found = append(w.found, input{name: name, below: w.below(name), problem: unreadable(err)})
}

func (w *walk) below(name string) string {
	if below, err := filepath.Rel(w.root, name); err == nil {
		return below
	}
	return filepath.Base(name)
}

// Rules of findings about files. That of size is the codec's, which need not see
// what is too large.
const (
	ruleSize       = "limit.size"
	ruleUnreadable = "unreadable"
	ruleUnwritten  = "unwritten"
)

// unreadable is the finding of a file that cannot be read.
func unreadable(err error) *packetv1.Finding { return unreadableAs(reason(err)) }

func unreadableAs(vi, en string) *packetv1.Finding {
	return problem(ruleUnreadable, "không đọc được: "+vi, "cannot be read: "+en)
}

func problem(rule, vi, en string) *packetv1.Finding {
	return &packetv1.Finding{Severity: packetv1.Severity_SEVERITY_ERROR, Rule: rule, MessageVi: vi, MessageEn: en}
}

// reason says what an operating system has against a file.
func reason(err error) (vi, en string) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "không có tệp hoặc thư mục này", "no such file or directory"
	case errors.Is(err, fs.ErrPermission):
		return "không có quyền", "permission denied"
	case errors.Is(err, fs.ErrExist):
		return "tệp đã có", "file exists"
	}
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	return err.Error(), err.Error()
}

// tooLarge is the finding of a packet of a known size, in the words of the codec.
func tooLarge(size, limit int64) *packetv1.Finding {
	return problem(ruleSize, fmt.Sprintf("gói tin có %d byte; cho phép tối đa %d byte", size, limit),
		fmt.Sprintf("the packet has %d bytes; at most %d are allowed", size, limit))
}

// longerThan is the finding of a packet that was not read to its end.
func longerThan(limit int64) *packetv1.Finding {
	return problem(ruleSize, fmt.Sprintf("gói tin có hơn %d byte; cho phép tối đa %d byte", limit, limit),
		fmt.Sprintf("the packet has more than %d bytes; at most %d are allowed", limit, limit))
}

func noPackets(suffixes []string) *packetv1.Finding {
	names := "*" + strings.Join(suffixes, ", *")
	return problem(ruleUnreadable, "thư mục không có gói tin nào: đã tìm "+names, "the directory holds no packets: looked for "+names)
}
