package packet

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet/samples"
)

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

// spellings is an element of a packet, and texts that are sent in it.
type spellings struct {
	title   text
	typ     packetv1.PacketType
	element string
	xml     []string
	json    []string // as they stand in a JSON text
}

// spelt lists what to try; the page says what becomes of it.
func spelt() []spellings {
	const guide = "2018-10-23T09:15:00.000"
	return []spellings{
		{
			text{"Dates", "Ngày giờ"}, packetv1.PacketType_PACKET_TYPE_DOSSIER, "DateReceived",
			[]string{
				guide + "+07:00", "2018-10-23T02:15:00Z", "2018-10-23T09:15:00.1234567+07:00", guide + "+0700", guide, "2018-10-23", "20181023091500",
				"23/10/2018", "23/10/2018 09:15:00", " 2018-10-23T09:15:00+07:00 ", "0001-01-01T00:00:00", guideNullDate, "", "10/23/2018", "23-10-2018",
			},
			[]string{`"` + guide + `+07:00"`, `"23/10/2018"`, "20181023091500", "null"},
		},
		{
			text{"Dates that may be empty", "Ngày giờ có thể rỗng"}, packetv1.PacketType_PACKET_TYPE_DOSSIER, "SuccessDate",
			[]string{"", guideNullDate, "0000-00-00", "00000000000000", "0001-01-01T00:00:00"},
			[]string{`""`, "null", `"0000-00-00"`},
		},
		{
			text{"Booleans", "Giá trị đúng sai"}, packetv1.PacketType_PACKET_TYPE_DOSSIER, "IsVerified",
			[]string{"true", "false", "1", "0", "True", "FALSE", "", "yes"},
			[]string{"true", "1", `"true"`, `"True"`, `"1"`, "null"},
		},
		{
			text{"Whole numbers", "Số nguyên"}, packetv1.PacketType_PACKET_TYPE_DOSSIER, "FeeType",
			[]string{"3", "+3", "007", " 3 ", "3.0", "3.5", "", "2147483648"},
			[]string{"3", `"3"`, "3.0", "3e0", "true"},
		},
		{
			text{"Percentages", "Tỷ lệ phần trăm"}, packetv1.PacketType_PACKET_TYPE_STATISTIC, "SolvedInTimePercent",
			[]string{"95.5", "95.50", ".5", "9.55e1", "NaN", "Infinity", "-∞", "", "95,5", "95.5%"},
			[]string{"95.5", `"95.5"`, `"NaN"`, "NaN", `""`, "null"},
		},
		{
			text{"Amounts of money", "Số tiền"}, packetv1.PacketType_PACKET_TYPE_DOSSIER, "Price",
			[]string{"80000", "80000.00", "+80000", "8e4", "80.000", "80,000", "NaN", ""},
			[]string{"80000", `"80000"`, "null"},
		},
	}
}

func organisationsSpelt() spellings {
	return spellings{headOrganisations(), packetv1.PacketType_PACKET_TYPE_DOSSIER, "OrganInchargeIdLevel1",
		[]string{"H41", "000.00.00.H41", "G12.18", "000.00.18.G12", "h41.01.02", " H41 ", "41", "UBND"}, nil}
}

// liberties writes how values are read that are not spelt as the standard says.
func (p *page) liberties() error {
	codec, err := NewCodec(Options{})
	if err != nil {
		return err
	}
	p.line("\n## %s", p.in(headLiberties()))
	p.say(text{
		"What senders really send is read where it can mean one thing only. Each liberty is a warning on the receipt, with the path, line and column, what was sent and what was understood. A strict hub, a strict node and `--strict` refuse instead. What is written is always as the tables say.",
		"Những gì các hệ thống thực tế gửi được đọc khi chỉ có thể hiểu theo một nghĩa. Mỗi trường hợp là một cảnh báo trên biên nhận, nêu đường dẫn, dòng, cột, giá trị đã gửi và giá trị đã hiểu. Trục, nút ở chế độ nghiêm ngặt và `--strict` sẽ từ chối. Giá trị ghi ra luôn đúng như các bảng trên.",
	})
	for _, s := range spelt() {
		p.line("\n### %s", p.in(s.title))
		if err := p.spellings(codec, s); err != nil {
			return err
		}
	}
	p.names()
	p.line("\n## %s", p.in(headOrganisations()))
	p.say(text{
		"Both spellings are read, kept as they came and compared in one form. A code contains what is below it: H41 contains H41.01.02, and neither H4 nor H411.",
		"Cả hai cách viết đều đọc được, được giữ như khi gửi và so sánh theo một dạng thống nhất. Mã bao gồm các mã bên dưới: H41 bao gồm H41.01.02, không bao gồm H4 hay H411.",
	})
	if err := p.spellings(codec, organisationsSpelt()); err != nil {
		return err
	}
	p.unknown()
	p.limits()
	return nil
}

// spellings writes what becomes of each text.
func (p *page) spellings(codec *Codec, s spellings) error {
	var rows [][]string
	for _, tried := range []struct {
		format exchangev1.Format
		word   string
		sent   []string
	}{{exchangev1.Format_FORMAT_XML, "XML", s.xml}, {exchangev1.Format_FORMAT_JSON, "JSON", s.json}} {
		for _, sent := range tried.sent {
			row, err := p.attempt(codec, s, tried.format, sent)
			if err != nil {
				return err
			}
			rows = append(rows, append([]string{tried.word}, row...))
		}
	}
	p.table([]text{{"In", "Trong"}, {"Sent", "Đã gửi"}, {"Result", "Kết quả"}, {"Written as", "Được ghi ra"}, {"Finding", "Thông báo"}}, rows)
	return nil
}

