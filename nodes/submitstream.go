package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// A frame of envelopes is what was queued when the stream was free, up to this. An
// envelope that is larger travels in a frame of its own.
const (
	envelopesPerFrame = 1024
	bytesPerFrame     = 512 << 10
)

// errResumed ends a session that did what it was for, and is to be followed by
// another at once: nothing is wrong that anybody has to hear of.
var errResumed = errors.New("another stream is needed")

// errFinished ends a Submitter that has nothing left to do and no stream.
var errFinished = errors.New("finished")

// session is one stream: one goroutine sends, this one reads.
func (s *Submitter) session(ctx context.Context) (lived bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.client.exchange.SubmitStream(ctx, grpc.WaitForReady(true))
	if err != nil {
		return false, fmt.Errorf("open stream: %w", err)
	}
	s.begin()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		s.send(ctx, stream)
	}()
	lived, err = s.read(stream)
	cancel()
	<-sent
	if s.over() {
		return lived, nil
	}
	return lived, err
}

// begin makes everything without a result go out again, on the new stream.
func (s *Submitter) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = true
	s.window.rewind()
	s.wake()
}

// over notes that the stream has ended and reports whether nothing is left to do.
func (s *Submitter) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = false
	return s.closing && s.window.first == nil
}

// checkFinished ends what closing has left idle: the sender half-closes its
// stream; without a stream there is nothing to wait for.
func (s *Submitter) checkFinished() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing || s.window.first != nil {
		return
	}
	if s.live {
		s.wake()
	} else {
		s.end(errFinished)
	}
}

// send gives the stream what is queued, in order, until the stream ends or
// nothing more will come. Why a stream failed is for read to say.
func (s *Submitter) send(ctx context.Context, stream grpc.BidiStreamingClient[exchangev1.SubmitStreamRequest, exchangev1.SubmitStreamResponse]) {
	for {
		frame, more := s.frame()
		switch {
		case len(frame) > 0:
			if stream.Send(frameOf(frame...)) != nil {
				return
			}
			continue
		case !more:
			_ = stream.CloseSend() // a broken stream is read's to notice
			return
		}
		select {
		case <-s.queued:
		case <-ctx.Done():
			return
		}
	}
}

func frameOf(envelopes ...*exchangev1.Envelope) *exchangev1.SubmitStreamRequest {
	return &exchangev1.SubmitStreamRequest{Envelopes: envelopes, Runs: true}
}

// frame returns the next envelopes, and whether there may be more later.
func (s *Submitter) frame() (envelopes []*exchangev1.Envelope, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.window.take(envelopesPerFrame, bytesPerFrame), !s.closing || s.window.first != nil
}

// read settles results until the stream ends. Lived means that one was settled.
func (s *Submitter) read(stream grpc.BidiStreamingClient[exchangev1.SubmitStreamRequest, exchangev1.SubmitStreamResponse]) (lived bool, err error) {
	for {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return lived, streamEnded()
		}
		if err != nil && s.refuseTooLarge(err) {
			return true, errResumed
		}
		if err != nil {
			return lived, fmt.Errorf("read results: %w", err)
		}
		for _, run := range frame.GetRuns() {
			if err := s.takeRun(run); err != nil {
				return lived, err
			}
			lived = true
		}
		for _, result := range frame.GetResults() {
			settled, err := s.take(result)
			lived = lived || settled
			if err != nil {
				return lived, err
			}
		}
	}
}

// takeRun settles the envelopes of a run of receipts. One that proves nothing does not
// even tell which they are: the Submitter ends, and leaves them unresolved.
func (s *Submitter) takeRun(run *exchangev1.ReceiptRun) error {
	receipts, statements, err := s.client.receipts.ProveRun(run)
	if err != nil {
		return final{fmt.Errorf("%w: %w", ErrReceipt, err)}
	}
	for i, statement := range statements {
		s.mu.Lock()
		o := s.window.byID[statement.GetEnvelopeId()]
		s.mu.Unlock()
		if o == nil {
			continue // settled before
		}
		accepted, err := s.client.matching(receipts[i], statement, o.envelope)
		s.settle(o, Result{Accepted: accepted, Err: err})
	}
	s.checkFinished()
	return nil
}

// take settles one result. A result nobody waits for was settled before. The
// error says that the hub wants the envelope again, later.
func (s *Submitter) take(result *exchangev1.SubmitResult) (settled bool, err error) {
	s.mu.Lock()
	o := s.window.byID[result.GetId()]
	s.mu.Unlock()
	if o == nil {
		return false, nil
	}
	switch outcome := result.GetOutcome().(type) {
	case *exchangev1.SubmitResult_Receipt:
		accepted, err := s.client.prove(outcome.Receipt, o.envelope)
		s.settle(o, Result{Accepted: accepted, Err: err})
	case *exchangev1.SubmitResult_Refusal:
		refused := &Refused{Refusal: outcome.Refusal}
		if passing(refused) {
			return false, fmt.Errorf("envelope put off: %w", refused)
		}
		s.settle(o, Result{Err: refused})
	default:
		return false, status.Error(codes.Internal, "result without an outcome")
	}
	s.checkFinished()
	return true, nil
}

// refuseTooLarge settles the envelope that a hub with a smaller message limit ends the
// stream for: what is larger than bytesPerFrame has travelled in a frame of its own, of
// the size that gRPC names. Of any other size it was a frame of results, which this
// node does not take, and no envelope is to blame.
func (s *Submitter) refuseTooLarge(err error) bool {
	refused := s.client.refused(err)
	if refused.Reason() != reasonMessageTooLarge {
		return false
	}
	size, _, told := sizesTooLarge(status.Convert(err).Message())
	if !told {
		return false
	}
	s.mu.Lock()
	o := s.window.sentAlone(size)
	s.mu.Unlock()
	if o == nil {
		return false
	}
	s.settle(o, Result{Err: tooLarge(o.envelope, refused)})
	return true
}

// tooLarge is the refusal of an envelope that ended its stream: its size, and the
// bound where it is known.
func tooLarge(env *exchangev1.Envelope, ended *Refused) *Refused {
	size := len(env.GetContent())
	r := refusal(codes.ResourceExhausted, ended.Reason(),
		fmt.Sprintf("the packet has %d bytes; %s", size, ended.Refusal.GetMessageEn()),
		fmt.Sprintf("gói tin có %d byte; %s", size, ended.Refusal.GetMessageVi()))
	r.cause = ended.cause
	return r
}
