package exchange

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
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
	answers := make(chan []answered, 1)
	one := submitter{service: s, caller: caller, answer: func(a []answered) { answers <- a }}
	one.submit(ctx, []*exchangev1.Envelope{req.GetEnvelope()})
	select {
	case a := <-answers:
		receipt, err := (&receipts{store: s.store}).settle(ctx, a[0])
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
	// answer is called for every envelope, at once or later, with some of them at a
	// time, and must not block.
	answer func([]answered)
}

// submit queues envelopes, or answers why they are refused. It blocks while too
// much is queued already, so memory stays bounded.
func (u submitter) submit(ctx context.Context, envelopes []*exchangev1.Envelope) {
	b := &bundle{submissions: make([]*submission, 0, len(envelopes))}
	var settled []answered
	for _, env := range envelopes {
		sub, earlier, err := u.service.prepare(ctx, u.caller, env)
		if sub == nil {
			settled = append(settled, answered{envelope: env, answer: answer{earlier: earlier, err: err}})
			continue
		}
		b.submissions = append(b.submissions, sub)
		b.bytes += len(sub.record)
	}
	if len(settled) > 0 {
		u.answer(settled)
	}
	if len(b.submissions) == 0 {
		return
	}
	if err := u.queue(ctx, b); err != nil {
		u.answer(b.answered(func(int) answer { return answer{err: err} }))
	}
}

func (u submitter) queue(ctx context.Context, b *bundle) error {
	release, err := u.service.quota.acquire(ctx, u.caller, b.bytes, u.patient)
	if err != nil {
		return err
	}
	b.answer = func(answers []answered) {
		release()
		u.answer(answers)
	}
	if err := u.service.committer.submit(ctx, b); err != nil {
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
		slots:   semaphore.NewWeighted(int64(s.limits.StreamEnvelopes)),
		answers: make(chan []answered, s.limits.StreamEnvelopes),
		ended:   make(chan error, 1),
	}
	in.submitter = submitter{
		service: s, caller: caller, patient: true,
		answer: func(a []answered) { in.answers <- a },
	}
	go in.read(ctx)
	return in.write(ctx)
}

type submitStream struct {
	service   *Service
	submitter submitter
	receipts  receipts
	stream    exchangev1.ExchangeService_SubmitStreamServer
	slots     *semaphore.Weighted // one for each envelope without a written result
	held      atomic.Int64        // of slots
	answers   chan []answered     // as many as there are slots, so that answering never blocks
	ended     chan error          // what read ended with; nil for a half-close
}

type answered struct {
	envelope *exchangev1.Envelope
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
		for envelopes := range slices.Chunk(frame.GetEnvelopes(), r.service.limits.chunk()) {
			if err := r.slots.Acquire(ctx, int64(len(envelopes))); err != nil {
				r.ended <- err
				return
			}
			r.held.Add(int64(len(envelopes)))
			r.submitter.submit(ctx, envelopes)
		}
	}
}

// write sends results until the sender has half-closed and every envelope has
// its result.
func (r *submitStream) write(ctx context.Context) error {
	ended := false
	var waiting []answered
	for {
		if ended && r.held.Load() == 0 {
			return nil
		}
		if len(waiting) > 0 {
			frame, rest := r.frameOf(ctx, waiting)
			if err := r.stream.Send(frame); err != nil {
				return fmt.Errorf("send results: %w", err)
			}
			waiting = rest
			r.held.Add(-int64(len(frame.GetResults())))
			r.slots.Release(int64(len(frame.GetResults())))
			continue
		}
		select {
		case waiting = <-r.answers:
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

// frameOf makes a frame of results, first of those that wait, and returns the rest.
func (r *submitStream) frameOf(ctx context.Context, waiting []answered) (frame *exchangev1.SubmitStreamResponse, rest []answered) {
	frame = &exchangev1.SubmitStreamResponse{}
	for size := 0; ; {
		for i, next := range waiting {
			result := r.resultOf(ctx, next)
			frame.Results = append(frame.Results, result)
			if size += sizeOf(result); size >= bytesPerFrame || len(frame.GetResults()) >= resultsPerFrame {
				return frame, waiting[i+1:]
			}
		}
		select {
		case waiting = <-r.answers:
		default:
			return frame, nil
		}
	}
}

func (r *submitStream) resultOf(ctx context.Context, a answered) *exchangev1.SubmitResult {
	result := &exchangev1.SubmitResult{Id: a.envelope.GetId()}
	receipt, err := r.receipts.settle(ctx, a)
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

// sizeOf is what a result takes, within a few bytes where it is a receipt.
func sizeOf(result *exchangev1.SubmitResult) int {
	receipt := result.GetReceipt()
	if receipt == nil {
		return proto.Size(result)
	}
	return len(result.GetId()) + len(receipt.GetLeaf()) + len(receipt.GetGroup()) + len(receipt.GetPath())*(sha256.Size+2) + 32
}

func (s *Service) callerOf(ctx context.Context) (string, error) {
	caller, ok := s.caller(ctx)
	if !ok {
		return "", fault.New(codes.Unauthenticated, "not_a_node", "only nodes exchange packets", "chỉ hệ thống đã đăng ký mới được trao đổi gói tin")
	}
	return caller, nil
}
