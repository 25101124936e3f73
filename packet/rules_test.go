package packet_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	edgev1 "github.com/lienthong/lienthong/gen/lienthong/edge/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

// TestCompiledRulesAgreeWithProtovalidate: of messages that are right and wrong in
// every way there is a rule for, the compiled rules say what protovalidate says,
// no more and no less.
func TestCompiledRulesAgreeWithProtovalidate(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	oracle, err := protovalidate.New(protovalidate.WithMessages(
		&packetv1.MSyncDocument{}, &packetv1.MDocumentTraces{}, &packetv1.MVotes{}, &packetv1.MStatistic{}, &packetv1.MResult{}, &packetv1.Mtoken{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []packetv1.PacketType{dossier, progress, survey, statistic} {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			missing := celRules(typ)
			for rounds := 0; rounds == 0 || len(missing) > 0 && rounds < 50; rounds++ {
				rapid.Check(t, func(t *rapid.T) {
					m := messages(typ).Draw(t, "message")
					if rapid.Bool().Draw(t, "right figures") {
						fix(m)
						add(m)
					}
					for range rapid.IntRange(0, 6).Draw(t, "wrongs") {
						wrong(t, m.ProtoReflect())
					}
					want := judged(t, oracle, m)
					got := codec.Broken(m)
					slices.Sort(got)
					if !slices.Equal(got, want) {
						t.Fatalf("%v\nbreaks %q\nprotovalidate says %q", m, got, want)
					}
					for _, rule := range want {
						delete(missing, rule[strings.LastIndexByte(rule, ' ')+1:])
					}
				})
			}
			if len(missing) > 0 {
				t.Errorf("no message that was drawn breaks %v: the judge was never asked", missing)
			}
		})
	}
}

// TestRulesOfAnswersAgreeWithProtovalidate: of what is written, not only of packets.
func TestRulesOfAnswersAgreeWithProtovalidate(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	oracle, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		for _, m := range []proto.Message{&packetv1.MResult{}, &packetv1.Mtoken{}, &edgev1.MDeliveries{}, &edgev1.MAcknowledge{}} {
			for range rapid.IntRange(0, 4).Draw(t, "changes") {
				if _, list := m.(*edgev1.MAcknowledge); !list {
					wrong(t, m.ProtoReflect())
				}
			}
			got := codec.Broken(m)
			slices.Sort(got)
			if want := judged(t, oracle, m); !slices.Equal(got, want) {
				t.Fatalf("%v\nbreaks %q\nprotovalidate says %q", m, got, want)
			}
		}
	})
}

// celRules returns the ids of the CEL rules of a packet and its parts.
func celRules(typ packetv1.PacketType) map[string]bool {
	all := map[string]bool{}
	var collect func(protoreflect.MessageDescriptor)
	collect = func(desc protoreflect.MessageDescriptor) {
		options, _ := proto.GetExtension(desc.Options(), validate.E_Message).(*validate.MessageRules)
		rules := options.GetCel()
		for i := range desc.Fields().Len() {
			fd := desc.Fields().Get(i)
			of, _ := proto.GetExtension(fd.Options(), validate.E_Field).(*validate.FieldRules)
			rules = append(rules, of.GetCel()...)
			if fd.IsList() && fd.Message() != nil && fd.Name() != "unknown_elements" {
				collect(fd.Message())
			}
		}
		for _, rule := range rules {
			all[rule.GetId()] = true
		}
	}
	collect(emptyMessage(typ).ProtoReflect().Descriptor())
	return all
}

