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

// controls marks the bytes of a word that are under 0x20, and no others.
func controls(w uint64) uint64 { return ^((w &^ highs) + ones*(0x80-' ')) & ^w & highs }

// lines marks the bytes of a word that are line feeds, and no others.
func lines(w uint64) uint64 {
	w ^= ones * '\n'
	return ^((w &^ highs) + ones*0x7F) & ^w & highs
}

// equal marks the bytes of a word that are c, in the way of below.
func equal(w, c uint64) uint64 { return below(w^(ones*c), 1) }

// utf8Word checks a word of UTF-8: that every byte that begins a character is
// followed by as many as it says, of which carry are those that the word before it
// lacked. It returns what this one lacks. What cannot be judged by that alone is not
// ok either: characters of four bytes, and those that begin with a byte that some
// second bytes may not follow.
func utf8Word(w, carry uint64) (lacks uint64, ok bool) {
	high := w & highs
	lead := high & (w << 1)
	three := lead & (w << 2)
	odd := three&(w<<3) | equal(w, 0xE0) | equal(w, 0xED) | equal(w, 0xEF) | equal(w&^ones, 0xC0)
	wrong := (high &^ lead) ^ (lead<<8 | three<<16 | carry)
	return lead>>56 | three>>48, odd|wrong == 0
}

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
		at = legalWords(s, at)
		for end := min(at+run, len(s)); at < end; {
			switch charClasses[s[at]] {
			case charPlain, charMarkup:
				at++
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

// legalWords passes over words, from the start of a character on, and returns the
// start of the first character that has to be looked at by itself.
func legalWords(s string, at int) int {
	var carry uint64
	for at+8 <= len(s) {
		w := word(s, at)
		if below(w, ' ') != 0 && controls(w)&^lines(w) != 0 {
			break
		}
		if w&highs|carry != 0 {
			lacks, ok := utf8Word(w, carry)
			if !ok {
				break
			}
			carry = lacks
		}
		at += 8
	}
	for carry != 0 && at > 0 { // back to where the last character began
		at--
		if !isContinuation(s[at]) {
			break
		}
	}
	return at
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
	if freeOf(xmlEscapes(), s) {
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

// escapes are the characters that have to be escaped besides control characters: one,
// and another, which is meant as well where it differs in the bits of a mask.
type escapes struct{ one, other, mask uint64 }

func xmlEscapes() escapes { return escapes{one: '&', other: '>', mask: '<' ^ '>'} }

func jsonEscapes() escapes { return escapes{one: '"', other: '\\'} }

// freeOf reports whether nothing in a text has to be escaped or replaced; false also
// where that would have to be looked at closely.
func freeOf(e escapes, s string) bool {
	at := 0
	var carry uint64
	for ; at+8 <= len(s); at += 8 {
		w := word(s, at)
		if below(w, ' ')|equal(w, e.one)|equal(w|ones*e.mask, e.other) != 0 {
			return false
		}
		if w&highs|carry != 0 {
			lacks, ok := utf8Word(w, carry)
			if !ok {
				return false
			}
			carry = lacks
		}
	}
	if at == len(s) {
		return carry == 0
	}
	w := lastWord(s, at)
	_, ok := utf8Word(w, carry)
	return ok && below(w, ' ')|equal(w, e.one)|equal(w|ones*e.mask, e.other) == 0
}

// lastWord returns the bytes of a text from an offset on, of which there are fewer
// than eight, filled up with letters.
func lastWord(s string, at int) uint64 {
	count := len(s) - at
	w := uint64(ones*'a') << (8 * count)
	if len(s) >= 8 {
		return w | word(s, len(s)-8)>>(8*(8-count))
	}
	for i := range count {
		w |= uint64(s[at+i]) << (8 * i)
	}
	return w
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
	if freeOf(jsonEscapes(), s) {
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

// appendEscape writes a character that may not stand in a JSON string as it is.
func appendEscape(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch {
	case c == '"', c == '\\':
		return append(b, '\\', c)
	case c == '\n':
		return append(b, `\n`...)
	case c == '\r':
		return append(b, `\r`...)
	case c == '\t':
		return append(b, `\t`...)
	case c >= utf8.RuneSelf:
		return append(b, "\uFFFD"...)
	default:
		return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
	}
}
