package hub

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/lienthong/lienthong/certs"
	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	ledgerv1 "github.com/lienthong/lienthong/gen/lienthong/ledger/v1"
	lookupv1 "github.com/lienthong/lienthong/gen/lienthong/lookup/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/hub/admin"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/gateway"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/lookup"
	"github.com/lienthong/lienthong/hub/registry"
	"github.com/lienthong/lienthong/hub/rpc"
	"github.com/lienthong/lienthong/hub/store/blobs"
	"github.com/lienthong/lienthong/hub/views"
	"github.com/lienthong/lienthong/hub/web"
	"github.com/lienthong/lienthong/packet"
)

// policy says who may call what; nobody may call what it does not name.
func policy() rpc.Policy {
	return rpc.Policy{
		exchangev1.ExchangeService_ServiceDesc.ServiceName:   rpc.Nodes,
		exchangev1.TransferService_ServiceDesc.ServiceName:   rpc.Nodes,
		lookupv1.LookupService_ServiceDesc.ServiceName:       rpc.Nodes,
		viewv1.ViewService_ServiceDesc.ServiceName:           rpc.Nodes | rpc.Admins,
		ledgerv1.LedgerService_ServiceDesc.ServiceName:       rpc.Nodes | rpc.Admins,
		registryv1.RegistryService_ServiceDesc.ServiceName:   rpc.Admins,
		enrolmentv1.EnrolmentService_ServiceDesc.ServiceName: rpc.Anyone,
		healthv1.Health_ServiceDesc.ServiceName:              rpc.Anyone,
	}
}

// frameOverhead is room for what surrounds contents in one gRPC message.
const frameOverhead = 1 << 20

func (h *Hub) wireServices(context.Context) error {
	validator, err := protovalidate.New()
	if err != nil {
		return fmt.Errorf("validator: %w", err)
	}
	h.identity, err = newServerIdentity(h.authority, h.cfg)
	if err != nil {
		return err
	}
	h.rpc, err = rpc.New(rpc.Config{
		TLS: certs.ServerConfig(h.identity), Verifier: h.authority.Verifier(), Authenticate: h.registry.Authenticate,
		Policy: policy(), Validator: validator, MaxMessageBytes: h.cfg.ContentBytes + frameOverhead,
		HandshakesPerSecond: h.cfg.HandshakesPerSecond, StopWithin: stopWithin, Clock: h.cfg.Clock, Logger: h.cfg.Logger,
	})
	if err != nil {
		return err
	}
	if err := h.wireExchange(validator); err != nil {
		return err
	}
	asks, err := lookup.New(lookup.Config{
		Rights: h.registry, SpeaksFor: registry.SpeaksFor, Audit: h.store, Caller: rpc.NodeFrom, Clock: h.cfg.Clock, Logger: h.cfg.Logger,
	})
	if err != nil {
		return err
	}
	h.rpc.Register(func(s grpc.ServiceRegistrar) {
		exchangev1.RegisterExchangeServiceServer(s, h.exchange)
		exchangev1.RegisterTransferServiceServer(s, h.exchange)
		lookupv1.RegisterLookupServiceServer(s, asks)
		viewv1.RegisterViewServiceServer(s, h.views)
		ledgerv1.RegisterLedgerServiceServer(s, ledger.NewService(h.log))
		registryv1.RegisterRegistryServiceServer(s, admin.NewRegistryService(h.registry, h.waiting, callerName, h.cfg.Logger))
		enrolmentv1.RegisterEnrolmentServiceServer(s, admin.NewEnrolmentService(h.registry, h.cfg.Logger))
		healthv1.RegisterHealthServer(s, health.NewServer())
	})
	return nil
}

