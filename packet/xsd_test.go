package packet_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jacoelho/xsd"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	edgev1 "github.com/lienthong/lienthong/gen/lienthong/edge/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
	"github.com/lienthong/lienthong/packet/samples"
)

func modes() []packet.XSDMode { return []packet.XSDMode{packet.XSDStrict, packet.XSDStructure} }

func schemaOf(t testing.TB, mode packet.XSDMode, types ...packetv1.PacketType) []byte {
	t.Helper()
	schema, err := packet.XSD(mode, types...)
	if err != nil {
		t.Fatalf("XSD: %v", err)
	}
	return schema
}

// validator returns a function that validates a document against the strict schema
// of all packets.
func validator(t testing.TB) func([]byte) error {
	t.Helper()
	return validatorOf(t, packet.XSDStrict)
}

func validatorOf(t testing.TB, mode packet.XSDMode) func([]byte) error {
	t.Helper()
	engine, err := xsd.Compile(xsd.Bytes("packets.xsd", schemaOf(t, mode)))
	if err != nil {
		t.Fatalf("the %s schema does not compile: %v", mode, err)
	}
	return func(document []byte) error { return engine.Validate(bytes.NewReader(document)) }
}

// lint asks xmllint, which make tools installs (libxml2-utils), which of documents
// are valid.
func lint(t testing.TB, mode packet.XSDMode, documents [][]byte) (valid []bool, said []string) {
	t.Helper()
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (make tools): %v", err)
	}
	dir := t.TempDir()
	args := []string{"--noout", "--nonet", "--schema", write(t, dir, "packets.xsd", schemaOf(t, mode))}
	for i, document := range documents {
		args = append(args, write(t, dir, fmt.Sprintf("%d.xml", i), document))
	}
	// The exit code says no more than the lines; it is not 0 once one is not valid.
	out, _ := exec.CommandContext(t.Context(), xmllint, args...).CombinedOutput()
	for i := range documents {
		file := args[len(args)-len(documents)+i]
		yes, no := bytes.Contains(out, []byte(file+" validates\n")), bytes.Contains(out, []byte(file+" fails to validate\n"))
		if yes == no {
			t.Fatalf("xmllint says nothing of %s:\n%s", documents[i], out)
		}
		valid = append(valid, yes)
		said = append(said, strings.Join(regexp.MustCompile(regexp.QuoteMeta(file)+`:.*`).FindAllString(string(out), -1), "\n"))
	}
	return valid, said
}

