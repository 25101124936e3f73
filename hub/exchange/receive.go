package exchange

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store"
)

// A frame of deliveries stays under the 4 MiB that gRPC clients accept by
// default, unless one delivery alone is larger.
const (
	deliveriesPerFrame = 256
	bytesPerFrame      = 1 << 20
)

// Receive implements ExchangeService. One goroutine reads credit, acknowledgements
// and rejections, this one sends. What is out when the stream ends goes back
// to the inbox.
func (s *Service) Receive(stream exchangev1.ExchangeService_ReceiveServer) error {
	ctx := stream.Context()
	caller, err := s.callerOf(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &receiver{
		service: s, stream: stream, inbox: s.inboxes.of(caller), consumer: s.inboxes.newConsumer(),
		requests: make(chan *exchangev1.ReceiveRequest),
		ended:    make(chan error, 1),
	}
	leave, err := r.inbox.join(r.consumer)
	if err != nil {
		return err
	}
	defer leave()
	go r.read(ctx)
	return r.send(ctx)
}

type receiver struct {
	service  *Service
	stream   exchangev1.ExchangeService_ReceiveServer
	inbox    *inbox
	consumer uint64
	requests chan *exchangev1.ReceiveRequest
	ended    chan error // what read ended with; nil for a half-close

	credit int // deliveries granted and not sent
}

// read ends when the stream does, at the latest when its handler has returned.
func (r *receiver) read(ctx context.Context) {
	for {
		req, err := r.stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			r.ended <- err
			return
		}
		select {
		case r.requests <- req:
		case <-ctx.Done():
			r.ended <- ctx.Err()
			return
		}
	}
}

func (r *receiver) send(ctx context.Context) error {
	always := make(chan struct{})
	close(always)
	for {
		changed := r.inbox.changed.next()
		sent, err := r.sendSome(ctx)
		if err != nil {
			return err
		}
		if sent {
			changed = always
		}
		more, err := r.wait(ctx, changed)
		if err != nil || !more {
			return err
		}
	}
}

// wait blocks until there may be something to do. It returns false when the
// recipient has half-closed.
func (r *receiver) wait(ctx context.Context, changed <-chan struct{}) (bool, error) {
	expiry, stop := r.inbox.expiry()
	defer stop()
	select {
	case req := <-r.requests:
		return true, r.take(ctx, req)
	case err := <-r.ended:
		if err != nil {
			return false, fmt.Errorf("read acknowledgements: %w", err)
		}
		return false, nil
	case <-ctx.Done():
		return false, fmt.Errorf("receive stream: %w", context.Cause(ctx))
	case <-changed:
	case <-expiry:
	}
	return true, nil
}

// acknowledgedAtOnce bounds what one confirmation, and one write of the store,
// holds in memory.
const acknowledgedAtOnce = 1024

func (r *receiver) take(ctx context.Context, req *exchangev1.ReceiveRequest) error {
	r.credit = min(r.credit+int(req.GetCredit()), maxCredit)
	for sequences := range slices.Chunk(req.GetAcknowledge(), acknowledgedAtOnce) {
		done, err := r.inbox.acknowledge(ctx, sequences)
		if err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
		if err := r.stream.Send(&exchangev1.ReceiveResponse{Acknowledged: done}); err != nil {
			return fmt.Errorf("confirm acknowledgements: %w", err)
		}
	}
	return r.reject(ctx, req.GetReject())
}

// reject confirms every rejection, also of what was not out: once the recipient
// reads that, nothing before it counts that is of the same order and comes after the
// rejected delivery.
func (r *receiver) reject(ctx context.Context, rejections []*exchangev1.Rejection) error {
	if len(rejections) == 0 {
		return nil
	}
	sequences, taken, err := r.service.reject(ctx, r.inbox, rejections)
	if err != nil {
		return err
	}
	for _, sequence := range without(sequences, taken.again, taken.dead) {
		if err := r.recall(ctx, sequence); err != nil {
			return err
		}
	}
	if err := r.stream.Send(&exchangev1.ReceiveResponse{Rejected: sequences}); err != nil {
		return fmt.Errorf("confirm rejections: %w", err)
	}
	return nil
}

