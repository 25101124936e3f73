package packet

import (
	"fmt"
	"slices"
	"strconv"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// Types of the schema that no message stands for.
const (
	xsdNoText          = "NoText"
	xsdDatetimeOrEmpty = "DatetimeOrEmpty"
	xsdDecimalOrEmpty  = "DecimalOrEmpty"
)

// XSD returns one XML Schema 1.0 document for the packets; for all packets and
// answers where none is named. What Encode writes is valid against it, except
// for elements the standard does not know. The same types give the same bytes.
func XSD(types ...packetv1.PacketType) ([]byte, error) {
	s, err := newSchema()
	if err != nil {
		return nil, err
	}
	var roots []*message
	for _, typ := range types {
		m := s.of(typ)
		if m == nil {
			return nil, fmt.Errorf("no packet of type %s", typ)
		}
		if !slices.Contains(roots, m) {
			roots = append(roots, m)
		}
	}
	if len(types) == 0 {
		roots = s.standard()
	}
	x := &xsdWriter{}
	x.document(roots)
	return x.w.b, nil
}

// standard returns the packets and answers of the standard, in their order.
func (s schema) standard() []*message {
	var all []*message
	of := (&packetv1.MSyncDocument{}).ProtoReflect().Descriptor().FullName().Parent()
	for _, m := range documents() {
		if name := m.ProtoReflect().Descriptor().FullName(); name.Parent() == of {
			all = append(all, s[name])
		}
	}
	return all
}

// xsdWriter writes a schema, indented by two spaces.
type xsdWriter struct {
	w     xmlWriter
	depth int
}

// line writes one line. Attributes come in pairs of name and value; closing is
// ">" or "/>".
func (x *xsdWriter) line(closing, name string, attributes ...string) {
	x.w.indent(x.depth)
	x.w.b = append(x.w.b, "<xs:"+name...)
	for i := 0; i+1 < len(attributes); i += 2 {
		x.w.b = append(x.w.b, " "+attributes[i]+`="`...)
		x.w.text(attributes[i+1])
		x.w.b = append(x.w.b, '"')
	}
	x.w.b = append(x.w.b, closing+"\n"...)
}

// in writes an element and what inside writes into it.
func (x *xsdWriter) in(name string, attributes []string, inside func()) {
	x.line(">", name, attributes...)
	x.depth++
	inside()
	x.depth--
	x.w.indent(x.depth)
	x.w.b = append(x.w.b, "</xs:"+name+">\n"...)
}

func (x *xsdWriter) document(roots []*message) {
	x.w.b = append(x.w.b, xmlDeclaration...)
	x.in("schema", []string{"xmlns:xs", "http://www.w3.org/2001/XMLSchema", "elementFormDefault", "unqualified"}, func() {
		x.note("Gói tin theo Quyết định 1705/QĐ-BTTTT ngày 23/10/2018 của Bộ Thông tin và Truyền thông")
		for _, m := range roots {
			x.in("element", []string{"name", m.name, "type", m.name}, func() { x.note(m.Vi) })
		}
		for _, m := range withParts(roots) {
			x.message(m)
		}
		x.simpleTypes()
	})
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

// note writes Vietnamese documentation.
func (x *xsdWriter) note(vi string) {
	x.in("annotation", nil, func() {
		x.w.indent(x.depth)
		x.w.b = append(x.w.b, `<xs:documentation xml:lang="vi">`...)
		x.w.text(vi)
		x.w.b = append(x.w.b, "</xs:documentation>\n"...)
	})
}

func (x *xsdWriter) message(m *message) {
	x.in("complexType", []string{"name", m.name}, func() {
		x.note(m.note())
		x.in("sequence", nil, func() {
			for _, f := range m.fields {
				x.element(m, f)
			}
		})
	})
}

// note returns the meaning of a message and what its rules say when they are
// broken: no schema can hold rules between elements.
func (m *message) note() string {
	note, separator := m.Vi, ". Thông báo khi vi phạm: "
	for _, rule := range m.Rules {
		if rule.GetField() == "" {
			continue // of a field, and said there
		}
		note += separator + rule.GetField() + " " + rule.GetVi()
		separator = "; "
	}
	return note
}

func (x *xsdWriter) element(m *message, f *field) {
	attributes := []string{"name", f.name}
	facets := f.facets()
	if len(facets) == 0 {
		attributes = append(attributes, "type", f.xsdType())
	}
	if !f.Required {
		attributes = append(attributes, "minOccurs", "0")
	}
	if f.repeated {
		attributes = append(attributes, "maxOccurs", "unbounded")
	}
	x.in("element", attributes, func() {
		x.note(m.about(f))
		if len(facets) == 0 {
			return
		}
		x.in("simpleType", nil, func() {
			x.in("restriction", []string{"base", f.xsdType()}, func() {
				for _, facet := range facets {
					x.line("/>", facet[0], "value", facet[1])
				}
			})
		})
	})
}

// about returns the meaning of a field, of its codes and of its rules. Code lists are not
// closed, so they are documentation and no enumeration.
func (m *message) about(f *field) string {
	about := f.Vi
	for i, code := range f.codes {
		separator := "; "
		if i == 0 {
			separator = ": "
		}
		about += separator + strconv.Itoa(int(code.GetValue())) + " - " + code.GetVi()
	}
	for _, cel := range f.rules.GetCel() {
		if rule := m.ruleText(cel.GetId()); rule != nil {
			about += "; " + rule.GetVi()
		}
	}
	return about
}

func (f *field) xsdType() string {
	switch f.kind {
	case kindInteger:
		return "xs:int"
	case kindBoolean:
		return "xs:boolean"
	case kindDatetime:
		if f.Nullable {
			return xsdDatetimeOrEmpty
		}
		return "xs:dateTime"
	case kindDecimal:
		if f.minLen == 0 {
			return xsdDecimalOrEmpty
		}
		return "xs:decimal"
	case kindBase64:
		return "xs:base64Binary"
	case kindPart:
		return f.part.name
	default:
		return "xs:string"
	}
}

// facets returns names and values of the facets that the rules amount to.
func (f *field) facets() [][2]string {
	var facets [][2]string
	switch f.kind {
	case kindInteger:
		low, high := f.bounds()
		if low != nil {
			facets = append(facets, [2]string{"minInclusive", strconv.Itoa(int(*low))})
		}
		if high != nil {
			facets = append(facets, [2]string{"maxInclusive", strconv.Itoa(int(*high))})
		}
	case kindText, kindOrganisation, kindBase64:
		if f.minLen > 0 {
			facets = append(facets, [2]string{"minLength", strconv.FormatUint(f.minLen, 10)})
		}
		if f.maxLen > 0 {
			facets = append(facets, [2]string{"maxLength", strconv.FormatUint(f.maxLen, 10)})
		}
	}
	return facets
}

func (x *xsdWriter) simpleTypes() {
	x.in("simpleType", []string{"name", xsdNoText}, func() {
		x.note("Phần tử rỗng")
		x.in("restriction", []string{"base", "xs:string"}, func() { x.line("/>", "length", "value", "0") })
	})
	for _, union := range [][3]string{
		{xsdDatetimeOrEmpty, "xs:dateTime", "Ngày giờ; rỗng khi chưa có"},
		{xsdDecimalOrEmpty, "xs:decimal", "Số thập phân; rỗng khi không tính được"},
	} {
		x.in("simpleType", []string{"name", union[0]}, func() {
			x.note(union[2])
			x.line("/>", "union", "memberTypes", union[1]+" "+xsdNoText)
		})
	}
}
