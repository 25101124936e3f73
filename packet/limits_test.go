package packet_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf16"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

func TestLimitsAreExact(t *testing.T) {
	t.Parallel()
	codec := codecWith(t, packet.Options{TextBytes: 1000, ContentBytes: 1 << 20})
	nested := func(n int) string { return strings.Repeat("<X>", n) + strings.Repeat("</X>", n) }
	arrays := func(n int) string { return `"X":` + strings.Repeat("[", n) + "1" + strings.Repeat("]", n) + "," }
	for _, c := range []struct {
		name    string
		format  exchangev1.Format
		content func(n int) string
		most    int // that is accepted
		rule    string
	}{
		{"depth of elements", xmlFormat, nested, 31, "limit.depth"},
		{"number of elements", xmlFormat, func(n int) string { return strings.Repeat("<X/>", n) }, 10_000 - 10, "limit.elements"},
		{"length of a text", xmlFormat, func(n int) string { return "<X>" + strings.Repeat("a", n) + "</X>" }, 1000, "limit.text"},
		{"length of a text in pieces", xmlFormat, func(n int) string { return "<X>" + strings.Repeat("<![CDATA[a]]>", n) + "</X>" }, 1000, "limit.text"},
		{"attributes", xmlFormat, func(n int) string {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, " a%d=''", i)
			}
			return "<X" + b.String() + "/>"
		}, 16, "limit.attributes"},
		{"depth of arrays", jsonFormat, arrays, 30, "limit.depth"},
		{"number of members", jsonFormat, func(n int) string { return `"X":[` + strings.Repeat("1,", n-1) + "1]," }, 10_000 - 10, "limit.elements"},
		{"length of a string", jsonFormat, func(n int) string { return `"X":"` + strings.Repeat("a", n) + `",` }, 1000, "limit.text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for n, good := range map[int]bool{c.most: true, c.most + 1: false} {
				content := strings.Replace(string(sample(t, "progress.xml").Content), "<Status>", c.content(n)+"<Status>", 1)
				if c.format == jsonFormat {
					content = strings.Replace(string(sample(t, "progress.json").Content), `"Status"`, c.content(n)+`"Status"`, 1)
				}
				_, err := codec.Decode(progress, c.format, []byte(content))
				if refusedBy := hasRule(findingsOf(err), c.rule); good && err != nil || !good && !refusedBy {
					t.Errorf("%d: %v %.300v", n, err, findingsOf(err))
				}
			}
		})
	}
}

func hasRule(findings []*packetv1.Finding, rule string) bool {
	for _, f := range findings {
		if f.GetRule() == rule && f.GetSeverity() == refused {
			return true
		}
	}
	return false
}

func TestTextOfAFieldIsLimitedInEveryFormat(t *testing.T) {
	t.Parallel()
	codec := codecWith(t, packet.Options{TextBytes: 1000})
	m := dossierMessage(t)
	m.Note = proto.String(strings.Repeat("a", 1001))
	for _, format := range []exchangev1.Format{xmlFormat, jsonFormat, protobufFormat} {
		_, err := codec.Decode(dossier, format, encode(t, codec, m, format))
		if findings := findingsOf(err); len(findings) != 1 || findings[0].GetField() != "MSyncDocument.Note" || findings[0].GetRule() != "limit.text" {
			t.Errorf("%s: got %v %v", format, err, findings)
		}
	}
}

func TestContentIsLimited(t *testing.T) {
	t.Parallel()
	s := sample(t, "progress.xml")
	for size, good := range map[int]bool{len(s.Content): true, len(s.Content) - 1: false} {
		_, err := codecWith(t, packet.Options{ContentBytes: size}).Decode(s.Type, s.Format, s.Content)
		if good && err != nil || !good && !hasFinding(findingsOf(err), "MDocumentTraces", "limit.size") {
			t.Errorf("%d of %d bytes allowed: %v", size, len(s.Content), err)
		}
	}
}

