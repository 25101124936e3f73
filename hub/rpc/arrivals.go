package rpc

import (
	"context"
	"sync"

	"google.golang.org/grpc"
)

// Calls of one node that the network may have begun. gRPC reads a message before
// its handler is asked: a node can make the hub hold as many of MaxMessageBytes.
const (
	maxUnary   = 64
	maxStreams = 96
	// perConnection lets all of them share one connection, and more than that be told
	// why they are refused.
	perConnection = 2 * (maxUnary + maxStreams)
)

// arrivals bounds the calls of each node that have come over the network, before
// anything of their messages is read.
type arrivals struct {
	streaming map[string]bool // by full method name; not changed while serving

	mu    sync.Mutex
	begun map[string]begun // by caller
}

type begun struct{ unary, streams int }

func newArrivals() *arrivals {
	return &arrivals{streaming: map[string]bool{}, begun: map[string]begun{}}
}

// learn finds out which methods stream.
func (a *arrivals) learn(services map[string]grpc.ServiceInfo) {
	for service, info := range services {
		for _, method := range info.Methods {
			a.streaming["/"+service+"/"+method.Name] = method.IsClientStream || method.IsServerStream
		}
	}
}

// enter counts a call until ctx, which is the call's, ends. The error is a *fault.Error.
func (a *arrivals) enter(ctx context.Context, caller, method string) error {
	stream := a.streaming[method]
	if err := a.count(caller, stream); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { a.leave(caller, stream) })
	return nil
}

func (a *arrivals) count(caller string, stream bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	of := a.begun[caller]
	switch {
	case stream && of.streams >= maxStreams:
		return errTooManyStreams()
	case stream:
		of.streams++
	case of.unary >= maxUnary:
		return errTooManyCalls(maxUnary)
	default:
		of.unary++
	}
	a.begun[caller] = of
	return nil
}

func (a *arrivals) leave(caller string, stream bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	of := a.begun[caller]
	if stream {
		of.streams--
	} else {
		of.unary--
	}
	if of == (begun{}) {
		delete(a.begun, caller)
		return
	}
	a.begun[caller] = of
}
