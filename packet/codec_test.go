package packet_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	edgev1 "github.com/lienthong/lienthong/gen/lienthong/edge/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
	"github.com/lienthong/lienthong/packet/samples"
)

func TestSubjectIsTheDossierOrTheOrganisation(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for name, want := range map[string][2]string{
		"dossier.xml":    {"H41.04-261102-0007", "H41"},
		"progress.json":  {"G12.18-261103-0012", "G12"},
		"survey.xml":     {"H41", "H41"},
		"statistic.json": {"G12", "G12"},
	} {
		s := sample(t, name)
		p := decode(t, codec, s.Type, s.Format, s.Content)
		if got := [2]string{p.Subject(), p.Organisation().String()}; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if p := (&packet.Packet{}); p.Subject() != "" || p.Organisation() != (packet.Organisation{}) {
		t.Error("a packet that was not read has a subject")
	}
}

func TestStatusCodeKnowsTheListOfThePortal(t *testing.T) {
	t.Parallel()
	terminal := map[int32]bool{3: true, 7: true, 8: true, 10: true}
	for status := int32(1); status <= 10; status++ {
		code, ok := packet.StatusCode(status)
		if !ok || code.GetVi() == "" || code.GetEn() == "" || code.GetTerminal() != terminal[status] {
			t.Errorf("status %d: got %v, %t", status, code, ok)
		}
	}
	for _, status := range []int32{0, 11, -1} {
		if code, ok := packet.StatusCode(status); ok {
			t.Errorf("status %d: got %v, want none", status, code)
		}
	}
}

func TestEncodeXMLWritesTheStandardsForm(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for _, name := range []string{"dossier.xml", "dossier-supplement.xml", "dossier-returned.xml", "progress.xml", "survey.xml", "statistic.xml"} {
		s := sample(t, name)
		if got := encode(t, codec, decode(t, codec, s.Type, s.Format, s.Content).Message, xmlFormat); string(got) != string(s.Content) {
			t.Errorf("%s is written\n%s\nwant\n%s", name, got, s.Content)
		}
	}
}

func TestEncodeJSONWritesTheTypesOfJSON(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for _, s := range samples.Good() {
		content := encode(t, codec, decode(t, codec, s.Type, s.Format, s.Content).Message, jsonFormat)
		var members map[string]any
		decoder := json.NewDecoder(strings.NewReader(string(content)))
		decoder.UseNumber()
		if err := decoder.Decode(&members); err != nil {
			t.Errorf("%s: %v\n%s", s.Name, err, content)
		}
		if s.Name == "statistic.xml" {
			if members["PendingPercent"] != json.Number("97.55") || members["Month"] != json.Number("10") || members["IsMonthStatistic"] != true {
				t.Errorf("members %v", members)
			}
		}
	}
}

func TestEncodeKeepsDigitsThatAreNoJSONNumber(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	for sent, want := range map[string]string{"007.50": `"007.50"`, "-0": "-0", "0.10": "0.10", "12345678901234567890.123456789": "12345678901234567890.123456789"} {
		m := dossierMessage(t)
		m.DocFees[0].Price = sent
		content := encode(t, codec, m, jsonFormat)
		if !strings.Contains(string(content), `"Price":`+want+"}") {
			t.Errorf("%s: written %s", sent, content)
		}
		if again := decode(t, codec, dossier, jsonFormat, content); !proto.Equal(again.Message, m) {
			t.Errorf("%s: read again %v", sent, again.Message)
		}
	}
}

func TestEncodeReplacesWhatXMLCannotHold(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	m := dossierMessage(t)
	m.CitizenName = "a\x00b\xFFc\uFFFEd\r\n\te]]>&<"
	document := string(encode(t, codec, m, xmlFormat))
	if !strings.Contains(document, "<CitizenName>a\uFFFDb\uFFFDc\uFFFDd&#xD;\n\te]]&gt;&amp;&lt;</CitizenName>") {
		t.Errorf("written\n%s", document)
	}
	decode(t, codec, dossier, xmlFormat, []byte(document))
	m.CitizenName = "\x00\xFF<>&\u2028"
	if content := string(encode(t, codec, m, jsonFormat)); !strings.Contains(content, `"CitizenName":"\u0000`+"\uFFFD<>&\u2028\"") {
		t.Errorf("written %s", content)
	}
}

func TestEncodeRefusesWhatCannotBeWritten(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	missing, endless := dossierMessage(t), dossierMessage(t)
	missing.DateReceived, endless.DateReceived = nil, &timestamppb.Timestamp{Seconds: 1 << 60}
	for name, c := range map[string]struct {
		m      proto.Message
		format exchangev1.Format
	}{
		"required date missing":         {missing, xmlFormat},
		"required date missing in JSON": {missing, jsonFormat},
		"time out of range":             {endless, xmlFormat},
		"no format":                     {dossierMessage(t), 0},
		"no document":                   {&emptypb.Empty{}, xmlFormat},
		"nil":                           {nil, xmlFormat},
		"nil of a type":                 {(*packetv1.MVotes)(nil), xmlFormat},
	} {
		if content, err := codec.Encode(c.m, c.format); err == nil {
			t.Errorf("%s: written %s; want an error", name, content)
		}
	}
	if _, err := codec.Decode(0, xmlFormat, nil); err == nil || findingsOf(err) != nil {
		t.Errorf("no type: %v", err)
	}
	if _, err := codec.Decode(dossier, 0, nil); err == nil || findingsOf(err) != nil {
		t.Errorf("no format: %v", err)
	}
	if _, err := codec.DecodeMessage(&emptypb.Empty{}, xmlFormat, nil); err == nil {
		t.Error("a message without document option: want an error")
	}
}

func TestAnswersAndDeliveriesGoBothWays(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	at := timestamppb.New(time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC))
	survey, ok := decode(t, codec, survey, xmlFormat, sample(t, "survey.xml").Content).Message.(*packetv1.MVotes)
	if !ok {
		t.Fatal("a survey is no MVotes")
	}
	for _, m := range []proto.Message{
		&packetv1.MResult{},
		&packetv1.MResult{Status: proto.Int32(1), Message: proto.String("Đã nhận <1> & \"2\"")},
		&packetv1.Mtoken{AccessToken: "a.b-c", TokenType: "Bearer", ExpiresIn: 3600},
		&edgev1.MDeliveries{},
		&edgev1.MDeliveries{LeaseUntil: at, Deliveries: []*edgev1.MDelivery{
			{DeliveryId: "1", Sender: "H41/motcua", Organisation: "H41", AcceptedAt: at, Attempt: 1, MSyncDocument: dossierMessage(t)},
			{DeliveryId: "2", Sender: "H41/motcua", Organisation: "H41", AcceptedAt: at, Attempt: 2, MVotes: survey},
			{DeliveryId: "3", Sender: "H41/motcua", Organisation: "H41", AcceptedAt: at, Attempt: 2, Problem: proto.String("")},
		}},
		&edgev1.MAcknowledge{DeliveryId: []string{"1", "2"}},
	} {
		for _, format := range []exchangev1.Format{xmlFormat, jsonFormat, protobufFormat} {
			content := encode(t, codec, m, format)
			again := m.ProtoReflect().New().Interface()
			warnings, err := codec.DecodeMessage(again, format, content)
			if err != nil || len(warnings) > 0 || !proto.Equal(again, m) {
				t.Errorf("%T as %s: read again %v, %v %v %v\n%s", m, format, again, warnings, err, findingsOf(err), content)
			}
		}
	}
}

