package packet_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

// flood is a packet with as many findings as can be had for its size.
type flood struct {
	typ     packetv1.PacketType
	format  exchangev1.Format
	content []byte
}

func floods(t testing.TB) map[string]flood {
	t.Helper()
	const deep, many = 29, 9900
	name := strings.Repeat("ữ", 80)
	nested := func(opening, inside, closing string) string {
		return strings.Repeat(opening, deep) + inside + strings.Repeat(closing, deep)
	}
	unknown := nested("<"+name+">", strings.Repeat("<a b=''/>", many), "</"+name+">")
	twice := nested(`{"`+name+`":`, `{"a":1`+strings.Repeat(`,"a":1`, many)+"}", "}")
	return map[string]flood{
		"attributes in unknown elements": {progress, xmlFormat,
			[]byte(strings.Replace(string(sample(t, "progress.xml").Content), "</MDocumentTraces>", unknown+"</MDocumentTraces>", 1))},
		"unknown members twice": {progress, jsonFormat, []byte(`{"Extra":` + twice + "}")},
		"what parts lack":       {dossier, jsonFormat, []byte(`{"Supplementaries":[{}` + strings.Repeat(",{}", many) + "]}")},
		"nothing but prefixes":  {progress, xmlFormat, []byte("<MDocumentTraces>" + strings.Repeat("<a:b/>", many) + "</MDocumentTraces>")},
	}
}

// TestFindingsSaySomethingHoweverManyThereAre: those that are not shown are counted.
func TestFindingsSaySomethingHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for name, f := range floods(t) {
		p, err := codec.Decode(f.typ, f.format, f.content)
		findings := findingsOf(err)
		if err == nil {
			findings = p.Warnings
		}
		last := findings[len(findings)-1]
		if last.GetRule() != "limit.findings" || !strings.Contains(last.GetMessageEn(), "not shown") {
			t.Errorf("%s: the last finding is %v", name, last)
		}
		for _, f := range findings {
			if len(f.GetField()) > 2000 {
				t.Errorf("%s: a path of %d bytes", name, len(f.GetField()))
			}
		}
	}
}

// TestOnlyGeneratedMessagesAreReadAndWritten: a codec reaches fields by their places in
// the generated structs; of anything else it must keep its hands off.
func TestOnlyGeneratedMessagesAreReadAndWritten(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	dynamic := dynamicpb.NewMessage((&packetv1.MResult{}).ProtoReflect().Descriptor())
	for _, format := range []exchangev1.Format{xmlFormat, jsonFormat, protobufFormat} {
		if got, err := codec.Encode(dynamic, format); err == nil || got != nil {
			t.Errorf("%s: a dynamic message is written %q", format, got)
		}
		if _, err := codec.DecodeMessage(dynamic, format, []byte("<MResult><Status>1</Status></MResult>")); err == nil {
			t.Errorf("%s: a dynamic message was read", format)
		}
	}
	wrapped := &struct {
		pad [8]uint64
		*packetv1.MResult
	}{MResult: &packetv1.MResult{Message: proto.String("x")}}
	wrapped.pad[0] = 1
	if got := string(encode(t, codec, wrapped, jsonFormat)); got != `{"Message":"x"}` {
		t.Errorf("a message in a struct of its own is written %s", got)
	}
	for _, m := range []proto.Message{nil, (*packetv1.MResult)(nil), &packetv1.Finding{}} {
		if got, err := codec.Encode(m, xmlFormat); err == nil {
			t.Errorf("%T is written %q", m, got)
		}
	}
}

// TestPacketsOfOtherMessagesSayNothing: the message of a packet may be exchanged by
// whoever has it.
func TestPacketsOfOtherMessagesSayNothing(t *testing.T) {
	t.Parallel()
	p := decode(t, newCodec(t), dossier, xmlFormat, sample(t, "dossier.xml").Content)
	for _, m := range []proto.Message{nil, &packetv1.MResult{}, (*packetv1.MSyncDocument)(nil)} {
		p.Message = m
		if o := p.Organisation(); o != (packet.Organisation{}) || p.Subject() != "" {
			t.Errorf("with a %T: organisation %s, subject %q", m, o, p.Subject())
		}
	}
	p.Message = &packetv1.MSyncDocument{DocCode: "H41-260101-1", OrganInchargeIdLevel1: "H41"}
	if p.Subject() != "H41-260101-1" || p.Organisation().String() != "H41" {
		t.Errorf("with another dossier: %s, %q", p.Organisation(), p.Subject())
	}
}

