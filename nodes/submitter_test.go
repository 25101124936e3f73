package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"pgregory.net/rapid"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	hubfault "github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/nodes"
)

// results collects what OnResult is told.
type results struct {
	mu  sync.Mutex
	all map[string][]nodes.Result
}

func (r *results) add(result nodes.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[string][]nodes.Result{}
	}
	r.all[result.Envelope.GetId()] = append(r.all[result.Envelope.GetId()], result)
}

func (r *results) of(id string) nodes.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all[id]) == 0 {
		return nodes.Result{}
	}
	return r.all[id][0]
}

func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("e%03d", i)
	}
	return ids
}

// faults returns a schedule: what becomes of the n-th envelope that comes.
func faults(kinds []int) func(int, *exchangev1.Envelope) fault {
	return func(n int, env *exchangev1.Envelope) fault {
		if n > len(kinds) {
			return fault{}
		}
		switch kinds[n-1] {
		case 1:
			return fault{cutBefore: true}
		case 2:
			return fault{cutAfter: true}
		case 3:
			return fault{end: errors.New("internal")}
		}
		return fault{}
	}
}

func TestEveryEnvelopeGetsOneResultAndOrderHoldsWhateverIsCut(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	rapid.Check(t, func(rt *rapid.T) {
		h.mu.Lock()
		h.accepted, h.submitted, h.receipts = nil, 0, map[string]*exchangev1.Receipt{}
		h.fault = faults(rapid.SliceOfN(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 3}), 0, 30).Draw(rt, "faults"))
		h.mu.Unlock()
		ids := numbered(rapid.IntRange(0, 25).Draw(rt, "envelopes"))
		window := rapid.IntRange(1, 30).Draw(rt, "window")
		got := submitAll(rt, h, t, ids, window)
		if !slices.Equal(h.ids(), ids) {
			rt.Errorf("accepted first in the order %q; sent as %q", h.ids(), ids)
		}
		for _, id := range ids {
			if all := got.all[id]; len(all) != 1 || all[0].Err != nil || all[0].Accepted.Statement.GetEnvelopeId() != id {
				rt.Errorf("%s has results %v; want one, accepted", id, all)
			}
		}
		if len(got.all) != len(ids) {
			rt.Errorf("%d envelopes have results; %d were sent", len(got.all), len(ids))
		}
	})
}

func submitAll(rt *rapid.T, h *scripted, t *testing.T, ids []string, window int) *results {
	c, err := nodes.Dial(h.config(t))
	if err != nil {
		rt.Fatalf("dial: %v", err)
	}
	defer func() { _ = c.Close() }()
	got := &results{}
	s, err := c.OpenSubmitter(t.Context(), nodes.SubmitterOptions{OnResult: got.add, WindowEnvelopes: window})
	if err != nil {
		rt.Fatalf("open: %v", err)
	}
	for _, id := range ids {
		if err := s.Send(t.Context(), envelope(id, "content of "+id)); err != nil {
			rt.Fatalf("send %s: %v", id, err)
		}
	}
	if err := s.CloseAndWait(t.Context()); err != nil {
		rt.Fatalf("close: %v", err)
	}
	return got
}

