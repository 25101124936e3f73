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
	answers := make(chan answer, 1)
	one := submitter{service: s, caller: caller, answer: func(_ string, a answer) { answers <- a }}
	if err := one.submit(ctx, req.GetEnvelope()); err != nil {
		return nil, err
	}
	select {
	case a := <-answers:
		receipt, err := (&receipts{store: s.store}).settle(ctx, a)
		if err != nil {
			return nil, err
		}
		statement, err := parseLeaf(receipt.GetLeaf())
		if err != nil {
			return nil, err
		}
		return &exchangev1.SubmitResponse{Receipt: receipt, Statement: statement}, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the commit: %w", ctx.Err())
	}
}

// submitter queues the envelopes of one caller.
type submitter struct {
	service *Service
	caller  string
	// patient submitters wait where the caller's quota is used up.
	patient bool
	// answer is called once for every envelope that submit returned nil for, at
	// once or later, and must not block.
	answer func(id string, a answer)
}

// submit queues an envelope, or returns why it is refused. It blocks while too
// much is queued already, so memory stays bounded.
func (u submitter) submit(ctx context.Context, env *exchangev1.Envelope) error {
	sub, earlier, err := u.service.prepare(ctx, u.caller, env)
	if err != nil {
		return err
	}
	if sub == nil {
		u.answer(env.GetId(), answer{earlier: earlier})
		return nil
	}
	release, err := u.service.quota.acquire(ctx, u.caller, proto.Size(env), u.patient)
	if err != nil {
		return err
	}
	sub.answer = func(a answer) {
		release()
		u.answer(env.GetId(), a)
	}
	if err := u.service.committer.submit(ctx, sub); err != nil {
		release()
		return err
	}
	return nil
}

// SubmitStream implements ExchangeService. One goroutine reads frames and
// prepares envelopes, this one writes results. An envelope takes one of the
// stream's slots from when it is read until its result is written, so a sender
// that does not read its results is not read from either.
func (s *Service) SubmitStream(stream exchangev1.ExchangeService_SubmitStreamServer) error {
	caller, err := s.callerOf(stream.Context())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	in := &submitStream{
		service: s, stream: stream, receipts: receipts{store: s.store},
		slots:   make(chan struct{}, s.limits.StreamEnvelopes),
		answers: make(chan answered, s.limits.StreamEnvelopes),
		ended:   make(chan error, 1),
	}
	in.submitter = submitter{
		service: s, caller: caller, patient: true,
		answer: func(id string, a answer) { in.answers <- answered{id: id, answer: a} },
	}
	go in.read(ctx)
	return in.write(ctx)
}

type submitStream struct {
	service   *Service
	submitter submitter
	receipts  receipts
	stream    exchangev1.ExchangeService_SubmitStreamServer
	slots     chan struct{} // one token per envelope without a written result
	answers   chan answered // as large as slots, so that answering never blocks
	ended     chan error    // what read ended with; nil for a half-close
}

type answered struct {
	id string
	answer
}

// read ends when the stream does, at the latest when its handler has returned.
func (r *submitStream) read(ctx context.Context) {
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
			if err := r.submitter.submit(ctx, env); err != nil {
				r.submitter.answer(env.GetId(), answer{err: err})
			}
		}
	}
}

// write sends results until the sender has half-closed and every envelope has
// its result.
func (r *submitStream) write(ctx context.Context) error {
	ended := false
	for {
		if ended && len(r.slots) == 0 {
			return nil
		}
		select {
		case first := <-r.answers:
			frame := r.frameOf(ctx, first)
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

// resultsPerFrame bounds a frame of results beside its bytes.
const resultsPerFrame = 512

func (r *submitStream) frameOf(ctx context.Context, first answered) *exchangev1.SubmitStreamResponse {
	frame := &exchangev1.SubmitStreamResponse{}
	next, size := first, 0
	for {
		result := r.resultOf(ctx, next)
		frame.Results = append(frame.Results, result)
		if size += proto.Size(result); size >= bytesPerFrame || len(frame.GetResults()) >= resultsPerFrame {
			return frame
		}
		select {
		case next = <-r.answers:
		default:
			return frame
		}
	}
}

func (r *submitStream) resultOf(ctx context.Context, a answered) *exchangev1.SubmitResult {
	result := &exchangev1.SubmitResult{Id: a.id}
	receipt, err := r.receipts.settle(ctx, a.answer)
	if err == nil {
		result.Outcome = &exchangev1.SubmitResult_Receipt{Receipt: receipt}
		return result
	}
	told := fault.From(err)
	if told.Code == codes.Internal {
		r.service.logger.Error("a packet of a stream could not be handled", "error", err)
	}
	result.Outcome = &exchangev1.SubmitResult_Refusal{Refusal: told.Refusal()}
	return result
}

func (s *Service) callerOf(ctx context.Context) (string, error) {
	caller, ok := s.caller(ctx)
	if !ok {
		return "", fault.New(codes.Unauthenticated, "not_a_node", "only nodes exchange packets", "chỉ hệ thống đã đăng ký mới được trao đổi gói tin")
	}
	return caller, nil
}