// attempt reads a sample with another text in one of its elements, and returns the
// cells that tell of it.
func (p *page) attempt(codec *Codec, s spellings, format exchangev1.Format, sent string) ([]string, error) {
	content, err := sampleWith(codec, s, format, sent)
	if err != nil {
		return nil, err
	}
	shown := code(visible(sent))
	if sent == "" {
		shown = p.in(text{"*(empty)*", "*(rỗng)*"})
	}
	read, err := codec.Decode(s.typ, format, content)
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		return []string{shown, p.in(text{"**refused**", "**từ chối**"}), "", p.findingAt(s.element, invalid.Findings)}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s with %q: %w", s.element, sent, err)
	}
	written, err := codec.Encode(read.Message, exchangev1.Format_FORMAT_XML)
	if err != nil {
		return nil, fmt.Errorf("write %s that was %q: %w", s.element, sent, err)
	}
	understood := code(string(elementOf(s.element).FindSubmatch(written)[1]))
	if understood == "" {
		understood = p.in(text{"*(empty)*", "*(rỗng)*"})
	}
	result, finding := text{"read", "đọc được"}, p.findingAt(s.element, read.Warnings)
	if finding != "" {
		result = text{"read with a warning", "đọc được, có cảnh báo"}
	}
	return []string{shown, p.in(result), understood, finding}, nil
}

// visible shows white space at the ends of a text.
func visible(s string) string {
	inner := strings.TrimSpace(s)
	return strings.Replace(strings.ReplaceAll(s, " ", "␣"), strings.ReplaceAll(inner, " ", "␣"), inner, 1)
}

// findingAt returns what is said of how an element is spelt.
func (p *page) findingAt(element string, findings []*packetv1.Finding) string {
	for _, f := range findings {
		between := slices.ContainsFunc(p.all, func(m *message) bool { return m.ruleText(f.GetRule()) != nil })
		if !between && strings.HasSuffix(f.GetField(), "."+element) {
			return cell(p.in(text{f.GetMessageEn(), f.GetMessageVi()}))
		}
	}
	return ""
}

// elementOf finds an element of XML that holds text.
func elementOf(name string) *regexp.Regexp {
	return regexp.MustCompile(`<` + name + `>([^<]*)</` + name + `>`)
}

// memberOf finds a member of a JSON object that holds no other.
func memberOf(name string) *regexp.Regexp {
	return regexp.MustCompile(`"` + name + `":("[^"]*"|[^,}]+)`)
}

// sampleWith returns a sample with another text in an element.
func sampleWith(codec *Codec, s spellings, format exchangev1.Format, sent string) ([]byte, error) {
	good := samples.Good()
	at := slices.IndexFunc(good, func(sample samples.Sample) bool { return sample.Type == s.typ })
	if at < 0 {
		return nil, fmt.Errorf("no sample of type %s", s.typ)
	}
	read, err := codec.Decode(s.typ, good[at].Format, good[at].Content)
	if err != nil {
		return nil, fmt.Errorf("read sample %s: %w", good[at].Name, err)
	}
	content, err := codec.Encode(read.Message, format)
	if err != nil {
		return nil, fmt.Errorf("write sample %s: %w", good[at].Name, err)
	}
	place := elementOf(s.element)
	if format == exchangev1.Format_FORMAT_JSON {
		place = memberOf(s.element)
	}
	found := place.FindSubmatchIndex(content)
	if found == nil {
		return nil, fmt.Errorf("sample %s has no %s in %s", good[at].Name, s.element, format)
	}
	return slices.Concat(content[:found[2]], []byte(sent), content[found[3]:]), nil
}

// names writes what is read that is not named or ordered as the standard says.
func (p *page) names() {
	p.line("\n## %s", p.in(headNames()))
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
	p.table([]text{{"Rule", "Quy tắc"}, {"Warning, e.g.", "Cảnh báo, ví dụ"}, {"In strict reading", "Khi đọc nghiêm ngặt"}}, rows)
}

func (p *page) unknown() {
	p.line("\n## %s", p.in(headUnknown()))
	p.say(text{
		"An element or member that the standard does not have is kept with all it holds and written again after the element it followed, in XML and in JSON: nothing that was sent is lost. It is a warning, and refused in strict reading.",
		"Phần tử ngoài chuẩn được giữ nguyên cùng toàn bộ nội dung và được ghi lại sau phần tử đứng trước nó, trong cả XML và JSON: không có gì đã gửi bị mất. Đây là một cảnh báo, và bị từ chối khi đọc nghiêm ngặt.",
	})
}

// limits writes what is refused before anything is made of it.
func (p *page) limits() {
	p.line("\n## %s", p.in(headLimits()))
	var rows [][]string
	for _, l := range []struct {
		rule string
		said text
	}{
		{ruleDoctype, textDoctype()}, {ruleInstruction, textInstruction()}, {ruleMixed, textMixed()},
		{ruleDepth, textTooDeep()}, {ruleElements, textTooMany()}, {ruleAttributes, textTooManyAttributes()},
		{ruleText, textTooLong(defaultTextBytes)},
		{ruleSize, text{"the packet has more than " + strconv.Itoa(defaultContentBytes) + " bytes", "gói tin có hơn " + strconv.Itoa(defaultContentBytes) + " byte"}},
	} {
		rows = append(rows, []string{code(l.rule), cell(p.in(l.said))})
	}
	p.table([]text{{"Rule", "Quy tắc"}, {"Always refused", "Luôn bị từ chối"}}, rows)
	p.say(text{
		"The limits of text and packet are the library's; a hub takes the content of an envelope up to its own.",
		"Giới hạn về văn bản và gói tin là của thư viện; trục có giới hạn riêng cho nội dung gửi lên.",
	})
}