func open(t *testing.T, h *scripted, cfg nodes.Config, opts nodes.SubmitterOptions) *nodes.Submitter {
	t.Helper()
	s, err := dial(t, cfg).OpenSubmitter(t.Context(), opts)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

func send(t *testing.T, s *nodes.Submitter, envs ...*exchangev1.Envelope) {
	t.Helper()
	for _, env := range envs {
		if err := s.Send(t.Context(), env); err != nil {
			t.Fatalf("send %s: %v", env.GetId(), err)
		}
	}
}

func TestARefusedEnvelopeDoesNotEndTheStream(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.fault = func(_ int, env *exchangev1.Envelope) fault {
		if env.GetId() == "bad" {
			return fault{refuse: hubfault.New(codes.PermissionDenied, "right_missing", "no right", "chưa có quyền")}
		}
		return fault{}
	}
	got := &results{}
	s := open(t, h, h.config(t), nodes.SubmitterOptions{OnResult: got.add})
	send(t, s, envelope("a", "1"), envelope("bad", "2"), envelope("b", "3"))
	if err := s.CloseAndWait(t.Context()); err != nil {
		t.Fatalf("close: %v", err)
	}
	var refused *nodes.Refused
	if err := got.of("bad").Err; !errors.As(err, &refused) || refused.Reason() != "right_missing" {
		t.Errorf("bad has result %v; want right_missing", err)
	}
	if got.of("a").Accepted == nil || got.of("b").Accepted == nil || h.streams != 1 {
		t.Errorf("results %v over %d streams; want a and b accepted over one", got.all, h.streams)
	}
	if err := s.Send(t.Context(), envelope("c", "4")); !errors.Is(err, nodes.ErrClosed) {
		t.Errorf("send after the end: %v; want ErrClosed", err)
	}
}

func TestAnEnvelopeThatIsPutOffIsSentAgain(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.fault = func(n int, _ *exchangev1.Envelope) fault {
		if n == 2 {
			return fault{refuse: hubfault.New(codes.Unavailable, "store_unavailable", "later", "sau").After(time.Millisecond)}
		}
		return fault{}
	}
	got := &results{}
	s := open(t, h, h.config(t), nodes.SubmitterOptions{OnResult: got.add})
	send(t, s, envelope("a", "1"), envelope("b", "2"))
	if err := s.CloseAndWait(t.Context()); err != nil || got.of("a").Accepted == nil || got.of("b").Accepted == nil {
		t.Errorf("close: %v; results %v; want both accepted", err, got.all)
	}
}

func TestAnEnvelopeTooLargeForTheHubIsRefusedAlone(t *testing.T) {
	t.Parallel()
	h := startHub(t) // takes messages of 4 MiB
	got := &results{}
	s := open(t, h, h.config(t), nodes.SubmitterOptions{OnResult: got.add})
	send(t, s, envelope("a", "1"), envelope("huge", string(make([]byte, 5<<20))), envelope("b", "2"))
	if err := s.CloseAndWait(t.Context()); err != nil {
		t.Fatalf("close: %v", err)
	}
	var refused *nodes.Refused
	if err := got.of("huge").Err; !errors.As(err, &refused) || refused.Reason() != "message_too_large" {
		t.Errorf("huge has result %v; want message_too_large", err)
	}
	if got.of("a").Accepted == nil || got.of("b").Accepted == nil {
		t.Errorf("results %v; want a and b accepted", got.all)
	}
}

func TestSendBlocksWhileTheWindowIsFull(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	hold := make(chan struct{})
	got := &results{}
	s := open(t, h, h.config(t), nodes.SubmitterOptions{WindowBytes: 1000, OnResult: func(r nodes.Result) {
		<-hold
		got.add(r)
	}})
	send(t, s, envelope("larger than the window", string(make([]byte, 2000))))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Send(ctx, envelope("b", "2")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("send into a full window: %v; want it to block until its context ends", err)
	}
	close(hold)
	send(t, s, envelope("b", "2"))
	if err := s.CloseAndWait(t.Context()); err != nil || len(got.all) != 2 {
		t.Errorf("close: %v; results %v", err, got.all)
	}
}

func TestAnIDThatIsOnItsWayIsNotTakenAgain(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	hold := make(chan struct{})
	s := open(t, h, h.config(t), nodes.SubmitterOptions{OnResult: func(nodes.Result) { <-hold }})
	send(t, s, envelope("a", "1"))
	if err := s.Send(t.Context(), envelope("a", "1")); !errors.Is(err, nodes.ErrOnItsWay) {
		t.Errorf("send: %v; want ErrOnItsWay", err)
	}
	close(hold)
	if err := s.CloseAndWait(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestASubmitterEndsWithWhatTheHubRefusesForGood(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.admitted = func(context.Context) error {
		return hubfault.New(codes.PermissionDenied, "node_not_active", "suspended", "tạm dừng")
	}
	got := &results{}
	s := open(t, h, h.config(t), nodes.SubmitterOptions{OnResult: got.add, WindowEnvelopes: 1})
	err := s.Send(t.Context(), envelope("a", "1"))
	for err == nil {
		err = s.Send(t.Context(), envelope("b", "2")) // blocks until the end, the window being full
	}
	var refused *nodes.Refused
	if !errors.As(err, &refused) || refused.Reason() != "node_not_active" {
		t.Errorf("send: %v; want node_not_active", err)
	}
	if err := s.CloseAndWait(t.Context()); !errors.As(err, &refused) {
		t.Errorf("close: %v; want node_not_active", err)
	}
	if err := got.of("a").Err; got.all["a"] != nil && !errors.Is(err, nodes.ErrUnresolved) {
		t.Errorf("a has result %v; want ErrUnresolved", err)
	}
	if h.streams != 1 {
		t.Errorf("the hub was asked %d times; once is enough", h.streams)
	}
}

func TestClosingASubmitterWithoutAHub(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	cfg := h.config(t)
	h.server.Stop()
	idle := open(t, h, cfg, nodes.SubmitterOptions{OnResult: func(nodes.Result) {}})
	if err := idle.CloseAndWait(t.Context()); err != nil {
		t.Errorf("with nothing sent: %v", err)
	}
	got := &results{}
	s := open(t, h, cfg, nodes.SubmitterOptions{OnResult: got.add})
	send(t, s, envelope("a", "1"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.CloseAndWait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v; want the context's error", err)
	}
	if len(got.all["a"]) != 1 || !errors.Is(got.of("a").Err, nodes.ErrUnresolved) {
		t.Errorf("a has results %v; want ErrUnresolved", got.all["a"])
	}
}
