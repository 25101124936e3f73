package packet

import (
	"fmt"
	"strconv"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// writeJSON appends a message to b as one object, without white space.
func writeJSON(b []byte, s *message, m record) ([]byte, error) {
	b, err := appendObject(b, s, m)
	if err != nil {
		return nil, fmt.Errorf("write %s as JSON: %w", s.name, err)
	}
	return b, nil
}

func appendObject(b []byte, s *message, m record) ([]byte, error) {
	b = append(b, '{')
	kept := keptOf(s, m)
	same := byName(kept.all)
	b = appendMembers(b, same, kept.after(nil), 0)
	for _, f := range s.fields {
		if m.isWritten(f) {
			b = append(appendComma(b), f.member...)
			var err error
			if b, err = appendMember(b, f, m); err != nil {
				return nil, err
			}
		}
		if kept.table != nil {
			b = appendMembers(b, same, kept.after(f), 0)
		}
	}
	return append(b, '}'), nil
}

// appendComma separates from what stands before.
func appendComma(b []byte) []byte {
	if last := b[len(b)-1]; last != '{' && last != '[' {
		return append(b, ',')
	}
	return b
}

// appendMember writes what a field holds.
func appendMember(b []byte, f *field, m record) ([]byte, error) {
	switch {
	case !f.repeated:
		return appendValue(b, f, m)
	case f.kind != kindPart:
		b = append(b, '[')
		for _, item := range m.items(f) {
			b = appendJSON(appendComma(b), item)
		}
		return append(b, ']'), nil
	}
	b = append(b, '[')
	for i := range m.size(f) {
		part, _ := m.part(f, i)
		var err error
		if b, err = appendObject(appendComma(b), f.part, part); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// appendValue writes the value of a field that does not repeat.
func appendValue(b []byte, f *field, m record) ([]byte, error) {
	switch f.kind {
	case kindPart:
		part, _ := m.part(f, 0)
		return appendObject(b, f.part, part)
	case kindInteger:
		return strconv.AppendInt(b, m.integer(f), 10), nil
	case kindBoolean:
		return strconv.AppendBool(b, m.boolean(f)), nil
	case kindDatetime:
		stamp, err := stampOf(f, m)
		if err != nil {
			return nil, err
		}
		b = append(b, '"')
		if stamp != nil {
			b = appendDate(b, stamp)
		}
		return append(b, '"'), nil
	case kindDecimal:
		return appendDecimal(b, m.text(f)), nil
	default:
		return appendJSON(b, m.text(f)), nil
	}
}

// appendDecimal writes a number with the digits it has; null for none. Digits that are
// no JSON number, 007, are written as a string.
func appendDecimal(b []byte, s string) []byte {
	switch {
	case s == "":
		return append(b, "null"...)
	case isPlainDecimal(s) && isJSONNumber(s):
		return append(b, s...)
	default:
		return appendJSON(b, s)
	}
}

// appendMembers writes those of the unknown elements that stand here. Elements of
// one name become an array where the first of them stands: JSON has no other way.
func appendMembers(b []byte, same map[string][]*packetv1.UnknownElement, here []*packetv1.UnknownElement, depth int) []byte {
	for _, u := range here {
		all := same[u.GetName()]
		if len(all) == 0 {
			continue
		}
		delete(same, u.GetName())
		b = append(appendJSON(appendComma(b), u.GetName()), ':')
		if len(all) > 1 {
			u = &packetv1.UnknownElement{Kind: packetv1.UnknownElement_KIND_ARRAY, Children: all}
		}
		b = appendAny(b, u, depth)
	}
	return b
}

// byName groups unknown elements by their names.
func byName(all []*packetv1.UnknownElement) map[string][]*packetv1.UnknownElement {
	if len(all) == 0 {
		return nil
	}
	same := make(map[string][]*packetv1.UnknownElement, len(all))
	for _, u := range all {
		same[u.GetName()] = append(same[u.GetName()], u)
	}
	return same
}

// appendAny writes an unknown element as the JSON type it had.
func appendAny(b []byte, u *packetv1.UnknownElement, depth int) []byte {
	if depth > 2*maxDepth {
		return append(b, "null"...) // Decode lets nothing in that nests so deep
	}
	switch kind, s := u.GetKind(), u.GetText(); {
	case kind == packetv1.UnknownElement_KIND_ARRAY:
		b = append(b, '[')
		for _, item := range u.GetChildren() {
			b = appendAny(appendComma(b), item, depth+1)
		}
		return append(b, ']')
	case kind == packetv1.UnknownElement_KIND_OBJECT:
		b = appendMembers(append(b, '{'), byName(u.GetChildren()), u.GetChildren(), depth+1)
		return append(b, '}')
	case kind == packetv1.UnknownElement_KIND_NULL:
		return append(b, "null"...)
	case kind == packetv1.UnknownElement_KIND_NUMBER && isNumber(s),
		kind == packetv1.UnknownElement_KIND_BOOLEAN && (s == "true" || s == "false"):
		return append(b, s...)
	default:
		return appendJSON(b, s)
	}
}
