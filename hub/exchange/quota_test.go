package exchange_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store"
)

// quotas are set by a test, and may change.
type quotas struct {
	mu     sync.Mutex
	byNode map[string]exchange.Quota
}

func quotasOf(node string, quota exchange.Quota) *quotas {
	return &quotas{byNode: map[string]exchange.Quota{node: quota}}
}

func (q *quotas) of(node string) exchange.Quota {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.byNode[node]
}

func (q *quotas) set(node string, quota exchange.Quota) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.byNode[node] = quota
}

func trySubmit(t *testing.T, node exchangev1.ExchangeServiceClient, id string) error {
	t.Helper()
	_, err := node.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: envelope(id, "0001")})
	return err
}

// A node that sends more in a second than it may is told when there is room again,
// and has it then; other nodes are not concerned, and another quota counts at once.
func TestPacketsPerSecond(t *testing.T) {
	t.Parallel()
	most := quotasOf("H41/motcua", exchange.Quota{PacketsPerSecond: 5})
	h := start(t, options{quota: most.of})
	h.clock.stop()
	node := h.node("H41/motcua")
	for i := range 5 {
		if err := trySubmit(t, node, fmt.Sprint("first", i)); err != nil {
			t.Fatalf("packet %d of a second: %v", i+1, err)
		}
	}
	told := wantRefused(t, trySubmit(t, node, "sixth"), codes.ResourceExhausted, "rate_exceeded")
	if told.RetryAfter != 200*time.Millisecond || !strings.Contains(told.EN, "at most 5 packets a second") || !strings.Contains(told.VI, "tối đa 5 gói tin mỗi giây") {
		t.Errorf("told %q, %q, try again after %v; want 200ms, when the next may be sent", told.EN, told.VI, told.RetryAfter)
	}
	if err := trySubmit(t, h.node("H41/khac"), "other"); err != nil {
		t.Errorf("another node: %v", err)
	}
	h.clock.advance(told.RetryAfter)
	if err := trySubmit(t, node, "sixth"); err != nil {
		t.Errorf("when it was asked to come back: %v", err)
	}
	wantRefused(t, trySubmit(t, node, "seventh"), codes.ResourceExhausted, "rate_exceeded")
	h.clock.advance(time.Hour)
	for i := range 5 {
		if err := trySubmit(t, node, fmt.Sprint("later", i)); err != nil {
			t.Fatalf("packet %d after an hour: %v", i+1, err)
		}
	}
	wantRefused(t, trySubmit(t, node, "eighth"), codes.ResourceExhausted, "rate_exceeded")
	most.set("H41/motcua", exchange.Quota{})
	for i := range 50 {
		if err := trySubmit(t, node, fmt.Sprint("unbounded", i)); err != nil {
			t.Fatalf("once there is no limit: %v", err)
		}
	}
}

// A packet of more than a second's bytes passes, and what follows it waits for as long
// as it would have taken.
func TestBytesPerSecond(t *testing.T) {
	t.Parallel()
	const rate = 1000
	h := start(t, options{quota: quotasOf("H41/motcua", exchange.Quota{BytesPerSecond: rate, PacketsPerSecond: 1000}).of})
	h.clock.stop()
	node := h.node("H41/motcua")
	large := envelope("large", "0001")
	padded(large, 10*rate)
	submit(t, node, large)
	told := wantRefused(t, trySubmit(t, node, "next"), codes.ResourceExhausted, "rate_exceeded")
	owed := time.Duration(len(large.GetContent())-rate) * time.Second / rate
	if told.RetryAfter < owed || told.RetryAfter > owed+10*time.Millisecond {
		t.Errorf("%d bytes at %d a second: what follows is to wait %v; want %v", len(large.GetContent()), rate, told.RetryAfter, owed)
	}
	if !strings.Contains(told.EN, "1000 packets and 1000 bytes a second") {
		t.Errorf("told %q; want both limits", told.EN)
	}
	h.clock.advance(told.RetryAfter)
	if err := trySubmit(t, node, "next"); err != nil {
		t.Errorf("when it was asked to come back: %v", err)
	}
}

