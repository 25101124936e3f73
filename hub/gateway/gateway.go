// Package gateway is the HTTP edge: the addresses that agencies' systems already
// call, the way back for systems that only speak HTTP, and a REST API, all over
// one connection to the Exchange. The hub gives it a channel in process, an
// agent its own client.
//
// # The official addresses
//
//	POST /Document/SyncDocument           MSyncDocument
//	POST /Document/UpdateDocumentTraces   MDocumentTraces
//	POST /Statistic/UpdateStatistic       MStatistic
//	POST /Vote/UpdateVote                 MVotes
//
// The body is official XML or JSON as Content-Type says (application/xml,
// text/xml, application/json; without one it is looked at), and goes to the hub
// as the bytes that came. The answer is an MResult, Status 1 with the receipt in
// Message or Status 0 with every violation, what was sent included, under an HTTP
// status that fits; in XML or JSON as Accept says, else in what the request came in.
// A body that is evidently not in the format that Content-Type says is refused. A
// blank or a slash at the end of the path is forgiven.
//
// The envelope's id is the Idempotency-Key header; without one it follows from
// the content, so a POST that is sent again never makes a second packet.
// X-LienThong-On-Behalf-Of (or ?on-behalf-of=) names the organisation spoken
// for, X-LienThong-To (or ?to=) the recipients, with commas between them.
//
// # The way back
//
//	GET, POST /Delivery/Pull?max=32&wait=0   MDeliveries
//	POST      /Delivery/Acknowledge          MAcknowledge, answered by MResult
//	POST      /Delivery/Reject               MReject, answered by MResult
//
// max is at most 1024 deliveries, wait at most 60 seconds. What is not
// acknowledged before LeaseUntil is delivered again.
//
// # REST
//
// Under /v1 are the ExchangeService and the LedgerService as their .proto annotations
// say, in Protobuf's JSON; unknown members are refused, and errors are problem details
// (RFC 9457), in both languages, with every member of the body that cannot be read and
// its place. There a packet has four addresses, and the ledger has three:
//
//	GET /v1/packets/{sequence}           the accepted packet with its envelope, JSON
//	GET /v1/packets/{sequence}/content   the document itself: official XML or JSON as
//	                                     Accept names one, else the sender's own bytes;
//	                                     a large packet only as its sender wrote it
//	GET /v1/packets/{sequence}/receipt   the signed receipt and what it states, for its sender
//	GET /v1/packets/{sequence}/deliveries   how far it has got with each recipient, for its sender
//	GET /v1/ledger/checkpoint            the latest checkpoint
//	GET /v1/ledger/consistency?fromSize=1&toSize=2   the proof that one ledger begins with another
//	GET /v1/ledger/inclusion?sequence=1&size=2       the proof that a statement is in a ledger
//
// What cannot be handled is rejected there, with a reason, and is delivered again
// later; what was given up waits as a dead letter until it is settled:
//
//	POST /v1/deliveries:reject     {"rejections":[{"sequence":"1","reason":"...","final":false}]}
//	GET  /v1/dead-letters?after=0&limit=100
//	POST /v1/dead-letters:settle   {"redeliver":["1"],"discard":["2"]}
//
// A caller that asks the first for XML is given the second, under its name in
// Content-Location, so that following Location works for systems that only read
// XML.
//
// # Without a certificate
//
//	GET /healthz                                       200 while the edge serves
//	GET /schema/lienthong.xsd?mode=strict&type=dossier  the XML schema; mode is strict or
//	                                                   structure, type a packet, none for all
//	GET /openapi.json                                  OpenAPI 3.1 of all this
//
// The last two carry an ETag and may be kept for an hour.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	ledgerv1 "github.com/lienthong/lienthong/gen/lienthong/ledger/v1"
	"github.com/lienthong/lienthong/packet"
)

// defaultMaxBodyBytes is the hub's own default limit for the content of an
// envelope.
const defaultMaxBodyBytes = 16 << 20

const defaultHeldBytes = 256 << 20

// callWithin bounds one call to the Exchange: the longest wait of a pull and
// time to spare.
const callWithin = 90 * time.Second

// Config is what a gateway is made of. Conn, Codec and Caller are required.
type Config struct {
	// Conn leads to an ExchangeService, a TransferService and a LedgerService.
	Conn grpc.ClientConnInterface
	// Codec reads deliveries and writes answers.
	Codec *packet.Codec
	// Caller finds out who sends a request and returns the context to call the
	// Exchange with, derived from the request's own. It refuses with a
	// *fault.Error.
	Caller func(*http.Request) (context.Context, error)
	// Logger gets one line per request, without bodies, queries and names;
	// default: none.
	Logger *slog.Logger
	// MaxBodyBytes bounds the body of a request; default 16 MiB.
	MaxBodyBytes int64
	// HeldBytes bounds the bodies of all requests that are being served; default
	// 256 MiB, at least MaxBodyBytes.
	HeldBytes int64
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// New returns the HTTP edge. The handler may serve any number of requests at the
// same time.
func New(cfg Config) (http.Handler, error) {
	if cfg.Conn == nil || cfg.Codec == nil || cfg.Caller == nil {
		return nil, errors.New("gateway: Conn, Codec and Caller are required")
	}
	if cfg.MaxBodyBytes < 0 {
		return nil, fmt.Errorf("gateway: MaxBodyBytes is %d", cfg.MaxBodyBytes)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxBodyBytes == 0 {
		cfg.MaxBodyBytes = defaultMaxBodyBytes
	}
	if cfg.HeldBytes == 0 {
		cfg.HeldBytes = defaultHeldBytes
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	g := &gateway{
		exchange: exchangev1.NewExchangeServiceClient(edgeConn{cfg.Conn}),
		transfer: exchangev1.NewTransferServiceClient(cfg.Conn),
		codec:    cfg.Codec,
		caller:   cfg.Caller,
		logger:   cfg.Logger,
		maxBody:  cfg.MaxBodyBytes,
		held:     semaphore.NewWeighted(max(cfg.HeldBytes, cfg.MaxBodyBytes+bodyStep)),
		handing:  semaphore.NewWeighted(maxHanded),
		now:      cfg.Now,
		origins:  http.NewCrossOriginProtection(),
	}
	g.routes = g.officialRoutes()
	g.xsds, g.described = sync.OnceValues(newXSDs), sync.OnceValues(newDescription)
	rest, err := newREST(g.exchange, ledgerv1.NewLedgerServiceClient(edgeConn{cfg.Conn}))
	if err != nil {
		return nil, err
	}
	g.rest = rest
	return g, nil
}

type gateway struct {
	exchange exchangev1.ExchangeServiceClient
	transfer exchangev1.TransferServiceClient
	codec    *packet.Codec
	caller   func(*http.Request) (context.Context, error)
	logger   *slog.Logger
	maxBody  int64
	held     *semaphore.Weighted
	handing  *semaphore.Weighted // of documents to strangers
	now      func() time.Time
	origins  *http.CrossOriginProtection
	routes   map[string]route
	rest     *rest
	// xsds and described are what the edge hands out about itself, written when it is
	// first asked for.
	xsds      func() (map[xsdKey]published, error)
	described func() (published, error)
}
