package exchange_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/packet"
)

// groups is a store that keeps who was in each commit group. The first commit waits
// until it is let go.
type groups struct {
	exchange.Store
	arrived, free chan struct{}

	mu  sync.Mutex
	all [][]string
}

func (g *groups) brake(s exchange.Store) exchange.Store {
	g.Store = s
	return g
}

// Accept implements exchange.Store.
func (g *groups) Accept(ctx context.Context, group []store.Submission, seal store.SealFunc) ([]store.Outcome, error) {
	var senders []string
	for _, s := range group {
		senders = append(senders, s.Sender)
	}
	g.mu.Lock()
	g.all = append(g.all, senders)
	first := len(g.all) == 1
	g.mu.Unlock()
	if first {
		close(g.arrived)
		<-g.free
	}
	return g.Store.Accept(ctx, group, seal)
}

// reading tells when so much was read.
type reading struct {
	exchange.Codec
	mu    sync.Mutex
	left  int
	ended chan struct{}
}

// next returns a channel that is closed when so many packets more were read.
func (r *reading) next(packets int) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left, r.ended = packets, make(chan struct{})
	return r.ended
}

// Decode implements exchange.Reader.
func (r *reading) Decode(typ packetv1.PacketType, format exchangev1.Format, content []byte) (*packet.Packet, error) {
	r.mu.Lock()
	if r.left--; r.left == 0 {
		close(r.ended)
	}
	r.mu.Unlock()
	return r.Codec.Decode(typ, format, content)
}

// However much a sender has queued, what another sends then is in one of the next
// two groups; and the order of each sender stays.
func TestAFullQueueOfOneSenderDoesNotHoldUpAnother(t *testing.T) {
	t.Parallel()
	const perGroup, greedy = 32, 40 * 32
	for _, perFrame := range []int{1, perGroup, 5 * perGroup} {
		t.Run(fmt.Sprint(perFrame, " in a frame"), func(t *testing.T) {
			t.Parallel()
			g := &groups{arrived: make(chan struct{}), free: make(chan struct{})}
			read := &reading{Codec: newCodec(t)}
			h := start(t, options{brake: g.brake, codec: read, limits: exchange.Limits{GroupEnvelopes: perGroup, GroupBytes: perGroup << 10}})
			var wg sync.WaitGroup
			wg.Go(func() { submit(t, h.node("H41/dau"), envelope("first", "0001")) })
			within(t, g.arrived, "the first commit")

			all := read.next(greedy)
			stream := submitStream(t, h.node("H41/motcua"))
			wg.Go(func() { results(t, stream, greedy) })
			for i := 0; i < greedy; i += perFrame {
				sendFrame(t, stream, "greedy", i, perFrame)
			}
			within(t, all, "all of the greedy sender")
			both := read.next(2)
			late := submitStream(t, h.node("H41/khac"))
			sendFrame(t, late, "late", 0, 1)
			sendFrame(t, late, "late", 1, 1) // once this is read, the one before is queued
			within(t, both, "the late packets")
			close(g.free)
			results(t, late, 2)
			wg.Wait()
			wantSoon(t, g.all, "H41/khac")
		})
	}
}

func sendFrame(t *testing.T, stream exchangev1.ExchangeService_SubmitStreamClient, id string, from, count int) {
	t.Helper()
	req := &exchangev1.SubmitStreamRequest{}
	for n := range count {
		req.Envelopes = append(req.Envelopes, envelope(fmt.Sprint(id, from+n), "0001"))
	}
	if err := stream.Send(req); err != nil {
		t.Fatal(err)
	}
}

func wantSoon(t *testing.T, groups [][]string, sender string) {
	t.Helper()
	for i, group := range groups {
		for _, s := range group {
			if s == sender {
				if i > 2 {
					t.Errorf("it is in group %d after the one that was being committed, of %d; want 1 or 2", i, len(groups)-1)
				}
				return
			}
		}
	}
	t.Error("it is in no group")
}
