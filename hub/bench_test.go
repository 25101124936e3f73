package hub_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"testing"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/packet/samples"
)

// BenchmarkPipeline moves packets of about 1 KB from two senders over pipelined
// streams through a hub, with one fsync a commit group, to one recipient that
// acknowledges each; everything over mutual TLS, everything in this process.
func BenchmarkPipeline(b *testing.B) {
	h := hubtest.Start(b)
	dial := func(id string, kind registryv1.NodeKind) *nodes.Client {
		profile := filepath.Join(b.TempDir(), "profile")
		if _, err := nodes.Join(b.Context(), h.AddNode(id, kind), profile, nodes.JoinOptions{}); err != nil {
			b.Fatal(err)
		}
		client, err := nodes.DialProfile(profile, nodes.Config{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = client.Close() })
		return client
	}
	senders := []*nodes.Client{
		dial("H41/mot", registryv1.NodeKind_NODE_KIND_ONE_STOP), dial("H41/hai", registryv1.NodeKind_NODE_KIND_ONE_STOP),
	}
	portal := dial("G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	content, typ := progressOf1KB(b), packetv1.PacketType_PACKET_TYPE_PROGRESS
	code := content[bytes.Index(content, []byte("<DocCode>"))+9 : bytes.Index(content, []byte("</DocCode>"))]
	code = bytes.Clone(code)

	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	received, done := 0, make(chan error, 1)
	b.SetBytes(int64(len(content)))
	b.ResetTimer()
	go func() {
		done <- portal.Receive(ctx, func(context.Context, *exchangev1.Delivery) error {
			if received++; received == b.N {
				stop()
			}
			return nil
		}, nodes.ReceiveOptions{Credit: 4096})
	}()
	sent := make(chan error, len(senders))
	for i, client := range senders {
		go func() {
			submitter, err := client.OpenSubmitter(b.Context(), nodes.SubmitterOptions{WindowEnvelopes: 4096, OnResult: func(r nodes.Result) {
				if r.Err != nil {
					b.Error(r.Err)
				}
			}})
			for n := i; n < b.N && err == nil; n += len(senders) {
				own := fmt.Appendf(nil, "%s%06d", code[:len(code)-6], n%1_000_000)
				err = submitter.Send(b.Context(), &exchangev1.Envelope{
					Id: fmt.Sprintf("b-%d", n), Type: typ, Format: exchangev1.Format_FORMAT_XML, Content: bytes.Replace(content, code, own, 1),
				})
			}
			if err == nil {
				err = submitter.CloseAndWait(b.Context())
			}
			sent <- err
		}()
	}
	for range senders {
		if err := <-sent; err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "packets/s")
}

// progressOf1KB returns a progress packet of 1,024 bytes.
func progressOf1KB(b *testing.B) []byte {
	b.Helper()
	for _, s := range samples.Good() {
		if s.Name == "progress.xml" {
			padding := bytes.Repeat([]byte("x"), 1024-len(s.Content))
			return bytes.Replace(s.Content, []byte("<Comment>"), append([]byte("<Comment>"), padding...), 1)
		}
	}
	b.Fatal("there is no sample progress.xml")
	return nil
}
