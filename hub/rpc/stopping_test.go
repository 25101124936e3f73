package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/rpc"
)

// Nodes are asked to come back each at a time of its own, spread evenly over a time
// that grows with their number: no part of it gets many more than its share.
func TestReturnsAreSpreadByNode(t *testing.T) {
	t.Parallel()
	const perSecond = 500
	for _, tc := range []struct {
		connected int
		window    time.Duration
	}{{1, time.Second}, {100, time.Second}, {1000, 2500 * time.Millisecond}, {10_000, 25 * time.Second}} {
		all := make([]time.Duration, tc.connected)
		for i := range all {
			node := fmt.Sprintf("H%d/motcua-%d", i%63, i)
			all[i] = rpc.ReturnAfter(node, tc.connected, perSecond)
			if again := rpc.ReturnAfter(node, tc.connected, perSecond); again != all[i] {
				t.Errorf("two streams of %s are told %v and %v; want one time, for they share a connection", node, all[i], again)
			}
		}
		if first, last := slices.Min(all), slices.Max(all); first <= 0 || last > tc.window+time.Second {
			t.Errorf("%d nodes come back after %v to %v; want within %v", tc.connected, first, last, tc.window+time.Second)
		}
		if most := inOneSecond(all); most > perSecond {
			t.Errorf("of %d nodes, %d come back within one second; %d can be verified", tc.connected, most, perSecond)
		}
	}
}

// inOneSecond returns how many times lie within the fullest second.
func inOneSecond(times []time.Duration) int {
	slices.Sort(times)
	most, from := 0, 0
	for i, at := range times {
		for at-times[from] > time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// A handler that asks is warned before its stream ends, and ends it itself; the
// server's word about when to come back is with it.
func TestHandlersFinishBeforeTheirStreamsEnd(t *testing.T) {
	t.Parallel()
	begun, finished := make(chan struct{}, 1), make(chan struct{})
	d := open(t, &services{receive: func(stream exchangev1.ExchangeService_ReceiveServer) error {
		stopping, stop := rpc.Stopping(stream.Context())
		defer stop()
		begun <- struct{}{}
		<-stopping.Done()
		<-finished
		if err := stream.Send(&exchangev1.ReceiveResponse{Acknowledged: []uint64{7}}); err != nil {
			return err
		}
		return fmt.Errorf("ended: %w", context.Cause(stopping))
	}})
	stream, err := d.node("H41/motcua").Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, begun, "the stream")
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	close(finished)
	if last, err := stream.Recv(); err != nil || last.GetAcknowledged()[0] != 7 {
		t.Errorf("what the handler had to say in the end: %v, %v", last, err)
	}
	_, err = stream.Recv()
	wantRefused(t, err, codes.Unavailable, "shutting_down")
	if after := fault.From(err).RetryAfter; after != rpc.ReturnAfter("H41/motcua", 1, rpc.DefaultHandshakesPerSecond) {
		t.Errorf("the node is to come back after %v; want a time of its own", after)
	}
	if err := within(t, 5*time.Second, stopped, "end of the server"); err != nil {
		t.Error(err)
	}
}

// A handler that was warned and goes on is ended before the stop is cut.
func TestWarnedHandlersHaveADeadline(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 1)
	d := open(t, &services{receive: func(stream exchangev1.ExchangeService_ReceiveServer) error {
		_, stop := rpc.Stopping(stream.Context())
		defer stop()
		begun <- struct{}{}
		return untilDone(stream)
	}})
	stream, err := d.node("H41/motcua").Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, begun, "the stream")
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	wantRefused(t, within(t, 5*time.Second, end(stream), "end of the stream"), codes.Unavailable, "shutting_down")
	if err := within(t, 5*time.Second, stopped, "end of the server"); err != nil {
		t.Error(err)
	}
}

// Calls that wait for something are told, too, and may answer with what they have.
func TestCallsThatWaitAreWarned(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 1)
	d := open(t, &services{pull: func(ctx context.Context) error {
		stopping, stop := rpc.Stopping(ctx)
		defer stop()
		begun <- struct{}{}
		<-stopping.Done()
		if ctx.Err() != nil {
			return errors.New("the call itself has ended")
		}
		return nil
	}})
	called := make(chan error, 1)
	node := d.node("H41/motcua")
	go func() {
		_, err := node.Pull(t.Context(), &exchangev1.PullRequest{WaitSeconds: 20})
		called <- err
	}()
	within(t, 5*time.Second, begun, "the call")
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	if err := within(t, soon, called, "end of the call"); err != nil {
		t.Errorf("the call ended with %v; want its answer", err)
	}
	if err := within(t, 5*time.Second, stopped, "end of the server"); err != nil {
		t.Error(err)
	}
}
