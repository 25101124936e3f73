package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
)

// recipient is a receive stream.
type recipient struct {
	t      *testing.T
	stream exchangev1.ExchangeService_ReceiveClient
	leave  context.CancelFunc
}

func receive(t *testing.T, node exchangev1.ExchangeServiceClient) *recipient {
	t.Helper()
	ctx, leave := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(leave)
	stream, err := node.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &recipient{t: t, stream: stream, leave: leave}
}

func (r *recipient) send(credit uint32, acknowledge ...uint64) {
	r.t.Helper()
	if err := r.stream.Send(&exchangev1.ReceiveRequest{Credit: credit, Acknowledge: acknowledge}); err != nil {
		r.t.Fatalf("send: %v", err)
	}
}

// next reads that many deliveries.
func (r *recipient) next(count int) []*exchangev1.Delivery {
	r.t.Helper()
	var got []*exchangev1.Delivery
	for len(got) < count {
		frame, err := r.stream.Recv()
		if err != nil {
			r.t.Fatalf("after %d of %d deliveries: %v", len(got), count, err)
		}
		got = append(got, frame.GetDeliveries()...)
	}
	return got
}

// settle acknowledges and returns the deliveries that came before the hub
// confirmed it. What it sent before the acknowledgement was read is among them.
func (r *recipient) settle(acknowledge ...uint64) []*exchangev1.Delivery {
	r.t.Helper()
	r.send(0, acknowledge...)
	var got []*exchangev1.Delivery
	for {
		frame, err := r.stream.Recv()
		if err != nil {
			r.t.Fatalf("wait for the confirmation: %v", err)
		}
		got = append(got, frame.GetDeliveries()...)
		if frame.GetDeliveries() == nil {
			return got
		}
	}
}

// nobodys is a sequence that is not waiting for anybody.
const nobodys = 1 << 60

func pull(t *testing.T, node exchangev1.ExchangeServiceClient, most uint32) []*exchangev1.Delivery {
	t.Helper()
	resp, err := node.Pull(t.Context(), &exchangev1.PullRequest{Max: most})
	if err != nil {
		t.Fatalf("pull: %v", err)
	}
	return resp.GetDeliveries()
}

func acknowledge(t *testing.T, node exchangev1.ExchangeServiceClient, want *exchangev1.AcknowledgeResponse, sequences ...uint64) {
	t.Helper()
	resp, err := node.Acknowledge(t.Context(), &exchangev1.AcknowledgeRequest{Sequences: sequences})
	if err != nil {
		t.Fatalf("acknowledge: %v", err)
	}
	if diff := cmp.Diff(want, resp, protocmp.Transform()); diff != "" {
		t.Errorf("acknowledging %d (-want +got):\n%s", sequences, diff)
	}
}

func wantSequences(t *testing.T, what string, got []*exchangev1.Delivery, want ...uint64) {
	t.Helper()
	if diff := cmp.Diff(append([]uint64{}, want...), sequences(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func wantAttempts(t *testing.T, deliveries []*exchangev1.Delivery, want uint32) {
	t.Helper()
	for _, d := range deliveries {
		if d.GetAttempt() != want {
			t.Errorf("delivery %d is attempt %d; want %d", d.GetPacket().GetSequence(), d.GetAttempt(), want)
		}
	}
}

func TestDeliveriesAreWhatWasSent(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	env := envelope("1", "0001")
	statement := submit(t, h.node("H41/motcua"), env).GetStatement()
	r := receive(t, h.node("G22/cong"))
	r.send(1)
	want := &exchangev1.Delivery{Attempt: 1, Packet: &exchangev1.AcceptedPacket{
		Sequence: 1, Sender: "H41/motcua", OnBehalfOf: "H41", Subject: "H41.04-240105-0001", AcceptedAt: statement.GetAcceptedAt(),
		Envelope: env, ContentSha256: statement.GetContentSha256(),
	}}
	if diff := cmp.Diff(want, r.next(1)[0], protocmp.Transform()); diff != "" {
		t.Errorf("delivery (-want +got):\n%s", diff)
	}
}

func TestCreditIsRespected(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	sender := h.node("H41/motcua")
	for i := range 10 {
		submit(t, sender, envelope(fmt.Sprint(i), "0001"))
	}
	r := receive(t, h.node("G22/cong"))
	r.send(3)
	wantSequences(t, "with a credit of 3", r.next(3), 1, 2, 3)
	wantSequences(t, "acknowledging gives no credit", r.settle(1, 2), []uint64{}...)
	r.send(1)
	r.send(1)
	wantSequences(t, "with two more", r.next(2), 4, 5)
	r.send(1 << 31)
	r.send(1 << 31)
	wantSequences(t, "with more than there is", r.next(5), 6, 7, 8, 9, 10)
	submit(t, sender, envelope("more", "0001"))
	wantSequences(t, "what comes while it waits", r.next(1), 11)
}

func TestUnacknowledgedIsDeliveredAgainInOrder(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	sender, node := h.node("H41/motcua"), h.node("G22/cong")
	for i := range 6 {
		submit(t, sender, envelope(fmt.Sprint(i), fmt.Sprintf("000%d", i%2)))
	}
	r := receive(t, node)
	r.send(5)
	first := r.next(5)
	wantAttempts(t, first, 1)
	wantSequences(t, "nothing more", r.settle(2, 3))
	r.leave()
	again := receive(t, node)
	again.send(100)
	got := again.next(4)
	wantSequences(t, "after a disconnect", got, 1, 4, 5, 6)
	wantAttempts(t, got[:3], 2)
	wantAttempts(t, got[3:], 1)
	wantSequences(t, "nothing more", again.settle(1, 4, 5, 6))
	if err := again.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := again.stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("a half-closed stream ended with %v; want OK", err)
	}
	wantSequences(t, "all is acknowledged", pull(t, node, 100))
}

func TestUnacknowledgedIsBounded(t *testing.T) {
	t.Parallel()
	h := start(t, options{limits: exchange.Limits{Unacknowledged: 3}})
	sender, node := h.node("H41/motcua"), h.node("G22/cong")
	for i := range 100 {
		submit(t, sender, envelope(fmt.Sprint(i), fmt.Sprintf("%04d", i)))
	}
	r := receive(t, node)
	r.send(1000)
	wantSequences(t, "as much as may be unacknowledged", r.next(3), 1, 2, 3)
	wantSequences(t, "no more", r.settle(nobodys))
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1, 3}}, 1, 3)
	wantSequences(t, "after acknowledging outside of the stream", r.next(2), 4, 5)
	// All pulls together are bounded as well.
	pulled := 0
	for range 100 {
		pulled += len(pull(t, node, 1000))
	}
	if pulled != 8*3-3 {
		t.Errorf("%d deliveries were pulled without acknowledging; want 8 times 3, less the 3 that the stream has", pulled)
	}
	h.clock.advance(time.Hour)
	wantSequences(t, "after the leases", pull(t, node, 1000), 6, 7, 8)
}

func TestUnacknowledgedIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	const size, fit = 3 << 20, 22 // of which the last begins within 64 MiB
	h := start(t, options{})
	sender, node := h.node("H41/motcua"), h.node("G22/cong")
	for i := range fit + 1 {
		env := envelope(fmt.Sprint(i), "0001")
		padded(env, size)
		submit(t, sender, env)
	}
	r := receive(t, node)
	r.send(1000)
	r.next(fit)
	wantSequences(t, "no more", r.settle(nobodys))
	r.send(0, 1)
	wantSequences(t, "once one is acknowledged", r.next(1), fit+1)
}

func TestStreamsOfOneRecipientAreBounded(t *testing.T) {
	t.Parallel()
	const most = 64
	h := start(t, options{})
	node := h.node("G22/cong")
	var streams []*recipient
	for range most {
		r := receive(t, node)
		r.settle(nobodys)
		streams = append(streams, r)
	}
	_, err := receive(t, node).stream.Recv()
	wantRefused(t, err, codes.ResourceExhausted, "too_many_streams")
	if err := streams[0].stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := streams[0].stream.Recv(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	receive(t, node).settle(nobodys)
}

func TestPullLeases(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	sender, node := h.node("H41/motcua"), h.node("G22/cong")
	for i, dossier := range []string{"0001", "0001", "0002", "0001"} {
		submit(t, sender, envelope(fmt.Sprint(i), dossier))
	}
	first := pull(t, node, 2)
	wantSequences(t, "first pull", first, 1, 2)
	wantSequences(t, "while dossier 0001 is out", pull(t, node, 10), 3)
	wantSequences(t, "while both are out", pull(t, node, 10))
	h.clock.advance(time.Minute - time.Second)
	wantSequences(t, "just before the leases end", pull(t, node, 10))
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1}}, 1)
	h.clock.advance(2 * time.Second)
	again := pull(t, node, 1)
	wantSequences(t, "after they ended", again, 2)
	wantAttempts(t, again, 2)
	rest := pull(t, node, 10)
	wantSequences(t, "others meanwhile", rest, 3)
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{2}}, 2)
	wantSequences(t, "in order to the end", pull(t, node, 10), 4)
}

// A stream that waits learns of the end of a lease without anything else
// happening.
func TestEndOfALeaseReachesAWaitingStream(t *testing.T) {
	t.Parallel()
	h := start(t, options{limits: exchange.Limits{Lease: 300 * time.Millisecond}})
	node := h.node("G22/cong")
	submit(t, h.node("H41/motcua"), envelope("1", "0001"))
	wantSequences(t, "pulled", pull(t, node, 1), 1)
	r := receive(t, node)
	r.send(1)
	got := r.next(1)
	wantSequences(t, "by stream, once the lease has ended", got, 1)
	wantAttempts(t, got, 2)
}

