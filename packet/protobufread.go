package packet

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// readProtobuf reads the wire format into m, and checks what XML and JSON cannot
// express or would have refused: whatever comes this way can be written in both.
func readProtobuf(r *reading, s *message, m record, content []byte) {
	left := maxElements
	if d := weigh(s.desc, content, 1, &left); d != nil {
		r.stop(d)
		return
	}
	if err := proto.Unmarshal(content, s.of(m)); err != nil {
		r.stop(&defect{rule: ruleSyntax, text: text{"not a Protobuf message of this type", "không phải thông điệp Protobuf thuộc loại này"}})
		return
	}
	p := &protobufReader{reading: r}
	p.message(s, m, 0, 1)
}

// weigh counts the messages and items that a content stands for, before any of
// them is made: in memory, an empty one is a hundred times what it is on the wire.
// It returns nil for a content that is no Protobuf; reading that fails.
func weigh(desc protoreflect.MessageDescriptor, content []byte, depth int, left *int) *defect {
	for len(content) > 0 {
		number, typ, n := protowire.ConsumeTag(content)
		if n < 0 {
			return nil
		}
		content = content[n:]
		size := protowire.ConsumeFieldValue(number, typ, content)
		if size < 0 {
			return nil
		}
		value := content[:size]
		content = content[size:]
		fd := desc.Fields().ByNumber(number)
		if fd == nil || fd.Message() == nil && !fd.IsList() {
			continue
		}
		if *left--; *left < 0 {
			return &defect{rule: ruleElements, text: textTooMany()}
		}
		if fd.Message() == nil || typ != protowire.BytesType {
			continue
		}
		if depth > maxDepth {
			return &defect{rule: ruleDepth, text: textTooDeep()}
		}
		inner, _ := protowire.ConsumeBytes(value)
		if d := weigh(fd.Message(), inner, depth+1, left); d != nil {
			return d
		}
	}
	return nil
}

// protobufReader walks through a message that came over the wire.
type protobufReader struct {
	*reading
	elements int
}

// count reports whether one more element, at a depth, keeps within the limits.
func (p *protobufReader) count(depth int) bool {
	p.elements++
	switch {
	case p.stopped:
		return false
	case p.elements > maxElements:
		p.stop(&defect{rule: ruleElements, text: textTooMany()})
	case depth > maxDepth:
		p.stop(&defect{rule: ruleDepth, text: textTooDeep()})
	}
	return !p.stopped
}

func (p *protobufReader) message(s *message, m record, at, depth int) {
	if !p.count(depth) {
		return
	}
	p.later(s.of(m), at)
	for _, f := range s.fields {
		if f.repeated {
			p.list(f, m, at, depth)
			continue
		}
		if m.has(f) || f.Required {
			p.field(f, m, at, depth)
		}
	}
	p.unknowns(s, m, at, depth)
}

// later reports fields of later versions: XML and JSON will not have them.
func (p *protobufReader) later(m proto.Message, at int) {
	if len(m.ProtoReflect().GetUnknown()) > 0 {
		p.tolerate(locus{step: at}, 0, remark{rule: ruleProtobuf, text: p.say(textWire())})
	}
}

// field checks a field that does not repeat.
func (p *protobufReader) field(f *field, m record, parent, depth int) {
	if f.kind != kindPart && !p.count(depth+1) {
		return
	}
	at := p.enter(parent, f, 0, 0)
	switch {
	case f.kind == kindPart && m.has(f):
		part, _ := m.part(f, 0)
		p.message(f.part, part, at, depth+1)
	case f.kind == kindDatetime && m.has(f):
		p.datetime(at, m)
	case f.kind == kindDatetime && f.Nullable:
	case f.kind == kindDatetime, f.kind == kindPart:
		p.fail(at, ruleRequired, "", textRequired(f))
	case f.kind == kindInteger, f.kind == kindBoolean:
	default:
		if kept, ok := p.text(at, m.text(f)); ok {
			m.set(f, kept, &p.rooms)
		}
	}
}

