// Package views keeps what can be known from the accepted packets: dossiers and
// their timelines, statistics, surveys. It follows the accepted log; everything
// it keeps can be thrown away and rebuilt from that log, with the same result; but for
// packets that the log does not keep any more: what is known of them is only here.
// It keeps no personal data unmasked.
package views

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/packet"
)

// Store is the accepted log, and where views are kept.
type Store interface {
	// AcceptedAfter returns entries of the accepted log after a sequence, in order:
	// at most maxEntries, and no more than maxBytes of records unless the first
	// alone is larger.
	AcceptedAfter(ctx context.Context, after uint64, maxEntries, maxBytes int) ([]store.Entry, error)
	// ViewCursor returns the last sequence the views have taken in; 0 for none.
	ViewCursor(ctx context.Context) (uint64, error)
	// ApplyView changes view items and moves the cursor, all or none.
	ApplyView(ctx context.Context, cursor uint64, changes []store.Item) error
	// ViewItem returns one view item, or store.ErrNotFound.
	ViewItem(ctx context.Context, kind, key string) ([]byte, error)
	// ViewItems returns at most limit view items whose keys have the prefix, by key.
	ViewItems(ctx context.Context, kind, keyPrefix string, limit int) ([]store.Item, error)
}

// Decoder reads the packets that were accepted.
type Decoder interface {
	Decode(typ packetv1.PacketType, format exchangev1.Format, content []byte) (*packet.Packet, error)
}

// Config is what Views are made of.
type Config struct {
	Store Store
	// Codec should take every liberty: what was accepted once must stay readable.
	Codec Decoder
	// Large calls show with what reads the content of a large packet, and the content,
	// of which nothing may be kept; nil: there are no large packets.
	Large func(ctx context.Context, accepted *exchangev1.AcceptedPacket, show func(Decoder, []byte) error) error
	// OrganisationName returns the name of a known organisation, "" for others; nil
	// knows none. Organisations it does not know are shown by the name they sent.
	OrganisationName func(packet.Organisation) string
	// Logger is told of packets that were passed over, by sequence and reason,
	// never by content; nil means slog.Default.
	Logger *slog.Logger
}

// Views implements ViewService over what Run keeps. Its methods may be called
// concurrently. One Views at a time may run over a store.
type Views struct {
	viewv1.UnimplementedViewServiceServer

	store            Store
	codec            Decoder
	large            func(ctx context.Context, accepted *exchangev1.AcceptedPacket, show func(Decoder, []byte) error) error
	organisationName func(packet.Organisation) string
	logger           *slog.Logger
	wake             chan struct{}
	offered          offered

	mu    sync.Mutex
	seen  uint64        // last sequence the views include; under mu
	moved chan struct{} // closed when seen moves, then replaced; under mu
}

// New returns Views that show what was kept before; Run brings them up to date.
func New(cfg Config) (*Views, error) {
	if cfg.Store == nil || cfg.Codec == nil {
		return nil, errors.New("views: a store and a codec are required")
	}
	if cfg.OrganisationName == nil {
		cfg.OrganisationName = func(packet.Organisation) string { return "" }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Views{
		store: cfg.Store, codec: cfg.Codec, large: cfg.Large, organisationName: cfg.OrganisationName, logger: cfg.Logger,
		wake: make(chan struct{}, 1), moved: make(chan struct{}),
	}, nil
}

// Bounds of what one batch holds in memory. A batch holds one packet and one
// dossier more than its bytes at most.
const (
	batchEntries = 256
	batchBytes   = 8 << 20
)

// retryAfter is how long Run waits for a store that failed.
const retryAfter = time.Second

// Run takes in the accepted log, from where it left off to its end, then what
// Wake tells of. What another layout of views left behind is thrown away and
// rebuilt first. A packet it cannot read is logged once and passed over. It
// returns nil when ctx ends, and an error when the store is closed or corrupt;
// other failures of the store are logged and tried again.
func (v *Views) Run(ctx context.Context) error {
	ready, failing := false, false
	for {
		var err error
		if !ready {
			err = v.discardOtherLayouts(ctx)
			ready = err == nil
		}
		if ready {
			err = v.catchUp(ctx)
		}
		var retry <-chan time.Time
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrCorrupt):
			return fmt.Errorf("views: %w", err)
		case err != nil:
			if !failing {
				v.logger.WarnContext(ctx, "views cannot follow the accepted log; trying again", "error", err)
			}
			retry = time.After(retryAfter)
		}
		failing = err != nil
		select {
		case <-v.wake:
		case <-retry:
		case <-ctx.Done():
			return nil
		}
	}
}

// Offer tells Run that packets were accepted, and hands over those that have been
// read, in order, so that they need not be read again. It never blocks, and keeps
// no more than maxOffered: the rest is read from the accepted log.
func (v *Views) Offer(accepted []Accepted) {
	v.offered.add(accepted)
	v.Wake()
}

// Wake tells Run that packets were accepted. It never blocks.
func (v *Views) Wake() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// WaitFor returns nil once the views include a sequence and everything before
// it, or the error of ctx if that ends first.
func (v *Views) WaitFor(ctx context.Context, sequence uint64) error {
	for {
		v.mu.Lock()
		seen, moved := v.seen, v.moved
		v.mu.Unlock()
		if seen >= sequence {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("views at %d, waiting for %d: %w", seen, sequence, ctx.Err())
		}
	}
}

// catchUp takes in everything after the stored cursor.
func (v *Views) catchUp(ctx context.Context) error {
	cursor, err := v.store.ViewCursor(ctx)
	if err != nil {
		return fmt.Errorf("read cursor: %w", err)
	}
	for {
		v.include(cursor)
		read, missing := v.offered.take(cursor, batchEntries)
		if len(read) > 0 {
			cursor, err = takeIn(ctx, v, read, func(a Accepted) uint64 { return a.Sequence }, applyRead)
			if err != nil {
				return err
			}
			continue
		}
		entries, err := v.store.AcceptedAfter(ctx, cursor, missing, batchBytes)
		if err != nil {
			return fmt.Errorf("read accepted log after %d: %w", cursor, err)
		}
		if len(entries) == 0 {
			return nil
		}
		if cursor, err = takeIn(ctx, v, entries, func(e store.Entry) uint64 { return e.Sequence }, v.apply); err != nil {
			return err
		}
	}
}

// takeIn applies packets until their changes fill a batch, and returns the last
// sequence it applied.
func takeIn[T any](ctx context.Context, v *Views, packets []T, sequence func(T) uint64, apply func(context.Context, *batch, T) error) (uint64, error) {
	b := newBatch(v.store)
	var last uint64
	for _, p := range packets {
		last = sequence(p)
		err := apply(ctx, b, p)
		var skipped passedOver
		switch {
		case errors.As(err, &skipped):
			v.logger.WarnContext(ctx, "packet passed over by the views", "sequence", last, "reason", string(skipped))
		case err != nil:
			return 0, fmt.Errorf("take in %d: %w", last, err)
		}
		if b.bytes > batchBytes {
			break
		}
	}
	changes, err := b.changes()
	if err != nil {
		return 0, err
	}
	if err := v.store.ApplyView(ctx, last, changes); err != nil {
		return 0, fmt.Errorf("keep views up to %d: %w", last, err)
	}
	return last, nil
}

// include tells waiters how far the views are.
func (v *Views) include(sequence uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if sequence == v.seen {
		return
	}
	v.seen = sequence
	close(v.moved)
	v.moved = make(chan struct{})
}
