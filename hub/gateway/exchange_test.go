package gateway_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	ledgerv1 "github.com/lienthong/lienthong/gen/lienthong/ledger/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/packet"
)

// exchange is an ExchangeService in memory that can be told to refuse, behind a
// real gRPC server. It reads packets with the real codec unless told not to.
type exchange struct {
	exchangev1.UnimplementedExchangeServiceServer
	codec *packet.Codec
	rules protovalidate.Validator

	mu       sync.Mutex
	blind    bool  // takes any content
	refusal  error // what every call is refused with
	accepted []*exchangev1.AcceptedPacket
	waiting  map[uint64]uint32 // attempts by sequence
	dead     map[uint64]*exchangev1.DeadLetter
	pulls    []*exchangev1.PullRequest
	metadata []metadata.MD
	hold     chan struct{} // Submit and Pull wait for it, where set
	held     chan struct{} // told when one waits
}

func (e *exchange) enter(ctx context.Context) error {
	e.mu.Lock()
	md, _ := metadata.FromIncomingContext(ctx)
	e.metadata = append(e.metadata, md)
	refusal, hold := e.refusal, e.hold
	e.mu.Unlock()
	if hold != nil {
		e.held <- struct{}{}
		select {
		case <-hold:
		case <-ctx.Done():
			return fmt.Errorf("held: %w", ctx.Err())
		}
	}
	return refusal
}

func (e *exchange) Submit(ctx context.Context, req *exchangev1.SubmitRequest) (*exchangev1.SubmitResponse, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	if err := e.rules.Validate(req); err != nil { // as the hub's own door does
		var invalid *protovalidate.ValidationError
		if errors.As(err, &invalid) {
			return nil, fault.Invalid("", invalid)
		}
		return nil, fmt.Errorf("validate: %w", err)
	}
	envelope := req.GetEnvelope()
	statement := &exchangev1.Statement{EnvelopeId: envelope.GetId(), Type: envelope.GetType()}
	if !e.blind {
		read, err := e.codec.Decode(envelope.GetType(), envelope.GetFormat(), envelope.GetContent())
		var invalid *packet.InvalidError
		if errors.As(err, &invalid) {
			return nil, fault.New(codes.InvalidArgument, "packet_invalid", "the packet was refused", "gói tin bị từ chối").With(invalid.Findings)
		}
		if err != nil {
			return nil, err
		}
		statement.Warnings = read.Warnings
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, known := range e.accepted {
		if known.GetEnvelope().GetId() != envelope.GetId() {
			continue
		}
		if !bytes.Equal(known.GetEnvelope().GetContent(), envelope.GetContent()) {
			return nil, fault.New(codes.AlreadyExists, "id_conflict", "this id was used for another packet", "mã này đã dùng cho gói tin khác")
		}
		statement.Sequence, statement.AcceptedAt = known.GetSequence(), known.GetAcceptedAt()
		return &exchangev1.SubmitResponse{Statement: statement}, nil
	}
	sum := sha256.Sum256(envelope.GetContent())
	known := &exchangev1.AcceptedPacket{
		Sequence: uint64(len(e.accepted) + 1), Sender: "H41/motcua", OnBehalfOf: "H41",
		AcceptedAt: timestamppb.New(time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC)),
		Envelope:   proto.CloneOf(envelope), ContentSha256: sum[:],
	}
	e.accepted = append(e.accepted, known)
	e.waiting[known.GetSequence()] = 0
	statement.Sequence, statement.AcceptedAt = known.GetSequence(), known.GetAcceptedAt()
	return &exchangev1.SubmitResponse{Statement: statement, Receipt: &exchangev1.Receipt{Leaf: []byte("leaf")}}, nil
}

func (e *exchange) Pull(ctx context.Context, req *exchangev1.PullRequest) (*exchangev1.PullResponse, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pulls = append(e.pulls, proto.CloneOf(req))
	resp := &exchangev1.PullResponse{LeaseUntil: timestamppb.New(time.Date(2026, 11, 24, 1, 3, 3, 0, time.UTC))}
	for _, known := range e.accepted {
		attempt, ok := e.waiting[known.GetSequence()]
		if !ok || (req.GetMax() > 0 && len(resp.GetDeliveries()) == int(req.GetMax())) {
			continue
		}
		e.waiting[known.GetSequence()] = attempt + 1
		resp.Deliveries = append(resp.Deliveries, &exchangev1.Delivery{Packet: known, Attempt: attempt + 1})
	}
	return resp, nil
}

func (e *exchange) Acknowledge(ctx context.Context, req *exchangev1.AcknowledgeRequest) (*exchangev1.AcknowledgeResponse, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	resp := &exchangev1.AcknowledgeResponse{}
	for _, sequence := range req.GetSequences() {
		if _, ok := e.waiting[sequence]; ok {
			delete(e.waiting, sequence)
			resp.Acknowledged = append(resp.Acknowledged, sequence)
		} else {
			resp.NotWaiting = append(resp.NotWaiting, sequence)
		}
	}
	return resp, nil
}

func (e *exchange) GetPacket(ctx context.Context, req *exchangev1.GetPacketRequest) (*exchangev1.GetPacketResponse, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if req.GetSequence() == 0 || req.GetSequence() > uint64(len(e.accepted)) {
		return nil, fault.New(codes.NotFound, "packet_not_found", "no such packet", "không có gói tin này")
	}
	known := proto.CloneOf(e.accepted[req.GetSequence()-1])
	if req.GetFormat() != exchangev1.Format_FORMAT_UNSPECIFIED {
		read, err := e.codec.Decode(known.GetEnvelope().GetType(), known.GetEnvelope().GetFormat(), known.GetEnvelope().GetContent())
		if err != nil {
			return nil, fmt.Errorf("read content: %w", err)
		}
		if known.Envelope.Content, err = e.codec.Encode(read.Message, req.GetFormat()); err != nil {
			return nil, fmt.Errorf("write content: %w", err)
		}
		known.Envelope.Format = req.GetFormat()
	}
	return &exchangev1.GetPacketResponse{Packet: known}, nil
}

// refuse makes every later call fail.
func (e *exchange) refuse(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refusal = err
}

// envelopes returns what was accepted so far.
func (e *exchange) envelopes() []*exchangev1.Envelope {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []*exchangev1.Envelope
	for _, known := range e.accepted {
		all = append(all, known.GetEnvelope())
	}
	return slices.Clone(all)
}

// put lets a packet wait that no sender sent.
func (e *exchange) put(accepted *exchangev1.AcceptedPacket) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.accepted = append(e.accepted, accepted)
	e.waiting[accepted.GetSequence()] = 0
}

// startExchange serves an exchange on loopback until the test ends.
func startExchange(t testing.TB, codec *packet.Codec) (*exchange, *grpc.ClientConn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	e := &exchange{codec: codec, rules: rules, waiting: map[uint64]uint32{}, dead: map[uint64]*exchangev1.DeadLetter{}}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	exchangev1.RegisterExchangeServiceServer(server, e)
	ledgerv1.RegisterLedgerServiceServer(server, ledger{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return e, conn
}