// A stream is read no faster than its node may send, and loses nothing; what another
// node sends meanwhile is not slowed.
func TestStreamsArePaced(t *testing.T) {
	t.Parallel()
	const rate, sent = 40, 100
	most := quotasOf("H41/motcua", exchange.Quota{PacketsPerSecond: rate})
	h := start(t, options{quota: most.of})
	stream := submitStream(t, h.node("H41/motcua"))
	req := &exchangev1.SubmitStreamRequest{}
	for i := range sent {
		req.Envelopes = append(req.Envelopes, envelope(fmt.Sprint(i), "0001"))
	}
	began := time.Now()
	if err := stream.Send(req); err != nil {
		t.Fatal(err)
	}
	other := h.node("H41/khac")
	for i := range 10 {
		submit(t, other, envelope(fmt.Sprint(i), "0002"))
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("10 packets of another node took %v", took)
	}
	for id, result := range results(t, stream, sent) {
		if result[0].GetReceipt() == nil {
			t.Errorf("%s: %v", id, result)
		}
	}
	if took, least := time.Since(began), time.Second*(sent-rate-rate/10)/rate; took < least {
		t.Errorf("%d packets at %d a second took %v; want at least %v", sent, rate, took, least)
	}
}

// A quota that is raised counts for a stream that waits, too.
func TestAWaitingStreamIsLetGoByAnotherQuota(t *testing.T) {
	t.Parallel()
	most := quotasOf("H41/motcua", exchange.Quota{BytesPerSecond: 1})
	h := start(t, options{quota: most.of})
	stream := submitStream(t, h.node("H41/motcua"))
	send := func(id string) {
		t.Helper()
		if err := stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: []*exchangev1.Envelope{envelope(id, "0001")}}); err != nil {
			t.Fatal(err)
		}
	}
	send("1")
	results(t, stream, 1)
	send("2")
	most.set("H41/motcua", exchange.Quota{})
	began := time.Now()
	results(t, stream, 1)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v; by the first quota, it would have been minutes", took)
	}
}

// What goes to a full inbox is refused, whole, and says whose it is; what was accepted
// before is answered as before and delivered; there is room once something is taken.
func TestFullInboxes(t *testing.T) {
	t.Parallel()
	most := quotasOf("G22/cong", exchange.Quota{InboxBytes: 1})
	h := start(t, options{quota: most.of})
	h.rights.grant("H41", "G12/motcua", "G14/motcua")
	sender, slow := h.node("H41/motcua"), h.node("G22/cong")
	submit(t, sender, envelope("1", "0001"))
	told := wantRefused(t, trySubmit(t, sender, "2"), codes.ResourceExhausted, "recipient_full")
	if told.RetryAfter <= 0 || !strings.Contains(told.EN, "the inbox of G22/cong is full") || !strings.Contains(told.VI, "hộp nhận của G22/cong đã đầy") {
		t.Errorf("told %q, %q, try again after %v", told.EN, told.VI, told.RetryAfter)
	}
	if strings.Contains(told.EN, "G12/motcua") {
		t.Errorf("told %q; that inbox has room", told.EN)
	}
	if again := submit(t, sender, envelope("1", "0001")); again.GetStatement().GetSequence() != 1 {
		t.Errorf("what was accepted has sequence %d when it is sent again; want 1", again.GetStatement().GetSequence())
	}
	aside := envelope("3", "0002")
	aside.Recipients = []string{"G12/motcua", "G14/motcua"}
	submit(t, sender, aside)
	wantSequences(t, "an inbox that has room", pull(t, h.node("G12/motcua"), 10), 1, 2)

	wantSequences(t, "the full inbox", pull(t, slow, 10), 1)
	acknowledge(t, slow, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1}}, 1)
	if got := submit(t, sender, envelope("2", "0001")).GetStatement(); got.GetSequence() != 3 || len(got.GetRecipients()) != 3 {
		t.Errorf("once it was taken: %v; want sequence 3 for three recipients, nothing of the refused one before", got)
	}
	most.set("G12/motcua", exchange.Quota{InboxBytes: 1})
	told = wantRefused(t, trySubmit(t, sender, "4"), codes.ResourceExhausted, "recipient_full")
	if !strings.Contains(told.EN, "G12/motcua, G22/cong is full") && !strings.Contains(told.EN, "G12/motcua, G22/cong") {
		t.Errorf("told %q; want both names", told.EN)
	}
	most.set("G12/motcua", exchange.Quota{InboxBytes: 1 << 20})
	most.set("G22/cong", exchange.Quota{})
	submit(t, sender, envelope("4", "0001"))
}

