package hub_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// BenchmarkBarePipeline is the peer of BenchmarkPipeline: the same packets over the
// same streams with mutual TLS into a Pebble log with one fsync a group, and out
// again, with nothing of a hub in between: no parsing, no rights, no idempotency,
// no order, no receipts, no ledger, no inboxes, no acknowledgements kept. What a
// hub costs is the ratio of the two.
func BenchmarkBarePipeline(b *testing.B) {
	address, own := startBare(b)
	const senders, frame = 2, 64
	content := progressOf1KB(b)
	var all errgroup.Group
	b.SetBytes(int64(len(content)))
	b.ResetTimer()
	all.Go(func() error { return receiveBare(b.Context(), dialBare(b, address, own), b.N) })
	for i := range senders {
		all.Go(func() error {
			stream, err := dialBare(b, address, own).SubmitStream(b.Context())
			if err != nil {
				return err
			}
			mine := (b.N + senders - 1 - i) / senders
			var sending errgroup.Group
			sending.Go(func() error {
				for sent := 0; sent < mine; {
					req := &exchangev1.SubmitStreamRequest{}
					for ; sent < mine && len(req.GetEnvelopes()) < frame; sent++ {
						req.Envelopes = append(req.Envelopes, &exchangev1.Envelope{
							Id: fmt.Sprint(i, "-", sent), Type: packetv1.PacketType_PACKET_TYPE_PROGRESS, Format: exchangev1.Format_FORMAT_XML, Content: content,
						})
					}
					if err := stream.Send(req); err != nil {
						return err
					}
				}
				return nil
			})
			for got := 0; got < mine; {
				resp, err := stream.Recv()
				if err != nil {
					return err
				}
				got += len(resp.GetResults())
			}
			return sending.Wait()
		})
	}
	if err := all.Wait(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
}

func receiveBare(ctx context.Context, client exchangev1.ExchangeServiceClient, count int) error {
	stream, err := client.Receive(ctx)
	if err != nil {
		return err
	}
	for got := 0; got < count; {
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		ack := &exchangev1.ReceiveRequest{Credit: uint32(len(resp.GetDeliveries()))} //nolint:gosec // small
		for _, d := range resp.GetDeliveries() {
			ack.Acknowledge = append(ack.Acknowledge, d.GetPacket().GetSequence())
		}
		if err := stream.Send(ack); err != nil {
			return err
		}
		got += len(resp.GetDeliveries())
	}
	return nil
}

// bare writes what comes to a log and passes it on.
type bare struct {
	exchangev1.UnimplementedExchangeServiceServer
	queue chan bareItem
	out   chan *exchangev1.Delivery
}

type bareItem struct {
	envelope *exchangev1.Envelope
	done     chan<- *exchangev1.SubmitResult
}

// commit writes groups until its queue is closed.
func (s *bare) commit(db *pebble.DB) error {
	sequence := uint64(0)
	for first := range s.queue {
		group := []bareItem{first}
		for len(group) < 1024 && len(s.queue) > 0 {
			group = append(group, <-s.queue)
		}
		batch := db.NewBatch()
		for i, item := range group {
			key := binary.BigEndian.AppendUint64(nil, sequence+uint64(i))
			if err := batch.Set(key, item.envelope.GetContent(), nil); err != nil {
				return err
			}
		}
		if err := batch.Commit(pebble.Sync); err != nil {
			return err
		}
		for _, item := range group {
			sequence++
			item.done <- &exchangev1.SubmitResult{Id: item.envelope.GetId()}
			s.out <- &exchangev1.Delivery{Packet: &exchangev1.AcceptedPacket{Sequence: sequence, Envelope: item.envelope}}
		}
	}
	return nil
}

func (s *bare) SubmitStream(stream exchangev1.ExchangeService_SubmitStreamServer) error {
	results := make(chan *exchangev1.SubmitResult, 4096)
	go func() {
		for {
			req, err := stream.Recv()
			if err != nil {
				return
			}
			for _, env := range req.GetEnvelopes() {
				s.queue <- bareItem{env, results}
			}
		}
	}()
	for {
		select {
		case first := <-results:
			resp := &exchangev1.SubmitStreamResponse{Results: []*exchangev1.SubmitResult{first}}
			for len(results) > 0 && len(resp.GetResults()) < 512 {
				resp.Results = append(resp.Results, <-results)
			}
			if err := stream.Send(resp); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (s *bare) Receive(stream exchangev1.ExchangeService_ReceiveServer) error {
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				return
			}
		}
	}()
	for {
		select {
		case first := <-s.out:
			resp := &exchangev1.ReceiveResponse{Deliveries: []*exchangev1.Delivery{first}}
			for len(s.out) > 0 && len(resp.GetDeliveries()) < 256 {
				resp.Deliveries = append(resp.Deliveries, <-s.out)
			}
			if err := stream.Send(resp); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

// silent keeps Pebble's chatter out of the figures.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

func startBare(b *testing.B) (string, *certs.Credentials) {
	b.Helper()
	authority, err := certs.Create(filepath.Join(b.TempDir(), "ca"), certs.AuthorityConfig{TrustDomain: "bare", HubName: "bare"})
	if err != nil {
		b.Fatal(err)
	}
	server, err := authority.IssueServer([]string{"127.0.0.1"}, 0)
	if err != nil {
		b.Fatal(err)
	}
	own, err := authority.IssueAdmin("bench", 0)
	if err != nil {
		b.Fatal(err)
	}
	db, err := pebble.Open(b.TempDir(), &pebble.Options{MemTableSize: 64 << 20, FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
	if err != nil {
		b.Fatal(err)
	}
	s := &bare{queue: make(chan bareItem, 4096), out: make(chan *exchangev1.Delivery, 1<<16)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	grpcServer := grpc.NewServer(grpc.Creds(credentials.NewTLS(certs.ServerConfig(server))))
	exchangev1.RegisterExchangeServiceServer(grpcServer, s)
	var running errgroup.Group
	running.Go(func() error { return s.commit(db) })
	running.Go(func() error { return grpcServer.Serve(listener) })
	b.Cleanup(func() {
		grpcServer.Stop()
		close(s.queue)
		if err := running.Wait(); err != nil {
			b.Errorf("bare pipeline: %v", err)
		}
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return listener.Addr().String(), own
}

func dialBare(b *testing.B, address string, own *certs.Credentials) exchangev1.ExchangeServiceClient {
	b.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(certs.ClientConfig(own, "127.0.0.1", nil))))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return exchangev1.NewExchangeServiceClient(conn)
}
