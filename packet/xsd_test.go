package packet_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jacoelho/xsd"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
	"github.com/lienthong/lienthong/packet/samples"
)

func schemaOf(t testing.TB, types ...packetv1.PacketType) []byte {
	t.Helper()
	schema, err := packet.XSD(types...)
	if err != nil {
		t.Fatalf("XSD: %v", err)
	}
	return schema
}

// validator returns a function that validates a document against the schema of
// all packets.
func validator(t testing.TB) func([]byte) error {
	t.Helper()
	engine, err := xsd.Compile(xsd.Bytes("packets.xsd", schemaOf(t)))
	if err != nil {
		t.Fatalf("the schema does not compile: %v", err)
	}
	return func(document []byte) error { return engine.Validate(bytes.NewReader(document)) }
}

func TestSamplesWrittenAgainAreValidAgainstTheSchema(t *testing.T) {
	t.Parallel()
	codec, valid := newCodec(t), validator(t)
	for _, sample := range samples.Good() {
		document := encode(t, codec, decode(t, codec, sample.Type, sample.Format, sample.Content).Message, xmlFormat)
		if err := valid(document); err != nil {
			t.Errorf("%s: %v\n%s", sample.Name, err, document)
		}
	}
}

func TestSchemaOfOnePacketStandsAlone(t *testing.T) {
	t.Parallel()
	for typ := range packetv1.PacketType_name {
		typ := packetv1.PacketType(typ)
		schema, err := packet.XSD(typ)
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
			t.Errorf("%s does not compile: %v", typ, err)
		}
		if bytes.Count(schema, []byte("\n  <xs:element ")) != 1 {
			t.Errorf("%s: want one root element\n%s", typ, schema)
		}
	}
}

func TestSchemaIsTheSameEveryTimeAndSaysWhatTheProtosSay(t *testing.T) {
	t.Parallel()
	schema := string(schemaOf(t))
	for range 8 {
		if again := string(schemaOf(t)); again != schema {
			t.Fatal("two schemas differ")
		}
	}
	for _, want := range []string{
		`<xs:element name="MSyncDocument" type="MSyncDocument">`,
		`<xs:element name="Attachments" type="Attachment" minOccurs="0" maxOccurs="unbounded">`,
		`<xs:element name="SuccessDate" type="DatetimeOrEmpty">`,
		`<xs:element name="DateReceived" type="xs:dateTime">`,
		`<xs:element name="SolvedInTimePercent" type="DecimalOrEmpty">`,
		`<xs:documentation xml:lang="vi">Hình thức trả kết quả: 0 - Trả tại bộ phận một cửa; 1 - Trả qua dịch vụ bưu chính công ích</xs:documentation>`,
		`<xs:maxInclusive value="12"/>`,
		`<xs:maxLength value="100"/>`,
		`<xs:element name="MResult" type="MResult">`,
	} {
		if !strings.Contains(schema, want) {
			t.Errorf("the schema lacks %s", want)
		}
	}
	if strings.Contains(schema, "xs:enumeration") || strings.Contains(schema, "MDeliver") {
		t.Error("the schema closes a code list, or describes what is not the standard's")
	}
}

func TestSchemaRefusesWhatTheRulesRefuse(t *testing.T) {
	t.Parallel()
	valid := validator(t)
	good := slices.IndexFunc(samples.Good(), func(s samples.Sample) bool { return s.Name == "statistic.xml" })
	document := string(samples.Good()[good].Content)
	if err := valid([]byte(document)); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for old, wrong := range map[string]string{
		"<Month>10</Month>":                           "<Month>13</Month>",
		"<Year>2026</Year>":                           "",
		"<Total>2158</Total>":                         "<Total>abc</Total>",
		"<SolvedLatePercent>2.01":                     "<SolvedLatePercent>2,01",
		"<IsMonthStatistic>true":                      "<IsMonthStatistic>yes",
		"<OrganizationInchargeName>UBND tỉnh Nghệ An": "<OrganizationInchargeName>",
	} {
		if !strings.Contains(document, old) {
			t.Fatalf("the sample has no %s", old)
		}
		if err := valid([]byte(strings.Replace(document, old, wrong, 1))); err == nil {
			t.Errorf("%q instead of %q: want it refused", wrong, old)
		}
	}
}

// TestXmllintAgrees needs xmllint, which make tools installs (libxml2-utils).
func TestXmllintAgrees(t *testing.T) {
	t.Parallel()
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatalf("xmllint is needed (make tools): %v", err)
	}
	dir := t.TempDir()
	schema := write(t, dir, "packets.xsd", schemaOf(t))
	codec := newCodec(t)
	args := []string{"--noout", "--nonet", "--schema", schema}
	for i, sample := range samples.Good() {
		document := encode(t, codec, decode(t, codec, sample.Type, sample.Format, sample.Content).Message, xmlFormat)
		args = append(args, write(t, dir, string(rune('a'+i))+".xml", document))
	}
	if out, err := exec.CommandContext(t.Context(), xmllint, args...).CombinedOutput(); err != nil {
		t.Errorf("xmllint: %v\n%s", err, out)
	}
	bad := write(t, dir, "bad.xml", samples.Bad()[0].Content)
	if out, err := exec.CommandContext(t.Context(), xmllint, "--noout", "--nonet", "--schema", schema, bad).CombinedOutput(); err == nil {
		t.Errorf("xmllint takes a bad one\n%s", out)
	}
}

func write(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
