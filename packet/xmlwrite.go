package packet

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

const xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// typicalBytes is room for a usual packet, without long texts.
const typicalBytes = 2048

// room counts the texts that may be long, so that what is written is not moved as
// it grows.
func room(s *message, m record) int {
	count := 0
	for _, f := range s.fields {
		switch {
		case f.kind == kindBase64 && !f.repeated:
			count += len(m.text(f))
		case f.kind == kindPart && f.repeated:
			for i := range m.size(f) {
				part, _ := m.part(f, i)
				count += len(s.name) + room(f.part, part)
			}
		case f.kind == kindPart && m.has(f):
			part, _ := m.part(f, 0)
			count += room(f.part, part)
		}
	}
	return count
}

// xmlWriter writes a document, indented by two spaces.
type xmlWriter struct {
	b []byte
}

// writeXML writes a message as a whole document.
func writeXML(s *message, m record) ([]byte, error) {
	w := &xmlWriter{b: make([]byte, 0, typicalBytes+room(s, m))}
	w.b = append(w.b, xmlDeclaration...)
	if err := w.message(s.name, s, m, 0); err != nil {
		return nil, fmt.Errorf("write %s as XML: %w", s.name, err)
	}
	return w.b, nil
}

func (w *xmlWriter) message(name string, s *message, m record, depth int) error {
	w.indent(depth)
	w.open(name)
	w.b = append(w.b, '\n')
	kept := keptOf(s, m)
	for _, u := range kept.after(nil) {
		w.unknown(u.GetName(), u, depth+1)
	}
	for _, f := range s.fields {
		if err := w.field(f, m, depth+1); err != nil {
			return err
		}
		for _, u := range kept.after(f) {
			w.unknown(u.GetName(), u, depth+1)
		}
	}
	w.indent(depth)
	w.close(name)
	return nil
}

func (w *xmlWriter) field(f *field, m record, depth int) error {
	if !f.written(m) {
		return nil
	}
	count := 1
	if f.repeated {
		count = m.size(f)
	}
	for i := range count {
		if f.kind == kindPart {
			part, _ := m.part(f, i)
			if err := w.message(f.name, f.part, part, depth); err != nil {
				return err
			}
			continue
		}
		w.indent(depth)
		w.b = append(w.b, f.opening...)
		if err := w.value(f, m, i); err != nil {
			return err
		}
		w.b = append(w.b, f.closing...)
		w.b = append(w.b, '\n')
	}
	return nil
}

// value writes what a field holds; the item of an index, where it repeats.
func (w *xmlWriter) value(f *field, m record, index int) error {
	switch {
	case f.kind == kindInteger:
		w.b = strconv.AppendInt(w.b, m.integer(f), 10)
	case f.kind == kindBoolean:
		w.b = strconv.AppendBool(w.b, m.boolean(f))
	case f.kind == kindDatetime:
		stamp, err := stampOf(f, m)
		if err != nil {
			return err
		}
		if stamp != nil {
			w.b = appendDate(w.b, stamp)
		}
	case f.repeated:
		w.text(m.item(f, index))
	default:
		w.text(m.text(f))
	}
	return nil
}

// stampOf returns the time of a datetime field; nil for the null form. It is an
// error where the field has to hold a time and does not.
func stampOf(f *field, m record) (*timestamppb.Timestamp, error) {
	stamp := m.stamp(f)
	if stamp == nil {
		if f.Nullable {
			return nil, nil //nolint:nilnil // no time is a value of such fields
		}
		return nil, fmt.Errorf("%s is required and holds no time", f.name)
	}
	if !stamp.IsValid() || !writable(stamp.AsTime()) {
		return nil, fmt.Errorf("%s is not a time between the years 0001 and 9999", f.name)
	}
	return stamp, nil
}

// unknown writes an element that the standard does not know. An array is
// written as elements of one name, as lists are in the standard.
func (w *xmlWriter) unknown(name string, u *packetv1.UnknownElement, depth int) {
	if depth > 2*maxDepth {
		return // Decode lets nothing in that nests so deep
	}
	if u.GetKind() == packetv1.UnknownElement_KIND_ARRAY && len(u.GetChildren()) > 0 {
		for _, item := range u.GetChildren() {
			w.item(name, item, depth)
		}
		return
	}
	spelt := elementName(name)
	w.indent(depth)
	w.open(spelt)
	if len(u.GetChildren()) > 0 {
		w.b = append(w.b, '\n')
		for _, child := range u.GetChildren() {
			w.unknown(child.GetName(), child, depth+1)
		}
		w.indent(depth)
	} else {
		w.text(u.GetText())
	}
	w.close(spelt)
}

// item writes an item of an array; an array in an array is an element of its own.
func (w *xmlWriter) item(name string, item *packetv1.UnknownElement, depth int) {
	if item.GetKind() != packetv1.UnknownElement_KIND_ARRAY {
		w.unknown(name, item, depth)
		return
	}
	w.unknown(name, &packetv1.UnknownElement{Kind: packetv1.UnknownElement_KIND_OBJECT, Children: item.GetChildren()}, depth)
}

func (w *xmlWriter) indent(depth int) {
	for range depth {
		w.b = append(w.b, "  "...)
	}
}

func (w *xmlWriter) open(name string) {
	w.b = append(w.b, '<')
	w.b = append(w.b, name...)
	w.b = append(w.b, '>')
}

func (w *xmlWriter) close(name string) {
	w.b = append(w.b, "</"...)
	w.b = append(w.b, name...)
	w.b = append(w.b, ">\n"...)
}

// text writes a text so that it is read again as it is. What XML 1.0 cannot hold
// is replaced by U+FFFD; Decode lets nothing in that has such characters.
func (w *xmlWriter) text(s string) {
	from := 0
	for i := 0; i < len(s); {
		escaped, size := "", 1
		switch c := s[i]; {
		case c == '&':
			escaped = "&amp;"
		case c == '<':
			escaped = "&lt;"
		case c == '>':
			escaped = "&gt;"
		case c == '\r':
			escaped = "&#xD;"
		case c == '\t', c == '\n', c >= 0x20 && c < utf8.RuneSelf:
		case c < 0x20:
			escaped = "\uFFFD"
		default:
			var char rune
			char, size = utf8.DecodeRuneInString(s[i:])
			if char == utf8.RuneError && size < 2 || char == 0xFFFE || char == 0xFFFF {
				escaped = "\uFFFD"
			}
		}
		if escaped != "" {
			w.b = append(w.b, s[from:i]...)
			w.b = append(w.b, escaped...)
			from = i + size
		}
		i += size
	}
	w.b = append(w.b, s[from:]...)
}
