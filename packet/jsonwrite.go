package packet

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// jsonWriter writes compact JSON.
type jsonWriter struct {
	b []byte
}

// writeJSON writes a message as one object.
func writeJSON(s *message, m record) ([]byte, error) {
	w := &jsonWriter{b: make([]byte, 0, typicalBytes+room(s, m))}
	if err := w.message(s, m); err != nil {
		return nil, fmt.Errorf("write %s as JSON: %w", s.name, err)
	}
	return w.b, nil
}

func (w *jsonWriter) message(s *message, m record) error {
	w.b = append(w.b, '{')
	kept := keptOf(s, m)
	same := byName(kept.all)
	w.unknowns(same, kept.after(nil), 0)
	for _, f := range s.fields {
		if f.written(m) {
			w.comma()
			w.b = append(w.b, f.member...)
			if err := w.field(f, m); err != nil {
				return err
			}
		}
		w.unknowns(same, kept.after(f), 0)
	}
	w.b = append(w.b, '}')
	return nil
}

// name begins a member.
func (w *jsonWriter) name(name string) {
	w.comma()
	w.str(name)
	w.b = append(w.b, ':')
}

// comma separates from what stands before.
func (w *jsonWriter) comma() {
	if last := w.b[len(w.b)-1]; last != '{' && last != '[' {
		w.b = append(w.b, ',')
	}
}

func (w *jsonWriter) field(f *field, m record) error {
	if !f.repeated {
		return w.value(f, m, 0)
	}
	w.b = append(w.b, '[')
	for i := range m.size(f) {
		w.comma()
		if err := w.value(f, m, i); err != nil {
			return err
		}
	}
	w.b = append(w.b, ']')
	return nil
}

// value writes what a field holds; the item of an index, where it repeats.
func (w *jsonWriter) value(f *field, m record, index int) error {
	switch {
	case f.kind == kindPart:
		part, _ := m.part(f, index)
		return w.message(f.part, part)
	case f.kind == kindInteger:
		w.b = strconv.AppendInt(w.b, m.integer(f), 10)
	case f.kind == kindBoolean:
		w.b = strconv.AppendBool(w.b, m.boolean(f))
	case f.kind == kindDatetime:
		stamp, err := stampOf(f, m)
		if err != nil {
			return err
		}
		w.b = append(w.b, '"')
		if stamp != nil {
			w.b = appendDate(w.b, stamp)
		}
		w.b = append(w.b, '"')
	case f.repeated:
		w.str(m.item(f, index))
	case f.kind == kindDecimal:
		w.decimal(m.text(f))
	default:
		w.str(m.text(f))
	}
	return nil
}

// decimal writes a number with the digits it has; null for none. Digits that are
// no JSON number, 007, are written as a string.
func (w *jsonWriter) decimal(s string) {
	switch {
	case s == "":
		w.b = append(w.b, "null"...)
	case isPlainDecimal(s) && isJSONNumber(s):
		w.b = append(w.b, s...)
	default:
		w.str(s)
	}
}

// unknowns writes those of the unknown elements that stand here. Elements of one
// name become an array where the first of them stands: JSON has no other way.
func (w *jsonWriter) unknowns(same map[string][]*packetv1.UnknownElement, here []*packetv1.UnknownElement, depth int) {
	for _, u := range here {
		all := same[u.GetName()]
		if len(all) == 0 {
			continue
		}
		delete(same, u.GetName())
		w.name(u.GetName())
		if len(all) > 1 {
			u = &packetv1.UnknownElement{Kind: packetv1.UnknownElement_KIND_ARRAY, Children: all}
		}
		w.unknown(u, depth)
	}
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

// unknown writes a value as the JSON type it had.
func (w *jsonWriter) unknown(u *packetv1.UnknownElement, depth int) {
	if depth > 2*maxDepth {
		w.b = append(w.b, "null"...) // Decode lets nothing in that nests so deep
		return
	}
	switch kind, s := u.GetKind(), u.GetText(); {
	case kind == packetv1.UnknownElement_KIND_ARRAY:
		w.b = append(w.b, '[')
		for _, item := range u.GetChildren() {
			w.comma()
			w.unknown(item, depth+1)
		}
		w.b = append(w.b, ']')
	case kind == packetv1.UnknownElement_KIND_OBJECT:
		w.b = append(w.b, '{')
		w.unknowns(byName(u.GetChildren()), u.GetChildren(), depth+1)
		w.b = append(w.b, '}')
	case kind == packetv1.UnknownElement_KIND_NULL:
		w.b = append(w.b, "null"...)
	case kind == packetv1.UnknownElement_KIND_NUMBER && isNumber(s),
		kind == packetv1.UnknownElement_KIND_BOOLEAN && (s == "true" || s == "false"):
		w.b = append(w.b, s...)
	default:
		w.str(s)
	}
}

// str writes a string. Nothing is escaped that JSON does not require.
func (w *jsonWriter) str(s string) {
	const hex = "0123456789abcdef"
	w.b = append(w.b, '"')
	from := 0
	for i := 0; i < len(s); {
		c, size := s[i], 1
		switch {
		case c == '"', c == '\\':
			w.b = append(w.b, s[from:i]...)
			w.b = append(w.b, '\\', c)
			from = i + 1
		case c < 0x20:
			w.b = append(w.b, s[from:i]...)
			w.b = append(w.b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			from = i + 1
		case c >= utf8.RuneSelf:
			var char rune
			if char, size = utf8.DecodeRuneInString(s[i:]); char == utf8.RuneError && size < 2 {
				w.b = append(w.b, s[from:i]...)
				w.b = append(w.b, "\uFFFD"...)
				from = i + size
			}
		}
		i += size
	}
	w.b = append(w.b, s[from:]...)
	w.b = append(w.b, '"')
}
