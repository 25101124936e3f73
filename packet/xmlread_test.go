package packet_test

import (
	"fmt"
	"strings"
	"testing"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

const (
	refused = packetv1.Severity_SEVERITY_ERROR
	warned  = packetv1.Severity_SEVERITY_WARNING
)

// change is a sample with one text replaced, and the one finding it must give.
type change struct {
	name             string
	old, new         string
	severity         packetv1.Severity
	field            string
	rule             string
	at               string // line:column
	sent, understood string
}

// check decodes a sample as it was changed and compares the findings.
func (c change) check(t *testing.T, codec *packet.Codec, typ packetv1.PacketType, format exchangev1.Format, content string) {
	t.Helper()
	if !strings.Contains(content, c.old) {
		t.Fatalf("the sample has no %q", c.old)
	}
	content = strings.Replace(content, c.old, c.new, 1)
	p, err := codec.Decode(typ, format, []byte(content))
	findings := findingsOf(err)
	switch {
	case err == nil:
		findings = p.Warnings
	case findings == nil:
		t.Fatalf("decode: %v", err)
	}
	if (err != nil) != (c.severity == refused) {
		t.Fatalf("error %v; findings %v; want %s", err, findings, c.severity)
	}
	if len(findings) != 1 {
		t.Fatalf("findings %v; want one", findings)
	}
	f := findings[0]
	if got := fmt.Sprintf("%d:%d", f.GetLine(), f.GetColumn()); got != c.at || f.GetField() != c.field || f.GetRule() != c.rule ||
		f.GetSent() != c.sent || f.GetUnderstood() != c.understood || f.GetSeverity() != c.severity {
		t.Errorf("got %s %s %s %s sent %q understood %q\nwant %s %s %s %s sent %q understood %q", f.GetSeverity(), f.GetField(), f.GetRule(), got,
			f.GetSent(), f.GetUnderstood(), c.severity, c.field, c.rule, c.at, c.sent, c.understood)
	}
	if f.GetMessageEn() == "" || f.GetMessageVi() == "" || f.GetMessageEn() == f.GetMessageVi() {
		t.Errorf("texts %q and %q; want one in each language", f.GetMessageEn(), f.GetMessageVi())
	}
}

// strictly is how severe a liberty is in strict reading: a violation, but for what
// only hints at a mistake.
func strictly(rule string) packetv1.Severity {
	switch rule {
	case "dossier.doc_code", "dossier.applicants_id", "dossier.applicants_id.citizen", "dossier.applicants_id.enterprise", "statistic.year", "fee.price":
		return warned
	}
	return refused
}

func TestReadXMLReportsEveryLiberty(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	statisticXML := string(sample(t, "statistic.xml").Content)
	for _, c := range []change{
		{"alias", "PreExtisting>", "PreExisting>", warned, "MStatistic.PreExtisting", "name.alias", "7:3", "PreExisting", "PreExtisting"},
		{"alias of another packet", "OrganizationInchargeIdlevel1>", "OrganInchargeIdLevel1>", warned, "MStatistic.OrganizationInchargeIdlevel1", "name.alias", "20:3", "OrganInchargeIdLevel1", "OrganizationInchargeIdlevel1"},
		{"capital letters", "<Month>10</Month>", "<MONTH>10</MONTH>", warned, "MStatistic.Month", "name.case", "3:3", "MONTH", "Month"},
		{"root in capital letters", "MStatistic>", "mstatistic>", warned, "MStatistic", "name.case", "2:1", "mstatistic", "MStatistic"},
		{"unknown element", "<Year>", "<Extra>1</Extra><Year>", warned, "MStatistic.Extra", "unknown", "4:3", "Extra", ""},
		{"unknown element with children", "<Year>", "<Extra><A>1</A><B><C/></B></Extra><Year>", warned, "MStatistic.Extra", "unknown", "4:3", "Extra", ""},
		{"out of order", "  <Month>10</Month>\n  <Year>2026</Year>", "  <Year>2026</Year>\n  <Month>10</Month>", warned, "MStatistic.Month", "xml.order", "4:3", "Year, Month", "Month, Year"},
		{"attribute", "<Month>", `<Month unit="m">`, warned, "MStatistic.Month", "xml.attribute", "3:10", "unit", ""},
		{"namespace", "<MStatistic>", `<MStatistic xmlns="urn:x">`, warned, "MStatistic", "xml.namespace", "2:13", "xmlns", ""},
		{"prefix", "<Month>10</Month>", "<a:Month>10</a:Month>", warned, "MStatistic", "xml.prefix", "3:3", "a:Month", "Month"},
		{"integer with white space", ">10<", "> 10\n<", warned, "MStatistic.Month", "whitespace", "3:3", " 10\n", "10"},
		{"integer with a fraction of zeros", ">10<", ">10.0<", warned, "MStatistic.Month", "int", "3:3", "10.0", "10"},
		{"boolean in capitals", ">true<", ">True<", warned, "MStatistic.IsMonthStatistic", "bool", "5:3", "True", "true"},
		{"decimal with an exponent", ">97.99<", ">9.799E1<", warned, "MStatistic.SolvedInTimePercent", "decimal", "11:3", "9.799E1", "97.99"},
		{"percent NaN", ">97.99<", ">NaN<", warned, "MStatistic.SolvedInTimePercent", "absent", "11:3", "NaN", ""},
		{"percent Infinity", ">97.99<", ">-Infinity<", warned, "MStatistic.SolvedInTimePercent", "absent", "11:3", "-Infinity", ""},
		{"organisation in small letters", ">000.00.00.H41<", ">h41<", warned, "MStatistic.OrganizationInchargeIdlevel1", "organisation", "20:3", "h41", "H41"},
		{"organisation in small letters, as in 2016", ">000.00.00.H41<", "> 000.00.00.h41<", warned, "MStatistic.OrganizationInchargeIdlevel1", "organisation", "20:3", " 000.00.00.h41", "000.00.00.H41"},
		{"organisation with white space", ">000.00.00.H41<", ">H41\u00A0<", warned, "MStatistic.OrganizationInchargeIdlevel1", "whitespace", "20:3", "H41\u00A0", "H41"},
		{"encoding without hyphen", `"UTF-8"`, `"utf8"`, warned, "MStatistic", "encoding", "1:1", "utf8", "UTF-8"},
		{"year before the guide", ">2026<", ">1999<", warned, "MStatistic.Year", "statistic.year", "4:3", "1999", ""},
		{"year far off", ">2026<", ">2101<", warned, "MStatistic.Year", "statistic.year", "4:3", "2101", ""},
		{"total that does not add up", "<NewReception>1842<", "<NewReception>1841<", warned, "MStatistic.Total", "statistic.total", "8:3", "2158", ""},
		{"percent that is not its part", ">97.99<", ">90<", warned, "MStatistic.SolvedInTimePercent", "statistic.solved_in_time_percent", "11:3", "90", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			content := statisticXML
			if strings.HasSuffix(c.old, ">") && !strings.HasPrefix(c.old, "<") { // a name: both tags
				content = strings.ReplaceAll(content, c.old, c.new)
				c.old = c.new
			}
			c.check(t, codec, statistic, xmlFormat, content)
			c.severity = strictly(c.rule)
			c.check(t, codecWith(t, packet.Options{Strict: true}), statistic, xmlFormat, content)
		})
	}
}

