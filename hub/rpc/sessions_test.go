package rpc_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/rpc"
)

// soon is what the hub promises for the end of a node's sessions.
const soon = time.Second

func TestSuspensionEndsLiveStreams(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	d := open(t, &services{receive: func(stream exchangev1.ExchangeService_ReceiveServer) error {
		begun <- struct{}{}
		return untilDone(stream)
	}})
	receive := func(node string) <-chan error {
		stream, err := d.node(node).Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		within(t, 5*time.Second, begun, "begin of the stream")
		return end(stream)
	}
	first, second, other := receive("H41/motcua"), receive("H41/motcua"), receive("H42/motcua")
	d.suspend("H41/motcua")
	for _, ended := range []<-chan error{first, second} {
		wantRefused(t, within(t, soon, ended, "end of a suspended node's stream"), codes.PermissionDenied, "node_not_active")
	}
	select {
	case err := <-other:
		t.Errorf("another node's stream ended: %v", err)
	default:
	}
}

// A client that does not read cannot hold on to its stream: the handler, blocked
// in a send that nothing but the end of the stream ends, is let go.
func TestSuspensionEndsAStreamThatIsNotRead(t *testing.T) {
	t.Parallel()
	sent, left := make(chan struct{}, 1), make(chan error, 1)
	d := open(t, &services{receive: func(stream exchangev1.ExchangeService_ReceiveServer) error {
		frame := &exchangev1.ReceiveResponse{Deliveries: []*exchangev1.Delivery{{Packet: &exchangev1.AcceptedPacket{ContentSha256: make([]byte, 1<<20)}}}}
		for {
			if err := stream.Send(frame); err != nil {
				left <- err
				return err
			}
			select {
			case sent <- struct{}{}:
			default:
			}
		}
	}})
	stream, err := d.node("H41/motcua").Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, sent, "first frame")
	d.suspend("H41/motcua")
	within(t, soon, left, "end of the handler")
	wantRefused(t, within(t, 5*time.Second, end(stream), "end of the stream"), codes.PermissionDenied, "node_not_active")
}

// Calls that wait, as long polls do, bring a suspended node nothing either.
func TestSuspensionEndsCallsUnderWay(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 2)
	d := open(t, &services{pull: func(ctx context.Context) error {
		begun <- struct{}{}
		<-ctx.Done()
		return nil // as if something had come just then
	}})
	node := d.node("H41/motcua")
	ended := make(chan error, 2)
	go func() {
		_, err := node.Pull(t.Context(), &exchangev1.PullRequest{})
		ended <- err
	}()
	go func() {
		ctx := rpc.WithCaller(t.Context(), certs.Identity{Kind: certs.KindNode, Organisation: "H41", Name: "motcua"})
		_, err := exchangev1.NewExchangeServiceClient(d.server.InProcess()).Pull(ctx, &exchangev1.PullRequest{})
		ended <- err
	}()
	within(t, 5*time.Second, begun, "first call")
	within(t, 5*time.Second, begun, "second call")
	d.suspend("H41/motcua")
	for range 2 {
		wantRefused(t, within(t, soon, ended, "end of the call"), codes.PermissionDenied, "node_not_active")
	}
}

// What a node has under way is bounded, streams and other calls by themselves, over
// however many connections; it is told so before its message is read. Other nodes are
// not concerned.
func TestOneNodeHasABoundedNumberOfCalls(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, reason string
		limit        int
		open         func(ctx context.Context, node exchangev1.ExchangeServiceClient) error
		other        func(ctx context.Context, node exchangev1.ExchangeServiceClient) error
	}{
		{"streams", "too_many_streams", 96, receiveOnce, pullOnce},
		{"calls", "too_many_calls", 64, pullOnce, receiveOnce},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			boundedCalls(t, tc.limit, tc.reason, tc.open, tc.other)
		})
	}
}

