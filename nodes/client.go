package nodes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	lookupv1 "github.com/lienthong/lienthong/gen/lienthong/lookup/v1"
	"github.com/lienthong/lienthong/nodes/receipt"
)

// Config is what a Client is made of. Hub and Credentials are required; zero
// values of the rest mean the defaults.
type Config struct {
	// Hub to talk to; its ledger key is what receipts are verified with.
	Hub certs.Hub
	// Credentials to prove the node's identity with. A source that changes, such as
	// a certs.Reloader, is asked at every handshake; when the hub turns down a
	// certificate that has been renewed since, the connection is made anew.
	Credentials certs.Source
	// Logger is told of cuts, and of failures of handlers; default slog.Default.
	Logger *slog.Logger
	// MaxMessageBytes bounds one gRPC message either way; default 32 MiB, enough
	// for contents of 16 MiB in any format. What is larger is refused here, as
	// "packet_too_large" or "message_too_large", as is what the hub finds too large.
	MaxMessageBytes int
	// Backoff between attempts to connect, to submit and to open streams.
	Backoff Backoff
	// Answers bounds the questions that Serve answers at one time; default 64.
	Answers int
	// Clock defaults to time.Now; certificates are checked by it.
	Clock func() time.Time
	// Random gives numbers in [0, 1) for jitter; default math/rand/v2. It may be
	// called concurrently.
	Random func() float64
}

const (
	defaultMessageBytes = 32 << 20
	defaultAnswers      = 64
)

// Client is a node's connection to its hub. All methods may be called
// concurrently. A *Refused that comes of a context's end wraps what that ended
// with. After Close the error is ErrClosed.
type Client struct {
	hub          certs.Hub
	node         string
	logger       *slog.Logger
	backoff      Backoff
	clock        func() time.Time
	random       func() float64
	messageBytes int
	answers      int
	recipients   int           // that an envelope may name, by the rules of its .proto file
	calling      chan struct{} // one token per unary call under way

	links     *links
	conn      *grpc.ClientConn
	exchange  exchangev1.ExchangeServiceClient
	transfer  exchangev1.TransferServiceClient
	lookup    lookupv1.LookupServiceClient
	receipts  *receipt.Verifier
	seen      Seen
	receiving atomic.Bool
	closed    chan struct{}
	shut      func() error // closes closed and conn, once
}

// DialProfile is Dial with the hub and the credentials of a profile directory, as
// Join wrote it. Credentials that are renewed there are taken up.
func DialProfile(dir string, cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	hub, source, err := certs.LoadProfile(dir, func(err error) {
		cfg.Logger.Warn("renewed credentials cannot be taken; the ones before stay", "error", err)
	})
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	cfg.Hub, cfg.Credentials = hub, source
	return Dial(cfg)
}

// Dial returns a Client. It does not connect: the first call does, straight to the
// hub's address, whatever proxy the environment names. The error says what is
// missing or wrong in cfg.
func Dial(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	node, err := cfg.node()
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	receipts, err := receipt.NewVerifier(cfg.Hub.LedgerKey)
	if err != nil {
		return nil, fmt.Errorf("dial: ledger key of the hub: %w", err)
	}
	c := &Client{
		hub: cfg.Hub, node: node, logger: cfg.Logger, backoff: cfg.Backoff.withDefaults(), clock: cfg.Clock, random: cfg.Random,
		messageBytes: cfg.MaxMessageBytes, answers: cfg.Answers, recipients: maxRecipients(), calling: make(chan struct{}, callsAtOnce),
		receipts: receipts, seen: NewSeen(0), closed: make(chan struct{}),
	}
	c.links = newLinks(cfg.Credentials, func(err error) {
		c.logger.Warn("the hub cannot be reached; trying again", "hub", c.hub.Address, "error", err)
	})
	c.links.afterLoss = func() time.Duration { return c.backoff.afterLoss(c.random()) }
	c.conn, err = c.connection(newTransportFor(cfg, c.links))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", cfg.Hub.Address, err)
	}
	c.shut = sync.OnceValue(func() error {
		close(c.closed)
		return c.conn.Close()
	})
	c.exchange = exchangev1.NewExchangeServiceClient(c.conn)
	c.transfer = exchangev1.NewTransferServiceClient(c.conn)
	c.lookup = lookupv1.NewLookupServiceClient(c.conn)
	return c, nil
}

