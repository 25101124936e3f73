package packet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/packet/samples"
)

// example shows a message as it is sent: a document in XML and in JSON, a part out of
// a document.
func (p *page) example(m *message) error {
	shown, err := p.liberal.exampleOf(m)
	if err != nil {
		return err
	}
	if shown.document == nil {
		p.part(m)
		return nil
	}
	p.fenced("xml", text{"As XML", "Dạng XML"}, shown.from, shown.xml)
	written, err := p.liberal.Encode(shown.document, exchangev1.Format_FORMAT_JSON)
	if err != nil {
		return fmt.Errorf("write example of %s: %w", m.name, err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, written, "", "  "); err != nil {
		return fmt.Errorf("indent example of %s: %w", m.name, err)
	}
	p.fenced("json", text{"The same as JSON", "Cùng nội dung, dạng JSON"}, "", indented.Bytes())
	return nil
}

// fenced shows a document; from names the sample that it is, where it is one.
func (p *page) fenced(language string, what text, from string, content []byte) {
	if from != "" {
		what.en += ", sample `" + from + "`"
		what.vi += ", gói tin mẫu `" + from + "`"
	}
	p.line("\n%s:\n\n```%s\n%s\n```", p.in(what), language, bytes.TrimSpace(content))
}

// part shows a part of a sample, where one has it.
func (p *page) part(m *message) {
	for _, sample := range samples.Good() {
		if excerpt := p.excerpt(string(sample.Content), m); excerpt != "" {
			p.fenced("xml", text{"In a packet", "Trong gói tin"}, sample.Name, []byte(excerpt))
			return
		}
	}
}

// excerpt returns the first element of an XML document that holds a part; empty
// where there is none.
func (p *page) excerpt(document string, part *message) string {
	for _, m := range p.all {
		for _, f := range m.fields {
			from := strings.Index(document, "<"+f.name+">")
			if f.part != part || from < 0 {
				continue
			}
			end := "</" + f.name + ">"
			element, _, _ := strings.Cut(document[from:], end)
			indent := document[strings.LastIndexByte(document[:from], '\n')+1 : from]
			return strings.ReplaceAll(element+end, "\n"+indent, "\n")
		}
	}
	return ""
}
