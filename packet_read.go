package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

// result is how a packet fared.
type result string

const (
	accepted   result = "accepted"
	refused    result = "refused"
	unreadFile result = "unreadable"
	unwritten  result = "unwritten" // accepted, but its conversion could not be kept
	skipped    result = "skipped"   // not read, for its conversion is there already
)

// outcome is what became of an input.
type outcome struct {
	input    input
	typ      packetv1.PacketType // unspecified where it could not be told
	format   exchangev1.Format   // the same
	bytes    int64
	result   result
	findings []*packetv1.Finding
	// violations counts what refuses it, also what findings has no room for.
	violations int
	// message is the packet, of an accepted one.
	message *packet.Packet
	// content is the conversion that is for standard output.
	content []byte
	// staged is the file that holds the conversion until its turn has come.
	staged string
	// output is the file that holds the conversion.
	output string
}

// fail makes an outcome one of a packet that is refused, or of a file that could not
// be read or written.
func (o *outcome) fail(r result, f *packetv1.Finding) {
	o.result, o.message = r, nil
	o.findings = append(o.findings, f)
	o.violations = 1
}

// packetReader reads and judges packets. Many goroutines may use it at once.
type packetReader struct {
	codec *packet.Codec
	// large reads what is larger than whole, as a hub reads what is uploaded in pieces.
	large *packet.Codec
	whole int64
	limit int64 // largest packet in bytes
	stdin io.Reader
	from  exchangev1.Format   // unspecified: as the content says
	typ   packetv1.PacketType // unspecified: as the content says
}

// suffixes returns what names of packets end in, in directories.
func (r *packetReader) suffixes() []string {
	switch r.from {
	case exchangev1.Format_FORMAT_XML:
		return []string{".xml"}
	case exchangev1.Format_FORMAT_JSON:
		return []string{".json"}
	case exchangev1.Format_FORMAT_PROTOBUF:
		return []string{binarySuffix, ".pb", ".bin"}
	}
	return []string{".xml", ".json"}
}

// read judges a packet and lets go of it.
func (r *packetReader) read(ctx context.Context, in input) (*outcome, error) {
	o, err := r.decode(ctx, in)
	if o != nil {
		o.message = nil
	}
	return o, err
}

// decode judges a packet and keeps it. An error means that ctx is over, or that
// this program is at fault; whatever the file is, is an outcome.
func (r *packetReader) decode(ctx context.Context, in input) (*outcome, error) {
	o := &outcome{input: in, typ: r.typ, format: r.from}
	if in.problem != nil {
		o.fail(unreadFile, in.problem)
		return o, nil
	}
	if in.size > r.limit {
		o.fail(refused, tooLarge(in.size, r.limit))
		return o, nil
	}
	content, err := r.content(ctx, in)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		o.fail(unreadFile, unreadable(err))
		return o, nil
	}
	if o.bytes = int64(len(content)); o.bytes > r.limit {
		o.fail(refused, longerThan(r.limit))
		return o, nil
	}
	o.message, err = r.judge(o, content)
	if invalid, ok := errors.AsType[*packet.InvalidError](err); ok {
		o.result, o.findings, o.violations = refused, invalid.Findings, invalid.Violations()
		return o, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.name, err)
	}
	o.result, o.findings = accepted, o.message.Warnings
	return o, nil
}

// judge reads a packet of whatever type and format its content says, where the
// command line does not.
func (r *packetReader) judge(o *outcome, content []byte) (*packet.Packet, error) {
	if o.format == exchangev1.Format_FORMAT_UNSPECIFIED {
		o.format = packet.Sniff(content)
	}
	if o.typ == packetv1.PacketType_PACKET_TYPE_UNSPECIFIED || o.format == exchangev1.Format_FORMAT_UNSPECIFIED {
		typ, _, err := r.reads(content).Identify(content)
		if err != nil {
			return nil, err
		}
		o.typ = typ
	}
	read, err := r.reads(content).Decode(o.typ, o.format, content)
	if is := packet.Sniff(content); err != nil && is != exchangev1.Format_FORMAT_UNSPECIFIED && is != o.format &&
		o.format != exchangev1.Format_FORMAT_PROTOBUF {
		return nil, &packet.InvalidError{Findings: []*packetv1.Finding{otherFormat(is, o.format)}}
	}
	return read, err
}

// reads returns what reads a content of this size.
func (r *packetReader) reads(content []byte) *packet.Codec {
	if int64(len(content)) > r.whole {
		return r.large
	}
	return r.codec
}

// otherFormat is the finding of a text that is not in the format it is to be read as.
func otherFormat(is, want exchangev1.Format) *packetv1.Finding {
	name := strings.ToUpper(formatWord(is))
	f := problem("syntax", fmt.Sprintf("đây là %s, không phải %s", name, strings.ToUpper(formatWord(want))),
		fmt.Sprintf("this is %s, not %s", name, strings.ToUpper(formatWord(want))))
	f.Line, f.Column = 1, 1
	return f
}

// content returns what is in an input, and one byte more than allowed of one that
// is larger. Whoever interrupts does not wait for a pipe: its reading ends with
// the process.
func (r *packetReader) content(ctx context.Context, in input) ([]byte, error) {
	open := func() (io.ReadCloser, error) { return os.Open(in.name) }
	if in.name == stdinName {
		open = func() (io.ReadCloser, error) { return io.NopCloser(r.stdin), nil }
	}
	if !in.stream {
		return readAll(ctx, open, in.size, r.limit)
	}
	type all struct {
		content []byte
		err     error
	}
	done := make(chan all, 1)
	go func() {
		content, err := readAll(ctx, open, 0, r.limit)
		done <- all{content, err}
	}()
	select {
	case a := <-done:
		return a.content, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func readAll(ctx context.Context, open func() (io.ReadCloser, error), size, limit int64) ([]byte, error) {
	opened, err := open()
	if err != nil {
		return nil, err
	}
	defer opened.Close() //nolint:errcheck // only read
	content := bytes.NewBuffer(make([]byte, 0, min(size, limit)+bytes.MinRead))
	_, err = content.ReadFrom(io.LimitReader(interruptible{ctx, opened}, limit+1))
	return content.Bytes(), err
}

// interruptible reads until ctx is over.
type interruptible struct {
	ctx context.Context
	io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.Reader.Read(p)
}

// maxFile bounds what is read of a file that a command needs as a whole.
const maxFile = 256 << 20

// readFile reads a file that a command needs as a whole, or standard input for "-".
func readFile(cmd *cobra.Command, file string) ([]byte, error) {
	r := packetReader{stdin: cmd.InOrStdin(), limit: maxFile}
	content, err := r.content(cmd.Context(), input{name: file, stream: true})
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err // it is named here
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s is larger than the %d bytes allowed", file, maxFile)
	}
	return content, nil
}
