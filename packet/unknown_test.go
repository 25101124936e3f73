package packet_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

func TestUnknownElementsAreWrittenAgainWhereTheyStood(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	const unknown = `<First a="1">một &amp; hai</First>`
	content := strings.NewReplacer(
		"<MDocumentTraces>\n", "<MDocumentTraces>\n  "+unknown+"\n",
		"  <Status>", "  <Nested>\n    <A>1</A>\n    <A>2</A>\n    <B>\n      <C></C>\n    </B>\n  </Nested>\n  <Status>",
		"</MDocumentTraces>", "  <Last></Last>\n</MDocumentTraces>",
	).Replace(string(sample(t, "progress.xml").Content))
	p := decode(t, codec, progress, xmlFormat, []byte(content))
	got := string(encode(t, codec, p.Message, xmlFormat))
	if want := strings.Replace(content, ` a="1"`, "", 1); got != want {
		t.Errorf("written\n%s\nwant\n%s", got, want)
	}
	m, ok := p.Message.(*packetv1.MDocumentTraces)
	if !ok || len(m.GetUnknownElements()) != 3 {
		t.Fatalf("unknown elements %v; want three", p.Message)
	}
	for i, after := range []string{"", "Comment", "OrganizationInchargeName"} {
		if m.GetUnknownElements()[i].GetAfter() != after {
			t.Errorf("%s stands after %q; want %q", m.GetUnknownElements()[i].GetName(), m.GetUnknownElements()[i].GetAfter(), after)
		}
	}
}

func TestUnknownElementsInPartsStayInTheirParts(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := strings.NewReplacer("    <Price>", "    <Currency>VND</Currency>\n    <Price>").Replace(string(sample(t, "dossier.xml").Content))
	p := decode(t, codec, dossier, xmlFormat, []byte(content))
	if got := string(encode(t, codec, p.Message, xmlFormat)); got != content {
		t.Errorf("written\n%s\nwant\n%s", got, content)
	}
	if len(p.Warnings) != 1 || p.Warnings[0].GetField() != "MSyncDocument.DocFees[0].Currency" {
		t.Errorf("warnings %v", p.Warnings)
	}
}

func TestUnknownMembersKeepTheirJSONTypes(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	const unknown = `"N":1.50e3,"S":"1.50","B":false,"Z":null,"O":{"a":[1,"x",[],{}],"b c":true},"A":[[1,2],[3]],"":"tên rỗng",`
	content := strings.NewReplacer("\n", "", `": "`, `":"`, `, "`, `,"`, `"Status": 4,`, `"Status":4,`+unknown, "  ", "").Replace(string(sample(t, "progress.json").Content))
	p := decode(t, codec, progress, jsonFormat, []byte(content))
	if got := string(encode(t, codec, p.Message, jsonFormat)); got != content {
		t.Errorf("written\n%s\nwant\n%s", got, content)
	}
}

func TestUnknownMembersBecomeElementsWithNamesThatXMLHas(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := strings.Replace(string(sample(t, "progress.json").Content), `"Status"`,
		`"a b": 1, "1x": true, "": "", "ữ": "chữ", "x:y": null, "L": [1, {"k": "v"}, [2, 3]], "E": [], "Status"`, 1)
	p := decode(t, codec, progress, jsonFormat, []byte(content))
	document := encode(t, codec, p.Message, xmlFormat)
	for _, want := range []string{
		"<a_x0020_b>1</a_x0020_b>", "<_x0031_x>true</_x0031_x>", "<_></_>", "<ữ>chữ</ữ>", "<x_x003A_y></x_x003A_y>",
		"<L>1</L>", "<L>\n    <k>v</k>\n  </L>", "<L>\n    <_>2</_>\n    <_>3</_>\n  </L>", "<E></E>",
	} {
		if !strings.Contains(string(document), want) {
			t.Errorf("the document lacks %s\n%s", want, document)
		}
	}
	again := decode(t, codec, progress, xmlFormat, document)
	if got := encode(t, codec, again.Message, xmlFormat); string(got) != string(document) {
		t.Errorf("written again\n%s\nwant\n%s", got, document)
	}
}

func TestUnknownElementsOfOneNameAreOneJSONMember(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := strings.NewReplacer("<Status>", "<X>1</X><X>2</X><Status>", "</MDocumentTraces>", "<X>3</X></MDocumentTraces>").
		Replace(string(sample(t, "progress.xml").Content))
	written := string(encode(t, codec, decode(t, codec, progress, xmlFormat, []byte(content)).Message, jsonFormat))
	if !strings.Contains(written, `"X":["1","2","3"],"Status":4`) || strings.Count(written, `"X"`) != 1 {
		t.Errorf("written %s; want X once, as an array", written)
	}
	decode(t, codec, progress, jsonFormat, []byte(written))
}

