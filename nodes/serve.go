package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	lookupv1 "github.com/lienthong/lienthong/gen/lienthong/lookup/v1"
)

// Asker is who asks a question.
type Asker struct {
	// Node that asks, as the hub has authenticated it.
	Node string
	// OnBehalfOf is the organisation it speaks for.
	OnBehalfOf string
}

type askerKey struct{}

// AskerFrom returns who asks, in a method that Serve has called.
func AskerFrom(ctx context.Context) (Asker, bool) {
	asker, ok := ctx.Value(askerKey{}).(Asker)
	return asker, ok
}

// Serve offers the unary methods of the services that register registers, and
// answers questions concurrently, at most Config.Answers at one time. A method gets
// the deadline of the question in its context, and AskerFrom; the gRPC status it
// returns goes to the asker; any other error, and a panic, is logged here and goes
// as INTERNAL without its text.
//
// It answers until ctx ends, and returns nil then, or until the hub refuses for
// good, with a *Refused. No method runs any more when it returns.
func (c *Client) Serve(ctx context.Context, register func(grpc.ServiceRegistrar)) error {
	methods := methods{}
	register(methods)
	offer := methods.names()
	if len(offer) == 0 {
		return errors.New("serve: no unary method is registered")
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &answering{client: c, methods: methods, offer: offer, slots: make(chan struct{}, c.answers)}
	defer s.running.Wait()
	defer cancel()
	if err := c.persist(ctx, "serve", s.session); ctx.Err() == nil {
		return err
	}
	return nil
}

// method calls one method of a service.
type method func(ctx context.Context, decode func(any) error) (any, error)

// methods are what was registered, by full name without leading slash.
type methods map[string]method

// RegisterService implements grpc.ServiceRegistrar.
func (ms methods) RegisterService(desc *grpc.ServiceDesc, impl any) {
	for _, m := range desc.Methods {
		ms[desc.ServiceName+"/"+m.MethodName] = func(ctx context.Context, decode func(any) error) (any, error) {
			return m.Handler(impl, ctx, decode, nil)
		}
	}
}

func (ms methods) names() []string {
	names := make([]string, 0, len(ms))
	for name := range ms {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

type answering struct {
	client  *Client
	methods methods
	offer   []string
	slots   chan struct{} // one token per question being answered
	running sync.WaitGroup
}

// session is one stream. Questions still being answered when it is cut are
// cancelled, and not waited for before the next stream.
func (s *answering) session(ctx context.Context) (lived bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.client.lookup.Serve(ctx, grpc.WaitForReady(true))
	if err != nil {
		return false, fmt.Errorf("open stream: %w", err)
	}
	offer := &lookupv1.ServeRequest{Kind: &lookupv1.ServeRequest_Offer{Offer: &lookupv1.Offer{Services: s.offer}}}
	out := &answers{stream: stream}
	out.send(offer)
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			err = streamEnded()
		}
		if err != nil {
			return lived, fmt.Errorf("read questions: %w", err)
		}
		lived = true
		question := resp.GetQuestion()
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return lived, fmt.Errorf("serve: %w", context.Cause(ctx))
		}
		s.running.Go(func() {
			defer func() { <-s.slots }()
			out.send(&lookupv1.ServeRequest{Kind: &lookupv1.ServeRequest_Answer{Answer: s.answer(ctx, question)}})
		})
	}
}

// answers lets one goroutine at a time send.
type answers struct {
	mu     sync.Mutex
	stream grpc.BidiStreamingClient[lookupv1.ServeRequest, lookupv1.ServeResponse]
}

// send gives the stream a frame; why a stream failed is for its reader to say.
func (a *answers) send(frame *lookupv1.ServeRequest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.stream.Send(frame)
}

func (s *answering) answer(ctx context.Context, question *lookupv1.Question) *lookupv1.Answer {
	if deadline := question.GetDeadline(); deadline != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.AsTime())
		defer cancel()
	}
	ctx = context.WithValue(ctx, askerKey{}, Asker{Node: question.GetAsker(), OnBehalfOf: question.GetOnBehalfOf()})
	answer := &lookupv1.Answer{QuestionId: question.GetId()}
	response, err := s.call(ctx, question)
	if err != nil {
		answer.Outcome = &lookupv1.Answer_Error{Error: s.statusOf(ctx, question.GetService(), err).Proto()}
	} else {
		answer.Outcome = &lookupv1.Answer_Response{Response: response}
	}
	return answer
}

func (s *answering) call(ctx context.Context, question *lookupv1.Question) (response []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	run, ok := s.methods[question.GetService()]
	if !ok {
		return nil, status.Errorf(codes.Unimplemented, "%s is not offered here", question.GetService())
	}
	reply, err := run(ctx, func(into any) error { return decode(question, into) })
	if err != nil {
		return nil, err
	}
	message, ok := reply.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("response of type %T", reply)
	}
	response, err = proto.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("write response: %w", err)
	}
	return response, nil
}

func decode(question *lookupv1.Question, into any) error {
	request, ok := into.(proto.Message)
	if !ok {
		return fmt.Errorf("request of type %T", into)
	}
	if err := proto.Unmarshal(question.GetRequest(), request); err != nil {
		return status.Errorf(codes.InvalidArgument, "the request is no %s", request.ProtoReflect().Descriptor().FullName())
	}
	return nil
}

// statusOf returns what the asker is told of an error.
func (s *answering) statusOf(ctx context.Context, service string, err error) *status.Status {
	if told, ok := status.FromError(err); ok {
		return told
	}
	switch {
	case ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		return status.New(codes.DeadlineExceeded, "the deadline passed before there was an answer")
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return status.New(codes.Canceled, "the question was withdrawn")
	}
	s.client.logger.Error("a question could not be answered", "service", service, "error", err)
	return status.New(codes.Internal, "the answering node failed; its operator has been told")
}
