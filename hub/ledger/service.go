package ledger

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"

	ledgerv1 "github.com/lienthong/lienthong/gen/lienthong/ledger/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// Service implements LedgerService. Errors are *fault.Error.
type Service struct {
	ledgerv1.UnimplementedLedgerServiceServer
	log *Log
}

// NewService returns the service that shows a log to auditors.
func NewService(log *Log) *Service { return &Service{log: log} }

// GetCheckpoint implements LedgerService.
func (s *Service) GetCheckpoint(context.Context, *ledgerv1.GetCheckpointRequest) (*ledgerv1.GetCheckpointResponse, error) {
	signed, size := s.log.Checkpoint()
	if signed == nil {
		return nil, fault.New(codes.NotFound, "ledger_empty",
			"the ledger has no checkpoint yet: nothing was accepted, or only just now",
			"sổ cái chưa có điểm kiểm tra: chưa tiếp nhận gói tin nào, hoặc vừa mới tiếp nhận")
	}
	return &ledgerv1.GetCheckpointResponse{Checkpoint: signed, Size: size}, nil
}

// GetConsistencyProof implements LedgerService.
func (s *Service) GetConsistencyProof(_ context.Context, req *ledgerv1.GetConsistencyProofRequest) (*ledgerv1.GetConsistencyProofResponse, error) {
	from, to := req.GetFromSize(), req.GetToSize()
	if from > to {
		return nil, fault.New(codes.InvalidArgument, "request_invalid",
			fmt.Sprintf("from_size is %d; at most to_size, %d, is allowed", from, to),
			fmt.Sprintf("from_size là %d; cho phép tối đa bằng to_size là %d", from, to))
	}
	proof, err := s.log.Consistency(from, to)
	if err != nil {
		return nil, s.told(err, to)
	}
	return &ledgerv1.GetConsistencyProofResponse{FromSize: from, ToSize: to, Proof: proof}, nil
}

// GetInclusionProof implements LedgerService.
func (s *Service) GetInclusionProof(_ context.Context, req *ledgerv1.GetInclusionProofRequest) (*ledgerv1.GetInclusionProofResponse, error) {
	sequence, size := req.GetSequence(), req.GetSize()
	index, ok := s.log.place(sequence)
	if !ok {
		return nil, fault.New(codes.OutOfRange, "sequence_skipped",
			fmt.Sprintf("sequence %d is not in this ledger: the hub was restored from a backup, after which sequences go on further up", sequence),
			fmt.Sprintf("số thứ tự %d không thuộc sổ cái này: trục đã được khôi phục từ bản sao lưu, sau đó số thứ tự tiếp tục từ một số lớn hơn", sequence))
	}
	if needed := uint64(index) + 1; needed > size { //nolint:gosec // not negative
		return nil, fault.New(codes.OutOfRange, "beyond_size",
			fmt.Sprintf("sequence %d is not in a ledger of size %d; a size from %d on is needed", sequence, size, needed),
			fmt.Sprintf("số thứ tự %d không thuộc sổ cái có kích thước %d; cần kích thước từ %d", sequence, size, needed))
	}
	proven, err := s.log.Inclusion(sequence, size)
	if err != nil {
		return nil, s.told(err, size)
	}
	return &ledgerv1.GetInclusionProofResponse{Path: proven.Path, Index: proven.Index}, nil
}

func (s *Service) told(err error, size uint64) error {
	if !errors.Is(err, ErrBeyond) {
		return fault.Internal(err)
	}
	_, covered := s.log.Checkpoint()
	return fault.New(codes.OutOfRange, "beyond_checkpoint",
		fmt.Sprintf("size %d is beyond the latest checkpoint, which covers %d", size, covered),
		fmt.Sprintf("kích thước %d vượt quá điểm kiểm tra mới nhất, hiện là %d", size, covered))
}
