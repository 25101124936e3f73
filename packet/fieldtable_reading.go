package packet

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

func headText() text      { return text{"Text and white space", "Văn bản và khoảng trắng"} }
func headLists() text     { return text{"Lists", "Danh sách"} }
func headBase64() text    { return text{"Base64", "Base64"} }
func headEncodings() text { return text{"Encodings", "Mã hóa ký tự"} }
func headLiberties() text {
	return text{"Other spellings of values", "Các cách viết khác của giá trị"}
}
func headNames() text {
	return text{"Other names and other structure", "Tên khác và cấu trúc khác"}
}
func headOrganisations() text { return text{"Organisation codes", "Mã cơ quan"} }
func headUnknown() text {
	return text{"Elements the standard does not have", "Phần tử ngoài chuẩn"}
}
func headLimits() text { return text{"Limits", "Giới hạn"} }
func headRules() text  { return text{"Rules of reading", "Quy tắc đọc"} }

// contents lists the sections on how packets are read.
func (p *page) contents() {
	for _, t := range []text{
		headText(), headLists(), headBase64(), headEncodings(), headLiberties(), headNames(), headOrganisations(), headUnknown(), headLimits(), headRules(),
	} {
		p.line("- [%s](#%s)", p.in(t), anchor(p.in(t)))
	}
}

// anchor is what a heading of Markdown is found by.
func anchor(heading string) string { return strings.ReplaceAll(strings.ToLower(heading), " ", "-") }

// reading writes how packets are read, also those that are not as the standard says.
func (p *page) reading() error {
	for _, write := range []func() error{p.texts, p.lists, p.base64, p.encodings, p.liberties, p.organisations} {
		if err := write(); err != nil {
			return err
		}
	}
	p.unknown()
	p.limits()
	p.readerRules()
	return nil
}

func (p *page) head(t text) { p.line("\n## %s", p.in(t)) }

func (p *page) texts() error {
	p.head(headText())
	p.say(text{
		"Text is kept as it came, white space in it and around it too; CDATA and references to characters are read as the characters that they stand for. Around numbers, dates, booleans and organisation codes white space is a liberty. In JSON a number is understood where a text belongs, and a number in quotation marks where a number belongs; a null is no value. `⏎` is a line break, `␣` a blank.",
		"Văn bản được giữ nguyên như khi gửi, kể cả khoảng trắng bên trong và xung quanh; CDATA và tham chiếu ký tự được đọc thành chính các ký tự đó. Khoảng trắng quanh số, ngày giờ, giá trị đúng sai và mã cơ quan là khác chuẩn. Trong JSON, số đặt ở chỗ của văn bản, và số trong dấu ngoặc kép đặt ở chỗ của số, đều hiểu được; null là không có giá trị. `⏎` là xuống dòng, `␣` là dấu cách.",
	})
	for _, s := range textsSpelt() {
		p.line("\n### %s", p.in(s.title))
		if err := p.spellings(s); err != nil {
			return err
		}
	}
	return nil
}

func (p *page) lists() error {
	p.head(headLists())
	p.say(text{
		"A list is its element again for each item, directly in the element that has the list, and each holds the elements of the item. There is no element around the list, and none by the name of the type. A list of nothing is left out.",
		"Danh sách là phần tử được lặp lại cho từng mục, nằm trực tiếp trong phần tử chứa danh sách, mỗi phần tử chứa các thành phần của một mục. Không có phần tử bao ngoài danh sách, cũng không có phần tử mang tên kiểu. Danh sách rỗng thì bỏ hẳn.",
	})
	p.line("\n```xml\n<DocPapers>\n  <PaperName>A</PaperName>\n  <Amount>1</Amount>\n  <PaperType>1</PaperType>\n</DocPapers>\n<DocPapers>\n  <PaperName>B</PaperName>\n  <Amount>1</Amount>\n  <PaperType>1</PaperType>\n</DocPapers>\n```")
	p.line("\n```json\n\"DocPapers\": [{\"PaperName\": \"A\", \"Amount\": 1, \"PaperType\": 1}, {\"PaperName\": \"B\", \"Amount\": 1, \"PaperType\": 1}]\n```")
	p.say(text{
		"`<DocPapers><DocPaper>...</DocPaper></DocPapers>` is **refused**. .NET writes it for `[XmlArray]` and JAXB for `@XmlElementWrapper`: use `[XmlElement(\"DocPapers\")]` and `@XmlElement(name = \"DocPapers\")`.",
		"`<DocPapers><DocPaper>...</DocPaper></DocPapers>` bị **từ chối**. .NET ghi như vậy với `[XmlArray]` và JAXB với `@XmlElementWrapper`: hãy dùng `[XmlElement(\"DocPapers\")]` và `@XmlElement(name = \"DocPapers\")`.",
	})
	return nil
}