// recall takes back what is out of the order of a delivery after it, where somebody
// else has ended that delivery meanwhile.
func (r *receiver) recall(ctx context.Context, sequence uint64) error {
	if !r.inbox.flying(r.consumer) {
		return nil
	}
	statement, err := r.service.statementFor(ctx, sequence, true)
	switch {
	case err == nil:
		r.inbox.recall(orderOf(statement.GetSender(), statement.GetSubject()), sequence)
	case fault.From(err).Code != codes.NotFound: // else it was never the caller's
		return fmt.Errorf("recall: %w", err)
	}
	return nil
}

// maxCredit keeps the sum of grants from overflowing.
const maxCredit = 1 << 20

// sendSome sends one frame of deliveries, if there are any and credit for them.
func (r *receiver) sendSome(ctx context.Context) (bool, error) {
	if r.credit == 0 {
		return false, nil
	}
	taken, err := r.inbox.take(ctx, r.consumer, min(r.credit, deliveriesPerFrame), bytesPerFrame, 0)
	if err != nil || len(taken) == 0 {
		return false, err
	}
	taken, records, err := r.service.records(ctx, r.inbox, taken)
	if err != nil {
		return false, err
	}
	if len(taken) == 0 {
		return true, nil // there may be others
	}
	frame := framed(taken, records)
	r.credit -= len(taken)
	if err := r.stream.Send(frame); err != nil {
		return false, fmt.Errorf("send deliveries: %w", err)
	}
	return true, nil
}

// records reads what was taken from an inbox, and returns what of it can be read: the
// rest is not out any more.
func (s *Service) records(ctx context.Context, in *inbox, taken []out) ([]out, [][]byte, error) {
	sequences := make([]uint64, len(taken))
	for i, o := range taken {
		sequences[i] = o.sequence
	}
	records, err := s.store.Records(ctx, sequences)
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrRemoved) {
		return s.readable(ctx, in, taken)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read deliveries: %w", err)
	}
	return taken, records, nil
}

// Numbers of the fields that framed writes, by the .proto file.
const (
	fieldDeliveries protowire.Number = 1 // of ReceiveResponse
	fieldPacket     protowire.Number = 1 // of Delivery
	fieldAttempt    protowire.Number = 2 // of Delivery
)

// framed is a frame of deliveries for the network. A record is stored as it goes out,
// a serialised AcceptedPacket, and is not read and written again on its way: the
// message carries it among its unknown fields, which are serialised as they are.
func framed(taken []out, records [][]byte) *exchangev1.ReceiveResponse {
	size := 0
	for _, record := range records {
		size += len(record) + maxDeliveryOverhead
	}
	raw := make([]byte, 0, size)
	for i, record := range records {
		attempt := uint64(taken[i].attempt)
		inner := protowire.SizeTag(fieldPacket) + protowire.SizeBytes(len(record)) + protowire.SizeTag(fieldAttempt) + protowire.SizeVarint(attempt)
		raw = protowire.AppendVarint(protowire.AppendTag(raw, fieldDeliveries, protowire.BytesType), uint64(inner)) //nolint:gosec // a size
		raw = protowire.AppendBytes(protowire.AppendTag(raw, fieldPacket, protowire.BytesType), record)
		raw = protowire.AppendVarint(protowire.AppendTag(raw, fieldAttempt, protowire.VarintType), attempt)
	}
	frame := &exchangev1.ReceiveResponse{}
	frame.ProtoReflect().SetUnknown(raw)
	return frame
}

// maxDeliveryOverhead is what a delivery takes beside its record: three tags, two
// lengths and a number.
const maxDeliveryOverhead = 3 + 2*binary.MaxVarintLen64 + binary.MaxVarintLen32