// TestANumberThatIsNotThereIsNeverRefused: in the form in which it is written here,
// which strict reading has to take, too.
func TestANumberThatIsNotThereIsNeverRefused(t *testing.T) {
	t.Parallel()
	for _, options := range []packet.Options{{}, strict()} {
		codec := codecWith(t, options)
		for _, c := range []change{
			{"percent empty", ">97.99<", "><", warned, "MStatistic.SolvedInTimePercent", "absent", "11:3", "", ""},
			{"percent null", ": 98.52", ": null", warned, "MStatistic.SolvedInTimePercent", "absent", "10:3", "null", ""},
		} {
			name, format := "statistic.xml", xmlFormat
			if c.sent == "null" {
				name, format = "statistic.json", jsonFormat
			}
			c.check(t, codec, statistic, format, string(sample(t, name).Content))
		}
	}
}

func TestReadXMLReportsEveryLibertyInADossier(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := string(sample(t, "dossier.xml").Content)
	for _, c := range []change{
		{"attachment id with an l", "AttachmentId>1</AttachmentId", "Attachmentld>1</Attachmentld", warned, "MSyncDocument.Attachments[0].AttachmentId", "name.alias", "25:5", "Attachmentld", "AttachmentId"},
		{"offset without colon", "<DateReceived>2026-11-02T08:15:00.000+07:00", "<DateReceived>2026-11-02T08:15:00.000+0700", warned, "MSyncDocument.DateReceived", "datetime", "14:3", "2026-11-02T08:15:00.000+0700", "2026-11-02T08:15:00.000+07:00"},
		{"no offset", "<DateReceived>2026-11-02T08:15:00.000+07:00", "<DateReceived>2026-11-02T08:15:00", warned, "MSyncDocument.DateReceived", "datetime", "14:3", "2026-11-02T08:15:00", "2026-11-02T08:15:00.000+07:00"},
		{"date only", "<DateReceived>2026-11-02T08:15:00.000+07:00", "<DateReceived>2026-11-02", warned, "MSyncDocument.DateReceived", "datetime", "14:3", "2026-11-02", "2026-11-02T00:00:00.000+07:00"},
		{"digits", "<DateReceived>2026-11-02T08:15:00.000+07:00", "<DateReceived>20261102081500", warned, "MSyncDocument.DateReceived", "datetime", "14:3", "20261102081500", "2026-11-02T08:15:00.000+07:00"},
		{"day first", "<DateReceived>2026-11-02T08:15:00.000+07:00", "<DateReceived>02/11/2026", warned, "MSyncDocument.DateReceived", "datetime", "14:3", "02/11/2026", "2026-11-02T00:00:00.000+07:00"},
		{"day first with time", "<DateReceived>2026-11-02T08:15:00.000+07:00", "<DateReceived>02/11/2026 08:15:00", warned, "MSyncDocument.DateReceived", "datetime", "14:3", "02/11/2026 08:15:00", "2026-11-02T08:15:00.000+07:00"},
		{"day first with hours and minutes", "<DateReceived>2026-11-02T08:15:00.000+07:00", "<DateReceived>02/11/2026 08:15", warned, "MSyncDocument.DateReceived", "datetime", "14:3", "02/11/2026 08:15", "2026-11-02T08:15:00.000+07:00"},
		{"as databases write it", "<DateReceived>2026-11-02T08:15:00.000+07:00", "<DateReceived>2026-11-02 08:15:00", warned, "MSyncDocument.DateReceived", "datetime", "14:3", "2026-11-02 08:15:00", "2026-11-02T08:15:00.000+07:00"},
		{"price with a thousands separator", "<Price>80000<", "<Price>80.000<", warned, "MSyncDocument.DocFees[0].Price", "fee.price", "34:5", "80.000", ""},
		{"required text of white space", "UBND tỉnh Nghệ An", " \n\t", warned, "MSyncDocument.OrganInchargeName", "blank", "47:3", " \n\t", " \n\t"},
		{"microseconds", "<DateReceived>2026-11-02T08:15:00.000+07:00", "<DateReceived>2026-11-02T08:15:00.123456+07:00", warned, "MSyncDocument.DateReceived", "datetime", "14:3", "2026-11-02T08:15:00.123456+07:00", "2026-11-02T08:15:00.123+07:00"},
		{"date with white space", "<DateReceived>2026-11-02T08:15:00.000+07:00", "<DateReceived> 2026-11-02T08:15:00.000+07:00", warned, "MSyncDocument.DateReceived", "whitespace", "14:3", " 2026-11-02T08:15:00.000+07:00", "2026-11-02T08:15:00.000+07:00"},
		{"zeros for no date", "<SuccessDate></SuccessDate>", "<SuccessDate>0000-00-00</SuccessDate>", warned, "MSyncDocument.SuccessDate", "absent", "17:3", "0000-00-00", ""},
		{"unset date of .NET", "<SuccessDate></SuccessDate>", "<SuccessDate>0001-01-01T00:00:00</SuccessDate>", warned, "MSyncDocument.SuccessDate", "absent", "17:3", "0001-01-01T00:00:00", ""},
		{"unset date with an offset", "<SuccessDate></SuccessDate>", "<SuccessDate>0001-01-01T00:00:00.0000000-05:00</SuccessDate>", warned, "MSyncDocument.SuccessDate", "absent", "17:3", "0001-01-01T00:00:00.0000000-05:00", ""},
		{"unset date of UTC, here", "<SuccessDate></SuccessDate>", "<SuccessDate>0001-01-01T07:00:00+07:00</SuccessDate>", warned, "MSyncDocument.SuccessDate", "absent", "17:3", "0001-01-01T07:00:00+07:00", ""},
		{"unset date, day first", "<SuccessDate></SuccessDate>", "<SuccessDate>01/01/0001</SuccessDate>", warned, "MSyncDocument.SuccessDate", "absent", "17:3", "01/01/0001", ""},
		{"digits of zeros for no date", "<SuccessDate></SuccessDate>", "<SuccessDate>00000000000000</SuccessDate>", warned, "MSyncDocument.SuccessDate", "absent", "17:3", "00000000000000", ""},
		{"optional boolean empty", "<HasSupplementary>false<", "<HasSupplementary><", warned, "MSyncDocument.HasSupplementary", "absent", "23:3", "", ""},
		{"list with white space", "<OrganInchargeIdLevel1>", "<Supplementaries>\n  </Supplementaries>\n  <OrganInchargeIdLevel1>", warned, "MSyncDocument.Supplementaries", "absent", "46:3", "", ""},
		{"empty list", "<OrganInchargeIdLevel1>", "<Supplementaries/>\n  <OrganInchargeIdLevel1>", warned, "MSyncDocument.Supplementaries", "absent", "46:3", "", ""},
		{"dossier code of another form", "<DocCode>000.00.04.H41-261102-0007<", "<DocCode>HS-7<", warned, "MSyncDocument.DocCode", "dossier.doc_code", "5:3", "HS-7", ""},
		{"identity number of another form", ">040190000001<", ">12345<", warned, "MSyncDocument.ApplicantsId", "dossier.applicants_id.citizen", "8:3", "***(5)", ""},
		{"missing optional parts", "<HasSupplementary>false</HasSupplementary>", "<Status2>9</Status2>", warned, "MSyncDocument.Status2", "unknown", "23:3", "Status2", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t, codec, dossier, xmlFormat, content)
			c.severity = strictly(c.rule)
			c.check(t, codecWith(t, packet.Options{Strict: true}), dossier, xmlFormat, content)
		})
	}
}

