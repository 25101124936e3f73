package main_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/hubtest/history"
	"github.com/lienthong/lienthong/nodes"
)

func organisationOf(node string) string {
	organisation, _, _ := strings.Cut(node, "/")
	return organisation
}

func grantAll(t *testing.T, registry registryv1.RegistryServiceClient, from, to string) {
	t.Helper()
	_, err := registry.GrantRight(t.Context(), &registryv1.GrantRightRequest{Right: &registryv1.Right{
		Sender: from, Receiver: to, Types: []packetv1.PacketType{packetv1.PacketType_PACKET_TYPE_PROGRESS, packetv1.PacketType_PACKET_TYPE_DOSSIER},
	}})
	if err != nil {
		t.Fatalf("grant: %v", err)
	}
}

// load is nodes at work, whatever becomes of their hub. They live in the test, and
// find the hub again by the SDK's own means.
type load struct {
	t        *testing.T
	history  *history.History
	clients  map[string]*nodes.Client
	seed     uint64
	enough   chan struct{} // closed when nothing new is to be sent
	thorough atomic.Bool   // recipients acknowledge everything they get
	senders  sync.WaitGroup

	mu       sync.Mutex
	accepted map[uint64]bool
	acked    map[string]map[uint64]bool
}

func newLoad(t *testing.T, seed uint64, profiles map[string]string) *load {
	t.Helper()
	l := &load{
		t: t, history: &history.History{}, clients: map[string]*nodes.Client{}, seed: seed, enough: make(chan struct{}),
		accepted: map[uint64]bool{}, acked: map[string]map[uint64]bool{},
	}
	for id, profile := range profiles {
		c, err := nodes.DialProfile(profile, nodes.Config{
			Logger:  slog.New(cuts{Handler: slog.DiscardHandler, cut: func() { l.history.Cut(id) }}),
			Backoff: nodes.Backoff{Min: 2 * time.Millisecond, Max: 40 * time.Millisecond},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		l.clients[id] = c
		l.acked[id] = map[uint64]bool{}
	}
	return l
}

// cuts is a log handler that hears from a client that its receive stream is over.
type cuts struct {
	slog.Handler
	cut func()
}

func (c cuts) Enabled(context.Context, slog.Level) bool { return true }

func (c cuts) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "stream" && a.Value.String() == "receive" {
			c.cut()
		}
		return true
	})
	return nil
}

// random is a source of its own for each part of the load.
func (l *load) random(part string) *rand.Rand {
	var sum uint64
	for _, b := range []byte(part) {
		sum = sum*131 + uint64(b)
	}
	return rand.New(rand.NewPCG(l.seed, sum))
}

// subjects is how many dossiers a lane writes about.
const subjects = 5

// fresh is an envelope about one of a lane's dossiers.
func (l *load) fresh(lane string, n int, random *rand.Rand) (env *exchangev1.Envelope, subject string) {
	subject = fmt.Sprintf("H41-%s-%04d", strings.ToUpper(lane), random.IntN(subjects))
	return &exchangev1.Envelope{
		Id: fmt.Sprintf("%s-%06d", lane, n), Type: packetv1.PacketType_PACKET_TYPE_PROGRESS, Format: exchangev1.Format_FORMAT_PROTOBUF,
		Content: l.step(subject, strings.Repeat("x", random.IntN(600))),
	}, subject
}

func (l *load) step(subject, comment string) []byte {
	content, err := proto.Marshal(&packetv1.MDocumentTraces{
		DocumentId: "1", DocCode: subject, UserName: "Cán bộ", UserPosition: "Chuyên viên",
		DateCreated: timestamppb.New(time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)), Comment: proto.String(comment), Status: proto.Int32(4),
		OrganizationInchargeIdLevel1: "H41", OrganizationInchargeName: "Tỉnh Nghệ An",
	})
	if err != nil {
		l.t.Errorf("content: %v", err)
	}
	return content
}

// otherwise is the envelope with the same id and other content.
func (l *load) otherwise(env *exchangev1.Envelope, subject string) *exchangev1.Envelope {
	other := proto.CloneOf(env)
	other.Content = l.step(subject, "other content for "+env.GetId())
	return other
}

