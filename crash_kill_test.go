package main_test

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/hubtest/history"
	"github.com/lienthong/lienthong/nodes"
)

// The nodes of the test.
const (
	streamSender = "H41/motcua"
	secondSender = "H41/so-xd"
	frameSender  = "H41/so-tc"
	streamPortal = "G22/portal"
	pullPortal   = "G12/portal"
)

// A hub that is killed at any moment, again and again, keeps its word: what it gave
// a receipt for is there, once, in order, and arrives. Some times it is asked to end,
// and has to do so in order; some times it is killed while it does.
func TestKilledHubKeepsItsWord(t *testing.T) {
	t.Parallel()
	cycles, seed := int(numberIn(t, killCyclesVariable, 50)), numberIn(t, killSeedVariable, rand.Uint64()) //nolint:gosec // as many as somebody asks for
	t.Logf("%s=%d %s=%d", killSeedVariable, seed, killCyclesVariable, cycles)
	random := rand.New(rand.NewPCG(seed, 0))
	k := newKillable(t)
	k.killFirstStarts(t, random)
	first := k.start(t)
	first.untilServing(t)
	profiles := k.join(t, []string{streamSender, secondSender, frameSender}, []string{streamPortal, pullPortal})
	l := newLoad(t, seed, profiles)
	stop := l.begin(t, profiles[frameSender])
	defer stop()
	l.afterAReceipt(t, first)
	l.killAfter(t, first, 50*time.Millisecond)

	ending := &endings{load: l, hub: k, random: random, count: map[string]int{}}
	for range cycles {
		ending.next(t)
	}
	last := l.drain(t, k, stop)
	last.endInOrder(t)
	again := k.start(t)
	again.untilServing(t)
	l.empty(t, streamPortal)
	l.empty(t, pullPortal)
	l.judge(t)
	again.endInOrder(t)
	k.fsck(t)
	t.Logf("%d packets, %d receipts, %d deliveries; %v", l.receipts(), l.history.Receipts(), l.history.Deliveries(), ending.count)
}

// killFirstStarts kills the hub while it makes its data directory, on which a hub
// must start all the same.
func (k *killable) killFirstStarts(t *testing.T, random *rand.Rand) {
	t.Helper()
	for range 5 {
		hub := k.start(t)
		hub.last(t, time.Duration(random.Int64N(int64(200*time.Millisecond))))
		hub.kill(t)
	}
}

func numberIn(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q: a number is expected", variable, text)
	}
	return n
}

// begin sets every sender and recipient to work. What it returns ends the recipients
// and waits for everybody; it may be called again.
func (l *load) begin(t *testing.T, frameProfile string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var recipients sync.WaitGroup
	of := &recent{}
	frames := l.newFrames(t, frameSender, "frames", frameProfile)
	l.senders.Go(func() { l.submitStream(ctx, streamSender, "stream", of) })
	l.senders.Go(func() { l.submitOne(ctx, streamSender, "unary", of) })
	l.senders.Go(func() { l.submitStream(ctx, secondSender, "second", &recent{}) })
	l.senders.Go(func() { frames.run(ctx) })
	for node, take := range map[string]func(context.Context, string) error{streamPortal: l.receive, pullPortal: l.pull} {
		recipients.Go(func() {
			if err := take(ctx, node); err != nil {
				l.complain(ctx, "%s can no longer receive: %v", node, err)
			}
		})
	}
	return func() {
		cancel()
		l.senders.Wait()
		recipients.Wait()
	}
}

// afterAReceipt waits until a packet more is accepted.
func (l *load) afterAReceipt(t *testing.T, hub *life) {
	t.Helper()
	before, began := l.receipts(), time.Now()
	for l.receipts() == before {
		hub.last(t, 2*time.Millisecond)
		if time.Since(began) > patience {
			t.Fatalf("a hub that serves accepts nothing\n%s", hub.lastWords())
		}
	}
}

func (l *load) killAfter(t *testing.T, hub *life, wait time.Duration) {
	t.Helper()
	hub.last(t, wait)
	l.history.Killed()
	hub.kill(t)
}

// endings are the ways in which a hub ends.
type endings struct {
	load   *load
	hub    *killable
	random *rand.Rand
	count  map[string]int
}

func (e *endings) within(most time.Duration) time.Duration {
	return time.Duration(e.random.Int64N(int64(most)))
}

// next starts the hub and ends it in one of the ways.
func (e *endings) next(t *testing.T) {
	t.Helper()
	ways := []struct {
		name  string
		share int
		run   func(*testing.T, *life)
	}{
		{"killed as it starts", 15, e.asItStarts},
		{"killed as its nodes come back", 20, e.asNodesComeBack},
		{"killed under load", 35, e.underLoad},
		{"stopped in order", 12, e.inOrder},
		{"killed as it stops", 18, e.asItStops},
	}
	drawn := e.random.IntN(100)
	for _, way := range ways {
		if drawn -= way.share; drawn < 0 {
			e.count[way.name]++
			way.run(t, e.hub.start(t))
			return
		}
	}
}

