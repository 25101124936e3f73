package packet

import (
	"regexp"
	"strconv"

	"google.golang.org/protobuf/proto"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// ReadAlone reads XML as Decode does and validates nothing: what parsing and
// mapping cost by themselves.
func (c *Codec) ReadAlone(typ packetv1.PacketType, content []byte) (proto.Message, error) {
	s := c.schema.of(typ)
	m := s.newRecord()
	r := c.reading(s)
	defer c.release(r)
	readXML(r, s, m, content)
	_, err := r.result()
	return s.of(m), err
}

// Broken lists the rules that a message breaks, each as its path and its id: what
// the compiled rules say, before a finding is made of it.
func (c *Codec) Broken(m proto.Message) []string {
	s := c.schema[m.ProtoReflect().Descriptor().FullName()]
	r, _ := s.record(m)
	return broken(s, r, s.name)
}

func broken(s *message, m record, path string) []string {
	var all []string
	said := &scope{record: m}
	for _, rule := range s.checks {
		if rule.holds(said) {
			continue
		}
		at := path
		if rule.field != nil {
			at += "." + rule.field.name
		}
		all = append(all, at+" "+rule.id)
	}
	for _, f := range s.parts {
		count := 1
		if f.repeated {
			count = m.size(f)
		}
		for i := range count {
			at := path + "." + f.name
			if f.repeated {
				at += "[" + strconv.Itoa(i) + "]"
			}
			if part, ok := m.part(f, i); ok {
				all = append(all, broken(f.part, part, at)...)
			}
		}
	}
	return all
}

// CompileCEL compiles an expression on a message and returns what it says of one.
func CompileCEL(expression string, m proto.Message) (bool, error) {
	all, err := newSchema()
	if err != nil {
		return false, err
	}
	holds, err := celCompiler{table: all[m.ProtoReflect().Descriptor().FullName()]}.compile(expression)
	if err != nil {
		return false, err
	}
	r, _ := all[m.ProtoReflect().Descriptor().FullName()].record(m)
	return holds(&scope{record: r}), nil
}

// Tabulated decides by the table of a pattern whether a text matches; false for
// ok where the pattern has none.
func Tabulated(pattern, s string) (matches, ok bool) {
	t := tabulate(regexp.MustCompile(pattern))
	return t != nil && t.matches(s), t != nil
}
