// Package exchange accepts packets, keeps them in order, and delivers them until
// they are acknowledged. An envelope becomes durable in committer.commit, in one
// atomic write with its idempotency key, its ledger leaf and its deliveries; its
// receipt leaves after that and not before.
package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/blobs"
	"github.com/lienthong/lienthong/packet"
)

// Store is where accepted packets and deliveries are kept. Its guarantees are
// those of package store.
type Store interface {
	Accept(ctx context.Context, group []store.Submission, seal store.SealFunc) ([]store.Outcome, error)
	Find(ctx context.Context, sender, id string) (sequence uint64, digest [32]byte, err error)
	Group(ctx context.Context, sequence uint64) (store.Group, error)
	Records(ctx context.Context, sequences []uint64) ([][]byte, error)
	Pending(ctx context.Context, recipient string, after uint64, limit int) ([]store.Pending, error)
	Acknowledge(ctx context.Context, recipient string, sequences []uint64) ([]uint64, error)
	Backlog(ctx context.Context, recipient string) (store.Backlog, error)
}

// Rights says who receives what.
type Rights interface {
	// Receivers returns the nodes that hold a right to packets of a type from an
	// organisation, sorted. The caller does not change the slice.
	Receivers(organisation packet.Organisation, typ packetv1.PacketType, at time.Time) []string
}

// Reader reads packets.
type Reader interface {
	Decode(typ packetv1.PacketType, format exchangev1.Format, content []byte) (*packet.Packet, error)
}

// Codec reads and writes packets.
type Codec interface {
	Reader
	Encode(message proto.Message, format exchangev1.Format) ([]byte, error)
}

// Limits bound what one caller, and all together, can make the hub hold in
// memory. Zero values mean the defaults.
type Limits struct {
	// ContentBytes is the largest content in an envelope; default 16 MiB.
	ContentBytes int
	// LargeBytes is the largest content that is uploaded; default DefaultLargeBytes.
	LargeBytes int64
	// QueuedBytes bounds the contents that wait for their commit, all streams
	// together; default 256 MiB, at least twice ContentBytes.
	QueuedBytes int64
	// SenderBytes bounds those of one sender; default a sixteenth of QueuedBytes, at
	// least ContentBytes, so that it takes many senders to fill the room of all. A
	// sender beyond it is refused or, in a stream, not read.
	SenderBytes int64
	// StreamEnvelopes bounds the envelopes of one submit stream that wait for
	// their result; default 4096.
	StreamEnvelopes int
	// GroupEnvelopes and GroupBytes end one commit group, with what was sent together
	// with the envelope that reaches them; defaults 1024, 8 MiB.
	GroupEnvelopes, GroupBytes int
	// Unacknowledged bounds what one consumer (a receive stream, or a pull) has been
	// sent and has not acknowledged; default 10,000. There are bounds in bytes and
	// for all consumers of a recipient together, too: see inbox.go.
	Unacknowledged int
	// Lease is how long a pulled delivery waits for its acknowledgement; default
	// one minute.
	Lease time.Duration
	// Attempts is how often a delivery can be rejected before it becomes a
	// dead letter; default DefaultAttempts.
	Attempts int
	// RetryAfter is how long a delivery waits after it was rejected, doubled with each
	// time, up to RetryAtMost; defaults a second, 5 minutes.
	RetryAfter, RetryAtMost time.Duration
	// TransferIdle is how long a stream of a large content may wait for the node, to
	// send a piece or to take one; what travels slower than 8 KiB a second uses it up.
	// Default DefaultTransferIdle.
	TransferIdle time.Duration
}

// DefaultLargeBytes is how large a content may be where nothing else is said: an
// attachment of 100 MiB, in Base64 in lines, and a packet around it.
const DefaultLargeBytes = 160 << 20

// DefaultTransferIdle is how long a large content may stand still where nothing else is
// said.
const DefaultTransferIdle = 30 * time.Second

// DefaultAttempts is how often a delivery can be rejected where nothing else is said.
const DefaultAttempts = 10

