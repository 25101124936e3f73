package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store"
)

// GetPacket implements ExchangeService. A caller that is neither the sender nor a
// recipient is answered as if the packet did not exist; one that is, of a packet that is
// not kept any more, that it was there.
func (s *Service) GetPacket(ctx context.Context, req *exchangev1.GetPacketRequest) (*exchangev1.GetPacketResponse, error) {
	statement, err := s.statementFor(ctx, req.GetSequence(), true)
	if err != nil {
		return nil, err
	}
	accepted, err := s.packetOf(ctx, statement)
	if err != nil {
		return nil, err
	}
	if accepted.GetEnvelope().GetUpload() != nil {
		if err := checkFormat(accepted.GetEnvelope(), req.GetFormat()); err != nil {
			return nil, err
		}
		return &exchangev1.GetPacketResponse{Packet: accepted}, nil
	}
	if err := s.convert(accepted.GetEnvelope(), req.GetFormat()); err != nil {
		return nil, err
	}
	return &exchangev1.GetPacketResponse{Packet: accepted}, nil
}

// packetOf reads an accepted packet; where it cannot be read, the error says why to who
// may see it.
func (s *Service) packetOf(ctx context.Context, statement *exchangev1.Statement) (*exchangev1.AcceptedPacket, error) {
	records, err := s.store.Records(ctx, []uint64{statement.GetSequence()})
	switch {
	case errors.Is(err, store.ErrRemoved):
		return nil, expired(statement)
	case errors.Is(err, store.ErrCorrupt):
		return nil, unreadable(statement, err)
	case err != nil:
		return nil, fmt.Errorf("read packet: %w", err)
	}
	accepted := &exchangev1.AcceptedPacket{}
	if err := proto.Unmarshal(records[0], accepted); err != nil {
		return nil, fmt.Errorf("read packet: %w", err)
	}
	return accepted, nil
}

// convert rewrites an envelope's content in another format; unspecified leaves
// the sender's own bytes.
func (s *Service) convert(env *exchangev1.Envelope, format exchangev1.Format) error {
	if format == exchangev1.Format_FORMAT_UNSPECIFIED {
		return nil
	}
	decoded, err := s.codec.Decode(env.GetType(), env.GetFormat(), env.GetContent())
	if err != nil {
		return fmt.Errorf("read accepted content: %w", err)
	}
	env.Content, err = s.codec.Encode(decoded.Message, format)
	if err != nil {
		return fmt.Errorf("write content: %w", err)
	}
	env.Format = format
	return nil
}

// GetReceipt implements ExchangeService: the receipt as it was given, and its place
// in the ledger where the latest checkpoint covers it. A caller that is not the
// sender is answered as if the packet did not exist.
func (s *Service) GetReceipt(ctx context.Context, req *exchangev1.GetReceiptRequest) (*exchangev1.GetReceiptResponse, error) {
	statement, err := s.statementFor(ctx, req.GetSequence(), false)
	if err != nil {
		return nil, err
	}
	receipt, err := (&receipts{store: s.store}).of(ctx, req.GetSequence())
	if err != nil {
		return nil, err
	}
	place, err := s.included(req.GetSequence())
	if err != nil {
		return nil, fmt.Errorf("prove receipt in the ledger: %w", err)
	}
	if receipt.Checkpoint, receipt.Inclusion = place.Checkpoint, place.Path; receipt.Checkpoint != nil {
		receipt.LedgerIndex = &place.Index
	}
	return &exchangev1.GetReceiptResponse{Receipt: receipt, Statement: statement}, nil
}

// statementFor returns what the receipt of an accepted packet states, if the
// caller sent it or, with orRecipient, receives it.
func (s *Service) statementFor(ctx context.Context, sequence uint64, orRecipient bool) (*exchangev1.Statement, error) {
	caller, err := s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	group, err := s.store.Group(ctx, sequence)
	if errors.Is(err, store.ErrNotFound) {
		return nil, s.absent(sequence, orRecipient)
	}
	if err != nil {
		return nil, fmt.Errorf("read statement: %w", err)
	}
	leaf, ok := leafIn(group, sequence)
	if !ok {
		return nil, fmt.Errorf("%w: group at %d lacks %d", store.ErrCorrupt, group.First, sequence)
	}
	statement, err := parseLeaf(leaf)
	if err != nil {
		return nil, err
	}
	if statement.GetSender() == caller || (orRecipient && slices.Contains(statement.GetRecipients(), caller)) {
		return statement, nil
	}
	return nil, noSuchPacket(sequence, orRecipient)
}

// noSuchPacket says whose packet it would have to be; to others it does not exist.
func noSuchPacket(sequence uint64, orRecipient bool) error {
	if !orRecipient {
		return fault.New(codes.NotFound, "packet_not_found",
			fmt.Sprintf("no packet with sequence %d was sent by this node", sequence),
			fmt.Sprintf("không có gói tin số thứ tự %d do hệ thống này gửi", sequence))
	}
	return fault.New(codes.NotFound, "packet_not_found",
		fmt.Sprintf("no packet with sequence %d was sent by or to this node", sequence),
		fmt.Sprintf("không có gói tin số thứ tự %d do hệ thống này gửi hoặc nhận", sequence))
}
