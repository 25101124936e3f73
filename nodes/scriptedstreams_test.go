package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	lookupv1 "github.com/lienthong/lienthong/gen/lienthong/lookup/v1"
	hubfault "github.com/lienthong/lienthong/hub/fault"
)

func (h *scripted) SubmitStream(stream exchangev1.ExchangeService_SubmitStreamServer) error {
	if err := h.admit(stream.Context()); err != nil {
		return err
	}
	for {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		for _, env := range frame.GetEnvelopes() {
			result := &exchangev1.SubmitResult{Id: env.GetId()}
			receipt, err := h.accept(env)
			switch {
			case errors.Is(err, errCut):
				return err
			case err != nil:
				result.Outcome = &exchangev1.SubmitResult_Refusal{Refusal: hubfault.From(err).Refusal()}
			default:
				result.Outcome = &exchangev1.SubmitResult_Receipt{Receipt: receipt}
			}
			if err := stream.Send(&exchangev1.SubmitStreamResponse{Results: []*exchangev1.SubmitResult{result}}); err != nil {
				return fmt.Errorf("send: %w", err)
			}
		}
	}
}

// Receive delivers the whole inbox again on every stream.
func (h *scripted) Receive(stream exchangev1.ExchangeService_ReceiveServer) error {
	if err := h.admit(stream.Context()); err != nil {
		return err
	}
	requests, ended := make(chan *exchangev1.ReceiveRequest), make(chan error, 1)
	go readRequests(stream, requests, ended)
	var credit int
	var sent uint64
	for {
		h.mu.Lock()
		changed := h.changed
		var out []*exchangev1.Delivery
		for _, d := range h.inbox {
			if sequence := d.GetPacket().GetSequence(); sequence > sent && credit > 0 {
				out, sent, credit = append(out, d), sequence, credit-1
			}
		}
		h.sentUpTo = max(h.sentUpTo, sent)
		h.mu.Unlock()
		if len(out) > 0 {
			if err := stream.Send(&exchangev1.ReceiveResponse{Deliveries: out}); err != nil {
				return fmt.Errorf("send: %w", err)
			}
		}
		select {
		case req := <-requests:
			credit += int(req.GetCredit())
			if err := h.acknowledge(stream, req.GetAcknowledge()); err != nil {
				return err
			}
		case err := <-ended:
			return err
		case <-changed:
		case <-stream.Context().Done():
			return fmt.Errorf("receive: %w", stream.Context().Err())
		}
	}
}

func readRequests(stream exchangev1.ExchangeService_ReceiveServer, requests chan<- *exchangev1.ReceiveRequest, ended chan<- error) {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			ended <- nil
			return
		}
		if err != nil {
			ended <- fmt.Errorf("read: %w", err)
			return
		}
		select {
		case requests <- req:
		case <-stream.Context().Done():
			ended <- stream.Context().Err()
			return
		}
	}
}

func (h *scripted) GetReceipt(ctx context.Context, req *exchangev1.GetReceiptRequest) (*exchangev1.GetReceiptResponse, error) {
	if err := h.admit(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return &exchangev1.GetReceiptResponse{Receipt: h.receipts[h.accepted[req.GetSequence()-1].GetId()]}, nil
}

func (h *scripted) Join(_ context.Context, req *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
	return h.join(req)
}

func (h *scripted) Ask(ctx context.Context, req *lookupv1.AskRequest) (*lookupv1.AskResponse, error) {
	if err := h.admit(ctx); err != nil {
		return nil, err
	}
	return h.ask(ctx, req)
}

func (h *scripted) Serve(stream lookupv1.LookupService_ServeServer) error {
	if err := h.admit(stream.Context()); err != nil {
		return err
	}
	return h.serve(stream)
}
