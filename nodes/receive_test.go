package nodes_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	hubfault "github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/nodes"
)

func counted(n int) []uint64 {
	all := make([]uint64, n)
	for i := range all {
		all[i] = uint64(i + 1)
	}
	return all
}

// receiving runs Receive until stop, which returns what Receive returned.
func receiving(t testing.TB, c *nodes.Client, handle func(context.Context, *exchangev1.Delivery) error, opts nodes.ReceiveOptions) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Receive(ctx, handle, opts) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
}

func TestEveryDeliveryIsHandledOnceAndInOrderWhateverIsCut(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	rapid.Check(t, func(rt *rapid.T) {
		h.change(func() { h.inbox, h.delivered, h.deaf = nil, 0, nil })
		// Which frames of acknowledgements are lost with their connection.
		lost := rapid.SliceOfN(rapid.Bool(), 0, 8).Draw(rt, "lost")
		h.change(func() {
			h.deaf = func([]uint64) bool {
				if len(lost) == 0 {
					return false
				}
				is := lost[0]
				lost = lost[1:]
				return is
			}
		})
		n := rapid.IntRange(0, 30).Draw(rt, "deliveries")
		cutAt := rapid.SliceOfN(rapid.Uint64Range(1, 30), 0, 5).Draw(rt, "cut while handling")
		h.deliver(n)
		c, err := nodes.Dial(h.config(t))
		if err != nil {
			rt.Fatalf("dial: %v", err)
		}
		defer func() { _ = c.Close() }()
		var handled []uint64
		stop := receiving(t, c, func(_ context.Context, d *exchangev1.Delivery) error {
			sequence := d.GetPacket().GetSequence()
			handled = append(handled, sequence)
			if slices.Contains(cutAt, sequence) {
				h.listener.cut()
			}
			return nil
		}, nodes.ReceiveOptions{Credit: rapid.IntRange(1, 20).Draw(rt, "credit")})
		h.until(t, "an empty inbox", func() bool { return len(h.inbox) == 0 })
		if err := stop(); err != nil {
			rt.Errorf("receive: %v; want nil when its context has ended", err)
		}
		if !slices.Equal(handled, counted(n)) {
			rt.Errorf("handled %v; want 1 to %d, once each, in order", handled, n)
		}
	})
}

func TestADeliveryThatFailsStaysInTheInbox(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.deliver(4)
	c := dial(t, h.config(t))
	failed := errors.New("disk full")
	err := c.Receive(t.Context(), func(_ context.Context, d *exchangev1.Delivery) error {
		if d.GetPacket().GetSequence() == 3 {
			return failed
		}
		return nil
	}, nodes.ReceiveOptions{})
	if !errors.Is(err, failed) {
		t.Errorf("receive: %v; want the handler's error", err)
	}
	if left := h.waiting(); !slices.Equal(left, []uint64{3, 4}) {
		t.Errorf("%v are left in the inbox; want 3 and 4, the others acknowledged before the end", left)
	}
	var next []uint64
	stop := receiving(t, c, func(_ context.Context, d *exchangev1.Delivery) error {
		next = append(next, d.GetPacket().GetSequence())
		return nil
	}, nodes.ReceiveOptions{})
	h.until(t, "an empty inbox", func() bool { return len(h.inbox) == 0 })
	if err := stop(); err != nil || !slices.Equal(next, []uint64{3, 4}) {
		t.Errorf("receiving again: %v, %v; want 3 and 4", next, err)
	}
}

func TestWhatWasHandledIsAcknowledgedBeforeReceiveEnds(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.deliver(3)
	ctx, cancel := context.WithCancel(t.Context())
	var confirmed []uint64
	err := dial(t, h.config(t)).Receive(ctx, func(_ context.Context, d *exchangev1.Delivery) error {
		if d.GetPacket().GetSequence() == 2 {
			cancel()
		}
		return nil
	}, nodes.ReceiveOptions{Acknowledged: func(sequences []uint64) { confirmed = append(confirmed, sequences...) }})
	if err != nil {
		t.Errorf("receive: %v; want nil", err)
	}
	if left := h.waiting(); !slices.Equal(left, []uint64{3}) {
		t.Errorf("%v are left in the inbox; want 3", left)
	}
	if !slices.Equal(confirmed, []uint64{1, 2}) {
		t.Errorf("confirmed are %v; want 1 and 2", confirmed)
	}
}

// With the connection gone there is nobody to wait for: in 20 rounds that would be
// some ten waits of 5 seconds.
func TestReceiveEndsAtOnceWhenItsConnectionIsGoneToo(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	c := dial(t, h.config(t))
	began := time.Now()
	for range 20 {
		h.deliver(1)
		ctx, cancel := context.WithCancel(t.Context())
		err := c.Receive(ctx, func(context.Context, *exchangev1.Delivery) error {
			h.listener.cut()
			cancel()
			return nil
		}, nodes.ReceiveOptions{})
		if err != nil {
			t.Errorf("receive: %v; want nil", err)
		}
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("ending 20 times took %v", took)
	}
}

