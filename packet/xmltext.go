package packet

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// unixLines ends lines as XML says: with a line feed alone.
func unixLines(s string) string {
	at := strings.IndexByte(s, '\r')
	if at < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) - strings.Count(s, "\r\n"))
	for ; at >= 0; at = strings.IndexByte(s, '\r') {
		b.WriteString(s[:at])
		b.WriteByte('\n')
		s = strings.TrimPrefix(s[at+1:], "\n")
	}
	b.WriteString(s)
	return b.String()
}

// expand replaces references in a run that begins at an offset. Nothing that a
// reference stands for is looked at again.
func (s *xmlScanner) expand(run string, offset int) (string, bool) {
	var b strings.Builder
	b.Grow(len(run))
	for at := 0; ; {
		next := strings.IndexByte(run[at:], '&')
		if next < 0 {
			b.WriteString(unixLines(run[at:]))
			return b.String(), true
		}
		b.WriteString(unixLines(run[at : at+next]))
		at += next
		name, _, closed := strings.Cut(run[at+1:min(len(run), at+1+maxReference)], ";")
		char, ok := reference(name)
		if closed && !ok && isCharacterReference(name) {
			s.syntax(offset+at, "a character reference to what is no character of XML 1.0", "tham chiếu đến ký tự không có trong XML 1.0")
			return "", false
		}
		if !closed || !ok {
			s.syntax(offset+at, "& is not followed by amp; lt; gt; quot; apos; or a character reference; alone it is written &amp;",
				"sau & không phải amp; lt; gt; quot; apos; hay tham chiếu ký tự; ký tự & phải viết &amp;")
			return "", false
		}
		b.WriteRune(char)
		at += len(name) + 2
	}
}

// isCharacterReference reports whether a reference without & and ; is spelt as one to
// a character, by its number.
func isCharacterReference(name string) bool {
	digits, ok := strings.CutPrefix(name, "#")
	if hex, isHex := strings.CutPrefix(digits, "x"); isHex {
		return ok && hex != "" && strings.Trim(hex, "0123456789abcdefABCDEF") == ""
	}
	return ok && isDigits(digits)
}

// maxReference is the longest reference that is looked at, with its semicolon.
const maxReference = 32

// reference returns the character that a reference without & and ; stands for.
func reference(name string) (rune, bool) {
	switch name {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	number, ok := strings.CutPrefix(name, "#")
	if !ok || number == "" {
		return 0, false
	}
	base := 10
	if number[0] == 'x' {
		number, base = number[1:], 16
	}
	n, err := strconv.ParseUint(number, base, 32)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) || !legal(string(rune(n))) {
		return 0, false
	}
	return rune(n), true
}