func (e *endings) asItStarts(t *testing.T, hub *life) {
	t.Helper()
	e.load.killAfter(t, hub, e.within(300*time.Millisecond))
}

func (e *endings) asNodesComeBack(t *testing.T, hub *life) {
	t.Helper()
	hub.untilServing(t)
	e.load.killAfter(t, hub, 5*time.Millisecond+e.within(100*time.Millisecond))
}

func (e *endings) underLoad(t *testing.T, hub *life) {
	t.Helper()
	hub.untilServing(t)
	e.load.afterAReceipt(t, hub)
	e.load.killAfter(t, hub, 5*time.Millisecond+e.within(395*time.Millisecond))
}

func (e *endings) inOrder(t *testing.T, hub *life) {
	t.Helper()
	hub.untilServing(t)
	e.load.afterAReceipt(t, hub)
	hub.last(t, e.within(200*time.Millisecond))
	hub.endInOrder(t)
}

func (e *endings) asItStops(t *testing.T, hub *life) {
	t.Helper()
	hub.untilServing(t)
	e.load.afterAReceipt(t, hub)
	hub.last(t, e.within(100*time.Millisecond))
	hub.ask(t)
	timer := time.NewTimer(e.within(40 * time.Millisecond))
	defer timer.Stop()
	select {
	case <-hub.ended:
		if hub.err != nil {
			t.Fatalf("the hub ended on SIGTERM with: %v; want status 0\n%s", hub.err, hub.lastWords())
		}
		e.count["stopped before it was killed"]++
	case <-timer.C:
		e.load.history.Killed()
		hub.kill(t)
	}
}

// drain starts the hub for good, lets senders finish, and recipients take everything.
func (l *load) drain(t *testing.T, k *killable, stop func()) *life {
	t.Helper()
	l.thorough.Store(true)
	hub := k.start(t)
	hub.untilServing(t)
	close(l.enough)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		l.senders.Wait()
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-answered:
	case <-timer.C:
		t.Fatalf("senders have not got an answer for everything\n%s", hub.lastWords())
	}
	for began := time.Now(); l.missing(streamPortal)+l.missing(pullPortal) > 0; {
		hub.last(t, 5*time.Millisecond)
		if time.Since(began) > patience {
			t.Errorf("%s lacks %d packets, %s lacks %d", streamPortal, l.missing(streamPortal), pullPortal, l.missing(pullPortal))
			break // the judgement names them
		}
	}
	stop()
	l.empty(t, streamPortal)
	l.empty(t, pullPortal)
	return hub
}

// empty takes what is left in an inbox. Only acknowledgements that were lost in a
// kill leave something there: Check knows.
func (l *load) empty(t *testing.T, node string) {
	t.Helper()
	l.history.Cut(node)
	for {
		came, err := l.pullOnce(t.Context(), node, &exchangev1.PullRequest{Max: 1000}, l.random("empty"))
		switch {
		case err != nil && again(err) && pause(t.Context(), time.Millisecond):
		case err != nil:
			t.Fatalf("empty the inbox of %s: %v", node, err)
		case came == 0:
			return
		}
	}
}

// judge lets the checker compare what clients saw with what the hub has.
func (l *load) judge(t *testing.T) {
	t.Helper()
	violations, err := l.history.Check(t.Context(), asked(l.clients))
	if err != nil {
		t.Fatal(err)
	}
	of := map[history.Rule]int{}
	for _, v := range violations {
		if of[v.Rule]++; of[v.Rule] <= shownOfEachRule {
			t.Error(v)
		}
	}
	if len(of) > 0 {
		t.Errorf("violations of each rule: %v", of)
	}
}

// shownOfEachRule keeps what a lost packet entails readable.
const shownOfEachRule = 5

// asked is the hub as its nodes can ask it.
type asked map[string]*nodes.Client

var _ history.Hub = asked(nil)

// Packet implements history.Hub.
func (a asked) Packet(ctx context.Context, node string, sequence uint64) (*exchangev1.AcceptedPacket, bool, error) {
	p, err := a[node].GetPacket(ctx, sequence, exchangev1.Format_FORMAT_UNSPECIFIED)
	if status.Code(err) == codes.NotFound {
		return nil, false, nil
	}
	return p, err == nil, err
}

// Receipt implements history.Hub.
func (a asked) Receipt(ctx context.Context, node string, sequence uint64) (*exchangev1.Receipt, bool, error) {
	r, err := a[node].GetReceipt(ctx, sequence)
	if status.Code(err) == codes.NotFound {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return r.Receipt, true, nil
}