// TestFindingsOutliveASharedContent: also where nothing was read but they.
func TestFindingsOutliveASharedContent(t *testing.T) {
	t.Parallel()
	codec := codecWith(t, packet.Options{Shared: true})
	content := []byte(strings.ReplaceAll(string(sample(t, "statistic.xml").Content), "<Month>10<", "<Adress>x</Adress><Month>secret<"))
	_, err := codec.Decode(statistic, xmlFormat, content)
	before := ""
	for _, f := range findingsOf(err) {
		before += f.String()
	}
	for i := range content {
		content[i] = '~'
	}
	after := ""
	for _, f := range findingsOf(err) {
		after += f.String()
	}
	if before != after || !strings.Contains(after, "secret") {
		t.Errorf("findings changed with the content:\n%s\ninto\n%s", before, after)
	}
}

// TestNothingIsReadBehindADefect: it would be made up.
func TestNothingIsReadBehindADefect(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for _, document := range []string{
		"<MDocumentTraces><DocumentId>a]]>b<DocCode></DocCode><UserName></UserName><DateCreated>31/02/2024</DateCreated>",
		"<MDocumentTraces><DocumentId>a&x;b<DocCode></DocCode><UserName></UserName><DateCreated>31/02/2024</DateCreated>",
		"<MDocumentTraces><a:><Status>zz</Status></a:></MDocumentTraces>",
	} {
		_, err := codec.Decode(progress, xmlFormat, []byte(document))
		if findings := findingsOf(err); len(findings) != 1 || findings[0].GetRule() != "syntax" {
			t.Errorf("%s: got %v; want the defect alone", document, findings)
		}
	}
}

// TestNamesAreBounded: a name is not where a text belongs.
func TestNamesAreBounded(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	long := strings.Repeat("a", 257)
	for content, format := range map[string]exchangev1.Format{
		"<MResult><" + long + "/></MResult>":           xmlFormat,
		"<MResult><b " + long + "=''/></MResult>":      xmlFormat,
		"<MResult><b><" + long + "/></b></MResult>":    xmlFormat,
		`{"` + long + `":1}`:                           jsonFormat,
		`{"b":{"` + long + `":1}}`:                     jsonFormat,
		`{"b":[{"` + long[:250] + `\u0020aaaaaa":1}]}`: jsonFormat,
	} {
		_, err := codec.DecodeMessage(&packetv1.MResult{}, format, []byte(content))
		if findings := findingsOf(err); len(findings) != 1 && len(findings) != 2 || findings[len(findings)-1].GetRule() != "limit.name" && findings[0].GetRule() != "limit.name" {
			t.Errorf("%.60s: got %v %v; want limit.name", content, err, findings)
		}
	}
	if _, err := codec.DecodeMessage(&packetv1.MResult{}, xmlFormat, []byte("<MResult><"+long[1:]+"/></MResult>")); err != nil {
		t.Errorf("a name of 256 bytes: %v %v", err, findingsOf(err))
	}
}

// TestCommentsAreNoText: they take no room in the packet.
func TestCommentsAreNoText(t *testing.T) {
	t.Parallel()
	m := &packetv1.MResult{}
	content := "<MResult><Message>a&amp;<!--" + strings.Repeat("x", 1<<16) + "-->b<![CDATA[<c]]>&lt;<!-- -->\r\nd</Message></MResult>"
	if _, err := newCodec(t).DecodeMessage(m, xmlFormat, []byte(content)); err != nil || m.GetMessage() != "a&b<c<\nd" {
		t.Errorf("got %q %v", m.GetMessage(), err)
	}
}
