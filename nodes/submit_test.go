package nodes_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	hubfault "github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/nodes/receipt"
)

func TestSubmitReturnsAProofOfThisEnvelope(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	c := dial(t, h.config(t))
	env := envelope("", "content")
	accepted, err := c.Submit(t.Context(), env)
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	if env.GetId() == "" || accepted.Statement.GetEnvelopeId() != env.GetId() {
		t.Errorf("the envelope has id %q, its statement %q", env.GetId(), accepted.Statement.GetEnvelopeId())
	}
	if _, err := receipt.Verify(accepted.Receipt, h.ledger.VerifierKey()); err != nil {
		t.Errorf("the receipt does not verify: %v", err)
	}
	again, err := c.Submit(t.Context(), env)
	if err != nil || again.Statement.GetSequence() != accepted.Statement.GetSequence() || len(h.ids()) != 1 {
		t.Errorf("submitted again: %v, %v; accepted are %q", again, err, h.ids())
	}
	if fetched, err := c.GetReceipt(t.Context(), 1); err != nil || fetched.Statement.GetEnvelopeId() != env.GetId() {
		t.Errorf("its receipt later: %v, %v", fetched, err)
	}
}

func TestSubmitRefusesReceiptsThatProveNothing(t *testing.T) {
	t.Parallel()
	other, err := ledger.Open(t.TempDir(), "hub1")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key   string
		spoil func(h *scripted) func(*exchangev1.Receipt)
	}{
		"signed with another key": {key: other.VerifierKey()},
		"statement changed": {spoil: func(*scripted) func(*exchangev1.Receipt) {
			return func(r *exchangev1.Receipt) { r.Leaf[len(r.GetLeaf())-1] ^= 1 }
		}},
		"of another envelope": {spoil: func(h *scripted) func(*exchangev1.Receipt) {
			return func(r *exchangev1.Receipt) {
				r.Leaf, r.Group = h.receipts["first"].GetLeaf(), h.receipts["first"].GetGroup()
			}
		}},
		"of other content": {spoil: func(h *scripted) func(*exchangev1.Receipt) {
			return forged(t, h, envelope("second", "other"))
		}},
		"of another type": {spoil: func(h *scripted) func(*exchangev1.Receipt) {
			other := envelope("second", "same")
			other.Type = packetv1.PacketType_PACKET_TYPE_SURVEY
			return forged(t, h, other)
		}},
		"none": {spoil: func(*scripted) func(*exchangev1.Receipt) {
			return func(r *exchangev1.Receipt) { proto.Reset(r) }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHub(t)
			if _, err := dial(t, h.config(t)).Submit(t.Context(), envelope("first", "same")); err != nil {
				t.Fatalf("first: %v", err)
			}
			cfg := h.config(t)
			if c.key != "" {
				cfg.Hub.LedgerKey = c.key
			}
			if c.spoil != nil {
				h.fault = func(int, *exchangev1.Envelope) fault { return fault{spoil: c.spoil(h)} }
			}
			accepted, err := dial(t, cfg).Submit(t.Context(), envelope("second", "same"))
			if !errors.Is(err, nodes.ErrReceipt) || accepted != nil {
				t.Errorf("submit: %v, %v; want ErrReceipt", accepted, err)
			}
		})
	}
}

// forged gives another envelope's receipt, well signed, in place of the right one.
func forged(t *testing.T, h *scripted, other *exchangev1.Envelope) func(*exchangev1.Receipt) {
	return func(r *exchangev1.Receipt) {
		signed, err := h.sign(other)
		if err != nil {
			t.Errorf("sign: %v", err)
		}
		r.Leaf, r.Group = signed.GetLeaf(), signed.GetGroup()
	}
}

func TestSubmitTriesAgainUntilItIsAccepted(t *testing.T) {
	t.Parallel()
	busy := hubfault.New(codes.ResourceExhausted, "quota", "later", "sau").After(time.Millisecond)
	for name, first := range map[string]fault{
		"cut before it was taken":  {cutBefore: true},
		"cut after it was taken":   {cutAfter: true},
		"hub asks for a pause":     {refuse: busy},
		"hub is shutting down":     {refuse: hubfault.New(codes.Unavailable, "shutting_down", "later", "sau")},
		"hub stopped while taking": {refuse: hubfault.New(codes.Canceled, "canceled", "later", "sau")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHub(t)
			h.fault = func(n int, _ *exchangev1.Envelope) fault {
				if n <= 3 {
					return first
				}
				return fault{}
			}
			accepted, err := dial(t, h.config(t)).Submit(t.Context(), envelope("a", "content"))
			if err != nil || accepted.Statement.GetEnvelopeId() != "a" {
				t.Errorf("submit: %v, %v", accepted, err)
			}
			if h.submitted != 4 || len(h.ids()) != 1 {
				t.Errorf("the hub was asked %d times and accepted %q", h.submitted, h.ids())
			}
		})
	}
}