func TestReadXMLTakesNoOffenceAtWhatTheStandardAllows(t *testing.T) {
	t.Parallel()
	codec := codecWith(t, packet.Options{Strict: true})
	content := string(sample(t, "dossier.xml").Content)
	const applicant = "<ApplicantsId>040190000001</ApplicantsId>\n  <ApplicantsType>1</ApplicantsType>"
	for name, change := range map[string][2]string{
		"nothing changed":        {"", ""},
		"null date of the guide": {"<SuccessDate></SuccessDate>", "<SuccessDate>0000-00-00T00:00:00.000+0700</SuccessDate>"},
		"empty-element tag":      {"<SuccessDate></SuccessDate>", "<SuccessDate/>"},
		"optional null date":     {"<Status>", "<FinishedDate/><Status>"},
		"1 for true":             {"<IsVerified>true<", "<IsVerified>1<"},
		"UTC":                    {"2026-11-02T08:15:00.000+07:00", "2026-11-02T01:15:00Z"},
		"another offset":         {"2026-11-02T08:15:00.000+07:00", "2026-11-01T20:15:00.5-05:00"},
		"midnight as 24:00":      {"2026-11-02T08:15:00.000+07:00", "2026-11-01T24:00:00+07:00"},
		"CDATA":                  {"Lê Thị Mẫu", "<![CDATA[Lê Thị <Mẫu>]]>"},
		"references":             {"Lê Thị Mẫu", "L&#234; Th&#x1ECB; &lt;M&amp;M&gt; &quot;&apos;"},
		"a comment":              {"<Status>", "<!-- trạng thái --><Status>2<!-- two --></Status><!-- "},
		"white space in Base64":  {"JVBERi0x", "\n    JVBE\t Ri0x\r\n"},
		"byte order mark":        {"<?xml", "\uFEFF<?xml"},
		"no declaration":         {`<?xml version="1.0" encoding="UTF-8"?>` + "\n", ""},
		"single quotes":          {`version="1.0" encoding="UTF-8"`, `version='1.0' encoding='utf-8' standalone='yes'`},
		"line ends of Windows":   {"\n", "\r\n"},
		"organisation of 2020":   {">000.00.00.H41<", ">H41<"},
		"decimal with a plus":    {"<Price>80000<", "<Price>+80000<"},
		"decimal with no whole":  {"<Price>80000<", "<Price>.5<"},
		"decimal with no rest":   {"<Price>80000<", "<Price>80000.<"},
		"identity of 9 digits":   {">040190000001<", ">040190001<"},
		"code of an enterprise":  {applicant, strings.NewReplacer("040190000001", "0401900000", ">1<", ">2<").Replace(applicant)},
		"code of a branch":       {applicant, strings.NewReplacer("040190000001", "0401900000-001", ">1<", ">3<").Replace(applicant)},
		"citizen as other":       {"<ApplicantsType>1<", "<ApplicantsType>4<"},
		"space in end tags":      {"</Status>", "</Status \n>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := strings.ReplaceAll(content, change[0], change[1])
			if name == "nothing changed" {
				changed = content
			}
			if name == "a comment" {
				changed = strings.Replace(content, "<Status>2</Status>", "<!-- trạng thái --><Status>2<!-- two --></Status>", 1)
			}
			if name != "nothing changed" && changed == content {
				t.Fatal("the sample was not changed")
			}
			p := decode(t, codec, dossier, xmlFormat, []byte(changed))
			if len(p.Warnings) > 0 {
				t.Errorf("warnings %v; want none", p.Warnings)
			}
		})
	}
}

