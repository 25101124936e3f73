package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store"
)

// DeadLetters is where deliveries go that were given up: the same store as Store.
type DeadLetters interface {
	// Bury makes dead letters of what is in the recipient's inbox, and returns those.
	Bury(ctx context.Context, recipient string, letters []store.DeadLetter) ([]uint64, error)
	DeadLetters(ctx context.Context, recipient string, after uint64, limit int) ([]store.DeadLetter, error)
	// Revive puts dead letters back into the inbox, in their old place, and returns
	// those; also with an error, where it is not known to last.
	Revive(ctx context.Context, recipient string, sequences []uint64) ([]store.Pending, error)
	Discard(ctx context.Context, recipient string, sequences []uint64) ([]uint64, error)
	State(ctx context.Context, recipient string, sequence uint64) (store.State, store.DeadLetter, error)
}

// Reject implements ExchangeService.
func (s *Service) Reject(ctx context.Context, req *exchangev1.RejectRequest) (*exchangev1.RejectResponse, error) {
	caller, err := s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	sequences, taken, err := s.reject(ctx, s.inboxes.of(caller), req.GetRejections())
	if err != nil {
		return nil, err
	}
	return &exchangev1.RejectResponse{
		Rejected: taken.again, Dead: taken.dead, NotWaiting: without(sequences, taken.again, taken.dead),
	}, nil
}

// reject hands rejections to an inbox. It checks each: of a stream's messages nobody
// else has.
func (s *Service) reject(ctx context.Context, in *inbox, said []*exchangev1.Rejection) (sequences []uint64, taken rejected, err error) {
	rejections := make([]rejection, len(said))
	for i, r := range said {
		err := s.validator.Validate(r)
		var invalid *protovalidate.ValidationError
		switch {
		case errors.As(err, &invalid):
			return nil, rejected{}, fault.Invalid(fmt.Sprintf("reject[%d]", i), invalid)
		case err != nil:
			return nil, rejected{}, fmt.Errorf("validate rejection: %w", err)
		}
		rejections[i] = rejection{sequence: r.GetSequence(), reason: r.GetReason(), final: r.GetFinal()}
		sequences = append(sequences, r.GetSequence())
	}
	taken, err = in.reject(ctx, rejections)
	if err != nil {
		return nil, rejected{}, fmt.Errorf("reject: %w", err)
	}
	return sequences, taken, nil
}

const defaultDeadLetters = 100

// ListDeadLetters implements ExchangeService.
func (s *Service) ListDeadLetters(ctx context.Context, req *exchangev1.ListDeadLettersRequest) (*exchangev1.ListDeadLettersResponse, error) {
	caller, err := s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	letters, err := s.dead.DeadLetters(ctx, caller, req.GetAfter(), orElse(int(req.GetLimit()), defaultDeadLetters))
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	resp := &exchangev1.ListDeadLettersResponse{}
	for _, letter := range letters {
		resp.DeadLetters = append(resp.DeadLetters, &exchangev1.DeadLetter{
			Sequence: letter.Sequence, Reason: letter.Reason, Attempts: letter.Attempts, GivenUpAt: timestamppb.New(letter.At),
		})
	}
	return resp, nil
}

// SettleDeadLetters implements ExchangeService. INVALID_ARGUMENT where one is to be
// delivered and done away with at once; nothing is settled then.
func (s *Service) SettleDeadLetters(ctx context.Context, req *exchangev1.SettleDeadLettersRequest) (*exchangev1.SettleDeadLettersResponse, error) {
	caller, err := s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := eitherOr(req); err != nil {
		return nil, err
	}
	resp := &exchangev1.SettleDeadLettersResponse{}
	if len(req.GetRedeliver()) > 0 {
		resp.Redelivered, err = s.inboxes.of(caller).revive(ctx, req.GetRedeliver())
		if err != nil {
			return nil, fmt.Errorf("deliver dead letters: %w", err)
		}
	}
	if len(req.GetDiscard()) > 0 {
		resp.Discarded, err = s.dead.Discard(ctx, caller, req.GetDiscard())
		if err != nil {
			return nil, fmt.Errorf("discard dead letters: %w", err)
		}
	}
	all := slices.Concat(req.GetRedeliver(), req.GetDiscard())
	resp.NotDead = without(all, resp.GetRedelivered(), resp.GetDiscarded())
	return resp, nil
}

// eitherOr refuses a sequence that is in both lists.
func eitherOr(req *exchangev1.SettleDeadLettersRequest) error {
	again := make(map[uint64]bool, len(req.GetRedeliver()))
	for _, sequence := range req.GetRedeliver() {
		again[sequence] = true
	}
	for i, sequence := range req.GetDiscard() {
		if again[sequence] {
			return fault.New(codes.InvalidArgument, "request_invalid",
				fmt.Sprintf("discard[%d]: %d is in redeliver, too; a dead letter can be in one of the two lists only", i, sequence),
				fmt.Sprintf("discard[%d]: %d cũng nằm trong redeliver; mỗi gói tin chỉ được nằm trong một trong hai danh sách", i, sequence))
		}
	}
	return nil
}

// revive makes dead letters deliveries again. The inbox is locked meanwhile: what the
// store has again is either still to be read from it, or set aside here.
func (in *inbox) revive(ctx context.Context, sequences []uint64) ([]uint64, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	revived, err := in.dead.Revive(ctx, in.node, sequences)
	var back []store.Pending
	var numbers []uint64
	for _, p := range revived {
		numbers = append(numbers, p.Sequence)
		if p.Sequence <= in.cursor && !in.knows(p.Sequence) {
			back = append(back, p)
		}
	}
	in.setAside(back)
	in.changed.fire()
	return numbers, err //nolint:wrapcheck // the caller says what it is
}

// knows reports whether a delivery is out or waits here. What could not be made a dead
// letter for certain may be one all the same.
func (in *inbox) knows(sequence uint64) bool {
	_, aside := slices.BinarySearchFunc(in.aside, sequence, bySequence)
	return aside || in.flights[sequence] != nil || in.stalled[sequence] != nil
}
