package exchange

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// Quota is how much one node may send, and how much may wait for it; 0 is no limit.
type Quota struct {
	PacketsPerSecond uint64
	// BytesPerSecond are of contents. A packet that is larger passes, and what follows
	// it waits.
	BytesPerSecond uint64
	// InboxBytes may wait for the node, or be on the way to its inbox: as records, and
	// what is beside them. The packet that reaches them still gets there.
	InboxBytes uint64
}

// rated reports whether there is a limit to what the node may send in a second.
func (q Quota) rated() bool { return q.PacketsPerSecond > 0 || q.BytesPerSecond > 0 }

// quota bounds what nodes send, and what of it waits for its commit: of all senders
// together, and of each, so that one that sends too much waits for itself and not
// others for it.
type quota struct {
	of    func(node string) Quota
	clock func() time.Time
	all   *semaphore.Weighted
	each  int64

	mu       sync.Mutex
	accounts map[string]*account // one per node that has sent
}

// account is what one node has sent.
type account struct {
	room *semaphore.Weighted // for what waits for its commit

	mu             sync.Mutex
	packets, bytes bucket
}

func newQuota(limits Limits, of func(node string) Quota, clock func() time.Time) *quota {
	return &quota{
		of: of, clock: clock,
		all: semaphore.NewWeighted(limits.QueuedBytes), each: limits.SenderBytes,
		accounts: map[string]*account{},
	}
}

func (q *quota) account(node string) *account {
	q.mu.Lock()
	defer q.mu.Unlock()
	own, ok := q.accounts[node]
	if !ok {
		own = &account{room: semaphore.NewWeighted(q.each)}
		q.accounts[node] = own
	}
	return own
}

// acquire takes room until release is called. Where the sender has used up its
// own room, it waits or, without patience, is refused; for the room of all it
// waits in any case.
func (q *quota) acquire(ctx context.Context, sender string, size int, patient bool) (release func(), err error) {
	weight := min(int64(size), q.each)
	own := q.account(sender).room
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

// spend counts envelopes as sent, whatever becomes of them, or returns how long a
// node has to wait before it may send them.
func (q *quota) spend(node string, envelopes []*exchangev1.Envelope) (wait time.Duration) {
	most := q.of(node)
	if !most.rated() {
		return 0
	}
	size := 0
	for _, env := range envelopes {
		size += len(env.GetContent())
	}
	now, own := q.clock(), q.account(node)
	own.mu.Lock()
	defer own.mu.Unlock()
	wait = max(own.packets.wait(now, most.PacketsPerSecond), own.bytes.wait(now, most.BytesPerSecond))
	if wait == 0 {
		own.packets.left -= float64(len(envelopes))
		own.bytes.left -= float64(size)
	}
	return wait
}

// hurry refuses an envelope that a node may not send now.
func (q *quota) hurry(node string, env *exchangev1.Envelope) error {
	wait := q.spend(node, []*exchangev1.Envelope{env})
	if wait == 0 {
		return nil
	}
	en, vi := q.of(node).rates()
	return fault.New(codes.ResourceExhausted, "rate_exceeded",
		fmt.Sprintf("this node may send %s a second; submit again later", en),
		fmt.Sprintf("hệ thống này được gửi %s mỗi giây; vui lòng gửi lại sau", vi)).After(wait)
}

func (q Quota) rates() (en, vi string) {
	var ens, vis []string
	if q.PacketsPerSecond > 0 {
		ens, vis = append(ens, fmt.Sprintf("%d packets", q.PacketsPerSecond)), append(vis, fmt.Sprintf("%d gói tin", q.PacketsPerSecond))
	}
	if q.BytesPerSecond > 0 {
		ens, vis = append(ens, fmt.Sprintf("%d bytes", q.BytesPerSecond)), append(vis, fmt.Sprintf("%d byte", q.BytesPerSecond))
	}
	return "at most " + strings.Join(ens, " and "), "tối đa " + strings.Join(vis, " và ")
}

// paceStep is after how long a sender that waits is looked at again: its quota may be
// another then.
const paceStep = time.Second

// pace waits until a node may send envelopes, and counts them as sent. Nothing is
// held meanwhile that others wait for.
func (q *quota) pace(ctx context.Context, node string, envelopes []*exchangev1.Envelope) error {
	for {
		wait := q.spend(node, envelopes)
		if wait == 0 {
			return nil
		}
		timer := time.NewTimer(min(wait, paceStep))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for the quota: %w", context.Cause(ctx))
		}
	}
}

