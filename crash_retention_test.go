package main_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/nodes"
)

// A hub that keeps little, and is killed at any moment while packets come and go, has of
// every packet that it gave a receipt for the receipt; and the packet with its content,
// or none of both. Nothing goes that was not acknowledged.
func TestAHubKilledWhilePacketsGo(t *testing.T) {
	t.Parallel()
	const sent, size = 30, 4 << 20
	seed := numberIn(t, killSeedVariable, rand.Uint64())
	t.Logf("%s=%d", killSeedVariable, seed)
	random := rand.New(rand.NewPCG(seed, 1))
	k := newKillable(t)
	config := "bytes_per_second: 20000000\ncheckpoint_interval: 20ms\nretention_interval: 20ms\nretention: {dossier: {bytes: 8MiB}}\n"
	if err := os.WriteFile(k.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	h := k.start(t)
	h.untilServing(t)
	profiles := k.join(t, []string{streamSender}, []string{streamPortal})
	contents := make([][]byte, sent)
	for i := range contents {
		contents[i] = largeDossier(t, fmt.Sprintf("%04d", i), size)
	}
	ended := make(chan error, 2)
	go func() { ended <- submitAll(t.Context(), profiles[streamSender], contents) }()
	go func() { ended <- takeAll(t.Context(), profiles[streamPortal], contents) }()
	kills := 0
	for left := 2; left > 0; {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			left--
		case <-time.After(200*time.Millisecond + time.Duration(random.Int64N(int64(time.Second)))):
			h.kill(t)
			h = k.start(t)
			h.untilServing(t)
			kills++
		}
	}
	keptUntil(t, profiles[streamSender], contents, func(kept int) bool { return kept <= sent/3 })
	h.kill(t)
	k.fsck(t)
	if err := os.WriteFile(k.config, nil, 0o600); err != nil { // nothing more goes, but what was begun ends
		t.Fatal(err)
	}
	h = k.start(t)
	h.untilServing(t)
	kept := keptUntil(t, profiles[streamSender], contents, func(kept int) bool {
		files, err := os.ReadDir(filepath.Join(k.data, "blobs", "accepted"))
		return err == nil && len(files) == kept
	})
	h.endInOrder(t)
	k.fsck(t)
	if kills < 2 {
		t.Errorf("the hub was killed %d times: that was too quick", kills)
	}
	t.Logf("killed %d times; of %d packets, %d are kept", kills, sent, kept)
}

// takeAll receives each content once, and acknowledges it.
func takeAll(ctx context.Context, profile string, contents [][]byte) (err error) {
	c, err := nodes.DialProfile(profile, nodes.Config{Backoff: nodes.Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	got := 0
	return c.Receive(ctx, func(ctx context.Context, d *exchangev1.Delivery) error {
		if err := sameContent(ctx, c, d.GetPacket(), contents); err != nil {
			return err
		}
		if got++; got == len(contents) {
			enough()
		}
		return nil
	}, nodes.ReceiveOptions{})
}

func sameContent(ctx context.Context, c *nodes.Client, p *exchangev1.AcceptedPacket, contents [][]byte) error {
	sum, r := sha256.New(), c.Open(ctx, p)
	_, err := io.Copy(sum, r)
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("packet %d: %w", p.GetSequence(), err)
	}
	if want := sha256.Sum256(contents[p.GetSequence()-1]); !bytes.Equal(sum.Sum(nil), want[:]) {
		return fmt.Errorf("packet %d is another than was sent", p.GetSequence())
	}
	return nil
}

// keptUntil waits until as many packets are there as is to be, and returns how many.
func keptUntil(t *testing.T, profile string, contents [][]byte, enough func(kept int) bool) (kept int) {
	t.Helper()
	c, err := nodes.DialProfile(profile, nodes.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // everything has been answered
	for deadline := time.Now().Add(patience); ; {
		if kept = keptOf(t, c, contents); enough(kept) {
			return kept
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d packets are kept", kept, len(contents))
		}
	}
}

// keptOf returns how many packets are there; each is, with its content, or has gone, and
// all have their receipts.
func keptOf(t *testing.T, c *nodes.Client, contents [][]byte) (kept int) {
	t.Helper()
	for i := range contents {
		sequence := uint64(i) + 1
		receipt, err := c.GetReceipt(t.Context(), sequence)
		if err != nil || receipt.Statement.GetType() != packetv1.PacketType_PACKET_TYPE_DOSSIER {
			t.Fatalf("receipt of %d: %v", sequence, err)
		}
		var refused *nodes.Refused
		p, err := c.GetPacket(t.Context(), sequence, exchangev1.Format_FORMAT_UNSPECIFIED)
		if err == nil {
			err = sameContent(t.Context(), c, p, contents)
		}
		switch {
		case err == nil:
			kept++
		case !errors.As(err, &refused) || refused.Reason() != "packet_expired":
			t.Fatalf("packet %d: %v; want it, or packet_expired", sequence, err)
		}
	}
	return kept
}
