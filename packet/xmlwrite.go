package packet

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

const xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// usualDepth is how deep most elements stand at most.
const usualDepth = 4

// writeXML appends a message to b as a whole document, indented by two spaces.
func writeXML(b []byte, s *message, m record) ([]byte, error) {
	b = append(b, xmlDeclaration...)
	b, err := appendMessage(b, s.name, s, m, 0)
	if err != nil {
		return nil, fmt.Errorf("write %s as XML: %w", s.name, err)
	}
	return b, nil
}

func appendMessage(b []byte, name string, s *message, m record, depth int) ([]byte, error) {
	b = appendOpening(b, name, depth)
	b = append(b, '\n')
	kept := keptOf(s, m)
	for _, u := range kept.after(nil) {
		b = appendUnknown(b, u.GetName(), u, depth+1)
	}
	for _, f := range s.fields {
		var err error
		if b, err = appendField(b, f, m, depth+1); err != nil {
			return nil, err
		}
		if kept.table != nil {
			for _, u := range kept.after(f) {
				b = appendUnknown(b, u.GetName(), u, depth+1)
			}
		}
	}
	return appendClosing(appendIndent(b, depth), name), nil
}

// appendField writes what a field holds, if it is written at all.
func appendField(b []byte, f *field, m record, depth int) ([]byte, error) {
	switch {
	case !m.isWritten(f):
		return b, nil
	case f.kind == kindPart:
		return appendParts(b, f, m, depth)
	case f.repeated:
		for _, item := range m.items(f) {
			b = append(appendXML(appendStart(b, f, depth), item), f.ending...)
		}
		return b, nil
	}
	b = appendStart(b, f, depth)
	switch f.kind {
	case kindInteger:
		b = strconv.AppendInt(b, m.integer(f), 10)
	case kindBoolean:
		b = strconv.AppendBool(b, m.boolean(f))
	case kindDatetime:
		stamp, err := stampOf(f, m)
		if err != nil {
			return nil, err
		}
		if stamp != nil {
			b = appendDate(b, stamp)
		}
	default:
		b = appendXML(b, m.text(f))
	}
	return append(b, f.ending...), nil
}

func appendParts(b []byte, f *field, m record, depth int) ([]byte, error) {
	count := 1
	if f.repeated {
		count = m.size(f)
	}
	for i := range count {
		part, _ := m.part(f, i)
		var err error
		if b, err = appendMessage(b, f.name, f.part, part, depth); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// appendStart writes the start tag of a field.
func appendStart(b []byte, f *field, depth int) []byte {
	if depth <= usualDepth {
		return append(b, f.beginning[2*(usualDepth-depth):]...)
	}
	return appendOpening(b, f.name, depth)
}

// stampOf returns the time that a datetime field holds; nil for the null form. It
// is an error where the field has to hold a time and does not.
func stampOf(f *field, m record) (*timestamppb.Timestamp, error) {
	stamp := *m.stamp(f)
	if stamp == nil {
		if f.Nullable {
			return nil, nil //nolint:nilnil // no time is a value of such fields
		}
		return nil, fmt.Errorf("%s is required and holds no time", f.name)
	}
	if !isWritable(stamp) {
		return nil, fmt.Errorf("%s is not a time between the years 0001 and 9999", f.name)
	}
	return stamp, nil
}

// appendUnknown writes an element that the standard does not know. An array is
// written as elements of one name, as lists are in the standard.
func appendUnknown(b []byte, name string, u *packetv1.UnknownElement, depth int) []byte {
	if depth > 2*maxDepth {
		return b // Decode lets nothing in that nests so deep
	}
	if u.GetKind() == packetv1.UnknownElement_KIND_ARRAY && len(u.GetChildren()) > 0 {
		for _, item := range u.GetChildren() {
			b = appendItem(b, name, item, depth)
		}
		return b
	}
	spelt := elementName(name)
	b = appendOpening(b, spelt, depth)
	if len(u.GetChildren()) > 0 {
		b = append(b, '\n')
		for _, child := range u.GetChildren() {
			b = appendUnknown(b, child.GetName(), child, depth+1)
		}
		b = appendIndent(b, depth)
	} else {
		b = appendXML(b, u.GetText())
	}
	return appendClosing(b, spelt)
}

// appendItem writes an item of an array; an array in an array is an element of its
// own.
func appendItem(b []byte, name string, item *packetv1.UnknownElement, depth int) []byte {
	if item.GetKind() == packetv1.UnknownElement_KIND_ARRAY {
		item = &packetv1.UnknownElement{Kind: packetv1.UnknownElement_KIND_OBJECT, Children: item.GetChildren()}
	}
	return appendUnknown(b, name, item, depth)
}

func appendIndent(b []byte, depth int) []byte {
	for range depth {
		b = append(b, "  "...)
	}
	return b
}

func appendOpening(b []byte, name string, depth int) []byte {
	b = append(appendIndent(b, depth), '<')
	b = append(b, name...)
	return append(b, '>')
}

func appendClosing(b []byte, name string) []byte {
	b = append(b, "</"...)
	b = append(b, name...)
	return append(b, ">\n"...)
}
