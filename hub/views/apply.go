package views

import (
	"context"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/packet"
)

// passedOver is why the views leave a packet out. It never quotes the packet.
type passedOver string

func (p passedOver) Error() string { return string(p) }

const (
	unreadableRecord  passedOver = "the record cannot be read"
	unreadablePacket  passedOver = "the packet cannot be read"
	unreadableSpeaker passedOver = "the organisation it speaks for is not an organisation code"
	unusableCode      passedOver = "the dossier code is empty, too long, or has characters that cannot be printed"
	notTheOwner       passedOver = "the dossier belongs to another organisation"
	unusablePeriod    passedOver = "the period is not a month or a year"
	unusableTime      passedOver = "the time is not a time"
	unknownType       passedOver = "the views do not show such packets"
)

// source is what the hub knows of a packet, whatever the packet says.
type source struct {
	sequence uint64
	speaker  packet.Organisation
	inCharge packet.Organisation
}

// apply puts one entry of the accepted log into the batch. It returns passedOver
// where the packet is left out.
func (v *Views) apply(ctx context.Context, b *batch, entry store.Entry) error {
	var accepted exchangev1.AcceptedPacket
	if err := proto.Unmarshal(entry.Record, &accepted); err != nil {
		return unreadableRecord
	}
	speaker, err := packet.ParseOrganisation(accepted.GetOnBehalfOf())
	if err != nil {
		return unreadableSpeaker
	}
	envelope := accepted.GetEnvelope()
	if envelope.GetUpload() != nil {
		return v.applyLarge(ctx, b, &accepted, Accepted{Sequence: entry.Sequence, Speaker: speaker})
	}
	read, err := v.codec.Decode(envelope.GetType(), envelope.GetFormat(), envelope.GetContent())
	if err != nil {
		return unreadablePacket
	}
	return applyRead(ctx, b, Accepted{Sequence: entry.Sequence, Speaker: speaker, Packet: read})
}

// applyRead puts a packet that has been read into the batch. It returns passedOver
// where the packet is left out.
func applyRead(ctx context.Context, b *batch, accepted Accepted) error {
	from := source{sequence: accepted.Sequence, speaker: accepted.Speaker, inCharge: accepted.Packet.Organisation()}
	switch m := accepted.Packet.Message.(type) {
	case *packetv1.MSyncDocument:
		return applyDossier(ctx, b, from, m)
	case *packetv1.MDocumentTraces:
		return applyProgress(ctx, b, from, m)
	case *packetv1.MStatistic:
		return applyStatistic(b, from, m)
	case *packetv1.MVotes:
		return applySurvey(b, from, m)
	default:
		return unknownType
	}
}

// publisher returns the organisation that figures are of. Senders below level 1
// write their level-1 organisation into the packet; the figures are their own.
func (s source) publisher() packet.Organisation {
	if s.speaker.Contains(s.inCharge) {
		return s.inCharge
	}
	return s.speaker
}
