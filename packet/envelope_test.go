package packet_test

import (
	"regexp"
	"testing"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

func TestEnvelopeIDTellsSubmissionsApart(t *testing.T) {
	t.Parallel()
	env := &exchangev1.Envelope{
		Type: packetv1.PacketType_PACKET_TYPE_DOSSIER, Content: []byte("<MSyncDocument/>"), Recipients: []string{"G22/a", "G22/b"},
	}
	id := packet.EnvelopeID(env)
	if !regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`).MatchString(id) {
		t.Fatalf("%q is no envelope id", id)
	}
	same := proto.CloneOf(env)
	same.Recipients = []string{"G22/b", "G22/a"}
	if packet.EnvelopeID(same) != id {
		t.Error("the order of recipients makes another submission")
	}
	for name, change := range map[string]func(*exchangev1.Envelope){
		"content":      func(e *exchangev1.Envelope) { e.Content = []byte("<MSyncDocument />") },
		"type":         func(e *exchangev1.Envelope) { e.Type = packetv1.PacketType_PACKET_TYPE_SURVEY },
		"organisation": func(e *exchangev1.Envelope) { e.OnBehalfOf = "H41.01" },
		"recipients":   func(e *exchangev1.Envelope) { e.Recipients = e.GetRecipients()[:1] },
		"a recipient that runs into another": func(e *exchangev1.Envelope) {
			e.Recipients = []string{"G22/aG22/b"}
		},
		"an organisation that is a recipient": func(e *exchangev1.Envelope) {
			e.OnBehalfOf, e.Recipients = "G22/a", []string{"G22/b"}
		},
	} {
		other := proto.CloneOf(env)
		change(other)
		if packet.EnvelopeID(other) == id {
			t.Errorf("another %s has the same id", name)
		}
	}
}
