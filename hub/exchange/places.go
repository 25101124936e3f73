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

// Streams of contents that are under way at one time, of one node and of all: each
// holds a block of 1 MiB, and what gRPC lets come ahead, up to 16 MiB. As many again may
// wait for their nodes' quotas, beside those of all.
const (
	transfersPerNode = 8
	transfersInAll   = 32
)

// leastSpeed is what a content has to travel at, in bytes a second: less than any line
// of the field has. Who is slower for long leaves its place to others, and goes on from
// where it stopped.
const leastSpeed = 8 << 10

// transfers bounds what large contents take of the hub.
type transfers struct {
	reading *semaphore.Weighted // one large packet is read at a time

	mu     sync.Mutex
	all    int // under way
	paced  int // that wait for their nodes' quotas instead
	byNode map[string]int
}

func newTransfers() *transfers {
	return &transfers{reading: semaphore.NewWeighted(1), byNode: map[string]int{}}
}

// place is what a stream has until leave. It is for one goroutine.
type place struct {
	of    *transfers
	node  string
	paced bool // is counted as one that waits
}

// enter counts a stream until it leaves; a *fault.Error where there are too many.
func (t *transfers) enter(node string) (*place, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byNode[node] >= transfersPerNode || t.all >= transfersInAll {
		return nil, fault.New(codes.ResourceExhausted, "too_many_transfers",
			fmt.Sprintf("%d large packets of one node, and %d of all, travel at one time; try again later", transfersPerNode, transfersInAll),
			fmt.Sprintf("mỗi hệ thống được truyền cùng lúc %d gói tin lớn, toàn trục %d; vui lòng thử lại sau", transfersPerNode, transfersInAll)).After(time.Second)
	}
	t.all++
	t.byNode[node]++
	return &place{of: t, node: node}, nil
}

func (p *place) leave() {
	t := p.of
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.paced {
		t.paced--
	} else {
		t.all--
	}
	if t.byNode[p.node]--; t.byNode[p.node] == 0 {
		delete(t.byNode, p.node)
	}
}

// stepAside leaves the place to others while the hub itself keeps the node waiting, where
// there are not too many such already. What the stream holds stays bounded so.
func (p *place) stepAside() {
	t := p.of
	t.mu.Lock()
	defer t.mu.Unlock()
	if !p.paced && t.paced < transfersInAll {
		p.paced = true
		t.paced++
		t.all--
	}
}

// comeBack takes a place again; false where there is none now.
func (p *place) comeBack() bool {
	t := p.of
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.paced && t.all < transfersInAll {
		p.paced = false
		t.paced--
		t.all++
	}
	return !p.paced
}

// paceBytes waits until the node at a place may send more of a content, and counts it as
// sent. While it waits, others may have the place.
func (q *quota) paceBytes(ctx context.Context, at *place, size int) error {
	for waited := false; ; waited = true {
		wait := q.takeBytes(at.node, size)
		if wait == 0 {
			break
		}
		if waited || wait > paceStep { // a short wait is not worth it
			at.stepAside()
		}
		if err := pause(ctx, min(wait, paceStep)); err != nil {
			return err
		}
	}
	for !at.comeBack() {
		if err := pause(ctx, comeBackStep); err != nil {
			return err
		}
	}
	return nil
}

// comeBackStep is after how long one that has stepped aside looks for a place again.
const comeBackStep = 100 * time.Millisecond

// takeBytes counts bytes as sent, or returns how long to wait before they are.
func (q *quota) takeBytes(node string, size int) (wait time.Duration) {
	rate := q.of(node).BytesPerSecond
	if rate == 0 {
		return 0
	}
	own := q.account(node)
	own.mu.Lock()
	defer own.mu.Unlock()
	if wait = own.bytes.wait(q.clock(), rate); wait == 0 {
		own.bytes.left -= float64(size)
	}
	return wait
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the quota: %w", context.Cause(ctx))
	}
}

// patience is how long the hub still waits for the other end of a stream. It runs out as
// the hub waits, and grows by what travels, at leastSpeed, to no more than
// Limits.TransferIdle: nobody keeps a place by a byte now and then. What the hub itself
// takes, for its disk or the node's quota, is not waited for. What was uploaded stays held.
type patience struct {
	service *Service
	ctx     context.Context //nolint:containedctx // of the stream whose patience it is
	left    time.Duration
}

func (s *Service) patienceWith(ctx context.Context) *patience {
	return &patience{service: s, ctx: ctx, left: s.limits.TransferIdle}
}

// begin ends the call unless over is called, with what has travelled, before patience
// runs out.
func (p *patience) begin() (over func(travelled int)) {
	most := p.service.limits.TransferIdle
	began := time.Now()
	timer := time.AfterFunc(p.left, func() {
		p.service.end(p.ctx, fault.New(codes.Aborted, "transfer_stalled",
			fmt.Sprintf("the large packet stood still for %v, or travelled slower than %d bytes a second for longer; go on from where it stopped", most, leastSpeed),
			fmt.Sprintf("gói tin lớn không được truyền trong %v, hoặc truyền chậm hơn %d byte mỗi giây lâu hơn thế; hãy truyền tiếp từ chỗ đã dừng", most, leastSpeed)).After(time.Second))
	})
	return func(travelled int) {
		timer.Stop()
		earned := time.Duration(travelled) * time.Second / leastSpeed
		p.left = min(most, p.left-time.Since(began)+earned)
	}
}