// list checks a field that repeats.
func (p *protobufReader) list(f *field, m record, parent, depth int) {
	if m.size(f) == 0 && f.Required {
		p.fail(p.enter(parent, f, noItem, 0), ruleRequired, "", textRequired(f))
	}
	for i := range m.size(f) {
		if p.stopped {
			return
		}
		at := p.enter(parent, f, i, 0)
		if f.kind == kindPart {
			part, _ := m.part(f, i)
			p.message(f.part, part, at, depth+1)
		} else if p.count(depth + 1) {
			if kept, ok := p.text(at, m.items(f)[i]); ok {
				m.items(f)[i] = kept.text
			}
		}
	}
}

// text checks a text as if it had been read, and returns how it is kept; false
// where it stays as it is.
func (p *protobufReader) text(at int, s string) (value, bool) {
	f := p.fieldAt(at)
	if f.kind == kindDecimal && s != "" && (!isPlainDecimal(s) || len(s) > maxDigits) {
		p.fail(at, ruleDecimal, s, textDecimal())
		return value{}, false
	}
	kept, ok := p.read(f, at, scalar{text: s})
	return kept, ok && kept.text != s
}

// datetime checks a time of a message, and cuts it to the milliseconds that can
// be written.
func (p *protobufReader) datetime(at int, m record) {
	f := p.fieldAt(at)
	stamp := *m.stamp(f)
	p.later(stamp, at)
	if !stamp.IsValid() {
		p.fail(at, ruleDatetime, "", textStamp())
		return
	}
	if isUnset(stamp.AsTime()) {
		p.unset(at, stamp.AsTime().Format(time.RFC3339))
		*m.stamp(f) = nil
		return
	}
	if !writable(stamp.AsTime()) {
		p.fail(at, ruleDatetime, "", textYears())
		return
	}
	if rest := stamp.Nanos % int32(time.Millisecond); rest != 0 {
		sent := stamp.AsTime().Format(time.RFC3339Nano)
		stamp.Nanos -= rest
		p.warn(at, ruleDatetime, sent, string(appendDate(nil, stamp)), p.say(textMillis()))
	}
}

// unknowns checks the unknown elements of a message: their names may not be
// those of fields, and what they hold must be what they say.
func (p *protobufReader) unknowns(s *message, m record, at, depth int) {
	for _, u := range keptOf(s, m).all {
		where := locus{stray: &stray{step: at, name: u.GetName()}}
		known, _ := s.find(u.GetName())
		if known != nil || !p.unknown(u, at, depth+1) {
			p.refuse(where, 0, remark{rule: ruleUnknown, text: textBadUnknown(), sent: cut(u.GetName())})
			continue
		}
		p.tolerate(where, 0, remark{rule: ruleUnknown, text: p.say(textUnknown(s.name)), sent: cut(u.GetName())})
	}
}

// unknown reports whether an unknown element holds what its kind says, and
// nothing that cannot be written.
func (p *protobufReader) unknown(u *packetv1.UnknownElement, at, depth int) bool {
	if !p.count(depth) {
		return true // reported already
	}
	p.later(u, at)
	s := u.GetText()
	ok := legal(s) && len(s) <= p.options.TextBytes
	switch u.GetKind() {
	case packetv1.UnknownElement_KIND_UNSPECIFIED:
		ok = ok && len(u.GetChildren()) == 0
	case packetv1.UnknownElement_KIND_NUMBER:
		ok = isNumber(s) && len(u.GetChildren()) == 0
	case packetv1.UnknownElement_KIND_BOOLEAN:
		ok = (s == "true" || s == "false") && len(u.GetChildren()) == 0
	case packetv1.UnknownElement_KIND_NULL:
		ok = s == "" && len(u.GetChildren()) == 0
	case packetv1.UnknownElement_KIND_OBJECT, packetv1.UnknownElement_KIND_ARRAY:
		ok = s == ""
	default:
		ok = false
	}
	for _, child := range u.GetChildren() {
		ok = ok && p.unknown(child, at, depth+1)
	}
	return ok
}