// deliveries reads what was taken from an inbox: what of it can be read.
func (s *Service) deliveries(ctx context.Context, in *inbox, taken []out) ([]*exchangev1.Delivery, error) {
	taken, records, err := s.records(ctx, in, taken)
	if err != nil {
		return nil, err
	}
	deliveries := make([]*exchangev1.Delivery, len(taken))
	for i, record := range records {
		accepted := &exchangev1.AcceptedPacket{}
		if err := proto.Unmarshal(record, accepted); err != nil {
			return nil, fmt.Errorf("record %d: %w", taken[i].sequence, err)
		}
		deliveries[i] = &exchangev1.Delivery{Packet: accepted, Attempt: taken[i].attempt}
	}
	return deliveries, nil
}

const defaultPull = 32

// Pull implements ExchangeService. Every pull is a consumer of its own: packets
// of one sender and subject are not pulled further while earlier ones are out.
func (s *Service) Pull(ctx context.Context, req *exchangev1.PullRequest) (*exchangev1.PullResponse, error) {
	caller, err := s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	stopping, stop := s.stopping(ctx)
	defer stop()
	in, consumer := s.inboxes.of(caller), s.inboxes.newConsumer()
	timer := time.NewTimer(time.Duration(req.GetWaitSeconds()) * time.Second)
	defer timer.Stop()
	for waited := req.GetWaitSeconds() == 0; ; {
		changed := in.changed.next()
		leaseUntil := s.clock().Add(s.limits.Lease)
		taken, err := in.take(ctx, consumer, orElse(int(req.GetMax()), defaultPull), bytesPerFrame, s.limits.Lease)
		if err != nil {
			return nil, fmt.Errorf("pull: %w", err)
		}
		if len(taken) > 0 || waited {
			resp, err := s.pulled(ctx, in, consumer, taken, leaseUntil)
			if err != nil || len(taken) == 0 || len(resp.GetDeliveries()) > 0 {
				return resp, err
			}
			continue // none of these can be read; there may be others
		}
		expiry, stop := in.expiry()
		select {
		case <-changed:
		case <-expiry:
		case <-timer.C:
			waited = true
		case <-stopping.Done(): // what comes now comes to the next pull
			waited = true
		case <-ctx.Done():
			err = fmt.Errorf("pull: %w", context.Cause(ctx))
		}
		stop()
		if err != nil {
			return nil, err
		}
	}
}

// pulled reads what was taken. What a caller that has gone would not see goes
// back at once instead of at the end of its lease.
func (s *Service) pulled(ctx context.Context, in *inbox, consumer uint64, taken []out, leaseUntil time.Time) (*exchangev1.PullResponse, error) {
	deliveries, err := s.deliveries(ctx, in, taken)
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("pull: %w", context.Cause(ctx))
	}
	if err != nil {
		in.leave(consumer)
		return nil, err
	}
	return &exchangev1.PullResponse{Deliveries: deliveries, LeaseUntil: timestamppb.New(leaseUntil)}, nil
}

// Acknowledge implements ExchangeService.
func (s *Service) Acknowledge(ctx context.Context, req *exchangev1.AcknowledgeRequest) (*exchangev1.AcknowledgeResponse, error) {
	caller, err := s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	done, err := s.inboxes.of(caller).acknowledge(ctx, req.GetSequences())
	if err != nil {
		return nil, fmt.Errorf("acknowledge: %w", err)
	}
	return &exchangev1.AcknowledgeResponse{Acknowledged: done, NotWaiting: without(req.GetSequences(), done)}, nil
}

// without returns the sequences that are in none of the others, each once.
func without(sequences []uint64, others ...[]uint64) []uint64 {
	left := slices.Clone(sequences)
	left = slices.DeleteFunc(left, func(sequence uint64) bool {
		return slices.ContainsFunc(others, func(other []uint64) bool { return slices.Contains(other, sequence) })
	})
	slices.Sort(left)
	return slices.Compact(left)
}
