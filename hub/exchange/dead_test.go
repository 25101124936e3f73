package exchange_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
)

const unreadable = "không đọc được tệp đính kèm"

// rejections rejects deliveries that may be tried again.
func rejections(sequences ...uint64) []*exchangev1.Rejection {
	var all []*exchangev1.Rejection
	for _, sequence := range sequences {
		all = append(all, &exchangev1.Rejection{Sequence: sequence, Reason: unreadable})
	}
	return all
}

func final(sequence uint64) *exchangev1.Rejection {
	return &exchangev1.Rejection{Sequence: sequence, Reason: unreadable, Final: true}
}

func reject(t *testing.T, node exchangev1.ExchangeServiceClient, want *exchangev1.RejectResponse, rejections ...*exchangev1.Rejection) {
	t.Helper()
	resp, err := node.Reject(t.Context(), &exchangev1.RejectRequest{Rejections: rejections})
	if err != nil {
		t.Fatalf("reject: %v", err)
	}
	if diff := cmp.Diff(want, resp, protocmp.Transform()); diff != "" {
		t.Errorf("rejecting (-want +got):\n%s", diff)
	}
}

// reject rejects by the stream, and returns what came before the confirmation.
func (r *recipient) reject(rejections ...*exchangev1.Rejection) []*exchangev1.Delivery {
	r.t.Helper()
	if err := r.stream.Send(&exchangev1.ReceiveRequest{Reject: rejections}); err != nil {
		r.t.Fatalf("reject: %v", err)
	}
	var got []*exchangev1.Delivery
	for {
		frame, err := r.stream.Recv()
		if err != nil {
			r.t.Fatalf("wait for the confirmation: %v", err)
		}
		got = append(got, frame.GetDeliveries()...)
		if confirmed := frame.GetRejected(); confirmed != nil {
			if len(confirmed) != len(rejections) {
				r.t.Errorf("%d rejections were confirmed with %d", len(rejections), confirmed)
			}
			return got
		}
	}
}

func settle(t *testing.T, node exchangev1.ExchangeServiceClient, req *exchangev1.SettleDeadLettersRequest, want *exchangev1.SettleDeadLettersResponse) {
	t.Helper()
	resp, err := node.SettleDeadLetters(t.Context(), req)
	if err != nil {
		t.Fatalf("settle dead letters: %v", err)
	}
	if diff := cmp.Diff(want, resp, protocmp.Transform()); diff != "" {
		t.Errorf("settling %v (-want +got):\n%s", req, diff)
	}
}

func wantDead(t *testing.T, node exchangev1.ExchangeServiceClient, want ...*exchangev1.DeadLetter) {
	t.Helper()
	resp, err := node.ListDeadLetters(t.Context(), &exchangev1.ListDeadLettersRequest{})
	if err != nil {
		t.Fatalf("dead letters: %v", err)
	}
	for _, letter := range resp.GetDeadLetters() {
		if !letter.GetGivenUpAt().IsValid() || letter.GetGivenUpAt().AsTime().Year() < 2020 {
			t.Errorf("%d was given up at %v", letter.GetSequence(), letter.GetGivenUpAt())
		}
	}
	if diff := cmp.Diff(want, resp.GetDeadLetters(), protocmp.Transform(), protocmp.IgnoreFields(&exchangev1.DeadLetter{}, "given_up_at")); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

// submitAll submits a packet about each of the dossiers, from sequence 1 on.
func submitAll(t *testing.T, h *hub, dossiers ...string) {
	t.Helper()
	sender := h.node("H41/motcua")
	for i, dossier := range dossiers {
		submit(t, sender, envelope(fmt.Sprint(i+1), dossier))
	}
}

// After as many attempts as are allowed, or at once where that is final, a delivery is
// a dead letter, its dossier goes on, and both the recipient and the sender see it.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	h := start(t, options{limits: exchange.Limits{Attempts: 3}})
	h.clock.stop()
	h.rights.grant("H41", "G01/csdl")
	submitAll(t, h, "0001", "0001", "0001", "0002")
	node, sender := h.node("G22/cong"), h.node("H41/motcua")
	for range 2 {
		wantSequences(t, "to be tried again", pull(t, node, 1), 1)
		reject(t, node, &exchangev1.RejectResponse{Rejected: []uint64{1}}, rejections(1)...)
		h.clock.advance(time.Minute)
	}
	wantSequences(t, "the last time", pull(t, node, 10), 1, 2, 3, 4)
	reject(t, node, &exchangev1.RejectResponse{Rejected: []uint64{4}, Dead: []uint64{1}, NotWaiting: []uint64{nobodys}}, rejections(1, 4, nobodys)...)
	got := pull(t, node, 10)
	wantSequences(t, "at once, what was taken back", got, 2, 3)
	wantAttempts(t, got, 1)
	reject(t, node, &exchangev1.RejectResponse{Dead: []uint64{2}}, final(2))
	wantSequences(t, "after a final one", pull(t, node, 10), 3)
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{3}, NotWaiting: []uint64{1, 2}}, 1, 2, 3)
	one, two := &exchangev1.DeadLetter{Sequence: 1, Reason: unreadable, Attempts: 3}, &exchangev1.DeadLetter{Sequence: 2, Reason: unreadable, Attempts: 1}
	wantDead(t, node, one, two)
	wantDead(t, h.node("G01/csdl"))
	page, err := node.ListDeadLetters(t.Context(), &exchangev1.ListDeadLettersRequest{After: 1, Limit: 1})
	if err != nil || len(page.GetDeadLetters()) != 1 || page.GetDeadLetters()[0].GetSequence() != 2 {
		t.Errorf("one after the first: %v, %v", page, err)
	}
	waiting := &exchangev1.DeliveryStatus{Recipient: "G01/csdl", State: exchangev1.DeliveryStatus_STATE_WAITING}
	wantStatus(t, sender, 1, waiting, &exchangev1.DeliveryStatus{Recipient: "G22/cong", State: exchangev1.DeliveryStatus_STATE_DEAD, Reason: unreadable, Attempts: 3})
	wantStatus(t, sender, 3, waiting, &exchangev1.DeliveryStatus{Recipient: "G22/cong", State: exchangev1.DeliveryStatus_STATE_ACKNOWLEDGED})
	wantStatus(t, sender, 4, waiting, &exchangev1.DeliveryStatus{
		Recipient: "G22/cong", State: exchangev1.DeliveryStatus_STATE_WAITING,
		Attempts: 1, Reason: unreadable, NextAttemptAt: timestamppb.New(h.clock.now().Add(time.Second)),
	})
}

