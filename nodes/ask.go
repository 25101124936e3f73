package nodes

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	lookupv1 "github.com/lienthong/lienthong/gen/lienthong/lookup/v1"
)

// Asking is a way to call the methods that another node answers; generated
// clients take it as their connection.
type Asking struct {
	client     *Client
	node       string
	onBehalfOf string
}

// Via returns a connection whose unary calls are questions to a node ("G05/dkkd"),
// carried by the hub; empty: the one node that may be asked for the service. Give
// calls a deadline; the hub allows half a minute otherwise. Errors are *Refused,
// with the code that the answering node gave.
func (c *Client) Via(node string) *Asking { return &Asking{client: c, node: node} }

// OnBehalfOf returns the connection for an organisation: the node's own or one
// below it.
func (a *Asking) OnBehalfOf(organisation string) *Asking {
	return &Asking{client: a.client, node: a.node, onBehalfOf: organisation}
}

// Invoke implements grpc.ClientConnInterface. Options of the call have no effect.
func (a *Asking) Invoke(ctx context.Context, method string, args, reply any, _ ...grpc.CallOption) error {
	request, ok := args.(proto.Message)
	response, ok2 := reply.(proto.Message)
	if !ok || !ok2 {
		return refusal(codes.Internal, "not_a_message", "requests and responses must be Protobuf messages", "yêu cầu và kết quả phải là thông điệp Protobuf")
	}
	content, err := proto.Marshal(request)
	if err != nil {
		return fmt.Errorf("write question: %w", err)
	}
	answer, err := call(ctx, a.client, a.client.lookup.Ask, &lookupv1.AskRequest{
		Service: strings.TrimPrefix(method, "/"), Node: a.node, OnBehalfOf: a.onBehalfOf, Request: content,
	})
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(answer.GetResponse(), response); err != nil {
		r := refusal(codes.Internal, "answer_invalid",
			fmt.Sprintf("what %s answered is no %s", answer.GetAnsweredBy(), response.ProtoReflect().Descriptor().FullName()),
			fmt.Sprintf("kết quả của %s không phải %s", answer.GetAnsweredBy(), response.ProtoReflect().Descriptor().FullName()))
		r.cause = err
		return r
	}
	return nil
}

// NewStream implements grpc.ClientConnInterface: there are no streams.
func (a *Asking) NewStream(_ context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, refusal(codes.Unimplemented, "unary_only",
		fmt.Sprintf("%s is a stream; questions are unary calls", method),
		fmt.Sprintf("%s là luồng; tra cứu chỉ dùng lời gọi đơn", method))
}
