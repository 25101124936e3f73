package packet

import (
	"strings"
	"unicode/utf8"
)

// xmlKind is what an xmlToken is.
type xmlKind int

const (
	xmlEnd   xmlKind = iota // an end tag, or the second half of <a/>
	xmlStart                // a start tag
	xmlText                 // text, CDATA or references; white space included
	xmlStop                 // the end of the text, or a defect
)

// xmlToken is one piece of a document.
type xmlToken struct {
	kind   xmlKind
	offset int
	name   string // of xmlStart, as written
	text   string // of xmlText, as written
	// replaced is set where something has to be replaced in the text.
	replaced bool
	cdata    bool // the text is that of a CDATA section: it holds no references
}

// xmlAttribute is an attribute of the last start tag.
type xmlAttribute struct {
	name   string
	offset int
}

// xmlScanner takes a document apart. It accepts well-formed XML 1.0 without
// DOCTYPE and processing instructions, within the limits; it never expands
// anything but the five entities of XML and character references. The text must
// have been checked by sourceOf.
type xmlScanner struct {
	text   string
	at     int
	broken *defect // what the text ends in, where it was cut off
	defect *defect // why scanning stopped; nil at a good end
	open   []string
	// closing is set where the second half of <a/> is still to come.
	closing bool
	rooted  bool // the root element was seen
	// misspelt is the declared encoding where it is another spelling of UTF-8.
	misspelt   string
	elements   int
	attributes []xmlAttribute
	// replaced is set where the text holds anything that has to be looked for in
	// every run: a reference, a line end of another kind, or ]].
	replaced bool
}

// next returns the next piece. After xmlStop it returns xmlStop for ever.
func (s *xmlScanner) next() xmlToken {
	if s.defect != nil {
		return xmlToken{kind: xmlStop, offset: s.at}
	}
	if s.closing {
		s.closing = false
		return s.pop(s.at)
	}
	for s.at < len(s.text) {
		start := s.at
		if s.text[start] != '<' {
			return s.characters()
		}
		rest := s.text[start+1:]
		switch {
		case strings.HasPrefix(rest, "/"):
			return s.endTag()
		case strings.HasPrefix(rest, "!--"):
			if !s.comment() {
				return s.stopped()
			}
		case strings.HasPrefix(rest, "![CDATA["):
			return s.cdata()
		case strings.HasPrefix(rest, "!DOCTYPE"):
			return s.stop(start, ruleDoctype, textDoctype())
		case strings.HasPrefix(rest, "?"):
			if strings.HasPrefix(rest, "?xml") && len(rest) > 4 && isSpace(rest[4]) {
				return s.stop(start, ruleInstruction, textLate())
			}
			return s.stop(start, ruleInstruction, textInstruction())
		default:
			return s.startTag()
		}
	}
	if s.broken == nil && s.rooted && len(s.open) == 0 {
		return xmlToken{kind: xmlStop, offset: s.at}
	}
	return s.cutOff(s.at)
}

// stop ends scanning with a defect.
func (s *xmlScanner) stop(offset int, rule string, t text) xmlToken {
	if s.defect == nil {
		s.defect = &defect{offset: offset, rule: rule, text: t}
	}
	return s.stopped()
}

func (s *xmlScanner) stopped() xmlToken { return xmlToken{kind: xmlStop, offset: s.at} }

// syntax ends scanning because the text is not well-formed.
func (s *xmlScanner) syntax(offset int, en, vi string) xmlToken {
	return s.stop(offset, ruleSyntax, text{"not well-formed XML: " + en, "XML không đúng cú pháp: " + vi})
}

// cutOff ends scanning where the text ends too early, or became unreadable.
func (s *xmlScanner) cutOff(offset int) xmlToken {
	if s.broken != nil {
		s.defect = s.broken
		return s.stopped()
	}
	if offset < len(s.text) {
		return s.syntax(offset, "a tag, comment or CDATA section does not end", "thẻ, chú thích hoặc phần CDATA không kết thúc")
	}
	if len(s.open) > 0 {
		name := cut(s.open[len(s.open)-1])
		return s.syntax(len(s.text), "the text ends before </"+name+">", "văn bản kết thúc trước </"+name+">")
	}
	return s.syntax(offset, "there is no root element", "không có phần tử gốc")
}

