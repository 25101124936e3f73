package packet

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// jsonSchema is a JSON schema (2020-12) with what OpenAPI 3.1 adds to it.
type jsonSchema struct {
	Ref         string        `json:"$ref,omitempty"`
	Type        any           `json:"type,omitempty"` // a string, or several
	Description string        `json:"description,omitempty"`
	XML         *xmlSpelling  `json:"xml,omitempty"`
	Format      string        `json:"format,omitempty"`
	Encoding    string        `json:"contentEncoding,omitempty"`
	Pattern     string        `json:"pattern,omitempty"`
	Minimum     *int32        `json:"minimum,omitempty"`
	Maximum     *int32        `json:"maximum,omitempty"`
	MinLength   uint64        `json:"minLength,omitempty"`
	MaxLength   *uint64       `json:"maxLength,omitempty"`
	MinItems    int           `json:"minItems,omitempty"`
	AnyOf       []*jsonSchema `json:"anyOf,omitempty"`
	Items       *jsonSchema   `json:"items,omitempty"`
	Required    []string      `json:"required,omitempty"`
	Properties  properties    `json:"properties,omitempty"`
	// Codes is the list of values that have a meaning; others may come.
	Codes    []codeMeaning     `json:"x-codes,omitempty"`
	Personal bool              `json:"x-personal,omitempty"`
	Examples []json.RawMessage `json:"examples,omitempty"`
}

// xmlSpelling is how a schema's value is written in XML.
type xmlSpelling struct {
	Name string `json:"name"`
}

type codeMeaning struct {
	Value    int32  `json:"value"`
	Vi       string `json:"vi"`
	En       string `json:"en"`
	Terminal bool   `json:"terminal,omitempty"`
}

// properties are schemas by name, in an order.
type properties []property

type property struct {
	name   string
	schema *jsonSchema
}

// MarshalJSON implements json.Marshaler.
func (p properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, member := range p {
		separator := ","
		if i == 0 {
			separator = "{"
		}
		name, err := json.Marshal(member.name)
		if err != nil {
			return nil, fmt.Errorf("name %s: %w", member.name, err)
		}
		schema, err := json.Marshal(member.schema)
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", member.name, err)
		}
		fmt.Fprintf(&b, "%s%s:%s", separator, name, schema)
	}
	if len(p) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// both returns a text in both languages, the standard's first.
func both(said func(Language) string) string {
	vi, en := said(Vietnamese), said(English)
	if vi == en {
		return vi
	}
	return vi + " / " + en
}

// jsonSchema describes a message as an object. A document names its root element;
// what a part is named in XML is said where it stands. Members that the standard does
// not have are allowed: they are kept.
func (m *message) jsonSchema() *jsonSchema {
	described := &jsonSchema{Type: "object", Description: both(m.note)}
	if m.isDocument() {
		described.XML = &xmlSpelling{m.name}
	}
	for _, f := range m.fields {
		if f.Required {
			described.Required = append(described.Required, f.name)
		}
		described.Properties = append(described.Properties, property{f.name, m.member(f)})
	}
	return described
}

// isDocument reports whether a message is written as a document of its own.
func (m *message) isDocument() bool {
	for _, d := range documents() {
		if d.ProtoReflect().Descriptor().FullName() == m.desc.FullName() {
			return true
		}
	}
	return false
}

// member describes a field.
func (m *message) member(f *field) *jsonSchema {
	about := both(func(l Language) string { return m.about(f, l) })
	described := f.jsonValue()
	if f.repeated {
		described.XML = &xmlSpelling{f.name}
		described = &jsonSchema{Type: "array", Items: described}
		if f.Required {
			described.MinItems = 1
		}
	}
	described.Description, described.Personal = about, f.Personal
	for _, code := range f.codes {
		described.Codes = append(described.Codes, codeMeaning{code.GetValue(), code.GetVi(), code.GetEn(), code.GetTerminal()})
	}
	return described
}

// jsonValue describes one value of a field.
func (f *field) jsonValue() *jsonSchema {
	switch f.kind {
	case kindInteger:
		low, high := f.bounds()
		return &jsonSchema{Type: "integer", Format: "int32", Minimum: low, Maximum: high}
	case kindBoolean:
		return &jsonSchema{Type: "boolean"}
	case kindDatetime:
		date := &jsonSchema{Type: "string", Format: "date-time"}
		if f.Nullable {
			return &jsonSchema{AnyOf: []*jsonSchema{date, {Type: "string", MaxLength: new(uint64)}}}
		}
		return date
	case kindDecimal:
		return f.jsonDecimal()
	case kindPart:
		return &jsonSchema{Ref: "#/components/schemas/" + f.part.name}
	}
	value := &jsonSchema{Type: "string", MinLength: f.minLen}
	if f.maxLen > 0 {
		value.MaxLength = &f.maxLen
	}
	if pattern := f.wholeForm(); pattern != "" {
		value.Pattern = "^(?:" + pattern + ")$"
	}
	if f.kind == kindBase64 {
		value.Encoding = "base64"
	}
	return value
}

// jsonDecimal describes a number whose digits are kept: one that JSON cannot write as
// it came, 007, is a string, and one that is not there is null.
func (f *field) jsonDecimal() *jsonSchema {
	types := []string{"number", "string"}
	if f.minLen == 0 {
		types = append(types, "null")
	}
	value := &jsonSchema{Type: types, MinLength: f.minLen}
	if pattern := f.wholeForm(); pattern != "" {
		value.Pattern = "^(?:" + pattern + ")$"
	}
	return value
}
