package packet

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet/samples"
)

// FieldTables returns the fields of packets and of their parts as a page of Markdown,
// with their rules and a packet to see them in. Where no packet is named, it is of
// everything that is read and written, and says how values are read that are not
// spelt as the standard says. The same arguments give the same bytes.
func FieldTables(language Language, types ...packetv1.PacketType) ([]byte, error) {
	if language != Vietnamese && language != English {
		return nil, fmt.Errorf("language %q: vi and en are known", string(language))
	}
	roots, err := tables(types, schema.documents)
	if err != nil {
		return nil, err
	}
	p := &page{language: language, all: nested(roots)}
	p.intro()
	for _, m := range p.all {
		p.line("- [%s](#%s): %s", m.name, strings.ToLower(m.name), p.in(m.meaning()))
	}
	if len(types) == 0 {
		p.contents()
	}
	for _, m := range p.all {
		p.section(m)
	}
	if len(types) == 0 {
		if err := p.liberties(); err != nil {
			return nil, err
		}
	}
	return p.b.Bytes(), nil
}

// page is Markdown that is being written.
type page struct {
	language Language
	all      []*message // that have a section
	b        bytes.Buffer
}

// in returns a text in the language of the page.
func (p *page) in(t text) string { return t.in(p.language) }

// line writes a line.
func (p *page) line(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

// say writes a paragraph.
func (p *page) say(t text) { p.line("\n%s", p.in(t)) }

// table writes a table with the text of its head and rows of cells.
func (p *page) table(head []text, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	var names, rule []string
	for _, t := range head {
		names, rule = append(names, p.in(t)), append(rule, "---")
	}
	p.line("\n| %s |\n|%s|", strings.Join(names, " | "), strings.Join(rule, "|"))
	for _, row := range rows {
		p.line("| %s |", strings.Join(row, " | "))
	}
}

// cell makes a text fit into a cell of a table.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "*", `\*`, "\n", " ").Replace(s)
}

// code shows a text as it is.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(s, "|", `\|`) + "`"
}

func (p *page) intro() {
	p.line("# %s", p.in(text{"The official packets", "Các gói tin chính thức"}))
	p.say(text{
		"Written by `make docs` from the same descriptors (proto/lienthong/packet/v1) that reading, writing, validation, the XML schema and OpenAPI follow.",
		"Do `make docs` ghi ra từ chính các mô tả (proto/lienthong/packet/v1) mà việc đọc, ghi, kiểm tra, lược đồ XML và OpenAPI tuân theo.",
	})
	p.say(text{
		"Elements are written in the order of the tables, XML in UTF-8 without attributes and namespaces; JSON has the same names. How often: **1** required, **?** optional, **\\*** any number, **+** at least one; what repeats is elements of one name in XML, and an array in JSON.",
		"Các phần tử được ghi theo thứ tự trong bảng, XML mã hóa UTF-8, không có thuộc tính và không gian tên; JSON dùng cùng tên. Số lần: **1** bắt buộc, **?** không bắt buộc, **\\*** bao nhiêu cũng được, **+** ít nhất một; phần lặp lại là các phần tử cùng tên trong XML và là mảng trong JSON.",
	})
	p.say(text{
		"*(personal)* marks what is about a person: findings, logs and public pages do not show it.",
		"*(cá nhân)* là dữ liệu về cá nhân: không hiển thị trong thông báo, nhật ký và trang công khai.",
	})
	p.types()
	p.line("")
}

// types says how values are written, by the types of the tables.
func (p *page) types() {
	var rows [][]string
	seen := map[kind]bool{}
	for _, m := range p.all {
		for _, f := range m.fields {
			if f.kind != kindPart && !seen[f.kind] {
				seen[f.kind] = true
				rows = append(rows, []string{p.typeOf(f), cell(p.in(textType(f)))})
			}
		}
	}
	p.table([]text{{"Type", "Kiểu"}, {"Value", "Giá trị"}}, rows)
}

// section writes what there is to say of one message.
func (p *page) section(m *message) {
	p.line("\n## %s", m.name)
	p.line("\n%s.", p.in(m.meaning()))
	if m.Type != packetv1.PacketType_PACKET_TYPE_UNSPECIFIED {
		word := strings.ToLower(strings.TrimPrefix(m.Type.String(), "PACKET_TYPE_"))
		p.say(text{"In the API `" + m.Type.String() + "`, on the command line `" + word + "`.", "Trong API là `" + m.Type.String() + "`, trên dòng lệnh là `" + word + "`."})
	}
	p.fields(m)
	p.rules(m)
	p.example(m)
}

