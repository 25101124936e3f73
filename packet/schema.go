package packet

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

	edgev1 "github.com/lienthong/lienthong/gen/lienthong/edge/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// documents returns an empty message of every kind that a Codec reads and
// writes: the packets first, then the answers, then the way back.
func documents() []proto.Message {
	return []proto.Message{
		&packetv1.MSyncDocument{}, &packetv1.MDocumentTraces{}, &packetv1.MVotes{}, &packetv1.MStatistic{},
		&packetv1.MResult{}, &packetv1.Mtoken{},
		&edgev1.MDeliveries{}, &edgev1.MDelivery{}, &edgev1.MAcknowledge{}, &edgev1.MReject{},
	}
}

// kind is how the text of an element is read.
type kind int

const (
	kindText kind = iota
	kindInteger
	kindBoolean
	kindDatetime
	kindDecimal
	kindBase64
	kindOrganisation
	kindPart
)

// maxFields is how many fields a message may have: a frame marks those it has
// seen in one word.
const maxFields = 64

// usualElement is what an element usually takes up, without its name.
const usualElement = 26

// maxName is the longest name that is compared in other spellings.
const maxName = 64

// field is one element of a message.
type field struct {
	*packetv1.Element
	name     string // official
	index    int    // in message.fields
	number   int32  // in message.numbered
	kind     kind
	repeated bool
	always   bool   // written even where it is empty
	minLen   uint64 // of strings, by the rules
	maxLen   uint64 // 0: none
	desc     protoreflect.FieldDescriptor
	offset   uintptr // in the Go struct
	pointer  bool    // nil in the Go struct where there is no value
	opening  string
	closing  string
	// beginning and ending are those with the white space around them that is
	// written.
	beginning, ending string
	member            string // the name in quotation marks, and the colon
	rules             *validate.FieldRules
	codes             []*packetv1.Code
	part              *message // of kindPart
}

// message is one kind of message and its fields in the standard's order.
type message struct {
	*packetv1.Document
	name     string // official
	desc     protoreflect.MessageDescriptor
	typ      reflect.Type // of the Go struct
	fields   []*field
	parts    []*field // those that are messages
	long     []*field // those that may hold long texts
	checks   []rule
	left     []rule   // of those, what reading leaves to be looked at
	usual    int      // bytes that one usually takes up when it is written
	numbered []*field // all that there are, of every message
	exact    map[string]*field
	folded   map[string]*field   // names and aliases in small letters
	rules    map[string][]*field // the fields that a CEL rule looks at, by its id
	required uint64              // bits by field.index
	// unknowns is where in the Go struct unknown elements are kept; keeps is false
	// where they are not.
	unknowns uintptr
	keeps    bool
}

// schema holds the messages by their Protobuf names.
type schema map[protoreflect.FullName]*message

// newSchema builds the tables of the documents.
func newSchema() (schema, error) {
	s := schema{}
	for _, m := range documents() {
		if _, err := s.add(m.ProtoReflect().Descriptor()); err != nil {
			return nil, fmt.Errorf("read descriptors: %w", err)
		}
	}
	s.number()
	return s, nil
}

// number gives every field a number of its own, from 1.
func (s schema) number() {
	all := []*field{nil}
	for _, m := range s {
		for _, f := range m.fields {
			f.number = int32(len(all)) //nolint:gosec // some hundreds
			all = append(all, f)
		}
	}
	for _, m := range s {
		m.numbered = all
	}
}

// of returns the table of a packet type; nil where there is none.
func (s schema) of(typ packetv1.PacketType) *message {
	for _, m := range s {
		if m.Type == typ && typ != packetv1.PacketType_PACKET_TYPE_UNSPECIFIED {
			return m
		}
	}
	return nil
}

