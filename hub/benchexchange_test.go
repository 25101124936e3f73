package hub_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/nodes/receipt"
)

// load is one case of BenchmarkExchange.
type load struct {
	name          string
	nodes, fanOut int
	size          int
	format        exchangev1.Format
	single        bool
	half          bool
}

// loads are a base case, and cases in which one thing is otherwise.
func loads() []load {
	base := load{name: "base", nodes: 8, fanOut: 1, size: 1 << 10, format: exchangev1.Format_FORMAT_PROTOBUF}
	with := func(name string, change func(*load)) load {
		other := base
		other.name = name
		change(&other)
		return other
	}
	return []load{
		base,
		with("format=XML", func(l *load) { l.format = exchangev1.Format_FORMAT_XML }),
		with("frame=1", func(l *load) { l.single = true }),
		with("packet=2KB", func(l *load) { l.size = 2 << 10 }),
		with("nodes=1", func(l *load) { l.nodes = 1 }),
		with("nodes=64", func(l *load) { l.nodes = 64 }),
		with("nodes=1000", func(l *load) { l.nodes = 1000 }),
		with("fan-out=5", func(l *load) { l.fanOut = 5 }),
		with("load=half", func(l *load) { l.half = true }),
	}
}

// BenchmarkExchange moves b.N packets the whole path: submitted on a stream, validated,
// durable, delivered, acknowledged, the acknowledgement confirmed; everything over
// mutual TLS, hub and load in this process. Every case fails unless all recipients
// have all packets, once, and those of each dossier in order.
//
// In the base case 8 one-stop systems send Protobuf packets of 1 KB, each in frames of
// what has gathered, to one portal, as all of a country send to one; fan-out=5 has
// five portals that each get every packet. What is called load=half is sent at half
// the rate that the same fleet has just shown, in bursts a millisecond apart, and its
// latencies count from when a packet was due, not from when it could go.
func BenchmarkExchange(b *testing.B) {
	for _, l := range loads() {
		b.Run(l.name, func(b *testing.B) { l.run(b) })
	}
}

func (l load) run(b *testing.B) {
	f := startFleet(b, l.nodes, l.fanOut)
	m := newMould(b, l.format, l.size)
	open := f.sdk
	if l.single {
		open = f.oneAFrame
	}
	first := newConsignment(m, l.nodes, b.N)
	measured := f.ship(b, first, open, pace{})
	if l.half {
		second := newConsignment(m, l.nodes, b.N)
		second.firstDossier = first.dossiers * l.nodes
		measured = f.ship(b, second, open, pace{perSecond: measured.rate() / 2})
	}
	measured.report(b)
}

// oneAFrame submits on a stream of the raw protocol, each envelope in a frame of its
// own, without waiting for one before sending the next. Receipts are verified.
func (f *fleet) oneAFrame(ctx context.Context, sender, window int, result resultFunc) (submitting, error) {
	config := f.credentials[sender]
	verifier, err := receipt.NewVerifier(config.Hub.LedgerKey)
	if err != nil {
		return nil, err
	}
	tls := credentials.NewTLS(certs.ClientConfig(config.Credentials, config.Hub.ServerName(), nil))
	conn, err := grpc.NewClient(config.Hub.Address, grpc.WithTransportCredentials(tls))
	if err != nil {
		return nil, err
	}
	stream, err := exchangev1.NewExchangeServiceClient(conn).SubmitStream(ctx)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s := &singles{
		conn: conn, stream: stream, verifier: verifier, result: result,
		window: semaphore.NewWeighted(int64(window)), sent: map[string]*exchangev1.Envelope{},
	}
	s.reading.Go(s.read)
	return s, nil
}

// singles submits envelopes one a frame.
type singles struct {
	conn     *grpc.ClientConn
	stream   exchangev1.ExchangeService_SubmitStreamClient
	verifier *receipt.Verifier
	result   resultFunc
	window   *semaphore.Weighted
	reading  errgroup.Group

	mu   sync.Mutex
	sent map[string]*exchangev1.Envelope // without a result, by id
}

func (s *singles) Send(ctx context.Context, env *exchangev1.Envelope) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	env.Id = id.String()
	if err := s.window.Acquire(ctx, 1); err != nil {
		return err
	}
	s.mu.Lock()
	s.sent[env.GetId()] = env
	s.mu.Unlock()
	return s.stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: []*exchangev1.Envelope{env}})
}

func (s *singles) CloseAndWait(context.Context) error {
	return errors.Join(s.stream.CloseSend(), s.reading.Wait(), s.conn.Close())
}

// read passes results on until the hub ends the stream.
func (s *singles) read() error {
	for {
		frame, err := s.stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, result := range frame.GetResults() {
			s.result(s.settled(result))
			s.window.Release(1)
		}
	}
}

func (s *singles) settled(result *exchangev1.SubmitResult) nodes.Result {
	s.mu.Lock()
	env := s.sent[result.GetId()]
	delete(s.sent, result.GetId())
	s.mu.Unlock()
	if result.GetReceipt() == nil {
		return nodes.Result{Envelope: env, Err: fmt.Errorf("refused: %s", result.GetRefusal().GetMessageEn())}
	}
	statement, err := s.verifier.Verify(result.GetReceipt())
	if err != nil {
		return nodes.Result{Envelope: env, Err: err}
	}
	return nodes.Result{Envelope: env, Accepted: &nodes.Accepted{Receipt: result.GetReceipt(), Statement: statement}}
}
