package exchange

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/store"
)

// GetDeliveryStatus implements ExchangeService. A recipient is told of itself alone; who
// is neither is answered as if the packet did not exist.
func (s *Service) GetDeliveryStatus(ctx context.Context, req *exchangev1.GetDeliveryStatusRequest) (*exchangev1.GetDeliveryStatusResponse, error) {
	caller, err := s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	statement, err := s.statementFor(ctx, req.GetSequence(), true)
	if err != nil {
		return nil, err
	}
	recipients := statement.GetRecipients()
	if statement.GetSender() != caller {
		recipients = []string{caller}
	}
	resp := &exchangev1.GetDeliveryStatusResponse{}
	for _, recipient := range recipients {
		status, err := s.deliveryStatus(ctx, recipient, req.GetSequence())
		if err != nil {
			return nil, fmt.Errorf("delivery status: %w", err)
		}
		resp.Deliveries = append(resp.Deliveries, status)
	}
	return resp, nil
}

// deliveryStatus tells how far a packet has got with a recipient. What it was rejected
// for and how often it went out, the inbox knows of what waits; a dead letter says it,
// discarded or not.
func (s *Service) deliveryStatus(ctx context.Context, recipient string, sequence uint64) (*exchangev1.DeliveryStatus, error) {
	state, letter, err := s.dead.State(ctx, recipient, sequence)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says what it is
	}
	status := &exchangev1.DeliveryStatus{Recipient: recipient, Reason: letter.Reason, Attempts: letter.Attempts}
	states := map[store.State]exchangev1.DeliveryStatus_State{
		store.Waiting:      exchangev1.DeliveryStatus_STATE_WAITING,
		store.Acknowledged: exchangev1.DeliveryStatus_STATE_ACKNOWLEDGED,
		store.Dead:         exchangev1.DeliveryStatus_STATE_DEAD,
		store.Discarded:    exchangev1.DeliveryStatus_STATE_DISCARDED,
	}
	status.State = states[state]
	if in := s.inboxes.known(recipient); in != nil && state == store.Waiting {
		in.progress(sequence, status)
	}
	return status, nil
}

// progress tells of a delivery that waits how often it went out, why it was rejected the
// last time, and when it goes out again.
func (in *inbox) progress(sequence uint64, status *exchangev1.DeliveryStatus) {
	in.mu.Lock()
	defer in.mu.Unlock()
	so := in.tries[sequence]
	status.Attempts, status.Reason = so.attempts, so.reason
	s := in.stalled[sequence]
	if s == nil {
		return
	}
	next := s.until() // of one that waits behind another: after that
	for _, d := range s.waiting {
		if d.Sequence == sequence && d.due.After(next) {
			next = d.due
		}
	}
	status.NextAttemptAt = timestamppb.New(next)
}

// GetInbox implements ExchangeService.
func (s *Service) GetInbox(ctx context.Context, _ *exchangev1.GetInboxRequest) (*exchangev1.GetInboxResponse, error) {
	caller, err := s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	backlog, err := s.store.Backlog(ctx, caller)
	if err != nil {
		return nil, fmt.Errorf("look at the inbox: %w", err)
	}
	resp := &exchangev1.GetInboxResponse{
		Deliveries: uint64(max(backlog.Deliveries, 0)), Bytes: uint64(max(backlog.Bytes, 0)), MostBytes: s.quota.of(caller).InboxBytes,
	}
	oldest, err := s.store.Pending(ctx, caller, 0, 1)
	if err != nil {
		return nil, fmt.Errorf("look at the inbox: %w", err)
	}
	if len(oldest) == 0 {
		return resp, nil
	}
	statement, err := s.statementFor(ctx, oldest[0].Sequence, true)
	if err != nil {
		return nil, err
	}
	resp.Oldest, resp.OldestAcceptedAt = oldest[0].Sequence, statement.GetAcceptedAt()
	return resp, nil
}
