package packet_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
	"github.com/lienthong/lienthong/packet/samples"
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

// verdict is what a reader says of a document's form.
type verdict int

const (
	unjudged   verdict = iota // it did not get that far, or has its own view
	wellformed                // what else is wrong does not matter here
	malformed
	forbidden // XML has it, this project does not
)

// verdictOf returns what packet says of a document's form, and all it says.
func verdictOf(t fatal, codec *packet.Codec, content []byte) (verdict, []*packetv1.Finding) {
	t.Helper()
	typ, _, err := codec.Identify(content)
	if err != nil {
		typ = dossier
	}
	_, err = codec.Decode(typ, xmlFormat, content)
	findings := findingsOf(err)
	if err != nil && findings == nil {
		t.Fatalf("decode: %v", err)
	}
	said := wellformed
	for _, f := range findings {
		switch rule := f.GetRule(); {
		case rule == "syntax", rule == "encoding", rule == "character":
			return malformed, findings
		case rule == "xml.doctype", rule == "xml.instruction":
			return forbidden, findings
		case rule == "root", strings.HasPrefix(rule, "limit."):
			said = unjudged
		}
	}
	return said, findings
}

// refusals returns the findings that are no warnings.
func refusals(findings []*packetv1.Finding) []*packetv1.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f *packetv1.Finding) bool { return f.GetSeverity() != refused })
}

// agrees demands that packet and encoding/xml say the same of a document.
func agrees(t fatal, codec *packet.Codec, content []byte) verdict {
	t.Helper()
	ours, findings := verdictOf(t, codec, content)
	theirs := wellFormed(content)
	if ours != unjudged && !errors.Is(theirs, errUnjudged) && (ours == wellformed) != (theirs == nil) {
		t.Fatalf("%.2000q\npacket finds it well-formed: %t, with %v\nencoding/xml says %v", content, ours == wellformed, refusals(findings), theirs)
	}
	return ours
}

// TestWholeDocumentsReadAsEncodingXMLReadsThem: what a document says does not
// depend on how it is written, and is what another reader finds in it.
func TestWholeDocumentsReadAsEncodingXMLReadsThem(t *testing.T) {
	t.Parallel()
	codec, sharing := newCodec(t), codecWith(t, packet.Options{Shared: true})
	rapid.Check(t, func(t *rapid.T) {
		d := drawnDocuments().Draw(t, "document")
		if ours := agrees(t, codec, d.content); ours != wellformed {
			t.Fatalf("%q is %d, want it well-formed", d.content, ours)
		}
		p, err := codec.Decode(d.typ, xmlFormat, d.content)
		if err != nil {
			t.Fatalf("%q: %v %v", d.content, err, findingsOf(err))
		}
		if got := standard(p.Message); !proto.Equal(got, d.message) {
			t.Fatalf("%q is read as\n%v\nwant\n%v", d.content, got, d.message)
		}
		sharesAlike(t, sharing, xmlFormat, d, p)
		plain := newPlain(d.typ)
		if err := xml.Unmarshal([]byte(d.text), plain); err != nil {
			t.Fatalf("%q: encoding/xml: %v", d.text, err)
		}
		if diff := differing(p.Message.ProtoReflect(), reflect.ValueOf(plain).Elem()); diff != "" {
			t.Fatalf("%q\n%s", d.content, diff)
		}
	})
}

// TestMessagesOutliveTheContent: whoever reads may use the bytes again.
func TestMessagesOutliveTheContent(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for _, s := range samples.Good() {
		content := slices.Clone(s.Content)
		p := decode(t, codec, s.Type, s.Format, content)
		before, subject := encode(t, codec, p.Message, jsonFormat), p.Subject()
		for i := range content {
			content[i] = '~'
		}
		if after := encode(t, codec, p.Message, jsonFormat); !bytes.Equal(after, before) || p.Subject() != subject {
			t.Errorf("%s: the message changed with the bytes it was read from:\n%s\nwas\n%s", s.Name, after, before)
		}
	}
	inProtobuf := encode(t, codec, dossierMessage(t), protobufFormat)
	p := decode(t, codec, dossier, protobufFormat, inProtobuf)
	clear(inProtobuf)
	if want := dossierMessage(t); !proto.Equal(p.Message, want) {
		t.Errorf("the message changed with the bytes it was read from: %v\nwant %v", p.Message, want)
	}
}

// sharesAlike demands that a codec that keeps the content reads the same out of it,
// and leaves it as it is.
func sharesAlike(t fatal, sharing *packet.Codec, format exchangev1.Format, d drawn, want *packet.Packet) {
	t.Helper()
	content := slices.Clone(d.content)
	got, err := sharing.Decode(d.typ, format, content)
	if err != nil || !proto.Equal(got.Message, want.Message) || len(got.Warnings) != len(want.Warnings) {
		t.Fatalf("%q shared is read as\n%v %v\nwant\n%v", d.content, got, err, want)
	}
	if !bytes.Equal(content, d.content) {
		t.Fatalf("reading changed %q into %q", d.content, content)
	}
}