func TestCreditBoundsWhatIsSentAhead(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.deliver(20)
	var ahead int
	stop := receiving(t, dial(t, h.config(t)), func(_ context.Context, d *exchangev1.Delivery) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		ahead = max(ahead, int(h.sentUpTo-d.GetPacket().GetSequence())+1)
		return nil
	}, nodes.ReceiveOptions{Credit: 4})
	h.until(t, "an empty inbox", func() bool { return len(h.inbox) == 0 })
	if err := stop(); err != nil || ahead > 4 || ahead < 1 {
		t.Errorf("receive: %v; the hub was %d ahead, 4 were granted", err, ahead)
	}
}

func TestReceiveEndsWithWhatTheHubRefusesForGood(t *testing.T) {
	t.Parallel()
	for reason, code := range map[string]codes.Code{"node_not_active": codes.PermissionDenied, "certificate_expired": codes.Unauthenticated} {
		h := startHub(t)
		h.admitted = func(context.Context) error { return hubfault.New(code, reason, "no", "không") }
		err := dial(t, h.config(t)).Receive(t.Context(), func(context.Context, *exchangev1.Delivery) error { return nil }, nodes.ReceiveOptions{})
		var refused *nodes.Refused
		if !errors.As(err, &refused) || refused.Reason() != reason || h.streams != 1 {
			t.Errorf("receive: %v after %d streams; want %s after one", err, h.streams, reason)
		}
	}
}

func TestOneReceiveRunsPerClient(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.deliver(1)
	c := dial(t, h.config(t))
	var second error
	stop := receiving(t, c, func(ctx context.Context, _ *exchangev1.Delivery) error {
		second = c.Receive(ctx, nil, nodes.ReceiveOptions{})
		return nil
	}, nodes.ReceiveOptions{})
	h.until(t, "an empty inbox", func() bool { return len(h.inbox) == 0 })
	if err := stop(); err != nil || !errors.Is(second, nodes.ErrReceiving) {
		t.Errorf("the first ended with %v, the second with %v; want nil and ErrReceiving", err, second)
	}
}

func TestClosingTheClientEndsReceive(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.deliver(1)
	c, err := nodes.Dial(h.config(t))
	if err != nil {
		t.Fatal(err)
	}
	err = c.Receive(t.Context(), func(context.Context, *exchangev1.Delivery) error { return c.Close() }, nodes.ReceiveOptions{})
	if !errors.Is(err, nodes.ErrClosed) {
		t.Errorf("receive: %v; want ErrClosed", err)
	}
	if _, err := c.Submit(t.Context(), envelope("a", "1")); !errors.Is(err, nodes.ErrClosed) {
		t.Errorf("submit: %v; want ErrClosed", err)
	}
}

// A renewed certificate is taken up when the hub turns the old one down.
func TestACertificateThatWasRenewedIsUsedBeforeGivingUp(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.deliver(1)
	source := &changing{current: h.credentials(t, sender)}
	cfg := h.config(t)
	cfg.Credentials = source
	c := dial(t, cfg)
	var valid string
	h.admitted = func(ctx context.Context) error {
		if peerSerial(ctx) != valid {
			return hubfault.New(codes.Unauthenticated, "certificate_expired", "expired", "hết hạn")
		}
		return nil
	}
	renew := func() *certs.Credentials {
		renewed := h.credentials(t, sender)
		h.change(func() { valid = serialOf(t, renewed) })
		return renewed
	}
	renewed := renew()
	var refused *nodes.Refused
	if _, err := c.Submit(t.Context(), envelope("a", "1")); !errors.As(err, &refused) || refused.Reason() != "certificate_expired" {
		t.Errorf("submit with the old certificate: %v; want certificate_expired", err)
	}
	source.set(renewed)
	if _, err := c.Submit(t.Context(), envelope("a", "1")); err != nil {
		t.Errorf("submit with the renewed certificate: %v", err)
	}
	source.set(renew())
	if _, err := c.GetReceipt(t.Context(), 1); err != nil {
		t.Errorf("get receipt with the renewed certificate: %v", err)
	}
	source.set(renew())
	stop := receiving(t, c, func(context.Context, *exchangev1.Delivery) error { return nil }, nodes.ReceiveOptions{})
	h.until(t, "an empty inbox", func() bool { return len(h.inbox) == 0 })
	if err := stop(); err != nil {
		t.Errorf("receive with the renewed certificate: %v", err)
	}
}
