package packet_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// drawn is a document that was written in one of the many ways XML has.
type drawn struct {
	typ     packetv1.PacketType
	message proto.Message // what it says
	text    string        // in UTF-8, without declaration and byte order mark
	content []byte        // as it is sent
}

// drawnDocuments draws packets that are well-formed, accepted, and written with
// whatever XML offers: references, CDATA, comments, attributes, prefixes, white
// space, empty elements, declarations and encodings.
func drawnDocuments() *rapid.Generator[drawn] {
	return rapid.Custom(func(t *rapid.T) drawn {
		typ := rapid.SampledFrom([]packetv1.PacketType{dossier, progress, survey, statistic}).Draw(t, "type")
		m := messages(typ).Draw(t, "message")
		fix(m)
		m = standard(m)
		lengthen(t, m.ProtoReflect())
		w := &drawnWriter{t: t}
		w.between()
		w.element(rootName(m), func() { w.message(m.ProtoReflect()) })
		w.between()
		d := drawn{typ: typ, message: m, text: w.b.String()}
		d.content = sent(t, d.text)
		return d
	})
}

// lengthen makes some free texts longer than whatever is read at once.
func lengthen(t *rapid.T, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		element, _ := proto.GetExtension(fd.Options(), packetv1.E_Element).(*packetv1.Element)
		switch {
		case fd.IsList() && fd.Message() != nil:
			for i := range m.Get(fd).List().Len() {
				lengthen(t, m.Get(fd).List().Get(i).Message())
			}
		case fd.Kind() == protoreflect.StringKind && m.Has(fd) && element.GetLexical() == packetv1.Lexical_LEXICAL_UNSPECIFIED:
			if rapid.IntRange(0, 7).Draw(t, "longer") == 0 {
				more := strings.Repeat(rapid.SampledFrom([]string{"a", "ữ", "😀", " ", "\n", "]", "&", "a\u0301"}).Draw(t, "letter"), rapid.IntRange(1, 40).Draw(t, "times"))
				at := rapid.SampledFrom([]int{0, len(m.Get(fd).String())}).Draw(t, "where")
				m.Set(fd, protoreflect.ValueOfString(m.Get(fd).String()[:at]+more+m.Get(fd).String()[at:]))
			}
		}
	}
}

func rootName(m proto.Message) string {
	document, _ := proto.GetExtension(m.ProtoReflect().Descriptor().Options(), packetv1.E_Document).(*packetv1.Document)
	return document.GetName()
}

// sent puts a document into an encoding, with a declaration that fits it or none.
func sent(t *rapid.T, text string) []byte {
	switch rapid.SampledFrom([]string{"UTF-8", "UTF-8", "UTF-8", "UTF-8", "UTF-8", "UTF-8 marked", "little", "big"}).Draw(t, "encoding") {
	case "little":
		return utf16Of("\uFEFF"+declaredAs(t, "UTF-16")+text, binary.LittleEndian)
	case "big":
		return utf16Of("\uFEFF"+declaredAs(t, "utf-16")+text, binary.BigEndian)
	case "UTF-8 marked":
		return []byte("\uFEFF" + declaredAs(t, "UTF-8") + text)
	default:
		return []byte(declaredAs(t, "utf-8") + text)
	}
}

func declaredAs(t *rapid.T, encoding string) string {
	return rapid.SampledFrom([]string{
		"", `<?xml version="1.0"?>`, `<?xml version="1.0" encoding="` + encoding + `"?>` + "\n", "<?xml\tversion = '1.0'\nencoding='" + encoding + "' standalone='yes' ?>",
	}).Draw(t, "declaration")
}

// drawnWriter writes elements in ways that are drawn.
type drawnWriter struct {
	t *rapid.T
	b strings.Builder
}

func (w *drawnWriter) pick(label string, choices ...string) string {
	return rapid.SampledFrom(choices).Draw(w.t, label)
}

// between writes what may stand between elements.
func (w *drawnWriter) between() {
	w.b.WriteString(w.pick("between", "", "", "\n  ", "\r\n\t", " ", "<!-- chú thích -->", "<!---->", "<!--<a>&x;]]>-->\n"))
}

