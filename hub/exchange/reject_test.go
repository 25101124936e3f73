package exchange_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
)

// The first rejection costs a second, each further one twice as much as the one before,
// up to the limit. Meanwhile nothing of the same dossier goes out, and others do.
func TestRejectedDeliveryComesAgainLaterAndLater(t *testing.T) {
	t.Parallel()
	h := start(t, options{limits: exchange.Limits{RetryAtMost: 5 * time.Second}})
	submitAll(t, h, "0001", "0001", "0002")
	node := h.node("G22/cong")
	wantSequences(t, "first pull", pull(t, node, 1), 1)
	for i, seconds := range []time.Duration{1, 2, 4, 5, 5} {
		reject(t, node, &exchangev1.RejectResponse{Rejected: []uint64{1}}, rejections(1)...)
		if i == 0 {
			wantSequences(t, "another dossier", pull(t, node, 10), 3)
		}
		h.clock.advance(seconds*time.Second - 500*time.Millisecond)
		wantSequences(t, "half a second too early", pull(t, node, 10))
		h.clock.advance(500 * time.Millisecond)
		got := pull(t, node, 1)
		wantSequences(t, "when it is due", got, 1)
		wantAttempts(t, got, uint32(i+2))
	}
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1}}, 1)
	got := pull(t, node, 10)
	wantSequences(t, "once it is done", got, 2)
	wantAttempts(t, got, 1)
}

// What was out of the same dossier after the rejected one is taken back, whoever
// rejects: it comes anew, after that, on the same stream, and does not count as tried.
func TestRejectionTakesBackWhatIsOutAfterIt(t *testing.T) {
	t.Parallel()
	for name, rejectBy := range map[string]func(*testing.T, exchangev1.ExchangeServiceClient, *recipient){
		"by its stream": func(_ *testing.T, _ exchangev1.ExchangeServiceClient, r *recipient) { r.reject(rejections(2)...) },
		"by another stream": func(t *testing.T, node exchangev1.ExchangeServiceClient, _ *recipient) {
			receive(t, node).reject(rejections(2)...)
		},
		"by a call": func(t *testing.T, node exchangev1.ExchangeServiceClient, _ *recipient) {
			reject(t, node, &exchangev1.RejectResponse{Rejected: []uint64{2}}, rejections(2)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, options{})
			submitAll(t, h, "0001", "0001", "0001", "0002", "0001")
			node := h.node("G22/cong")
			r := receive(t, node)
			r.send(4)
			wantSequences(t, "first", r.next(4), 1, 2, 3, 4)
			rejectBy(t, node, r)
			r.send(100)
			wantSequences(t, "while dossier 0001 waits", r.settle(nobodys))
			acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1, 4}}, 1, 4)
			wantSequences(t, "by somebody else", pull(t, node, 10))
			h.clock.advance(time.Second)
			r.send(0)
			got := r.next(3)
			wantSequences(t, "when it is due", got, 2, 3, 5)
			wantAttempts(t, got[:1], 2)
			wantAttempts(t, got[1:], 1)
		})
	}
}

// Rejecting what somebody else has ended meanwhile is confirmed as well, and takes back
// what comes after: the stream has passed that over.
func TestRejectionOfWhatIsNotOutIsConfirmed(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.rights.grant("H41", "G01/csdl")
	submitAll(t, h, "0001", "0001", "0002")
	node := h.node("G22/cong")
	r := receive(t, node)
	r.send(10)
	wantSequences(t, "first", r.next(3), 1, 2, 3)
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1}}, 1)
	wantSequences(t, "before the confirmation", r.reject(append(rejections(1), final(nobodys))...))
	wantSequences(t, "anew", r.next(1), 2)
	reject(t, node, &exchangev1.RejectResponse{NotWaiting: []uint64{1, nobodys}}, final(nobodys), final(1), final(1))
	wantDead(t, node)
	reject(t, h.node("G01/csdl"), &exchangev1.RejectResponse{NotWaiting: []uint64{2}}, final(2))
}

// A waiting stream learns of the next attempt without anything else happening.
func TestEndOfADelayReachesAWaitingStream(t *testing.T) {
	t.Parallel()
	h := start(t, options{limits: exchange.Limits{RetryAfter: 300 * time.Millisecond}})
	submitAll(t, h, "0001")
	r := receive(t, h.node("G22/cong"))
	r.send(2)
	wantSequences(t, "first", r.next(1), 1)
	r.reject(rejections(1)...)
	got := r.next(1)
	wantSequences(t, "once it is due", got, 1)
	wantAttempts(t, got, 2)
}