// judged lists what protovalidate finds, as Broken does.
func judged(t *rapid.T, oracle protovalidate.Validator, m proto.Message) []string {
	err := oracle.Validate(m)
	var invalid *protovalidate.ValidationError
	if err == nil {
		return nil
	}
	if !errors.As(err, &invalid) {
		t.Fatalf("protovalidate cannot judge %v: %v", m, err)
	}
	var all []string
	for _, v := range invalid.Violations {
		desc := m.ProtoReflect().Descriptor()
		path := string(desc.Name())
		for _, element := range v.Proto.GetField().GetElements() {
			fd := desc.Fields().ByNumber(protoreflect.FieldNumber(element.GetFieldNumber()))
			option, _ := proto.GetExtension(fd.Options(), packetv1.E_Element).(*packetv1.Element)
			path += "." + option.GetName()
			if _, indexed := element.GetSubscript().(*validate.FieldPathElement_Index); indexed {
				path += "[" + strconv.FormatUint(element.GetIndex(), 10) + "]"
			}
			desc = fd.Message()
		}
		all = append(all, path+" "+v.Proto.GetRuleId())
	}
	slices.Sort(all)
	return all
}

// wrong spoils one field, of the message or of one of its parts.
func wrong(t *rapid.T, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	fd := fields.Get(rapid.IntRange(0, fields.Len()-1).Draw(t, "field"))
	for i := range fields.Len() { // parts have few fields; most rules are broken by two
		if f := fields.Get(i); f.IsList() && f.Name() != "unknown_elements" && m.Get(f).List().Len() > 0 && rapid.Bool().Draw(t, "a part") {
			fd = f
		}
	}
	switch {
	case fd.Name() == "unknown_elements":
	case fd.IsList():
		if list := m.Mutable(fd).List(); list.Len() > 0 && rapid.Bool().Draw(t, "inside") {
			wrong(t, list.Get(rapid.IntRange(0, list.Len()-1).Draw(t, "item")).Message())
		} else if list.Len() > 0 {
			list.Truncate(0)
		} else {
			list.AppendMutable()
		}
	case fd.Message() != nil:
		m.Clear(fd)
	case fd.Kind() == protoreflect.BoolKind:
		m.Set(fd, protoreflect.ValueOfBool(!m.Get(fd).Bool()))
	case fd.Kind() == protoreflect.Int32Kind:
		m.Set(fd, protoreflect.ValueOfInt32(rapid.SampledFrom([]int32{-1 << 31, -1, 0, 1, 2, 3, 4, 5, 12, 13, 1999, 2000, 2100, 2101, 1<<31 - 1}).Draw(t, "number")))
	default:
		m.Set(fd, protoreflect.ValueOfString(rapid.OneOf(rapid.SampledFrom([]string{
			"", "0", "-0", "100", "100.1", "100.10001", "-0.1", "-0.2", "33.3", "33.34", "66.66", "0.0", "1e2", "NaN", ".5", "5.", "١", "12 ",
			"H41-240101-1", "000.00.04.H41-240101-0002", "H41-240101-", "h41-240101-1", "123456789", "012345678901", "0123456789", "0123456789-001",
			"0123456789-01", strings.Repeat("a", 100), strings.Repeat("ạ", 100), strings.Repeat("ạ", 101), "\n100", "100\n",
		}), rapid.String()).Draw(t, "text")))
	}
}

// add makes the sums of a statistic and the percentages of a survey right.
func add(m proto.Message) {
	switch m := m.(type) {
	case *packetv1.MVotes:
		m.PercentVeryGood, m.PercentGood, m.PercentBad = "50", "30.2", "19.8"
		for _, q := range m.GetQuestions() {
			q.PercentVeryGood, q.PercentGood, q.PercentBad = "0", "0.0", "0"
		}
	case *packetv1.MStatistic:
		m.SolvedInTime, m.SolvedLate, m.Pending, m.PendingLate = m.SolvedInTime%1000, m.SolvedLate%1000, m.Pending%1000, m.PendingLate%1000
		m.TotalSolved, m.TotalPending = m.SolvedInTime+m.SolvedLate, m.Pending+m.PendingLate
		m.Total = m.TotalSolved + m.TotalPending
		m.PreExtisting = min(m.PreExtisting, m.Total)
		m.NewReception = m.Total - m.PreExtisting
		m.SolvedInTimePercent, m.SolvedLatePercent = percent(m.SolvedInTime, m.TotalSolved), percent(m.SolvedLate, m.TotalSolved)
		m.PendingPercent, m.PendingLatePercent = percent(m.Pending, m.TotalPending), percent(m.PendingLate, m.TotalPending)
	}
}