// TestRefusalsStaySmall: a hostile packet costs memory in proportion to its size,
// not more, and its findings are limited.
func TestRefusalsStaySmall(t *testing.T) {
	codec := newCodec(t)
	const size = 4 << 20
	fill := func(piece string) string { return strings.Repeat(piece, size/len(piece)) }
	for name, c := range map[string]struct {
		format  exchangev1.Format
		content string
	}{
		"nesting":                      {xmlFormat, fill("<a>")},
		"elements":                     {xmlFormat, "<MSyncDocument>" + fill("<a/>")},
		"lists":                        {xmlFormat, "<MSyncDocument>" + fill("<DocFees>x</DocFees>")},
		"attributes":                   {xmlFormat, "<MSyncDocument" + fill(" a='b'")},
		"a long name":                  {xmlFormat, "<" + fill("a")},
		"a long attribute":             {xmlFormat, "<MSyncDocument a='" + fill("b")},
		"references":                   {xmlFormat, "<MSyncDocument><Note>" + fill("&lt;")},
		"pieces":                       {xmlFormat, "<MSyncDocument><Note>" + fill("a<!---->")},
		"entities":                     {xmlFormat, "<!DOCTYPE a [<!ENTITY b '" + fill("c") + "'>]><a>&b;&b;&b;</a>"},
		"white space between elements": {xmlFormat, "<MSyncDocument><X>" + fill(strings.Repeat(" ", 400)+"<a/>")},
		"white space":                  {xmlFormat, fill(" ")},
		"dots in a code":               {xmlFormat, "<MSyncDocument><OrganInchargeIdLevel1>" + fill(".") + "</OrganInchargeIdLevel1></MSyncDocument>"},
		"digits":                       {xmlFormat, "<MSyncDocument><Status>" + fill("1") + "</Status><DateReceived>" + "</DateReceived></MSyncDocument>"},
		"arrays":                       {jsonFormat, `{"a":` + fill("[")},
		"members":                      {jsonFormat, `{` + fill(`"a":1,`)},
		"items":                        {jsonFormat, `{"DocFees":[` + fill(`1,`)},
		"escapes":                      {jsonFormat, `{"Note":"` + fill(`\u0041`)},
		"a number":                     {jsonFormat, `{"Price":` + fill(`9`)},
		"exponent":                     {jsonFormat, `{"DocFees":[{"Price":1e999999999}]}`},
		"UTF-16":                       {xmlFormat, "\xFF\xFE" + fill("<\x00")},
		"a Protobuf list":              {protobufFormat, fill("\xea\x01\x00")},
		"Protobuf in Protobuf":         {protobufFormat, fill("\xc2\x0c\x00")},
	} {
		t.Run(name, func(t *testing.T) {
			content := []byte(c.content)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := codec.Decode(dossier, c.format, content)
			runtime.ReadMemStats(&after)
			if err == nil || findingsOf(err) == nil {
				t.Fatalf("got %v; want a refusal", err)
			}
			allowed := uint64(8*size + 32<<20)
			if used := after.TotalAlloc - before.TotalAlloc; used > allowed {
				t.Errorf("%d bytes were allocated for %d", used, len(content))
			}
			if n := len(findingsOf(err)); n > 2001 {
				t.Errorf("%d findings", n)
			}
		})
	}
}

func TestFindingsBeyondTheLimitAreCounted(t *testing.T) {
	t.Parallel()
	content := "<MSyncDocument>" + strings.Repeat("<DocPapers><PaperName>a</PaperName><Amount>-1</Amount><PaperType>x</PaperType></DocPapers>", 2000) + "</MSyncDocument>"
	_, err := newCodec(t).Decode(dossier, xmlFormat, []byte(content))
	findings := findingsOf(err)
	last := findings[len(findings)-1]
	if len(findings) != 1002 || last.GetRule() != "limit.findings" || last.GetMessageEn() != "3018 more violations are not shown" ||
		last.GetMessageVi() != "còn 3018 lỗi khác không hiển thị" {
		t.Fatalf("%d findings, the last %v", len(findings), last)
	}
	var invalid *packet.InvalidError
	if !errors.As(err, &invalid) || invalid.Violations() != 4018 || !strings.Contains(err.Error(), "4018 violations") {
		t.Errorf("%v with %d violations; want 4018", err, invalid.Violations())
	}
}

func utf16Of(text string, order binary.AppendByteOrder) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	return b
}

func TestReadXMLInUTF16(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	s := sample(t, "dossier.xml")
	want := decode(t, codec, s.Type, s.Format, s.Content).Message
	text := strings.Replace(string(s.Content), `"UTF-8"`, `"UTF-16"`, 1)
	for name, order := range map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		content := utf16Of("\uFEFF"+text, order)
		p := decode(t, codec, dossier, xmlFormat, content)
		if !proto.Equal(p.Message, want) || len(p.Warnings) > 0 {
			t.Errorf("%s endian: got %v with %v", name, p.Message, p.Warnings)
		}
		if typ, _, err := codec.Identify(content); typ != dossier || err != nil {
			t.Errorf("%s endian: identified as %s, %v", name, typ, err)
		}
	}
	for name, c := range map[string]struct {
		content []byte
		rule    string
		at      string
	}{
		"no mark":        {utf16Of(text, binary.LittleEndian), "encoding", "1:1"},
		"UTF-8 declared": {utf16Of("\uFEFF"+string(s.Content), binary.LittleEndian), "encoding", "1:1"},
		"half a unit":    {append(utf16Of("\uFEFF"+text, binary.LittleEndian), ' '), "encoding", "49:1"},
		"half a pair":    {bytes.Replace(utf16Of("\uFEFF"+text, binary.LittleEndian), []byte("M\x00\xab\x1e"), []byte("M\x00\x00\xd8"), 1), "encoding", "6:24"},
		"violation":      {utf16Of("\uFEFF"+strings.Replace(text, "<Status>2", "<Status>😀", 1), binary.BigEndian), "int", "21:3"},
		"UTF-32":         {[]byte("\xFF\xFE\x00\x00<\x00\x00\x00"), "encoding", "1:1"},
	} {
		_, err := codec.Decode(dossier, xmlFormat, c.content)
		findings := findingsOf(err)
		if len(findings) != 1 || findings[0].GetRule() != c.rule || fmt.Sprintf("%d:%d", findings[0].GetLine(), findings[0].GetColumn()) != c.at {
			t.Errorf("%s: got %v %v; want %s at %s", name, err, findings, c.rule, c.at)
		}
	}
}

func TestManyReadersShareACodec(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	s := sample(t, "dossier-supplement.xml")
	want := encode(t, codec, decode(t, codec, s.Type, s.Format, s.Content).Message, jsonFormat)
	done := make(chan []byte)
	for range 8 {
		go func() {
			var got []byte
			for range 20 {
				if p, err := codec.Decode(s.Type, s.Format, s.Content); err == nil {
					got, _ = codec.Encode(p.Message, jsonFormat)
				}
			}
			done <- got
		}()
	}
	for range 8 {
		if got := <-done; !bytes.Equal(got, want) {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
}