func (s schema) add(desc protoreflect.MessageDescriptor) (*message, error) {
	if m, ok := s[desc.FullName()]; ok {
		return m, nil
	}
	doc, ok := proto.GetExtension(desc.Options(), packetv1.E_Document).(*packetv1.Document)
	if !ok || doc.GetName() == "" {
		return nil, fmt.Errorf("%s has no (document) option", desc.FullName())
	}
	typ, err := goStruct(desc)
	if err != nil {
		return nil, err
	}
	m := &message{
		Document: doc, name: doc.GetName(), desc: desc, typ: typ, usual: 2*len(doc.GetName()) + usualElement,
		exact: map[string]*field{}, folded: map[string]*field{},
	}
	s[desc.FullName()] = m
	for i := range desc.Fields().Len() {
		fd := desc.Fields().Get(i)
		offset, pointer, err := placeOf(m.typ, fd)
		if err != nil {
			return nil, err
		}
		if isUnknowns(fd) {
			if rules, _ := proto.GetExtension(fd.Options(), validate.E_Field).(*validate.FieldRules); rules != nil {
				return nil, fmt.Errorf("%s: %w", fd.FullName(), errRule)
			}
			m.unknowns, m.keeps = offset, true
			continue
		}
		f, err := s.field(fd)
		if err != nil {
			return nil, err
		}
		f.offset, f.pointer, f.always = offset, pointer, f.Required && !f.repeated
		m.fields = append(m.fields, f)
	}
	if len(m.fields) > maxFields {
		return nil, fmt.Errorf("%s has %d fields; at most %d are supported", desc.FullName(), len(m.fields), maxFields)
	}
	slices.SortFunc(m.fields, func(a, b *field) int { return int(a.desc.Number()) - int(b.desc.Number()) })
	m.rules = rulesOf(m)
	if err := m.index(); err != nil {
		return nil, err
	}
	return m, m.compile()
}

// goStruct returns the struct that protoc-gen-go made of a message.
func goStruct(desc protoreflect.MessageDescriptor) (reflect.Type, error) {
	typ, err := protoregistry.GlobalTypes.FindMessageByName(desc.FullName())
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", desc.FullName(), err)
	}
	return reflect.TypeOf(typ.Zero().Interface()).Elem(), nil
}

// tagNumber returns the number of a field out of the tag that protoc-gen-go puts on
// it; empty for no such tag.
func tagNumber(tag string) string {
	_, rest, _ := strings.Cut(tag, ",")
	number, _, _ := strings.Cut(rest, ",")
	return number
}

// isUnknowns reports whether a field is where unknown elements are kept.
func isUnknowns(fd protoreflect.FieldDescriptor) bool {
	return fd.IsList() && fd.Message() != nil && fd.Message().FullName() == (&packetv1.UnknownElement{}).ProtoReflect().Descriptor().FullName()
}

func (s schema) field(fd protoreflect.FieldDescriptor) (*field, error) {
	element, ok := proto.GetExtension(fd.Options(), packetv1.E_Element).(*packetv1.Element)
	if !ok || element.GetName() == "" {
		return nil, fmt.Errorf("%s has no (element) option", fd.FullName())
	}
	codes, err := codesOf(element)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", fd.FullName(), err)
	}
	name := element.GetName()
	f := &field{
		Element: element, codes: codes, name: name, repeated: fd.IsList(), desc: fd,
		opening: "<" + name + ">", closing: "</" + name + ">",
		beginning: strings.Repeat("  ", usualDepth) + "<" + name + ">", ending: "</" + name + ">\n", member: `"` + name + `":`,
	}
	f.rules, _ = proto.GetExtension(fd.Options(), validate.E_Field).(*validate.FieldRules)
	f.minLen, f.maxLen = f.rules.GetString().GetMinLen(), f.rules.GetString().GetMaxLen()
	if f.kind, err = kindOf(fd, element.GetLexical()); err != nil {
		return nil, err
	}
	if f.kind == kindPart {
		if f.part, err = s.add(fd.Message()); err != nil {
			return nil, err
		}
	}
	if f.repeated && (f.kind == kindInteger || f.kind == kindBoolean || f.kind == kindDatetime) {
		return nil, fmt.Errorf("%s: of this type, no field may repeat", fd.FullName())
	}
	return f, nil
}

// codesOf returns the code list of a field: its own, or the one it names.
func codesOf(element *packetv1.Element) ([]*packetv1.Code, error) {
	if element.GetCodesOf() == "" {
		return element.GetCodes(), nil
	}
	named, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(element.GetCodesOf()))
	if err != nil {
		return nil, fmt.Errorf("codes_of %s: %w", element.GetCodesOf(), err)
	}
	other, ok := proto.GetExtension(named.Options(), packetv1.E_Element).(*packetv1.Element)
	if !ok || len(other.GetCodes()) == 0 {
		return nil, fmt.Errorf("codes_of %s has no codes", element.GetCodesOf())
	}
	return other.GetCodes(), nil
}