// element writes an element and what it holds.
func (w *drawnWriter) element(name string, inner func()) {
	name = w.pick("prefix", "", "", "", "", "v:") + name
	w.b.WriteString("<" + name + w.attributes() + w.pick("space", "", "", " ", "\n\t"))
	w.b.WriteByte('>')
	before := w.b.Len()
	inner()
	if w.b.Len() == before && rapid.Bool().Draw(w.t, "short") {
		text := w.b.String()
		w.b.Reset()
		w.b.WriteString(strings.TrimSuffix(text, ">") + "/>")
		return
	}
	w.b.WriteString("</" + name + w.pick("space", "", "", " ", "\r\n") + ">")
}

// attributes writes none mostly, or some of different names.
func (w *drawnWriter) attributes() string {
	if rapid.IntRange(0, 5).Draw(w.t, "attributes") > 0 {
		return ""
	}
	all := []string{` a="1"`, "\n\tb='&lt;&#65;&amp;'", ` c = ">"`, ` xml:lang="vi"`, ` xmlns="urn:x"`, ` xmlns:v="urn:v"`, " đ='\"ữ\r\n'", ` e=""`, ` f="]]&gt;"`}
	return strings.Join(all[:rapid.IntRange(0, len(all)).Draw(w.t, "number of attributes")], "")
}

// message writes the fields of a message, with elements between them that nobody
// knows.
func (w *drawnWriter) message(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if fd.Name() == "unknown_elements" {
			continue
		}
		w.between()
		if rapid.IntRange(0, 20).Draw(w.t, "unknown") == 0 {
			w.element("Lạ", func() { w.b.WriteString(w.pick("held", "", "x &amp; y", "<b/>", "<Note>1</Note>", "<![CDATA[<]]>")) })
		}
		w.field(m, fd)
	}
	w.between()
}

func (w *drawnWriter) field(m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	element, _ := proto.GetExtension(fd.Options(), packetv1.E_Element).(*packetv1.Element)
	switch {
	case fd.IsList():
		for i := range m.Get(fd).List().Len() {
			w.element(element.GetName(), func() { w.message(m.Get(fd).List().Get(i).Message()) })
			w.between()
		}
	case m.Has(fd) || element.GetRequired():
		w.element(element.GetName(), func() { w.value(m, fd) })
	}
}

// value writes the value of a field.
func (w *drawnWriter) value(m protoreflect.Message, fd protoreflect.FieldDescriptor) {
	v := m.Get(fd)
	switch {
	case fd.Message() != nil:
		if stamp, ok := v.Message().Interface().(*timestamppb.Timestamp); ok && m.Has(fd) {
			w.b.WriteString(w.date(stamp.AsTime()))
		}
	case fd.Kind() == protoreflect.Int32Kind:
		w.padded(strconv.FormatInt(v.Int(), 10))
	case fd.Kind() == protoreflect.BoolKind:
		w.padded(w.pick("boolean", map[bool][]string{true: {"true", "1"}, false: {"false", "0"}}[v.Bool()]...))
	default:
		w.text(v.String())
	}
}

func (w *drawnWriter) date(at time.Time) string {
	zone := time.FixedZone("", 7*60*60)
	if at.Year() > 1 && at.Year() < 9999 {
		zone = time.FixedZone("", rapid.IntRange(-14*60, 14*60).Draw(w.t, "offset")*60)
	}
	return at.In(zone).Format("2006-01-02T15:04:05.000Z07:00")
}

// padded writes a value that may have white space around it.
func (w *drawnWriter) padded(s string) {
	w.b.WriteString(w.pick("before", "", "", "", " ", "\n\t"))
	w.text(s)
	w.b.WriteString(w.pick("after", "", "", "", " ", "\r\n"))
}

// text writes a text in pieces, each in one of the ways XML has.
func (w *drawnWriter) text(s string) {
	for s != "" {
		n := len(s)
		if rapid.IntRange(0, 3).Draw(w.t, "cut") == 0 {
			for n = rapid.IntRange(1, len(s)).Draw(w.t, "piece"); n < len(s) && !utf8.RuneStart(s[n]); n++ { //nolint:revive // on to the next character
			}
		}
		w.piece(s[:n])
		s = s[n:]
	}
}

