package packet_test

import (
	"strings"
	"testing"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

// TestRefusedLibertiesSayWhatIsRight: a text that says how a value was understood
// would say the opposite of a refusal.
func TestRefusedLibertiesSayWhatIsRight(t *testing.T) {
	t.Parallel()
	codec := codecWith(t, strict())
	for _, c := range []struct{ sample, old, new, rule, en, vi string }{
		{"statistic.xml", "<Year>2026</Year>", "<year>2026</year>", "name.case", "must be written Year", "phải viết là Year"},
		{"statistic.xml", "<PreExtisting>316</PreExtisting>", "<PreExisting>316</PreExisting>", "name.alias", "must be written PreExtisting", "phải viết là PreExtisting"},
		{"statistic.xml", "<Year>", "<Foo/><Year>", "unknown", "is not an element of MStatistic", "không phải phần tử của MStatistic"},
		{"statistic.xml", "<Year>", "<Year a='1'>", "xml.attribute", "the standard has no attributes; leave out a", "chuẩn không dùng thuộc tính; hãy bỏ a"},
		{"statistic.xml", "<MStatistic>", "<MStatistic xmlns='urn:x'>", "xml.namespace", "the standard has no namespaces; leave out xmlns", "chuẩn không dùng không gian tên; hãy bỏ khai báo xmlns"},
		{"statistic.xml", ">true<", ">TRUE<", "bool", "must be written true", "phải viết là true"},
		{"statistic.xml", ">97.99<", ">9.799e1<", "decimal", "must be written 97.99", "phải viết là 97.99"},
		{"statistic.xml", ">10<", "> 10<", "whitespace", "must have no white space around the value", "không được có khoảng trắng quanh giá trị"},
		{"statistic.xml", ">000.00.00.H41<", ">h41<", "organisation", "must be written H41", "phải viết là H41"},
		{"statistic.xml", `"UTF-8"`, `"utf8"`, "encoding", "the encoding must be written UTF-8", "mã hóa phải viết là UTF-8"},
		{"dossier.xml", "2026-11-02T08:15:00.000+07:00", "02/11/2026", "datetime", "must be written 2026-11-02T00:00:00.000+07:00", "phải viết là 2026-11-02T00:00:00.000+07:00"},
		{"dossier.xml", "2026-11-02T08:15:00.000+07:00", "mai", "datetime", "a date with time and offset is expected, e.g. 2018-10-23T09:15:00.000+07:00", "phải là ngày giờ có múi giờ, ví dụ 2018-10-23T09:15:00.000+07:00"},
		{"dossier.xml", "<SuccessDate></SuccessDate>", "<SuccessDate>0000-00-00</SuccessDate>", "absent", "must be empty where there is no date", "phải để trống khi chưa có ngày"},
		{"dossier.xml", "<HasSupplementary>false<", "<HasSupplementary><", "absent", "must hold a value, or be left out", "phải có giá trị, nếu không có thì bỏ hẳn"},
		{"statistic.json", ": 10,", `: "10",`, "int", "must be written 10, without quotation marks", "phải viết là 10, không đặt trong dấu ngoặc kép"},
		{"statistic.json", `"Note": ""`, `"Note": 1`, "type", "must be a JSON string, in quotation marks", "phải là chuỗi JSON, đặt trong dấu ngoặc kép"},
		{"statistic.json", `"Note": ""`, `"Note": null`, "absent", "must be a text, which may be empty", "phải là văn bản, có thể rỗng"},
	} {
		s := sample(t, c.sample)
		content := strings.Replace(string(s.Content), c.old, c.new, 1)
		if content == string(s.Content) {
			t.Fatalf("%s has no %q", c.sample, c.old)
		}
		_, err := codec.Decode(s.Type, s.Format, []byte(content))
		findings := findingsOf(err)
		if len(findings) != 1 || findings[0].GetRule() != c.rule || findings[0].GetMessageEn() != c.en || findings[0].GetMessageVi() != c.vi {
			t.Errorf("%s with %s: findings %v\nwant %s: %s | %s", c.sample, c.new, findings, c.rule, c.en, c.vi)
		}
	}
}

func TestOrganisationsReadWithALibertyAreKeptAsTheyAreWrittenRightly(t *testing.T) {
	t.Parallel()
	codec, strictly := newCodec(t), codecWith(t, strict())
	for sent, want := range map[string]string{"h41": "H41", " H41 ": "H41", "000.00.04.h41\n": "000.00.04.H41", "000.00.00.H41": "000.00.00.H41", "H41.00": "H41.00"} {
		content := strings.Replace(string(sample(t, "statistic.xml").Content), ">000.00.00.H41<", ">"+sent+"<", 1)
		p := decode(t, codec, statistic, xmlFormat, []byte(content))
		m, ok := p.Message.(*packetv1.MStatistic)
		if !ok || m.GetOrganizationInchargeIdlevel1() != want {
			t.Errorf("%q: kept %v; want %s", sent, p.Message, want)
		}
		for _, format := range []exchangev1.Format{xmlFormat, jsonFormat, protobufFormat} {
			decode(t, strictly, statistic, format, encode(t, codec, p.Message, format))
		}
	}
}

func TestUnsetDatesAreToldFromDatesOutOfRange(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for sent, want := range map[string]string{
		"0001-01-01T00:00:00":       "a date is required; 0001-01-01 is an unset date",
		"0001-01-01T00:00:00Z":      "a date is required; 0001-01-01 is an unset date",
		"0001-01-01T00:00:00+07:00": "a date is required; 0001-01-01 is an unset date",
		"0001-01-01":                "a date is required; 0001-01-01 is an unset date",
		"0001-01-01T06:59:59+07:00": "is out of range: after 0001-01-01T07:00:00+07:00 and before 10000-01-01T00:00:00+07:00 is allowed",
		"9999-12-31T23:59:59Z":      "is out of range: after 0001-01-01T07:00:00+07:00 and before 10000-01-01T00:00:00+07:00 is allowed",
	} {
		content := strings.Replace(string(sample(t, "dossier.xml").Content), "<DateReceived>2026-11-02T08:15:00.000+07:00<", "<DateReceived>"+sent+"<", 1)
		_, err := codec.Decode(dossier, xmlFormat, []byte(content))
		if findings := findingsOf(err); len(findings) != 1 || findings[0].GetField() != "MSyncDocument.DateReceived" || findings[0].GetMessageEn() != want {
			t.Errorf("%s: findings %v; want %q", sent, findings, want)
		}
	}
	content := strings.Replace(string(sample(t, "dossier.xml").Content), "<DateReceived>2026-11-02T08:15:00.000+07:00<", "<DateReceived>0001-01-01T07:00:01+07:00<", 1)
	decode(t, codec, dossier, xmlFormat, []byte(content))
}

// TestFindingsRepeatNothingOfAPerson: not of any free text, and not of elements
// that the standard does not know.
func TestFindingsRepeatNothingOfAPerson(t *testing.T) {
	t.Parallel()
	const secret = "987654321987"
	for _, c := range []struct {
		sample string
		fields []string
	}{
		{"dossier-returned.json", []string{"CitizenName", "CitizenInfo", "ApplicantsId", "Address", "Email", "Phone", "Compendium",
			"ApproverName", "SuccessNote", "ReturnNote", "Note"}},
		{"progress.json", []string{"UserName", "Comment"}},
	} {
		s := sample(t, c.sample)
		for _, name := range c.fields {
			_, rest, _ := strings.Cut(string(s.Content), "{")
			content := `{"` + name + `": ` + secret + `, "Foo": {"` + name + `": [` + secret + `, {"a": "` + secret + `", "a": "` + secret + `\u0000"}]},` + rest
			_, err := codecWith(t, strict()).Decode(s.Type, s.Format, []byte(content))
			findings := findingsOf(err)
			if !hasFinding(findings, rootOf(s.Type)+"."+name, "type") {
				t.Errorf("%s: findings %v; want its type refused", name, findings)
			}
			for _, f := range findings {
				if strings.Contains(f.String(), secret) {
					t.Errorf("%s: a finding repeats it: %v", name, f)
				}
			}
		}
	}
	for _, part := range []string{
		`"Attachments": [{"AttachmentName": ` + secret + `, "Base64": ` + secret + `}]`,
		`"DocPapers": [{"PaperName": ` + secret + `}]`,
		`"Supplementaries": [{"SendUser": ` + secret + `, "SendComment": ` + secret + `, "ReceivedUser": ` + secret + `, "ReceivedComment": ` + secret + `}]`,
	} {
		_, err := codecWith(t, packet.Options{}).Decode(dossier, jsonFormat, []byte("{"+part+"}"))
		for _, f := range findingsOf(err) {
			if strings.Contains(f.String(), secret) {
				t.Errorf("%s: a finding repeats it: %v", part, f)
			}
		}
	}
}

func rootOf(typ packetv1.PacketType) string {
	return map[packetv1.PacketType]string{dossier: "MSyncDocument", progress: "MDocumentTraces"}[typ]
}

func TestDeclaredASCIIHasToBeASCII(t *testing.T) {
	t.Parallel()
	codec := codecWith(t, strict())
	const document = `<?xml version="1.0" encoding="us-ascii"?><MResult><Message>%</Message></MResult>`
	m := &packetv1.MResult{}
	if _, err := codec.DecodeMessage(m, xmlFormat, []byte(strings.Replace(document, "%", "&#272;a nhan", 1))); err != nil || m.GetMessage() != "Đa nhan" {
		t.Errorf("got %v, %v; want it read", m, err)
	}
	for _, text := range []string{"aế", "a\xE9"} {
		_, err := codec.DecodeMessage(m, xmlFormat, []byte(strings.Replace(document, "%", text, 1)))
		findings := findingsOf(err)
		if len(findings) != 1 || findings[0].GetRule() != "encoding" || !strings.Contains(findings[0].GetMessageEn(), "us-ascii is declared") ||
			int(findings[0].GetColumn()) != strings.Index(document, "%")+2 {
			t.Errorf("%q: findings %v; want what is beyond ASCII", text, findings)
		}
	}
}