func TestReadXMLRefusesViolations(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := string(sample(t, "dossier.xml").Content)
	for _, c := range []change{
		{"required text missing", "  <Phone>0900000001</Phone>\n", "", refused, "MSyncDocument.Phone", "required", "2:1", "", ""},
		{"required text empty", ">0900000001<", "><", refused, "MSyncDocument.Phone", "required", "12:3", "", ""},
		{"required in a part", "<IsVerified>true</IsVerified>", "", refused, "MSyncDocument.Attachments[0].IsVerified", "required", "24:3", "", ""},
		{"required null form missing", "  <SuccessDate></SuccessDate>\n", "", refused, "MSyncDocument.SuccessDate", "required", "2:1", "", ""},
		{"required date empty", "<DateAppointed>2026-11-09T17:00:00.000+07:00<", "<DateAppointed><", refused, "MSyncDocument.DateAppointed", "required", "15:3", "", ""},
		{"required date null", "<DateAppointed>2026-11-09T17:00:00.000+07:00<", "<DateAppointed>0000-00-00T00:00:00.000+0700<", refused, "MSyncDocument.DateAppointed", "required", "15:3", "0000-00-00T00:00:00.000+0700", ""},
		{"no such day", "<DateAppointed>2026-11-09T", "<DateAppointed>2026-02-29T", refused, "MSyncDocument.DateAppointed", "datetime", "15:3", "2026-02-29T17:00:00.000+07:00", ""},
		{"no date", "<DateAppointed>2026-11-09T17:00:00.000+07:00<", "<DateAppointed>mai<", refused, "MSyncDocument.DateAppointed", "datetime", "15:3", "mai", ""},
		{"year without time before", "<DateAppointed>2026-11-09T17:00:00.000+07:00<", "<DateAppointed>0001-01-01T00:00:00<", refused, "MSyncDocument.DateAppointed", "required", "15:3", "0001-01-01T00:00:00", ""},
		{"no integer", "<Status>2<", "<Status>hai<", refused, "MSyncDocument.Status", "int", "21:3", "hai", ""},
		{"integer empty", "<Status>2<", "<Status><", refused, "MSyncDocument.Status", "required", "21:3", "", ""},
		{"integer with a fraction", "<Status>2<", "<Status>2.5<", refused, "MSyncDocument.Status", "int", "21:3", "2.5", ""},
		{"integer beyond 32 bits", "<Status>2<", "<Status>2147483648<", refused, "MSyncDocument.Status", "int.range", "21:3", "2147483648", ""},
		{"integer beyond 64 bits", "<Status>2<", "<Status>-99999999999999999999<", refused, "MSyncDocument.Status", "int.range", "21:3", "-99999999999999999999", ""},
		{"no boolean", "<IsReturned>false<", "<IsReturned>không<", refused, "MSyncDocument.IsReturned", "bool", "18:3", "không", ""},
		{"decimal with a comma", "<Price>80000<", "<Price>80.000,00<", refused, "MSyncDocument.DocFees[0].Price", "decimal", "34:5", "80.000,00", ""},
		{"price NaN", "<Price>80000<", "<Price>NaN<", refused, "MSyncDocument.DocFees[0].Price", "decimal", "34:5", "NaN", ""},
		{"price empty", "<Price>80000<", "<Price><", refused, "MSyncDocument.DocFees[0].Price", "required", "34:5", "", ""},
		{"Base64 cut off", "JVBERi0x", "JVBERi0", refused, "MSyncDocument.Attachments[0].Base64", "base64", "28:5", "", ""},
		{"Base64 of URLs", "JVBERi0x", "JVBERi0_", refused, "MSyncDocument.Attachments[0].Base64", "base64", "28:5", "", ""},
		{"no organisation", ">000.00.00.H41<", ">Nghệ An<", refused, "MSyncDocument.OrganInchargeIdLevel1", "organisation", "46:3", "Nghệ An", ""},
		{"element twice", "<Phone>0900000001</Phone>", "<Phone>0900000001</Phone><Phone>0900000002</Phone>", refused, "MSyncDocument.Phone", "repeated", "12:28", "", ""},
		{"alias beside the name", "</OrganInchargeName>", "</OrganInchargeName><OrganInchargeName>x</OrganInchargeName>", refused, "MSyncDocument.OrganInchargeName", "repeated", "47:59", "", ""},
		{"text between elements", "<Status>", "có chữ <Status>", refused, "MSyncDocument", "xml.mixed", "21:3", "***(6)", ""},
		{"text between unknown elements", "<Status>", "<X><a/> chữ <b/></X><Status>", warned | refused, "MSyncDocument.X", "xml.mixed", "", "", ""},
		{"element in a text", ">0900000001<", "><b>0900000001</b><", refused, "MSyncDocument.Phone", "type", "12:3", "", ""},
		{"text for a part", "<FeeName>Phí đăng ký giao dịch bảo đảm</FeeName>", "<FeeName>Phí</FeeName>và", refused, "MSyncDocument.DocFees[0]", "xml.mixed", "32:27", "***(2)", ""},
		{"code out of its range", "<ReturnedType>0<", "<ReturnedType>2<", refused, "MSyncDocument.ReturnedType", "int32.gte_lte", "20:3", "2", ""},
		{"negative count", "<Amount>1<", "<Amount>-1<", refused, "MSyncDocument.DocPapers[0].Amount", "int32.gte", "38:5", "-1", ""},
		{"date that a flag requires", "<IsReturned>false<", "<IsReturned>true<", refused, "MSyncDocument.ReturnedDate", "dossier.returned_date", "19:3", "", ""},
		{"dossier code too long", "-261102-0007<", "-261102-" + strings.Repeat("1", 90) + "<", refused, "MSyncDocument.DocCode", "string.max_len", "5:3", "000.00.04.H41-261102-" + strings.Repeat("1", 59) + "…", ""},
		{"personal text is masked", "<ApplicantsId>040190000001<", "<ApplicantsId>040190000001</ApplicantsId><ApplicantsId>1<", refused, "MSyncDocument.ApplicantsId", "repeated", "8:44", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.at != "" {
				c.check(t, codec, dossier, xmlFormat, content)
				return
			}
			_, err := codec.Decode(dossier, xmlFormat, []byte(strings.Replace(content, c.old, c.new, 1)))
			if !hasFinding(findingsOf(err), c.field, c.rule) {
				t.Errorf("got %v %v; want %s %s", err, findingsOf(err), c.field, c.rule)
			}
		})
	}
}