func (w *drawnWriter) piece(s string) {
	switch way := rapid.IntRange(0, 9).Draw(w.t, "way"); {
	case way == 0 && !strings.Contains(s, "]]>") && !strings.Contains(s, "\r"):
		w.b.WriteString("<![CDATA[" + w.newlines(s) + "]]>")
	case way == 1:
		for _, c := range s {
			if way = int(c) % 2; way == 0 {
				w.b.WriteString("&#" + strconv.Itoa(int(c)) + ";")
			} else {
				w.b.WriteString("&#x" + strconv.FormatInt(int64(c), 16) + ";")
			}
		}
	case way == 2:
		w.b.WriteString("<!-- - -->" + w.newlines(escaped(s)) + "<!---->")
	default:
		w.b.WriteString(w.newlines(escaped(s)))
	}
}

// newlines writes line feeds in one of the ways that XML reads as such.
func (w *drawnWriter) newlines(s string) string {
	if !strings.Contains(s, "\n") {
		return s
	}
	return strings.ReplaceAll(s, "\n", w.pick("line end", "\n", "\r\n"))
}

func escaped(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;", "'", "&apos;").Replace(s)
}

// harmful are pieces that break a document, or nearly do.
func harmful() []string {
	return []string{
		"<", ">", "&", "]]>", "--", "<!--", "-->", "<![CDATA[", "<!DOCTYPE a>", "<?x y?>", `<?xml version="1.0"?>`, "/", "/>", "=", "='", `"`, "'",
		"&#0;", "&#xD800;", "&#x110000;", "&#65", "&#x;", "&#;", "&#X41;", "&nbsp;", "&lt", "& ", "&amp;", "\x00", "\x01", "\x7F", "\xFF", "\xC3", "\xED\xA0\x80", "\xC0\xAF",
		" a='1' a='2'", " a='1'b='2'", " a=1", " a", " a='<'", " a='&'", " a='>]]>'", " a='&lt;' ", " v:a='1' a='2'", " a=\"'\" b='\"'", " ='1'", " a='1",
		"\uFFFE", "\uFFFD", "\uFEFF", "\u2028", "\u0085", "\r", "\n", "\f", "\u00A0", "chữ", "<a/>", "<a>", "</a>", "<a", "< a>", "</ a>", "<1/>", "<-/>", "<a:b/>", "<ữ/>", "</",
		"<a></a >", "<a><b></a></b>", "<a b='1'/ >", "<!---->", "<!-- - -->", "<!----->", "<!--->", "<!-- \x01 -->", "<![CDATA[]]]]>", "<![CDATA[\x01]]>", "<![CDATA[]]", "<![cdata[a]]>",
	}
}

// drawnPlace draws a place in a document: anywhere, or right before or behind the end
// of a tag.
func drawnPlace(t *rapid.T, content []byte) int {
	at := int(rapid.Uint32().Draw(t, "place")*0x9E3779B1) % (len(content) + 1) // drawn numbers are small ones mostly
	switch end := bytes.IndexByte(content[at:], '>'); {
	case end < 0:
	case rapid.IntRange(0, 2).Draw(t, "in a tag") == 0:
		return at + end
	case rapid.Bool().Draw(t, "behind a tag"):
		return at + end + 1
	}
	return at
}

// harm draws what may befall a document on its way.
func harm(t *rapid.T, content []byte) []byte {
	at := drawnPlace(t, content)
	end := min(len(content), at+rapid.IntRange(0, 12).Draw(t, "length"))
	switch rapid.IntRange(0, 9).Draw(t, "harm") {
	case 0:
		return content[:at:at]
	case 1:
		return slices.Concat(content[:at], content[end:])
	case 2:
		return slices.Concat(content[:end], content[at:])
	case 3:
		if at < len(content) {
			content = slices.Clone(content)
			content[at] = rapid.Byte().Draw(t, "byte")
		}
		return content
	default:
		return slices.Concat(content[:at], []byte(rapid.SampledFrom(harmful()).Draw(t, "put in")), content[at:])
	}
}

// harmedDocuments draws documents of which most are not well-formed any more.
func harmedDocuments() *rapid.Generator[drawn] {
	return rapid.Custom(func(t *rapid.T) drawn {
		d := drawnDocuments().Draw(t, "document")
		for range rapid.IntRange(1, 2).Draw(t, "harms") {
			d.content = harm(t, d.content)
		}
		return d
	})
}
