package packet

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// XSDMode is how much an XML schema says.
type XSDMode int

const (
	// XSDStrict says what Encode writes: types, lengths, bounds and forms. It is the
	// one to check what is sent with, and to generate writers from: JAXB xjc makes
	// int, boolean, XMLGregorianCalendar and byte[] of it, .NET xsd.exe int, bool,
	// DateTime and byte[]. Both make String of a date or number that may be empty,
	// and neither enforces facets; who writes DateTime in .NET sets its Kind, or the
	// offset is missing.
	XSDStrict XSDMode = iota
	// XSDStructure says names, order and cardinality alone; every value is text. What
	// Decode reads without a finding about names, order, attributes or unknown
	// elements is valid against it, however its values are spelt. It is the one to
	// generate readers from that take what is on the wire: both generators make
	// String of every value, and leave dates and numbers to the program.
	XSDStructure
)

// String returns the name of a mode.
func (m XSDMode) String() string {
	switch m {
	case XSDStrict:
		return "strict"
	case XSDStructure:
		return "structure"
	default:
		return "XSDMode(" + strconv.Itoa(int(m)) + ")"
	}
}

// Types of the schema that no message stands for.
const (
	xsdText            = "xs:string"
	xsdNoText          = "NoText"
	xsdDatetime        = "Datetime"
	xsdDatetimeOrEmpty = "DatetimeOrEmpty"
	xsdDecimalOrEmpty  = "DecimalOrEmpty"
)

// xsdDatetimePattern is xsd:dateTime with an offset, no finer than milliseconds.
const xsdDatetimePattern = `[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3}0*)?(Z|[+\-][0-9]{2}:[0-9]{2})`

// XSD returns one XML Schema 1.0 document for the packets; for everything that is
// read and written where none is named: the packets, the answers to them, and what
// recipients take and acknowledge by HTTP. Elements that the standard does not know are in
// neither mode's. Every element and type is explained in Vietnamese and English. The
// same arguments give the same bytes.
func XSD(mode XSDMode, types ...packetv1.PacketType) ([]byte, error) {
	if mode != XSDStrict && mode != XSDStructure {
		return nil, fmt.Errorf("no XML schema of mode %s", mode)
	}
	roots, err := tables(types, schema.alone)
	if err != nil {
		return nil, err
	}
	x := &xsdWriter{mode: mode, roots: roots}
	x.document()
	return x.b.Bytes(), nil
}

// xsdWriter writes a schema, indented by two spaces.
type xsdWriter struct {
	mode  XSDMode
	roots []*message // that are elements of their own
	b     bytes.Buffer
	depth int
}

func (x *xsdWriter) indent() {
	for range x.depth {
		x.b.WriteString("  ")
	}
}

func (x *xsdWriter) escaped(s string) {
	_ = xml.EscapeText(&x.b, []byte(s)) // a bytes.Buffer takes everything
}

// line writes one line. Attributes come in pairs of name and value; closing is
// ">" or "/>".
func (x *xsdWriter) line(closing, name string, attributes ...string) {
	x.indent()
	x.b.WriteString("<xs:" + name)
	for i := 0; i+1 < len(attributes); i += 2 {
		x.b.WriteString(" " + attributes[i] + `="`)
		x.escaped(attributes[i+1])
		x.b.WriteByte('"')
	}
	x.b.WriteString(closing + "\n")
}

// in writes an element and what inside writes into it.
func (x *xsdWriter) in(name string, attributes []string, inside func()) {
	x.line(">", name, attributes...)
	x.depth++
	inside()
	x.depth--
	x.indent()
	x.b.WriteString("</xs:" + name + ">\n")
}

func (x *xsdWriter) document() {
	x.b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	x.in("schema", []string{"xmlns:xs", "http://www.w3.org/2001/XMLSchema", "elementFormDefault", "unqualified"}, func() {
		x.note(x.title().in)
		for _, m := range x.roots {
			x.in("element", []string{"name", m.name}, func() {
				x.note(m.meaning().in)
				x.message(m, nil)
			})
		}
		for _, m := range withParts(x.roots)[len(x.roots):] {
			x.message(m, []string{"name", m.name})
		}
		if x.mode == XSDStrict {
			x.simpleTypes()
		}
	})
}

func (x *xsdWriter) title() text {
	if x.mode == XSDStructure {
		return text{
			"Packets of Decision 1705/QĐ-BTTTT of 23/10/2018 of the Ministry of Information and Communications: names, order and cardinality; every value is text",
			"Gói tin theo Quyết định 1705/QĐ-BTTTT ngày 23/10/2018 của Bộ Thông tin và Truyền thông: tên, thứ tự và số lần xuất hiện; mọi giá trị là văn bản",
		}
	}
	return text{
		"Packets of Decision 1705/QĐ-BTTTT of 23/10/2018 of the Ministry of Information and Communications, as they are written",
		"Gói tin theo Quyết định 1705/QĐ-BTTTT ngày 23/10/2018 của Bộ Thông tin và Truyền thông, đúng như được ghi ra",
	}
}

