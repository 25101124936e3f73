package nodes_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	hubfault "github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
)

func full(wait time.Duration) error {
	return hubfault.New(codes.ResourceExhausted, "recipient_full", "the inbox of G22/portal is full", "hộp nhận đã đầy").After(wait)
}

// A full inbox is the matter of the envelope that goes there: it gets the refusal, with
// the time when to try again, and others go on, on the same stream.
func TestAFullInboxDoesNotPutOthersOff(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.fault = func(_ int, env *exchangev1.Envelope) fault {
		if env.GetId() == "e001" {
			return fault{refuse: full(time.Hour)}
		}
		return fault{}
	}
	got := &results{}
	s := open(t, h, h.config(t), nodes.SubmitterOptions{OnResult: got.add})
	for _, id := range numbered(3) {
		send(t, s, envelope(id, "1"))
	}
	if err := s.CloseAndWait(t.Context()); err != nil {
		t.Fatal(err)
	}
	var refused *nodes.Refused
	if err := got.of("e001").Err; !errors.As(err, &refused) || refused.Reason() != "recipient_full" || refused.RetryAfter() != time.Hour {
		t.Errorf("the envelope to a full inbox: %v; want recipient_full and to try again after an hour", err)
	}
	for _, id := range []string{"e000", "e002"} {
		if got.of(id).Accepted == nil {
			t.Errorf("%s: %v; want it accepted", id, got.of(id).Err)
		}
	}
	if h.streams != 1 {
		t.Errorf("it took %d streams; want 1", h.streams)
	}
}

// Submit leaves it to the application how long to keep what a full inbox does not take.
func TestSubmitTellsOfAFullInboxAtOnce(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.fault = func(int, *exchangev1.Envelope) fault { return fault{refuse: full(time.Hour)} }
	_, err := dial(t, h.config(t)).Submit(t.Context(), envelope("a", "1"))
	var refused *nodes.Refused
	if !errors.As(err, &refused) || refused.Reason() != "recipient_full" || refused.RetryAfter() != time.Hour || h.submitted != 1 {
		t.Errorf("submit: %v, asked %d times; want recipient_full, once", err, h.submitted)
	}
}

// A refusal that ends the stream for good ends the Submitter, and is not laid on the
// largest envelope.
func TestARefusalOfTheStreamIsNotLaidOnAnEnvelope(t *testing.T) {
	t.Parallel()
	for _, why := range []*hubfault.Error{
		hubfault.New(codes.ResourceExhausted, "some_quota", "no", "không"),
		hubfault.New(codes.InvalidArgument, "too_many_fields", "no", "không"),
	} {
		t.Run(why.Reason, func(t *testing.T) {
			t.Parallel()
			h := startHub(t)
			h.fault = func(int, *exchangev1.Envelope) fault { return fault{end: why} }
			got := &results{}
			s := open(t, h, h.config(t), nodes.SubmitterOptions{OnResult: got.add})
			send(t, s, envelope("large", strings.Repeat("x", 1<<20)))
			err := s.CloseAndWait(t.Context())
			var refused *nodes.Refused
			if !errors.As(err, &refused) || refused.Reason() != why.Reason || h.streams != 1 {
				t.Errorf("the Submitter ended with %v after %d streams; want %s after one", err, h.streams, why.Reason)
			}
			if err := got.of("large").Err; !errors.Is(err, nodes.ErrUnresolved) {
				t.Errorf("the envelope: %v; want it unresolved", err)
			}
		})
	}
}

// So many recipients that a hub would not read them are not sent.
func TestTooManyRecipientsAreRefusedHere(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	got := &results{}
	s := open(t, h, h.config(t), nodes.SubmitterOptions{OnResult: got.add})
	env := envelope("a", "1")
	env.Recipients = slices.Repeat([]string{"G22/portal"}, 300_000)
	var refused *nodes.Refused
	if err := s.Send(t.Context(), env); !errors.As(err, &refused) || refused.Code() != codes.InvalidArgument || !contains(err, "300000 recipients") {
		t.Errorf("send: %v; want INVALID_ARGUMENT that says how many", err)
	}
	if err := s.CloseAndWait(t.Context()); err != nil || h.submitted != 0 {
		t.Errorf("close: %v; the hub was asked %d times", err, h.submitted)
	}
}

// A real hub's quotas reach an application: what an administrator sets counts at once,
// on what is open, and what it refuses can be sent again with the same id.
func TestQuotasOfARealHub(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.InboxBytes = 1 })
	province := join(t, h.AddNode("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP), "")
	portal := join(t, h.AddNode("G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL), "")
	h.Grant("H41", "G22/portal")
	got := &results{}
	s, err := province.OpenSubmitter(t.Context(), nodes.SubmitterOptions{OnResult: got.add, WindowEnvelopes: 1})
	if err != nil {
		t.Fatal(err)
	}
	envs := make([]*exchangev1.Envelope, 4)
	for i := range envs {
		envs[i] = step(t, fmt.Sprintf("H41-261102-%04d", i), 1)
		envs[i].Id = fmt.Sprint(i)
	}
	send(t, s, envs[:2]...)
	if _, err := province.Submit(t.Context(), envs[2]); !contains(err, "recipient_full", "G22/portal") {
		t.Errorf("submit to a full inbox: %v", err)
	}
	inbox := uint64(1 << 30)
	if _, err := h.Admin.UpdateNode(t.Context(), &registryv1.UpdateNodeRequest{Id: "G22/portal", InboxBytes: &inbox}); err != nil {
		t.Fatal(err)
	}
	send(t, s, envs[2:]...)
	if _, err := province.Submit(t.Context(), envs[1]); err != nil {
		t.Errorf("what was refused, sent again: %v", err)
	}
	if err := s.CloseAndWait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, accepted := range map[string]bool{"0": true, "1": false, "2": true, "3": true} {
		if result := got.of(id); (result.Accepted != nil) != accepted {
			t.Errorf("envelope %s: %v", id, result.Err)
		}
	}
	if left, err := portal.Pull(t.Context(), &exchangev1.PullRequest{}); err != nil || len(left.GetDeliveries()) != 4 {
		t.Errorf("the inbox has %d deliveries, %v; want 4", len(left.GetDeliveries()), err)
	}
}
