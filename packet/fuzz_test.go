package packet_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
	"github.com/lienthong/lienthong/packet/samples"
)

// accepted demands of whatever is accepted that it can be written in every
// format, read again, and is valid XML where it is all standard. Of what is
// refused, that it says why.
func accepted(t *testing.T, codec *packet.Codec, valid func([]byte) error, format exchangev1.Format, content []byte) {
	t.Helper()
	for _, typ := range []packetv1.PacketType{dossier, progress, survey, statistic} {
		p, err := codec.Decode(typ, format, content)
		if err != nil {
			refusedWithReason(t, err, content)
			continue
		}
		for _, format := range []exchangev1.Format{xmlFormat, jsonFormat, protobufFormat} {
			settled(t, codec, typ, format, p.Message)
		}
		if document := encode(t, codec, p.Message, xmlFormat); proto.Equal(standard(p.Message), p.Message) {
			if err := valid(document); err != nil {
				t.Fatalf("%v\n%s", err, document)
			}
		}
	}
}

func refusedWithReason(t *testing.T, err error, content []byte) {
	t.Helper()
	violations := 0
	for _, f := range findingsOf(err) {
		if f.GetSeverity() == refused {
			violations++
		}
		if f.GetRule() == "" || f.GetMessageEn() == "" || f.GetMessageVi() == "" {
			t.Fatalf("finding %v says too little\n%s", f, content)
		}
		if err := proto.CheckInitialized(f); err != nil || len(f.GetSent()) > 400 {
			t.Fatalf("finding %v", f)
		}
		if _, err := proto.Marshal(f); err != nil {
			t.Fatalf("finding cannot be sent: %v", err)
		}
	}
	if violations == 0 {
		t.Fatalf("refused without a violation: %v", err)
	}
}

func FuzzDecodeXML(f *testing.F) {
	for _, s := range append(samples.Good(), samples.Bad()...) {
		if s.Format == xmlFormat {
			f.Add(s.Content)
		}
	}
	codec, valid := newCodec(f), validator(f)
	f.Fuzz(func(t *testing.T, content []byte) { accepted(t, codec, valid, xmlFormat, content) })
}

func FuzzDecodeJSON(f *testing.F) {
	for _, s := range append(samples.Good(), samples.Bad()...) {
		if s.Format == jsonFormat {
			f.Add(s.Content)
		}
	}
	codec, valid := newCodec(f), validator(f)
	f.Fuzz(func(t *testing.T, content []byte) { accepted(t, codec, valid, jsonFormat, content) })
}

func FuzzRoundTrip(f *testing.F) {
	codec, valid := newCodec(f), validator(f)
	for _, s := range samples.Good() {
		f.Add(encode(f, codec, decode(f, codec, s.Type, s.Format, s.Content).Message, protobufFormat))
	}
	f.Fuzz(func(t *testing.T, content []byte) { accepted(t, codec, valid, protobufFormat, content) })
}

// FuzzWellFormed holds packet's view of what is well-formed against encoding/xml's.
func FuzzWellFormed(f *testing.F) {
	for _, s := range append(samples.Good(), samples.Bad()...) {
		if s.Format == xmlFormat {
			f.Add(s.Content)
		}
	}
	for _, piece := range harmful() {
		f.Add([]byte("<MStatistic><Note a='1'" + piece + ">" + piece + "</Note>" + piece + "</MStatistic>"))
	}
	codec := newCodec(f)
	f.Fuzz(func(t *testing.T, content []byte) { agrees(t, codec, content) })
}
