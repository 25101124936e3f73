package packet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

// drawnJSON draws packets as JSON, with white space anywhere and characters
// escaped in any way.
func drawnJSON(codec *packet.Codec) *rapid.Generator[drawn] {
	return rapid.Custom(func(t *rapid.T) drawn {
		typ := rapid.SampledFrom([]packetv1.PacketType{dossier, progress, survey, statistic}).Draw(t, "type")
		m := messages(typ).Draw(t, "message")
		fix(m)
		m = standard(m)
		lengthen(t, m.ProtoReflect())
		plain, err := codec.Encode(m, jsonFormat)
		if err != nil {
			t.Fatalf("write: %v", err)
		}
		d := drawn{typ: typ, message: m, text: respelt(t, plain)}
		d.content = []byte(rapid.SampledFrom([]string{"", "", "\uFEFF"}).Draw(t, "mark") + d.text)
		return d
	})
}

// respelt writes a JSON text in another way that means the same.
func respelt(t *rapid.T, content []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	var b strings.Builder
	var open []json.Delim
	for last := json.Delim('{'); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatalf("%s: %v", content, err)
		}
		delim, isDelim := token.(json.Delim)
		closes := isDelim && (delim == '}' || delim == ']')
		if !closes && last != '{' && last != '[' && last != ':' {
			b.WriteByte(',')
		}
		b.WriteString(rapid.SampledFrom([]string{"", "", " ", "\n\t", "\r\n"}).Draw(t, "space"))
		last = respellToken(t, &b, token)
		switch {
		case closes:
			open = open[:len(open)-1]
		case isDelim:
			open = append(open, delim)
			continue
		}
		if _, ok := token.(string); ok && len(open) > 0 && open[len(open)-1] == '{' && isName(content, decoder) {
			b.WriteString(rapid.SampledFrom([]string{":", ": ", "\t:\n"}).Draw(t, "colon"))
			last = ':'
		}
	}
}

// isName reports whether the string that was just read is the name of a member.
func isName(content []byte, decoder *json.Decoder) bool {
	return bytes.HasPrefix(bytes.TrimLeft(content[decoder.InputOffset():], " \t\r\n"), []byte(":"))
}

// respellToken writes a token and returns what it ends in.
func respellToken(t *rapid.T, b *strings.Builder, token json.Token) json.Delim {
	switch token := token.(type) {
	case json.Delim:
		b.WriteString(token.String())
		return token
	case string:
		b.WriteByte('"')
		way := rapid.IntRange(0, 3).Draw(t, "escapes")
		for _, c := range token {
			b.WriteString(escapedRune(c, way))
		}
		b.WriteByte('"')
	case nil:
		b.WriteString("null")
	default:
		fmt.Fprint(b, token)
	}
	return 0
}

// escapedRune writes a character of a string: plainly, or as way has it.
func escapedRune(c rune, way int) string {
	short := strings.IndexRune("\"\\\b\f\n\r\t", c)
	switch {
	case way == 1 || short < 0 && c < 0x20:
		if high, low := utf16.EncodeRune(c); high != utf8.RuneError {
			return fmt.Sprintf(`\u%04x\u%04X`, high, low)
		}
		return fmt.Sprintf(`\u%04X`, c)
	case short >= 0:
		return `\` + `"\bfnrt`[short:short+1]
	case way == 2 && c == '/':
		return `\/`
	case way == 3 && c == 'a':
		return `\u0061`
	default:
		return string(c)
	}
}

func harmfulJSON() []string {
	return []string{
		`"`, `\`, `{`, `}`, `[`, `]`, `,`, `:`, `,,`, `""`, `"a":1,`, `,"a":`, `null`, `tru`, `nulll`, `True`, `01`, `1.`, `.5`, `-`, `+1`, `1e`, `1e+`, `0x1`, `1 2`, `'a'`, `//`, `/* */`,
		`\u12`, `\u123g`, `\U0041`, `\x41`, `\'`, `\/`, `\u0000`, "\x00", "\x1F", "\t", "\n", "\f", "\xFF", "\xC3", "\xED\xA0\x80", "\uFEFF", "\u00A0", "\u2028", "ữ", "[]", "{}", `{"a":[1,{"b":null}]},`,
	}
}

var (
	surrogate = regexp.MustCompile(`\\u[dD][89a-fA-F]`)
	noNumber  = regexp.MustCompile(`NaN|Infinity`)
)

// agreesOnJSON demands that packet and encoding/json say the same of a text. Left
// out are what encoding/json lets pass (halves of surrogate pairs, characters that
// XML cannot hold) and what packet reads that is no JSON (NaN and Infinity).
func agreesOnJSON(t fatal, codec *packet.Codec, content []byte) {
	t.Helper()
	_, err := codec.Decode(dossier, jsonFormat, content)
	ours := wellformed
	for _, f := range findingsOf(err) {
		switch rule := f.GetRule(); {
		case rule == "syntax", rule == "encoding":
			ours = malformed
		case rule == "root", rule == "character", strings.HasPrefix(rule, "limit."):
			return
		}
	}
	if surrogate.Match(content) || noNumber.Match(content) {
		return
	}
	valid := utf8.Valid(content) && json.Valid(bytes.TrimPrefix(content, []byte("\uFEFF")))
	if (ours == wellformed) != valid {
		t.Fatalf("%.2000q\npacket finds it to be JSON: %t, with %v\nencoding/json: %t", content, ours == wellformed, refusals(findingsOf(err)), valid)
	}
}

// TestWholeJSONTextsReadTheSameHoweverTheyAreWritten: escapes and white space
// mean nothing.
func TestWholeJSONTextsReadTheSameHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	codec, sharing := newCodec(t), codecWith(t, packet.Options{Shared: true})
	rapid.Check(t, func(t *rapid.T) {
		d := drawnJSON(codec).Draw(t, "text")
		agreesOnJSON(t, codec, d.content)
		p, err := codec.Decode(d.typ, jsonFormat, d.content)
		if err != nil {
			t.Fatalf("%q: %v %v", d.content, err, findingsOf(err))
		}
		if got := standard(p.Message); !proto.Equal(got, d.message) {
			t.Fatalf("%q is read as\n%v\nwant\n%v", d.content, got, d.message)
		}
		sharesAlike(t, sharing, jsonFormat, d, p)
	})
}

func TestHarmedJSONIsJudgedAsEncodingJSONJudgesIt(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	rapid.Check(t, func(t *rapid.T) {
		content := drawnJSON(codec).Draw(t, "text").content
		for range rapid.IntRange(1, 2).Draw(t, "harms") {
			at := int(rapid.Uint32().Draw(t, "place")*0x9E3779B1) % (len(content) + 1)
			end := min(len(content), at+rapid.IntRange(0, 6).Draw(t, "length"))
			content = slices.Concat(content[:at], []byte(rapid.SampledFrom(append(harmfulJSON(), "")).Draw(t, "put in")), content[end:])
		}
		agreesOnJSON(t, codec, content)
	})
}

// FuzzWellFormedJSON holds packet's view of what is JSON against encoding/json's.
func FuzzWellFormedJSON(f *testing.F) {
	for _, piece := range harmfulJSON() {
		f.Add([]byte(`{"Note":"` + piece + `",` + piece + `"Total":` + piece + `1}` + piece))
	}
	codec := newCodec(f)
	f.Fuzz(func(t *testing.T, content []byte) { agreesOnJSON(t, codec, content) })
}