// portion returns how many of a frame's envelopes a node sends together: all that
// may be, or what its quota lets through in a tenth of a second, so that what it
// sends flows instead of coming in heaps.
func (q *quota) portion(node string, envelopes []*exchangev1.Envelope, most int) int {
	most = min(len(envelopes), most)
	rate := q.of(node)
	if !rate.rated() {
		return most
	}
	size := uint64(0)
	for i, env := range envelopes[:most] {
		size += uint64(len(env.GetContent()))
		tooMany := rate.PacketsPerSecond > 0 && uint64(i) >= rate.PacketsPerSecond/10 //nolint:gosec // an index
		tooMuch := rate.BytesPerSecond > 0 && size > rate.BytesPerSecond/10
		if i > 0 && (tooMany || tooMuch) {
			return i
		}
	}
	return most
}

// bucket fills with so much a second, up to what a second brings. It may be taken
// from beyond its ground while there is something in it: what is owed then is waited
// for, by what comes next. With another rate it is another bucket, and full.
type bucket struct {
	rate uint64
	left float64
	at   time.Time // when so much was left
}

// wait fills the bucket and returns how long it takes until there is something in it.
// A rate of 0 is no limit.
func (b *bucket) wait(now time.Time, rate uint64) time.Duration {
	if full := float64(rate); b.rate != rate {
		*b = bucket{rate: rate, left: full}
	} else {
		b.left = min(full, b.left+full*max(0, now.Sub(b.at).Seconds()))
	}
	b.at = now
	if rate == 0 || b.left >= 1 {
		return 0
	}
	return max(time.Millisecond, time.Duration((1-b.left)/float64(rate)*float64(time.Second)))
}

// inboxRetry is when a sender may ask again for a recipient whose inbox is full. That
// may last: it is for the recipient to take what waits.
const inboxRetry = 30 * time.Second

// checkInboxes refuses what would go into an inbox that is full, counting what is on its
// way there. What it lets through is on its way, too, until it is released. What is on
// its way is read before what is there: so nothing that arrives meanwhile is missed.
func (s *Service) checkInboxes(ctx context.Context, sub *submission) error {
	var few [fewRecipients]int64
	before := s.room.enter(sub, few[:0])
	var full []string
	for i, recipient := range sub.stored.Recipients {
		most := s.quota.of(recipient).InboxBytes
		if most == 0 {
			continue
		}
		backlog, err := s.store.Backlog(ctx, recipient)
		if err != nil {
			return storeUnavailable(fmt.Errorf("look at the inbox: %w", err))
		}
		if waiting := backlog.Bytes + before[i]; waiting > 0 && uint64(waiting) >= most {
			full = append(full, recipient)
		}
	}
	if len(full) == 0 {
		return nil
	}
	return recipientFull(full)
}

// namedInFull bounds the recipients that a refusal names.
const namedInFull = 20

func recipientFull(full []string) error {
	names := strings.Join(full[:min(len(full), namedInFull)], ", ")
	moreEN, moreVI := "", ""
	if more := len(full) - namedInFull; more > 0 {
		moreEN, moreVI = fmt.Sprintf(" and %d more", more), fmt.Sprintf(" và %d nơi nhận khác", more)
	}
	return fault.New(codes.ResourceExhausted, "recipient_full",
		fmt.Sprintf("the inbox of %s%s is full: what waits there has not been taken. What was accepted stays and will be delivered; "+
			"new packets are refused until some has been taken. This packet was not stored for anybody: submit it again later", names, moreEN),
		fmt.Sprintf("hộp nhận của %s%s đã đầy vì các gói tin đang chờ chưa được lấy. Gói tin đã tiếp nhận vẫn được giữ và sẽ được chuyển đến; "+
			"gói tin mới bị từ chối cho đến khi nơi nhận lấy bớt. Gói tin này chưa được lưu cho nơi nhận nào: vui lòng gửi lại sau", names, moreVI)).After(inboxRetry)
}
