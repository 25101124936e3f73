package packet_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
	"github.com/lienthong/lienthong/packet/samples"
)

const (
	xmlFormat      = exchangev1.Format_FORMAT_XML
	jsonFormat     = exchangev1.Format_FORMAT_JSON
	protobufFormat = exchangev1.Format_FORMAT_PROTOBUF

	dossier   = packetv1.PacketType_PACKET_TYPE_DOSSIER
	progress  = packetv1.PacketType_PACKET_TYPE_PROGRESS
	survey    = packetv1.PacketType_PACKET_TYPE_SURVEY
	statistic = packetv1.PacketType_PACKET_TYPE_STATISTIC
)

func newCodec(t testing.TB) *packet.Codec { t.Helper(); return codecWith(t, packet.Options{}) }

func codecWith(t testing.TB, options packet.Options) *packet.Codec {
	t.Helper()
	codec, err := packet.NewCodec(options)
	if err != nil {
		t.Fatalf("NewCodec: %v", err)
	}
	return codec
}

// decode reads what has to be accepted.
func decode(t testing.TB, codec *packet.Codec, typ packetv1.PacketType, format exchangev1.Format, content []byte) *packet.Packet {
	t.Helper()
	p, err := codec.Decode(typ, format, content)
	if err != nil {
		t.Fatalf("decode %s %s: %v\n%v\n%.2000s", typ, format, err, findingsOf(err), content)
	}
	return p
}

func encode(t testing.TB, codec *packet.Codec, m proto.Message, format exchangev1.Format) []byte {
	t.Helper()
	content, err := codec.Encode(m, format)
	if err != nil {
		t.Fatalf("encode %T as %s: %v", m, format, err)
	}
	return content
}

// findingsOf returns the findings of a refusal; nil for other errors.
func findingsOf(err error) []*packetv1.Finding {
	var invalid *packet.InvalidError
	if errors.As(err, &invalid) {
		return invalid.Findings
	}
	return nil
}

func sample(t testing.TB, name string) samples.Sample {
	t.Helper()
	for _, s := range append(samples.Good(), samples.Bad()...) {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no sample %s", name)
	return samples.Sample{}
}
