package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
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
	// SealGroup signs a group of leaves that follow each other from the first
	// sequence, and returns what makes its receipts.
	SealGroup(first uint64, leaves [][]byte) (*ledger.Prover, error)
}

// committer gathers submissions into groups and commits one group at a time.
// While one group's fsync runs, the next gathers in the queue: the slower the
// disk, the larger the groups.
type committer struct {
	store     Store
	ledger    Ledger
	clock     func() time.Time
	logger    *slog.Logger
	queue     *queue
	committed func(accepted []Accepted, recipients map[string]bool)
}

// bundle is what one caller submits at once.
type bundle struct {
	submissions []*submission
	bytes       int // of their records and leaves
	// answer is called once, by the committer, with an answer for each submission; it
	// does not block.
	answer func([]answered)
}

// answered returns an answer for each submission.
func (b *bundle) answered(of func(i int) answer) []answered {
	all := make([]answered, len(b.submissions))
	for i, sub := range b.submissions {
		all[i] = answered{id: sub.envelope.GetId(), answer: of(i)}
	}
	return all
}

// submit queues a bundle. Its answer is called once, unless submit fails.
func (c *committer) submit(b *bundle) error {
	if !c.queue.put(b) {
		return shuttingDown()
	}
	return nil
}

func shuttingDown() error {
	return fault.New(codes.Unavailable, "shutting_down", "the hub is shutting down; submit again", "trục liên thông đang dừng; vui lòng gửi lại").After(time.Second)
}

// run commits until ctx ends, then what is queued. It ends with store.ErrBroken where
// the store is: nobody can tell what is accepted until it is opened again.
func (c *committer) run(ctx context.Context) error {
	// What was queued is still committed after ctx ends.
	commitCtx := context.WithoutCancel(ctx)
	for {
		select {
		case <-c.queue.ready:
			// Who is about to queue something may do so: where all cores are busy, groups
			// are larger, and fsyncs fewer. Where they are not, this returns at once.
			runtime.Gosched()
			if group := c.queue.group(); len(group) > 0 {
				if err := c.commit(commitCtx, group); err != nil {
					return errors.Join(err, c.commitRest(commitCtx))
				}
			}
		case <-ctx.Done():
			return c.commitRest(commitCtx)
		}
	}
}

// commitRest takes no more, and commits, or refuses, what is queued.
func (c *committer) commitRest(ctx context.Context) error {
	c.queue.close()
	var broken error
	for group := c.queue.group(); len(group) > 0; group = c.queue.group() {
		broken = c.commit(ctx, group)
	}
	return broken
}

// commit stores a group and answers. The error is that of a store that is broken;
// any other is for the senders to try again.
func (c *committer) commit(ctx context.Context, group []*bundle) error {
	var submissions []*submission
	var stored []store.Submission
	for _, b := range group {
		for _, sub := range b.submissions {
			submissions, stored = append(submissions, sub), append(stored, sub.stored)
		}
	}
	var prover *ledger.Prover
	outcomes, err := c.store.Accept(ctx, stored, func(fresh []store.Fresh) (store.Sealed, error) {
		var sealed store.Sealed
		var err error
		sealed, prover, err = c.seal(submissions, fresh)
		return sealed, err
	})
	if err != nil {
		c.logger.Error("a group of packets could not be stored", "packets", len(stored), "error", err)
		// Where the store works on, it can be asked whether a packet was accepted after all.
		over := errors.Is(err, store.ErrBroken) || errors.Is(err, store.ErrClosed)
		failed := answer{err: storeUnavailable(err), unknown: over}
		for _, b := range group {
			b.answer(b.answered(func(int) answer { return failed }))
		}
		if errors.Is(err, store.ErrBroken) {
			return fmt.Errorf("commit: %w", err)
		}
		return nil
	}
	recipients := map[string]bool{}
	var accepted []Accepted
	fresh, at := 0, 0
	for _, b := range group {
		b.answer(b.answered(func(i int) answer {
			outcome := outcomes[at+i]
			switch outcome.Verdict {
			case store.Accepted:
				sub := b.submissions[i]
				for _, r := range sub.stored.Recipients {
					recipients[r] = true
				}
				accepted = append(accepted, Accepted{Sequence: outcome.Sequence, Speaker: sub.speaksFor, Packet: sub.packet})
				fresh++
				return answer{accepted: prover, index: fresh - 1}
			case store.Duplicate:
				return answer{earlier: outcome.Sequence}
			default:
				return answer{conflict: outcome.Sequence, said: b.submissions[i].said()}
			}
		}))
		at += len(b.submissions)
	}
	c.committed(accepted, recipients)
	return nil
}

// storeUnavailable is the refusal of what could not be stored.
func storeUnavailable(cause error) error {
	if errors.Is(cause, store.ErrFull) {
		return fault.New(codes.Unavailable, "store_full",
			"the hub has no space left to store packets; submit again later",
			"trục liên thông hết dung lượng lưu trữ; vui lòng gửi lại sau").After(30 * time.Second).Because(cause)
	}
	return fault.New(codes.Unavailable, "store_unavailable",
		"the hub could not store the packet; submit again later",
		"trục liên thông chưa lưu được gói tin; vui lòng gửi lại sau").After(5 * time.Second).Because(cause)
}

// seal completes the records and leaves of the fresh submissions and signs them.
func (c *committer) seal(group []*submission, fresh []store.Fresh) (store.Sealed, *ledger.Prover, error) {
	now := c.clock()
	at := timestamppb.New(now)
	sealed := store.Sealed{
		Records: make([][]byte, len(fresh)),
		Leaves:  make([][]byte, len(fresh)),
		At:      now,
	}
	for i, f := range fresh {
		sub := group[f.Index]
		// Fields may stand in any order: what only the commit knows comes last.
		var err error
		sealed.Records[i], err = appended(sub.record, &exchangev1.AcceptedPacket{Sequence: f.Sequence, AcceptedAt: at})
		if err != nil {
			return sealed, nil, fmt.Errorf("write record: %w", err)
		}
		sealed.Leaves[i], err = appended(sub.leaf, &exchangev1.Statement{Hub: c.ledger.Hub(), Sequence: f.Sequence, AcceptedAt: at})
		if err != nil {
			return sealed, nil, fmt.Errorf("write leaf: %w", err)
		}
	}
	prover, err := c.ledger.SealGroup(fresh[0].Sequence, sealed.Leaves)
	if err != nil {
		return sealed, nil, fmt.Errorf("seal: %w", err)
	}
	sealed.Note = prover.Note()
	return sealed, prover, nil
}

// appended writes the fields of a message after those that were written before.
func appended(before []byte, message proto.Message) ([]byte, error) {
	return proto.MarshalOptions{}.MarshalAppend(before, message)
}