// A stream that can take nothing sleeps, also when a lease has ended meanwhile.
func TestStreamWithoutCreditSleeps(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	node := h.node("G22/cong")
	submit(t, h.node("H41/motcua"), envelope("1", "0001"))
	wantSequences(t, "pulled", pull(t, node, 1), 1)
	r := receive(t, node)
	r.settle(nobodys)
	h.clock.advance(time.Hour)
	r.settle(nobodys)
	before := h.clock.timesAsked()
	// The recipient of nothing waits for its second to pass.
	if _, err := h.node("G01/csdl").Pull(t.Context(), &exchangev1.PullRequest{WaitSeconds: 1}); err != nil {
		t.Fatal(err)
	}
	if asked := h.clock.timesAsked() - before; asked > 100 {
		t.Errorf("the hub looked at the clock %d times in a second of nothing to do", asked)
	}
}

func TestPullWaits(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	node, sender := h.node("G22/cong"), h.node("H41/motcua")
	pulled := make(chan []*exchangev1.Delivery, 1)
	go func() {
		resp, err := node.Pull(t.Context(), &exchangev1.PullRequest{WaitSeconds: 60})
		if err != nil {
			t.Errorf("pull: %v", err)
		}
		pulled <- resp.GetDeliveries()
	}()
	submit(t, sender, envelope("1", "0001"))
	wantSequences(t, "long poll", within(t, pulled, "end of the pull"), 1)
	resp, err := node.Pull(t.Context(), &exchangev1.PullRequest{WaitSeconds: 1})
	if err != nil || len(resp.GetDeliveries()) != 0 {
		t.Errorf("a pull with nothing to come: %v, %v; want an empty answer", resp, err)
	}
}

func TestAcknowledge(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.rights.grant("H41", "G01/csdl")
	sender, node := h.node("H41/motcua"), h.node("G22/cong")
	env := envelope("1", "0001")
	env.Recipients = []string{"G01/csdl"}
	submit(t, sender, env)
	submit(t, sender, envelope("2", "0001"))
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{2}, NotWaiting: []uint64{1, nobodys}}, 1, 2, 2, nobodys, 1)
	acknowledge(t, node, &exchangev1.AcknowledgeResponse{NotWaiting: []uint64{2}}, 2)
	wantSequences(t, "of the one that acknowledged", pull(t, node, 10))
	wantSequences(t, "of the other", pull(t, h.node("G01/csdl"), 10), 1, 2)
}

// A restart keeps deliveries and their order, and forgets what was out.
func TestDeliveriesSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, options{dir: dir})
	sender := h.node("H41/motcua")
	for i := range 4 {
		submit(t, sender, envelope(fmt.Sprint(i), "0001"))
	}
	r := receive(t, h.node("G22/cong"))
	r.send(3)
	r.next(3)
	r.settle(2)
	h.stop()
	h = start(t, options{dir: dir})
	got := pull(t, h.node("G22/cong"), 10)
	wantSequences(t, "after a restart", got, 1, 3, 4)
	wantAttempts(t, got, 1)
}

// A recipient that grants credit and then reads nothing costs nobody else
// anything: not the sender, not the other recipients, not its own other streams.
func TestRecipientThatNeverReads(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.rights.grant("H41", "G01/csdl")
	sender := h.node("H41/motcua")
	stuck := receive(t, h.node("G22/cong"))
	stuck.send(1 << 20)
	reading := receive(t, h.node("G01/csdl"))
	reading.send(1 << 20)
	const packets = 100
	for i := range packets {
		env := envelope(fmt.Sprint(i), fmt.Sprintf("%04d", i))
		padded(env, 100<<10)
		submit(t, sender, env)
		wantSequences(t, "of a recipient that reads", reading.next(1), uint64(i+1))
	}
	beside := pull(t, h.node("G22/cong"), 1)
	if len(beside) != 1 {
		t.Errorf("a pull beside the stuck stream got %d deliveries; want 1 that the stream did not take", len(beside))
	}
	h.clock.advance(time.Hour)
	stuck.leave()
	again := receive(t, h.node("G22/cong"))
	again.send(packets)
	// Of as many subjects, in whatever order: the hub may notice late that the stuck
	// stream has gone, and hand out what it did not have first.
	got := sequences(again.next(packets))
	slices.Sort(got)
	for i, sequence := range got {
		if sequence != uint64(i+1) {
			t.Fatalf("after the stuck stream has gone %d came %v; want each of %d once", len(got), got, packets)
		}
	}
}

// A packet that no longer fits into an answer holds up the ones behind it, even
// where they would fit.
func TestSmallPacketsDoNotOvertakeLargeOnes(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	sender, node := h.node("H41/motcua"), h.node("G22/cong")
	send := func(id, dossier string, size int) {
		env := envelope(id, dossier)
		padded(env, size)
		submit(t, sender, env)
	}
	send("1", "0001", 600<<10)
	send("2", "0002", 600<<10)
	send("3", "0002", 10)
	wantSequences(t, "first pull", pull(t, node, 10), 1)
	wantSequences(t, "second pull", pull(t, node, 10), 2, 3)
	h.clock.advance(time.Hour)
	send("4", "0002", 10)
	wantSequences(t, "first pull again", pull(t, node, 10), 1)
	wantSequences(t, "second pull again", pull(t, node, 10), 2, 3, 4)
}