// Of one dossier, several may be rejected at once, or while an earlier one waits.
func TestRejectionsOfOneDossierKeepItsOrder(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	submitAll(t, h, "0001", "0001", "0001", "0001")
	node := h.node("G22/cong")
	pull(t, node, 4)
	reject(t, node, &exchangev1.RejectResponse{Rejected: []uint64{3}}, rejections(3)...)
	h.clock.advance(600 * time.Millisecond)
	reject(t, node, &exchangev1.RejectResponse{Rejected: []uint64{2, 1}, NotWaiting: []uint64{3, 4}}, rejections(1, 2, 3, 4)...)
	h.clock.advance(600 * time.Millisecond)
	wantSequences(t, "when only the last of them is due", pull(t, node, 10))
	// What waits counts when it is acknowledged all the same.
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1}}, 1)
	wantSequences(t, "when only the first of them is done", pull(t, node, 10))
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{2}}, 2)
	got := pull(t, node, 10)
	wantSequences(t, "when both are", got, 3, 4)
	wantAttempts(t, got[:1], 2)
	wantAttempts(t, got[1:], 1)
}

// Neither the end of a lease nor a cut is a rejection: the delivery comes again at
// once, and is no nearer to the dead letters.
func TestEndsOfLeasesAndCutsAreNoRejections(t *testing.T) {
	t.Parallel()
	h := start(t, options{limits: exchange.Limits{Attempts: 2}})
	submitAll(t, h, "0001")
	node := h.node("G22/cong")
	for attempt := range 5 {
		got := pull(t, node, 1)
		wantSequences(t, "after the end of the lease", got, 1)
		wantAttempts(t, got, uint32(attempt+1))
		h.clock.advance(time.Minute)
	}
	reject(t, node, &exchangev1.RejectResponse{NotWaiting: []uint64{1}}, rejections(1)...)
	r := receive(t, node)
	r.send(1)
	wantSequences(t, "by stream", r.next(1), 1)
	r.leave()
	again := receive(t, node)
	again.send(1)
	wantSequences(t, "after the cut", again.next(1), 1)
	again.reject(rejections(1)...)
	wantDead(t, node)
	h.clock.advance(2 * time.Second)
	again.send(1)
	wantSequences(t, "after the first rejection", again.next(1), 1)
	again.reject(rejections(1)...)
	wantDead(t, node, &exchangev1.DeadLetter{Sequence: 1, Reason: unreadable, Attempts: 8})
}

func TestRejectionsAreChecked(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	submitAll(t, h, "0001")
	node := h.node("G22/cong")
	for name, bad := range map[string]*exchangev1.Rejection{
		"without a reason": {Sequence: 1}, "without a sequence": {Reason: unreadable},
		"with a reason without end": {Sequence: 1, Reason: strings.Repeat("ờ", 501)},
	} {
		_, err := node.Reject(t.Context(), &exchangev1.RejectRequest{Rejections: []*exchangev1.Rejection{bad}})
		wantRefused(t, err, codes.InvalidArgument, "request_invalid")
		r := receive(t, node)
		r.send(1)
		wantSequences(t, name, r.next(1), 1)
		if err := r.stream.Send(&exchangev1.ReceiveRequest{Reject: []*exchangev1.Rejection{bad}}); err != nil {
			t.Fatal(err)
		}
		_, err = r.stream.Recv()
		told := wantRefused(t, err, codes.InvalidArgument, "request_invalid")
		if !contains(told.EN, "reject[0].") {
			t.Errorf("%s: %s; want the field's name", name, told.EN)
		}
	}
	wantDead(t, node)
	own, err := h.authority.IssueAdmin("lan", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.dial(own).Reject(t.Context(), &exchangev1.RejectRequest{Rejections: rejections(1)})
	wantRefused(t, err, codes.Unauthenticated, "not_a_node")
}

// A recipient that rejects all that comes makes the hub hold a bounded part of its
// backlog, and holds up nobody else.
func TestRecipientThatRejectsEverything(t *testing.T) {
	t.Parallel()
	const packets, atOnce, most = 10_500, 250, 10_000
	h := start(t, options{limits: exchange.Limits{RetryAfter: time.Hour, RetryAtMost: time.Hour}})
	h.rights.grant("H41", "G01/csdl")
	submitMany(t, h, packets, atOnce)
	bad, good := receive(t, h.node("G22/cong")), receive(t, h.node("G01/csdl"))
	for range most / atOnce {
		bad.send(atOnce)
		bad.reject(rejections(sequences(bad.next(atOnce))...)...)
	}
	bad.send(atOnce)
	wantSequences(t, "with as much rejected as may be", bad.settle(nobodys))
	for range packets / atOnce {
		good.send(atOnce)
		good.settle(sequences(good.next(atOnce))...)
	}
	h.clock.advance(time.Hour)
	bad.send(0)
	wantAttempts(t, bad.next(atOnce), 2)
}

// submitMany submits packets about as many dossiers.
func submitMany(t *testing.T, h *hub, packets, atOnce int) {
	t.Helper()
	stream := submitStream(t, h.node("H41/motcua"))
	for first := 0; first < packets; first += atOnce {
		frame := &exchangev1.SubmitStreamRequest{}
		for i := first; i < first+atOnce; i++ {
			frame.Envelopes = append(frame.Envelopes, envelope(fmt.Sprint(i), fmt.Sprintf("%05d", i)))
		}
		if err := stream.Send(frame); err != nil {
			t.Fatal(err)
		}
		for id, of := range results(t, stream, atOnce) {
			if of[0].GetReceipt() == nil {
				t.Fatalf("%s: %v", id, of[0].GetRefusal())
			}
		}
	}
}
