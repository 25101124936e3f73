package exchange

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/store"
)

// Ledger makes a group of leaves evidence.
type Ledger interface {
	// Hub is the name receipts are given under.
	Hub() string
	// Seal signs a group of leaves that follow each other from the first sequence.
	Seal(first uint64, leaves [][]byte) (note []byte, err error)
}

// committer gathers submissions into groups and commits one group at a time.
// While one group's fsync runs, the next gathers in the queue: the slower the
// disk, the larger the groups.
type committer struct {
	store     Store
	ledger    Ledger
	clock     func() time.Time
	logger    *slog.Logger
	limits    Limits
	queue     chan *submission
	done      chan struct{} // closed when nothing is queued any more
	committed func(recipients map[string]bool)

	// submitting is held for reading while a submission is being queued, so that
	// run, in the end, knows when nobody can queue any more.
	submitting sync.RWMutex
}

// submit queues a submission. Its answer is called once, unless submit fails.
func (c *committer) submit(ctx context.Context, sub *submission) error {
	c.submitting.RLock()
	defer c.submitting.RUnlock()
	select {
	case <-c.done:
		return shuttingDown()
	default:
	}
	select {
	case c.queue <- sub:
		return nil
	case <-c.done:
		return shuttingDown()
	case <-ctx.Done():
		return fmt.Errorf("wait for the commit queue: %w", ctx.Err())
	}
}

func shuttingDown() error {
	return fault.New(codes.Unavailable, "shutting_down", "the hub is shutting down; submit again", "trục liên thông đang dừng; vui lòng gửi lại").After(time.Second)
}

// run commits until ctx ends, then what is queued.
func (c *committer) run(ctx context.Context) error {
	// What was queued is still committed after ctx ends.
	commitCtx := context.WithoutCancel(ctx)
	for {
		select {
		case first := <-c.queue:
			c.commit(commitCtx, c.gather(first))
		case <-ctx.Done():
			close(c.done)
			c.submitting.Lock() // who was about to queue has done so, or was refused
			defer c.submitting.Unlock()
			c.commitQueued(commitCtx)
			return nil
		}
	}
}

func (c *committer) commitQueued(ctx context.Context) {
	for {
		select {
		case first := <-c.queue:
			c.commit(ctx, c.gather(first))
		default:
			return
		}
	}
}

func (c *committer) gather(first *submission) []*submission {
	group := []*submission{first}
	size := len(first.envelope.GetContent())
	for len(group) < c.limits.GroupEnvelopes && size < c.limits.GroupBytes {
		select {
		case sub := <-c.queue:
			group = append(group, sub)
			size += len(sub.envelope.GetContent())
		default:
			return group
		}
	}
	return group
}

func (c *committer) commit(ctx context.Context, group []*submission) {
	submissions := make([]store.Submission, len(group))
	for i, sub := range group {
		submissions[i] = sub.stored
	}
	var prover *ledger.Prover
	outcomes, err := c.store.Accept(ctx, submissions, func(fresh []store.Fresh) (store.Sealed, error) {
		sealed, err := c.seal(group, fresh)
		if err != nil {
			return sealed, err
		}
		prover, err = ledger.NewProver(sealed.Leaves, sealed.Note)
		return sealed, err
	})
	if err != nil {
		c.logger.Error("a group of packets could not be stored", "packets", len(group), "error", err)
		for _, sub := range group {
			sub.answer(answer{err: storeUnavailable(err)})
		}
		return
	}
	recipients := map[string]bool{}
	fresh := 0
	for i, sub := range group {
		switch outcomes[i].Verdict {
		case store.Accepted:
			for _, r := range sub.stored.Recipients {
				recipients[r] = true
			}
			receipt, err := prover.Receipt(fresh)
			sub.answer(answer{receipt: receipt, err: err})
			fresh++
		case store.Duplicate:
			sub.answer(answer{earlier: outcomes[i].Sequence})
		default:
			sub.answer(answer{err: conflict(outcomes[i].Sequence)})
		}
	}
	c.committed(recipients)
}

func storeUnavailable(cause error) error {
	return fault.New(codes.Unavailable, "store_unavailable",
		"the hub could not store the packet; submit again later",
		"trục liên thông chưa lưu được gói tin; vui lòng gửi lại sau").After(5 * time.Second).Because(cause)
}

func conflict(sequence uint64) error {
	return fault.New(codes.AlreadyExists, "id_conflict",
		fmt.Sprintf("this id was used before, for other content, accepted as sequence %d; use a new id", sequence),
		fmt.Sprintf("mã này đã dùng cho nội dung khác, đã tiếp nhận với số thứ tự %d; hãy dùng mã mới", sequence))
}

// seal writes the records and leaves of the fresh submissions and signs them.
func (c *committer) seal(group []*submission, fresh []store.Fresh) (store.Sealed, error) {
	at := timestamppb.New(c.clock())
	sealed := store.Sealed{
		Records: make([][]byte, len(fresh)),
		Leaves:  make([][]byte, len(fresh)),
	}
	for i, f := range fresh {
		sub := group[f.Index]
		statement := sub.statement
		statement.Hub, statement.Sequence, statement.AcceptedAt = c.ledger.Hub(), f.Sequence, at
		var err error
		sealed.Records[i], err = proto.Marshal(&exchangev1.AcceptedPacket{
			Sequence: f.Sequence, Sender: sub.sender, OnBehalfOf: statement.GetOnBehalfOf(), Subject: statement.GetSubject(),
			AcceptedAt: at, Envelope: sub.envelope, ContentSha256: sub.contentDigest[:],
		})
		if err != nil {
			return sealed, fmt.Errorf("write record: %w", err)
		}
		if sealed.Leaves[i], err = proto.Marshal(statement); err != nil {
			return sealed, fmt.Errorf("write leaf: %w", err)
		}
	}
	var err error
	sealed.Note, err = c.ledger.Seal(fresh[0].Sequence, sealed.Leaves)
	if err != nil {
		return sealed, fmt.Errorf("seal: %w", err)
	}
	return sealed, nil
}