func TestReadXMLStopsAtWhatIsNotWellFormed(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := string(sample(t, "progress.xml").Content)
	for _, c := range []change{
		{"bare ampersand", "định hồ sơ", "định & hồ", refused, "MDocumentTraces", "syntax", "8:25", "", ""},
		{"undeclared entity", "định hồ sơ", "&ecirc;", refused, "MDocumentTraces", "syntax", "8:20", "", ""},
		{"character reference to nothing", "định hồ sơ", "&#0;", refused, "MDocumentTraces", "syntax", "8:20", "", ""},
		{"bare less-than", "định hồ sơ", "< hồ", refused, "MDocumentTraces", "syntax", "8:20", "", ""},
		{"]]> in a text", "định hồ sơ", "]]>", refused, "MDocumentTraces", "syntax", "8:20", "", ""},
		{"wrong end tag", "</Comment>", "</Coment>", refused, "MDocumentTraces", "syntax", "8:56", "", ""},
		{"end tag missing", "</MDocumentTraces>\n", "", refused, "MDocumentTraces", "syntax", "12:1", "", ""},
		{"second root", "</MDocumentTraces>", "</MDocumentTraces><a/>", refused, "MDocumentTraces", "syntax", "12:19", "", ""},
		{"text after the root", "</MDocumentTraces>", "</MDocumentTraces> x", refused, "MDocumentTraces", "syntax", "12:20", "", ""},
		{"text before the root", "<MDocumentTraces>", "x<MDocumentTraces>", refused, "MDocumentTraces", "syntax", "2:1", "", ""},
		{"attribute without value", "<Status>", "<Status a>", refused, "MDocumentTraces", "syntax", "9:11", "", ""},
		{"attribute twice", "<Status>", `<Status a="1" a="2">`, refused, "MDocumentTraces", "syntax", "9:17", "", ""},
		{"less-than in an attribute", "<Status>", `<Status a="<">`, refused, "MDocumentTraces", "syntax", "9:11", "", ""},
		{"entity in an attribute", "<Status>", `<Status a="&x;">`, refused, "MDocumentTraces", "syntax", "9:14", "", ""},
		{"two hyphens in a comment", "<Status>", "<!-- a -- b --><Status>", refused, "MDocumentTraces", "syntax", "9:10", "", ""},
		{"comment without end", "<Status>", "<!-- <Status>", refused, "MDocumentTraces", "syntax", "9:3", "", ""},
		{"CDATA without end", "<Status>", "<![CDATA[<Status>", refused, "MDocumentTraces", "syntax", "9:3", "", ""},
		{"name that begins with a digit", "<Status>", "<1Status>", refused, "MDocumentTraces", "syntax", "9:3", "", ""},
		{"space before a name", "<Status>", "< Status>", refused, "MDocumentTraces", "syntax", "9:3", "", ""},
		{"version 1.1", `version="1.0"`, `version="1.1"`, refused, "MDocumentTraces", "syntax", "1:1", "", ""},
		{"declaration without version", `version="1.0" `, ``, refused, "MDocumentTraces", "syntax", "1:1", "", ""},
		{"encoding nobody has", `"UTF-8"`, `"TCVN-5712"`, refused, "MDocumentTraces", "encoding", "1:1", "", ""},
		{"characters beyond the ASCII said", `"UTF-8"`, `"US-ASCII"`, refused, "MDocumentTraces", "encoding", "5:15", "", ""},
		{"UTF-16 only said", `"UTF-8"`, `"utf-16"`, refused, "MDocumentTraces", "encoding", "1:1", "", ""},
		{"bytes that are not UTF-8", "định", "\xC4\x91\xE1\xBB", refused, "MDocumentTraces", "encoding", "8:21", "", ""},
		{"control character", "định", "\x07", refused, "MDocumentTraces", "character", "8:20", "", ""},
		{"U+FFFE", "định", "\uFFFE", refused, "MDocumentTraces", "character", "8:20", "", ""},
		{"DOCTYPE", "<MDocumentTraces>", "<!DOCTYPE x [<!ENTITY a \"b\">]><MDocumentTraces>", refused, "MDocumentTraces", "xml.doctype", "2:1", "", ""},
		{"processing instruction", "<Status>", "<?php echo 1 ?><Status>", refused, "MDocumentTraces", "xml.instruction", "9:3", "", ""},
		{"style sheet", "<MDocumentTraces>", `<?xml-stylesheet href="x"?><MDocumentTraces>`, refused, "MDocumentTraces", "xml.instruction", "2:1", "", ""},
		{"declaration after a space", "<?xml", " <?xml", refused, "MDocumentTraces", "xml.instruction", "1:2", "", ""},
		{"another root", "<MDocumentTraces>", "<MSyncDocument>", refused, "MSyncDocument", "root", "2:1", "MSyncDocument", ""},
		{"many attributes", "<Status>", "<Status a='' b='' c='' d='' e='' f='' g='' h='' i='' j='' k='' l='' m='' n='' o='' p='' q=''>", refused, "MDocumentTraces", "limit.attributes", "9:91", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t, codec, progress, xmlFormat, content)
		})
	}
}