// Close ends the connection. What is running on it ends with ErrClosed. It may be
// called again.
func (c *Client) Close() error {
	if err := c.shut(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// Node returns the id of the node, "H41/motcua", as its certificate says.
func (c *Client) Node() string { return c.node }

// Pull takes some deliveries, leased until the time in the answer; those not
// acknowledged by then are delivered again. The error is a *Refused.
func (c *Client) Pull(ctx context.Context, req *exchangev1.PullRequest) (*exchangev1.PullResponse, error) {
	return call(ctx, c, c.exchange.Pull, req)
}

// Acknowledge ends deliveries: they are never delivered again. The error is a
// *Refused.
func (c *Client) Acknowledge(ctx context.Context, sequences ...uint64) (*exchangev1.AcknowledgeResponse, error) {
	return call(ctx, c, c.exchange.Acknowledge, &exchangev1.AcknowledgeRequest{Sequences: sequences})
}

// GetPacket fetches a packet that this node sent or received; unspecified: in the
// sender's own bytes. Of a large one its content is not there: see Open. The error is
// a *Refused.
func (c *Client) GetPacket(ctx context.Context, sequence uint64, format exchangev1.Format) (*exchangev1.AcceptedPacket, error) {
	resp, err := call(ctx, c, c.exchange.GetPacket, &exchangev1.GetPacketRequest{Sequence: sequence, Format: format})
	return resp.GetPacket(), err
}

// GetReceipt fetches the receipt of a packet that this node sent, and verifies
// it. The error is a *Refused or ErrReceipt.
func (c *Client) GetReceipt(ctx context.Context, sequence uint64) (*Accepted, error) {
	resp, err := call(ctx, c, c.exchange.GetReceipt, &exchangev1.GetReceiptRequest{Sequence: sequence})
	if err != nil {
		return nil, err
	}
	statement, err := c.receipts.Verify(resp.GetReceipt())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	if statement.GetSequence() != sequence {
		return nil, fmt.Errorf("%w: it is for sequence %d, not %d", ErrReceipt, statement.GetSequence(), sequence)
	}
	return &Accepted{Receipt: resp.GetReceipt(), Statement: statement}, nil
}

// call makes a unary call, twice where the first was turned down for a
// certificate that has been renewed.
func call[Req, Resp any](ctx context.Context, c *Client, method func(context.Context, Req, ...grpc.CallOption) (Resp, error), req Req) (Resp, error) {
	resp, err := method(ctx, req)
	if err == nil {
		return resp, nil
	}
	if denied(c.refused(err)) && c.links.dropOutdated() {
		if resp, err = method(ctx, req, grpc.WaitForReady(true)); err == nil {
			return resp, nil
		}
	}
	var none Resp
	return none, c.told(ctx, err)
}

func (c *Client) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.MaxMessageBytes <= 0 {
		c.MaxMessageBytes = defaultMessageBytes
	}
	if c.Answers <= 0 {
		c.Answers = defaultAnswers
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	return c
}

// node checks what is required and returns whom the credentials are for.
func (c Config) node() (string, error) {
	if c.Credentials == nil || c.Credentials.Credentials() == nil {
		return "", errors.New("credentials are required; join a hub to get them")
	}
	_, id, err := c.Credentials.Credentials().Identity()
	if err != nil {
		return "", fmt.Errorf("own certificate: %w", err)
	}
	if id.Kind != certs.KindNode {
		return "", fmt.Errorf("the certificate is of %s; a node's is required", id)
	}
	if c.Hub.ServerName() == "" {
		return "", fmt.Errorf("hub address %.100q; host:port is expected", c.Hub.Address)
	}
	return id.String(), nil
}

// connection is lazy. Dead peers are found out by pings, more seldom than the hub
// minds; between attempts gRPC waits as Backoff says: a jitter of 1 spreads each
// wait from nothing to twice its delay.
func (c *Client) connection(transport grpc.DialOption) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(c.hub.Address, transport,
		grpc.WithContextDialer(c.links.dial),
		grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: c.backoff.Min / 2, Multiplier: 2, Jitter: 1, MaxDelay: c.backoff.Max / 2},
			MinConnectTimeout: 10 * time.Second,
		}),
		grpc.WithUnaryInterceptor(c.inTurn),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(c.messageBytes), grpc.MaxCallSendMsgSize(c.messageBytes)),
	)
	if err != nil {
		return nil, fmt.Errorf("connection: %w", err)
	}
	return conn, nil
}

// callsAtOnce is how many unary calls are under way at one time: somewhat fewer than a
// hub lets a node have, for it may hear later than the node that one has ended.
const callsAtOnce = 48

// inTurn has a unary call wait until the hub would take it.
func (c *Client) inTurn(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	select {
	case c.calling <- struct{}{}:
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
	defer func() { <-c.calling }()
	return invoke(ctx, method, req, reply, conn, opts...)
}

func newTransportFor(cfg Config, ls *links) grpc.DialOption {
	return grpc.WithTransportCredentials(newTransport(certs.ClientConfig(cfg.Credentials, cfg.Hub.ServerName(), cfg.Clock), ls))
}