func percent(part, total int32) string {
	if total == 0 {
		return "0"
	}
	return fmt.Sprintf("%.2f", 100*float64(part)/float64(total))
}

// TestRulesBeyondTheCompilerAreNotLostInSilence: a rule that cannot be compiled
// must keep a program from starting.
func TestRulesBeyondTheCompilerAreNotLostInSilence(t *testing.T) {
	t.Parallel()
	m := &packetv1.MStatistic{Total: 3, Month: 12, Note: "ạ", IsMonthStatistic: true, SolvedInTimePercent: "2.5"}
	for expression, want := range map[string]bool{
		"this.total == 3 && !(this.month < 12)":                        true,
		"this.total - 4 == -1 || this.note == ''":                      true,
		"this.note.size() == 1 && size(this.note) == 1":                true,
		"has(this.note) && !has(this.year)":                            true,
		"double(this.solved_in_time_percent) * 2.0 / 5.0 - 1.0 == 0.0": true,
		"this.is_month_statistic ? this.month > 12 : true":             false,
		"this.note > 'a' && this.note != 'b' && this.note >= 'ạ'":      true,
		"(this.total <= 2) == false && -double(this.total) == -3.0":    true,
	} {
		if got, err := packet.CompileCEL(expression, m); err != nil || got != want {
			t.Errorf("%s: got %v %v; want %v", expression, got, err, want)
		}
	}
	for _, expression := range []string{
		"this.total", "this.total * 2 == 6", "this.total == 3.0", "this.none == 1", "other.total == 1", "this.note.startsWith('a')",
		"this.note + 'a' == ''", "this.unknown_elements.size() == 0", "[1, 2].exists(x, x == this.total)", "this.note.matches('(')",
		"this.note.matches(this.note)", "this ==", "this.total in [3]", "this == this",
	} {
		if got, err := packet.CompileCEL(expression, m); err == nil {
			t.Errorf("%s: got %v; want an error", expression, got)
		}
	}
}

// TestPatternsInTablesMatchWhatRegexpMatches: for patterns that become tables, and
// for texts made of what they speak of.
func TestPatternsInTablesMatchWhatRegexpMatches(t *testing.T) {
	t.Parallel()
	patterns := []string{
		`^-?[0-9]+([.][0-9]+)?$`, `^(-?[0-9]+([.][0-9]+)?)?$`, `^([0-9]{9}|[0-9]{12}|[0-9]{10}(-[0-9]{3})?)$`,
		`^([A-Z][0-9]{1,3}([.][0-9]{1,3}){0,3}|([0-9]{1,3}[.]){3}[A-Z][0-9]{1,3})-[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])-[0-9]+$`, `^(a|ab)*$`, `^(a*)*b?$`, `^[^a]$`, `^$`, `^(|a)+$`,
	}
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.SampledFrom(patterns).Draw(t, "pattern")
		s := rapid.OneOf(rapid.StringMatching(pattern), rapid.StringMatching(`[-.0-9A-Za-b\n]{0,14}`), rapid.String()).Draw(t, "text")
		got, ok := packet.Tabulated(pattern, s)
		if want := regexp.MustCompile(pattern).MatchString(s); ok && got != want {
			t.Fatalf("%s on %q: got %v; regexp says %v", pattern, s, got, want)
		}
	})
	for _, pattern := range patterns[:6] {
		if _, ok := packet.Tabulated(pattern, ""); !ok {
			t.Errorf("%s has no table", pattern)
		}
	}
	for _, pattern := range []string{`[0-9]+`, `^a`, `a$`, `^(?i)a$`, `^(?m)a$`, `^.$`, `^ạ$`, `^a\b$`, `^(^a)$`, `^[0-9]{99}$`} {
		if _, ok := packet.Tabulated(pattern, ""); ok {
			t.Errorf("%s has a table; what it says cannot be said by one", pattern)
		}
	}
}