func TestUnknownElementsFollowWhatIsWritten(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := strings.Replace(string(sample(t, "dossier.xml").Content), "  <Status>", "  <FinishedDate/>\n  <X>1</X>\n  <Status>", 1)
	first := decode(t, codec, dossier, xmlFormat, []byte(content)).Message
	second := decode(t, codec, dossier, xmlFormat, encode(t, codec, first, xmlFormat)).Message
	if !proto.Equal(first, second) {
		t.Errorf("read again: %v\nwant %v", second, first)
	}
}

func TestStrictReadingRefusesUnknownElements(t *testing.T) {
	t.Parallel()
	codec := codecWith(t, packet.Options{Strict: true})
	content := strings.Replace(string(sample(t, "progress.xml").Content), "<Status>", "<X>1</X><Status>", 1)
	_, err := codec.Decode(progress, xmlFormat, []byte(content))
	if !hasFinding(findingsOf(err), "MDocumentTraces.X", "unknown") {
		t.Errorf("got %v; want X refused", err)
	}
}

// TestFindingsInUnknownElementsNameThem: a path that stops at what is known says
// nothing about where to look.
func TestFindingsInUnknownElementsNameThem(t *testing.T) {
	t.Parallel()
	codec := codecWith(t, packet.Options{TextBytes: 100})
	content := strings.Replace(string(sample(t, "progress.xml").Content), "<Status>",
		"<Foo b='1'><Bar lang='vi'/><x:Baz/><Long>"+strings.Repeat("x", 101)+"</Long><Mix>a<b/></Mix></Foo><Status>", 1)
	_, err := codec.Decode(progress, xmlFormat, []byte(content))
	var got []string
	for _, f := range findingsOf(err) {
		got = append(got, f.GetField()+" "+f.GetRule()+" "+f.GetSent())
	}
	want := "MDocumentTraces.Foo unknown Foo, MDocumentTraces.Foo xml.attribute b, MDocumentTraces.Foo.Bar xml.attribute lang, " +
		"MDocumentTraces xml.prefix x:Baz, MDocumentTraces.Foo.Mix xml.mixed ***(1), MDocumentTraces.Foo.Long limit.text "
	if sorted(got) != sorted(strings.Split(want, ", ")) {
		t.Errorf("got %s\nwant %s", strings.Join(got, ", "), want)
	}
	for _, f := range findingsOf(err) {
		if f.GetRule() == "xml.attribute" && !strings.Contains(f.GetMessageVi(), f.GetSent()+" bị bỏ qua") {
			t.Errorf("%s does not name the attribute", f.GetMessageVi())
		}
	}
}

func sorted(texts []string) string {
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

// TestUnknownElementsNameWhatMayHaveBeenMeant: a slip of the pen, and lists as some
// libraries wrap them.
func TestUnknownElementsNameWhatMayHaveBeenMeant(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := string(sample(t, "dossier.xml").Content)
	for _, c := range []struct{ old, new, field, want string }{
		{"<Address>", "<Adress>x</Adress><Address>", "MSyncDocument.Adress", "closest is Address"},
		{"<PaperName>", "<DocPaper><PaperName>x</PaperName></DocPaper><PaperName>", "MSyncDocument.DocPapers[0].DocPaper", "DocPapers is repeated for each DocPaper"},
		{"<Address>", "<Extra>x</Extra><Address>", "MSyncDocument.Extra", "it is kept and handed on"},
	} {
		p := decode(t, codec, dossier, xmlFormat, []byte(strings.Replace(content, c.old, c.new, 1)))
		if !reported(p.Warnings, c.field, "unknown", warned) || !strings.Contains(p.Warnings[0].GetMessageEn(), c.want) {
			t.Errorf("%s: got %v; want %q at %s", c.new, p.Warnings, c.want, c.field)
		}
	}
}

// TestManyUnknownElementsAreNotAllCompared: looking for what may have been
// meant is given up after some.
func TestManyUnknownElementsAreNotAllCompared(t *testing.T) {
	t.Parallel()
	content := strings.Replace(string(sample(t, "dossier.xml").Content), "<Address>", strings.Repeat("<Adress/>", 30)+"<Address>", 1)
	near := 0
	for _, f := range decode(t, newCodec(t), dossier, xmlFormat, []byte(content)).Warnings {
		if strings.Contains(f.GetMessageEn(), "closest is") {
			near++
		}
	}
	if near != 20 {
		t.Errorf("%d of 30 unknown elements were compared; want 20", near)
	}
}