func (l Limits) withDefaults() Limits {
	l.ContentBytes = orElse(l.ContentBytes, 16<<20)
	l.LargeBytes = orElse(l.LargeBytes, DefaultLargeBytes)
	l.QueuedBytes = max(orElse(l.QueuedBytes, 256<<20), 2*int64(l.ContentBytes))
	l.SenderBytes = min(max(orElse(l.SenderBytes, l.QueuedBytes/16), int64(l.ContentBytes)), l.QueuedBytes)
	l.StreamEnvelopes = orElse(l.StreamEnvelopes, 4096)
	l.GroupEnvelopes = orElse(l.GroupEnvelopes, 1024)
	l.GroupBytes = orElse(l.GroupBytes, 8<<20)
	l.Unacknowledged = orElse(l.Unacknowledged, 10_000)
	l.Lease = orElse(l.Lease, time.Minute)
	l.Attempts = orElse(l.Attempts, DefaultAttempts)
	l.RetryAfter = orElse(l.RetryAfter, time.Second)
	l.RetryAtMost = orElse(l.RetryAtMost, 5*time.Minute)
	l.TransferIdle = orElse(l.TransferIdle, DefaultTransferIdle)
	return l
}

// chunk is how many envelopes of a frame go to their commit together.
func (l Limits) chunk() int { return min(l.StreamEnvelopes, l.GroupEnvelopes) }