func TestSubmitReturnsWhatTheHubRefuses(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	finding := &packetv1.Finding{Severity: packetv1.Severity_SEVERITY_ERROR, Field: "dossier.code", Line: 2, Column: 3, MessageEn: "is required"}
	h.fault = func(int, *exchangev1.Envelope) fault {
		return fault{refuse: hubfault.New(codes.InvalidArgument, "packet_invalid", "not valid", "không hợp lệ").With([]*packetv1.Finding{finding})}
	}
	_, err := dial(t, h.config(t)).Submit(t.Context(), envelope("a", "content"))
	var refused *nodes.Refused
	if !errors.As(err, &refused) {
		t.Fatalf("submit: %v; want a *Refused", err)
	}
	if refused.Code() != codes.InvalidArgument || refused.Reason() != "packet_invalid" ||
		refused.Refusal.GetMessageVi() != "không hợp lệ" || refused.Refusal.GetFindings()[0].GetField() != "dossier.code" {
		t.Errorf("refused with %v", refused.Refusal)
	}
	if status.Code(err) != codes.InvalidArgument || err.Error() != "packet_invalid: not valid; the first is dossier.code (2:3): is required" {
		t.Errorf("as an error it is %q, code %s", err, status.Code(err))
	}
	if h.submitted != 1 {
		t.Errorf("the hub was asked %d times; once is enough", h.submitted)
	}
}

// failing is a log handler that tells when the hub cannot be reached.
type failing struct {
	slog.Handler
	told func()
}

func (f failing) Enabled(context.Context, slog.Level) bool { return true }

func (f failing) Handle(context.Context, slog.Record) error {
	f.told()
	return nil
}

func TestSubmitWithoutAHubEndsWithItsContextAndSaysWhy(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	cfg := h.config(t)
	h.server.Stop()
	ctx, cancel := context.WithCancel(t.Context())
	cfg.Logger = slog.New(failing{told: cancel})
	_, err := dial(t, cfg).Submit(ctx, envelope("a", "content"))
	if !errors.Is(err, context.Canceled) || status.Code(err) != codes.Canceled || !contains(err, cfg.Hub.Address, "connection refused") {
		t.Errorf("submit: %v; want an error of the context that names the hub and the trouble", err)
	}
	late, end := context.WithDeadline(t.Context(), time.Now())
	defer end()
	if _, err = dial(t, cfg).Submit(late, envelope("a", "content")); !errors.Is(err, context.DeadlineExceeded) || status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("submit too late: %v; want DEADLINE_EXCEEDED", err)
	}
	_, err = dial(t, cfg).GetPacket(t.Context(), 1, 0)
	var refused *nodes.Refused
	if !errors.As(err, &refused) || refused.Reason() != "hub_unreachable" || !contains(err, cfg.Hub.Address, "connection refused") {
		t.Errorf("get packet: %v; want hub_unreachable at once", err)
	}
}

func TestSubmitThatGivesUpSaysWhatTheHubSaidLast(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	ctx, cancel := context.WithCancel(t.Context())
	h.fault = func(n int, _ *exchangev1.Envelope) fault {
		if n == 2 {
			cancel()
		}
		return fault{refuse: hubfault.New(codes.Unavailable, "store_unavailable", "disk full", "đầy đĩa")}
	}
	_, err := dial(t, h.config(t)).Submit(ctx, envelope("a", "content"))
	if !errors.Is(err, context.Canceled) || status.Code(err) != codes.Canceled {
		t.Errorf("submit: %v; want CANCELED", err)
	}
}

func TestSubmitRefusesWhatCannotTravel(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	cfg := h.config(t)
	cfg.MaxMessageBytes = 10_000
	c := dial(t, cfg)
	for reason, env := range map[string]*exchangev1.Envelope{
		"request_invalid":  {Id: "\xff", Content: []byte("x")},
		"packet_too_large": {Id: "a", Content: make([]byte, 10_000)},
	} {
		_, err := c.Submit(t.Context(), env)
		var refused *nodes.Refused
		if !errors.As(err, &refused) || refused.Reason() != reason {
			t.Errorf("submit: %v; want %s", err, reason)
			continue
		}
		if strings.Contains(refused.Refusal.GetMessageEn()+refused.Refusal.GetMessageVi(), "Config") {
			t.Errorf("the text is for programmers: %v", refused)
		}
	}
	if h.submitted != 0 {
		t.Errorf("the hub was asked %d times", h.submitted)
	}
}

func TestDialRefuses(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	admin, err := h.authority.IssueServer([]string{"127.0.0.1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*nodes.Config){
		"no credentials":   func(c *nodes.Config) { c.Credentials = nil },
		"not a node":       func(c *nodes.Config) { c.Credentials = admin },
		"no address":       func(c *nodes.Config) { c.Hub.Address = "" },
		"no port":          func(c *nodes.Config) { c.Hub.Address = "hub" },
		"no ledger key":    func(c *nodes.Config) { c.Hub.LedgerKey = "" },
		"wrong ledger key": func(c *nodes.Config) { c.Hub.LedgerKey = "hub1+00+AAAA" },
	} {
		cfg := h.config(t)
		spoil(&cfg)
		if c, err := nodes.Dial(cfg); err == nil {
			_ = c.Close()
			t.Errorf("%s: dialled", name)
		}
	}
	if node := dial(t, h.config(t)).Node(); node != sender {
		t.Errorf("the node is %q; want %q", node, sender)
	}
}