// push opens an element.
func (s *xmlScanner) push(name string, offset int) xmlToken {
	if len(s.open) == maxDepth {
		return s.stop(offset, ruleDepth, textTooDeep())
	}
	if s.elements++; s.elements > maxElements {
		return s.stop(offset, ruleElements, textTooMany())
	}
	if len(name) > maxNameBytes {
		return s.stop(offset, ruleName, textName())
	}
	s.open, s.rooted = append(s.open, name), true
	return xmlToken{kind: xmlStart, offset: offset, name: name}
}

// pop closes the innermost element.
func (s *xmlScanner) pop(offset int) xmlToken {
	s.open = s.open[:len(s.open)-1]
	return xmlToken{kind: xmlEnd, offset: offset}
}

func (s *xmlScanner) startTag() xmlToken {
	start := s.at
	s.at++
	name, ok := s.name()
	if !ok {
		return s.badName(start)
	}
	if s.rooted && len(s.open) == 0 {
		return s.syntax(start, "a second root element", "có phần tử gốc thứ hai")
	}
	s.attributes = s.attributes[:0]
	for {
		spaced := s.space()
		switch {
		case s.at >= len(s.text):
			return s.cutOff(start)
		case s.text[s.at] == '>':
			s.at++
			return s.push(name, start)
		case strings.HasPrefix(s.text[s.at:], "/>"):
			s.at += 2
			s.closing = true
			return s.push(name, start)
		case !spaced:
			return s.syntax(s.at, "white space is missing, or a name holds a character that is not allowed", "thiếu khoảng trắng, hoặc tên có ký tự không được phép")
		}
		if !s.attribute() {
			return s.stopped()
		}
	}
}

// badName ends scanning at a tag whose name cannot be read.
func (s *xmlScanner) badName(start int) xmlToken {
	if s.at >= len(s.text) {
		return s.cutOff(start)
	}
	return s.syntax(start, "< is not followed by a name; in a text it is written &lt;", "sau < không phải là tên; trong văn bản phải viết &lt;")
}

// attribute takes name="value".
func (s *xmlScanner) attribute() bool {
	start := s.at
	name, ok := s.name()
	if !ok {
		s.badAttribute(start)
		return false
	}
	if len(name) > maxNameBytes {
		s.stop(start, ruleName, textName())
		return false
	}
	if len(s.attributes) == maxAttributes {
		s.stop(start, ruleAttributes, textTooManyAttributes())
		return false
	}
	for _, other := range s.attributes {
		if other.name == name {
			s.syntax(start, "an attribute appears twice", "một thuộc tính xuất hiện hai lần")
			return false
		}
	}
	s.attributes = append(s.attributes, xmlAttribute{name, start})
	s.space()
	if !strings.HasPrefix(s.text[s.at:], "=") {
		s.badAttribute(start)
		return false
	}
	s.at++
	s.space()
	return s.attributeValue(start)
}

func (s *xmlScanner) badAttribute(start int) {
	if s.at >= len(s.text) {
		s.cutOff(start)
		return
	}
	s.syntax(start, `an attribute must be written name="value"`, `thuộc tính phải viết dạng tên="giá trị"`)
}

// attributeValue takes a quoted value, whose references must be good ones.
func (s *xmlScanner) attributeValue(start int) bool {
	if s.at >= len(s.text) || s.text[s.at] != '"' && s.text[s.at] != '\'' {
		s.badAttribute(start)
		return false
	}
	length := strings.IndexByte(s.text[s.at+1:], s.text[s.at])
	if length < 0 {
		s.cutOff(start)
		return false
	}
	value := s.text[s.at+1 : s.at+1+length]
	if strings.IndexByte(value, '<') >= 0 {
		s.syntax(start, "< is not allowed in an attribute", "không cho phép < trong thuộc tính")
		return false
	}
	base := s.at + 1
	s.at += length + 2
	return s.references(value, base)
}

