package packet

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rule is one buf.validate rule of a message or of one of its fields.
type rule struct {
	id    string
	en    string // of CEL rules
	field *field // nil for a rule between fields
	holds func(*scope) bool
	// read is set where reading refuses already whatever would break the rule.
	read bool
}

// errRule means that a .proto file has a rule that no packet has needed yet.
var errRule = errors.New("not among the rules that packets may use: required of messages, string.min_len, string.max_len, string.pattern, int32.gte, int32.lte, cel")

// compile turns the rules of a message into functions: those between fields
// first, for they say more than the bounds of a field.
func (m *message) compile() error {
	options, _ := proto.GetExtension(m.desc.Options(), validate.E_Message).(*validate.MessageRules)
	if options != nil && !justRules(options.ProtoReflect(), "cel") {
		return fmt.Errorf("%s: %w", m.desc.FullName(), errRule)
	}
	for i := range m.desc.Oneofs().Len() {
		if !m.desc.Oneofs().Get(i).IsSynthetic() {
			return fmt.Errorf("%s: %w", m.desc.Oneofs().Get(i).FullName(), errRule)
		}
	}
	for _, cel := range options.GetCel() {
		holds, err := celCompiler{table: m}.compile(cel.GetExpression())
		if err != nil {
			return fmt.Errorf("%s: rule %s: %w", m.desc.FullName(), cel.GetId(), err)
		}
		m.checks = append(m.checks, rule{id: cel.GetId(), en: cel.GetMessage(), holds: holds})
	}
	for _, f := range m.fields {
		if err := m.compileField(f); err != nil {
			return fmt.Errorf("%s: %w", f.desc.FullName(), err)
		}
	}
	for _, rule := range m.checks {
		if !rule.read {
			m.left = append(m.left, rule)
		}
	}
	return nil
}

func (m *message) compileField(f *field) error {
	if f.rules == nil {
		return nil
	}
	if f.repeated || !justRules(f.rules.ProtoReflect(), "required", "string", "int32", "cel") {
		return errRule
	}
	if f.rules.GetRequired() {
		if f.kind != kindDatetime && f.kind != kindPart {
			return errRule
		}
		m.checks = append(m.checks, rule{id: "required", field: f, holds: func(r *scope) bool { return r.has(f) }})
	}
	if err := m.compileString(f, f.rules.GetString()); err != nil {
		return err
	}
	if err := m.compileInteger(f); err != nil {
		return err
	}
	for _, cel := range f.rules.GetCel() {
		holds, err := celCompiler{table: m, this: f}.compile(cel.GetExpression())
		if err != nil {
			return fmt.Errorf("rule %s: %w", cel.GetId(), err)
		}
		m.check(f, cel.GetId(), cel.GetMessage(), holds)
	}
	return nil
}

// check adds a rule of a field. One that was left out may break no rule.
func (m *message) check(f *field, id, en string, holds func(*scope) bool) {
	if f.pointer {
		always := holds
		holds = func(r *scope) bool { return !r.has(f) || always(r) }
	}
	m.checks = append(m.checks, rule{id: id, en: en, field: f, holds: holds})
}

func (m *message) compileString(f *field, rules *validate.StringRules) error {
	if rules == nil {
		return nil
	}
	if !justRules(rules.ProtoReflect(), "min_len", "max_len", "pattern") {
		return errRule
	}
	if least := int(rules.GetMinLen()); least > 0 { //nolint:gosec // by the .proto files
		m.check(f, "string.min_len", "", func(r *scope) bool {
			s := r.text(f)
			return len(s) >= utf8.UTFMax*least || utf8.RuneCountInString(s) >= least
		})
		m.checks[len(m.checks)-1].read = least == 1 && f.Required && !f.pointer // as an empty text, or as none
	}
	if rules.MaxLen != nil {
		most := int(rules.GetMaxLen()) //nolint:gosec // by the .proto files
		m.check(f, "string.max_len", "", func(r *scope) bool {
			s := r.text(f)
			return len(s) <= most || utf8.RuneCountInString(s) <= most
		})
	}
	if rules.Pattern != nil {
		matches, err := compilePattern(rules.GetPattern())
		if err != nil {
			return err
		}
		m.check(f, "string.pattern", "", func(r *scope) bool { return matches(r.text(f)) })
	}
	return nil
}

// compileInteger compiles the bounds of an integer. Where both are set, breaking
// either breaks one rule, by the name that protovalidate has for it.
func (m *message) compileInteger(f *field) error {
	rules := f.rules.GetInt32()
	if rules == nil {
		return nil
	}
	if !justRules(rules.ProtoReflect(), "gte", "lte") {
		return errRule
	}
	low, high := f.bounds()
	switch {
	case low != nil && high != nil && *low > *high:
		return errRule // protovalidate would take it for "outside of"
	case low != nil && high != nil:
		m.check(f, "int32.gte_lte", "", func(r *scope) bool {
			n := r.integer(f)
			return n >= int64(*low) && n <= int64(*high)
		})
	case low != nil:
		m.check(f, "int32.gte", "", func(r *scope) bool { return r.integer(f) >= int64(*low) })
	case high != nil:
		m.check(f, "int32.lte", "", func(r *scope) bool { return r.integer(f) <= int64(*high) })
	}
	return nil
}

// justRules reports whether none but the named rules are set.
func justRules(rules protoreflect.Message, names ...protoreflect.Name) bool {
	just := len(rules.GetUnknown()) == 0 // rules of a later version
	rules.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		known := false
		for _, name := range names {
			known = known || fd.Name() == name
		}
		just = just && known
		return just
	})
	return just
}
