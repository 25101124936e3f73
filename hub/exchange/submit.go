package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store/blobs"
)

// Submit implements ExchangeService.
func (s *Service) Submit(ctx context.Context, req *exchangev1.SubmitRequest) (*exchangev1.SubmitResponse, error) {
	caller, err := s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.quota.hurry(caller, req.GetEnvelope()); err != nil {
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
			settled = append(settled, answered{id: env.GetId(), answer: answer{earlier: earlier, err: err}})
			continue
		}
		b.submissions = append(b.submissions, sub)
		b.bytes += len(sub.record) + len(sub.leaf)
	}
	if len(settled) > 0 {
		u.answer(settled)
	}
	if len(b.submissions) == 0 {
		return
	}
	if err := u.queue(ctx, b); err != nil {
		for _, sub := range b.submissions {
			sub.release(blobs.Kept)
		}
		u.answer(b.answered(func(int) answer { return answer{err: err} }))
	}
}

func (u submitter) queue(ctx context.Context, b *bundle) error {
	u.service.underway.begin(b.submissions)
	release, err := u.service.quota.acquire(ctx, u.caller, b.bytes, u.patient)
	if err != nil {
		u.service.underway.end(b.submissions)
		return err
	}
	b.answer = func(answers []answered) {
		release()
		u.service.underway.end(b.submissions)
		for i, a := range answers {
			b.submissions[i].release(a.fate())
		}
		u.answer(answers)
	}
	if err := u.service.committer.submit(b); err != nil {
		release()
		u.service.underway.end(b.submissions)
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
	stopping, stop := s.stopping(ctx)
	defer stop()
	go in.read(ctx, stopping)
	return in.write(ctx, stopping)
}

type submitStream struct {
	service   *Service
	submitter submitter
	receipts  receipts
	stream    exchangev1.ExchangeService_SubmitStreamServer
	slots     *semaphore.Weighted // one for each envelope without a written result
	held      atomic.Int64        // of slots
	runs      atomic.Bool         // whether the sender takes receipts in runs
	answers   chan []answered     // as many as there are slots, so that answering never blocks
	ended     chan error          // what read ended with; nil for a half-close
}

// answered is the answer to the envelope with an id. It may wait for long to be read,
// in nobody's quota: it keeps nothing of the envelope that an answer does not need.
type answered struct {
	id string
	answer
}

// read ends when the stream does, at the latest when its handler has returned. Once
// the hub is stopping, it takes nothing more.
func (r *submitStream) read(ctx, stopping context.Context) {
	for {
		frame, err := r.stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			r.ended <- err
			return
		}
		if frame.GetRuns() {
			r.runs.Store(true)
		}
		for rest := frame.GetEnvelopes(); len(rest) > 0; {
			portion := r.service.quota.portion(r.submitter.caller, rest, r.service.limits.chunk())
			if err := r.admit(stopping, rest[:portion]); err != nil {
				r.ended <- err
				return
			}
			r.submitter.submit(ctx, rest[:portion])
			rest = rest[portion:]
		}
	}
}

// admit waits until the sender may send envelopes and has slots for them. The error
// says why they are not taken.
func (r *submitStream) admit(stopping context.Context, envelopes []*exchangev1.Envelope) error {
	if err := r.service.quota.pace(stopping, r.submitter.caller, envelopes); err != nil {
		return err
	}
	if err := r.slots.Acquire(stopping, int64(len(envelopes))); err != nil {
		return fmt.Errorf("wait for results to be read: %w", context.Cause(stopping))
	}
	r.held.Add(int64(len(envelopes)))
	return nil
}

