package packet

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// Language is a language that texts are written in, by its ISO 639-1 code.
type Language string

const (
	// Vietnamese is the language of the standard.
	Vietnamese Language = "vi"
	// English is for whoever reads no Vietnamese.
	English Language = "en"
)

// in returns the text in a language.
func (t text) in(l Language) string {
	if l == Vietnamese {
		return t.vi
	}
	return t.en
}

// tables returns the tables of packets, each once; those that are there by default
// where none is named.
func tables(types []packetv1.PacketType, byDefault func(schema) []*message) ([]*message, error) {
	s, err := newSchema()
	if err != nil {
		return nil, err
	}
	if len(types) == 0 {
		return byDefault(s), nil
	}
	var named []*message
	for _, typ := range types {
		m := s.of(typ)
		if m == nil {
			return nil, fmt.Errorf("no packet of type %s", typ)
		}
		if !slices.Contains(named, m) {
			named = append(named, m)
		}
	}
	return named, nil
}

// documents returns the tables of everything that a Codec reads and writes.
func (s schema) documents() []*message {
	var all []*message
	for _, m := range documents() {
		all = append(all, s[m.ProtoReflect().Descriptor().FullName()])
	}
	return all
}

// alone returns the tables of what is a document of its own, and not only a part of
// another by another name.
func (s schema) alone() []*message {
	all := s.documents()
	return slices.DeleteFunc(s.documents(), func(m *message) bool {
		return slices.ContainsFunc(all, func(around *message) bool {
			return slices.ContainsFunc(around.fields, func(f *field) bool { return f.part == m && f.name != m.name })
		})
	})
}

// nested returns messages, each with the parts it is made of right behind it, each
// once.
func nested(roots []*message) []*message {
	var all []*message
	var add func(m *message)
	add = func(m *message) {
		if slices.Contains(all, m) {
			return
		}
		all = append(all, m)
		for _, f := range m.fields {
			if f.part != nil {
				add(f.part)
			}
		}
	}
	for _, m := range roots {
		add(m)
	}
	return all
}

// withParts returns messages and the parts they are made of, each once.
func withParts(roots []*message) []*message {
	all := slices.Clone(roots)
	for i := 0; i < len(all); i++ {
		for _, f := range all[i].fields {
			if f.part != nil && !slices.Contains(all, f.part) {
				all = append(all, f.part)
			}
		}
	}
	return all
}

// meaning is what a message stands for.
func (m *message) meaning() text { return text{m.En, m.Vi} }

// meaning is what a field stands for.
func (f *field) meaning() text { return text{f.En, f.Vi} }

// meaningOf is what a code stands for.
func meaningOf(c *packetv1.Code) text { return text{c.GetEn(), c.GetVi()} }

// toldRule is a rule that reading alone does not enforce, as it is told of.
type toldRule struct {
	id      string
	element string // official name; empty where it is of the whole message
	text    text   // what a finding says where it is broken
	verdict verdict
}

// verdict is what becomes of a packet that has a finding, the gravest last.
type verdict int

const (
	verdictNone    verdict = iota
	verdictHint            // a warning, however the packet is read
	verdictWarning         // a warning; a refusal where the packet is read strictly
	verdictRefused
)

func (v verdict) text() text {
	return [...]text{
		verdictNone:    {"read", "đọc được"},
		verdictHint:    {"warning, also in strict reading", "cảnh báo, cả khi đọc chặt chẽ"},
		verdictWarning: {"warning; refused in strict reading", "cảnh báo; bị từ chối khi đọc chặt chẽ"},
		verdictRefused: {"refused", "từ chối"},
	}[v]
}

// withVerdict returns what a rule says, and what breaking it comes to where that is
// less than a refusal.
func (r toldRule) withVerdict(l Language) string {
	if r.verdict == verdictRefused {
		return r.text.in(l)
	}
	return r.text.in(l) + " [" + r.verdict.text().in(l) + "]"
}

