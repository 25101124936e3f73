package packet

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

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
				guide + "+07:00", "2018-10-23T02:15:00Z", "2018-10-23T09:15:00.1234567+07:00", guide + "+0700", guide, "2018-10-23 09:15:00", "2018-10-23", "20181023091500",
				"23/10/2018", "23/10/2018 09:15", "23/10/2018 09:15:00", " 2018-10-23T09:15:00+07:00 ", "0001-01-01T00:00:00", guideNullDate, "", "10/23/2018", "23-10-2018",
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

func textsSpelt() []spellings {
	return []spellings{
		{
			text{"Texts", "Văn bản"}, packetv1.PacketType_PACKET_TYPE_DOSSIER, "DocTypeName",
			[]string{" A B ", "A\nB", "A &amp; B", "A &#38; B", "<![CDATA[A & B]]>", "A<!-- x --> B", "", "  "},
			[]string{`"A & B"`, `"A\nB"`, "123", "true", "null", `["A"]`, `{"A": "B"}`},
		},
		{
			text{"Texts that may be left out", "Văn bản không bắt buộc"}, packetv1.PacketType_PACKET_TYPE_DOSSIER, "CitizenInfo",
			[]string{"", "  "}, []string{`""`, "null"},
		},
	}
}

func base64Spelt() spellings {
	return spellings{headBase64(), packetv1.PacketType_PACKET_TYPE_DOSSIER, "Base64",
		[]string{"JVBERi0x", "JVBE\nRi0x", " JVBERi0x ", "JVBERi0xLg==", "JVBERi0xLg", "JVBERi0-_w==", "data:application/pdf;base64,JVBERi0x", "https://example.vn/a.pdf", ""},
		[]string{`"JVBERi0x"`, `"JVBE\r\nRi0x"`, "null"}}
}

func organisationsSpelt() spellings {
	return spellings{headOrganisations(), packetv1.PacketType_PACKET_TYPE_DOSSIER, "OrganInchargeIdLevel1",
		[]string{"H41", "000.00.00.H41", "G12.18", "000.00.18.G12", "h41.01.02", " H41 ", "41", "UBND"}, nil}
}

// spellings writes what becomes of each text.
func (p *page) spellings(s spellings) error {
	var rows [][]string
	for _, tried := range []struct {
		format exchangev1.Format
		word   string
		sent   []string
	}{{exchangev1.Format_FORMAT_XML, "XML", s.xml}, {exchangev1.Format_FORMAT_JSON, "JSON", s.json}} {
		for _, sent := range tried.sent {
			row, err := p.attempt(s, tried.format, sent)
			if err != nil {
				return err
			}
			rows = append(rows, append([]string{tried.word}, row...))
		}
	}
	p.table([]text{{"In", "Trong"}, {"Sent", "Đã gửi"}, {"Result", "Kết quả"}, {"Written in XML", "Ghi ra XML"}, {"Finding", "Thông báo"}}, rows)
	return nil
}

// attempt reads a sample with another text in one of its elements, and returns the
// cells that tell of it.
func (p *page) attempt(s spellings, format exchangev1.Format, sent string) ([]string, error) {
	content, err := p.sampleWith(s, format, sent)
	if err != nil {
		return nil, err
	}
	o, err := p.tried(s.typ, format, content, func(f *packetv1.Finding) bool { return strings.HasSuffix(f.GetField(), "."+s.element) })
	if err != nil {
		return nil, fmt.Errorf("try %s with %q: %w", s.element, sent, err)
	}
	written := ""
	if o.read != nil {
		if written, err = p.written(o.read, s.element); err != nil {
			return nil, fmt.Errorf("write %s that was %q: %w", s.element, sent, err)
		}
	}
	return []string{p.spelt(sent), p.becomes(o.verdict), written, cell(p.in(o.said))}, nil
}

// outcome is what became of a packet.
type outcome struct {
	verdict verdict
	said    text    // by the first finding, in liberal reading
	read    *Packet // nil where it was refused
}

// tried reads a packet liberally and strictly, and looks at the findings that are
// about something.
func (p *page) tried(typ packetv1.PacketType, format exchangev1.Format, content []byte, about func(*packetv1.Finding) bool) (outcome, error) {
	var o outcome
	liberal, refused, err := p.findings(p.liberal, typ, format, content, &o.read)
	if err != nil {
		return outcome{}, err
	}
	strict, _, err := p.findings(p.strict, typ, format, content, nil)
	if err != nil {
		return outcome{}, err
	}
	first := func(findings []*packetv1.Finding) *packetv1.Finding {
		at := slices.IndexFunc(findings, func(f *packetv1.Finding) bool { return about(f) && !p.between(f.GetRule()) })
		if at < 0 {
			return nil
		}
		return findings[at]
	}
	found := first(liberal)
	o.said = text{found.GetMessageEn(), found.GetMessageVi()}
	switch again := first(strict); {
	case refused:
		o.verdict = verdictRefused
	case again == nil:
	case again.GetSeverity() == packetv1.Severity_SEVERITY_WARNING:
		o.verdict = verdictHint
	default:
		o.verdict = verdictWarning
	}
	return o, nil
}

// findings reads a packet, into read where there is one to read into.
func (p *page) findings(codec *Codec, typ packetv1.PacketType, format exchangev1.Format, content []byte, into **Packet) (found []*packetv1.Finding, refused bool, err error) {
	read, err := codec.Decode(typ, format, content)
	var invalid *InvalidError
	if errors.As(err, &invalid) {
		return invalid.Findings, true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read: %w", err)
	}
	if into != nil {
		*into = read
	}
	return read.Warnings, false, nil
}

// between reports whether a rule is one between elements: a sample that was changed
// in one place breaks those, too.
func (p *page) between(id string) bool {
	return slices.ContainsFunc(p.all, func(m *message) bool {
		return slices.ContainsFunc(m.checks, func(r rule) bool { return r.field == nil && r.id == id })
	})
}

// written returns an element of a packet as it is written.
func (p *page) written(read *Packet, element string) (string, error) {
	document, err := p.liberal.Encode(read.Message, exchangev1.Format_FORMAT_XML)
	if err != nil {
		return "", err
	}
	found := elementOf(element).FindSubmatch(document)
	if found == nil {
		return p.in(text{"*(left out)*", "*(không ghi)*"}), nil
	}
	return p.spelt(string(found[1])), nil
}

// spelt shows a value with the white space in it that is not seen else.
func (p *page) spelt(s string) string {
	if s == "" {
		return p.in(text{"*(empty)*", "*(rỗng)*"})
	}
	inner := strings.Trim(s, " ")
	around := strings.SplitN(s, inner, 2)
	return code(strings.ReplaceAll(around[0], " ", "␣") + strings.ReplaceAll(inner, "\n", "⏎") + strings.ReplaceAll(around[1], " ", "␣"))
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
func (p *page) sampleWith(s spellings, format exchangev1.Format, sent string) ([]byte, error) {
	sample, err := p.liberal.sampleOf(s.typ)
	if err != nil {
		return nil, err
	}
	content, err := p.liberal.Encode(sample.document, format)
	if err != nil {
		return nil, fmt.Errorf("write sample %s: %w", sample.from, err)
	}
	place := elementOf(s.element)
	if format == exchangev1.Format_FORMAT_JSON {
		place = memberOf(s.element)
	}
	found := place.FindSubmatchIndex(content)
	if found == nil {
		return nil, fmt.Errorf("sample %s has no %s in %s", sample.from, s.element, format)
	}
	return slices.Concat(content[:found[2]], []byte(sent), content[found[3]:]), nil
}
