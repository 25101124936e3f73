package packet_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
	"github.com/lienthong/lienthong/packet/samples"
)

func TestIdentifyKnowsEverySample(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for _, s := range append(samples.Good(), samples.Bad()[:3]...) {
		if typ, format, err := codec.Identify(s.Content); typ != s.Type || format != s.Format || err != nil {
			t.Errorf("%s: got %s %s %v; want %s %s", s.Name, typ, format, err, s.Type, s.Format)
		}
	}
}

func TestIdentifyGoesByTheRootOrTheMembers(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for content, want := range map[string]packetv1.PacketType{
		"<MVotes/>": survey,
		"\uFEFF <!-- x --><a:mvotes xmlns:a='b'>":                               survey,
		`{"MStatistic": {"Month": 1}}`:                                          statistic,
		`{"UserPosition": "x", "DocCode": "y", "Status": 1}`:                    progress,
		`{"PreExisting": 1, "OrganizationInchargeName": "x"}`:                   statistic,
		`{"OrganInchargeIdLevel1": "H41", "DocCode": "x", "CitizenName": "y"}`:  dossier,
		`{"DateCreated": "2024", "PercentGood": 1, "Questions": [], "new": {}}`: survey,
	} {
		if got, _, err := codec.Identify([]byte(content)); got != want || err != nil {
			t.Errorf("%s: got %s, %v; want %s", content, got, err, want)
		}
	}
}

func TestIdentifySaysWhichPacketsThereAre(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for content, want := range map[string]string{
		"<MSyncDocuments/>":            "closest is MSyncDocument",
		"<html>":                       `root element "html" is not a known packet; known are MSyncDocument, MDocumentTraces, MVotes, MStatistic`,
		`{"a": 1}`:                     "known are MSyncDocument",
		`{"DocCode": "x"}`:             "several alike",
		`{}`:                           "fit no packet",
		"x":                            "neither XML nor JSON",
		"":                             "it is empty",
		" \r\n":                        "it is empty",
		"<MResult><Status/></MResult>": "known are MSyncDocument",
	} {
		typ, _, err := codec.Identify([]byte(content))
		findings := findingsOf(err)
		if !errors.Is(err, packet.ErrUnknownPacket) || typ != 0 || len(findings) != 1 || !reported(findings, findings[0].GetField(), "packet.unknown", refused) ||
			!strings.Contains(findings[0].GetMessageEn(), want) || !strings.Contains(findings[0].GetMessageVi(), "không phải loại gói tin được hỗ trợ") {
			t.Errorf("%s: got %s, %v %v; want ErrUnknownPacket with %q", content, typ, err, findings, want)
		}
	}
}

func TestIdentifyReportsWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	codec := codecWith(t, packet.Options{ContentBytes: 100})
	for content, rule := range map[string]string{
		"<!DOCTYPE a><a/>":                     "xml.doctype",
		"<MVotes":                              "syntax",
		`{"Month": }`:                          "syntax",
		"[]":                                   "root",
		"<a>" + strings.Repeat("x", 100):       "limit.size",
		"\xFF\xFE{\x00}\x00":                   "encoding",
		`{"a":` + strings.Repeat("[", 40) + "": "limit.depth",
	} {
		_, _, err := codec.Identify([]byte(content))
		if findings := findingsOf(err); len(findings) != 1 || findings[0].GetRule() != rule {
			t.Errorf("%s: got %v %v; want %s", content, err, findings, rule)
		}
	}
}

func TestIdentifyTellsWhereAnUnknownPacketStands(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for content, want := range map[string]string{
		"<?xml version=\"1.0\"?>\n  <MSyncDocuments/>": `2:3 MSyncDocuments`,
		"\n {\"a\": 1}": `2:2 `,
		"x":             `1:1 `,
	} {
		_, _, err := codec.Identify([]byte(content))
		f := findingsOf(err)[0]
		if got := fmt.Sprintf("%d:%d %s", f.GetLine(), f.GetColumn(), f.GetField()); got != want {
			t.Errorf("%q: got %q, want %q", content, got, want)
		}
	}
}

// TestIdentifyLeavesToDecodeWhatCanBeRead: what Identify refuses, nobody is told
// the rest of.
func TestIdentifyLeavesToDecodeWhatCanBeRead(t *testing.T) {
	t.Parallel()
	codec := codecWith(t, packet.Options{Strict: true, TextBytes: 100})
	content := string(sample(t, "progress.json").Content)
	for name, c := range map[string]struct{ old, new, field, rule string }{
		"character":         {`"Comment": "`, `"Comment": "\u0000`, "MDocumentTraces.Comment", "character"},
		"unknown character": {`"Status"`, `"Foo": {"a": "\u0000"}, "Status"`, "MDocumentTraces.Foo.a", "character"},
		"duplicate":         {`"Status"`, `"Foo": {"a": 1, "a": 2}, "Status"`, "MDocumentTraces.Foo.a", "json.duplicate"},
		"long text":         {`"Status"`, `"Foo": "` + strings.Repeat("x", 101) + `", "Status"`, "MDocumentTraces.Foo", "limit.text"},
		"item":              {`"Status"`, `"Foo": [1, {"a": 1, "a": 2}], "Status"`, "MDocumentTraces.Foo[1].a", "json.duplicate"},
		"no name":           {`"Status"`, `"": {"": 1, "": 2}, "Status"`, `MDocumentTraces."".""`, "json.duplicate"},
	} {
		changed := []byte(strings.NewReplacer(c.old, c.new, `"UserName"`, `"UserName": 1, "x"`).Replace(content))
		typ, format, err := codec.Identify(changed)
		if typ != progress || format != jsonFormat || err != nil {
			t.Errorf("%s: identified as %s, %v %v", name, typ, err, findingsOf(err))
			continue
		}
		_, err = codec.Decode(typ, format, changed)
		if findings := findingsOf(err); !hasFinding(findings, c.field, c.rule) || !hasFinding(findings, "MDocumentTraces.UserName", "type") {
			t.Errorf("%s: findings %v; want %s %s, and UserName", name, findings, c.field, c.rule)
		}
	}
}

func TestSniffGoesByTheFirstCharacter(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]exchangev1.Format{
		"<a/>":               xmlFormat,
		"\uFEFF\r\n <a/>":    xmlFormat,
		"\xFF\xFE<\x00a\x00": xmlFormat,
		"\xFE\xFF\x00<\x00a": xmlFormat,
		" {":                 jsonFormat,
		"[":                  jsonFormat,
		"":                   exchangev1.Format_FORMAT_UNSPECIFIED,
		"\uFEFF":             exchangev1.Format_FORMAT_UNSPECIFIED,
		"grant_type=x":       exchangev1.Format_FORMAT_UNSPECIFIED,
	} {
		if got := packet.Sniff([]byte(content)); got != want {
			t.Errorf("%q: got %s, want %s", content, got, want)
		}
	}
}
