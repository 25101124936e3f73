package packet_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
	"github.com/lienthong/lienthong/packet/samples"
)

func dossierMessage(t testing.TB) *packetv1.MSyncDocument {
	t.Helper()
	m, ok := decode(t, newCodec(t), dossier, xmlFormat, sample(t, "dossier.xml").Content).Message.(*packetv1.MSyncDocument)
	if !ok {
		t.Fatal("a dossier is no MSyncDocument")
	}
	return m
}

// TestReadProtobufRefusesWhatXMLCannotBring: the wire is no way around the checks.
func TestReadProtobufRefusesWhatXMLCannotBring(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	unknown := func(u *packetv1.UnknownElement) func(*packetv1.MSyncDocument) {
		return func(m *packetv1.MSyncDocument) { m.UnknownElements = []*packetv1.UnknownElement{u} }
	}
	deep := &packetv1.UnknownElement{Name: "X"}
	for range 40 {
		deep = &packetv1.UnknownElement{Name: "X", Kind: packetv1.UnknownElement_KIND_OBJECT, Children: []*packetv1.UnknownElement{deep}}
	}
	for name, c := range map[string]struct {
		change      func(*packetv1.MSyncDocument)
		field, rule string
	}{
		"required text":         {func(m *packetv1.MSyncDocument) { m.Phone = "" }, "MSyncDocument.Phone", "required"},
		"required date":         {func(m *packetv1.MSyncDocument) { m.DateAppointed = nil }, "MSyncDocument.DateAppointed", "required"},
		"date out of range":     {func(m *packetv1.MSyncDocument) { m.DateAppointed.Seconds = math.MaxInt64 }, "MSyncDocument.DateAppointed", "datetime"},
		"year 10000 here":       {func(m *packetv1.MSyncDocument) { m.FinishedDate = &timestamppb.Timestamp{Seconds: 253402300799} }, "MSyncDocument.FinishedDate", "datetime"},
		"unset date":            {func(m *packetv1.MSyncDocument) { m.DateAppointed = timestamppb.New(time.Time{}) }, "MSyncDocument.DateAppointed", "required"},
		"control character":     {func(m *packetv1.MSyncDocument) { m.CitizenName = "a\x00b" }, "MSyncDocument.CitizenName", "character"},
		"no decimal":            {func(m *packetv1.MSyncDocument) { m.DocFees[0].Price = "1e5" }, "MSyncDocument.DocFees[0].Price", "decimal"},
		"no Base64":             {func(m *packetv1.MSyncDocument) { m.Attachments[0].Base64 = "?" }, "MSyncDocument.Attachments[0].Base64", "base64"},
		"no organisation":       {func(m *packetv1.MSyncDocument) { m.OrganInchargeIdLevel1 = "x" }, "MSyncDocument.OrganInchargeIdLevel1", "organisation"},
		"code out of range":     {func(m *packetv1.MSyncDocument) { m.ApplicantsType = 9 }, "MSyncDocument.ApplicantsType", "int32.gte_lte"},
		"rule between fields":   {func(m *packetv1.MSyncDocument) { m.IsReturned = true }, "MSyncDocument.ReturnedDate", "dossier.returned_date"},
		"known name as unknown": {unknown(&packetv1.UnknownElement{Name: "PHONE", Text: "1"}), "MSyncDocument.PHONE", "unknown"},
		"number that is none":   {unknown(&packetv1.UnknownElement{Name: "X", Kind: packetv1.UnknownElement_KIND_NUMBER, Text: `1,"Phone":2`}), "MSyncDocument.X", "unknown"},
		"boolean that is none":  {unknown(&packetv1.UnknownElement{Name: "X", Kind: packetv1.UnknownElement_KIND_BOOLEAN, Text: "maybe"}), "MSyncDocument.X", "unknown"},
		"text with children":    {unknown(&packetv1.UnknownElement{Name: "X", Children: []*packetv1.UnknownElement{{Name: "Y"}}}), "MSyncDocument.X", "unknown"},
		"kind there is not":     {unknown(&packetv1.UnknownElement{Name: "X", Kind: 9}), "MSyncDocument.X", "unknown"},
		"unknown too deep":      {unknown(deep), "MSyncDocument", "limit.depth"},
		"too many elements": {func(m *packetv1.MSyncDocument) {
			for range 3334 {
				m.DocPapers = append(m.DocPapers, &packetv1.DocPaper{PaperName: "x"})
			}
		}, "MSyncDocument", "limit.elements"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := dossierMessage(t)
			c.change(m)
			content, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			_, err = codec.Decode(dossier, protobufFormat, content)
			if !hasFinding(findingsOf(err), c.field, c.rule) {
				t.Errorf("got %v %v; want %s %s", err, findingsOf(err), c.field, c.rule)
			}
		})
	}
}