// wireExchange makes what reads packets. Both readings take whatever size was ever
// allowed: how large a packet may be now, the exchange says before it is read. So a
// hub that has become stricter still shows what it accepted before. Content comes in
// envelopes, which nobody writes to once they are there: it is not copied.
func (h *Hub) wireExchange(validator protovalidate.Validator) error {
	var err error
	limits := packet.Options{ContentBytes: MaxContentBytes, TextBytes: MaxContentBytes, Shared: true}
	if h.liberal, err = packet.NewCodec(limits); err != nil {
		return fmt.Errorf("codec: %w", err)
	}
	limits.Strict = true
	strict, err := packet.NewCodec(limits)
	if err != nil {
		return fmt.Errorf("strict codec: %w", err)
	}
	large, err := h.openLarge()
	if err != nil {
		return err
	}
	h.views, err = views.New(views.Config{
		Store: h.store, Codec: h.liberal, OrganisationName: h.registry.OrganisationName, Logger: h.cfg.Logger,
		Large: func(ctx context.Context, accepted *exchangev1.AcceptedPacket, show func(views.Decoder, []byte) error) error {
			content, _ := exchange.LargeContent(accepted)
			return h.blobs.View(ctx, content, func(bytes []byte) error { return show(large.Liberal, bytes) })
		},
	})
	if err != nil {
		return err
	}
	h.exchange, err = exchange.New(exchange.Config{
		Store: h.store, DeadLetters: h.store, Rights: h.registry, SpeaksFor: registry.SpeaksFor, Codec: h.liberal, Strict: strict, ReadStrictly: h.registry.ReadStrictly, StrictHub: h.cfg.Strict,
		Ledger: h.ledger, Included: h.log.Included, Skipped: h.skipped, Caller: rpc.NodeFrom,
		Blobs: h.blobs, Large: large,
		Validator: validator, Limits: exchange.Limits{ContentBytes: h.cfg.ContentBytes, LargeBytes: int64(h.cfg.LargeBytes), Attempts: h.cfg.DeliveryAttempts, TransferIdle: h.cfg.TransferIdle},
		Quota:    func(node string) exchange.Quota { return exchange.Quota(h.registry.Quota(node)) },
		Stopping: rpc.Stopping,
		End:      rpc.End,
		Clock:    h.cfg.Clock, Logger: h.cfg.Logger, Committed: h.showAccepted,
	})
	return err
}

// openLarge opens what keeps the contents of large packets, and makes what reads them:
// that copies no more of one than a packet in one piece may have.
func (h *Hub) openLarge() (readers exchange.LargeReaders, err error) {
	dir := filepath.Join(h.cfg.DataDir, blobsDir)
	if err := makePrivate(dir); err != nil {
		return readers, err
	}
	h.blobs, err = blobs.Open(dir, blobs.Options{
		Accepted: exchange.NeedsContent(h.store), Clock: h.cfg.Clock, Logger: h.cfg.Logger,
	})
	if err != nil {
		return readers, err
	}
	limits := packet.Options{ContentBytes: MaxContentBytes, TextBytes: MaxContentBytes, Shared: true, CopiedBytes: h.cfg.ContentBytes}
	liberal, err := packet.NewCodec(limits)
	if err != nil {
		return readers, fmt.Errorf("codec of large packets: %w", err)
	}
	limits.Strict = true
	strict, err := packet.NewCodec(limits)
	if err != nil {
		return readers, fmt.Errorf("strict codec of large packets: %w", err)
	}
	return exchange.LargeReaders{Liberal: liberal, Strict: strict}, nil
}

// showAccepted hands what was accepted to the views.
func (h *Hub) showAccepted(accepted []exchange.Accepted) {
	shown := make([]views.Accepted, len(accepted))
	for i, a := range accepted {
		shown[i] = views.Accepted(a)
	}
	h.views.Offer(shown)
}

// waiting tells administrators what waits for a node.
func (h *Hub) waiting(ctx context.Context, node string) (*registryv1.Waiting, error) {
	backlog, err := h.store.Backlog(ctx, node)
	if err != nil {
		return nil, err
	}
	return &registryv1.Waiting{Deliveries: uint64(max(backlog.Deliveries, 0)), Bytes: uint64(max(backlog.Bytes, 0))}, nil
}

func callerName(ctx context.Context) (string, bool) {
	identity, ok := rpc.CallerFrom(ctx)
	return identity.String(), ok
}

func (h *Hub) wireHTTP(context.Context) error {
	edge, err := gateway.New(gateway.Config{
		Conn: h.rpc.InProcess(), Codec: h.liberal,
		Caller:       func(r *http.Request) (context.Context, error) { return h.rpc.Caller(r.Context(), r.TLS) },
		MaxBodyBytes: int64(h.cfg.ContentBytes), HeldBytes: max(256<<20, 8*int64(h.cfg.ContentBytes)), Now: h.cfg.Clock, Logger: h.cfg.Logger,
	})
	if err != nil {
		return err
	}
	h.edge = gateway.NewServer(edge, int64(h.cfg.ContentBytes), h.cfg.Logger)
	h.edge.ConnState = func(conn net.Conn, state http.ConnState) {
		if state == http.StateActive {
			rpc.Verified(conn)
		}
	}
	h.edge.TLSConfig = certs.ServerConfig(h.identity)
	// Clients that only speak HTTP/1.0 name it in the handshake, and are served.
	h.edge.TLSConfig.NextProtos = append(h.edge.TLSConfig.NextProtos, "http/1.0")
	if h.listeners.web == nil {
		return nil
	}
	pages, err := web.New(h.views, web.Options{Now: h.cfg.Clock, Logger: h.cfg.Logger})
	if err != nil {
		return err
	}
	h.web = gateway.NewServer(pages, 1, h.cfg.Logger)
	return nil
}
