package packet

import (
	"slices"
	"strings"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// xmlReader maps a document onto a message.
type xmlReader struct {
	*reading
	scan     xmlScanner
	prefixes []string // that were reported
}

func newXMLReader(r *reading, content []byte) xmlReader {
	src := sourceOf(content, r.options.Shared)
	r.text, r.located = src.text, true
	x := xmlReader{reading: r, scan: xmlScanner{text: src.text, broken: src.broken, open: r.open}}
	x.scan.replaced = strings.IndexByte(src.text, '&') >= 0 || strings.IndexByte(src.text, '\r') >= 0 || strings.Contains(src.text, "]]")
	x.scan.declaration(src.utf16)
	return x
}

// readXML reads a whole document into m.
func readXML(r *reading, s *message, m record, content []byte) {
	x := newXMLReader(r, content)
	if x.scan.misspelt != "" {
		x.tolerate(locus{}, 0, remark{rule: ruleEncoding, text: x.say(textMisspelt()), sent: x.scan.misspelt, understood: encodingUTF8})
	}
	for {
		switch t := x.scan.next(); t.kind {
		case xmlStart:
			if !x.root(s, t) {
				return
			}
			x.message(&frame{table: s, message: m})
		case xmlStop:
			x.ended()
			return
		}
	}
}

// ended reports the defect that scanning stopped at, if there is one.
func (x *xmlReader) ended() {
	if d := x.scan.defect; d != nil && !x.stopped {
		x.stop(d)
	}
}

// root checks the name of the root element.
func (x *xmlReader) root(s *message, t xmlToken) bool {
	x.steps[0].offset = t.offset
	name := x.local(0, t)
	if x.scan.defect != nil {
		x.ended()
		return false
	}
	if len(x.scan.attributes) > 0 {
		x.attributes(locus{})
	}
	switch {
	case name == s.name:
	case strings.EqualFold(name, s.name):
		x.tolerate(locus{}, t.offset, remark{rule: ruleCase, text: x.say(textCase(s.name)), sent: cut(name), understood: s.name})
	default:
		x.stopped = true
		x.refuse(locus{step: -1, name: cut(name)}, t.offset, remark{rule: ruleRoot, text: textRoot(s.name), sent: cut(name)})
		return false
	}
	return true
}

// local returns the name of an element without its prefix. at is the step of
// the element around it.
func (x *xmlReader) local(at int, t xmlToken) string {
	colon := strings.LastIndexByte(t.name, ':')
	if colon < 0 {
		return t.name
	}
	name := t.name[colon+1:]
	if !isXMLName(name) {
		x.scan.syntax(t.offset, "a prefix without a name", "có tiền tố mà không có tên")
		return name
	}
	if prefix := t.name[:colon]; !slices.Contains(x.prefixes, prefix) && len(x.prefixes) < maxPrefixes {
		x.prefixes = append(x.prefixes, prefix)
		x.tolerate(locus{step: at}, t.offset, remark{rule: rulePrefix, text: x.say(textPrefix()), sent: cut(t.name), understood: cut(name)})
	}
	return name
}

// attributes reports the attributes of the last start tag, which is at a locus.
func (x *xmlReader) attributes(at locus) {
	for _, a := range x.scan.attributes {
		rule, t := ruleAttribute, textAttribute(cut(a.name))
		if a.name == "xmlns" || strings.HasPrefix(a.name, "xmlns:") {
			rule, t = ruleNamespace, textNamespace(cut(a.name))
		}
		x.tolerate(at, a.offset, remark{rule: rule, text: x.say(t), sent: cut(a.name)})
	}
}

// message reads elements into a message, up to the end tag of the element that
// holds them.
func (x *xmlReader) message(fr *frame) {
	mixed := false
	for {
		if x.expected(fr) {
			continue
		}
		switch t := x.scan.next(); t.kind {
		case xmlStart:
			x.element(fr, t)
		case xmlText:
			if !mixed && !t.isBlank() {
				mixed = true
				x.mixed(locus{step: fr.step}, t)
			}
		case xmlEnd:
			x.close(fr)
			return
		case xmlStop:
			x.ended()
			fr.settle()
			return
		}
	}
}

// mixed reports text where only elements are allowed. What it says is not
// repeated: it may be about a person.
func (x *xmlReader) mixed(at locus, t xmlToken) {
	offset := t.offset + len(t.text) - len(strings.TrimLeft(t.text, " \t\r\n"))
	x.refuse(at, offset, remark{rule: ruleMixed, text: textMixed(), sent: shown(trim(t.text), true)})
}

// element reads one element of a message.
func (x *xmlReader) element(fr *frame, t xmlToken) {
	name := x.local(fr.step, t)
	if x.scan.defect != nil {
		return
	}
	last := fr.last
	f := x.known(fr, name, t.offset)
	if f == nil {
		x.keep(fr, x.unknown(&stray{step: fr.step, name: name}), t.offset)
		return
	}
	at, ok := x.begin(fr, f, t.offset)
	if !ok {
		x.skip()
		return
	}
	if len(x.scan.attributes) > 0 {
		x.attributes(locus{step: at})
	}
	if last != nil && last.index > f.index {
		x.tolerate(locus{step: at}, t.offset, remark{rule: ruleOrder, text: x.say(textOrder(last.name)), sent: last.name + ", " + f.name, understood: f.name + ", " + last.name})
	}
	if f.kind == kindPart {
		x.part(fr, f, at)
		return
	}
	sent, ok := x.leaf(at)
	if !ok {
		return
	}
	if v, ok := x.read(f, at, scalar{text: sent}); ok {
		fr.message.set(f, v, &x.rooms)
	}
}

// expected takes the next element where it is one that may follow, written as it
// is written here and without anything that has to be replaced in its text: most
// elements of most packets. It returns false, and has taken nothing but white space
// before an end tag, elsewhere.
func (x *xmlReader) expected(fr *frame) bool {
	s := &x.scan
	at := s.at
	for at < len(s.text) && isSpace(s.text[at]) {
		at++
	}
	f := fr.ahead(s.text[at:])
	if f == nil || s.closing || s.defect != nil || s.elements == maxElements || len(s.open) == maxDepth {
		if !s.closing && strings.HasPrefix(s.text[at:], "</") {
			s.at = at // only white space was passed over
		}
		return false
	}
	from := at + len(f.opening)
	if f.kind == kindPart {
		s.at, s.attributes = from, s.attributes[:0]
		s.push(f.name, at)
		if step, ok := x.begin(fr, f, at); ok {
			x.part(fr, f, step)
		} else {
			x.skip()
		}
		return true
	}
	length := strings.IndexByte(s.text[from:], '<')
	if length < 0 || !strings.HasPrefix(s.text[from+length:], f.closing) || !s.plain(s.text[from:from+length]) {
		return false
	}
	s.elements++
	s.at = from + length + len(f.closing)
	if step, ok := x.begin(fr, f, at); ok {
		if v, ok := x.read(f, step, scalar{text: s.text[from : from+length]}); ok {
			fr.message.set(f, v, &x.rooms)
		}
	}
	return true
}

// ahead returns the field whose start tag a text begins with, where it is the last
// field again or one of those that the standard puts right behind it.
func (fr *frame) ahead(text string) *field {
	const window = 5
	fields := fr.table.fields
	if fr.last != nil {
		fields = fields[fr.last.index:]
		if !fr.last.repeated {
			fields = fields[1:]
		}
	}
	for _, f := range fields[:min(window, len(fields))] {
		if strings.HasPrefix(text, f.opening) {
			return f
		}
	}
	return nil
}

// part reads a message in a message. An element with nothing in it is how some
// senders write that there is none.
func (x *xmlReader) part(fr *frame, f *field, at int) {
	if x.nothing() {
		x.steps[at].index = noItem
		x.warn(at, ruleAbsent, "", "", x.say(textNone()))
		return
	}
	x.message(&frame{table: f.part, message: fr.message.add(f), step: at})
}

// nothing takes the end tag where nothing but white space stands before it.
func (x *xmlReader) nothing() bool {
	before := x.scan.at
	if !x.scan.closing {
		x.scan.space()
		if !strings.HasPrefix(x.scan.text[x.scan.at:], "</") {
			x.scan.at = before
			return false
		}
	}
	return x.scan.next().kind == xmlEnd
}

// leaf reads the text of an element up to its end tag. It returns false where
// there is no such text; that has been reported.
func (x *xmlReader) leaf(at int) (string, bool) {
	ok := true
	f := x.fieldAt(at)
	asIs := x.options.CopiedBytes > 0 && f.kind == kindBase64
	g := x.gather()
	for {
		switch t := x.scan.next(); t.kind {
		case xmlText:
			if asIs && t.replaced && (t.cdata || strings.IndexByte(t.text, '&') < 0) {
				t.replaced = false // line ends, which Base64 does not mind
			}
			g.add(t, x.scan.text[x.scan.at:])
		case xmlStart:
			if ok {
				x.fail(at, ruleType, "", textTypeNot(f, t.name))
			}
			ok = false
			x.skip()
		case xmlEnd:
			if !x.keeps(&g) {
				x.fail(at, ruleCopied, "", textCopied(x.options.CopiedBytes))
				return "", false
			}
			return g.text(), ok
		case xmlStop:
			x.ended()
			return "", false
		}
	}
}

// gather begins to gather a text, of which no more is copied than may be.
func (x *xmlReader) gather() gathered {
	return gathered{limit: min(x.options.TextBytes, x.copyable())}
}

// keeps counts what was copied of a text. It returns false where that was more than may
// be, though not too long for a text.
func (x *xmlReader) keeps(g *gathered) bool {
	if g.copied() > g.limit && g.limit < x.options.TextBytes {
		return false
	}
	x.copied += g.copied()
	return true
}

// skip passes over an element whose start tag was taken.
func (x *xmlReader) skip() {
	for depth := 1; depth > 0; {
		switch x.scan.next().kind {
		case xmlStart:
			depth++
		case xmlEnd:
			depth--
		case xmlStop:
			x.ended()
			return
		}
	}
}

// unknown reads an element that the standard does not know, with all it holds.
func (x *xmlReader) unknown(where *stray) *packetv1.UnknownElement {
	if len(x.scan.attributes) > 0 {
		x.attributes(locus{stray: where})
	}
	u := &packetv1.UnknownElement{Name: strings.Clone(where.name)}
	g := x.gather()
	var text xmlToken // the first that is more than white space
	for {
		switch t := x.scan.next(); t.kind {
		case xmlText:
			if text.text == "" && !t.isBlank() {
				text = t
			}
			if len(u.Children) == 0 {
				g.add(t, x.scan.text[x.scan.at:])
			}
		case xmlStart:
			if len(u.Children) == 0 {
				g = x.gather() // of an element with elements, no text is kept
			}
			u.Children = append(u.Children, x.unknown(where.inside(x.local(where.step, t))))
		case xmlEnd:
			if u.Text = g.text(); len(u.Children) > 0 {
				u.Kind, u.Text = packetv1.UnknownElement_KIND_OBJECT, ""
			}
			if text.text != "" && len(u.Children) > 0 {
				x.mixed(locus{stray: where}, text)
			}
			if !x.keeps(&g) {
				x.refuse(locus{stray: where}, t.offset, remark{rule: ruleCopied, text: textCopied(x.options.CopiedBytes)})
			}
			x.bounded(where, t.offset, u)
			return u
		case xmlStop:
			x.ended()
			return u
		}
	}
}
