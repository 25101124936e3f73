package packet_test

import (
	"strings"
	"testing"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

func TestReadJSONReportsEveryLiberty(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := string(sample(t, "statistic.json").Content)
	for _, c := range []change{
		{"alias", `"PreExtisting"`, `"PreExisting"`, warned, "MStatistic.PreExtisting", "name.alias", "6:3", "PreExisting", "PreExtisting"},
		{"small letters", `"Month"`, `"month"`, warned, "MStatistic.Month", "name.case", "2:3", "month", "Month"},
		{"unknown member", `"Year"`, `"Extra": [1, {"a": null}], "Year"`, warned, "MStatistic.Extra", "unknown", "3:3", "Extra", ""},
		{"integer as a string", `: 10,`, `: "10",`, warned, "MStatistic.Month", "int", "2:3", "10", "10"},
		{"integer with a fraction of zeros", `: 10,`, `: 10.0,`, warned, "MStatistic.Month", "int", "2:3", "10.0", "10"},
		{"boolean as a string", `: true`, `: "true"`, warned, "MStatistic.IsMonthStatistic", "bool", "4:3", "true", "true"},
		{"boolean as a capitalised string", `: true`, `: "True"`, warned, "MStatistic.IsMonthStatistic", "bool", "4:3", "True", "true"},
		{"boolean as a number", `: true`, `: 1`, warned, "MStatistic.IsMonthStatistic", "bool", "4:3", "1", "true"},
		{"percent NaN", `: 98.52`, `: NaN`, warned, "MStatistic.SolvedInTimePercent", "absent", "10:3", "NaN", ""},
		{"percent NaN as a string", `: 98.52`, `: "NaN"`, warned, "MStatistic.SolvedInTimePercent", "absent", "10:3", "NaN", ""},
		{"percent Infinity", `: 98.52`, `: -Infinity`, warned, "MStatistic.SolvedInTimePercent", "absent", "10:3", "-Infinity", ""},
		{"percent empty", `: 98.52`, `: ""`, warned, "MStatistic.SolvedInTimePercent", "absent", "10:3", "", ""},
		{"text null", `"Note": ""`, `"Note": null`, warned, "MStatistic.Note", "absent", "18:3", "null", ""},
		{"text as a number", `"Note": ""`, `"Note": 1.50`, warned, "MStatistic.Note", "type", "18:3", "1.50", "1.50"},
		{"exponent", `: 98.52`, `: 9852e-2`, warned, "MStatistic.SolvedInTimePercent", "decimal", "10:3", "9852e-2", "98.52"},
		{"wrapper", "{\n", "{\"MStatistic\": {\n", warned, "MStatistic", "json.wrapper", "1:2", "MStatistic", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			content := content
			if c.name == "wrapper" {
				content += "}"
			}
			c.check(t, codec, statistic, jsonFormat, content)
			c.severity = refused
			c.check(t, codecWith(t, packet.Options{Strict: true}), statistic, jsonFormat, content)
		})
	}
}

func TestReadJSONTakesNoOffenceAtWhatIsAllowed(t *testing.T) {
	t.Parallel()
	codec := codecWith(t, packet.Options{Strict: true})
	content := string(sample(t, "dossier-returned.json").Content)
	for name, change := range map[string][2]string{
		"decimal as a string":      {`"Price": 80000`, `"Price": "80000"`},
		"optional null":            {`"ReturnedType"`, `"ReturnNote": null, "ReturnedType"`},
		"optional date null":       {`"HasSupplementary"`, `"RequireSupplementaryDate": null, "HasSupplementary"`},
		"list null":                {`"OrganInchargeName"`, `"Supplementaries": null, "OrganInchargeName"`},
		"list empty":               {`"OrganInchargeName"`, `"Supplementaries": [], "OrganInchargeName"`},
		"members in another order": {`  "DocTypeCode": "1.011442.000.00.00.H41",` + "\n", ""},
		"escapes":                  {"Lê Thị Mẫu", `L\u00ea Th\u1ecb \"M\/\ud83d\ude00\t`},
		"byte order mark":          {"{\n  \"DocTypeCode\"", "\uFEFF{\n  \"DocTypeCode\""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := strings.Replace(content, change[0], change[1], 1)
			if changed == content {
				t.Fatal("the sample was not changed")
			}
			if name == "members in another order" {
				changed = strings.TrimSuffix(strings.TrimSpace(changed), "\n}") + ",\n" + strings.TrimSuffix(strings.TrimSpace(change[0]), ",") + "}"
			}
			if p := decode(t, codec, dossier, jsonFormat, []byte(changed)); len(p.Warnings) > 0 {
				t.Errorf("warnings %v; want none", p.Warnings)
			}
		})
	}
}

