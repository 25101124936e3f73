package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
)

// pair starts a hub with a province that sends to a portal, both by the wire where
// there is one.
func pair(t *testing.T, w *wire, options ...func(*hub.Config)) (province, portal *nodes.Client) {
	t.Helper()
	h, address := hubtest.Start(t, options...), ""
	if w != nil {
		w.lead(h.GRPCAddress())
		address = w.Addr().String()
	}
	province = join(t, h.AddNode("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP), address)
	portal = join(t, h.AddNode("G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL), address)
	h.Grant("H41", "G22/portal")
	return province, portal
}

func submitSteps(t *testing.T, c *nodes.Client, dossier string, steps int) {
	t.Helper()
	for n := range steps {
		if _, err := c.Submit(t.Context(), step(t, dossier, n)); err != nil {
			t.Fatalf("submit step %d of %s: %v", n, dossier, err)
		}
	}
}

// stepOf reads which step of which dossier a delivery is.
func stepOf(t *testing.T, d *exchangev1.Delivery) (dossier, step string) {
	t.Helper()
	traces := &packetv1.MDocumentTraces{}
	if err := proto.Unmarshal(d.GetPacket().GetEnvelope().GetContent(), traces); err != nil {
		t.Errorf("content: %v", err)
	}
	return traces.GetDocCode(), traces.GetComment()
}

const rejectedDossier, otherDossier = "H41-261102-0001", "H41-261102-0002"

// A rejected delivery comes again, and before it nothing of its dossier that comes
// after it, though the hub had sent that ahead.
func TestAHandlerThatRejectsIsGivenTheSameAgain(t *testing.T) {
	t.Parallel()
	province, portal := pair(t, nil)
	submitSteps(t, province, rejectedDossier, 4)
	submitSteps(t, province, otherDossier, 2)
	told, count := map[string][]string{}, 0
	ctx, enough := context.WithCancel(t.Context())
	seen := nodes.NewSeen(0)
	err := portal.Receive(ctx, func(_ context.Context, d *exchangev1.Delivery) error {
		dossier, step := stepOf(t, d)
		told[dossier] = append(told[dossier], fmt.Sprintf("%s, attempt %d", step, d.GetAttempt()))
		if count++; count == 2 {
			return fmt.Errorf("store: %w", &nodes.Rejection{Reason: "cơ sở dữ liệu đang bận"})
		}
		if count == 3 && seen.Contains(2) {
			t.Error("the rejected delivery counts as seen")
		}
		if count == 7 {
			enough()
		}
		return nil
	}, nodes.ReceiveOptions{Seen: seen})
	want := map[string][]string{
		rejectedDossier: {"0, attempt 1", "1, attempt 1", "1, attempt 2", "2, attempt 1", "3, attempt 1"},
		otherDossier:    {"0, attempt 1", "1, attempt 1"},
	}
	if diff := cmp.Diff(want, told); diff != "" || err != nil {
		t.Errorf("receive: %v, after handling (-want +got):\n%s", err, diff)
	}
	wantEmptyInbox(t, portal)
}

func wantEmptyInbox(t *testing.T, c *nodes.Client) {
	t.Helper()
	left, err := c.Pull(t.Context(), &exchangev1.PullRequest{})
	if err != nil || len(left.GetDeliveries()) > 0 {
		t.Errorf("left in the inbox: %v, %v; want nothing", left, err)
	}
}

// What a handler gives up for good is a dead letter, even where it was the last that
// was handled. Its sender sees why; it can be delivered anew, or done away with.
func TestAHandlerThatRejectsForGoodMakesDeadLetters(t *testing.T) {
	t.Parallel()
	province, portal := pair(t, nil)
	submitSteps(t, province, rejectedDossier, 3)
	receive := func(count int, handle func(sequence uint64) error) (handled []uint64) {
		t.Helper()
		ctx, enough := context.WithCancel(t.Context())
		defer enough()
		err := portal.Receive(ctx, func(_ context.Context, d *exchangev1.Delivery) error {
			sequence := d.GetPacket().GetSequence()
			if handled = append(handled, sequence); len(handled) == count {
				enough()
			}
			return handle(sequence)
		}, nodes.ReceiveOptions{Seen: nodes.NewSeen(0)})
		if err != nil {
			t.Errorf("receive: %v", err)
		}
		return handled
	}
	reason := strings.Repeat("ừ", 600) + "\xff"
	if handled := receive(3, func(uint64) error { return &nodes.Rejection{Reason: reason, Final: true} }); !slices.Equal(handled, counted(3)) {
		t.Errorf("handled %v; want each once", handled)
	}
	letters, err := portal.DeadLetters(t.Context(), 1, 1)
	if err != nil || len(letters) != 1 || letters[0].GetSequence() != 2 || letters[0].GetAttempts() != 1 || utf8.RuneCountInString(letters[0].GetReason()) != 500 {
		t.Errorf("dead letters after 1, at most one: %v, %v", letters, err)
	}
	status, err := province.DeliveryStatus(t.Context(), 3)
	if err != nil || len(status) != 1 || status[0].GetState() != exchangev1.DeliveryStatus_STATE_DEAD || status[0].GetReason() != strings.Repeat("ừ", 500) {
		t.Errorf("delivery status: %v, %v", status, err)
	}
	if resp, err := portal.Discard(t.Context(), 2, 9); err != nil || !slices.Equal(resp.GetDiscarded(), []uint64{2}) || !slices.Equal(resp.GetNotDead(), []uint64{9}) {
		t.Errorf("discard: %v, %v", resp, err)
	}
	if status, err := province.DeliveryStatus(t.Context(), 2); err != nil || len(status) != 1 || status[0].GetState() != exchangev1.DeliveryStatus_STATE_DISCARDED || status[0].GetReason() == "" {
		t.Errorf("delivery status of what was discarded: %v, %v; want that it was, and the reason", status, err)
	}
	if resp, err := portal.Redeliver(t.Context(), 3, 1, 2); err != nil || !slices.Equal(resp.GetRedelivered(), []uint64{1, 3}) {
		t.Errorf("redeliver: %v, %v", resp, err)
	}
	if handled := receive(2, func(uint64) error { return nil }); !slices.Equal(handled, []uint64{1, 3}) {
		t.Errorf("handled anew %v; want 1 and 3", handled)
	}
	if letters, err := portal.DeadLetters(t.Context(), 0, 0); err != nil || len(letters) > 0 {
		t.Errorf("dead letters in the end: %v, %v", letters, err)
	}
	wantEmptyInbox(t, portal)
}

func TestARejectionWithoutAReasonIsOneAllTheSame(t *testing.T) {
	t.Parallel()
	province, portal := pair(t, nil, func(c *hub.Config) { c.DeliveryAttempts = 1 })
	submitSteps(t, province, rejectedDossier, 2)
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	err := portal.Receive(ctx, func(_ context.Context, d *exchangev1.Delivery) error {
		if d.GetPacket().GetSequence() == 2 {
			enough()
			return nil
		}
		return &nodes.Rejection{}
	}, nodes.ReceiveOptions{})
	letters, listErr := portal.DeadLetters(t.Context(), 0, 10)
	if err != nil || listErr != nil || len(letters) != 1 || letters[0].GetReason() == "" {
		t.Errorf("receive: %v; after the only attempt, dead letters are %v, %v; want one with some reason", err, letters, listErr)
	}
}

// A client without a stream rejects by call.
func TestPulledDeliveriesAreRejectedByCall(t *testing.T) {
	t.Parallel()
	province, portal := pair(t, nil)
	submitSteps(t, province, rejectedDossier, 2)
	if _, err := portal.Pull(t.Context(), &exchangev1.PullRequest{}); err != nil {
		t.Fatal(err)
	}
	resp, err := portal.Reject(t.Context(), &exchangev1.Rejection{Sequence: 1, Reason: "hỏng", Final: true}, &exchangev1.Rejection{Sequence: 2, Reason: "bận"})
	if err != nil || !slices.Equal(resp.GetDead(), []uint64{1}) || !slices.Equal(resp.GetRejected(), []uint64{2}) {
		t.Errorf("reject: %v, %v", resp, err)
	}
	var refused *nodes.Refused
	if _, err := portal.Reject(t.Context(), &exchangev1.Rejection{Sequence: 1}); !errors.As(err, &refused) || refused.Reason() != "request_invalid" {
		t.Errorf("reject without a reason: %v; want request_invalid", err)
	}
}

// struggling handles steps, rejects some the first time, and loses its connection now
// and then.
type struggling struct {
	t    *testing.T
	wire *wire
	all  chan struct{} // closed when as many as wanted are handled

	mu       sync.Mutex
	rejected map[string]bool
	steps    map[string][]string
	count    int
	left     int
}

func (s *struggling) handle(_ context.Context, d *exchangev1.Delivery) error {
	dossier, step := stepOf(s.t, d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count++; s.count%23 == 0 {
		s.wire.cut()
	}
	if which := dossier + "/" + step; strings.ContainsAny(step, "13") && !s.rejected[which] {
		s.rejected[which] = true
		return &nodes.Rejection{Reason: "thử lại"}
	}
	s.steps[dossier] = append(s.steps[dossier], step)
	if s.left--; s.left == 0 {
		close(s.all)
	}
	return nil
}

// Whatever is rejected while connections are cut, each dossier is handled once and in
// order.
func TestRejectionsAndCutsKeepTheOrder(t *testing.T) {
	t.Parallel()
	const dossiers, steps = 10, 5
	w := startWire(t)
	province, portal := pair(t, w)
	s := &struggling{t: t, wire: w, all: make(chan struct{}), rejected: map[string]bool{}, steps: map[string][]string{}, left: dossiers * steps}
	for n := range steps {
		for dossier := range dossiers {
			if _, err := province.Submit(t.Context(), step(t, fmt.Sprintf("H41-261102-%04d", dossier), n)); err != nil {
				t.Fatalf("submit: %v", err)
			}
		}
	}
	stop := receiving(t, portal, s.handle, nodes.ReceiveOptions{Credit: 20})
	select {
	case <-s.all:
	case <-time.After(time.Minute):
		t.Errorf("%d deliveries were not handled within a minute", s.left)
	}
	wantAcknowledged(t, province, dossiers*steps)
	if err := stop(); err != nil {
		t.Errorf("receive: %v", err)
	}
	for dossier, handled := range s.steps {
		if !slices.Equal(handled, []string{"0", "1", "2", "3", "4"}) {
			t.Errorf("the steps of %s were handled as %v", dossier, handled)
		}
	}
	wantEmptyInbox(t, portal)
	if letters, err := portal.DeadLetters(t.Context(), 0, 0); err != nil || len(letters) > 0 {
		t.Errorf("dead letters: %v, %v; want none", letters, err)
	}
}

// wantAcknowledged waits until what was sent has been acknowledged: acknowledgements
// that a cut has lost are sent again.
func wantAcknowledged(t *testing.T, province *nodes.Client, sequences int) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for _, sequence := range counted(sequences) {
		for {
			status, err := province.DeliveryStatus(t.Context(), sequence)
			if err == nil && status[0].GetState() == exchangev1.DeliveryStatus_STATE_ACKNOWLEDGED {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("delivery %d is %v, %v; want it acknowledged", sequence, status, err)
			}
		}
	}
}
