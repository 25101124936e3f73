package gateway

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	faultv1 "github.com/lienthong/lienthong/gen/lienthong/fault/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// edgeConn makes every unary call fail with a *fault.Error that may be shown to
// the caller, whatever the connection below says about addresses and sockets.
type edgeConn struct {
	grpc.ClientConnInterface
}

// Invoke implements grpc.ClientConnInterface.
func (c edgeConn) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if err := c.ClientConnInterface.Invoke(ctx, method, args, reply, opts...); err != nil {
		return presentable(err)
	}
	return nil
}

// presentable returns err as the caller may see it: a refusal that the hub wrote
// for callers as it is, anything else by its code alone.
func presentable(err error) *fault.Error {
	told := fault.From(err)
	var written *fault.Error
	if errors.As(err, &written) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return told
	}
	if s, ok := status.FromError(err); ok {
		for _, detail := range s.Details() {
			if _, ok := detail.(*faultv1.Refusal); ok {
				return told
			}
		}
	}
	return plainly(told.Code).Because(err)
}

// plainly returns what may be said about a failure of which only the code is
// known.
func plainly(code codes.Code) *fault.Error {
	switch code {
	case codes.Unavailable:
		return fault.New(code, "unavailable", "the hub cannot be reached; try again later", "chưa kết nối được trục liên thông; vui lòng thử lại sau")
	case codes.ResourceExhausted:
		return fault.New(code, "resource_exhausted", "more than the hub takes at once; try again later", "vượt quá khả năng tiếp nhận của trục liên thông lúc này; vui lòng thử lại sau")
	case codes.DeadlineExceeded:
		return fault.New(code, "deadline_exceeded", "the deadline passed before there was an answer", "quá thời hạn trước khi có kết quả")
	case codes.Canceled:
		return fault.New(code, "canceled", "the call was cancelled", "lời gọi đã bị hủy")
	case codes.Unauthenticated:
		return fault.New(code, "unauthenticated", "the hub does not know who calls", "trục liên thông không xác định được bên gọi")
	case codes.PermissionDenied:
		return fault.New(code, "permission_denied", "the hub does not allow this call", "trục liên thông không cho phép lời gọi này")
	case codes.Unimplemented:
		return fault.New(code, "unimplemented", "the hub does not offer this", "trục liên thông không cung cấp chức năng này")
	default:
		return fault.Internal(nil)
	}
}