func TestReadXMLReportsWhatStandsBeforeASyntaxError(t *testing.T) {
	t.Parallel()
	content := strings.NewReplacer("<Month>10<", "<Month>x<", "<Year>2026<", "<Year/><", "<Note>", "<Note>&").Replace(string(sample(t, "statistic.xml").Content))
	_, err := newCodec(t).Decode(statistic, xmlFormat, []byte(content))
	var rules []string
	for _, f := range findingsOf(err) {
		rules = append(rules, f.GetField()+" "+f.GetRule())
	}
	want := "MStatistic.Month int, MStatistic.Year required, MStatistic syntax"
	if got := strings.Join(rules, ", "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestReadXMLReportsEveryViolationAtOnce(t *testing.T) {
	t.Parallel()
	s := sample(t, "bad-statistic.xml")
	_, err := newCodec(t).Decode(s.Type, s.Format, s.Content)
	var got []string
	for _, f := range findingsOf(err) {
		got = append(got, fmt.Sprintf("%d:%d %s %s", f.GetLine(), f.GetColumn(), f.GetField(), f.GetRule()))
	}
	want := "2:1 MStatistic.OrganizationInchargeIdlevel1 required, 3:3 MStatistic.Month statistic.month, 8:3 MStatistic.Total int"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, ", "), want)
	}
	if want := "the packet is refused: 3 violations, the first required at 2:1"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

func TestRefusalsHoldNothingPersonal(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := string(sample(t, "dossier.xml").Content)
	const secret = "0987654321987"
	for _, old := range []string{"Lê Thị Mẫu", "040190000001", "0900000001", "Sinh năm 1990", "<Status>2"} {
		for _, wrong := range []string{secret + "\x00", "<b>" + secret + "</b>", secret + "&", secret + "<x>" + secret + "</x>"} {
			changed := strings.Replace(content, old, strings.Replace(old, old, wrong, 1), 1)
			_, err := codec.Decode(dossier, xmlFormat, []byte(changed))
			if err == nil {
				t.Fatalf("%q for %q: accepted", wrong, old)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q for %q: the error repeats it: %v", wrong, old, err)
			}
			for _, f := range findingsOf(err) {
				if strings.Contains(f.String(), secret) {
					t.Errorf("%q for %q: a finding repeats it: %v", wrong, old, f)
				}
			}
		}
	}
}