// write sends results until the sender has half-closed, or the hub is stopping, and
// every envelope that was taken has its result.
func (r *submitStream) write(ctx, stopping context.Context) error {
	ended, warned := false, stopping.Done()
	var waiting []answered
	for {
		if ended && r.held.Load() == 0 {
			return nil
		}
		if stopping.Err() != nil && r.held.Load() == 0 {
			return fmt.Errorf("submit stream: %w", context.Cause(stopping))
		}
		if len(waiting) > 0 {
			frame, rest := r.frameOf(ctx, waiting)
			if err := r.stream.Send(frame.response); err != nil {
				return fmt.Errorf("send results: %w", err)
			}
			waiting = rest
			r.held.Add(-int64(frame.answers))
			r.slots.Release(int64(frame.answers))
			continue
		}
		select {
		case waiting = <-r.answers:
		case err := <-r.ended:
			if err != nil && stopping.Err() == nil {
				return fmt.Errorf("read envelopes: %w", err)
			}
			ended = err == nil
		case <-warned:
			warned = nil // what was taken is still answered
		case <-ctx.Done():
			return fmt.Errorf("submit stream: %w", context.Cause(ctx))
		}
	}
}

// resultsPerFrame bounds a frame of results beside its bytes.
const resultsPerFrame = 512

// resultFrame is a frame of results on its way.
type resultFrame struct {
	response *exchangev1.SubmitStreamResponse
	answers  int
	bytes    int
}

func (f *resultFrame) full() bool { return f.bytes >= bytesPerFrame || f.answers >= resultsPerFrame }

// frameOf makes a frame of results, first of those that wait, and returns the rest.
func (r *submitStream) frameOf(ctx context.Context, waiting []answered) (*resultFrame, []answered) {
	frame := &resultFrame{response: &exchangev1.SubmitStreamResponse{}}
	for {
		for len(waiting) > 0 {
			n := r.add(ctx, frame, waiting)
			if waiting = waiting[n:]; frame.full() {
				return frame, waiting
			}
		}
		select {
		case waiting = <-r.answers:
		default:
			return frame, nil
		}
	}
}

// add puts the first of the answers into a frame, and with it, where they make a run,
// those that follow. It returns how many.
func (r *submitStream) add(ctx context.Context, frame *resultFrame, waiting []answered) int {
	n := 1
	if r.runs.Load() {
		n = runOf(waiting[:min(len(waiting), resultsPerFrame-frame.answers)], bytesPerFrame-frame.bytes)
	}
	frame.answers += n
	if n > 1 {
		if run, err := waiting[0].accepted.Run(waiting[0].index, n); err == nil {
			frame.response.Runs = append(frame.response.Runs, run)
			frame.bytes += sizeOf(run.GetGroup(), run.GetProof()) + sizeOf(nil, run.GetLeaves())
			return n
		}
	}
	for _, next := range waiting[:n] {
		result := r.resultOf(ctx, next)
		frame.response.Results = append(frame.response.Results, result)
		if receipt := result.GetReceipt(); receipt != nil {
			frame.bytes += len(result.GetId()) + len(receipt.GetLeaf()) + sizeOf(receipt.GetGroup(), receipt.GetPath())
		} else {
			frame.bytes += proto.Size(result)
		}
	}
	return n
}

// runOf returns how many of the answers, from the first on, are acceptances that follow
// each other in one group, up to the leaf that reaches so many bytes.
func runOf(waiting []answered, most int) int {
	first := waiting[0]
	if first.accepted == nil {
		return 1
	}
	n, size := 1, first.accepted.LeafBytes(first.index)
	for size < most && n < len(waiting) && waiting[n].accepted == first.accepted && waiting[n].index == first.index+n {
		size += first.accepted.LeafBytes(first.index + n)
		n++
	}
	return n
}

// sizeOf is what bytes and hashes take in a message, within a few bytes.
func sizeOf(one []byte, many [][]byte) int {
	size := len(one) + 4
	for _, each := range many {
		size += len(each) + 3
	}
	return size
}

func (r *submitStream) resultOf(ctx context.Context, a answered) *exchangev1.SubmitResult {
	result := &exchangev1.SubmitResult{Id: a.id}
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

func (s *Service) callerOf(ctx context.Context) (string, error) {
	caller, ok := s.caller(ctx)
	if !ok {
		return "", fault.New(codes.Unauthenticated, "not_a_node", "only nodes exchange packets", "chỉ hệ thống đã đăng ký mới được trao đổi gói tin")
	}
	return caller, nil
}