// receiveOnce has a stream under way until its handler ends it.
func receiveOnce(ctx context.Context, node exchangev1.ExchangeServiceClient) error {
	stream, err := node.Receive(ctx)
	if err == nil {
		_, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func pullOnce(ctx context.Context, node exchangev1.ExchangeServiceClient) error {
	_, err := node.Pull(ctx, &exchangev1.PullRequest{})
	return err
}

type calling func(ctx context.Context, node exchangev1.ExchangeServiceClient) error

func boundedCalls(t *testing.T, limit int, reason string, open, other calling) {
	t.Helper()
	d, begun, finish := openCounting(t, limit)
	own := issueNode(t, d.authority, "H41/motcua")
	greedy := []exchangev1.ExchangeServiceClient{
		exchangev1.NewExchangeServiceClient(d.dial(own)), exchangev1.NewExchangeServiceClient(d.dial(own)),
	}
	ended := make(chan error, limit)
	for i := range limit {
		go func() { ended <- open(t.Context(), greedy[i%2]) }()
	}
	for range limit {
		within(t, 10*time.Second, begun, "begin of a call")
	}
	for _, node := range greedy {
		err := open(t.Context(), node)
		wantRefused(t, err, codes.ResourceExhausted, reason)
		if fault.From(err).RetryAfter <= 0 {
			t.Error("the refusal does not say when to try again")
		}
	}
	close(finish)
	if err := other(t.Context(), greedy[0]); err != nil {
		t.Errorf("a call of the other sort is refused: %v", err)
	}
	if err := open(t.Context(), d.node("H42/motcua")); err != nil {
		t.Errorf("another node is refused, too: %v", err)
	}
	for range limit {
		if err := within(t, 10*time.Second, ended, "end of a call"); err != nil {
			t.Errorf("a call within the bound: %v", err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); open(t.Context(), greedy[0]) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("room is not given back when calls end")
		}
	}
}

// openCounting is a door whose first handlers wait to be let go.
func openCounting(t *testing.T, first int) (d *door, begun, finish chan struct{}) {
	t.Helper()
	begun, finish = make(chan struct{}, 4*first), make(chan struct{})
	wait := func() error {
		select {
		case begun <- struct{}{}:
		default:
		}
		<-finish
		return nil
	}
	return open(t, &services{
		pull:    func(context.Context) error { return wait() },
		receive: func(exchangev1.ExchangeService_ReceiveServer) error { return wait() },
	}), begun, finish
}

func TestGracefulStop(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, 2), make(chan struct{})
	d := open(t, &services{
		pull: func(ctx context.Context) error {
			begun <- struct{}{}
			<-finish
			return ctx.Err()
		},
		receive: func(stream exchangev1.ExchangeService_ReceiveServer) error {
			begun <- struct{}{}
			return untilDone(stream)
		},
	})
	node := d.node("H41/motcua")
	stream, err := node.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	called := make(chan error, 1)
	go func() {
		_, err := node.Pull(t.Context(), &exchangev1.PullRequest{})
		called <- err
	}()
	within(t, 5*time.Second, begun, "first call")
	within(t, 5*time.Second, begun, "second call")
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	wantRefused(t, within(t, soon, end(stream), "end of the stream"), codes.Unavailable, "shutting_down")
	close(finish)
	if err := within(t, soon, called, "end of the call"); err != nil {
		t.Errorf("a call under way ended with %v; want it to finish", err)
	}
	if err := within(t, 5*time.Second, stopped, "end of the server"); err != nil {
		t.Errorf("the server ended with: %v", err)
	}
}

func TestStopCutsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	d := open(t, &services{pull: func(ctx context.Context) error {
		close(begun)
		<-ctx.Done() // nothing but the cut ends it
		return ctx.Err()
	}})
	called := make(chan error, 1)
	node := d.node("H41/motcua")
	go func() {
		_, err := node.Pull(t.Context(), &exchangev1.PullRequest{})
		called <- err
	}()
	within(t, 5*time.Second, begun, "the call")
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	if err := within(t, 5*time.Second, stopped, "end of the server"); err != nil {
		t.Errorf("the server ended with: %v", err)
	}
	if err := within(t, soon, called, "end of the call"); err == nil {
		t.Error("the call succeeded")
	}
}

// A half-closed stream whose handler returns nil ends with OK.
func TestStreamsEndAsTheirHandlersDo(t *testing.T) {
	t.Parallel()
	d := open(t, &services{submit: func(stream exchangev1.ExchangeService_SubmitStreamServer) error {
		for {
			if _, err := stream.Recv(); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}})
	stream, err := d.node("H41/motcua").SubmitStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v; want OK", err)
	}
}
