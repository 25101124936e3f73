package packet_test

import (
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

func strict() packet.Options { return packet.Options{Strict: true} }

// TestRulesOfTheProtosAreReportedInBothLanguages: no rule may be there that a
// clerk cannot read, or that is shown at a field that there is not.
func TestRulesOfTheProtosAreReportedInBothLanguages(t *testing.T) {
	t.Parallel()
	for _, m := range []proto.Message{
		&packetv1.MSyncDocument{}, &packetv1.Attachment{}, &packetv1.DocFee{}, &packetv1.DocPaper{}, &packetv1.Supplementary{},
		&packetv1.MDocumentTraces{}, &packetv1.MVotes{}, &packetv1.Question{}, &packetv1.MStatistic{},
	} {
		desc := m.ProtoReflect().Descriptor()
		document, _ := proto.GetExtension(desc.Options(), packetv1.E_Document).(*packetv1.Document)
		if document.GetVi() == "" || document.GetEn() == "" {
			t.Errorf("%s: the meaning is %q, %q; want it in both languages", desc.Name(), document.GetVi(), document.GetEn())
		}
		texts, names := map[string]*packetv1.RuleText{}, map[string]bool{}
		for _, text := range document.GetRules() {
			texts[text.GetId()] = text
		}
		options, _ := proto.GetExtension(desc.Options(), validate.E_Message).(*validate.MessageRules)
		rules := options.GetCel()
		for i := range desc.Fields().Len() {
			fd := desc.Fields().Get(i)
			element, _ := proto.GetExtension(fd.Options(), packetv1.E_Element).(*packetv1.Element)
			names[element.GetName()] = true
			if element != nil && (element.GetVi() == "" || element.GetEn() == "") {
				t.Errorf("%s: the meaning is %q, %q; want it in both languages", fd.FullName(), element.GetVi(), element.GetEn())
			}
			fieldRules, _ := proto.GetExtension(fd.Options(), validate.E_Field).(*validate.FieldRules)
			rules = append(rules, fieldRules.GetCel()...)
		}
		for _, rule := range rules {
			text := texts[rule.GetId()]
			if text.GetVi() == "" || rule.GetMessage() == "" || text.GetField() != "" && !names[text.GetField()] {
				t.Errorf("%s: rule %s has texts %v", desc.Name(), rule.GetId(), text)
			}
		}
	}
}

func TestRulesAreAppliedAndShownAtTheirFields(t *testing.T) {
	t.Parallel()
	codec, strict := newCodec(t), codecWith(t, strict())
	for _, c := range []struct {
		sample, old, new string
		severity         packetv1.Severity
		field, rule      string
	}{
		{"dossier.xml", "<IsSuccess>false", "<IsSuccess>true", refused, "MSyncDocument.SuccessDate", "dossier.success_date"},
		{"dossier.xml", ">040190000001<", ">0401900000-01<", warned, "MSyncDocument.ApplicantsId", "dossier.applicants_id.citizen"},
		{"dossier.xml", ">040190000001<", ">04019000000<", warned, "MSyncDocument.ApplicantsId", "dossier.applicants_id.citizen"},
		{"dossier.xml", "<ApplicantsType>1<", "<ApplicantsType>2<", warned, "MSyncDocument.ApplicantsId", "dossier.applicants_id.enterprise"},
		{"dossier.xml", "<ApplicantsType>1<", "<ApplicantsType>3<", warned, "MSyncDocument.ApplicantsId", "dossier.applicants_id.enterprise"},
		{"dossier.xml", ">040190000001</ApplicantsId>\n  <ApplicantsType>1<", ">040190-00001</ApplicantsId>\n  <ApplicantsType>4<", warned, "MSyncDocument.ApplicantsId", "dossier.applicants_id"},
		{"dossier-supplement.xml", "<IsReceived>false", "<IsReceived>true", refused, "MSyncDocument.Supplementaries[0].ReceivedDate", "supplementary.received_date"},
		{"dossier-supplement.xml", "<Amount>1</Amount>\n      <PaperType>2", "<Amount>-1</Amount>\n      <PaperType>2", refused, "MSyncDocument.Supplementaries[0].Papers[0].Amount", "int32.gte"},
		{"survey.xml", "<PercentBad>4.4", "<PercentBad>5.4", warned, "MVotes.PercentVeryGood", "survey.percent_sum"},
		{"survey.xml", "<PercentBad>5.2", "<PercentBad>6.2", warned, "MVotes.Questions[1].PercentVeryGood", "question.percent_sum"},
		{"survey.xml", "<PercentBad>5.2", "<PercentBad>-1", warned, "MVotes.Questions[1].PercentBad", "percent.range"},
		{"survey.xml", "<TotalVoted>412", "<TotalVoted>-1", refused, "MVotes.TotalVoted", "int32.gte"},
		{"statistic.xml", "<IsMonthStatistic>true", "<IsMonthStatistic>false", refused, "MStatistic.Month", "statistic.month"},
		{"statistic.xml", "<Month>10", "<Month>0", refused, "MStatistic.Month", "statistic.month"},
		{"statistic.xml", "<Year>2026", "<Year>1999", warned, "MStatistic.Year", "statistic.year"},
		{"statistic.xml", "<PendingPercent>97.55", "<PendingPercent>100.2", warned, "MStatistic.PendingPercent", "percent.range"},
		{"statistic.xml", "<PendingLatePercent>2.45", "<PendingLatePercent>-0.11", warned, "MStatistic.PendingLatePercent", "percent.range"},
		{"statistic.xml", "<SolvedLatePercent>2.01", "<SolvedLatePercent>2.2", warned, "MStatistic.SolvedLatePercent", "statistic.solved_late_percent"},
		{"statistic.xml", "<PendingPercent>97.55", "<PendingPercent>97", warned, "MStatistic.PendingPercent", "statistic.pending_percent"},
		{"statistic.xml", "<PendingLatePercent>2.45", "<PendingLatePercent>3", warned, "MStatistic.PendingLatePercent", "statistic.pending_late_percent"},
		{"statistic.xml", "<SolvedInTime>1754", "<SolvedInTime>1755", warned, "MStatistic.TotalSolved", "statistic.total_solved"},
		{"statistic.xml", "<Pending>359", "<Pending>360", warned, "MStatistic.TotalPending", "statistic.total_pending"},
		{"statistic.xml", "<TotalPending>368", "<TotalPending>369", warned, "MStatistic.Total", "statistic.solved_and_pending"},
	} {
		s := sample(t, c.sample)
		content := strings.Replace(string(s.Content), c.old, c.new, 1)
		if content == string(s.Content) {
			t.Fatalf("%s has no %q", c.sample, c.old)
		}
		p, err := codec.Decode(s.Type, s.Format, []byte(content))
		findings := findingsOf(err)
		if err == nil {
			findings = p.Warnings
		}
		if !reported(findings, c.field, c.rule, c.severity) || (err != nil) != (c.severity == refused) {
			t.Errorf("%s with %s: got %v %v; want %s at %s", c.sample, c.new, err, findings, c.rule, c.field)
		}
		read, err := strict.Decode(s.Type, s.Format, []byte(content))
		findings = findingsOf(err)
		if err == nil {
			findings = read.Warnings
		}
		if !reported(findings, c.field, c.rule, strictly(c.rule)) {
			t.Errorf("%s with %s, read strictly: got %v %v; want %s at %s", c.sample, c.new, err, findingsOf(err), c.rule, c.field)
		}
	}
}

func reported(findings []*packetv1.Finding, field, rule string, severity packetv1.Severity) bool {
	for _, f := range findings {
		if f.GetField() == field && f.GetRule() == rule && f.GetSeverity() == severity && f.GetLine() > 0 && f.GetMessageVi() != f.GetMessageEn() {
			return true
		}
	}
	return false
}

func TestPercentagesMayBeATenthOff(t *testing.T) {
	t.Parallel()
	codec := codecWith(t, strict())
	for _, percents := range [][3]string{{"100.1", "0", "-0.1"}, {"100.10", "-0.10", "0.0"}} {
		content := strings.NewReplacer("<PercentVeryGood>64.3<", "<PercentVeryGood>"+percents[0]+"<", "<PercentGood>30.5<", "<PercentGood>"+percents[1]+"<",
			"<PercentBad>5.2<", "<PercentBad>"+percents[2]+"<").Replace(string(sample(t, "survey.xml").Content))
		if !strings.Contains(content, ">"+percents[0]+"<") || !strings.Contains(content, ">"+percents[1]+"<") || !strings.Contains(content, ">"+percents[2]+"<") {
			t.Fatal("the sample was not changed")
		}
		decode(t, codec, survey, xmlFormat, []byte(content))
	}
}

func TestMonthsAreToldOnceWithWhatIsAllowed(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for _, c := range [][2]string{{"13", "true"}, {"0", "true"}, {"-1", "true"}, {"1", "false"}, {"13", "false"}, {"-1", "false"}} {
		content := strings.NewReplacer("<Month>10<", "<Month>"+c[0]+"<", "<IsMonthStatistic>true<", "<IsMonthStatistic>"+c[1]+"<").
			Replace(string(sample(t, "statistic.xml").Content))
		_, err := codec.Decode(statistic, xmlFormat, []byte(content))
		findings := findingsOf(err)
		if len(findings) != 1 || findings[0].GetField() != "MStatistic.Month" || findings[0].GetSent() != c[0] ||
			findings[0].GetMessageEn() != "must be from 1 to 12 (0 only when IsMonthStatistic is false)" ||
			findings[0].GetMessageVi() != "phải từ 1 đến 12 (chỉ bằng 0 khi IsMonthStatistic là false)" {
			t.Errorf("month %s, of a month: %s: findings %v; want one that says what is allowed", c[0], c[1], findings)
		}
	}
}

func TestDossiersWithoutAttachmentsAreAcceptedWithAWarning(t *testing.T) {
	t.Parallel()
	m := dossierMessage(t)
	m.Attachments = nil
	codec := newCodec(t)
	p := decode(t, codec, dossier, xmlFormat, encode(t, codec, m, xmlFormat))
	if len(p.Warnings) != 1 || !reported(p.Warnings, "MSyncDocument.Attachments", "dossier.attachments", warned) {
		t.Errorf("warnings %v", p.Warnings)
	}
}

func TestFieldsThatWereRefusedAreNotReportedAgain(t *testing.T) {
	t.Parallel()
	content := string(sample(t, "statistic.xml").Content)
	for _, name := range []string{"Total", "TotalSolved", "SolvedInTime", "Pending", "NewReception", "IsMonthStatistic", "SolvedLatePercent"} {
		start := strings.Index(content, "<"+name+">") + len(name) + 2
		end := start + strings.Index(content[start:], "<")
		for _, changed := range []string{content[:start] + "sai" + content[end:], content[:start-len(name)-2] + content[end+len(name)+3:]} {
			_, err := newCodec(t).Decode(statistic, xmlFormat, []byte(changed))
			if findings := findingsOf(err); len(findings) != 1 || findings[0].GetField() != "MStatistic."+name {
				t.Errorf("%s: findings %v; want one", name, findings)
			}
		}
	}
}

// TestEveryElementIsReadAndWrittenByItsOfficialName: what the .proto files say
// about names is all there is to it.
func TestEveryElementIsReadAndWrittenByItsOfficialName(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for _, name := range []string{"dossier-returned.xml", "progress.xml", "survey.xml", "statistic.xml"} {
		s := sample(t, name)
		m := decode(t, codec, s.Type, s.Format, s.Content).Message.ProtoReflect()
		for _, format := range []struct{ before, after string }{{"<", ">"}, {`"`, `":`}} {
			content := encode(t, codec, m.Interface(), xmlFormat)
			if format.before == `"` {
				content = encode(t, codec, m.Interface(), jsonFormat)
			}
			m.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
				element, _ := proto.GetExtension(fd.Options(), packetv1.E_Element).(*packetv1.Element)
				if !strings.Contains(string(content), format.before+element.GetName()+format.after) {
					t.Errorf("%s: no %s in\n%s", name, element.GetName(), content)
				}
				return true
			})
		}
	}
}