func (p *page) fields(m *message) {
	var rows [][]string
	for _, f := range m.fields {
		meaning := cell(p.in(f.meaning()))
		if f.Personal {
			meaning += " " + p.in(text{"*(personal)*", "*(cá nhân)*"})
		}
		var aliases []string
		for _, alias := range f.Aliases {
			aliases = append(aliases, code(alias))
		}
		rows = append(rows, []string{
			strconv.Itoa(f.index + 1), code(f.name), p.typeOf(f), f.cardinality(), meaning, p.allowed(f), strings.Join(aliases, "<br>"),
		})
	}
	p.table([]text{
		{"#", "#"}, {"Element", "Phần tử"}, {"Type", "Kiểu"}, {"Times", "Số lần"}, {"Meaning", "Ý nghĩa"}, {"Allowed", "Giá trị cho phép"}, {"Also read as", "Tên khác cũng đọc được"},
	}, rows)
}

// typeOf returns the official type of a field.
func (p *page) typeOf(f *field) string {
	switch f.kind {
	case kindInteger:
		return "int"
	case kindBoolean:
		return "bool"
	case kindDatetime:
		return "datetime"
	case kindDecimal:
		return "decimal"
	case kindBase64:
		return "string, Base64"
	case kindOrganisation:
		return p.in(text{"string, organisation code", "string, mã cơ quan"})
	case kindPart:
		return "[" + f.part.name + "](#" + strings.ToLower(f.part.name) + ")"
	default:
		return "string"
	}
}

// cardinality returns how often a field may be there.
func (f *field) cardinality() string {
	switch {
	case f.Required && f.repeated:
		return "+"
	case f.repeated:
		return `\*`
	case f.Required:
		return "1"
	default:
		return "?"
	}
}

// allowed returns what the value of a field may be.
func (p *page) allowed(f *field) string {
	var allowed []string
	for _, t := range f.limits() {
		allowed = append(allowed, cell(p.in(t)))
	}
	for _, code := range f.codes {
		said := fmt.Sprintf("%d %s", code.GetValue(), cell(p.in(meaningOf(code))))
		if code.GetTerminal() {
			said += p.in(text{" (final)", " (kết thúc)"})
		}
		allowed = append(allowed, said)
	}
	if _, high := f.bounds(); len(f.codes) > 0 && high == nil {
		allowed = append(allowed, p.in(text{"other numbers are kept as they are", "số khác được giữ nguyên"}))
	}
	return strings.Join(allowed, "<br>")
}

// limits returns the bounds and lengths of a field.
func (f *field) limits() []text {
	var limits []text
	add := func(en, vi string, args ...any) {
		limits = append(limits, text{fmt.Sprintf(en, args...), fmt.Sprintf(vi, args...)})
	}
	switch low, high := f.bounds(); {
	case f.kind != kindInteger:
	case low != nil && high != nil:
		add("%d to %d", "%d đến %d", *low, *high)
	case low != nil:
		add("%d or more", "từ %d trở lên", *low)
	case high != nil:
		add("%d or less", "từ %d trở xuống", *high)
	}
	switch {
	case f.minLen == 1:
		add("not empty", "không rỗng")
	case f.minLen > 1:
		add("at least %d characters", "ít nhất %d ký tự", f.minLen)
	case f.Nullable || f.Required && (f.kind == kindText || f.kind == kindDecimal):
		add("may be empty", "có thể rỗng")
	}
	if f.maxLen > 0 {
		add("at most %d characters", "tối đa %d ký tự", f.maxLen)
	}
	if f.MaxBytes > 0 {
		limits = append(limits, textDecoded(f))
	}
	return limits
}

// rules writes the rules of a message that are more than bounds of one field.
func (p *page) rules(m *message) {
	var rows [][]string
	for _, r := range m.ruled() {
		verdict := text{"**refused**", "**từ chối**"}
		if r.warning {
			verdict = text{"warning", "cảnh báo"}
		}
		rows = append(rows, []string{code(r.element), cell(p.in(r.text)), p.in(verdict), code(r.id)})
	}
	p.table([]text{{"Element", "Phần tử"}, {"Finding", "Thông báo"}, {"Otherwise", "Nếu vi phạm"}, {"Rule", "Quy tắc"}}, rows)
}

// example shows a message as it stands in a packet that is sent.
func (p *page) example(m *message) {
	for _, sample := range samples.Good() {
		if sample.Type == m.Type {
			p.shown(sample.Name, string(sample.Content))
			return
		}
		if excerpt := p.excerpt(string(sample.Content), m); excerpt != "" {
			p.shown(sample.Name, excerpt)
			return
		}
	}
}

// shown writes a text of a sample; the first of each kind is XML.
func (p *page) shown(name, content string) {
	p.line("\n%s [%s](../packet/samples/%s):", p.in(text{"From", "Trích từ"}), name, name)
	p.line("\n```xml\n%s\n```", strings.TrimSpace(content))
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

// contents lists the sections on how values are read.
func (p *page) contents() {
	for _, t := range []text{headLiberties(), headNames(), headOrganisations(), headUnknown(), headLimits()} {
		p.line("- [%s](#%s)", p.in(t), anchor(p.in(t)))
	}
}

// anchor is what a heading of Markdown is found by.
func anchor(heading string) string {
	return strings.ReplaceAll(strings.ToLower(strings.NewReplacer(",", "", ".", "", "(", "", ")", "").Replace(heading)), " ", "-")
}
