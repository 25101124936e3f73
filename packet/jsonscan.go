package packet

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonScanner takes a JSON text apart (RFC 8259, within the limits). After the
// first defect every method does nothing and returns zero values.
type jsonScanner struct {
	text   string
	at     int
	broken *defect
	defect *defect
	depth  int
	values int
	limit  int // bytes of a string that may be needed; of longer ones, some more are kept
	// reading knows how much may be copied.
	reading *reading
}

// fail stops scanning.
func (s *jsonScanner) fail(offset int, rule string, t text) {
	if s.defect == nil {
		s.defect = &defect{offset: offset, rule: rule, text: t}
	}
}

// syntax stops scanning because the text is not JSON.
func (s *jsonScanner) syntax(offset int, en, vi string) {
	if offset >= len(s.text) && s.broken != nil {
		s.fail(s.broken.offset, s.broken.rule, s.broken.text)
		return
	}
	if offset >= len(s.text) {
		en, vi = "the text ends too early", "văn bản kết thúc quá sớm"
	}
	s.fail(offset, ruleSyntax, text{"not valid JSON: " + en, "JSON không đúng cú pháp: " + vi})
}

// peek skips white space and returns the next character; 0 at the end or after
// a defect.
func (s *jsonScanner) peek() byte {
	if s.defect != nil {
		return 0
	}
	for s.at < len(s.text) && isSpace(s.text[s.at]) {
		s.at++
	}
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

// take takes a character and reports whether it was there.
func (s *jsonScanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// value counts a value and checks the limits.
func (s *jsonScanner) value() {
	if s.values++; s.values > maxElements {
		s.fail(s.at, ruleElements, textTooMany())
	}
}

// enter begins an object or an array.
func (s *jsonScanner) enter(c byte) bool {
	if !s.take(c) {
		return false
	}
	if s.depth++; s.depth >= maxDepth { // what it holds is one deeper
		s.fail(s.at-1, ruleDepth, textTooDeep())
	}
	return s.defect == nil
}

// more moves to the next member or item. It returns false after the last, whose
// closing character it takes, and after a defect.
func (s *jsonScanner) more(closing byte, first bool) bool {
	switch {
	case s.take(closing):
		s.depth--
		return false
	case !first && !s.take(','):
		s.syntax(s.at, "a comma or "+string(closing)+" is expected", "phải là dấu phẩy hoặc "+string(closing))
	case !first && s.peek() == closing:
		s.syntax(s.at, "nothing follows the comma", "không có gì sau dấu phẩy")
	}
	return s.defect == nil
}

// skip passes over a value of any kind. It minds syntax and limits alone.
func (s *jsonScanner) skip() {
	c := s.peek()
	if c != '[' {
		s.value()
	}
	switch c {
	case '{':
		s.enter('{')
		for first := true; s.more('}', first); first = false {
			s.member()
			s.skip()
		}
	case '[':
		s.enter('[')
		for first := true; s.more(']', first); first = false {
			s.skip()
		}
	default:
		s.scalar()
	}
}

// member takes the name of a member and the colon.
func (s *jsonScanner) member() (name string, offset int) {
	if s.peek() != '"' {
		s.syntax(s.at, "a member name in quotation marks is expected", "phải là tên thành phần trong dấu ngoặc kép")
		return "", s.at
	}
	offset = s.at
	if name = s.str(); len(name) > maxNameBytes {
		s.fail(offset, ruleName, textName())
	}
	if s.defect == nil && !s.take(':') {
		s.syntax(s.at, "a colon is expected", "phải là dấu hai chấm")
	}
	return name, offset
}

// str takes a string that begins here.
func (s *jsonScanner) str() string {
	start := s.at + 1
	length := strings.IndexByte(s.text[start:], '"')
	if length < 0 {
		length = len(s.text) - start
	}
	text := s.text[start : start+length]
	if at := controlAt(text); at >= 0 || start+length == len(s.text) || strings.IndexByte(text, '\\') >= 0 {
		return s.escaped(start)
	}
	s.at = start + length + 1
	return text
}

// controlAt returns where a text holds a control character; -1 where it does not.
func controlAt(s string) int {
	at := 0
	for at+8 <= len(s) && below(word(s, at), ' ') == 0 {
		at += 8
	}
	for ; at < len(s); at++ {
		if s[at] < ' ' {
			return at
		}
	}
	return -1
}

// escaped takes a string whose text begins at start, and that may hold anything.
func (s *jsonScanner) escaped(start int) string {
	size := s.unescapedSize(start)
	if size > s.reading.copyable() {
		s.fail(start-1, ruleCopied, textCopied(s.reading.options.CopiedBytes))
		return ""
	}
	s.reading.copied += size
	var b strings.Builder
	b.Grow(min(size, s.limit+1))
	s.at = start
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return b.String()
		case c == '\\':
			char, ok := s.escape()
			if !ok {
				return ""
			}
			if b.Len() <= s.limit {
				b.WriteRune(char)
			}
		case c < ' ':
			s.syntax(s.at, "control characters in a string have to be escaped", "ký tự điều khiển trong chuỗi phải viết dạng thoát")
			return ""
		default:
			from := s.at
			s.at = s.plainEnd(from)
			b.WriteString(s.text[from : from+min(s.at-from, max(s.limit+1-b.Len(), 0))])
		}
	}
	s.syntax(len(s.text), "", "")
	return ""
}