func orElse[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Config is what a Service is made of. All but Limits, Quota, Strict, ReadStrictly,
// StrictHub, Included, Skipped, Stopping, End and Committed is required.
type Config struct {
	Store       Store
	DeadLetters DeadLetters
	Rights      Rights
	// Codec reads what is submitted, and reads again what was accepted, to write it in
	// another format. It reads liberally: what was accepted stays readable, whatever
	// is asked of senders now.
	Codec Codec
	// Strict reads in place of Codec what is submitted by nodes that ReadStrictly
	// reports. That is asked for every packet, so that a change counts from the next
	// one, in streams too; nil: no node is read strictly.
	Strict       Reader
	ReadStrictly func(node string) bool
	// StrictHub reads what any node submits with Strict; refusals say that it is the
	// hub's doing, not the node's.
	StrictHub bool
	// Blobs keeps large contents; nil: there are none. Large reads them.
	Blobs  *blobs.Blobs
	Large  LargeReaders
	Ledger Ledger
	// Included returns the ledger's latest checkpoint and the path that proves the
	// statement of a sequence under it; nil where it does not cover that yet. Without it,
	// receipts prove their group only.
	Included func(sequence uint64) (ledger.Included, error)
	// Skipped says of a sequence that was skipped, where the hub went on from a copy, when
	// that was made, zero where it is not known; nil: none was.
	Skipped func(sequence uint64) (copied time.Time, skipped bool)
	// SpeaksFor returns the organisation a node speaks for: its own, or the one it
	// names; see registry.SpeaksFor.
	SpeaksFor func(node, onBehalfOf string) (packet.Organisation, error)
	// Caller returns the node id of who calls ("H41/motcua"), as authenticated.
	Caller    func(context.Context) (string, bool)
	Validator protovalidate.Validator
	Limits    Limits
	// Quota returns what a node may send and have waiting for it. It is asked for every
	// packet, so that a change counts from the next one; nil: no limits.
	Quota func(node string) Quota
	// Stopping returns a context that ends before that of a call does where the hub is
	// stopping: what was taken is to be finished then, nothing more to be begun. Its cause
	// is what the caller is told. Nil: there is no such warning.
	Stopping func(ctx context.Context) (context.Context, context.CancelFunc)
	// End ends the call that a context is of, and tells the caller why, while its handler
	// waits for the other end of a stream. Nil: nothing does, and nodes can keep the
	// places of large packets that they make nothing of.
	End    func(ctx context.Context, why *fault.Error)
	Clock  func() time.Time
	Logger *slog.Logger
	// Committed is told what was accepted, in order, after each commit; it must not
	// block, nor change anything of it.
	Committed func([]Accepted)
}

// Accepted is a packet that was accepted.
type Accepted struct {
	Sequence uint64
	// Speaker is the organisation that its sender spoke for.
	Speaker packet.Organisation
	// Packet as it was read; its message may keep the bytes it was read from. Nil of a
	// large packet.
	Packet *packet.Packet
}

// Service implements ExchangeService and TransferService. Run has to be running for it to accept.
type Service struct {
	exchangev1.UnimplementedExchangeServiceServer
	exchangev1.UnimplementedTransferServiceServer
	store        Store
	dead         DeadLetters
	rights       Rights
	speaksFor    func(node, onBehalfOf string) (packet.Organisation, error)
	codec        Codec
	strict       Reader
	readStrictly func(node string) bool
	strictHub    bool
	blobs        *blobs.Blobs
	large        LargeReaders
	transfers    *transfers
	ledger       Ledger
	included     func(sequence uint64) (ledger.Included, error)
	skipped      func(sequence uint64) (copied time.Time, skipped bool)
	caller       func(context.Context) (string, bool)
	validator    protovalidate.Validator
	limits       Limits
	// maxRecipients is how many an envelope may name, by its .proto file.
	maxRecipients int
	clock         func() time.Time
	logger        *slog.Logger
	quota         *quota
	stopping      func(context.Context) (context.Context, context.CancelFunc)
	end           func(context.Context, *fault.Error)
	committer     *committer
	underway      *underway
	room          *room
	inboxes       *inboxes
}

// New returns a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.DeadLetters == nil || cfg.Rights == nil || cfg.SpeaksFor == nil || cfg.Codec == nil || cfg.Ledger == nil || cfg.Caller == nil ||
		cfg.Validator == nil || cfg.Clock == nil || cfg.Logger == nil {
		return nil, errors.New("exchange: Store, DeadLetters, Rights, SpeaksFor, Codec, Ledger, Caller, Validator, Clock and Logger are required")
	}
	if cfg.ReadStrictly == nil {
		cfg.ReadStrictly = func(string) bool { return false }
	} else if cfg.Strict == nil {
		return nil, errors.New("exchange: ReadStrictly needs Strict, to read with")
	}
	if cfg.StrictHub && cfg.Strict == nil {
		return nil, errors.New("exchange: StrictHub needs Strict, to read with")
	}
	if cfg.Included == nil {
		cfg.Included = func(uint64) (ledger.Included, error) { return ledger.Included{}, nil }
	}
	if cfg.Skipped == nil {
		cfg.Skipped = func(uint64) (time.Time, bool) { return time.Time{}, false }
	}
	if cfg.Quota == nil {
		cfg.Quota = func(string) Quota { return Quota{} }
	}
	if cfg.Stopping == nil {
		cfg.Stopping = context.WithCancel
	}
	if cfg.End == nil {
		cfg.End = func(context.Context, *fault.Error) {}
	}
	if cfg.Blobs != nil && (cfg.Large.Liberal == nil || cfg.Large.Strict == nil && (cfg.StrictHub || cfg.Strict != nil)) {
		return nil, errors.New("exchange: Blobs needs Large, to read with")
	}
	limits := cfg.Limits.withDefaults()
	s := &Service{
		store: cfg.Store, dead: cfg.DeadLetters, rights: cfg.Rights, speaksFor: cfg.SpeaksFor,
		codec: cfg.Codec, strict: cfg.Strict, readStrictly: cfg.ReadStrictly, strictHub: cfg.StrictHub, ledger: cfg.Ledger, included: cfg.Included, skipped: cfg.Skipped,
		caller: cfg.Caller, validator: cfg.Validator, limits: limits, clock: cfg.Clock, logger: cfg.Logger,
		blobs: cfg.Blobs, large: cfg.Large, transfers: newTransfers(),
		maxRecipients: maxRecipients(),
		quota:         newQuota(limits, cfg.Quota, cfg.Clock),
		stopping:      cfg.Stopping,
		end:           cfg.End,
		underway:      newUnderway(),
		room:          &room{},
		inboxes:       newInboxes(cfg.Store, cfg.DeadLetters, cfg.Clock, limits),
	}
	s.committer = &committer{
		store: cfg.Store, ledger: cfg.Ledger, clock: cfg.Clock, logger: cfg.Logger,
		queue: newQueue(limits),
		committed: func(accepted []Accepted, recipients map[string]bool) {
			s.inboxes.wake(recipients)
			if cfg.Committed != nil && len(accepted) > 0 {
				cfg.Committed(accepted)
			}
		},
	}
	return s, nil
}

// Run commits submissions until ctx ends, then commits what was already queued.
// Stop the servers first: a submission that comes after the end is refused.
func (s *Service) Run(ctx context.Context) error {
	if err := s.committer.run(ctx); err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	return nil
}
