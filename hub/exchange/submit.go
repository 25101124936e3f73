package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// Submit implements ExchangeService.
func (s *Service) Submit(ctx context.Context, req *exchangev1.SubmitRequest) (*exchangev1.SubmitResponse, error) {
	caller, err := s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	results := make(chan *exchangev1.SubmitResult, 1)
	if err := s.accept(ctx, caller, req.GetEnvelope(), results); err != nil {
		return nil, err
	}
	select {
	case result := <-results:
		if refusal := result.GetRefusal(); refusal != nil {
			return nil, fault.FromRefusal(refusal)
		}
		statement := &exchangev1.Statement{}
		if err := proto.Unmarshal(result.GetReceipt().GetLeaf(), statement); err != nil {
			return nil, fmt.Errorf("read own leaf: %w", err)
		}
		return &exchangev1.SubmitResponse{Receipt: result.GetReceipt(), Statement: statement}, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the commit: %w", ctx.Err())
	}
}

// accept queues an envelope; its result is sent to results, which must have room
// for it. It blocks while too much is queued already, so memory stays bounded.
func (s *Service) accept(ctx context.Context, caller string, env *exchangev1.Envelope, results chan<- *exchangev1.SubmitResult) error {
	sub, err := s.prepare(ctx, caller, env)
	if err != nil {
		return err
	}
	weight := int64(len(env.GetContent()))
	if err := s.queued.Acquire(ctx, weight); err != nil {
		return fmt.Errorf("wait for room: %w", err)
	}
	sub.answer = func(receipt *exchangev1.Receipt, err error) {
		s.queued.Release(weight)
		results <- resultOf(env.GetId(), receipt, err)
	}
	if err := s.committer.submit(ctx, sub); err != nil {
		s.queued.Release(weight)
		return err
	}
	return nil
}

func resultOf(id string, receipt *exchangev1.Receipt, err error) *exchangev1.SubmitResult {
	result := &exchangev1.SubmitResult{Id: id}
	if err != nil {
		result.Outcome = &exchangev1.SubmitResult_Refusal{Refusal: fault.From(err).Refusal()}
	} else {
		result.Outcome = &exchangev1.SubmitResult_Receipt{Receipt: receipt}
	}
	return result
}

// SubmitStream implements ExchangeService. One goroutine reads frames and
// prepares envelopes, this one writes results. An envelope takes one of the
// stream's slots from when it is read until its result is written, so a sender
// that does not read its results is not read from either.
func (s *Service) SubmitStream(stream exchangev1.ExchangeService_SubmitStreamServer) error {
	ctx := stream.Context()
	caller, err := s.callerOf(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := &submitReader{
		service: s, caller: caller, stream: stream,
		slots:   make(chan struct{}, s.limits.StreamEnvelopes),
		results: make(chan *exchangev1.SubmitResult, s.limits.StreamEnvelopes),
		ended:   make(chan error, 1),
	}
	go in.read(ctx)
	return in.write(ctx)
}

type submitReader struct {
	service *Service
	caller  string
	stream  exchangev1.ExchangeService_SubmitStreamServer
	slots   chan struct{}                 // one token per envelope without a written result
	results chan *exchangev1.SubmitResult // as large as slots, so that answers never block
	ended   chan error                    // what read ended with; nil for a half-close
}

// read ends when the stream does, at the latest when its handler has returned.
func (r *submitReader) read(ctx context.Context) {
	for {
		frame, err := r.stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			r.ended <- err
			return
		}
		for _, env := range frame.GetEnvelopes() {
			select {
			case r.slots <- struct{}{}:
			case <-ctx.Done():
				r.ended <- ctx.Err()
				return
			}
			if err := r.service.accept(ctx, r.caller, env, r.results); err != nil {
				r.results <- resultOf(env.GetId(), nil, err)
			}
		}
	}
}

// write sends results until the sender has half-closed and every envelope has
// its result.
func (r *submitReader) write(ctx context.Context) error {
	ended := false
	for {
		if ended && len(r.slots) == 0 {
			return nil
		}
		select {
		case first := <-r.results:
			frame := r.frameOf(first)
			if err := r.stream.Send(frame); err != nil {
				return fmt.Errorf("send results: %w", err)
			}
			for range frame.GetResults() {
				<-r.slots
			}
		case err := <-r.ended:
			if err != nil {
				return fmt.Errorf("read envelopes: %w", err)
			}
			ended = true
		case <-ctx.Done():
			return fmt.Errorf("submit stream: %w", context.Cause(ctx))
		}
	}
}

// resultsPerFrame keeps a frame of results, receipts of a KiB or so, well under
// the 4 MiB that gRPC clients accept by default.
const resultsPerFrame = 512

func (r *submitReader) frameOf(first *exchangev1.SubmitResult) *exchangev1.SubmitStreamResponse {
	frame := &exchangev1.SubmitStreamResponse{Results: []*exchangev1.SubmitResult{first}}
	for len(frame.GetResults()) < resultsPerFrame {
		select {
		case result := <-r.results:
			frame.Results = append(frame.Results, result)
		default:
			return frame
		}
	}
	return frame
}

func (s *Service) callerOf(ctx context.Context) (string, error) {
	caller, ok := s.caller(ctx)
	if !ok {
		return "", fault.New(codes.Unauthenticated, "not_a_node", "only nodes exchange packets", "chỉ hệ thống đã đăng ký mới được trao đổi gói tin")
	}
	return caller, nil
}
