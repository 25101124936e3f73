package rpc

import (
	"bytes"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/lienthong/lienthong/hub/fault"
)

// maxFields bounds the fields and list members of one message, its inner
// messages' included. An empty member takes two bytes to send and a hundred to
// hold: without the bound, a message within MaxMessageBytes could take gigabytes.
const maxFields = 1 << 18

// boundedCodec is gRPC's Protobuf codec, for messages of at most maxFields.
type boundedCodec struct{ encoding.CodecV2 }

func newCodec() encoding.CodecV2 { return boundedCodec{encoding.GetCodecV2("proto")} }

// Unmarshal implements encoding.CodecV2. It counts before anything is allocated. A
// message of too many fields is left unread, and marked: of an error here, gRPC would
// make one of the hub, and clients would send the message again.
func (c boundedCodec) Unmarshal(data mem.BufferSlice, v any) error {
	message, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("message of type %T", v)
	}
	if data.Len() <= maxFields { // a field, or a member of a list, takes a byte at least
		return c.CodecV2.Unmarshal(data, v)
	}
	content := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer content.Free()
	left := maxFields
	countFields(content.ReadOnlyData(), message.ProtoReflect().Descriptor(), &left)
	if left < 0 {
		proto.Reset(message)
		message.ProtoReflect().SetUnknown(unread())
		return nil
	}
	return c.CodecV2.Unmarshal(mem.BufferSlice{content}, v)
}

// unread marks a message that was not read. The number of its field is one that no
// .proto file may use.
func unread() []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, protowire.FirstReservedNumber, protowire.VarintType), 1)
}

func leftUnread(message proto.Message) bool {
	unknown := message.ProtoReflect().GetUnknown()
	return len(unknown) > 0 && bytes.Equal(unknown, unread())
}

func errTooManyFields() error {
	return fault.New(codes.InvalidArgument, "too_many_fields",
		fmt.Sprintf("a message has more than %d fields and list members; send several smaller ones", maxFields),
		fmt.Sprintf("thông điệp có hơn %d trường và phần tử; hãy chia thành nhiều thông điệp nhỏ hơn", maxFields))
}

// countFields takes the fields of a message off left, until it is negative. What
// is malformed is left to the decoder to refuse.
func countFields(content []byte, desc protoreflect.MessageDescriptor, left *int) {
	for len(content) > 0 && *left >= 0 {
		number, kind, n := protowire.ConsumeTag(content)
		if n < 0 {
			return
		}
		*left--
		content = content[n:]
		if n = protowire.ConsumeFieldValue(number, kind, content); n < 0 {
			return
		}
		if field := desc.Fields().ByNumber(number); field != nil && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(content)
			switch {
			case field.Message() != nil:
				countFields(value, field.Message(), left)
			case field.IsList() && field.Kind() != protoreflect.StringKind && field.Kind() != protoreflect.BytesKind:
				*left -= len(value) // packed: at least one byte for each
			}
		}
		content = content[n:]
	}
}
