package packet

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// isXMLName reports whether a text made of name characters is a name: it does
// not begin as no name may.
func isXMLName(name string) bool {
	if name == "" {
		return false
	}
	switch c := name[0]; {
	case c >= '0' && c <= '9', c == '-', c == '.':
		return false
	case c < utf8.RuneSelf:
		return true
	}
	char, _ := utf8.DecodeRuneInString(name)
	return char != 0xB7 && (char < 0x300 || char > 0x36F) && char != 0x203F && char != 0x2040
}

// isNameRune reports whether a character beyond ASCII may stand in a name (XML
// 1.0, fifth edition, production 4a).
func isNameRune(c rune) bool {
	switch {
	case c == 0xB7, c >= 0xC0 && c <= 0x2FF && c != 0xD7 && c != 0xF7, c >= 0x300 && c <= 0x1FFF && c != 0x37E,
		c == 0x200C, c == 0x200D, c == 0x203F, c == 0x2040, c >= 0x2070 && c <= 0x218F, c >= 0x2C00 && c <= 0x2FEF,
		c >= 0x3001 && c <= 0xD7FF, c >= 0xF900 && c <= 0xFDCF, c >= 0xFDF0 && c <= 0xFFFD, c >= 0x10000 && c <= 0xEFFFF:
		return true
	default:
		return false
	}
}

// elementName spells the name of an unknown JSON member as an XML name. What a
// name cannot hold is written _xHHHH_, as other libraries do.
func elementName(member string) string {
	if member == "" {
		return "_"
	}
	plain := isXMLName(member)
	for _, c := range member {
		plain = plain && isElementRune(c)
	}
	if plain {
		return member
	}
	var b strings.Builder
	for i, c := range member {
		if isElementRune(c) && (i > 0 || isXMLName(string(c))) {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, "_x%04X_", c)
		}
	}
	return b.String()
}

// isElementRune reports whether a character may stand in a name without a prefix.
func isElementRune(c rune) bool {
	if c < utf8.RuneSelf {
		return isWordByte(byte(c)) || c == '-' || c == '.'
	}
	return c != utf8.RuneError && isNameRune(c)
}