// differing names the first field in which a message and a plain struct differ;
// empty for none.
func differing(m protoreflect.Message, plain reflect.Value) string {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if fd.Name() == "unknown_elements" {
			continue
		}
		v, other := m.Get(fd), plain.FieldByName(fd.JSONName())
		same := false
		switch {
		case fd.IsList():
			if same = v.List().Len() == other.Len(); !same {
				break
			}
			for i := range other.Len() {
				if diff := differing(v.List().Get(i).Message(), other.Index(i)); diff != "" {
					return fmt.Sprintf("%s[%d].%s", fd.JSONName(), i, diff)
				}
			}
		case fd.Message() != nil:
			stamp, _ := v.Message().Interface().(*timestamppb.Timestamp)
			at, err := time.Parse(time.RFC3339Nano, other.String())
			same = err == nil && at.Equal(stamp.AsTime()) || other.String() == "" && !m.Has(fd)
		default:
			same = v.Interface() == other.Interface()
		}
		if !same {
			return fmt.Sprintf("%s: packet reads %v, encoding/xml %v", fd.JSONName(), v, other)
		}
	}
	return ""
}

// TestHarmedDocumentsAreJudgedAsEncodingXMLJudgesThem: documents that were cut,
// mixed up and written over are refused where another reader refuses them, and
// only there.
func TestHarmedDocumentsAreJudgedAsEncodingXMLJudgesThem(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	rapid.Check(t, func(t *rapid.T) {
		for _, d := range rapid.SliceOfN(harmedDocuments(), 5, 5).Draw(t, "documents") {
			agrees(t, codec, d.content)
		}
	})
}

// TestDocumentsCutAnywhereAreRefused: no prefix of a document is a document.
func TestDocumentsCutAnywhereAreRefused(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for _, s := range samples.Good() {
		if s.Format != xmlFormat {
			continue
		}
		whole := bytes.TrimSpace(s.Content)
		for n := range whole {
			if ours := agrees(t, codec, whole[:n]); ours == wellformed || ours == unjudged {
				t.Fatalf("%s cut after %d of %d bytes is %d, want it refused", s.Name, n, len(whole), ours)
			}
		}
	}
}

// TestTheShortWayReadsAsTheLongWay: elements as they are written here are read in a
// way of their own. A space in every end tag keeps a document from that and means
// nothing; what is found must be the same, at the same places.
func TestTheShortWayReadsAsTheLongWay(t *testing.T) {
	t.Parallel()
	codecs := []*packet.Codec{newCodec(t), codecWith(t, strict()), codecWith(t, packet.Options{TextBytes: 40})}
	values := []string{
		"", " ", "x", "1", "-1", "3.0", "99999999999", "true", "True", "1 ", "NaN", "95.5", "80.000", "2026-11-31T08:15:00.000+07:00", "02/11/2026",
		"0001-01-01T00:00:00", "h41", "H41.", "JVBERi0x", "JVBER", "&amp;", "a&#10;b", "<![CDATA[x]]>", "<!-- -->y", "<b>z</b>", "a]]>b", "&x;", "\r\n", "ữ", "\x01",
		"một văn bản dài hơn bốn mươi byte, kể cả dấu",
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(samplesInXML()).Draw(t, "sample")
		lines := strings.Split(string(s.Content), "\n")
		for range rapid.IntRange(0, 4).Draw(t, "changes") {
			at := rapid.IntRange(2, len(lines)-2).Draw(t, "line")
			switch rapid.IntRange(0, 3).Draw(t, "change") {
			case 0:
				lines = slices.Delete(lines, at, at+1)
			case 1:
				lines = slices.Insert(lines, at, lines[rapid.IntRange(2, len(lines)-2).Draw(t, "other")])
			default:
				opening, rest, _ := strings.Cut(lines[at], ">")
				if _, closing, found := strings.Cut(rest, "</"); found {
					lines[at] = opening + ">" + rapid.SampledFrom(values).Draw(t, "value") + "</" + closing
				}
			}
		}
		short := strings.Join(lines, "\n")
		long := regexp.MustCompile(`</([A-Za-z0-9]+)>`).ReplaceAllString(short, "</$1 >")
		for _, codec := range codecs {
			one, errOne := codec.Decode(s.Type, xmlFormat, []byte(short))
			two, errTwo := codec.Decode(s.Type, xmlFormat, []byte(long))
			if got, want := told(one, errOne), told(two, errTwo); !slices.Equal(got, want) {
				t.Fatalf("%s\nis read with\n%s\nand, with spaces in its end tags, with\n%s", short, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if errOne == nil && !proto.Equal(one.Message, two.Message) {
				t.Fatalf("%s\nis read as\n%v\nand, with spaces in its end tags, as\n%v", short, one.Message, two.Message)
			}
		}
	})
}

// samplesInXML returns the good samples that are written in XML.
func samplesInXML() []samples.Sample {
	return slices.DeleteFunc(samples.Good(), func(s samples.Sample) bool { return s.Format != xmlFormat })
}

// told spells all findings of a reading.
func told(p *packet.Packet, err error) []string {
	findings := findingsOf(err)
	if err == nil {
		findings = p.Warnings
	}
	var all []string
	for _, f := range findings {
		all = append(all, fmt.Sprint(f.GetSeverity(), f.GetField(), f.GetLine(), f.GetColumn(), f.GetRule(), f.GetSent(), f.GetUnderstood(), f.GetMessageVi()))
	}
	return all
}