func TestFindingsInDeliveriesNameTheWholePath(t *testing.T) {
	t.Parallel()
	content := `<MDeliveries><Delivery><DeliveryId>1</DeliveryId><Sender>s</Sender><Organisation>H41</Organisation>
<AcceptedAt>2026-11-24T08:00:00.000+07:00</AcceptedAt><Attempt>1</Attempt>
` + strings.Replace(strings.SplitN(string(sample(t, "dossier.xml").Content), "\n", 2)[1], "<Price>80000", "<Price>x", 1) + `</Delivery></MDeliveries>`
	_, err := newCodec(t).DecodeMessage(&edgev1.MDeliveries{}, xmlFormat, []byte(content))
	if !hasFinding(findingsOf(err), "MDeliveries.Delivery[0].MSyncDocument.DocFees[0].Price", "decimal") {
		t.Errorf("got %v %v", err, findingsOf(err))
	}
}

func TestDecodeMessageForgetsWhatTheMessageHeld(t *testing.T) {
	t.Parallel()
	m := &edgev1.MAcknowledge{DeliveryId: []string{"old"}}
	if _, err := newCodec(t).DecodeMessage(m, jsonFormat, []byte(`{"DeliveryId": ["1"]}`)); err != nil || len(m.GetDeliveryId()) != 1 || m.GetDeliveryId()[0] != "1" {
		t.Errorf("got %v, %v", m, err)
	}
	for _, content := range []string{`{}`, `{"DeliveryId": []}`, `{"DeliveryId": null}`} {
		if _, err := newCodec(t).DecodeMessage(m, jsonFormat, []byte(content)); !hasFinding(findingsOf(err), "MAcknowledge.DeliveryId", "required") {
			t.Errorf("%s: got %v %v; want required", content, err, findingsOf(err))
		}
	}
}