// In a stream, a full inbox is the matter of the packets that go there.
func TestAStreamGoesOnBesideAFullInbox(t *testing.T) {
	t.Parallel()
	h := start(t, options{quota: quotasOf("G22/cong", exchange.Quota{InboxBytes: 1}).of})
	h.rights.grant("H41", "G12/motcua")
	submit(t, h.node("H41/motcua"), envelope("0", "0001"))
	stream := submitStream(t, h.node("H41/motcua"))
	req := &exchangev1.SubmitStreamRequest{}
	for i := range 4 {
		env := envelope(fmt.Sprint("streamed", i), "0001")
		env.Recipients = []string{[]string{"G22/cong", "G12/motcua"}[i%2]}
		req.Envelopes = append(req.Envelopes, env)
	}
	if err := stream.Send(req); err != nil {
		t.Fatal(err)
	}
	got := results(t, stream, 4)
	for i := range 4 {
		result := got[fmt.Sprint("streamed", i)][0]
		if full := i%2 == 0; full && fault.FromRefusal(result.GetRefusal()).Reason != "recipient_full" || !full && result.GetReceipt() == nil {
			t.Errorf("envelope %d: %v", i, result)
		}
	}
}

// What is on its way to an inbox counts as if it were there, and no longer than it is.
func TestInboxesCountWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	g := newGate()
	h := start(t, options{quota: quotasOf("G22/cong", exchange.Quota{InboxBytes: 1000}).of, brake: g.brake})
	h.rights.grant("H41", "G12/motcua")
	stream := submitStream(t, h.node("H41/motcua"))
	large := envelope("large", "0001")
	padded(large, 1500)
	if err := stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: []*exchangev1.Envelope{large}}); err != nil {
		t.Fatal(err)
	}
	within(t, g.arrived, "the commit")
	other := h.node("H41/khac")
	refused := make(chan error, 1)
	go func() { refused <- trySubmit(t, other, "second") }()
	wantRefused(t, within(t, refused, "a refusal"), codes.ResourceExhausted, "recipient_full")
	g.open <- store.ErrFull
	if refused := results(t, stream, 1)["large"][0].GetRefusal(); refused.GetReason() != "store_full" {
		t.Fatalf("the first: %v; want store_full", refused)
	}
	close(g.free)
	for i := range 2 { // neither the one that failed nor those that were refused take any room
		if err := trySubmit(t, other, fmt.Sprint("small-", i)); err != nil {
			t.Errorf("when it has failed, packet %d: %v; want room for it", i+1, err)
		}
	}
	wantRefused(t, trySubmit(t, other, "third"), codes.ResourceExhausted, "recipient_full")
	wantSequences(t, "the inbox", pull(t, h.node("G22/cong"), 10), 1, 2)
	acknowledge(t, h.node("G22/cong"), &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1, 2}}, 1, 2)
	if err := trySubmit(t, other, "third"); err != nil {
		t.Errorf("when all was taken: %v", err)
	}
}
