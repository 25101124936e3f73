package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// A half-close ends the stream with OK, after the results of all that was sent.
func TestHalfCloseWaitsForResults(t *testing.T) {
	t.Parallel()
	g := newGate()
	h := start(t, options{brake: g.brake})
	stream := submitStream(t, h.node("H41/motcua"))
	var frame []*exchangev1.Envelope
	for i := range 50 {
		frame = append(frame, envelope(fmt.Sprint(i), "0001"))
	}
	if err := stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: frame}); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	within(t, g.arrived, "first commit")
	close(g.free)
	if got := results(t, stream, len(frame)); len(got) != len(frame) {
		t.Errorf("results for %d of %d envelopes", len(got), len(frame))
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v; want OK", err)
	}
}

// What was sent is accepted or not, whether or not its sender waits; it learns
// which by sending again.
func TestSenderThatLeavesBeforeTheCommit(t *testing.T) {
	t.Parallel()
	g := newGate()
	h := start(t, options{brake: g.brake})
	sender := h.node("H41/motcua")
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := sender.SubmitStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: []*exchangev1.Envelope{envelope("1", "0001")}}); err != nil {
		t.Fatal(err)
	}
	within(t, g.arrived, "the commit")
	cancel()
	if _, err := stream.Recv(); err == nil {
		t.Fatal("a result before the commit")
	}
	close(g.free)
	if sequence := submit(t, sender, envelope("1", "0001")).GetStatement().GetSequence(); sequence != 1 {
		t.Errorf("sent again, it has sequence %d; want 1, the one it got first", sequence)
	}
}

// A sender that does not read its results is not read from, either, and nobody
// else waits for it.
func TestSenderThatNeverReads(t *testing.T) {
	t.Parallel()
	const frames, perFrame = 64, 64
	h := start(t, options{limits: exchange.Limits{StreamEnvelopes: 16}})
	stream := submitStream(t, h.node("H41/motcua"))
	sent := make(chan error, 1)
	go func() {
		for f := range frames {
			req := &exchangev1.SubmitStreamRequest{}
			for i := range perFrame {
				req.Envelopes = append(req.Envelopes, envelope(fmt.Sprintf("%d-%d", f, i), "0001"))
			}
			if err := stream.Send(req); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend()
	}()
	other := h.node("H41/khac")
	for i := range 20 {
		submit(t, other, envelope(fmt.Sprint(i), "0002"))
	}
	select {
	case err := <-sent:
		t.Errorf("all %d envelopes were taken from a sender that reads nothing: %v", frames*perFrame, err)
	default:
	}
	if got := results(t, stream, frames*perFrame); len(got) != frames*perFrame {
		t.Errorf("results for %d of %d envelopes, once it reads", len(got), frames*perFrame)
	}
	if err := within(t, sent, "end of sending"); err != nil {
		t.Error(err)
	}
}

// A sender beyond its quota is told so and when to try again, in a stream made to
// wait; others are not.
func TestQuotaOfOneSender(t *testing.T) {
	t.Parallel()
	g := newGate()
	size := len(progress("0001", ""))
	h := start(t, options{brake: g.brake, limits: exchange.Limits{ContentBytes: 2 * size, SenderBytes: int64(4 * size)}})
	greedy := h.node("H41/motcua")
	var wg sync.WaitGroup
	defer wg.Wait()
	inBackground := func(node exchangev1.ExchangeServiceClient, id string) {
		wg.Go(func() {
			if _, err := node.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: envelope(id, "0001")}); err != nil && fault.From(err).Reason != "quota_exceeded" {
				t.Errorf("submit %s: %v", id, err)
			}
		})
	}
	inBackground(greedy, "first")
	within(t, g.arrived, "first commit")
	for i := range 8 {
		inBackground(greedy, fmt.Sprint(i))
	}
	told := untilRefused(t, greedy)
	if told.Reason != "quota_exceeded" || told.Code != codes.ResourceExhausted || told.RetryAfter <= 0 {
		t.Errorf("refused with %v, try again after %v; want RESOURCE_EXHAUSTED and a delay", told, told.RetryAfter)
	}
	inBackground(h.node("H41/khac"), "other")
	stream := submitStream(t, greedy)
	req := &exchangev1.SubmitStreamRequest{}
	for i := range 20 {
		req.Envelopes = append(req.Envelopes, envelope(fmt.Sprint("streamed", i), "0001"))
	}
	if err := stream.Send(req); err != nil {
		t.Fatal(err)
	}
	close(g.free)
	for id, result := range results(t, stream, len(req.GetEnvelopes())) {
		if result[0].GetReceipt() == nil {
			t.Errorf("%s became %v; want a stream to wait where a call is refused", id, result[0].GetRefusal())
		}
	}
	wg.Wait()
	if sequence, _, err := h.store.Find(t.Context(), "H41/khac", "other"); err != nil || sequence == 0 {
		t.Errorf("the packet of a sender within its quota: %d, %v", sequence, err)
	}
	submit(t, greedy, envelope("later", "0001"))
}

