package nodes_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	hubfault "github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/nodes"
)

func TestBackoffDoublesUpToItsMaximumWithFullJitter(t *testing.T) {
	t.Parallel()
	b := nodes.Backoff{Min: time.Second, Max: 10 * time.Second}
	for failures, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		if got := b.Delay(failures, 0.5); got != want*time.Second/2 {
			t.Errorf("after %d failures half of the wait is %v; want half of %v", failures, got, want*time.Second)
		}
	}
	if got := b.Delay(1_000_000, 0); got != 0 {
		t.Errorf("the least wait is %v; want none", got)
	}
	if first, most := (nodes.Backoff{}).Delay(0, 0.5), (nodes.Backoff{}).Delay(1000, 0.5); first != 100*time.Millisecond || most != 15*time.Second {
		t.Errorf("by default the first wait is %v and the longest %v; want 0.2 and 30 seconds, halved", first, most)
	}
}

// waits is a log handler that keeps the waits before connecting again.
type waits struct {
	slog.Handler
	mu  sync.Mutex
	all []time.Duration
}

func (w *waits) Enabled(context.Context, slog.Level) bool { return true }

func (w *waits) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "wait" {
			w.all = append(w.all, a.Value.Duration())
		}
		return true
	})
	return nil
}

// A stream that got somewhere makes the backoff start afresh; a hub that names a
// time is not asked before.
func TestWaitsGrowUntilAStreamHasLived(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.deliver(1)
	later := hubfault.New(codes.Unavailable, "shutting_down", "later", "sau")
	lived := false
	h.admitted = func(context.Context) error {
		switch {
		case h.streams == 4: // lives until its acknowledgement is lost
			return nil
		case h.streams == 7:
			return later.After(9 * time.Millisecond)
		case h.streams == 8:
			return hubfault.New(codes.PermissionDenied, "node_not_active", "no", "không")
		}
		return later
	}
	h.deaf = func([]uint64) bool { lived = true; return true }
	log := &waits{}
	cfg := h.config(t)
	cfg.Logger = slog.New(log)
	cfg.Backoff = nodes.Backoff{Min: 2 * time.Millisecond, Max: time.Minute}
	cfg.Random = func() float64 { return 0.5 }
	err := dial(t, cfg).Receive(t.Context(), func(context.Context, *exchangev1.Delivery) error { return nil }, nodes.ReceiveOptions{})
	var refused *nodes.Refused
	if !errors.As(err, &refused) || !lived {
		t.Fatalf("receive: %v", err)
	}
	ms := time.Millisecond
	if want := []time.Duration{ms, 2 * ms, 4 * ms, ms, 2 * ms, 4 * ms, 9 * ms}; !slices.Equal(log.all, want) {
		t.Errorf("it waited %v; want %v", log.all, want)
	}
}

func TestSubmitComesBackWhenTheHubSaid(t *testing.T) {
	t.Parallel()
	const pause = 80 * time.Millisecond
	h := startHub(t)
	h.fault = func(n int, _ *exchangev1.Envelope) fault {
		if n == 1 {
			return fault{refuse: hubfault.New(codes.ResourceExhausted, "quota", "later", "sau").After(pause)}
		}
		return fault{}
	}
	began := time.Now()
	if _, err := dial(t, h.config(t)).Submit(t.Context(), envelope("a", "1")); err != nil {
		t.Fatalf("submit: %v", err)
	}
	if took := time.Since(began); took < pause {
		t.Errorf("it came back after %v; the hub asked for %v", took, pause)
	}
}

func TestAHubOfAnotherAuthorityIsNotTalkedTo(t *testing.T) {
	t.Parallel()
	h, impostor := startHub(t), startHub(t)
	cfg := h.config(t)
	cfg.Hub.Address = impostor.profile().Address
	_, err := dial(t, cfg).GetPacket(t.Context(), 1, 0)
	var refused *nodes.Refused
	if !errors.As(err, &refused) || refused.Reason() != "hub_unreachable" || !contains(err, "authority") {
		t.Errorf("get packet: %v; want hub_unreachable for an unknown authority", err)
	}
	if impostor.streams != 0 {
		t.Error("the impostor was asked")
	}
}

// What a lost connection is called does not depend on what went wrong before it.
func TestALostConnectionIsToldFromAnUnreachableHub(t *testing.T) {
	t.Parallel()
	h, w := startHub(t), startWire(t)
	cfg := h.config(t)
	cfg.Hub.Address = w.Addr().String()
	c := dial(t, cfg)
	var refused *nodes.Refused
	if _, err := c.GetPacket(t.Context(), 1, 0); !errors.As(err, &refused) || refused.Reason() != "hub_unreachable" {
		t.Errorf("with no hub behind the address: %v; want hub_unreachable", err)
	}
	w.lead(h.profile().Address)
	if _, err := c.Submit(t.Context(), envelope("a", "1")); err != nil {
		t.Fatalf("submit: %v", err)
	}
	h.admitted = func(ctx context.Context) error {
		w.cut()
		<-ctx.Done()
		return ctx.Err()
	}
	if _, err := c.GetReceipt(t.Context(), 1); !errors.As(err, &refused) || refused.Reason() != "connection_lost" {
		t.Errorf("cut before the answer: %v; want connection_lost", err)
	}
}

func TestSeenKeepsTheLatest(t *testing.T) {
	t.Parallel()
	seen := nodes.NewSeen(3)
	for _, sequence := range []uint64{1, 2, 2, 3, 4} {
		seen.Add(sequence)
	}
	for sequence, want := range map[uint64]bool{1: false, 2: true, 3: true, 4: true, 5: false} {
		if got := seen.Contains(sequence); got != want {
			t.Errorf("contains %d: %v; want %v", sequence, got, want)
		}
	}
}

// After a lost connection the next is made at a random moment within five times Min:
// all nodes of a hub have lost theirs. A call that is made meanwhile waits for it; one
// whose context ends does not.
func TestTheFirstConnectionAfterALossIsSpread(t *testing.T) {
	t.Parallel()
	const least = 50 * time.Millisecond // a random number of 0.5 makes the wait 125 ms
	h, w := startHub(t), startWire(t)
	w.lead(h.profile().Address)
	cfg := h.config(t)
	cfg.Hub.Address = w.Addr().String()
	cfg.Backoff = nodes.Backoff{Min: least, Max: time.Minute}
	cfg.Random = func() float64 { return 0.5 }
	admitted := make(chan time.Time, 3)
	h.admitted = func(context.Context) error {
		admitted <- time.Now()
		return nil
	}
	c := dial(t, cfg)
	began := time.Now()
	if _, err := c.Submit(t.Context(), envelope("a", "1")); err != nil {
		t.Fatalf("submit: %v", err)
	}
	if took := (<-admitted).Sub(began); took > time.Second {
		t.Errorf("the very first connection took %v; want it made at once", took)
	}
	stop := receiving(t, c, func(context.Context, *exchangev1.Delivery) error { return nil }, nodes.ReceiveOptions{})
	<-admitted
	began = time.Now()
	w.cut()
	if took := (<-admitted).Sub(began); took < 5*least/2 {
		t.Errorf("it was back after %v; want a wait of %v", took, 5*least/2)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