// took writes down a receipt.
func (l *load) took(sender, id string, receipt *exchangev1.Receipt) *exchangev1.Statement {
	statement := &exchangev1.Statement{}
	if err := proto.Unmarshal(receipt.GetLeaf(), statement); err != nil {
		l.t.Errorf("leaf of %s: %v", id, err)
	}
	l.history.Accepted(sender, id, receipt)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted[statement.GetSequence()] = true
	return statement
}

// acknowledging writes down what a recipient is about to acknowledge.
func (l *load) acknowledging(recipient string, sequences ...uint64) {
	l.history.Acknowledged(recipient, sequences...)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, sequence := range sequences {
		l.acked[recipient][sequence] = true
	}
}

// receipts returns how many packets were accepted so far.
func (l *load) receipts() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}

// missing returns how many accepted packets a recipient has not acknowledged.
func (l *load) missing(recipient string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for sequence := range l.accepted {
		if !l.acked[recipient][sequence] {
			n++
		}
	}
	return n
}

// complain reports what went wrong while the test still wanted it to go right.
func (l *load) complain(ctx context.Context, format string, args ...any) {
	if ctx.Err() == nil {
		l.t.Errorf(format, args...)
	}
}

// pause waits a moment, and reports whether there is a reason to go on.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// errPutBack is a handler that wants a delivery later.
var errPutBack = errors.New("put back")

// unseeing sees every delivery for the first time: what comes again is written down.
type unseeing struct{}

func (unseeing) Contains(uint64) bool { return false }
func (unseeing) Add(uint64)           {}

// receive takes what comes by stream until ctx ends, and now and then puts one back.
func (l *load) receive(ctx context.Context, node string) error {
	random := l.random("receive " + node)
	handle := func(_ context.Context, d *exchangev1.Delivery) error {
		l.history.Delivered(node, d)
		if !l.thorough.Load() && random.IntN(150) == 0 {
			return errPutBack
		}
		l.acknowledging(node, d.GetPacket().GetSequence())
		return nil
	}
	for {
		err := l.clients[node].Receive(ctx, handle, nodes.ReceiveOptions{
			Credit: 1 + random.IntN(300), Seen: unseeing{},
			Acknowledged: func(sequences []uint64) { l.history.Confirmed(node, sequences...) },
		})
		if !errors.Is(err, errPutBack) {
			return err
		}
		l.history.Cut(node)
	}
}

// pull takes what comes by lease until ctx ends, and acknowledges all of it, some, or
// nothing.
func (l *load) pull(ctx context.Context, node string) error {
	random := l.random("pull " + node)
	for ctx.Err() == nil {
		_, err := l.pullOnce(ctx, node, &exchangev1.PullRequest{Max: 1 + random.Uint32N(64), WaitSeconds: 1}, random)
		if err == nil {
			continue
		}
		if ctx.Err() == nil && !again(err) {
			return err
		}
		l.history.Cut(node)
		pause(ctx, 5*time.Millisecond)
	}
	return nil
}

// again reports whether an error says that the hub is not there, or not now.
func again(err error) bool {
	return slices.Contains([]codes.Code{codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.Unknown, codes.Internal}, status.Code(err))
}

func (l *load) pullOnce(ctx context.Context, node string, req *exchangev1.PullRequest, random *rand.Rand) (came int, err error) {
	l.history.Pulling(node)
	resp, err := l.clients[node].Pull(ctx, req)
	if err != nil {
		return 0, err
	}
	var all []uint64
	for _, d := range resp.GetDeliveries() {
		l.history.Delivered(node, d)
		all = append(all, d.GetPacket().GetSequence())
	}
	came = len(all)
	if how := random.IntN(10); came > 0 && !l.thorough.Load() && how < 3 {
		all = all[:[]int{0, 1, came / 2}[how]]
	}
	if len(all) == 0 {
		return came, nil
	}
	l.acknowledging(node, all...)
	done, err := l.clients[node].Acknowledge(ctx, all...)
	if err != nil {
		return came, err
	}
	l.history.Confirmed(node, done.GetAcknowledged()...)
	return came, nil
}
