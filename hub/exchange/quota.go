package exchange

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/hub/fault"
)

// quota bounds what waits for its commit: of all senders together, and of each,
// so that one that sends too much waits for itself and not others for it.
type quota struct {
	all  *semaphore.Weighted
	each int64

	mu       sync.Mutex
	bySender map[string]*semaphore.Weighted // one per node that has sent
}

func newQuota(limits Limits) *quota {
	return &quota{
		all: semaphore.NewWeighted(limits.QueuedBytes), each: limits.SenderBytes,
		bySender: map[string]*semaphore.Weighted{},
	}
}

// acquire takes room until release is called. Where the sender has used up its
// own room, it waits or, without patience, is refused; for the room of all it
// waits in any case.
func (q *quota) acquire(ctx context.Context, sender string, size int, patient bool) (release func(), err error) {
	weight := min(int64(size), q.each)
	own := q.of(sender)
	if !patient && !own.TryAcquire(weight) {
		return nil, fault.New(codes.ResourceExhausted, "quota_exceeded",
			fmt.Sprintf("more than %d bytes of this node wait to be stored; submit again later, or by stream", q.each),
			fmt.Sprintf("hệ thống này có hơn %d byte đang chờ lưu; vui lòng gửi lại sau, hoặc gửi theo luồng", q.each)).After(time.Second)
	}
	if patient {
		if err := own.Acquire(ctx, weight); err != nil {
			return nil, fmt.Errorf("wait for room: %w", err)
		}
	}
	if err := q.all.Acquire(ctx, weight); err != nil {
		own.Release(weight)
		return nil, fmt.Errorf("wait for room: %w", err)
	}
	return func() {
		own.Release(weight)
		q.all.Release(weight)
	}, nil
}

func (q *quota) of(sender string) *semaphore.Weighted {
	q.mu.Lock()
	defer q.mu.Unlock()
	own, ok := q.bySender[sender]
	if !ok {
		own = semaphore.NewWeighted(q.each)
		q.bySender[sender] = own
	}
	return own
}