func (p *page) base64() error {
	p.head(headBase64())
	p.say(text{
		"The Base64 of RFC 4648, section 4, padded with =. Line breaks and other white space are allowed anywhere in it, in strict reading too, and kept. It is the content alone: no `data:` URL, no address to fetch it from. What it stands for is bounded, see Limits.",
		"Base64 theo RFC 4648, mục 4, đệm bằng dấu =. Cho phép xuống dòng và khoảng trắng ở mọi chỗ, cả khi đọc chặt chẽ, và được giữ nguyên. Chỉ gồm nội dung: không phải URL dạng `data:`, không phải địa chỉ để tải. Nội dung sau khi giải mã có giới hạn, xem phần Giới hạn.",
	})
	return p.spellings(base64Spelt())
}

// encoded is a way to put a packet into bytes.
type encoded struct {
	name   text
	format exchangev1.Format
	bytes  func(string) []byte
}

// encodingsTried lists what to try; the page says what becomes of it.
func encodingsTried() []encoded {
	const xml, json = exchangev1.Format_FORMAT_XML, exchangev1.Format_FORMAT_JSON
	const mark = "\uFEFF"
	plain := func(s string) []byte { return []byte(s) }
	marked := func(s string) []byte { return []byte(mark + s) }
	as := func(encoding, s string) string { return strings.Replace(s, encodingUTF8, encoding, 1) }
	return []encoded{
		{text{"XML in UTF-8", "XML, UTF-8"}, xml, plain},
		{text{"XML in UTF-8 with BOM", "XML, UTF-8 có BOM"}, xml, marked},
		{text{"XML in UTF-8, without declaration", "XML, UTF-8, không có khai báo"}, xml, func(s string) []byte { return []byte(strings.TrimPrefix(s, xmlDeclaration)) }},
		{text{"XML in UTF-8, declared `utf8`", "XML, UTF-8, khai báo `utf8`"}, xml, func(s string) []byte { return []byte(as("utf8", s)) }},
		{text{"XML in UTF-16 with BOM", "XML, UTF-16 có BOM"}, xml, func(s string) []byte { return inUTF16(mark + as("UTF-16", s)) }},
		{text{"XML in UTF-16 without BOM", "XML, UTF-16 không có BOM"}, xml, func(s string) []byte { return inUTF16(as("UTF-16", s)) }},
		{text{"XML, declared `windows-1258`", "XML, khai báo `windows-1258`"}, xml, func(s string) []byte { return []byte(as("windows-1258", s)) }},
		{text{"XML, bytes that are not UTF-8", "XML, byte không phải UTF-8"}, xml, func(s string) []byte { return []byte(strings.Replace(s, "ă", "\xe3", 1)) }},
		{text{"JSON in UTF-8", "JSON, UTF-8"}, json, plain},
		{text{"JSON in UTF-8 with BOM", "JSON, UTF-8 có BOM"}, json, marked},
		{text{"JSON in UTF-16 with BOM", "JSON, UTF-16 có BOM"}, json, func(s string) []byte { return inUTF16(mark + s) }},
	}
}

// encodings writes what becomes of a packet in several encodings.
func (p *page) encodings() error {
	p.head(headEncodings())
	p.say(text{
		"What is written is UTF-8. A byte order mark (BOM) is no liberty.",
		"Gói tin được ghi ra bằng UTF-8. Dấu thứ tự byte (BOM) không bị coi là khác chuẩn.",
	})
	const typ = packetv1.PacketType_PACKET_TYPE_PROGRESS
	sample, err := p.liberal.sampleOf(typ)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, e := range encodingsTried() {
		content, err := p.liberal.Encode(sample.document, e.format)
		if err != nil {
			return fmt.Errorf("write sample %s: %w", sample.from, err)
		}
		o, err := p.tried(typ, e.format, e.bytes(string(content)), func(*packetv1.Finding) bool { return true })
		if err != nil {
			return fmt.Errorf("try %s: %w", e.name.en, err)
		}
		rows = append(rows, []string{p.in(e.name), p.becomes(o.verdict), cell(p.in(o.said))})
	}
	p.table([]text{{"Sent", "Đã gửi"}, {"Result", "Kết quả"}, {"Finding", "Thông báo"}}, rows)
	return nil
}

