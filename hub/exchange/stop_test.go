package exchange_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store"
)

// stopping begins to stop the hub's server, and returns once its streams were told;
// ended is closed when it has stopped.
func (h *hub) stopping() (ended chan struct{}) {
	h.t.Helper()
	idle := receive(h.t, h.node("G12/motcua"))
	idle.settle(nobodys)
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		h.stopServer()
	}()
	_, err := idle.stream.Recv()
	wantRefused(h.t, err, codes.Unavailable, "shutting_down")
	return ended
}

// Every envelope that a stopping hub has read is answered before its stream ends; the
// sender is told when to come back.
func TestAStoppingHubAnswersWhatItHasRead(t *testing.T) {
	t.Parallel()
	const sent = 50
	g := newGate()
	read := &reading{Codec: newCodec(t)}
	h := start(t, options{brake: g.brake, codec: read})
	all := read.next(sent)
	stream := submitStream(t, h.node("H41/motcua"))
	sendFrame(t, stream, "", 0, sent)
	within(t, g.arrived, "the commit")
	within(t, all, "all that was sent")
	ended := h.stopping()
	sendFrame(t, stream, "late", 0, 1) // may be refused by gRPC, and is not answered
	close(g.free)
	for id, result := range results(t, stream, sent) {
		if result[0].GetReceipt() == nil {
			t.Errorf("%s: %v; want a receipt", id, result)
		}
	}
	_, err := stream.Recv()
	if told := wantRefused(t, err, codes.Unavailable, "shutting_down"); told.RetryAfter <= 0 {
		t.Error("the sender is not told when to come back")
	}
	within(t, ended, "end of the server")
}

// A commit that takes longer than a stop may take does not hold it up. What became of
// it, the sender learns by sending again.
func TestAStoppingHubDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	g := newGate()
	dir := t.TempDir()
	h := start(t, options{dir: dir, brake: g.brake})
	stream := submitStream(t, h.node("H41/motcua"))
	sendFrame(t, stream, "", 0, 1)
	within(t, g.arrived, "the commit")
	ended := h.stopping()
	_, err := stream.Recv()
	wantRefused(t, err, codes.Unavailable, "shutting_down")
	within(t, ended, "end of the server")
	close(g.free)
	h.stop()
	again := start(t, options{dir: dir})
	if got := submit(t, again.node("H41/motcua"), envelope("0", "0001")).GetStatement().GetSequence(); got != 1 {
		t.Errorf("sent again, it has sequence %d; want 1: what was queued was committed", got)
	}
}

// A receive stream ends at once: what was acknowledged, and confirmed, stays so; all
// else is delivered after the restart.
func TestAStoppingHubKeepsWhatIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, options{dir: dir})
	sender := h.node("H41/motcua")
	for i := range 4 {
		submit(t, sender, envelope(fmt.Sprint(i), "0001"))
	}
	r := receive(t, h.node("G22/cong"))
	r.send(3)
	wantSequences(t, "before the stop", r.next(3), 1, 2, 3)
	r.send(0, 1)
	for {
		frame, err := r.stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if len(frame.GetAcknowledged()) > 0 {
			break
		}
	}
	ended := h.stopping()
	began := time.Now()
	_, err := r.stream.Recv()
	if told := wantRefused(t, err, codes.Unavailable, "shutting_down"); told.RetryAfter <= 0 {
		t.Error("the recipient is not told when to come back")
	}
	within(t, ended, "end of the server")
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the server took %v to stop", took)
	}
	h.stop()
	again := start(t, options{dir: dir})
	wantSequences(t, "after the restart", pull(t, again.node("G22/cong"), 10), 2, 3, 4)
}

// asked is a store that tells when an inbox is looked into.
type asked struct {
	exchange.Store
	looked chan struct{}
}

func (a *asked) brake(s exchange.Store) exchange.Store {
	a.Store = s
	return a
}

// Pending implements exchange.Store.
func (a *asked) Pending(ctx context.Context, recipient string, after uint64, limit int) ([]store.Pending, error) {
	if recipient == "G22/cong" {
		select {
		case a.looked <- struct{}{}:
		default:
		}
	}
	return a.Store.Pending(ctx, recipient, after, limit)
}

// A pull that waits is answered when the hub stops, with what there is: nothing.
func TestAStoppingHubAnswersPullsThatWait(t *testing.T) {
	t.Parallel()
	a := &asked{looked: make(chan struct{}, 1)}
	h := start(t, options{brake: a.brake})
	node := h.node("G22/cong")
	called := make(chan error, 1)
	go func() {
		resp, err := node.Pull(t.Context(), &exchangev1.PullRequest{WaitSeconds: 20})
		if err == nil && len(resp.GetDeliveries()) > 0 {
			err = fmt.Errorf("got %v", resp)
		}
		called <- err
	}()
	within(t, a.looked, "the pull")
	began := time.Now()
	ended := h.stopping()
	if err := within(t, called, "end of the pull"); err != nil {
		t.Errorf("the pull ended with %v; want its answer", fault.From(err))
	}
	within(t, ended, "end of the server")
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the server took %v to stop", took)
	}
}
