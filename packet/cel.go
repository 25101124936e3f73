package packet

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"unicode/utf8"

	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// errCEL means that a rule uses more of CEL than is compiled here.
var errCEL = errors.New("not in the part of CEL that packets may use: this, its fields, has, size, matches, int, double, literals, ! && || ?: == != < <= > >= + - * /")

// scope is the message that rules are applied to, with what they have computed of
// it: rules on one field ask for the same number again and again.
type scope struct {
	record
	known   uint64 // bits by field.index
	doubles [maxFields]float64
}

// of turns to another message.
func (s *scope) of(m record) { s.record, s.known = m, 0 }

// double returns the text of a field as a number; NaN where it is none.
func (s *scope) double(f *field) float64 {
	if s.known&f.bit() == 0 {
		s.known |= f.bit()
		s.doubles[f.index] = number(s.text(f))
	}
	return s.doubles[f.index]
}

// term is a compiled expression: the one function that is set says its type.
type term struct {
	boolean func(*scope) bool
	integer func(*scope) int64
	double  func(*scope) float64
	text    func(*scope) string
	field   *field // that text is the value of; nil for other texts
}

// celCompiler turns the CEL of a rule into functions on records. protovalidate
// interprets the same rules, which took longer than all the rest of reading a survey;
// it stays the judge of this compiler in the tests.
//
// Two things differ from CEL, and rules may not lean on either: a text that is no
// number counts as NaN where CEL has an error, and the sum of two integers is not
// watched for overflow, which fields of 32 bits cannot cause.
type celCompiler struct {
	table *message
	this  *field // nil where this is the message
}

// compile returns the condition that an expression states.
func (c celCompiler) compile(expression string) (func(*scope) bool, error) {
	cel, err := parser.NewParser(parser.Macros(parser.HasMacro))
	if err != nil {
		return nil, fmt.Errorf("make a parser of CEL: %w", err)
	}
	parsed, errs := cel.Parse(common.NewTextSource(expression))
	if len(errs.GetErrors()) > 0 {
		return nil, fmt.Errorf("parse %q: %s", expression, errs.ToDisplayString())
	}
	t, err := c.expr(parsed.Expr())
	if err == nil && t.boolean == nil {
		err = errCEL
	}
	if err != nil {
		return nil, fmt.Errorf("compile %q: %w", expression, err)
	}
	return t.boolean, nil
}

func (c celCompiler) expr(e ast.Expr) (term, error) {
	switch e.Kind() {
	case ast.IdentKind:
		if c.this != nil && e.AsIdent() == "this" {
			return fieldTerm(c.this)
		}
	case ast.SelectKind:
		return c.selection(e.AsSelect())
	case ast.LiteralKind:
		switch v := e.AsLiteral().(type) {
		case types.Int:
			return term{integer: func(*scope) int64 { return int64(v) }}, nil
		case types.Double:
			return term{double: func(*scope) float64 { return float64(v) }}, nil
		case types.String:
			return term{text: func(*scope) string { return string(v) }}, nil
		case types.Bool:
			return term{boolean: func(*scope) bool { return bool(v) }}, nil
		}
	case ast.CallKind:
		return c.call(e.AsCall())
	}
	return term{}, errCEL
}

// field returns the field that an expression selects of this.
func (c celCompiler) field(operand ast.Expr, name string) (*field, error) {
	if c.this != nil || operand.Kind() != ast.IdentKind || operand.AsIdent() != "this" {
		return nil, errCEL
	}
	fd := c.table.desc.Fields().ByName(protoreflect.Name(name))
	if fd == nil {
		return nil, fmt.Errorf("%s has no field %s", c.table.desc.FullName(), name)
	}
	f := c.table.byNumber(fd.Number())
	if f == nil {
		return nil, errCEL
	}
	return f, nil
}

func (c celCompiler) selection(s ast.SelectExpr) (term, error) {
	f, err := c.field(s.Operand(), s.FieldName())
	if err != nil {
		return term{}, err
	}
	if s.IsTestOnly() {
		return term{boolean: func(r *scope) bool { return r.has(f) }}, nil
	}
	return fieldTerm(f)
}

func fieldTerm(f *field) (term, error) {
	switch {
	case f.repeated || f.kind == kindPart || f.kind == kindDatetime:
		return term{}, errCEL
	case f.kind == kindInteger:
		return term{integer: func(r *scope) int64 { return r.integer(f) }}, nil
	case f.kind == kindBoolean:
		return term{boolean: func(r *scope) bool { return r.boolean(f) }}, nil
	default:
		return term{text: func(r *scope) string { return r.text(f) }, field: f}, nil
	}
}

func (c celCompiler) call(call ast.CallExpr) (term, error) {
	name, args := call.FunctionName(), call.Args()
	if call.IsMemberFunction() {
		args = append([]ast.Expr{call.Target()}, args...)
	}
	if name == "size" && len(args) == 1 && args[0].Kind() == ast.SelectKind && !args[0].AsSelect().IsTestOnly() {
		f, err := c.field(args[0].AsSelect().Operand(), args[0].AsSelect().FieldName())
		if err != nil {
			return term{}, err
		}
		if f.repeated {
			return term{integer: func(r *scope) int64 { return int64(r.size(f)) }}, nil
		}
	}
	terms := make([]term, len(args))
	for i, arg := range args {
		t, err := c.expr(arg)
		if err != nil {
			return term{}, err
		}
		terms[i] = t
	}
	if name == "matches" && len(args) == 2 && args[1].Kind() == ast.LiteralKind && terms[0].text != nil {
		pattern, _ := args[1].AsLiteral().Value().(string)
		return matching(terms[0], pattern)
	}
	switch len(terms) {
	case 1:
		return monadic(name, terms[0])
	case 2:
		return dyadic(name, terms[0], terms[1])
	case 3:
		return conditional(name, terms[0], terms[1], terms[2])
	}
	return term{}, errCEL
}