func write(t testing.TB, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantValid demands that both validators take all documents.
func wantValid(t *testing.T, mode packet.XSDMode, documents [][]byte) {
	t.Helper()
	ours := validatorOf(t, mode)
	theirs, said := lint(t, mode, documents)
	for i, document := range documents {
		if err := ours(document); err != nil || !theirs[i] {
			t.Errorf("%s: %v\n%s\n%s", mode, err, document, said[i])
		}
	}
}

func TestSamplesAreValidAgainstBothSchemas(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	var documents [][]byte
	for _, sample := range samples.Good() {
		if sample.Format == xmlFormat {
			documents = append(documents, sample.Content)
		}
		documents = append(documents, encode(t, codec, decode(t, codec, sample.Type, sample.Format, sample.Content).Message, xmlFormat))
	}
	for _, mode := range modes() {
		wantValid(t, mode, documents)
	}
}

func TestWrittenPacketsAreValidAgainstBothSchemas(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	var documents [][]byte
	for _, typ := range []packetv1.PacketType{dossier, progress, survey, statistic} {
		for i := range 25 {
			m := standard(messages(typ).Example(i))
			fix(m)
			document := encode(t, codec, m, xmlFormat)
			if !regexp.MustCompile(`[0-9]{24}`).Match(document) { // libxml2 takes no decimals of more digits
				documents = append(documents, document)
			}
		}
	}
	if len(documents) < 50 {
		t.Fatalf("only %d documents", len(documents))
	}
	for _, mode := range modes() {
		wantValid(t, mode, documents)
	}
}

func TestAnswersAndDeliveriesAreValidAgainstBothSchemas(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	at := timestamppb.New(time.Date(2026, time.November, 4, 2, 0, 1, 0, time.UTC))
	all := &edgev1.MDeliveries{LeaseUntil: at, Deliveries: []*edgev1.MDelivery{{DeliveryId: "9", Sender: "G12/a", Organisation: "G12", AcceptedAt: at, Attempt: 3, Problem: proto.String("?")}}}
	for _, good := range samples.Good() {
		delivery := &edgev1.MDelivery{DeliveryId: "1", Sender: "H41/motcua", Organisation: "H41", AcceptedAt: at, Attempt: 1}
		switch m := decode(t, codec, good.Type, good.Format, good.Content).Message.(type) {
		case *packetv1.MSyncDocument:
			delivery.MSyncDocument = m
		case *packetv1.MDocumentTraces:
			delivery.MDocumentTraces = m
		case *packetv1.MVotes:
			delivery.MVotes = m
		case *packetv1.MStatistic:
			delivery.MStatistic = m
		}
		all.Deliveries = append(all.Deliveries, delivery)
	}
	var documents [][]byte
	for _, m := range []proto.Message{
		all, &edgev1.MDeliveries{}, &edgev1.MAcknowledge{DeliveryId: []string{"1", "2"}},
		&packetv1.MResult{Status: proto.Int32(0), Message: proto.String("no")}, &packetv1.MResult{},
	} {
		documents = append(documents, encode(t, codec, m, xmlFormat))
	}
	for _, mode := range modes() {
		wantValid(t, mode, documents)
	}
	for _, wrong := range []string{"<MAcknowledge/>", "<MDelivery/>", "<MDeliveries><Delivery/></MDeliveries>", "<MDeliveries><MSyncDocument/></MDeliveries>"} {
		if validator(t)([]byte(wrong)) == nil {
			t.Errorf("%s is valid", wrong)
		}
	}
}

func TestSchemaOfOnePacketStandsAlone(t *testing.T) {
	t.Parallel()
	for typ := range packetv1.PacketType_name {
		typ := packetv1.PacketType(typ)
		for _, mode := range modes() {
			schema, err := packet.XSD(mode, typ)
			if typ == packetv1.PacketType_PACKET_TYPE_UNSPECIFIED {
				if err == nil {
					t.Error("a schema of no packet: got one, want an error")
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", typ, err)
			}
			if _, err := xsd.Compile(xsd.Bytes("one.xsd", schema)); err != nil {
				t.Errorf("%s, %s does not compile: %v", typ, mode, err)
			}
			if bytes.Count(schema, []byte("\n  <xs:element ")) != 1 {
				t.Errorf("%s, %s: want one root element\n%s", typ, mode, schema)
			}
		}
	}
	if _, err := packet.XSD(packet.XSDMode(7)); err == nil || !strings.Contains(err.Error(), "XSDMode(7)") {
		t.Errorf("a mode that there is not: %v", err)
	}
}

func TestSchemaIsTheSameEveryTimeAndSaysWhatTheProtosSay(t *testing.T) {
	t.Parallel()
	for mode, wants := range map[packet.XSDMode][]string{
		packet.XSDStrict: {
			`<xs:element name="MSyncDocument">`,
			`<xs:element name="Attachments" type="Attachment" minOccurs="0" maxOccurs="unbounded">`,
			`<xs:element name="SuccessDate" type="DatetimeOrEmpty">`,
			`<xs:element name="DateReceived" type="Datetime">`,
			`<xs:restriction base="DecimalOrEmpty">`,
			`<xs:documentation xml:lang="vi">Hình thức trả kết quả: 0 - Trả tại bộ phận một cửa; 1 - Trả qua dịch vụ bưu chính công ích</xs:documentation>`,
			`<xs:documentation xml:lang="en">How the result is handed over: 0 - at the counter; 1 - by public post</xs:documentation>`,
			`SuccessDate is required once IsSuccess is true`,
			`<xs:maxInclusive value="12"/>`,
			`<xs:maxLength value="100"/>`,
			`<xs:maxLength value="104857600"/>`,
			`<xs:pattern value="(-?[0-9]+([.][0-9]+)?)?"/>`,
			`<xs:element name="MResult">`,
		},
		packet.XSDStructure: {
			`<xs:element name="MSyncDocument">`,
			`<xs:element name="Attachments" type="Attachment" minOccurs="0" maxOccurs="unbounded">`,
			`<xs:element name="SuccessDate" type="xs:string">`,
			`<xs:element name="Month" type="xs:string">`,
			`<xs:element name="Base64" type="xs:string">`,
		},
	} {
		schema := string(schemaOf(t, mode))
		for range 4 {
			if again := string(schemaOf(t, mode)); again != schema {
				t.Fatalf("two %s schemas differ", mode)
			}
		}
		for _, want := range wants {
			if !strings.Contains(schema, want) {
				t.Errorf("the %s schema lacks %s", mode, want)
			}
		}
		if strings.Contains(schema, "xs:enumeration") {
			t.Errorf("the %s schema closes a code list", mode)
		}
		if one := string(schemaOf(t, mode, dossier)); strings.Contains(one, "MDeliver") || strings.Contains(one, "MResult") {
			t.Errorf("the %s schema of one packet describes others", mode)
		}
		if mode == packet.XSDStructure && regexp.MustCompile(`xs:simpleType|type="xs:(int|boolean|decimal|dateTime|base64Binary)"`).MatchString(schema) {
			t.Error("the structure schema says what a value is")
		}
	}
}

func TestEveryElementAndTypeIsExplainedInBothLanguages(t *testing.T) {
	t.Parallel()
	for _, mode := range modes() {
		schema := schemaOf(t, mode)
		named := regexp.MustCompile(`<xs:(element|complexType|simpleType) name="[^"]*"[^>]*>\s*(<xs:annotation>\s*<xs:documentation xml:lang="vi">[^<]+</xs:documentation>\s*<xs:documentation xml:lang="en">[^<]+</xs:documentation>)?`)
		found := named.FindAllSubmatch(schema, -1)
		if len(found) < 100 {
			t.Fatalf("%s: found %d elements and types", mode, len(found))
		}
		for _, m := range found {
			if len(m[2]) == 0 {
				t.Errorf("%s: %s is not explained", mode, m[0])
			}
		}
	}
}

// mutation changes a sample and says in which schema it stays valid.
type mutation struct {
	name, sample, old, new string
	strict, structure      bool
}

func mutations() []mutation {
	const d, s, p, v = "dossier.xml", "statistic.xml", "progress.xml", "survey.xml"
	return []mutation{
		{"nothing", d, "", "", true, true},
		{"comment", d, "<DocCode>", "<!-- ! --><DocCode>", true, true},
		{"CDATA", d, "<DocCode>000.00.04.H41-261102-0007<", "<DocCode><![CDATA[000.00.04.H41-261102-0007]]><", true, true},
		{"missing element", s, "  <Year>2026</Year>\n", "", false, false},
		{"missing element of a part", d, "    <IsVerified>true</IsVerified>\n", "", false, false},
		{"missing element that is not required", d, "  <CitizenInfo>Sinh năm 1990</CitizenInfo>\n", "", true, true},
		{"wrong order", s, "<Month>10</Month>\n  <Year>2026</Year>", "<Year>2026</Year>\n  <Month>10</Month>", false, false},
		{"twice", s, "<Year>2026</Year>", "<Year>2026</Year><Year>2026</Year>", false, false},
		{"extra element", s, "<Year>", "<Extra>1</Extra><Year>", false, false},
		{"extra element at the end", d, "</MSyncDocument>", "<Extra/></MSyncDocument>", false, false},
		{"alias", s, "PreExtisting", "PreExisting", false, false},
		{"other case", s, "<Year>2026</Year>", "<year>2026</year>", false, false},
		{"attribute", s, "<Year>", `<Year a="1">`, false, false},
		{"namespace", s, "<MStatistic>", `<MStatistic xmlns="urn:x">`, false, false},
		{"text between", s, "<Year>", "x<Year>", false, false},
		{"element in a value", s, "<Year>2026</Year>", "<Year><b/>2026</Year>", false, false},
		{"other root", s, "MStatistic", "MStatistics", false, false},
		{"empty part", d, "</DocPapers>\n  <OrganIn", "</DocPapers>\n  <DocPapers/>\n  <OrganIn", false, true},
		{"out of range", s, "<Month>10</Month>", "<Month>13</Month>", false, true},
		{"below range", s, "<Total>2158</Total>", "<Total>-1</Total>", false, true},
		{"beyond int", s, "<Total>2158</Total>", "<Total>2147483648</Total>", false, true},
		{"no number", s, "<Total>2158</Total>", "<Total>abc</Total>", false, true},
		{"fraction of zeros", s, "<Total>2158</Total>", "<Total>2158.0</Total>", false, true},
		{"boolean by number", s, "<IsMonthStatistic>true", "<IsMonthStatistic>1", true, true},
		{"boolean in capitals", s, "<IsMonthStatistic>true", "<IsMonthStatistic>True", false, true},
		{"decimal with a comma", s, "<SolvedLatePercent>2.01", "<SolvedLatePercent>2,01", false, true},
		{"decimal with an exponent", s, "<SolvedLatePercent>2.01", "<SolvedLatePercent>201e-2", false, true},
		{"decimal of 20 digits", v, "<PercentBad>5.2<", "<PercentBad>5.2000000000000000000<", true, true},
		{"NaN", s, "<SolvedLatePercent>2.01", "<SolvedLatePercent>NaN", false, true},
		{"empty percentage", s, "<SolvedLatePercent>2.01", "<SolvedLatePercent>", true, true},
		{"empty amount", d, "<Price>80000", "<Price>", false, true},
		{"empty text", d, "<DocTypeName>Đăng ký biện pháp bảo đảm bằng quyền sử dụng đất, tài sản gắn liền với đất<", "<DocTypeName><", false, true},
		{"too long", d, "0007</DocCode>", strings.Repeat("7", 100) + "</DocCode>", false, true},
		{"as long as may be", d, "000.00.04.H41-261102-0007</DocCode>", strings.Repeat("đ", 100) + "</DocCode>", true, true},
		{"bad date", d, "2026-11-02T08:15:00.000+07:00", "2026-02-30T08:15:00.000+07:00", false, true},
		{"date only", d, "2026-11-02T08:15:00.000+07:00", "2026-11-02", false, true},
		{"date without offset", d, "2026-11-02T08:15:00.000+07:00", "2026-11-02T08:15:00.000", false, true},
		{"offset without colon", d, "2026-11-02T08:15:00.000+07:00", "2026-11-02T08:15:00.000+0700", false, true},
		{"date in UTC", d, "2026-11-02T08:15:00.000+07:00", "2026-11-02T01:15:00Z", true, true},
		{"microseconds", d, "2026-11-02T08:15:00.000+07:00", "2026-11-02T08:15:00.123456+07:00", false, true},
		{"no date", d, "2026-11-02T08:15:00.000+07:00", "", false, true},
		{"the guide's null date", d, "<SuccessDate>", "<SuccessDate>0000-00-00T00:00:00.000+0700", false, true},
		{"date where there may be none", d, "<SuccessDate>", "<SuccessDate>2026-11-02T08:15:00.000+07:00", true, true},
		{"Base64 in lines", d, "JVBERi0xLjQKJSBW", "JVBERi0xLjQK\n JSBW", true, true},
		{"broken Base64", d, "JVBERi0xLjQKJSBW", "JVBERi0xLjQKJSB", false, true},
		{"no Base64", d, "JVBERi0xLjQKJSBWxINuIGLhuqNuIG3huqt1Cg==", "", false, true},
		{"organisation in the new spelling", p, "<OrganizationInchargeIdLevel1>000.00.00.H41<", "<OrganizationInchargeIdLevel1>H41.01.02<", true, true},
		{"organisation in small letters", d, "<OrganInchargeIdLevel1>000.00.00.H41<", "<OrganInchargeIdLevel1>h41<", false, true},
		{"no organisation", d, "<OrganInchargeIdLevel1>000.00.00.H41<", "<OrganInchargeIdLevel1>41.H<", false, true},
		{"status beyond the list", d, "<Status>2<", "<Status>77<", true, true},
		{"identity of numbers broken", s, "<Total>2158<", "<Total>2159<", true, true},
	}
}

func TestBothValidatorsAgreeOnMutations(t *testing.T) {
	t.Parallel()
	var documents [][]byte
	for _, m := range mutations() {
		document := string(sample(t, m.sample).Content)
		if !strings.Contains(document, m.old) {
			t.Fatalf("%s: %s has no %q", m.name, m.sample, m.old)
		}
		times := 1
		if !strings.ContainsAny(m.old, "<> ") { // a name, in both its tags
			times = 2
		}
		documents = append(documents, []byte(strings.Replace(document, m.old, m.new, times)))
	}
	for _, mode := range modes() {
		ours := validatorOf(t, mode)
		theirs, said := lint(t, mode, documents)
		for i, m := range mutations() {
			want := m.strict
			if mode == packet.XSDStructure {
				want = m.structure
			}
			if err := ours(documents[i]); (err == nil) != want {
				t.Errorf("%s, %s: got %v, want valid %v", m.name, mode, err, want)
			}
			if theirs[i] != want {
				t.Errorf("%s, %s: xmllint says valid %v, want %v\n%s", m.name, mode, theirs[i], want, said[i])
			}
		}
	}
}
