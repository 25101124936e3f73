package samples_test

import (
	"errors"
	"strings"
	"testing"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
	"github.com/lienthong/lienthong/packet/samples"
)

func newCodec(t *testing.T) *packet.Codec {
	t.Helper()
	codec, err := packet.NewCodec(packet.Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

func TestGoodSamplesAreAcceptedEvenStrictly(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	organisations := map[string]bool{}
	for _, s := range samples.Good() {
		p, err := codec.Decode(s.Type, s.Format, s.Content)
		var invalid *packet.InvalidError
		if errors.As(err, &invalid) {
			t.Errorf("%s: %v", s.Name, invalid.Findings)
		}
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		organisations[p.Organisation().String()] = true
	}
	if len(organisations) != 2 || !organisations["H41"] || !organisations["G12"] {
		t.Errorf("organisations %v; want H41 and G12", organisations)
	}
}

func TestBadSamplesAreRefused(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	violations := map[string]int{"bad-statistic.xml": 3, "bad-dossier.json": 9, "malformed.xml": 1}
	for _, s := range samples.Bad() {
		if s.Type == packetv1.PacketType_PACKET_TYPE_UNSPECIFIED {
			if _, _, err := codec.Identify(s.Content); !errors.Is(err, packet.ErrUnknownPacket) {
				t.Errorf("%s: got %v; want ErrUnknownPacket", s.Name, err)
			}
			continue
		}
		_, err := codec.Decode(s.Type, s.Format, s.Content)
		var invalid *packet.InvalidError
		if !errors.As(err, &invalid) || len(invalid.Findings) < violations[s.Name] {
			t.Errorf("%s: got %v; want at least %d violations", s.Name, err, violations[s.Name])
		}
	}
}

func TestGoodSamplesTellTheStoryOfADossierOfEachOrganisation(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	stories := map[string][]string{}
	for _, s := range samples.Good() {
		p, err := codec.Decode(s.Type, s.Format, s.Content)
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		switch m := p.Message.(type) {
		case *packetv1.MSyncDocument:
			code, _ := packet.StatusCode(m.GetStatus())
			stories[m.GetDocCode()] = append(stories[m.GetDocCode()], code.GetEn())
		case *packetv1.MDocumentTraces:
			code, _ := packet.StatusCode(m.GetStatus())
			stories[m.GetDocCode()] = append(stories[m.GetDocCode()], code.GetEn())
		}
	}
	for dossier, want := range map[string]string{
		"000.00.04.H41-261102-0007": "received, in process, result returned",
		"G12.18-261103-0012":        "supplement required, in process, result returned",
	} {
		if got := strings.Join(stories[dossier], ", "); got != want {
			t.Errorf("%s: got %s; want %s", dossier, got, want)
		}
	}
}
