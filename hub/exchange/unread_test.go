package exchange_test

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/packet"
)

// watched counts the contents that were read, and those of them that are not in memory
// any more.
type watched struct {
	exchange.Codec
	read, gone atomic.Int64
}

// Decode implements exchange.Reader.
func (w *watched) Decode(typ packetv1.PacketType, format exchangev1.Format, content []byte) (*packet.Packet, error) {
	w.read.Add(1)
	runtime.AddCleanup(&content[0], func(gone *atomic.Int64) { gone.Add(1) }, &w.gone)
	return w.Codec.Decode(typ, format, content) //nolint:wrapcheck // a codec
}

// A sender that does not read its results makes the hub keep results, not contents:
// neither of what was accepted, nor of what was refused.
func TestUnreadResultsKeepNoContents(t *testing.T) {
	t.Parallel()
	const count = 3000
	for name, spoil := range map[string]func(content string) string{
		"accepted": func(content string) string { return content },
		"refused":  func(content string) string { return strings.Replace(content, "<Status>4", "<Status>bốn", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			codec := &watched{Codec: newCodec(t)}
			h := start(t, options{codec: codec})
			stream := submitStream(t, h.node("H41/motcua"))
			for i := range count {
				env := envelope(fmt.Sprint(i), "0001")
				env.Content = []byte(spoil(string(env.GetContent())))
				if err := stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: []*exchangev1.Envelope{env}}); err != nil {
					t.Fatal(err)
				}
			}
			kept := func() int64 { runtime.GC(); return count - codec.gone.Load() }
			for deadline := time.Now().Add(20 * time.Second); kept() > count/10 && time.Now().Before(deadline); {
				runtime.Gosched()
			}
			if codec.read.Load() != count || kept() > count/10 {
				t.Errorf("of %d contents, %d were read and %d are still in memory; want none but the last", count, codec.read.Load(), kept())
			}
			if got := results(t, stream, count); len(got) != count {
				t.Errorf("%d of %d have a result", len(got), count)
			}
		})
	}
}

// liberties is how many a content takes: as many as reading it still tells one by one.
const liberties = 700

// tolerated is an envelope whose content takes liberties.
func tolerated(id string) *exchangev1.Envelope {
	env := envelope(id, "0001")
	env.Content = []byte(strings.Replace(string(env.GetContent()), "  <DocumentId>", strings.Repeat("<x/>", liberties)+"  <DocumentId>", 1))
	return env
}

// What a receipt says of liberties is bounded, says that it is, and a frame of such
// receipts is no larger than others.
func TestWarningsAreBounded(t *testing.T) {
	t.Parallel()
	const most, frame, count = 8 << 10, 1 << 20, 300
	h := start(t, options{})
	node := h.node("H41/motcua")
	one := submit(t, node, tolerated("one"))
	if size := len(one.GetReceipt().GetLeaf()); size > most+1<<10 {
		t.Errorf("a leaf has %d bytes; want at most %d of warnings", size, most)
	}
	warnings := one.GetStatement().GetWarnings()
	last := warnings[len(warnings)-1]
	if want := fmt.Sprintf("%d more warnings", liberties-(len(warnings)-1)); last.GetRule() != "limit.findings" || !contains(last.GetMessageEn(), want) || !contains(last.GetMessageVi(), "cảnh báo") {
		t.Errorf("after %d warnings there is %v; want one that says %q", len(warnings)-1, last, want)
	}
	stream := submitStream(t, node)
	var envelopes []*exchangev1.Envelope
	for i := range count {
		envelopes = append(envelopes, tolerated(fmt.Sprint(i)))
	}
	if err := stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: envelopes, Runs: true}); err != nil {
		t.Fatal(err)
	}
	for got := 0; got < count; {
		results, err := stream.Recv()
		if err != nil {
			t.Fatalf("after %d of %d receipts: %v", got, count, err)
		}
		if size := proto.Size(results); size > frame+2*most {
			t.Errorf("a frame of receipts has %d bytes; want about %d at most", size, frame)
		}
		for _, run := range results.GetRuns() {
			got += len(run.GetLeaves())
		}
		got += len(results.GetResults())
	}
}

// Leaves count in what a sender may have queued: warnings do not pass a quota by.
func TestLeavesCountInTheQueue(t *testing.T) {
	t.Parallel()
	g := newGate()
	env := tolerated("a")
	size := len(env.GetContent())
	// Two contents have room together, but not with their leaves.
	room := 2*size + 6<<10
	h := start(t, options{brake: g.brake, limits: exchange.Limits{ContentBytes: size, SenderBytes: int64(room)}})
	node := h.node("H41/motcua")
	first := make(chan error, 1)
	go func() {
		_, err := node.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: env})
		first <- err
	}()
	within(t, g.arrived, "the commit")
	_, err := node.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: tolerated("b")})
	close(g.free)
	if err == nil || !contains(err.Error(), "bytes of this node wait to be stored") {
		t.Errorf("a second one beside the first: %v; want quota_exceeded", err)
	}
	if err := within(t, first, "the first one's answer"); err != nil {
		t.Error(err)
	}
}
