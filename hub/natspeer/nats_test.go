// Package natspeer_test measures NATS JetStream doing what the hub does, as the peer
// of BenchmarkExchange. It is a module of its own, so that nobody who builds the hub
// downloads a NATS server.
package natspeer_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// The load is the base case of BenchmarkExchange: as many senders, as much on its way.
const (
	senders  = 8
	inFlight = 8192
)

const (
	streamName = "PACKETS"
	subject    = "packets.H41"
)

// BenchmarkNATS moves b.N packets from 8 publishers through a JetStream stream to one
// consumer that acknowledges each explicitly; mutual TLS, server and load in this
// process. The stream is in files and synchronous: what is acknowledged to a publisher
// is on stable storage. Message ids are looked at, so that a packet published twice is
// stored once. The last acknowledgement is confirmed. It fails unless every packet
// is delivered once, and each publisher's in order.
//
// async publishes with many packets on their way; the server writes each synchronously.
// batch publishes atomic batches of 512, which the server writes at once, up to four of
// each publisher on their way.
func BenchmarkNATS(b *testing.B) {
	for _, mode := range []struct {
		name    string
		publish publishing
	}{{"async", publishAsync}, {"batch", publishBatches}} {
		for _, size := range []int{1 << 10, 2 << 10} {
			b.Run(fmt.Sprintf("%s/packet=%dKB", mode.name, size>>10), func(b *testing.B) { run(b, mode.publish, size) })
		}
	}
}

// publishing publishes what one of the senders has of a consignment, and returns when
// all of it is acknowledged.
type publishing func(ctx context.Context, conn *nats.Conn, c *consignment, sender int) error

func run(b *testing.B, publish publishing, size int) {
	at := startServer(b)
	consumer := openStream(b, at.connect(b))
	conns := make([]*nats.Conn, senders)
	for i := range conns {
		conns[i] = at.connect(b)
	}
	c := newConsignment(b.N, size)
	work, ctx := errgroup.WithContext(b.Context())
	b.ResetTimer()
	before := usedNow(b)
	work.Go(func() error { return c.receive(ctx, consumer) })
	for i, conn := range conns {
		work.Go(func() error { return publish(ctx, conn, c, i) })
	}
	if err := work.Wait(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	usedNow(b).report(b, before)
	c.report(b)
}

// running is a server that runs.
type running struct {
	url          string
	certificates certificates
}

func startServer(b *testing.B) *running {
	b.Helper()
	r := &running{certificates: newCertificates(b)}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: b.TempDir(), SyncAlways: true,
		TLS: true, TLSVerify: true, TLSTimeout: 10, TLSConfig: r.certificates.server(),
	})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	b.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		b.Fatal("the NATS server does not come up")
	}
	r.url = s.ClientURL()
	return r
}

func (r *running) connect(b *testing.B) *nats.Conn {
	b.Helper()
	conn, err := nats.Connect(r.url, nats.Secure(r.certificates.client()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	return conn
}

// openStream makes the stream, and its consumer on the same connection.
func openStream(b *testing.B, conn *nats.Conn) jetstream.Consumer {
	b.Helper()
	js, err := jetstream.New(conn)
	if err != nil {
		b.Fatal(err)
	}
	stream, err := js.CreateStream(b.Context(), jetstream.StreamConfig{
		Name: streamName, Subjects: []string{subject}, Storage: jetstream.FileStorage, Duplicates: time.Hour, AllowAtomicPublish: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	consumer, err := stream.CreateConsumer(b.Context(), jetstream.ConsumerConfig{
		Durable: "portal", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 2 * inFlight,
	})
	if err != nil {
		b.Fatal(err)
	}
	return consumer
}

// receive consumes until everything is acknowledged, and the last acknowledgement,
// behind all others, is confirmed.
func (c *consignment) receive(ctx context.Context, consumer jetstream.Consumer) error {
	done := make(chan error, 1)
	left := c.count
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		err := c.take(m.Data())
		left--
		switch {
		case err == nil && left > 0:
			err = m.Ack()
		case err == nil:
			done <- m.DoubleAck(ctx)
			return
		}
		if err != nil {
			select {
			case done <- err:
			default: // one says enough
			}
		}
	}, jetstream.PullMaxMessages(4096))
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	defer consuming.Stop()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.Join(errors.New("consume"), context.Cause(ctx))
	}
}