func inUTF16(s string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return b
}

// liberties writes how values are read that are not spelt as the standard says.
func (p *page) liberties() error {
	p.head(headLiberties())
	p.say(text{
		"What senders really send is read where it can mean one thing only. Each liberty is a warning on the receipt, with the path, line and column, what was sent and what was understood; in strict reading (a strict hub, a strict node, `--strict`) it refuses the packet. What is written is always as the tables say.",
		"Những gì các hệ thống thực tế gửi được đọc khi chỉ có thể hiểu theo một nghĩa. Mỗi trường hợp là một cảnh báo trên biên nhận, nêu đường dẫn, dòng, cột, giá trị đã gửi và giá trị đã hiểu; khi đọc chặt chẽ (trục hoặc hệ thống được đặt chế độ đọc chặt chẽ, hoặc `--strict`), gói tin bị từ chối. Giá trị ghi ra luôn đúng như các bảng trên.",
	})
	for _, s := range spelt() {
		p.line("\n### %s", p.in(s.title))
		if err := p.spellings(s); err != nil {
			return err
		}
	}
	p.names()
	return nil
}

func (p *page) organisations() error {
	p.head(headOrganisations())
	p.say(text{
		"Both spellings are read, kept as they came and compared in one form. A code contains what is below it: H41 contains H41.01.02, and neither H4 nor H411.",
		"Cả hai cách viết đều đọc được, được giữ như khi gửi và so sánh theo một dạng thống nhất. Mã bao gồm các mã bên dưới: H41 bao gồm H41.01.02, không bao gồm H4 hay H411.",
	})
	return p.spellings(organisationsSpelt())
}

// names writes what is read that is not named or ordered as the standard says.
func (p *page) names() {
	p.head(headNames())
	var rows [][]string
	for _, l := range []struct {
		rule string
		said liberty
	}{
		{ruleAlias, textAlias("DocCode")}, {ruleCase, textCase("DocCode")}, {ruleOrder, textOrder("DocCode")},
		{rulePrefix, textPrefix()}, {ruleNamespace, textNamespace("xmlns")}, {ruleAttribute, textAttribute("id")},
		{ruleUnknown, textUnknown("MSyncDocument")}, {ruleAbsent, textNone()}, {ruleSingle, textSingle()},
		{ruleWrapper, liberty{textWrapper(), textWrapper()}}, {ruleEncoding, textMisspelt()},
	} {
		rows = append(rows, []string{code(l.rule), cell(p.in(l.said.taken)), cell(p.in(l.said.refused))})
	}
	p.table([]text{{"Rule", "Quy tắc"}, {"Warning, e.g.", "Cảnh báo, ví dụ"}, {"Refused in strict reading", "Bị từ chối khi đọc chặt chẽ"}}, rows)
}

func (p *page) unknown() {
	p.head(headUnknown())
	p.say(text{
		"An element or member that the standard does not have is kept with all it holds and written again after the element it followed, in XML and in JSON. It is a warning, and refused in strict reading. Attributes and prefixes are not kept; each is a warning of its own. In XML a JSON number, boolean, null, empty array or empty object becomes text, and a member name that no element can have is spelt with `_xHHHH_`. The hub keeps the sender's own bytes beside the packet. What is so written is not valid against the XML schema, which has the standard's elements only.",
		"Phần tử ngoài chuẩn được giữ nguyên cùng toàn bộ nội dung và được ghi lại sau phần tử đứng trước nó, trong cả XML và JSON. Đây là một cảnh báo, và bị từ chối khi đọc chặt chẽ. Thuộc tính và tiền tố không được giữ; mỗi trường hợp có cảnh báo riêng. Khi ghi ra XML, số, giá trị đúng sai, null, mảng rỗng hoặc đối tượng rỗng của JSON trở thành văn bản; tên không thể là tên phần tử được viết bằng `_xHHHH_`. Trục giữ nguyên các byte của bên gửi bên cạnh gói tin. Gói tin ghi ra khi đó không hợp lệ theo lược đồ XML, vì lược đồ chỉ có các phần tử của chuẩn.",
	})
}