// ruled returns the rules of a message and then those of its fields, in the order of
// the .proto files.
func (m *message) ruled() []toldRule {
	var rules []toldRule
	options, _ := proto.GetExtension(m.desc.Options(), validate.E_Message).(*validate.MessageRules)
	for _, cel := range options.GetCel() {
		rules = append(rules, m.told(m.ruleText(cel.GetId()).GetField(), cel))
	}
	for _, f := range m.fields {
		rules = append(rules, m.ruledAt(f)...)
	}
	return rules
}

// ruledAt returns the rules of one field.
func (m *message) ruledAt(f *field) []toldRule {
	var rules []toldRule
	for _, cel := range f.rules.GetCel() {
		rules = append(rules, m.told(f.name, cel))
	}
	return rules
}

func (m *message) told(element string, cel *validate.Rule) toldRule {
	known := m.ruleText(cel.GetId())
	told := toldRule{id: cel.GetId(), element: element, text: text{cel.GetMessage(), known.GetVi()}, verdict: verdictRefused}
	switch {
	case known.GetHint():
		told.verdict = verdictHint
	case known.GetWarning():
		told.verdict = verdictWarning
	}
	return told
}

// about returns the meaning of a field, of its codes, and of its rules. Code lists
// are not closed, so they are something to say and nothing to enforce.
func (m *message) about(f *field, l Language) string {
	about := f.meaning().in(l)
	for i, code := range f.codes {
		separator := "; "
		if i == 0 {
			separator = ": "
		}
		about += separator + strconv.Itoa(int(code.GetValue())) + " - " + meaningOf(code).in(l)
	}
	if f.MaxBytes > 0 {
		about += "; " + textDecoded(f).in(l)
	}
	for _, r := range m.ruledAt(f) {
		about += "; " + r.withVerdict(l)
	}
	return about
}

// note returns the meaning of a message and what is said where its rules are broken:
// no schema can hold rules between elements.
func (m *message) note(l Language) string {
	note, separator := m.meaning().in(l), text{". Said where a rule is broken: ", ". Thông báo khi vi phạm: "}.in(l)
	for _, r := range m.ruled() {
		if m.ruleText(r.id).GetField() == "" {
			continue // of a field, and said there
		}
		note += separator + r.element + " " + r.withVerdict(l)
		separator = "; "
	}
	return note
}

// textDecoded says how long a file may be.
func textDecoded(f *field) text {
	const mebi = 1 << 20
	if f.MaxBytes%mebi == 0 {
		return text{fmt.Sprintf("at most %d MiB once decoded", f.MaxBytes/mebi), fmt.Sprintf("tối đa %d MiB sau khi giải mã", f.MaxBytes/mebi)}
	}
	return text{fmt.Sprintf("at most %d bytes once decoded", f.MaxBytes), fmt.Sprintf("tối đa %d byte sau khi giải mã", f.MaxBytes)}
}

// organisationPattern is what ParseOrganisation takes, once small letters and white
// space are forgiven.
const organisationPattern = `[A-Z][0-9]{1,3}(\.[0-9]{1,3}){0,3}|([0-9]{1,3}\.){3}[A-Z][0-9]{1,3}`

// wholeForm returns the form that all text of a field has, as an expression that
// XML Schema, JSON Schema and Go read alike, without anchors; empty where there is
// none.
func (f *field) wholeForm() string {
	if f.kind == kindOrganisation {
		return organisationPattern
	}
	return unanchored(f.rules.GetString().GetPattern())
}

// unanchored takes the anchors off an expression that has one at each end. It returns
// nothing for an expression that has other ones, or what XML Schema does not read.
func unanchored(pattern string) string {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || parsed.Op != syntax.OpConcat || strings.Contains(pattern, `\`) || strings.Contains(pattern, "(?") {
		return ""
	}
	first, last := parsed.Sub[0], parsed.Sub[len(parsed.Sub)-1]
	inner := strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$")
	if first.Op != syntax.OpBeginText || last.Op != syntax.OpEndText || strings.ContainsAny(inner, "^$") {
		return ""
	}
	return inner
}