func wantStatus(t *testing.T, sender exchangev1.ExchangeServiceClient, sequence uint64, want ...*exchangev1.DeliveryStatus) {
	t.Helper()
	resp, err := sender.GetDeliveryStatus(t.Context(), &exchangev1.GetDeliveryStatusRequest{Sequence: sequence})
	if err != nil {
		t.Fatalf("status of %d: %v", sequence, err)
	}
	if diff := cmp.Diff(want, resp.GetDeliveries(), protocmp.Transform()); diff != "" {
		t.Errorf("status of %d (-want +got):\n%s", sequence, diff)
	}
}

// A sender sees a rejection before it is a dead letter: how often, why, and when it goes
// out again; and of what waits behind it, when that may go out. A recipient sees its own.
func TestDeliveryStatusOfWhatIsRejected(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.clock.stop()
	h.rights.grant("H41", "G01/csdl")
	submitAll(t, h, "0001", "0001")
	node, sender := h.node("G22/cong"), h.node("H41/motcua")
	other := &exchangev1.DeliveryStatus{Recipient: "G01/csdl", State: exchangev1.DeliveryStatus_STATE_WAITING}
	own := &exchangev1.DeliveryStatus{Recipient: "G22/cong", State: exchangev1.DeliveryStatus_STATE_WAITING}
	wantStatus(t, sender, 1, other, own)
	wantSequences(t, "first", pull(t, node, 10), 1, 2)
	own.Attempts = 1
	wantStatus(t, sender, 1, other, own)
	for attempt, wait := range []time.Duration{time.Second, 2 * time.Second} {
		reject(t, node, &exchangev1.RejectResponse{Rejected: []uint64{1}}, rejections(1)...)
		next := timestamppb.New(h.clock.now().Add(wait))
		own.Attempts, own.Reason, own.NextAttemptAt = uint32(attempt)+1, unreadable, next
		wantStatus(t, sender, 1, other, own)
		wantStatus(t, node, 1, own)
		behind := &exchangev1.DeliveryStatus{Recipient: "G22/cong", State: exchangev1.DeliveryStatus_STATE_WAITING, NextAttemptAt: next}
		wantStatus(t, node, 2, behind)
		h.clock.advance(wait)
		wantSequences(t, "again", pull(t, node, 1), 1)
	}
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1}}, 1)
	wantStatus(t, node, 1, &exchangev1.DeliveryStatus{Recipient: "G22/cong", State: exchangev1.DeliveryStatus_STATE_ACKNOWLEDGED})
}

// What waits is told to the node that it waits for.
func TestInbox(t *testing.T) {
	t.Parallel()
	h := start(t, options{quota: func(string) exchange.Quota { return exchange.Quota{InboxBytes: 1 << 20} }})
	h.clock.stop()
	node := h.node("G22/cong")
	inbox := func() *exchangev1.GetInboxResponse {
		t.Helper()
		resp, err := node.GetInbox(t.Context(), &exchangev1.GetInboxRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if got := inbox(); !proto.Equal(got, &exchangev1.GetInboxResponse{MostBytes: 1 << 20}) {
		t.Errorf("an empty inbox: %v", got)
	}
	submitAll(t, h, "0001", "0001", "0002")
	accepted := timestamppb.New(h.clock.now())
	all := inbox()
	if all.GetDeliveries() != 3 || all.GetBytes() == 0 || all.GetOldest() != 1 || !proto.Equal(all.GetOldestAcceptedAt(), accepted) {
		t.Errorf("three packets: %v; want the first as the oldest, accepted at %v", all, accepted)
	}
	wantSequences(t, "first", pull(t, node, 1), 1)
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1}}, 1)
	if got := inbox(); got.GetDeliveries() != 2 || got.GetBytes() >= all.GetBytes() || got.GetOldest() != 2 {
		t.Errorf("after an acknowledgement: %v; want two, and the second as the oldest", got)
	}
}

