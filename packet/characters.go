package packet

import (
	"strings"
	"unicode/utf8"
)

// Eight characters at once: which bytes of a word are what is computed for all of
// them together.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// word returns eight bytes of a text from an offset on.
func word(s string, at int) uint64 {
	_ = s[at+7]
	return uint64(s[at]) | uint64(s[at+1])<<8 | uint64(s[at+2])<<16 | uint64(s[at+3])<<24 |
		uint64(s[at+4])<<32 | uint64(s[at+5])<<40 | uint64(s[at+6])<<48 | uint64(s[at+7])<<56
}

// below marks the bytes of a word under n, which is at most 0x80: where none is,
// the result is zero.
func below(w, n uint64) uint64 { return (w - ones*n) & ^w & highs }

// controls marks the bytes of a word of ASCII that are under 0x20, and no others.
func controls(w uint64) uint64 { return ^(w + ones*(0x80-' ')) & highs }

// lines marks the bytes of a word of ASCII that are line feeds, and no others.
func lines(w uint64) uint64 { return ^((w ^ ones*'\n') + ones*0x7F) & highs }

// equal marks the bytes of a word that are c, in the way of below.
func equal(w, c uint64) uint64 { return below(w^(ones*c), 1) }

// What a byte is at the start of a character.
const (
	charPlain = iota
	charMarkup
	charTwo   // the first of two
	charThree // the first of three, whatever the others are
	charOther // what has to be looked at closely: most such bytes are not allowed
)

// charClasses holds what each byte is. A text, and not an array, for texts are
// constants.
const charClasses = "" +
	"\x04\x04\x04\x04\x04\x04\x04\x04\x04\x00\x00\x04\x04\x01\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04" +
	"\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04" +
	"\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04" +
	"\x04\x04\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02\x02" +
	"\x04\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x03\x04\x03\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04\x04"

// run is how many bytes are looked at one by one before eight at once are tried
// again.
const run = 16

// illegalAt returns where a text holds what XML 1.0 cannot, or is no UTF-8; -1
// where it does not.
func illegalAt(s string) int {
	for at := 0; at < len(s); {
		for at+8 <= len(s) {
			if w := word(s, at); w&highs != 0 || below(w, ' ') != 0 && controls(w)&^lines(w) != 0 {
				break
			}
			at += 8
		}
		for end := min(at+run, len(s)); at < end; {
			switch charClasses[s[at]] {
			case charPlain, charMarkup:
				at++
			case charTwo:
				if at+1 >= len(s) || !isContinuation(s[at+1]) {
					return at
				}
				at += 2
			case charThree:
				if at+2 >= len(s) || !isContinuation(s[at+1]) || !isContinuation(s[at+2]) {
					return at
				}
				at += 3
			default:
				size := legalSize(s[at:])
				if size == 0 {
					return at
				}
				at += size
			}
		}
	}
	return -1
}

// legalSize returns how many bytes the first character of a text has; 0 where XML
// 1.0 has no such character, or it is no UTF-8.
func legalSize(s string) int {
	char, size := utf8.DecodeRuneInString(s)
	if char < ' ' && char != '\t' && char != '\n' && char != '\r' || char == utf8.RuneError && size < 2 || char == 0xFFFE || char == 0xFFFF {
		return 0
	}
	return size
}

func isContinuation(c byte) bool { return c&0xC0 == 0x80 }

// legal reports whether XML 1.0 can hold a text.
func legal(s string) bool { return illegalAt(s) < 0 }

// isBlank reports whether a text is nothing but the white space of XML.
func isBlank(s string) bool {
	for i := range len(s) {
		if !isSpace(s[i]) {
			return false
		}
	}
	return true
}

// trim takes the white space of XML off both ends.
func trim(s string) string {
	if s == "" || s[0] > ' ' && s[len(s)-1] > ' ' {
		return s
	}
	return strings.Trim(s, " \t\r\n")
}

// appendXML writes a text so that it is read again as it is. What XML 1.0 cannot
// hold is replaced by U+FFFD; Decode lets nothing in that has such characters.
func appendXML(b []byte, s string) []byte {
	if isMarkupFree(s) {
		return append(b, s...)
	}
	from := 0
	for at := 0; at < len(s); {
		size := 1
		switch charClasses[s[at]] {
		case charPlain:
			at++
			continue
		case charTwo, charThree, charOther:
			size = legalSize(s[at:])
		}
		if size > 1 {
			at += size
			continue
		}
		b = append(b, s[from:at]...)
		if size == 0 {
			b = append(b, "\uFFFD"...)
			_, size = utf8.DecodeRuneInString(s[at:])
		} else {
			b = append(b, escapedXML(s[at])...)
		}
		at += size
		from = at
	}
	return append(b, s[from:]...)
}

// isMarkupFree reports whether nothing in a text has to be escaped or replaced;
// false where that would have to be looked at closely.
func isMarkupFree(s string) bool {
	for at := 0; at < len(s); {
		for at+8 <= len(s) {
			w := word(s, at)
			if below(w, ' ')|equal(w, '&')|equal(w|ones*2, '>') != 0 { // '<' differs from '>' in that bit
				return false
			}
			if w&highs != 0 {
				break
			}
			at += 8
		}
		for end := min(at+run, len(s)); at < end; {
			switch charClasses[s[at]] {
			case charPlain:
				at++
			case charTwo:
				if at+1 >= len(s) || !isContinuation(s[at+1]) {
					return false
				}
				at += 2
			case charThree:
				if at+2 >= len(s) || !isContinuation(s[at+1]) || !isContinuation(s[at+2]) {
					return false
				}
				at += 3
			default:
				return false
			}
		}
	}
	return true
}

// escapedXML returns how a character of charMarkup is written.
func escapedXML(c byte) string {
	switch c {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	default:
		return "&#xD;"
	}
}

// appendJSON writes a text as a JSON string. Nothing is escaped that JSON does not
// require; what is no UTF-8 is replaced by U+FFFD.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	if len(s) >= 8 && isQuoteFree(s) {
		b = append(b, s...)
		return append(b, '"')
	}
	from := 0
	for at := 0; at < len(s); {
		c, size := s[at], 1
		if c >= utf8.RuneSelf {
			var char rune
			if char, size = utf8.DecodeRuneInString(s[at:]); char == utf8.RuneError && size < 2 {
				size = 0
			}
		}
		if size > 1 || c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			at += size
			continue
		}
		b = append(b, s[from:at]...)
		b = appendEscape(b, c)
		at++
		from = at
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// isQuoteFree reports whether nothing in a text of eight bytes or more has to be
// escaped or replaced.
func isQuoteFree(s string) bool {
	var seen uint64
	for at := 0; at < len(s); at += 8 {
		w := word(s, min(at, len(s)-8))
		if below(w, ' ')|equal(w, '"')|equal(w, '\\') != 0 {
			return false
		}
		seen |= w
	}
	return seen&highs == 0 || utf8.ValidString(s)
}

// appendEscape writes a character that may not stand in a JSON string as it is.
func appendEscape(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch {
	case c == '"', c == '\\':
		return append(b, '\\', c)
	case c >= utf8.RuneSelf:
		return append(b, "\uFFFD"...)
	default:
		return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
	}
}
