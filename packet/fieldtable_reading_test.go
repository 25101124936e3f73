package packet_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
	"github.com/lienthong/lienthong/packet/samples"
)

// readerRules returns the rules that reading itself enforces: the constants of
// texts.go.
func readerRules(t testing.TB) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "texts.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "rule") {
			return true
		}
		value, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			t.Fatalf("%s is no literal", spec.Names[0].Name)
		}
		id, err := strconv.Unquote(value.Value)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		return true
	})
	if len(ids) < 30 {
		t.Fatalf("found only the rules %v", ids)
	}
	return ids
}

func TestThePageHasEveryRuleThatAFindingMayName(t *testing.T) {
	t.Parallel()
	told, untold, err := packet.RuleIDs()
	if err != nil {
		t.Fatal(err)
	}
	for language, heading := range map[packet.Language]string{packet.English: "Rules of reading", packet.Vietnamese: "Quy tắc đọc"} {
		page := fieldTables(t, language)
		others := sectionsOf(page)[heading]
		for _, id := range append(readerRules(t), untold...) {
			if !strings.Contains(others, "\n| `"+id+"` | ") {
				t.Errorf("%s: %q has no %s", language, heading, id)
			}
		}
		for _, id := range told {
			if !strings.Contains(page, " | `"+id+"` |\n") {
				t.Errorf("%s: no table has %s", language, id)
			}
		}
	}
}

// verdicts returns what the page says that breaking a rule comes to.
func verdicts(page string) map[string]string {
	all := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `[A-Za-z0-9]+` \\| .* \\| (.*) \\| `([a-z0-9_.]+)` \\|$").FindAllStringSubmatch(page, -1) {
		all[row[2]] = row[1]
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\| .* \\| (.*) \\|$").FindAllStringSubmatch(sectionsOf(page)["Rules of reading"], -1) {
		all[row[1]] = row[2]
	}
	return all
}

// attempt is a text that is sent as a packet.
type attempt struct {
	typ     packetv1.PacketType
	format  exchangev1.Format
	content string
}

// attempts returns packets with something wrong in them.
func attempts(t testing.TB) []attempt {
	t.Helper()
	var all []attempt
	for _, bad := range samples.Bad() {
		if bad.Type != packetv1.PacketType_PACKET_TYPE_UNSPECIFIED {
			all = append(all, attempt{bad.Type, bad.Format, string(bad.Content)})
		}
	}
	for _, m := range mutations() {
		good := sample(t, m.sample)
		all = append(all, attempt{good.Type, good.Format, strings.ReplaceAll(string(good.Content), m.old, m.new)})
	}
	for _, changed := range [][3]string{
		{"dossier.xml", "<DocCode>", "<p:DocCode xmlns:p='urn:x'>"}, {"dossier.xml", "<MSyncDocument>", "<!DOCTYPE x><MSyncDocument>"},
		{"dossier.xml", "<DocCode>000.00.04.H41-261102-0007", "<DocCode>77"}, {"dossier.xml", ">040190000001<", ">1<"}, {"dossier.xml", ">80000<", ">80.000<"},
		{"dossier.xml", "<IsSuccess>false", "<IsSuccess>true"}, {"dossier.xml", "UTF-8", "utf8"}, {"dossier.xml", "<DocCode>", "<?x y?><DocCode>"},
		{"dossier.xml", "<SuccessDate>", "<SuccessDate>0001-01-01T00:00:00"}, {"dossier.xml", "<ReturnedType>0", "<ReturnedType> 0"},
		{"dossier.xml", "<ApplicantsType>1", "<ApplicantsType>5"}, {"statistic.xml", "<Year>2026", "<Year>99"}, {"statistic.xml", "<SolvedLatePercent>2.01", "<SolvedLatePercent>201"},
		{"statistic.json", `{`, `{"MStatistic":{`}, {"statistic.json", `{`, `{"Year":1,"Year":2,`}, {"statistic.json", `{`, `{"X":1,`},
		{"dossier-returned.json", `"DocCode"`, `"DocPapers":{"PaperName":"A","Amount":1,"PaperType":1},"DocCode"`},
	} {
		good := sample(t, changed[0])
		all = append(all, attempt{good.Type, good.Format, strings.Replace(string(good.Content), changed[1], changed[2], 1)})
	}
	return all
}

func TestWhatThePageSaysOfARuleIsWhatBreakingItComesTo(t *testing.T) {
	t.Parallel()
	said := verdicts(fieldTables(t, packet.English))
	const hint, warning, refused = "warning, also in strict reading", "warning; refused in strict reading", "**refused**"
	seen := map[string]bool{}
	for _, strict := range []bool{false, true} {
		codec, err := packet.NewCodec(packet.Options{Strict: strict})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range attempts(t) {
			for _, f := range findings(t, codec, a) {
				isRefused := f.GetSeverity() != packetv1.Severity_SEVERITY_WARNING
				switch verdict, ok := said[f.GetRule()]; {
				case !ok:
					t.Errorf("the page says nothing of %s", f.GetRule())
				case verdict == refused && !isRefused, verdict == hint && isRefused, verdict == warning && isRefused != strict:
					t.Errorf("%s at %s, strict %v: refused is %v, but the page says %s", f.GetRule(), f.GetField(), strict, isRefused, verdict)
				default:
					seen[f.GetRule()] = true
				}
			}
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d rules were broken: %v", len(seen), seen)
	}
}

func findings(t testing.TB, codec *packet.Codec, a attempt) []*packetv1.Finding {
	t.Helper()
	read, err := codec.Decode(a.typ, a.format, []byte(a.content))
	var invalid *packet.InvalidError
	if errors.As(err, &invalid) {
		return invalid.Findings
	}
	if err != nil {
		t.Fatal(err)
	}
	return read.Warnings
}

func TestExamplesOfThePageAreReadWithoutAFindingAndSayTheSame(t *testing.T) {
	t.Parallel()
	codec, err := packet.NewCodec(packet.Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	sections := sectionsOf(fieldTables(t, packet.English))
	for _, typ := range []packetv1.PacketType{dossier, progress, survey, statistic} {
		fenced := regexp.MustCompile("(?s)```(?:xml|json)\n(.*?)\n```").FindAllStringSubmatch(sections[officialName(typ)], -1)
		if len(fenced) != 2 {
			t.Fatalf("%s has %d examples, want XML and JSON", typ, len(fenced))
		}
		one := decode(t, codec, typ, xmlFormat, []byte(fenced[0][1]))
		other := decode(t, codec, typ, jsonFormat, []byte(fenced[1][1]))
		if !proto.Equal(one.Message, other.Message) || len(one.Warnings)+len(other.Warnings) > 0 {
			t.Errorf("%s: the examples differ, or have warnings: %v %v", typ, one.Warnings, other.Warnings)
		}
	}
	for _, name := range []string{"MResult", "MDeliveries", "MAcknowledge"} {
		if !strings.Contains(sections[name], "```xml") || !strings.Contains(sections[name], "```json") {
			t.Errorf("%s has no examples", name)
		}
	}
}

func TestAListInAWrapperIsRefused(t *testing.T) {
	t.Parallel()
	content := string(sample(t, "dossier.xml").Content)
	content = strings.ReplaceAll(content, "<DocPapers>", "<DocPapers><DocPaper>")
	content = strings.ReplaceAll(content, "</DocPapers>", "</DocPaper></DocPapers>")
	if _, err := newCodec(t).Decode(dossier, xmlFormat, []byte(content)); err == nil {
		t.Error("the page says that it is refused")
	}
}
