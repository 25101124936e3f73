package packet

import (
	"fmt"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// leg is one step of the way from the root to a part.
type leg struct {
	field *field
	index int
}

// validate applies the rules of the .proto files to a message that was read and
// reports what breaks them, by official names and at the places that were read. A
// rule about a value that was refused or is missing says nothing more.
func (r *reading) validate(s *message, m record) {
	r.scope.of(m)
	for i := range s.left {
		if rule := &s.left[i]; !rule.holds(r.scope) {
			r.broken(s, m, rule)
		}
	}
	for _, f := range s.parts {
		count := 1
		if f.repeated {
			count = m.size(f)
		}
		for i := range count {
			if part, ok := m.part(f, i); ok {
				r.trail = append(r.trail, leg{f, i})
				r.validate(f.part, part)
				r.trail = r.trail[:len(r.trail)-1]
			}
		}
	}
}

// broken reports that a rule of a message does not hold.
func (r *reading) broken(s *message, m record, rule *rule) {
	at := 0
	for _, leg := range r.trail {
		if at = r.reach(at, leg.field, leg.index); r.steps[at].failed {
			return
		}
	}
	known := s.ruleText(rule.id)
	f := rule.field
	if f == nil {
		for _, looked := range s.rules[rule.id] {
			if step := r.lookup(at, looked, 0); step >= 0 && r.steps[step].failed {
				return
			}
		}
		if f = s.exact[known.GetField()]; f != nil {
			at = r.shownAt(at, f)
		}
	} else if at = r.reach(at, f, 0); r.steps[at].failed {
		return
	}
	said := remark{rule: rule.id, text: textOf(f, known, rule)}
	if f != nil {
		said.sent = shown(m.spell(f), f.Personal)
	}
	if known.GetHint() {
		r.hint(locus{step: at}, r.steps[at].offset, said)
		return
	}
	if known.GetWarning() {
		r.tolerate(locus{step: at}, r.steps[at].offset, said)
		return
	}
	r.refuse(locus{step: at}, r.steps[at].offset, said)
	if rule.field == nil && f != nil {
		r.steps[at].failed = true
	}
}

// reach returns the step of a field. One that was not sent stands where its
// message does.
func (r *reading) reach(parent int, f *field, index int) int {
	if at := r.lookup(parent, f, index); at >= 0 {
		return at
	}
	return r.enter(parent, f, index, r.steps[parent].offset)
}

// shownAt returns the step of the field that a rule between fields is shown at.
func (r *reading) shownAt(parent int, f *field) int {
	if f.repeated {
		return r.enter(parent, f, noItem, r.steps[parent].offset)
	}
	return r.reach(parent, f, 0)
}

// ruleText returns the text that a message has for a rule; nil for none.
func (m *message) ruleText(id string) *packetv1.RuleText {
	for _, t := range m.Rules {
		if t.GetId() == id {
			return t
		}
	}
	return nil
}

// textOf says what a rule allows.
func textOf(f *field, known *packetv1.RuleText, rule *rule) text {
	id := rule.id
	switch {
	case known != nil:
		return text{rule.en, known.GetVi()}
	case f == nil:
	case id == "required":
		return textRequired(f)
	case id == "string.min_len" && f.minLen == 1:
		return textEmpty()
	case id == "string.min_len":
		return text{fmt.Sprintf("must have at least %d characters", f.minLen), fmt.Sprintf("phải có ít nhất %d ký tự", f.minLen)}
	case id == "string.max_len":
		return text{fmt.Sprintf("must have at most %d characters", f.maxLen), fmt.Sprintf("chỉ được có tối đa %d ký tự", f.maxLen)}
	case id == "string.pattern" && f.kind == kindDecimal:
		return textDecimal()
	case strings.HasPrefix(id, "int32."):
		return textBounds(f)
	}
	return text{"breaks rule " + id, "không đúng quy tắc " + id}
}

// textBounds says between what an integer has to be, and what its codes mean.
func textBounds(f *field) text {
	t := text{"is out of range", "ngoài phạm vi"}
	switch low, high := f.bounds(); {
	case low != nil && high != nil:
		t = text{fmt.Sprintf("must be from %d to %d", *low, *high), fmt.Sprintf("phải từ %d đến %d", *low, *high)}
	case low != nil:
		t = text{fmt.Sprintf("must be %d or more", *low), fmt.Sprintf("phải từ %d trở lên", *low)}
	case high != nil:
		t = text{fmt.Sprintf("must be %d or less", *high), fmt.Sprintf("phải từ %d trở xuống", *high)}
	}
	for i, code := range f.codes {
		separator := ", "
		if i == 0 {
			separator = ": "
		}
		t.en += separator + fmt.Sprintf("%d %s", code.GetValue(), code.GetEn())
		t.vi += separator + fmt.Sprintf("%d %s", code.GetValue(), code.GetVi())
	}
	return t
}

// bounds returns the least and greatest value that the rules allow; nil where
// they set none.
func (f *field) bounds() (low, high *int32) {
	rules := f.rules.GetInt32()
	if _, ok := rules.GetGreaterThan().(*validate.Int32Rules_Gte); ok {
		n := rules.GetGte()
		low = &n
	}
	if _, ok := rules.GetLessThan().(*validate.Int32Rules_Lte); ok {
		n := rules.GetLte()
		high = &n
	}
	return low, high
}