// plainEnd returns where the characters of a string end that stand for themselves.
func (s *jsonScanner) plainEnd(at int) int {
	for at < len(s.text) && s.text[at] >= ' ' && s.text[at] != '"' && s.text[at] != '\\' {
		at++
	}
	return at
}

// unescapedSize returns how many bytes the string that begins at start stands for,
// at most.
func (s *jsonScanner) unescapedSize(start int) int {
	size := 0
	for at := start; at < len(s.text) && s.text[at] != '"'; at++ {
		if s.text[at] == '\\' {
			at++
		}
		size++
	}
	return size
}

// escape takes one escape, or two that make one character.
func (s *jsonScanner) escape() (rune, bool) {
	start := s.at
	s.at += 2
	if s.at > len(s.text) {
		s.syntax(len(s.text), "", "")
		return 0, false
	}
	if at := strings.IndexByte(`"\/bfnrt`, s.text[start+1]); at >= 0 {
		return rune("\"\\/\b\f\n\r\t"[at]), true
	}
	char, ok := rune(0), s.text[start+1] == 'u'
	if ok {
		char, ok = s.hex()
	}
	if ok && utf16.IsSurrogate(char) {
		low := rune(0)
		if ok = strings.HasPrefix(s.text[s.at:], `\u`); ok {
			s.at += 2
			low, ok = s.hex()
		}
		char = utf16.DecodeRune(char, low)
		ok = ok && char != utf8.RuneError
	}
	if !ok {
		s.syntax(start, "an escape that JSON does not have, or half a surrogate pair", "dạng thoát không có trong JSON, hoặc một nửa cặp thay thế")
	}
	return char, ok
}

// hex takes four hexadecimal digits.
func (s *jsonScanner) hex() (rune, bool) {
	if len(s.text)-s.at < 4 {
		s.at = len(s.text)
		return 0, false
	}
	var char rune
	for range 4 {
		c := s.text[s.at]
		digit := strings.IndexByte("0123456789abcdef", c|0x20)
		if digit < 0 || c < '0' {
			return 0, false
		}
		char = char<<4 | rune(digit)
		s.at++
	}
	return char, true
}

// scalar takes a value that is neither an object nor an array.
func (s *jsonScanner) scalar() scalar {
	switch c := s.peek(); {
	case s.defect != nil:
		return scalar{}
	case c == '"':
		return scalar{text: s.str()}
	case c == '-' || c >= '0' && c <= '9':
		return scalar{text: s.number(), form: formNumber}
	}
	for _, word := range []struct {
		text string
		form form
	}{
		{"true", formBoolean}, {"false", formBoolean}, {"null", formNull},
		// No JSON, but what programs write for 0/0.
		{"NaN", formNumber}, {"nan(ind)", formNumber}, {"nan", formNumber}, {"Infinity", formNumber}, {"inf", formNumber},
	} {
		if strings.HasPrefix(s.text[s.at:], word.text) && !isWordAt(s.text, s.at+len(word.text)) {
			s.at += len(word.text)
			return scalar{text: word.text, form: word.form}
		}
	}
	s.syntax(s.at, "a value is expected", "phải là một giá trị")
	return scalar{}
}

func isWordAt(s string, at int) bool { return at < len(s) && isWordByte(s[at]) }

// number takes a number as its text.
func (s *jsonScanner) number() string {
	start := s.at
	for _, none := range []string{"-Infinity", "-inf", "-NaN", "-nan(ind)", "-nan"} {
		if strings.HasPrefix(s.text[s.at:], none) && !isWordAt(s.text, s.at+len(none)) {
			s.at += len(none)
			return s.text[start:s.at]
		}
	}
	for s.at < len(s.text) && (isWordByte(s.text[s.at]) || strings.IndexByte("+-.", s.text[s.at]) >= 0) {
		s.at++
	}
	if n := s.text[start:s.at]; !isNumber(n) {
		s.syntax(start, "a number that JSON does not have", "số không đúng dạng của JSON")
	}
	return s.text[start:s.at]
}

// isNumber reports whether s is a JSON number.
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, rest := digitsOf(s)
	if whole == "" || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	if strings.HasPrefix(rest, ".") {
		var fraction string
		if fraction, rest = digitsOf(rest[1:]); fraction == "" {
			return false
		}
	}
	if rest == "" {
		return true
	}
	if rest[0] != 'e' && rest[0] != 'E' {
		return false
	}
	rest = rest[1:]
	if strings.HasPrefix(rest, "+") || strings.HasPrefix(rest, "-") {
		rest = rest[1:]
	}
	return isDigits(rest)
}

// digitsOf splits the digits off the front of s.
func digitsOf(s string) (digits, rest string) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n], s[n:]
}
