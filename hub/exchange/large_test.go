package exchange_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/store/blobs"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
	"github.com/lienthong/lienthong/packet"
)

// openLarge opens a store, and what keeps large contents beside it.
func openLarge(t *testing.T, disk vfs.FS) (*pebblestore.Store, *blobs.Blobs) {
	t.Helper()
	s, err := pebblestore.Open("data/store", pebblestore.Options{FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	b, err := blobs.Open("data/blobs", blobs.Options{FS: disk, Accepted: exchange.NeedsContent(s)})
	if err != nil {
		t.Fatal(err)
	}
	return s, b
}

func readers(t *testing.T) exchange.LargeReaders {
	t.Helper()
	codec, err := packet.NewCodec(packet.Options{Shared: true, CopiedBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return exchange.LargeReaders{Liberal: codec}
}

// promised is what has got a receipt.
type promised struct {
	mu  sync.Mutex
	all []*exchangev1.Statement
}

func (p *promised) add(s *exchangev1.Statement) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, s)
}

func (p *promised) soFar() []*exchangev1.Statement {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[:len(p.all):len(p.all)]
}

// Whenever the power goes, every large packet that had a receipt is there with its
// content, and so is every other that is in the accepted log; after a start, and after
// the time of uploads is over, too.
func TestAcceptedLargePacketsHaveTheirContent(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	if err := disk.MkdirAll("data", 0o700); err != nil {
		t.Fatal(err)
	}
	root, err := disk.OpenDir("")
	if err == nil {
		err = errors.Join(root.Sync(), root.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	s, b := openLarge(t, disk)
	signer, err := ledger.Open(t.TempDir(), "hub.test")
	if err != nil {
		t.Fatal(err)
	}
	service := newService(t, exchange.Config{
		Store: s, DeadLetters: s, Rights: &rights{receivers: map[string][]string{"H41": {"G22/cong"}}}, Ledger: signer, Clock: time.Now,
		Caller: func(context.Context) (string, bool) { return "H41/motcua", true }, Blobs: b, Large: readers(t),
	})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = service.Run(ctx) })
	running.Go(func() { _ = b.Run(ctx) })
	var given promised
	running.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			statement, err := submitLarge(ctx, service, b, fmt.Sprint("p", n))
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("submit: %v", err)
				}
				return
			}
			given.add(statement)
		}
	})
	random := rand.New(rand.NewPCG(1, 2))
	for cut := range 12 {
		for len(given.soFar()) < 3*cut {
			if _, err := service.GetUpload(ctx, &exchangev1.GetUploadRequest{Id: "none"}); err == nil {
				t.Fatal("there is an upload that was never begun")
			}
		}
		had := given.soFar()
		after := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: random.IntN(100), RNG: random})
		wantContent(t, after, had)
	}
	stop()
	running.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// submitLarge uploads a packet and submits it.
func submitLarge(ctx context.Context, service *exchange.Service, b *blobs.Blobs, id string) (*exchangev1.Statement, error) {
	env := envelope(id, "0001")
	padded(env, 100_000)
	content, sum := env.GetContent(), sha256.Sum256(env.GetContent())
	env.Content, env.Upload = nil, &exchangev1.Upload{Size: uint64(len(content)), Sha256: sum[:]}
	w, err := b.Begin(ctx, blobs.Content{Sender: "H41/motcua", ID: id, Size: int64(len(content)), SHA256: sum}, 0)
	if err != nil {
		return nil, err
	}
	err = w.Write(ctx, content)
	if _, closeErr := w.Close(); err != nil || closeErr != nil {
		return nil, errors.Join(err, closeErr)
	}
	resp, err := service.Submit(ctx, &exchangev1.SubmitRequest{Envelope: env})
	return resp.GetStatement(), err
}

// wantContent opens what is left on a disk and wants the content of every packet.
func wantContent(t *testing.T, disk vfs.FS, had []*exchangev1.Statement) {
	t.Helper()
	s, b := openLarge(t, disk)
	defer s.Close() //nolint:errcheck // it is only read
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ctx); err != nil { // it settles what is left, once
		t.Fatal(err)
	}
	entries, err := s.AcceptedAfter(t.Context(), 0, 1<<20, 1<<30)
	if err != nil || len(entries) < len(had) {
		t.Fatalf("%d packets are there, %v; %d had a receipt", len(entries), err, len(had))
	}
	for _, entry := range entries {
		accepted := &exchangev1.AcceptedPacket{}
		if err := proto.Unmarshal(entry.Record, accepted); err != nil {
			t.Fatal(err)
		}
		content, large := exchange.LargeContent(accepted)
		r, err := b.Read(content, 0)
		if !large || err != nil {
			t.Fatalf("packet %d: %v; want its content", entry.Sequence, err)
		}
		sum := sha256.New()
		for err == nil {
			var block []byte
			block, err = r.Next()
			sum.Write(block)
		}
		if !errors.Is(err, io.EOF) || !bytes.Equal(sum.Sum(nil), accepted.GetContentSha256()) {
			t.Fatalf("packet %d: %v; want its content", entry.Sequence, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