// untilRefused submits until what waits is too much. Up to then, each call waits
// for its commit and is given up.
func untilRefused(t *testing.T, node exchangev1.ExchangeServiceClient) *fault.Error {
	t.Helper()
	for i := range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := node.Submit(ctx, &exchangev1.SubmitRequest{Envelope: envelope(fmt.Sprint("more", i), "0001")})
		cancel()
		if told := fault.From(err); told.Code != codes.DeadlineExceeded {
			return told
		}
	}
	t.Fatal("everything was taken from a sender beyond its quota")
	return nil
}

func TestFailedCommitIsAnsweredWithoutDetail(t *testing.T) {
	t.Parallel()
	g := newGate()
	h := start(t, options{brake: g.brake})
	sender := h.node("H41/motcua")
	answered := make(chan error, 1)
	try := func() {
		_, err := sender.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: envelope("1", "0001")})
		answered <- err
	}
	go try()
	within(t, g.arrived, "the commit")
	g.open <- errors.New("/dev/sda1 is on fire")
	told := wantRefused(t, within(t, answered, "the answer"), codes.Unavailable, "store_unavailable")
	if told.RetryAfter <= 0 || strings.Contains(told.EN, "sda1") {
		t.Errorf("told %q, try again after %v; want no detail, and a delay", told.EN, told.RetryAfter)
	}
	close(g.free)
	go try()
	if err := within(t, answered, "the answer"); err != nil {
		t.Errorf("sent again: %v", err)
	}
}

// Everything that was submitted is answered when the committer ends, and what
// was answered with a receipt is stored.
func TestShutdownAnswersEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	signer, err := ledger.Open(dir, "hub.test")
	if err != nil {
		t.Fatal(err)
	}
	codec := newCodec(t)
	for round := range 15 {
		service := newService(t, exchange.Config{
			Store: s, DeadLetters: s, Ledger: signer, Codec: codec, Clock: time.Now, Limits: exchange.Limits{GroupEnvelopes: 4},
			Rights: &rights{receivers: map[string][]string{"H41": {"G22/cong"}}},
			Caller: func(context.Context) (string, bool) { return "H41/motcua", true },
		})
		submitUntilItEnds(t, service, s, round)
	}
}

// submitUntilItEnds lets the committer end in the middle of submissions.
func submitUntilItEnds(t *testing.T, service *exchange.Service, s *pebblestore.Store, round int) {
	t.Helper()
	const senders = 16
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ran, answered := make(chan error, 1), make(chan struct{}, senders)
	go func() { ran <- service.Run(ctx) }()
	for i := range senders {
		go func() {
			defer func() { answered <- struct{}{} }()
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d-%d", round, i, n)
				_, err := service.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: envelope(id, "0001")})
				if err != nil {
					if fault.From(err).Reason != "shutting_down" {
						t.Errorf("%s: %v", id, err)
					}
					return
				}
				if n == 1 && i == 0 {
					cancel()
				}
				if _, _, err := s.Find(t.Context(), "H41/motcua", id); err != nil {
					t.Errorf("%s has a receipt and is not stored: %v", id, err)
				}
			}
		}()
	}
	for range senders {
		within(t, answered, "a submission's answer")
	}
	if err := within(t, ran, "end of the committer"); err != nil {
		t.Error(err)
	}
}

// gate is a store whose commits wait until a test lets them go, and fail when it
// says so.
type gate struct {
	exchange.Store
	arrived chan int      // sizes of groups that wait
	open    chan error    // what a commit goes on with
	free    chan struct{} // closed: commits wait no more
}

func newGate() *gate {
	return &gate{arrived: make(chan int), open: make(chan error), free: make(chan struct{})}
}

func (g *gate) brake(s exchange.Store) exchange.Store {
	g.Store = s
	return g
}

// Accept implements exchange.Store.
func (g *gate) Accept(ctx context.Context, group []store.Submission, seal store.SealFunc) ([]store.Outcome, error) {
	select {
	case g.arrived <- len(group):
		select {
		case err := <-g.open:
			if err != nil {
				return nil, err
			}
		case <-g.free:
		}
	case <-g.free:
	}
	return g.Store.Accept(ctx, group, seal)
}
