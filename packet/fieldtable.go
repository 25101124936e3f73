package packet

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
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
	p := &page{language: language, all: nested(roots), whole: len(types) == 0}
	if p.liberal, err = NewCodec(Options{}); err != nil {
		return nil, err
	}
	if p.strict, err = NewCodec(Options{Strict: true}); err != nil {
		return nil, err
	}
	if err := p.write(); err != nil {
		return nil, err
	}
	return p.b.Bytes(), nil
}

// page is Markdown that is being written.
type page struct {
	language Language
	all      []*message // that have a section
	whole    bool       // of everything that is read and written
	b        bytes.Buffer

	liberal, strict *Codec // to find out what becomes of a packet
}

func (p *page) write() error {
	p.intro()
	for _, m := range p.all {
		p.line("- [%s](#%s): %s", m.name, strings.ToLower(m.name), p.in(m.meaning()))
	}
	if p.whole {
		p.contents()
	}
	for _, m := range p.all {
		if err := p.section(m); err != nil {
			return err
		}
	}
	if !p.whole {
		return nil
	}
	return p.reading()
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
		"Made from the same descriptors (proto/lienthong/packet/v1) that reading, writing, validation, the XML schema and OpenAPI follow.",
		"Sinh ra từ chính các mô tả (proto/lienthong/packet/v1) mà việc đọc, ghi, kiểm tra, lược đồ XML và OpenAPI tuân theo.",
	})
	p.say(text{
		"Elements are written in the order of the tables, XML in UTF-8 without attributes and namespaces. In JSON a document is one flat object whose members have the names of the elements, `{\"DocCode\": ...}`: no object by the name of the root around them. How often: **1** required, **?** optional, **\\*** any number, **+** at least one; what repeats is elements of one name in XML, without an element around them, and an array in JSON.",
		"Các phần tử được ghi theo thứ tự trong bảng, XML mã hóa UTF-8, không có thuộc tính và không gian tên. Trong JSON, mỗi tài liệu là một đối tượng phẳng, các thành phần mang tên của phần tử, `{\"DocCode\": ...}`: không bọc trong đối tượng mang tên phần tử gốc. Số lần: **1** bắt buộc, **?** không bắt buộc, **\\*** bao nhiêu cũng được, **+** ít nhất một; phần lặp lại là các phần tử cùng tên trong XML, không có phần tử bao ngoài, và là mảng trong JSON.",
	})
	p.say(text{
		"*(personal)* marks what is about a person: findings, logs and public pages do not show it.",
		"*(cá nhân)* là dữ liệu về cá nhân: không hiển thị trong thông báo, nhật ký và trang công khai.",
	})
	p.strictness()
	if !p.whole {
		p.say(text{
			"How values are read that are spelt otherwise, limits and rules of reading: `lienthong packet fields` without a type.",
			"Cách đọc các giá trị viết khác chuẩn, giới hạn và quy tắc đọc: `lienthong packet fields` không kèm loại gói tin.",
		})
	}
	p.types()
	p.line("")
}

// strictness says what strict reading is and how it is set.
func (p *page) strictness() {
	p.say(text{
		"**Strict reading.** Packets are read liberally unless something sets strict reading: `--strict` of `lienthong packet validate` and `convert` for the files they read, an administrator for one system (`lienthong admin node set H41/motcua --strict`), or the hub for all (`lienthong hub --strict`). A rule that is broken comes to one of these:",
		"**Đọc chặt chẽ.** Gói tin được đọc rộng rãi, trừ khi đặt chế độ đọc chặt chẽ: `--strict` của `lienthong packet validate` và `convert` cho các tệp được đọc, quản trị viên cho một hệ thống (`lienthong admin node set H41/motcua --strict`), hoặc trục cho mọi hệ thống (`lienthong hub --strict`). Khi vi phạm một quy tắc, kết quả là một trong các trường hợp sau:",
	})
	p.line("")
	for _, meant := range []struct {
		verdict verdict
		text    text
	}{
		{verdictRefused, text{"the packet is not accepted, however it is read", "gói tin không được tiếp nhận, dù đọc theo cách nào"}},
		{verdictWarning, text{
			"accepted, with a warning on the receipt that says where, and what was understood; not accepted in strict reading",
			"được tiếp nhận, kèm cảnh báo trên biên nhận nêu vị trí và giá trị đã hiểu; không được tiếp nhận khi đọc chặt chẽ",
		}},
		{verdictHint, text{"suspect, and may well be right: accepted with a warning, however it is read", "đáng ngờ nhưng vẫn có thể đúng: được tiếp nhận kèm cảnh báo, dù đọc theo cách nào"}},
	} {
		p.line("- **%s**: %s.", p.in(meant.verdict.text()), p.in(meant.text))
	}
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
func (p *page) section(m *message) error {
	p.line("\n## %s", m.name)
	p.line("\n%s.", p.in(m.meaning()))
	if m.Type != packetv1.PacketType_PACKET_TYPE_UNSPECIFIED {
		word := strings.ToLower(strings.TrimPrefix(m.Type.String(), "PACKET_TYPE_"))
		p.say(text{"In the API `" + m.Type.String() + "`, on the command line `" + word + "`.", "Trong API là `" + m.Type.String() + "`, trên dòng lệnh là `" + word + "`."})
	}
	p.fields(m)
	p.rules(m)
	return p.example(m)
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
		rows = append(rows, []string{code(r.element), cell(p.in(r.text)), p.becomes(r.verdict), code(r.id)})
	}
	p.table([]text{{"Element", "Phần tử"}, {"Finding", "Thông báo"}, {"Otherwise", "Nếu vi phạm"}, {"Rule", "Quy tắc"}}, rows)
}

// becomes is a verdict in a cell.
func (p *page) becomes(v verdict) string {
	if v == verdictRefused {
		return "**" + p.in(v.text()) + "**"
	}
	return p.in(v.text())
}
