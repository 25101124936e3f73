package packet_test

import (
	"encoding/xml"
	"strings"
	"testing"

	"pgregory.net/rapid"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// TestReadXMLAgreesWithEncodingXML: what is well-formed, and what text it holds,
// is judged by another reader over documents made of good and bad pieces. Pieces
// on which encoding/xml is known to be lenient (DOCTYPE, processing instructions,
// repeated attributes, attributes without a space between them, references to
// surrogates) are left out.
func TestReadXMLAgreesWithEncodingXML(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	pieces := []string{
		"chữ", " ", "\n", "\r\n", "\r", "\t", "&amp;", "&lt;&gt;", "&quot;&apos;", "&#65;", "&#x1EEF;", "&#13;", "&#xA;", "&#0065;",
		"<![CDATA[]]>", "<![CDATA[<a>&amp;]]>", "<![CDATA[\r\n]]]>", "<!---->", "<!-- > -->", "]]", ">", "]>", "😀", "\u0085", "\u2028",
		"&", "&x;", "&#0;", "&#x110000;", "&#;", "&#x;", "&amp", "<", "< ", "]]>", "<!-- -- -->", "<!--->", "<![CDATA[", "\x00", "\x0B",
		"\uFFFE", "\xFF", "\xC3", "\xED\xA0\x80", "</Message", "</Message >", "</message>", "</>",
	}
	starts := []string{
		"<Message>", "<Message >", "<Message\n\ta='1' b=\"2\" >", "<Message a='&lt;&#65;'>", "<Message a='>'>",
		"<Message a>", "<Message a=1>", "<Message a='<'>", "<Message a='&x;'>", "<Message a='1>", "<Messag>", "<Message/",
	}
	rapid.Check(t, func(t *rapid.T) {
		document := "<MResult>" + rapid.SampledFrom(starts).Draw(t, "start") +
			strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 6).Draw(t, "pieces"), "") + "</Message></MResult>"
		var peer struct {
			XMLName xml.Name `xml:"MResult"`
			Message *string  `xml:"Message"`
		}
		peerErr := xml.Unmarshal([]byte(document), &peer)
		m := &packetv1.MResult{}
		_, err := codec.DecodeMessage(m, xmlFormat, []byte(document))
		malformed := false
		for _, f := range findingsOf(err) {
			switch f.GetRule() {
			case "syntax", "encoding", "character":
				malformed = true
			}
		}
		if malformed != (peerErr != nil) {
			t.Fatalf("%q: got %v %v; encoding/xml says %v", document, err, findingsOf(err), peerErr)
		}
		if err == nil && peer.Message != nil && m.GetMessage() != *peer.Message {
			t.Fatalf("%q: got %q; encoding/xml reads %q", document, m.GetMessage(), *peer.Message)
		}
	})
}