// note writes documentation in both languages.
func (x *xsdWriter) note(said func(Language) string) {
	x.in("annotation", nil, func() {
		for _, l := range []Language{Vietnamese, English} {
			x.indent()
			x.b.WriteString(`<xs:documentation xml:lang="` + string(l) + `">`)
			x.escaped(said(l))
			x.b.WriteString("</xs:documentation>\n")
		}
	})
}

// message writes the type of a message: named for a part, and the root's own else,
// for generators of code make a class that knows its root element only of that.
func (x *xsdWriter) message(m *message, name []string) {
	// An element with nothing in it is read as no part at all.
	var mayBeNone []string
	if x.mode == XSDStructure && name != nil {
		mayBeNone = []string{"minOccurs", "0"}
	}
	x.in("complexType", name, func() {
		x.note(m.note)
		x.in("sequence", mayBeNone, func() {
			for _, f := range m.fields {
				x.element(m, f)
			}
		})
	})
}

func (x *xsdWriter) element(m *message, f *field) {
	attributes := []string{"name", f.name}
	isRoot := slices.Contains(x.roots, f.part)
	if isRoot { // by the same name: see schema.alone
		attributes[0] = "ref"
	}
	base, facets := xsdText, [][2]string(nil)
	switch {
	case f.kind == kindPart:
		base = f.part.name
	case x.mode == XSDStrict:
		base, facets = f.xsdType(), f.facets()
	}
	if len(facets) == 0 && !isRoot {
		attributes = append(attributes, "type", base)
	}
	if !f.Required {
		attributes = append(attributes, "minOccurs", "0")
	}
	if f.repeated {
		attributes = append(attributes, "maxOccurs", "unbounded")
	}
	x.in("element", attributes, func() {
		x.note(func(l Language) string { return m.about(f, l) })
		if len(facets) > 0 {
			x.restriction(base, facets)
		}
	})
}

// restriction writes a type without a name.
func (x *xsdWriter) restriction(base string, facets [][2]string) {
	x.in("simpleType", nil, func() {
		x.in("restriction", []string{"base", base}, func() {
			for _, facet := range facets {
				x.line("/>", facet[0], "value", facet[1])
			}
		})
	})
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
		return xsdDatetime
	case kindDecimal:
		if f.minLen == 0 {
			return xsdDecimalOrEmpty
		}
		return "xs:decimal"
	case kindBase64:
		return "xs:base64Binary"
	default:
		return xsdText
	}
}

// facets returns names and values of the facets that the rules amount to.
func (f *field) facets() [][2]string {
	var facets [][2]string
	number := func(name string, n uint64) {
		if n > 0 {
			facets = append(facets, [2]string{name, strconv.FormatUint(n, 10)})
		}
	}
	switch f.kind {
	case kindInteger:
		low, high := f.bounds()
		if low != nil {
			facets = append(facets, [2]string{"minInclusive", strconv.Itoa(int(*low))})
		}
		if high != nil {
			facets = append(facets, [2]string{"maxInclusive", strconv.Itoa(int(*high))})
		}
	case kindText:
		number("minLength", f.minLen)
		number("maxLength", f.maxLen)
	case kindBase64: // of xs:base64Binary in bytes, once decoded
		number("minLength", min(f.minLen, 1))
		number("maxLength", uint64(f.MaxBytes))
	}
	if pattern := f.wholeForm(); pattern != "" {
		facets = append(facets, [2]string{"pattern", pattern})
	}
	return facets
}

func (x *xsdWriter) simpleTypes() {
	x.simpleType(xsdNoText, text{"An empty element", "Phần tử rỗng"}, func() {
		x.in("restriction", []string{"base", xsdText}, func() { x.line("/>", "length", "value", "0") })
	})
	x.simpleType(xsdDatetime, text{"A date with time and offset; written with milliseconds and +07:00", "Ngày giờ có múi giờ; được ghi với mili giây và +07:00"}, func() {
		x.in("restriction", []string{"base", "xs:dateTime"}, func() { x.line("/>", "pattern", "value", xsdDatetimePattern) })
	})
	x.simpleType(xsdDatetimeOrEmpty, text{"A date with time and offset; empty while there is none", "Ngày giờ có múi giờ; rỗng khi chưa có"}, func() {
		x.line("/>", "union", "memberTypes", xsdDatetime+" "+xsdNoText)
	})
	x.simpleType(xsdDecimalOrEmpty, text{"A decimal number; empty where it cannot be computed", "Số thập phân; rỗng khi không tính được"}, func() {
		x.line("/>", "union", "memberTypes", "xs:decimal "+xsdNoText)
	})
}

func (x *xsdWriter) simpleType(name string, meaning text, inside func()) {
	x.in("simpleType", []string{"name", name}, func() {
		x.note(meaning.in)
		inside()
	})
}
