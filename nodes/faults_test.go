package nodes_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/hub/hubtest/history"
	"github.com/lienthong/lienthong/nodes"
)

// toxic is what every connection suffers from, in one direction, as Toxiproxy
// writes it.
type toxic struct {
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Attributes map[string]int `json:"attributes"`
}

func up(name string, attributes map[string]int) toxic {
	return toxic{Type: name, Stream: "upstream", Attributes: attributes}
}

func down(name string, attributes map[string]int) toxic {
	return toxic{Type: name, Stream: "downstream", Attributes: attributes}
}

// line is a network between nodes and a hub.
type line struct {
	server       *toxiproxy.ApiServer
	address, hub string
	now          *toxiproxy.Proxy
}

func startLine(t *testing.T) *line {
	t.Helper()
	l := &line{server: toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), address: "127.0.0.1:0"}
	t.Cleanup(func() {
		if l.now != nil {
			l.now.Stop()
		}
	})
	return l
}

// turn cuts every connection. Those that follow suffer from the toxics, from their
// first byte on.
func (l *line) turn(t *testing.T, toxics ...toxic) {
	t.Helper()
	if l.now != nil {
		l.now.Stop()
	}
	l.now = toxiproxy.NewProxy(l.server, "line", l.address, l.hub)
	for _, each := range toxics {
		told, err := json.Marshal(each)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.now.Toxics.AddToxicJson(bytes.NewReader(told)); err != nil {
			t.Fatalf("toxic %s: %v", told, err)
		}
	}
	if err := l.now.Start(); err != nil {
		t.Fatalf("listen: %v", err)
	}
	l.address = l.now.Listen
}

// A sender and a recipient behind a line that has every fault a line can have lose
// nothing, are given nothing twice, and keep their order.
func TestFaultsOnTheLineLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		toxics []toxic
	}{
		{"cut", nil},
		{"late", []toxic{up("latency", map[string]int{"latency": 20, "jitter": 15}), down("latency", map[string]int{"latency": 20, "jitter": 15})}},
		{"thin", []toxic{up("bandwidth", map[string]int{"rate": 40}), down("bandwidth", map[string]int{"rate": 60})}},
		{"in crumbs", []toxic{up("slicer", map[string]int{"average_size": 90, "size_variation": 60, "delay": 50}), down("slicer", map[string]int{"average_size": 90, "size_variation": 60, "delay": 50})}},
		{"cut within a handshake", []toxic{down("limit_data", map[string]int{"bytes": 901})}},
		{"cut within a frame to the hub", []toxic{up("limit_data", map[string]int{"bytes": 8009})}},
		{"cut within a frame from the hub", []toxic{down("limit_data", map[string]int{"bytes": 13009})}},
		{"slow to close", []toxic{up("slow_close", map[string]int{"delay": 60}), down("limit_data", map[string]int{"bytes": 20011}), down("slow_close", map[string]int{"delay": 60})}},
		{"swallowed on the way to the hub", []toxic{up("timeout", map[string]int{"timeout": 40})}},
		{"swallowed on the way from the hub", []toxic{down("timeout", map[string]int{"timeout": 40})}},
		{"reset", []toxic{down("reset_peer", map[string]int{"timeout": 15})}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			newTraffic(t).through(t, tc.toxics)
		})
	}
}

const (
	lineSender, lineRecipient = "H41/motcua", "G22/portal"
	faultyFor                 = 250 * time.Millisecond
	rounds                    = 3
)

// traffic is a sender and a recipient at work, each behind the line.
type traffic struct {
	line             *line
	history          history.History
	province, portal *nodes.Client
}

func newTraffic(t *testing.T) *traffic {
	t.Helper()
	h, tr := hubtest.Start(t), &traffic{line: startLine(t)}
	tr.line.hub = h.GRPCAddress()
	tr.line.turn(t)
	tr.province = join(t, h.AddNode(lineSender, registryv1.NodeKind_NODE_KIND_ONE_STOP), tr.line.address)
	tr.portal = join(t, h.AddNode(lineRecipient, registryv1.NodeKind_NODE_KIND_PORTAL), tr.line.address)
	h.Grant("H41", lineRecipient)
	return tr
}

