package views

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/store"
)

// missingContent is why the views leave a large packet out whose content is not kept
// any more.
const missingContent passedOver = "its content is not kept any more"

// applyLarge puts a large packet into the batch, by what it says beside its
// attachments.
func (v *Views) applyLarge(ctx context.Context, b *batch, accepted *exchangev1.AcceptedPacket, a Accepted) error {
	if v.large == nil {
		return missingContent
	}
	err := v.large(ctx, accepted, func(codec Decoder, content []byte) error {
		read, err := codec.Decode(accepted.GetEnvelope().GetType(), accepted.GetEnvelope().GetFormat(), content)
		if err != nil {
			return unreadablePacket
		}
		lighten(read.Message.ProtoReflect())
		read.Warnings = nil
		a.Packet = read
		return nil
	})
	var skipped passedOver
	switch {
	case errors.Is(err, store.ErrNotFound):
		return missingContent
	case errors.As(err, &skipped):
		return skipped
	case errors.Is(err, store.ErrCorrupt): // of this packet alone
		return unreadablePacket
	case err != nil:
		return fmt.Errorf("read large packet: %w", err)
	}
	return applyRead(ctx, b, a)
}

// heavyText is longer than any text that is shown.
const heavyText = 64 << 10

// lighten takes heavy texts out of a message, and makes the others its own.
func lighten(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsList() && field.Message() != nil:
			for i := range value.List().Len() {
				lighten(value.List().Get(i).Message())
			}
		case field.IsList() && field.Kind() == protoreflect.StringKind:
			for i := range value.List().Len() {
				value.List().Set(i, protoreflect.ValueOfString(light(value.List().Get(i).String())))
			}
		case field.Message() != nil:
			lighten(value.Message())
		case field.Kind() == protoreflect.StringKind:
			m.Set(field, protoreflect.ValueOfString(light(value.String())))
		}
		return true
	})
}

func light(text string) string {
	if len(text) > heavyText {
		return ""
	}
	return strings.Clone(text)
}
