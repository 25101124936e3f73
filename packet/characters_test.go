package packet_test

import (
	"bytes"
	"strings"
	"testing"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

// sequences calls f with every byte, and with what may be the first bytes of a
// character, the rest of it at the bounds of what is allowed.
func sequences(f func(sequence []byte)) {
	edges := []byte{0x00, 0x1F, 'a', 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBD, 0xBE, 0xBF, 0xC0, 0xFF}
	for first := range 256 {
		f([]byte{byte(first)})
		for _, second := range edges {
			for _, third := range edges {
				switch {
				case first >= 0xF0 && first <= 0xF5:
					for _, fourth := range []byte{'a', 0x80, 0xBE, 0xBF, 0xC0} {
						f([]byte{byte(first), second, third, fourth})
					}
				case first >= 0xC0:
					f([]byte{byte(first), second, third})
				}
			}
		}
	}
}

// TestEveryCharacterIsJudgedAlikeWhereverItStands: texts are looked at in words;
// where in a word a byte stands, and what stands around it, must not matter.
func TestEveryCharacterIsJudgedAlikeWhereverItStands(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for _, c := range []struct {
		name   string
		around func(text string) string
		read   func(content []byte) (string, error)
		taken  string // what means something else there
	}{
		{"XML", func(text string) string { return "<MResult><Message>" + text + "</Message></MResult>" }, resultFrom(codec, true), "<&\r"},
		{"JSON", func(text string) string { return `{"Message":"` + text + `"}` }, resultFrom(codec, false), "\"\\\t\n\r"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, before := range []int{0, 3, 6, 7, 8, 17} {
				for _, letter := range []string{"a", "ữ"} {
					sequences(func(sequence []byte) {
						if bytes.ContainsAny(sequence, c.taken) {
							return
						}
						text := strings.Repeat(letter, before) + string(sequence) + "bcdefghijk"
						got, err := c.read([]byte(c.around(text)))
						if good := characters(text) == nil; good != (err == nil) || good && got != text {
							t.Fatalf("%q behind %d of %s is read as %q, %v %v; want it read: %t", sequence, before, letter, got, err, findingsOf(err), good)
						}
					})
				}
			}
		})
	}
}

// resultFrom returns a function that reads the message of an answer.
func resultFrom(codec *packet.Codec, inXML bool) func(content []byte) (string, error) {
	format := jsonFormat
	if inXML {
		format = xmlFormat
	}
	return func(content []byte) (string, error) {
		m := &packetv1.MResult{}
		_, err := codec.DecodeMessage(m, format, content)
		return m.GetMessage(), err
	}
}
