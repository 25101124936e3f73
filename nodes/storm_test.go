package nodes_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
)

// crowd are nodes that receive, and tell when each has got what.
type crowd struct {
	running sync.WaitGroup

	mu  sync.Mutex
	got map[string]map[string]bool // by what was said, then by node
	all chan string                // one for each delivery: what was said
}

// receive joins a node and has it receive until the test ends.
func (c *crowd) receive(ctx context.Context, t *testing.T, token, address string) {
	t.Helper()
	profile := t.TempDir() + "/profile"
	if _, err := nodes.Join(ctx, token, profile, nodes.JoinOptions{Address: address}); err != nil {
		t.Fatalf("join: %v", err)
	}
	client, err := nodes.DialProfile(profile, nodes.Config{Logger: slog.New(slog.DiscardHandler)}) // as applications do, with the defaults
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	c.running.Go(func() {
		err := client.Receive(ctx, func(_ context.Context, d *exchangev1.Delivery) error {
			return c.note(client.Node(), d)
		}, nodes.ReceiveOptions{})
		if err != nil {
			t.Errorf("%s: %v", client.Node(), err)
		}
	})
}

func (c *crowd) note(node string, d *exchangev1.Delivery) error {
	traces := &packetv1.MDocumentTraces{}
	if err := proto.Unmarshal(d.GetPacket().GetEnvelope().GetContent(), traces); err != nil {
		return fmt.Errorf("content: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	said := traces.GetComment()
	if c.got[said] == nil {
		c.got[said] = map[string]bool{}
	}
	if c.got[said][node] {
		return fmt.Errorf("%s came to %s again", said, node)
	}
	c.got[said][node] = true
	c.all <- said
	return nil
}

// await waits until all have got something.
func (c *crowd) await(t *testing.T, count int) {
	t.Helper()
	timer := time.NewTimer(time.Minute)
	defer timer.Stop()
	for got := range count {
		select {
		case <-c.all:
		case <-timer.C:
			t.Fatalf("%d of %d nodes have it after a minute", got, count)
		}
	}
}

// turnstile is a wire that keeps when the hub began to answer each connection: that is
// when its handshake began.
type turnstile struct {
	*wire
	mu    sync.Mutex
	begun []time.Time
}

// answered is the side of a connection that the hub's bytes go to.
type answered struct {
	net.Conn
	began func()
}

// Write implements net.Conn.
func (a answered) Write(b []byte) (int, error) {
	a.began()
	return a.Conn.Write(b)
}

func startTurnstile(t *testing.T) *turnstile {
	t.Helper()
	s := &turnstile{wire: startWire(t)}
	s.watch(func(conn net.Conn) net.Conn {
		return answered{conn, sync.OnceFunc(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.begun = append(s.begun, time.Now())
		})}
	})
	return s
}

// since forgets the handshakes so far.
func (s *turnstile) since() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = nil
}

// busiest returns how many handshakes began, and how many of them within one second.
func (s *turnstile) busiest() (all, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := 0
	for i, at := range s.begun {
		for at.Sub(s.begun[from]) > time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return len(s.begun), most
}

// Many nodes that a hub has sent away come back no faster than it lets them in, all of
// them, and what came meanwhile reaches each once.
func TestManyNodesComeBackToAHubThatRestarts(t *testing.T) {
	t.Parallel()
	const count, perSecond = 200, 50
	first, w := hubtest.Start(t), startTurnstile(t)
	w.lead(first.GRPCAddress())
	ctx, cancel := context.WithCancel(t.Context())
	c := &crowd{got: map[string]map[string]bool{}, all: make(chan string, 4*count)}
	t.Cleanup(c.running.Wait)
	t.Cleanup(cancel)
	for i := range count {
		id := fmt.Sprintf("G22/portal-%d", i)
		c.receive(ctx, t, first.AddNode(id, registryv1.NodeKind_NODE_KIND_PORTAL), w.Addr().String())
		first.Grant("H41", id)
	}
	province := join(t, first.AddNode("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP), w.Addr().String())
	say := func(n int) {
		t.Helper()
		if _, err := province.Submit(t.Context(), step(t, "H41-261102-0001", n)); err != nil {
			t.Fatalf("submit: %v", err)
		}
		c.await(t, count)
	}
	say(1)

	first.Stop()
	w.since()
	second := hubtest.Start(t, func(cfg *hub.Config) { cfg.DataDir, cfg.HandshakesPerSecond = first.DataDir, perSecond })
	w.lead(second.GRPCAddress())
	began := time.Now()
	say(2)
	took := time.Since(began)
	all, most := w.busiest()
	t.Logf("%d nodes were back within %v, with %d handshakes, %d in the busiest second", count, took, all, most)
	if bound := 10*time.Second + 5*count*time.Second/perSecond; took > bound {
		t.Errorf("it took %v until all of %d nodes were back; want at most %v", took, count, bound)
	}
	if bound := 2 * perSecond; most > bound { // some begin ahead, and a busy machine lets the test see several at once
		t.Errorf("%d handshakes began within one second; want at most %d", most, bound)
	}
}