func TestDeliveryStatusIsForTheSenderAndRecipients(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	submitAll(t, h, "0001")
	for node, sequence := range map[string]uint64{"G01/csdl": 1, "H41/khac": 1, "H41/motcua": 2} {
		_, err := h.node(node).GetDeliveryStatus(t.Context(), &exchangev1.GetDeliveryStatusRequest{Sequence: sequence})
		wantRefused(t, err, codes.NotFound, "packet_not_found")
	}
}

// Dead letters outlive a restart, of which deliveries' attempts are forgotten. One that
// is to be delivered anew comes once, in its place, whether or not the inbox has been
// read that far since.
func TestDeadLettersAreSettled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, options{dir: dir})
	submitAll(t, h, "0001", "0001", "0002", "0003", "0004")
	node := h.node("G22/cong")
	pull(t, node, 10)
	reject(t, node, &exchangev1.RejectResponse{Dead: []uint64{1, 3, 4}}, final(1), final(3), final(4))
	settle(t, node, &exchangev1.SettleDeadLettersRequest{Redeliver: []uint64{3, 2, nobodys}, Discard: []uint64{4, 5}},
		&exchangev1.SettleDeadLettersResponse{Redelivered: []uint64{3}, Discarded: []uint64{4}, NotDead: []uint64{2, 5, nobodys}})
	got := pull(t, node, 10)
	wantSequences(t, "what was read before", got, 2, 3)
	wantAttempts(t, got, 1)
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{3}}, 3)
	h.stop()

	h = start(t, options{dir: dir})
	node = h.node("G22/cong")
	wantDead(t, node, &exchangev1.DeadLetter{Sequence: 1, Reason: unreadable, Attempts: 1})
	settle(t, node, &exchangev1.SettleDeadLettersRequest{Redeliver: []uint64{1}}, &exchangev1.SettleDeadLettersResponse{Redelivered: []uint64{1}})
	got = pull(t, node, 10)
	wantSequences(t, "what was not read before", got, 1, 2, 5)
	wantAttempts(t, got, 1)
	wantSequences(t, "nothing twice", pull(t, node, 10))
	wantDead(t, node)
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1, 2, 5}}, 1, 2, 5)
	h.clock.advance(time.Hour)
	wantSequences(t, "all is done", pull(t, node, 10))
}

// One that comes back from the dead into a dossier that waits is behind what it waits
// for, or before it, as it was accepted.
func TestRevivedIntoADossierThatWaits(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	submitAll(t, h, "0001", "0001", "0001", "0001")
	node := h.node("G22/cong")
	pull(t, node, 10)
	reject(t, node, &exchangev1.RejectResponse{Dead: []uint64{1, 3}}, final(1), final(3))
	wantSequences(t, "what was taken back", pull(t, node, 10), 2, 4)
	reject(t, node, &exchangev1.RejectResponse{Rejected: []uint64{2}}, rejections(2)...)
	settle(t, node, &exchangev1.SettleDeadLettersRequest{Redeliver: []uint64{1, 3}}, &exchangev1.SettleDeadLettersResponse{Redelivered: []uint64{1, 3}})
	wantSequences(t, "before the one that waits", pull(t, node, 10), 1)
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1}}, 1)
	h.clock.advance(time.Second)
	wantSequences(t, "in order", pull(t, node, 10), 2, 3, 4)
}

// What is to be delivered anew and done away with at once is refused, and stays as it is.
func TestADeadLetterIsSettledInOneWay(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	submitAll(t, h, "0001")
	node := h.node("G22/cong")
	wantSequences(t, "delivered", pull(t, node, 1), 1)
	reject(t, node, &exchangev1.RejectResponse{Dead: []uint64{1}}, final(1))
	_, err := node.SettleDeadLetters(t.Context(), &exchangev1.SettleDeadLettersRequest{Redeliver: []uint64{1}, Discard: []uint64{7, 1}})
	if told := wantRefused(t, err, codes.InvalidArgument, "request_invalid"); !strings.Contains(told.EN, "discard[1]: 1 is in redeliver") {
		t.Errorf("refused with %q", told.EN)
	}
	wantDead(t, node, &exchangev1.DeadLetter{Sequence: 1, Reason: unreadable, Attempts: 1})
}