// through lets the traffic suffer, recover, and so on, and has it judged.
func (tr *traffic) through(t *testing.T, toxics []toxic) {
	t.Helper()
	stop := receiving(t, tr.portal, tr.handle, nodes.ReceiveOptions{
		Credit: 40, Acknowledged: func(sequences []uint64) { tr.history.Confirmed(lineRecipient, sequences...) },
	})
	s, err := tr.province.OpenSubmitter(t.Context(), nodes.SubmitterOptions{WindowEnvelopes: 100, OnResult: func(r nodes.Result) {
		if r.Err != nil {
			t.Errorf("%s: %v", r.Envelope.GetId(), r.Err)
			return
		}
		tr.history.Accepted(lineSender, r.Envelope.GetId(), r.Accepted.Receipt)
	}})
	if err != nil {
		t.Fatal(err)
	}
	sending, enough := context.WithCancel(t.Context())
	sent := make(chan int)
	go func() { sent <- tr.send(sending, t, s) }()
	for range rounds {
		tr.settles(t)
		tr.line.turn(t, toxics...)
		wait(t, faultyFor)
		tr.line.turn(t)
	}
	tr.settles(t)
	enough()
	want := <-sent
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.CloseAndWait(ctx); err != nil {
		t.Errorf("submitter: %v", err)
	}
	tr.until(t, func() bool { return tr.history.Deliveries() >= want })
	if err := stop(); err != nil {
		t.Errorf("receive: %v", err)
	}
	tr.judge(t)
}

func (tr *traffic) handle(_ context.Context, d *exchangev1.Delivery) error {
	tr.history.Delivered(lineRecipient, d)
	tr.history.Handled(lineRecipient, d.GetPacket().GetSequence())
	tr.history.Acknowledged(lineRecipient, d.GetPacket().GetSequence())
	return nil
}

// send sends steps of dossiers until ctx ends, and returns how many.
func (tr *traffic) send(ctx context.Context, t *testing.T, s *nodes.Submitter) (n int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return n
		}
		for range 3 {
			dossier := fmt.Sprintf("H41-261102-%04d", n%dossiers)
			env := step(t, dossier, n)
			env.Id = fmt.Sprintf("e%05d", n)
			tr.history.Submitted("submitter", lineSender, dossier, env)
			if err := s.Send(t.Context(), env); err != nil {
				t.Errorf("send %s: %v", env.GetId(), err)
				return n
			}
			n++
		}
	}
}

// settles waits until packets are accepted, and arrive, again.
func (tr *traffic) settles(t *testing.T) {
	t.Helper()
	accepted, delivered := tr.history.Receipts(), tr.history.Deliveries()
	tr.until(t, func() bool { return tr.history.Receipts() > accepted && tr.history.Deliveries() > delivered })
}

func (tr *traffic) until(t *testing.T, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); {
		wait(t, 5*time.Millisecond)
		if time.Since(began) > time.Minute {
			t.Fatalf("nothing moves: %d receipts, %d deliveries", tr.history.Receipts(), tr.history.Deliveries())
		}
	}
}

func wait(t *testing.T, some time.Duration) {
	t.Helper()
	timer := time.NewTimer(some)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal("the test has ended")
	}
}

func (tr *traffic) judge(t *testing.T) {
	t.Helper()
	left, err := tr.portal.Pull(t.Context(), &exchangev1.PullRequest{Max: 1})
	if err != nil || len(left.GetDeliveries()) > 0 {
		t.Errorf("left in the inbox: %v, %v; want nothing", left, err)
	}
	violations, err := tr.history.Check(t.Context(), lineHub{lineSender: tr.province, lineRecipient: tr.portal})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

// lineHub is the hub as its nodes can ask it.
type lineHub map[string]*nodes.Client

// Packet implements history.Hub.
func (h lineHub) Packet(ctx context.Context, node string, sequence uint64) (*exchangev1.AcceptedPacket, bool, error) {
	p, err := h[node].GetPacket(ctx, sequence, exchangev1.Format_FORMAT_UNSPECIFIED)
	if status.Code(err) == codes.NotFound {
		return nil, false, nil
	}
	return p, err == nil, err
}

// Receipt implements history.Hub.
func (h lineHub) Receipt(ctx context.Context, node string, sequence uint64) (*exchangev1.Receipt, bool, error) {
	r, err := h[node].GetReceipt(ctx, sequence)
	if status.Code(err) == codes.NotFound {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return r.Receipt, true, nil
}
