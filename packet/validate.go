package packet

import (
	"errors"
	"fmt"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// validate applies the rules of the .proto files to a message that was read and
// reports what they find, by official names and at the places that were read. A
// rule about a value that was refused or is missing says nothing more; rules
// between fields go first, for they say more than the bounds of a field.
func (c *Codec) validate(r *reading, s *message, m protoreflect.Message) error {
	err := c.validator.Validate(m.Interface())
	if err == nil {
		return nil
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		return fmt.Errorf("apply the rules of %s: %w", s.name, err)
	}
	var ofFields []*validate.Violation
	for _, violation := range invalid.Violations {
		if t, ok := r.target(s, m, violation.Proto.GetField().GetElements()); ok && t.field == nil {
			r.violation(t, violation.Proto)
		} else if ok {
			ofFields = append(ofFields, violation.Proto)
		}
	}
	for _, violation := range ofFields {
		if t, ok := r.target(s, m, violation.GetField().GetElements()); ok {
			r.violation(t, violation)
		}
	}
	return nil
}

// target is what a violation is about.
type target struct {
	at      int
	table   *message // of the innermost message
	message protoreflect.Message
	field   *field // nil where the rule is one of the message
	value   protoreflect.Value
}

// violation reports what the validator found at a target.
func (r *reading) violation(t target, v *validate.Violation) {
	known := t.table.ruleText(v.GetRuleId())
	ofMessage := t.field == nil
	if ofMessage {
		for _, looked := range t.table.rules[v.GetRuleId()] {
			if at := r.lookup(t.at, looked, 0); at >= 0 && r.steps[at].failed {
				return
			}
		}
		t = r.shownAt(t, known)
	}
	path, said := r.path(t.at), remark{rule: v.GetRuleId(), text: textOf(t.field, known, v)}
	if t.field != nil {
		said.sent = shown(sentOf(t), t.field.Personal)
	}
	if known.GetWarning() {
		r.tolerate(path, r.steps[t.at].offset, said)
		return
	}
	r.refuse(path, r.steps[t.at].offset, said)
	if ofMessage && t.field != nil {
		r.steps[t.at].failed = true
	}
}

// target follows a path of the validator. It returns false where the path leads
// to something that was refused already.
func (r *reading) target(s *message, m protoreflect.Message, path []*validate.FieldPathElement) (target, bool) {
	t := target{table: s, message: m}
	for _, element := range path {
		f := t.table.byNumber(protoreflect.FieldNumber(element.GetFieldNumber()))
		if f == nil {
			return t, true
		}
		index := int(element.GetIndex()) //nolint:gosec // of a list in memory
		if t.at = r.reach(t.at, f, index); r.steps[t.at].failed {
			return t, false
		}
		t.field, t.value = f, t.message.Get(f.desc)
		if f.repeated {
			if index >= t.value.List().Len() {
				return t, true
			}
			t.value = t.value.List().Get(index)
		}
		if f.kind == kindPart {
			t.table, t.message, t.field = f.part, t.value.Message(), nil
		}
	}
	return t, true
}

// reach returns the step of a field. One that was not sent stands where its
// message does.
func (r *reading) reach(parent int, f *field, index int) int {
	if at := r.lookup(parent, f, index); at >= 0 {
		return at
	}
	return r.enter(parent, f, index, r.steps[parent].offset)
}

// shownAt moves a rule of a message to the field it is shown at.
func (r *reading) shownAt(t target, text *packetv1.RuleText) target {
	f := t.table.exact[text.GetField()]
	if f == nil {
		return t
	}
	t.field = f
	if f.repeated {
		t.at = r.enter(t.at, f, noItem, r.steps[t.at].offset)
		return t
	}
	t.at, t.value = r.reach(t.at, f, 0), t.message.Get(f.desc)
	return t
}

// sentOf spells a value that broke a rule.
func sentOf(t target) string {
	switch v := t.value; {
	case !v.IsValid() || t.field.kind == kindPart || t.field.kind == kindDatetime:
		return ""
	default:
		return v.String()
	}
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
func textOf(f *field, known *packetv1.RuleText, v *validate.Violation) text {
	id := v.GetRuleId()
	switch {
	case known != nil:
		return text{v.GetMessage(), known.GetVi()}
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
	return text{v.GetMessage(), "không đúng quy tắc " + id + ": " + v.GetMessage()}
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