func TestReadJSONRefusesViolations(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := string(sample(t, "statistic.json").Content)
	for _, c := range []change{
		{"member missing", `  "Month": 10,` + "\n", "", refused, "MStatistic.Month", "required", "1:1", "", ""},
		{"required null", `"Month": 10`, `"Month": null`, refused, "MStatistic.Month", "required", "2:3", "null", ""},
		{"integer with a fraction", `: 10,`, `: 10.5,`, refused, "MStatistic.Month", "int", "2:3", "10.5", ""},
		{"integer with an exponent", `: 10,`, `: 1e1,`, refused, "MStatistic.Month", "int", "2:3", "1e1", ""},
		{"integer as a boolean", `: 10,`, `: true,`, refused, "MStatistic.Month", "int", "2:3", "true", ""},
		{"integer too large", `: 2026,`, `: 20260000000,`, refused, "MStatistic.Year", "int.range", "3:3", "20260000000", ""},
		{"boolean as another word", `: true`, `: "yes"`, refused, "MStatistic.IsMonthStatistic", "bool", "4:3", "yes", ""},
		{"text as a boolean", `"Note": ""`, `"Note": false`, refused, "MStatistic.Note", "type", "18:3", "false", ""},
		{"text as an object", `"Note": ""`, `"Note": {"a": [1]}`, refused, "MStatistic.Note", "type", "18:3", "", ""},
		{"text as an array", `"Note": ""`, `"Note": ["a"]`, refused, "MStatistic.Note", "type", "18:3", "", ""},
		{"character that XML does not have", `"Note": ""`, `"Note": "\u0000"`, refused, "MStatistic.Note", "character", "18:3", "", ""},
		{"character in an unknown member", `"Note": ""`, `"Note": "", "X": "\uffff"`, warned | refused, "MStatistic.X", "character", "18:20", "", ""},
		{"member twice", `"Note": ""`, `"Note": "", "Note": ""`, refused, "MStatistic.Note", "json.duplicate", "18:15", "", ""},
		{"member twice in two spellings", `"Note": ""`, `"Note": "", "NOTE": ""`, warned | refused, "MStatistic.Note", "json.duplicate", "18:15", "", ""},
		{"unknown member twice", `"Note": ""`, `"Note": "", "X": {"a": 1, "a": 2}`, warned | refused, "MStatistic.X.a", "json.duplicate", "18:29", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.severity == refused {
				c.check(t, codec, statistic, jsonFormat, content)
				return
			}
			_, err := codec.Decode(statistic, jsonFormat, []byte(strings.Replace(content, c.old, c.new, 1)))
			if !hasFinding(findingsOf(err), c.field, c.rule) {
				t.Errorf("findings %v; want %s %s", findingsOf(err), c.field, c.rule)
			}
		})
	}
}

func hasFinding(findings []*packetv1.Finding, field, rule string) bool {
	for _, f := range findings {
		if f.GetField() == field && f.GetRule() == rule && f.GetSeverity() == refused {
			return true
		}
	}
	return false
}

