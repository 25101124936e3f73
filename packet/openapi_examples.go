package packet

import (
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	edgev1 "github.com/lienthong/lienthong/gen/lienthong/edge/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet/samples"
)

// example is a document to see what one looks like.
type example struct {
	document proto.Message // nil where there is no example
	from     string        // the sample that it is; empty where it is none
	xml      []byte
}

// exampleOf returns an example of a document: of a packet, the first sample in XML.
func (c *Codec) exampleOf(m *message) (example, error) {
	if m.Type != packetv1.PacketType_PACKET_TYPE_UNSPECIFIED {
		return c.sampleOf(m.Type)
	}
	document, err := c.answerLike(m)
	if document == nil || err != nil {
		return example{}, err
	}
	written, err := c.Encode(document, exchangev1.Format_FORMAT_XML)
	if err != nil {
		return example{}, fmt.Errorf("write example of %s: %w", m.name, err)
	}
	return example{document: document, xml: written}, nil
}

func (c *Codec) sampleOf(typ packetv1.PacketType) (example, error) {
	for _, sample := range samples.Good() {
		if sample.Type != typ || sample.Format != exchangev1.Format_FORMAT_XML {
			continue
		}
		read, err := c.Decode(typ, sample.Format, sample.Content)
		if err != nil {
			return example{}, fmt.Errorf("read sample %s: %w", sample.Name, err)
		}
		return example{document: read.Message, from: sample.Name, xml: sample.Content}, nil
	}
	return example{}, fmt.Errorf("no sample of type %s", typ)
}

// answerLike returns an example of what comes back from a hub and goes to it besides
// packets; nil where there is none.
func (c *Codec) answerLike(m *message) (proto.Message, error) {
	accepted := time.Date(2026, time.November, 4, 2, 0, 1, 0, time.UTC)
	switch m.desc.FullName() {
	case (&packetv1.MResult{}).ProtoReflect().Descriptor().FullName():
		return &packetv1.MResult{
			Status:  proto.Int32(1),
			Message: proto.String("Đã tiếp nhận: số thứ tự 32 / Accepted: sequence 32"),
		}, nil
	case (&edgev1.MAcknowledge{}).ProtoReflect().Descriptor().FullName():
		return &edgev1.MAcknowledge{DeliveryId: []string{"32", "33"}}, nil
	case (&edgev1.MReject{}).ProtoReflect().Descriptor().FullName():
		return &edgev1.MReject{DeliveryId: []string{"32"}, Reason: "Không mở được tệp đính kèm", Final: proto.Bool(false)}, nil
	case (&edgev1.MDeliveries{}).ProtoReflect().Descriptor().FullName():
		sent, err := c.sampleOf(packetv1.PacketType_PACKET_TYPE_PROGRESS)
		if err != nil {
			return nil, err
		}
		delivered := &edgev1.MDelivery{
			DeliveryId: "32", Sender: "H41/motcua", Organisation: "H41", AcceptedAt: timestamppb.New(accepted), Attempt: 1,
		}
		delivered.MDocumentTraces, _ = sent.document.(*packetv1.MDocumentTraces)
		return &edgev1.MDeliveries{
			Deliveries: []*edgev1.MDelivery{delivered}, LeaseUntil: timestamppb.New(accepted.Add(time.Minute)),
		}, nil
	default:
		return nil, nil
	}
}

// examples returns an example of a document in JSON, for its schema.
func (c *Codec) examples(m *message) ([]json.RawMessage, error) {
	shown, err := c.exampleOf(m)
	if shown.document == nil || err != nil {
		return nil, err
	}
	written, err := c.Encode(shown.document, exchangev1.Format_FORMAT_JSON)
	if err != nil {
		return nil, fmt.Errorf("write example of %s: %w", m.name, err)
	}
	return []json.RawMessage{written}, nil
}
