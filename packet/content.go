package packet

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// defect is what makes a text unreadable from an offset on.
type defect struct {
	offset int
	rule   string
	text   text
}

// source is a content as text.
type source struct {
	text  string // UTF-8, without a byte order mark; cut off where it is broken
	utf16 bool
	// broken is what is wrong where text was cut off; nil where it is whole.
	broken *defect
}

// sourceOf turns a content into UTF-8 and finds the first character that XML
// 1.0 cannot hold. Where it may be shared, UTF-8 is not copied.
func sourceOf(content []byte, shared bool) source {
	var s source
	switch {
	case hasBytes(content, 0xFF, 0xFE, 0, 0), hasBytes(content, 0, 0, 0xFE, 0xFF):
		s.broken = &defect{rule: ruleEncoding, text: textDeclared("UTF-32")}
		return s
	case hasBytes(content, 0xFF, 0xFE):
		s = fromUTF16(content[2:], binary.LittleEndian)
	case hasBytes(content, 0xFE, 0xFF):
		s = fromUTF16(content[2:], binary.BigEndian)
	case hasBytes(content, '<', 0), hasBytes(content, 0, '<'):
		s.broken = &defect{rule: ruleEncoding, text: textNoMark()}
		return s
	default:
		content = bytes.TrimPrefix(content, []byte("\uFEFF"))
		if shared {
			s.text = unsafe.String(unsafe.SliceData(content), len(content))
		} else {
			s.text = string(content)
		}
	}
	if at := illegalAt(s.text); at >= 0 {
		s.broken = &defect{offset: at, rule: ruleCharacter}
		char, size := utf8.DecodeRuneInString(s.text[at:])
		if s.broken.text = textIllegal(char); char == utf8.RuneError && size < 2 {
			s.broken.rule, s.broken.text = ruleEncoding, textUTF8()
		}
		s.text = s.text[:at]
	}
	return s
}

func hasBytes(content []byte, prefix ...byte) bool {
	return len(content) >= len(prefix) && string(content[:len(prefix)]) == string(prefix)
}

// fromUTF16 converts UTF-16 up to the first half of a pair that stands alone.
func fromUTF16(content []byte, order binary.ByteOrder) source {
	s := source{utf16: true}
	var text strings.Builder
	text.Grow(sizeUTF16(content, order))
	for i := 0; i < len(content); i += 2 {
		if i+1 == len(content) {
			s.broken = &defect{offset: text.Len(), rule: ruleEncoding, text: textUTF16()}
			break
		}
		char := rune(order.Uint16(content[i:]))
		if utf16.IsSurrogate(char) {
			low := rune(0)
			if i+3 < len(content) {
				low = rune(order.Uint16(content[i+2:]))
			}
			if char = utf16.DecodeRune(char, low); char == utf8.RuneError {
				s.broken = &defect{offset: text.Len(), rule: ruleEncoding, text: textUTF16()}
				break
			}
			i += 2
		}
		text.WriteRune(char)
	}
	s.text = text.String()
	return s
}

// sizeUTF16 counts the bytes that UTF-16 takes up in UTF-8; more where it is
// broken.
func sizeUTF16(content []byte, order binary.ByteOrder) int {
	size := 0
	for i := 0; i+1 < len(content); i += 2 {
		switch unit := order.Uint16(content[i:]); {
		case unit < 0x80:
			size++
		case unit < 0x800 || unit&0xF800 == 0xD800: // half of a pair, which takes four
			size += 2
		default:
			size += 3
		}
	}
	return size
}