func kindOf(fd protoreflect.FieldDescriptor, lexical packetv1.Lexical) (kind, error) {
	switch fd.Kind() {
	case protoreflect.Int32Kind:
		return kindInteger, nil
	case protoreflect.BoolKind:
		return kindBoolean, nil
	case protoreflect.MessageKind:
		if fd.Message().FullName() == (&timestamppb.Timestamp{}).ProtoReflect().Descriptor().FullName() {
			return kindDatetime, nil
		}
		return kindPart, nil
	case protoreflect.StringKind:
		switch lexical {
		case packetv1.Lexical_LEXICAL_UNSPECIFIED:
			return kindText, nil
		case packetv1.Lexical_LEXICAL_DECIMAL:
			return kindDecimal, nil
		case packetv1.Lexical_LEXICAL_BASE64:
			return kindBase64, nil
		case packetv1.Lexical_LEXICAL_ORGANISATION:
			return kindOrganisation, nil
		}
	}
	return 0, fmt.Errorf("%s: no official type for %s, %s", fd.FullName(), fd.Kind(), lexical)
}

// index fills the maps of names. Two fields may not answer to one name.
func (m *message) index() error {
	for i, f := range m.fields {
		f.index = i
		if f.Required {
			m.required |= f.bit()
		}
		if f.kind == kindPart {
			m.parts = append(m.parts, f)
		}
		m.usual += 2*len(f.name) + usualElement
		if f.kind == kindBase64 && !f.repeated {
			m.long = append(m.long, f)
		}
		m.exact[f.name] = f
		for _, name := range append([]string{f.name}, f.Aliases...) {
			name = strings.ToLower(name)
			if other, taken := m.folded[name]; taken && other != f {
				return fmt.Errorf("%s: %s and %s both answer to %q", m.desc.FullName(), other.name, f.name, name)
			}
			m.folded[name] = f
		}
	}
	return nil
}

// bit is the mark of a field among those of its message.
func (f *field) bit() uint64 { return uint64(1) << f.index }

// spelling is how a name came.
type spelling int

const (
	spelledExactly spelling = iota
	spelledAsAlias
	spelledInOtherCase
)

// find returns the field of a name; nil where there is none.
func (m *message) find(name string) (*field, spelling) {
	if f, ok := m.exact[name]; ok {
		return f, spelledExactly
	}
	if len(name) > maxName {
		return nil, 0
	}
	f, ok := m.folded[strings.ToLower(name)]
	if !ok {
		return nil, 0
	}
	if slices.Contains(f.Aliases, name) {
		return f, spelledAsAlias
	}
	return f, spelledInOtherCase
}

// byNumber returns the field with a Protobuf number; nil where there is none.
func (m *message) byNumber(number protoreflect.FieldNumber) *field {
	i, ok := slices.BinarySearchFunc(m.fields, number, func(f *field, n protoreflect.FieldNumber) int {
		return int(f.desc.Number()) - int(n)
	})
	if !ok {
		return nil
	}
	return m.fields[i]
}

// rulesOf collects the CEL rules of a message and the fields they look at.
func rulesOf(m *message) map[string][]*field {
	rules := map[string][]*field{}
	options, _ := proto.GetExtension(m.desc.Options(), validate.E_Message).(*validate.MessageRules)
	for _, cel := range options.GetCel() {
		for _, f := range m.fields {
			if mentions(cel.GetExpression(), "this."+string(f.desc.Name())) {
				rules[cel.GetId()] = append(rules[cel.GetId()], f)
			}
		}
	}
	return rules
}

// mentions reports whether an expression holds a name as a whole word.
func mentions(expression, name string) bool {
	for {
		at := strings.Index(expression, name)
		if at < 0 {
			return false
		}
		expression = expression[at+len(name):]
		if expression == "" || !isWordByte(expression[0]) {
			return true
		}
	}
}

func isWordByte(b byte) bool {
	return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}