func TestReadProtobufRefusesOtherBytes(t *testing.T) {
	t.Parallel()
	_, err := newCodec(t).Decode(dossier, protobufFormat, []byte("\x0a\xff"))
	if !hasFinding(findingsOf(err), "MSyncDocument", "syntax") {
		t.Errorf("got %v; want a syntax finding", err)
	}
}

func TestReadProtobufKeepsFieldsOfLaterVersionsAndSaysSo(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	content := encode(t, codec, dossierMessage(t), protobufFormat)
	content = protowire.AppendTag(content, 5000, protowire.VarintType)
	content = protowire.AppendVarint(content, 7)
	p := decode(t, codec, dossier, protobufFormat, content)
	if len(p.Warnings) != 1 || p.Warnings[0].GetRule() != "protobuf.unknown" {
		t.Errorf("warnings %v; want protobuf.unknown", p.Warnings)
	}
	if got := encode(t, codec, p.Message, protobufFormat); string(got) != string(content) {
		t.Error("the field of a later version was lost")
	}
	if _, err := codecWith(t, packet.Options{Strict: true}).Decode(dossier, protobufFormat, content); findingsOf(err) == nil {
		t.Errorf("read strictly: %v; want it refused", err)
	}
}

func TestReadProtobufCutsTimesToMilliseconds(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	m := dossierMessage(t)
	m.DateReceived = timestamppb.New(time.Date(2026, 11, 2, 1, 15, 0, 123456789, time.UTC))
	p := decode(t, codec, dossier, protobufFormat, encode(t, codec, m, protobufFormat))
	if len(p.Warnings) != 1 || p.Warnings[0].GetSent() != "2026-11-02T01:15:00.123456789Z" || p.Warnings[0].GetUnderstood() != "2026-11-02T08:15:00.123+07:00" {
		t.Errorf("warnings %v", p.Warnings)
	}
	if document := encode(t, codec, p.Message, xmlFormat); !strings.Contains(string(document), "<DateReceived>2026-11-02T08:15:00.123+07:00<") {
		t.Errorf("written\n%s", document)
	}
}

// TestReadProtobufTakesLibertiesLikeXML: what is kept is the same, however it came.
func TestReadProtobufTakesLibertiesLikeXML(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	m := dossierMessage(t)
	m.OrganInchargeIdLevel1, m.FinishedDate = " h41 ", timestamppb.New(time.Time{})
	p := decode(t, codec, dossier, protobufFormat, encode(t, codec, m, protobufFormat))
	if len(p.Warnings) != 2 || p.Warnings[0].GetRule() != "absent" || p.Warnings[1].GetUnderstood() != "H41" {
		t.Errorf("warnings %v; want the unset date and the code", p.Warnings)
	}
	m.OrganInchargeIdLevel1, m.FinishedDate = "H41", nil
	if !proto.Equal(p.Message, m) {
		t.Errorf("got %v\nwant %v", p.Message, m)
	}
}

func TestReadProtobufAcceptsWhatXMLGave(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for _, s := range samples.Good() {
		m := decode(t, codec, s.Type, s.Format, s.Content).Message
		p := decode(t, codec, s.Type, protobufFormat, encode(t, codec, m, protobufFormat))
		if !proto.Equal(p.Message, m) || len(p.Warnings) > 0 {
			t.Errorf("%s: got %v with %v", s.Name, p.Message, p.Warnings)
		}
	}
}
