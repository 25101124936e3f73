package exchange

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/store"
)

// receipts makes the receipts of accepted packets from what is stored: the same
// bytes every time. It keeps the last group, as what is asked for again was
// mostly accepted together. It is for one goroutine.
type receipts struct {
	store  Store
	group  store.Group
	prover *ledger.Prover
}

// settle returns what an answer comes to for the sender.
func (r *receipts) settle(ctx context.Context, a answered) (*exchangev1.Receipt, error) {
	switch {
	case a.conflict != 0:
		return nil, r.conflict(ctx, a.said, a.conflict)
	case a.earlier != 0:
		return r.of(ctx, a.earlier)
	case a.err != nil:
		return nil, a.err
	}
	receipt, err := a.accepted.Receipt(a.index)
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return receipt, nil
}

// conflict is the refusal of an envelope whose id was used for something else: it
// says for what, as far as the sender said it.
func (r *receipts) conflict(ctx context.Context, now *said, sequence uint64) error {
	en, vi, err := r.differ(ctx, now, sequence)
	if err != nil {
		return fmt.Errorf("read what was accepted before: %w", err)
	}
	return fault.New(codes.AlreadyExists, "id_conflict",
		fmt.Sprintf("this id was used before, for a packet with %s, accepted as sequence %d; use a new id", en, sequence),
		fmt.Sprintf("mã này đã dùng cho gói tin có %s, đã tiếp nhận với số thứ tự %d; hãy dùng mã mới", vi, sequence))
}

// differ names what of an envelope is not as in what was accepted before.
func (r *receipts) differ(ctx context.Context, now *said, sequence uint64) (en, vi string, err error) {
	records, err := r.store.Records(ctx, []uint64{sequence})
	if errors.Is(err, store.ErrRemoved) {
		return r.differFromRemoved(ctx, now, sequence)
	}
	if err != nil {
		return "", "", err //nolint:wrapcheck // by the caller
	}
	accepted := &exchangev1.AcceptedPacket{}
	if err := proto.Unmarshal(records[0], accepted); err != nil {
		return "", "", err //nolint:wrapcheck // by the caller
	}
	en, vi = differences(accepted, now)
	return en, vi, nil
}

func (r *receipts) differFromRemoved(ctx context.Context, now *said, sequence uint64) (en, vi string, err error) {
	group, err := r.store.Group(ctx, sequence)
	if err != nil {
		return "", "", err //nolint:wrapcheck // by the caller
	}
	leaf, _ := leafIn(group, sequence)
	statement, err := parseLeaf(leaf)
	if err != nil {
		return "", "", err
	}
	en, vi = removedDifferences(statement, now)
	return en, vi, nil
}

// said is what tells envelopes under one id apart.
type said struct {
	typ        packetv1.PacketType
	format     exchangev1.Format
	onBehalfOf string
	recipients []string
	content    [sha256.Size]byte
}

func (sub *submission) said() *said {
	env := sub.envelope
	return &said{
		typ: env.GetType(), format: env.GetFormat(), onBehalfOf: env.GetOnBehalfOf(),
		recipients: env.GetRecipients(), content: sub.contentDigest,
	}
}

// differences names what of an envelope is not as before.
func differences(accepted *exchangev1.AcceptedPacket, now *said) (en, vi string) {
	before := accepted.GetEnvelope()
	var all, allVI []string
	note := func(differs bool, en, vi string) {
		if differs {
			all, allVI = append(all, "other "+en), append(allVI, vi+" khác")
		}
	}
	sorted := func(recipients []string) []string { return slices.Sorted(slices.Values(recipients)) }
	note(!bytes.Equal(accepted.GetContentSha256(), now.content[:]), "content", "nội dung")
	note(before.GetType() != now.typ, "type", "loại")
	note(before.GetFormat() != now.format, "format", "định dạng")
	note(before.GetOnBehalfOf() != now.onBehalfOf, "on_behalf_of", "on_behalf_of")
	note(!slices.Equal(sorted(before.GetRecipients()), sorted(now.recipients)), "recipients", "nơi nhận")
	return strings.Join(all, ", "), strings.Join(allVI, ", ")
}

// of returns the receipt of an accepted packet.
func (r *receipts) of(ctx context.Context, sequence uint64) (*exchangev1.Receipt, error) {
	if _, in := leafIn(r.group, sequence); !in || r.prover == nil {
		group, err := r.store.Group(ctx, sequence)
		if err != nil {
			return nil, fmt.Errorf("receipt: %w", err)
		}
		prover, err := ledger.NewProver(group.Leaves, group.Note)
		if err != nil {
			return nil, fmt.Errorf("receipt: %w", err)
		}
		r.group, r.prover = group, prover
	}
	receipt, err := r.prover.Receipt(int(sequence - r.group.First)) //nolint:gosec // within the group
	if err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	return receipt, nil
}

// leafIn returns the leaf of a sequence, if the group has it.
func leafIn(group store.Group, sequence uint64) ([]byte, bool) {
	if sequence < group.First || sequence-group.First >= uint64(len(group.Leaves)) {
		return nil, false
	}
	return group.Leaves[sequence-group.First], true
}

func parseLeaf(leaf []byte) (*exchangev1.Statement, error) {
	statement := &exchangev1.Statement{}
	if err := proto.Unmarshal(leaf, statement); err != nil {
		return nil, fmt.Errorf("read leaf: %w", err)
	}
	return statement, nil
}