func matching(t term, pattern string) (term, error) {
	matches, err := compilePattern(pattern)
	if err != nil {
		return term{}, err
	}
	return term{boolean: func(r *scope) bool { return matches(t.text(r)) }}, nil
}

// compilePattern returns what decides whether a text matches a pattern.
func compilePattern(pattern string) (func(string) bool, error) {
	compiled, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	if table := tabulate(compiled); table != nil {
		return table.matches, nil
	}
	return compiled.MatchString, nil
}

func monadic(name string, t term) (term, error) {
	switch {
	case name == operators.LogicalNot && t.boolean != nil:
		return term{boolean: func(r *scope) bool { return !t.boolean(r) }}, nil
	case name == operators.Negate && t.integer != nil:
		return term{integer: func(r *scope) int64 { return -t.integer(r) }}, nil
	case name == operators.Negate && t.double != nil:
		return term{double: func(r *scope) float64 { return -t.double(r) }}, nil
	case name == "size" && t.text != nil:
		return term{integer: func(r *scope) int64 { return int64(utf8.RuneCountInString(t.text(r))) }}, nil
	case name == "int" && t.integer != nil, name == "double" && t.double != nil:
		return t, nil
	case name == "double" && t.integer != nil:
		return term{double: func(r *scope) float64 { return float64(t.integer(r)) }}, nil
	case name == "double" && t.field != nil:
		return term{double: func(r *scope) float64 { return r.double(t.field) }}, nil
	case name == "double" && t.text != nil:
		return term{double: func(r *scope) float64 { return number(t.text(r)) }}, nil
	}
	return term{}, errCEL
}

// number reads a text as double() does; NaN where it is no number.
func number(s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return n
}

func conditional(name string, condition, yes, no term) (term, error) {
	if name != operators.Conditional || condition.boolean == nil || yes.boolean == nil || no.boolean == nil {
		return term{}, errCEL
	}
	return term{boolean: func(r *scope) bool {
		if condition.boolean(r) {
			return yes.boolean(r)
		}
		return no.boolean(r)
	}}, nil
}

func dyadic(name string, a, b term) (term, error) {
	switch {
	case a.boolean != nil && b.boolean != nil:
		return logic(name, a.boolean, b.boolean)
	case a.integer != nil && b.integer != nil:
		return integers(name, a.integer, b.integer)
	case a.double != nil && b.double != nil:
		return doubles(name, a.double, b.double)
	case a.text != nil && b.text != nil:
		return compared(name, a.text, b.text)
	}
	return term{}, errCEL
}

func logic(name string, a, b func(*scope) bool) (term, error) {
	switch name {
	case operators.LogicalAnd:
		return term{boolean: func(r *scope) bool { return a(r) && b(r) }}, nil
	case operators.LogicalOr:
		return term{boolean: func(r *scope) bool { return a(r) || b(r) }}, nil
	case operators.Equals:
		return term{boolean: func(r *scope) bool { return a(r) == b(r) }}, nil
	case operators.NotEquals:
		return term{boolean: func(r *scope) bool { return a(r) != b(r) }}, nil
	}
	return term{}, errCEL
}

func integers(name string, a, b func(*scope) int64) (term, error) {
	switch name {
	case operators.Add:
		return term{integer: func(r *scope) int64 { return a(r) + b(r) }}, nil
	case operators.Subtract:
		return term{integer: func(r *scope) int64 { return a(r) - b(r) }}, nil
	}
	return compared(name, a, b)
}

func doubles(name string, a, b func(*scope) float64) (term, error) {
	switch name {
	case operators.Add:
		return term{double: func(r *scope) float64 { return a(r) + b(r) }}, nil
	case operators.Subtract:
		return term{double: func(r *scope) float64 { return a(r) - b(r) }}, nil
	case operators.Multiply:
		return term{double: func(r *scope) float64 { return a(r) * b(r) }}, nil
	case operators.Divide:
		return term{double: func(r *scope) float64 { return a(r) / b(r) }}, nil
	}
	return compared(name, a, b)
}

func compared[T int64 | float64 | string](name string, a, b func(*scope) T) (term, error) {
	switch name {
	case operators.Equals:
		return term{boolean: func(r *scope) bool { return a(r) == b(r) }}, nil
	case operators.NotEquals:
		return term{boolean: func(r *scope) bool { return a(r) != b(r) }}, nil
	case operators.Less:
		return term{boolean: func(r *scope) bool { return a(r) < b(r) }}, nil
	case operators.LessEquals:
		return term{boolean: func(r *scope) bool { return a(r) <= b(r) }}, nil
	case operators.Greater:
		return term{boolean: func(r *scope) bool { return a(r) > b(r) }}, nil
	case operators.GreaterEquals:
		return term{boolean: func(r *scope) bool { return a(r) >= b(r) }}, nil
	}
	return term{}, errCEL
}
