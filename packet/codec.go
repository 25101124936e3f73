package packet

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// Options of a Codec; the zero value works.
type Options struct {
	// Strict refuses what can only be read by taking a liberty.
	Strict bool
	// Shared lets what is read refer to the content instead of a copy of it. Whoever
	// sets it promises that content is not written to any more once Decode has been
	// called, for as long as anything of the packet is in use.
	Shared bool
	// ContentBytes is the largest content that is read; 0 means 64 MiB.
	ContentBytes int
	// TextBytes is the longest text of one element; 0 means 32 MiB.
	TextBytes int
	// CopiedBytes is for contents that are not to be copied, since they are large and
	// Shared: the most bytes of all their texts in which something has to be replaced,
	// and of which there has to be a copy therefore. Line ends in Base64 then stay as they
	// were written: what is read is to be looked at, not to be written again. 0: no bound.
	CopiedBytes int
	// AttachmentBytes is the most bytes that the Base64 of one attachment may stand
	// for; 0 means what the .proto files say, which no option exceeds: 100 MiB.
	AttachmentBytes int
}

const (
	defaultContentBytes = 64 << 20
	defaultTextBytes    = 32 << 20
)

// Codec reads and writes packets, answers and deliveries. It may be used from
// many goroutines at once.
type Codec struct {
	options  Options
	schema   schema
	types    map[packetv1.PacketType]*message
	readings sync.Pool // of *reading
}

// NewCodec builds the tables and compiles the rules. An error means that the
// .proto files this program was built from contradict themselves.
func NewCodec(options Options) (*Codec, error) {
	if options.ContentBytes <= 0 {
		options.ContentBytes = defaultContentBytes
	}
	if options.TextBytes <= 0 {
		options.TextBytes = defaultTextBytes
	}
	if options.AttachmentBytes <= 0 {
		options.AttachmentBytes = math.MaxInt
	}
	schema, err := newSchema()
	if err != nil {
		return nil, err
	}
	c := &Codec{options: options, schema: schema, types: map[packetv1.PacketType]*message{}}
	for _, s := range c.packets() {
		c.types[s.Type] = s
	}
	return c, nil
}

// Decode reads and validates a packet of a known type. It returns an
// *InvalidError with every finding where the packet is refused; other errors mean
// that the caller asked for a type or format that there is not.
func (c *Codec) Decode(typ packetv1.PacketType, format exchangev1.Format, content []byte) (*Packet, error) {
	s := c.types[typ]
	if s == nil {
		return nil, fmt.Errorf("no packet of type %s", typ)
	}
	m := s.newRecord()
	warnings, err := c.decode(s, m, format, content)
	if err != nil {
		return nil, err
	}
	return &Packet{Type: typ, Message: s.of(m), Warnings: warnings, schema: s}, nil
}

// DecodeMessage reads into m any message that has a document option, and returns
// the warnings. What m held before is lost. Errors are those of Decode.
func (c *Codec) DecodeMessage(m proto.Message, format exchangev1.Format, content []byte) ([]*packetv1.Finding, error) {
	s, r, err := c.tableOf(m)
	if err != nil {
		return nil, err
	}
	proto.Reset(m)
	return c.decode(s, r, format, content)
}

// Encode writes a message in the standard's order and spelling. The message has
// to be one that Decode would accept: one without a date that it must have is an
// error, and a character that XML or UTF-8 does not have is written U+FFFD.
func (c *Codec) Encode(m proto.Message, format exchangev1.Format) ([]byte, error) {
	return c.Append(nil, m, format)
}

// Append writes as Encode does, to the end of b, and returns it; nil with an error.
// Who writes many messages and has done with each before the next saves the room.
func (c *Codec) Append(b []byte, m proto.Message, format exchangev1.Format) ([]byte, error) {
	s, r, err := c.tableOf(m)
	if err != nil {
		return nil, err
	}
	switch format {
	case exchangev1.Format_FORMAT_XML:
		return writeXML(slices.Grow(b, len(xmlDeclaration)+r.room(s)), s, r)
	case exchangev1.Format_FORMAT_JSON:
		return writeJSON(slices.Grow(b, len(xmlDeclaration)+r.room(s)), s, r)
	case exchangev1.Format_FORMAT_PROTOBUF:
		b, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(b, m)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", s.name, err)
		}
		return b, nil
	default:
		return nil, fmt.Errorf("no format %s to write", format)
	}
}

// tableOf returns the table of a message and its record.
func (c *Codec) tableOf(m proto.Message) (*message, record, error) {
	if m == nil || !m.ProtoReflect().IsValid() {
		return nil, record{}, fmt.Errorf("no message")
	}
	name := m.ProtoReflect().Descriptor().FullName()
	s, ok := c.schema[name]
	if !ok {
		return nil, record{}, fmt.Errorf("%s is not an official document", name)
	}
	r, ok := s.record(m)
	if !ok {
		return nil, record{}, fmt.Errorf("%s is a %T; only messages of generated code are read and written", name, m)
	}
	return s, r, nil
}

func (c *Codec) decode(s *message, m record, format exchangev1.Format, content []byte) ([]*packetv1.Finding, error) {
	r := c.reading(s)
	defer c.release(r)
	if size := len(content); size > c.options.ContentBytes {
		r.fail(0, ruleSize, "", textSize(size, c.options.ContentBytes))
		return r.result()
	}
	utf16 := hasBytes(content, 0xFF, 0xFE) || hasBytes(content, 0xFE, 0xFF)
	if len(content) > r.copyable() && (format == exchangev1.Format_FORMAT_PROTOBUF || utf16) { // which are copied as a whole
		r.fail(0, ruleCopied, "", textCopied(r.options.CopiedBytes))
		return r.result()
	}
	switch format {
	case exchangev1.Format_FORMAT_XML:
		readXML(r, s, m, content)
	case exchangev1.Format_FORMAT_JSON:
		readJSON(r, s, m, content)
	case exchangev1.Format_FORMAT_PROTOBUF:
		readProtobuf(r, s, m, content)
	default:
		return nil, fmt.Errorf("no format %s to read", format)
	}
	if !r.stopped {
		r.validate(s, m)
	}
	return r.result()
}

// reading returns a reading, an earlier one where there is one: the room it needs is
// then there already.
func (c *Codec) reading(s *message) *reading {
	r, ok := c.readings.Get().(*reading)
	if !ok {
		r = &reading{steps: make([]step, 0, typicalSteps), open: make([]string, 0, maxDepth), trail: make([]leg, 0, maxDepth), scope: &scope{}}
	}
	r.options = c.options
	r.root(s)
	return r
}

// release takes a reading back, and with it all that refers to what was read.
func (c *Codec) release(r *reading) {
	clear(r.open[:cap(r.open)])
	r.scope.of(record{})
	*r = reading{steps: r.steps[:0], open: r.open[:0], trail: r.trail[:0], scope: r.scope}
	c.readings.Put(r)
}
