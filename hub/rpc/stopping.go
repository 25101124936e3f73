package rpc

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/hub/fault"
)

type callKey struct{}

// Stopping returns, in the handler of a call, a context that ends before that of the
// call does where the server begins to stop: what was taken is to be finished then, and
// nothing more to be begun. Its cause is what to end a stream with. The handler of a
// stream that has asked gets a few seconds; where it has not, its stream ends at once.
// Outside a call, ctx itself is what ends.
func Stopping(ctx context.Context) (context.Context, context.CancelFunc) {
	call, ok := ctx.Value(callKey{}).(*liveCall)
	if !ok {
		return context.WithCancel(ctx)
	}
	stopping, cancel := context.WithCancelCause(ctx)
	call.warn(cancel)
	return stopping, func() { cancel(nil) }
}

// End ends, from within, a call whose handler may be held up by what the other end does
// not do: sends or waits for a message. Why is what the caller is told. Outside a call,
// it does nothing.
func End(ctx context.Context, why *fault.Error) {
	if call, ok := ctx.Value(callKey{}).(*liveCall); ok {
		call.end(why)
	}
}

// drainWithin bounds what the handlers of streams take to finish once the server
// stops.
const drainWithin = 5 * time.Second

const (
	// returnBase is about how long a restart takes; nobody comes back before.
	returnBase = 500 * time.Millisecond
	// returnWindow is how long the returns of a few nodes are spread over.
	returnWindow = time.Second
)

// ReturnAfter is when a caller is asked to come back after the server has stopped: at
// a moment of its own, in a time that is long enough for all who are connected to be
// verified one after another, and a quarter longer, so that those who come by
// themselves find room, too.
func ReturnAfter(caller string, connected, perSecond int) time.Duration {
	window := max(returnWindow, time.Duration(connected)*time.Second/time.Duration(perSecond)*5/4)
	sum := sha256.Sum256([]byte(caller))
	place := float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
	return (returnBase + time.Duration(place*float64(window))).Round(time.Millisecond)
}

func errShuttingDown(after time.Duration) error {
	return fault.New(codes.Unavailable, "shutting_down", "the hub is shutting down; connect again", "trục liên thông đang dừng; vui lòng kết nối lại").After(after)
}
