package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/hub/fault"
)

// maxCalls bounds the calls of one caller that are under way, those of the HTTP edge
// included.
const maxCalls = 1000

// sessions holds the calls under way by caller, so that a node's can be ended.
type sessions struct {
	mu      sync.Mutex
	last    uint64
	calls   map[string]map[uint64]*liveCall
	ended   func(caller string) error // set once the server stops: no stream begins after
	streams sync.WaitGroup            // handlers of streams; added to under mu, before ended
}

type liveCall struct {
	caller   string
	sessions *sessions
	end      context.CancelCauseFunc
	stream   bool
	warning  context.CancelCauseFunc // nil where the handler has not asked; under sessions.mu
}

// warn has a handler told that the server stops, at once where it does already.
func (c *liveCall) warn(warning context.CancelCauseFunc) {
	c.sessions.mu.Lock()
	defer c.sessions.mu.Unlock()
	c.warning = warning
	if c.sessions.ended != nil {
		warning(c.sessions.ended(c.caller))
	}
}

func newSessions() *sessions { return &sessions{calls: map[string]map[uint64]*liveCall{}} }

// enter admits a call until leave is called. The error is a *fault.Error.
func (s *sessions) enter(call *liveCall) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	caller := call.caller
	if call.stream && s.ended != nil {
		return nil, s.ended(caller)
	}
	// Strangers share one name; it is their connections that are bounded.
	if caller != "" && len(s.calls[caller]) >= maxCalls {
		return nil, errTooManyCalls(maxCalls)
	}
	s.last++
	id := s.last
	if s.calls[caller] == nil {
		s.calls[caller] = map[uint64]*liveCall{}
	}
	s.calls[caller][id] = call
	if call.stream {
		s.streams.Add(1)
	}
	return func() { s.leave(caller, id, call.stream) }, nil
}

func (s *sessions) leave(caller string, id uint64, stream bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls[caller], id)
	if len(s.calls[caller]) == 0 {
		delete(s.calls, caller)
	}
	if stream {
		s.streams.Done()
	}
}

// end ends all calls of a caller.
func (s *sessions) end(caller string, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, call := range s.calls[caller] {
		call.end(cause)
	}
}

// stop tells the handlers that have asked that the server stops, and ends the streams
// of others; other calls may finish. Why is what a caller is told, of so many.
func (s *sessions) stop(why func(caller string, connected int) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	connected := len(s.calls)
	s.ended = func(caller string) error { return why(caller, connected) }
	for caller, calls := range s.calls {
		for _, call := range calls {
			switch {
			case call.warning != nil:
				call.warning(s.ended(caller))
			case call.stream:
				call.end(s.ended(caller))
			}
		}
	}
}

// endStreams ends, once stop was called, the streams that are left.
func (s *sessions) endStreams() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for caller, calls := range s.calls {
		for _, call := range calls {
			if call.stream {
				call.end(s.ended(caller))
			}
		}
	}
}

// endedBy returns why the hub ended a call; nil where it did not.
func endedBy(ctx context.Context) error {
	var told *fault.Error
	if errors.As(context.Cause(ctx), &told) {
		return told
	}
	return nil
}

func errTooManyCalls(most int) error {
	return fault.New(codes.ResourceExhausted, "too_many_calls",
		fmt.Sprintf("%d calls of this node are under way; let some end first", most),
		fmt.Sprintf("hệ thống này có %d lời gọi đang thực hiện; hãy chờ một số lời gọi kết thúc", most)).After(time.Second)
}

func errTooManyStreams() error {
	return fault.New(codes.ResourceExhausted, "too_many_streams",
		fmt.Sprintf("%d streams of this node are open; let some end first", maxStreams),
		fmt.Sprintf("hệ thống này đang mở %d luồng; hãy chờ một số luồng kết thúc", maxStreams)).After(time.Second)
}
