package packet_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

// document is a packet that is measured.
type document struct {
	name    string
	typ     packetv1.PacketType
	content []byte
}

// measured returns one sample of each packet, and a dossier of 9,000 elements.
func measured(t testing.TB, codec *packet.Codec) []document {
	t.Helper()
	var all []document
	for _, name := range []string{"dossier.xml", "progress.xml", "survey.xml", "statistic.xml"} {
		s := sample(t, name)
		all = append(all, document{name, s.Type, s.Content})
	}
	return append(all, document{"dossier-9000-elements.xml", dossier, encode(t, codec, longDossier(t), xmlFormat)})
}

// loose is a dossier as many senders write it: dates in the guide's spelling, no
// attachments.
func loose(t testing.TB) document {
	t.Helper()
	s := sample(t, "dossier.xml")
	content := strings.ReplaceAll(string(s.Content), "+07:00<", "+0700<")
	before, rest, _ := strings.Cut(content, "  <Attachments>")
	_, after, _ := strings.Cut(rest, "</Attachments>\n")
	return document{"dossier-loose.xml", s.Type, []byte(before + after)}
}

// longElements is how many elements longDossier has.
const longElements = 9000

// longDossier returns a dossier with a long history: supplements with papers and
// fees of their own, and papers.
func longDossier(t testing.TB) *packetv1.MSyncDocument {
	t.Helper()
	m := dossierMessage(t)
	m.HasSupplementary = proto.Bool(true)
	left := longElements - elements(t, m)
	for i := range int32(100) {
		s := &packetv1.Supplementary{
			SupplementaryId: i + 1, SendUser: "Ngô Văn Thử Nghiệm", SendComment: "Đề nghị bổ sung bản sao có chứng thực", SendDate: m.GetDateReceived(),
			ReceivedUser: proto.String("Lê Thị Mẫu"), ReceivedDate: m.GetDateAppointed(), IsReceived: true, OldDateAppointed: m.GetDateAppointed(),
		}
		for j := range int32(4) {
			s.Papers = append(s.Papers, &packetv1.DocPaper{PaperName: "Giấy chứng nhận quyền sử dụng đất", Amount: j + 1, PaperType: 1})
			s.Fees = append(s.Fees, &packetv1.DocFee{FeeName: "Phí thẩm định hồ sơ", FeeType: 1, Price: fmt.Sprintf("%d.50", 1000*(i+j))})
		}
		m.Supplementaries = append(m.Supplementaries, s)
		left -= 10 + 8*4
	}
	for ; left >= 4; left -= 4 {
		m.DocPapers = append(m.DocPapers, &packetv1.DocPaper{PaperName: "Hợp đồng thế chấp có công chứng", Amount: int32(left % 7), PaperType: 1})
	}
	for optional := []**string{&m.Note, &m.ReturnNote, &m.SuccessNote}; left > 0; left-- {
		*optional[left-1] = proto.String("Hồ sơ nhiều lần bổ sung")
	}
	return m
}

// elements counts the elements that a message is written with.
func elements(t testing.TB, m proto.Message) int {
	t.Helper()
	return bytes.Count(encode(t, newCodec(t), m, xmlFormat), []byte("</"))
}

// heavyBytes is the size of a dossier with attachments, as it is written.
const heavyBytes = 50 << 20

// heavyDossier returns a dossier of about size bytes in XML, in attachments.
func heavyDossier(t testing.TB, size int) *packetv1.MSyncDocument {
	t.Helper()
	const files = 4
	m := dossierMessage(t)
	m.Attachments = nil
	content := make([]byte, size/files/4*3)
	if _, err := rand.NewChaCha8([32]byte{}).Read(content); err != nil {
		t.Fatal(err)
	}
	for i := range int32(files) {
		m.Attachments = append(m.Attachments, &packetv1.Attachment{
			AttachmentId: i + 1, AttachmentName: "ban-ve.pdf", Base64: base64.StdEncoding.EncodeToString(content), IsVerified: true,
		})
	}
	return m
}

// heavy is a large packet in one of the spellings that senders use.
type heavy struct {
	name    string
	format  exchangev1.Format
	content []byte
}

// heavies returns a message of large attachments in the spellings that senders
// use: Base64 in one line and in lines of 76 characters, solidi escaped and not.
func heavies(t testing.TB, codec *packet.Codec, m *packetv1.MSyncDocument) []heavy {
	t.Helper()
	wrapped, _ := proto.Clone(m).(*packetv1.MSyncDocument)
	for _, a := range wrapped.GetAttachments() {
		a.Base64 = lines(a.GetBase64(), 76)
	}
	inXML, inJSON := encode(t, codec, m, xmlFormat), encode(t, codec, m, jsonFormat)
	inLines := bytes.ReplaceAll(encode(t, codec, wrapped, xmlFormat), []byte("&#xD;\n"), []byte("\r\n"))
	return []heavy{
		{"XML with comments", xmlFormat, bytes.ReplaceAll(inXML, []byte("AAAA"), []byte("AA<!-- -->AA"))},
		{"XML in lines, one with a reference", xmlFormat, bytes.Replace(inLines, []byte("\r\n"), []byte("&#10;"), 1)},
		{"XML in CDATA, in lines", xmlFormat, inCDATA(inLines)},
		{"XML", xmlFormat, inXML},
		{"XML in lines", xmlFormat, inLines},
		{"JSON", jsonFormat, inJSON},
		{"JSON in lines", jsonFormat, encode(t, codec, wrapped, jsonFormat)},
		{"JSON with escaped solidi", jsonFormat, bytes.ReplaceAll(inJSON, []byte("/"), []byte(`\/`))},
	}
}

// lines breaks a text into lines that end in CR LF.
func lines(s string, width int) string {
	var b strings.Builder
	b.Grow(len(s) + len(s)/width*2)
	for ; len(s) > width; s = s[width:] {
		b.WriteString(s[:width])
		b.WriteString("\r\n")
	}
	b.WriteString(s)
	return b.String()
}

// inCDATA puts the Base64 of a document into sections of 64 KiB, as some programs
// write what they stream.
func inCDATA(document []byte) []byte {
	const opening, closing, piece = "<Base64>", "</Base64>", 64 << 10
	var b bytes.Buffer
	for rest := document; ; {
		before, after, found := bytes.Cut(rest, []byte(opening))
		b.Write(before)
		if !found {
			return b.Bytes()
		}
		text, behind, _ := bytes.Cut(after, []byte(closing))
		b.WriteString(opening)
		for len(text) > 0 {
			n := min(piece, len(text))
			b.WriteString("<![CDATA[")
			b.Write(text[:n])
			b.WriteString("]]>")
			text = text[n:]
		}
		b.WriteString(closing)
		rest = behind
	}
}
