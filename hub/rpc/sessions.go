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

// maxCalls bounds the calls of one caller that are under way.
const maxCalls = 1000

// sessions holds the calls under way by caller, so that a node's can be ended.
type sessions struct {
	mu      sync.Mutex
	last    uint64
	calls   map[string]map[uint64]liveCall
	ended   error          // set once the server stops: no stream begins after
	streams sync.WaitGroup // handlers of streams; added to under mu, before ended
}

type liveCall struct {
	end    context.CancelCauseFunc
	stream bool
}

func newSessions() *sessions { return &sessions{calls: map[string]map[uint64]liveCall{}} }

// enter admits a call until leave is called. The error is a *fault.Error.
func (s *sessions) enter(caller string, call liveCall) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if call.stream && s.ended != nil {
		return nil, s.ended
	}
	// Strangers share one name; it is their connections that are bounded.
	if caller != "" && len(s.calls[caller]) >= maxCalls {
		return nil, errTooManyCalls()
	}
	s.last++
	id := s.last
	if s.calls[caller] == nil {
		s.calls[caller] = map[uint64]liveCall{}
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

// endStreams ends all streams; other calls may finish.
func (s *sessions) endStreams(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = cause
	for _, calls := range s.calls {
		for _, call := range calls {
			if call.stream {
				call.end(cause)
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

func errShuttingDown() error {
	return fault.New(codes.Unavailable, "shutting_down", "the hub is shutting down; connect again", "trục liên thông đang dừng; vui lòng kết nối lại").After(time.Second)
}

func errTooManyCalls() error {
	return fault.New(codes.ResourceExhausted, "too_many_calls",
		fmt.Sprintf("%d calls of this node are under way; let some end first", maxCalls),
		fmt.Sprintf("hệ thống này có %d lời gọi đang thực hiện; hãy chờ một số lời gọi kết thúc", maxCalls)).After(time.Second)
}