func TestReadJSONStopsAtWhatIsNotJSON(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := strings.TrimSpace(string(sample(t, "progress.json").Content))
	for _, c := range []change{
		{"cut off", "\n}", "", refused, "MDocumentTraces", "syntax", "10:45", "", ""},
		{"cut off in a string", "Bộ Tài chính\"\n}", "Bộ", refused, "MDocumentTraces", "syntax", "10:34", "", ""},
		{"cut off in an escape", "Bộ Tài chính\"\n}", "\\", refused, "MDocumentTraces", "syntax", "10:33", "", ""},
		{"comma missing", `"G12",`, `"G12"`, refused, "MDocumentTraces", "syntax", "10:3", "", ""},
		{"comma too many", `Bộ Tài chính"`, `Bộ Tài chính",`, refused, "MDocumentTraces", "syntax", "11:1", "", ""},
		{"colon missing", `"Status":`, `"Status"`, refused, "MDocumentTraces", "syntax", "8:12", "", ""},
		{"name without quotes", `"Status"`, `Status`, refused, "MDocumentTraces", "syntax", "8:3", "", ""},
		{"no value", `: 4`, `: `, refused, "MDocumentTraces", "syntax", "8:13", "", ""},
		{"word", `: 4`, `: nul`, refused, "MDocumentTraces", "syntax", "8:13", "", ""},
		{"number with a zero before", `: 4`, `: 04`, refused, "MDocumentTraces", "syntax", "8:13", "", ""},
		{"number with a bare point", `: 4`, `: 4.`, refused, "MDocumentTraces", "syntax", "8:13", "", ""},
		{"number with a bare exponent", `: 4`, `: 4e`, refused, "MDocumentTraces", "syntax", "8:13", "", ""},
		{"escape that there is not", "giấy tờ", `\x41`, refused, "MDocumentTraces", "syntax", "7:26", "", ""},
		{"half a surrogate pair", "giấy tờ", `\ud800 x`, refused, "MDocumentTraces", "syntax", "7:26", "", ""},
		{"tab in a string", "giấy tờ", "\t", refused, "MDocumentTraces", "syntax", "7:26", "", ""},
		{"bytes that are not UTF-8", "giấy tờ", "\xFF", refused, "MDocumentTraces", "encoding", "7:26", "", ""},
		{"something after the end", "\n}", "\n} x", refused, "MDocumentTraces", "syntax", "11:3", "", ""},
		{"an array", "{\n", "[{\n", refused, "MDocumentTraces", "root", "1:1", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t, codec, progress, jsonFormat, content)
		})
	}
}

func TestReadJSONTakesASingleObjectForAList(t *testing.T) {
	t.Parallel()
	content := strings.NewReplacer(`"DocFees": [`, `"DocFees": `, "\"Price\": 80000}\n  ]", `"Price": 80000}`).
		Replace(string(sample(t, "dossier-returned.json").Content))
	p := decode(t, newCodec(t), dossier, jsonFormat, []byte(content))
	if len(p.Warnings) != 1 || p.Warnings[0].GetRule() != "json.single" || p.Warnings[0].GetField() != "MSyncDocument.DocFees[0]" {
		t.Errorf("warnings %v; want json.single", p.Warnings)
	}
	if m, ok := p.Message.(*packetv1.MSyncDocument); !ok || len(m.GetDocFees()) != 1 || m.GetDocFees()[0].GetPrice() != "80000" {
		t.Errorf("fees %v", p.Message)
	}
}

func TestReadJSONTakesAMemberNamedLikeThePacketForAWrapperOnlyWhereItIsAlone(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := strings.Replace(string(sample(t, "progress.json").Content), "{\n", "{\"MDocumentTraces\": {\"x\": 1},\n", 1)
	p := decode(t, codec, progress, jsonFormat, []byte(content))
	if len(p.Warnings) != 1 || p.Warnings[0].GetRule() != "unknown" {
		t.Errorf("warnings %v; want one unknown member", p.Warnings)
	}
	settled(t, codec, progress, jsonFormat, p.Message)
	_, err := codec.Decode(progress, jsonFormat, []byte(`{"MDocumentTraces": {"DocCode": x}}`))
	if findings := findingsOf(err); len(findings) != 2 || findings[0].GetRule() != "json.wrapper" || findings[1].GetRule() != "syntax" {
		t.Errorf("findings %v; want the wrapper and the syntax error", findings)
	}
}
