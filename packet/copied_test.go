//go:build !race

// The race detector makes the compiler allocate for what it else grows in place.

package packet_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

// TestLargeContentsAreNotCopied: of a content that is only looked at, no more is in
// memory than its texts with something to replace, and of those no more than allowed.
func TestLargeContentsAreNotCopied(t *testing.T) { //nolint:paralleltest // it counts what is allocated anywhere
	const size, most = 24 << 20, 1 << 20
	codec := codecWith(t, packet.Options{ContentBytes: 4 * size, TextBytes: 4 * size, Shared: true, CopiedBytes: most})
	file := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0, 16, 131, 255, 255}, size/7))
	lines := func(end string) string {
		var b strings.Builder
		for rest := file; len(rest) > 0; {
			n := min(76, len(rest))
			b.WriteString(rest[:n] + end)
			rest = rest[n:]
		}
		return b.String()
	}
	attached := func(format exchangev1.Format, file string) []byte {
		m := dossierMessage(t)
		m.Attachments = []*packetv1.Attachment{{AttachmentId: 1, AttachmentName: "ban-ve.pdf", Base64: "QQ=="}}
		content := string(encode(t, newCodec(t), m, format))
		if strings.Count(content, "QQ==") != 1 {
			t.Fatalf("%s: the file does not stand once in the dossier", format)
		}
		return []byte(strings.Replace(content, "QQ==", file, 1))
	}
	for name, c := range map[string]struct {
		format  exchangev1.Format
		content []byte
		refused bool
	}{
		"XML":                     {xmlFormat, attached(xmlFormat, file), false},
		"XML in lines":            {xmlFormat, attached(xmlFormat, lines("\r\n")), false},
		"XML in a CDATA section":  {xmlFormat, attached(xmlFormat, "<![CDATA["+lines("\r\n")+"]]>"), false},
		"JSON":                    {jsonFormat, attached(jsonFormat, file), false},
		"XML with references":     {xmlFormat, attached(xmlFormat, strings.ReplaceAll(file, "/", "&#47;")), true},
		"XML in two pieces":       {xmlFormat, attached(xmlFormat, file[:size/2]+"<!-- -->"+file[size/2:]), true},
		"unknown with references": {xmlFormat, bytes.Replace(attached(xmlFormat, "QQ=="), []byte("</MSyncDocument>"), []byte("<X>&amp;"+file+"</X></MSyncDocument>"), 1), true},
		"XML in UTF-16":           {xmlFormat, inUTF16(string(attached(xmlFormat, file))), true},
		"JSON with escapes":       {jsonFormat, attached(jsonFormat, strings.ReplaceAll(file, "/", `\/`)), true},
		"Protobuf":                {protobufFormat, make([]byte, size), true},
	} {
		got := allocated(t, func() error {
			_, err := codec.Decode(dossier, c.format, c.content)
			if refused := hasRule(findingsOf(err), "limit.copied"); refused != c.refused || (err != nil) != c.refused {
				t.Errorf("%s: %.300v %.300v", name, err, findingsOf(err))
			}
			return nil
		})
		if got > 2*most {
			t.Errorf("%s: reading %d bytes allocates %d; want at most %d", name, len(c.content), got, 2*most)
		}
	}
}

func inUTF16(s string) []byte {
	b := []byte{0xFF, 0xFE}
	for _, unit := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return b
}
