package packet_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// TestEveryCharacterIsWrittenAlikeWhereverItStands: what is escaped or replaced does
// not depend on where in a word it stands. The other writer goes rune by rune.
func TestEveryCharacterIsWrittenAlikeWhereverItStands(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for _, before := range []int{0, 1, 5, 6, 7, 8, 15} {
		for _, letter := range []string{"a", "ữ", "đ"} {
			for _, after := range []string{"", "b", "bcdefghijkl", "ỡ"} {
				sequences(func(sequence []byte) {
					text := strings.Repeat(letter, before) + string(sequence) + after
					m := &packetv1.MResult{Message: proto.String(text)}
					want := xmlDeclaration + "<MResult>\n  <Message>" + plainlyXML(text) + "</Message>\n</MResult>\n"
					if got := string(encode(t, codec, m, xmlFormat)); got != want {
						t.Fatalf("%q is written %q; want %q", text, got, want)
					}
					if got, want := string(encode(t, codec, m, jsonFormat)), `{"Message":`+plainlyJSON(text)+"}"; got != want {
						t.Fatalf("%q is written %q; want %q", text, got, want)
					}
				})
			}
		}
	}
}

const xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

func plainlyXML(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		char, size := utf8.DecodeRuneInString(text)
		switch {
		case char == '&':
			b.WriteString("&amp;")
		case char == '<':
			b.WriteString("&lt;")
		case char == '>':
			b.WriteString("&gt;")
		case char == '\r':
			b.WriteString("&#xD;")
		case char < ' ' && char != '\t' && char != '\n', char == 0xFFFE, char == 0xFFFF:
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(char)
		}
		text = text[size:]
	}
	return b.String()
}

func plainlyJSON(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, char := range text {
		switch {
		case char == '"', char == '\\':
			b.WriteByte('\\')
			b.WriteRune(char)
		case strings.ContainsRune("\t\n\r", char):
			b.WriteByte('\\')
			b.WriteByte("tn  r"[char-'\t'])
		case char < ' ':
			b.WriteString(`\u00`)
			b.WriteByte("01"[char>>4])
			b.WriteByte("0123456789abcdef"[char&15])
		default:
			b.WriteRune(char)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// TestDrawnTextsAreWrittenAsJSON: what is written is what encoding/json reads.
func TestDrawnTextsAreWrittenAsJSON(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(words(0), rapid.String()).Draw(t, "text")
		content, err := codec.Append([]byte("before"), &packetv1.MResult{Message: proto.String(text)}, jsonFormat)
		if err != nil {
			t.Fatal(err)
		}
		rest, found := strings.CutPrefix(string(content), "before")
		var read struct{ Message string }
		if err := json.Unmarshal([]byte(rest), &read); err != nil || read.Message != text || !found {
			t.Fatalf("%q is written %s: %v", text, content, err)
		}
	})
}