func (s *xmlScanner) endTag() xmlToken {
	start := s.at
	if len(s.open) == 0 {
		return s.syntax(start, "an end tag without a start tag", "thẻ đóng không có thẻ mở")
	}
	name := s.open[len(s.open)-1]
	rest := s.text[start+2:]
	if strings.HasPrefix(rest, name) && len(rest) > len(name) && rest[len(name)] == '>' {
		s.at = start + 2 + len(name) + 1
		return s.pop(start)
	}
	s.at += 2
	got, ok := s.name()
	if !ok {
		return s.badName(start)
	}
	s.space()
	switch {
	case s.at >= len(s.text):
		return s.cutOff(start)
	case s.text[s.at] != '>':
		return s.syntax(s.at, "an end tag may hold only a name", "thẻ đóng chỉ được chứa tên")
	case got != name:
		return s.syntax(start, "</"+cut(got)+"> where </"+cut(name)+"> is expected", "gặp </"+cut(got)+">, cần </"+cut(name)+">")
	}
	s.at++
	return s.pop(start)
}

func (s *xmlScanner) comment() bool {
	start := s.at
	body := s.text[start+4:]
	end := strings.Index(body, "--")
	if end < 0 {
		s.cutOff(start)
		return false
	}
	if !strings.HasPrefix(body[end+2:], ">") {
		if end+2 == len(body) {
			s.cutOff(start)
		} else {
			s.syntax(start+4+end, "-- is not allowed in a comment", "không cho phép -- trong chú thích")
		}
		return false
	}
	s.at = start + 4 + end + 3
	return true
}

func (s *xmlScanner) cdata() xmlToken {
	start := s.at
	if len(s.open) == 0 {
		return s.syntax(start, "text outside the root element", "có văn bản ngoài phần tử gốc")
	}
	const opening = len("<![CDATA[")
	end := strings.Index(s.text[start+opening:], "]]>")
	if end < 0 {
		return s.cutOff(start)
	}
	s.at = start + opening + end + len("]]>")
	text := s.text[start+opening : start+opening+end]
	return xmlToken{kind: xmlText, offset: start, text: text, cdata: true, replaced: strings.IndexByte(text, '\r') >= 0}
}

// characters takes text up to the next tag.
func (s *xmlScanner) characters() xmlToken {
	start := s.at
	end := strings.IndexByte(s.text[start:], '<')
	if end < 0 {
		end = len(s.text) - start
	}
	run := s.text[start : start+end]
	s.at = start + end
	if len(s.open) == 0 && !isBlank(run) {
		return s.syntax(start+len(run)-len(strings.TrimLeft(run, " \t\r\n")), "text outside the root element", "có văn bản ngoài phần tử gốc")
	}
	if strings.IndexByte(run, ']') >= 0 {
		if at := strings.Index(run, "]]>"); at >= 0 {
			return s.syntax(start+at, "]]> is not allowed in a text", "không cho phép ]]> trong văn bản")
		}
	}
	if !s.references(run, start) {
		return s.stopped()
	}
	return xmlToken{kind: xmlText, offset: start, text: run, replaced: s.replaced && strings.ContainsAny(run, "&\r")}
}

// plain reports whether a run of characters between two tags is its own text:
// it holds no reference, no line end of another kind, and nothing that is not
// allowed.
func (s *xmlScanner) plain(run string) bool {
	return !s.replaced || strings.IndexByte(run, '&') < 0 && strings.IndexByte(run, '\r') < 0 && !strings.Contains(run, "]]>")
}

// space skips white space and reports whether there was any.
func (s *xmlScanner) space() bool {
	start := s.at
	for s.at < len(s.text) && isSpace(s.text[s.at]) {
		s.at++
	}
	return s.at > start
}

// name takes a name.
func (s *xmlScanner) name() (string, bool) {
	start := s.at
	for s.at < len(s.text) {
		c := s.text[s.at]
		if isWordByte(c) || c == '-' || c == '.' || c == ':' {
			s.at++
			continue
		}
		if c < utf8.RuneSelf {
			break
		}
		char, size := utf8.DecodeRuneInString(s.text[s.at:])
		if !isNameRune(char) {
			break
		}
		s.at += size
	}
	name := s.text[start:s.at]
	return name, isXMLName(name)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
