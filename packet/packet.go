package packet

import (
	"strings"

	"google.golang.org/protobuf/proto"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// Packet is a packet that was read and found valid.
type Packet struct {
	Type    packetv1.PacketType
	Message proto.Message
	// Warnings are the liberties that were taken, in the order of the text.
	Warnings []*packetv1.Finding

	schema *message
}

// dossierCode is the element that names a dossier, in every packet about one.
const dossierCode = "DocCode"

// Subject returns what order is kept for: the dossier by its DossierKey, else the
// organisation's canonical code.
func (p *Packet) Subject() string {
	if m, ok := p.record(); ok {
		if f, ok := p.schema.exact[dossierCode]; ok {
			return strings.Clone(DossierKey(m.text(f))) // not the whole text with it
		}
	}
	return p.Organisation().String()
}

// Organisation returns the level-1 organisation in charge that the packet names.
func (p *Packet) Organisation() Organisation {
	m, ok := p.record()
	if !ok {
		return Organisation{}
	}
	for _, f := range p.schema.fields {
		if f.kind != kindOrganisation {
			continue
		}
		o, err := ParseOrganisation(m.text(f))
		if err != nil {
			return Organisation{} // cannot be: Decode refuses such packets
		}
		return o
	}
	return Organisation{}
}

// record returns the record of the message; false for a Packet that Decode has not
// made.
func (p *Packet) record() (record, bool) {
	if p.schema == nil {
		return record{}, false
	}
	return p.schema.record(p.Message)
}

// StatusCode returns the meaning of a dossier status; false for unknown numbers.
func StatusCode(status int32) (*packetv1.Code, bool) {
	fields := (&packetv1.MSyncDocument{}).ProtoReflect().Descriptor().Fields()
	element, ok := proto.GetExtension(fields.ByName("status").Options(), packetv1.E_Element).(*packetv1.Element)
	if !ok {
		return nil, false
	}
	for _, code := range element.GetCodes() {
		if code.GetValue() == status {
			return code, true
		}
	}
	return nil, false
}
