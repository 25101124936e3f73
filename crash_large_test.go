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
	"strings"
	"syscall"
	"testing"
	"time"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/packet/samples"
)

// largeDossier is a dossier with an attachment of that many bytes of Base64.
func largeDossier(t *testing.T, name string, size int) []byte {
	t.Helper()
	before, rest, _ := bytes.Cut(samples.Good()[0].Content, []byte("<Base64>"))
	_, after, found := bytes.Cut(rest, []byte("</Base64>"))
	if !found {
		t.Fatal("the sample has no attachment")
	}
	line := fmt.Sprintf("%-76s\r\n", strings.Repeat("QUJD", 15)+name)
	return bytes.Join([][]byte{before, []byte("<Base64>"), bytes.Repeat([]byte(strings.ReplaceAll(line, " ", "Q")), size/len(line)), []byte("</Base64>"), after}, nil)
}

// A hub that is killed at any moment while large packets come, again and again, goes on
// with them where it was, and has the content of each that it gave a receipt for.
func TestAHubKilledDuringUploadsHasWhatItAccepted(t *testing.T) {
	t.Parallel()
	seed := numberIn(t, killSeedVariable, rand.Uint64())
	t.Logf("%s=%d", killSeedVariable, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	k := newKillable(t)
	// Slow enough that no life is long enough for a whole packet.
	if err := os.WriteFile(k.config, []byte("checkpoint_interval: 50ms\nbytes_per_second: 4000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := k.start(t)
	h.untilServing(t)
	profiles := k.join(t, []string{streamSender}, []string{streamPortal})
	contents := [][]byte{largeDossier(t, "AAAA", 20<<20), largeDossier(t, "BBBB", 20<<20)}
	sent := make(chan error, 1)
	go func() { sent <- submitAll(t.Context(), profiles[streamSender], contents) }()
	kills := 0
	for done := false; !done; kills++ {
		select {
		case err := <-sent:
			if err != nil {
				t.Fatal(err)
			}
			done = true
		case <-time.After(time.Duration(random.Int64N(int64(time.Second)))):
			h.kill(t)
			h = k.start(t)
			h.untilServing(t)
		}
	}
	if kills < 3 {
		t.Errorf("the hub was killed %d times: that was too quick", kills)
	}
	wantContents(t, profiles[streamPortal], contents)
	h.endInOrder(t)
	k.fsck(t)
	for dir, want := range map[string]int{"uploads": 0, "accepted": len(contents)} {
		if files, err := os.ReadDir(filepath.Join(k.data, "blobs", dir)); err != nil || len(files) != want {
			t.Errorf("%s holds %d files, %v; want %d", dir, len(files), err, want)
		}
	}
	t.Logf("killed %d times", kills)
}

func submitAll(ctx context.Context, profile string, contents [][]byte) (err error) {
	c, err := nodes.DialProfile(profile, nodes.Config{Backoff: nodes.Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	for _, content := range contents {
		env := &exchangev1.Envelope{Type: packetv1.PacketType_PACKET_TYPE_DOSSIER, Format: exchangev1.Format_FORMAT_XML}
		if _, err := c.SubmitLarge(ctx, env, bytes.NewReader(content), int64(len(content))); err != nil {
			return err
		}
	}
	return nil
}

// wantContents receives packets and wants these contents, in order.
func wantContents(t *testing.T, profile string, contents [][]byte) {
	t.Helper()
	c, err := nodes.DialProfile(profile, nodes.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // everything has been answered
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	got := 0
	err = c.Receive(ctx, func(ctx context.Context, d *exchangev1.Delivery) error {
		sum, r := sha256.New(), c.Open(ctx, d.GetPacket())
		_, err := io.Copy(sum, r)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
		if want := sha256.Sum256(contents[got]); !bytes.Equal(sum.Sum(nil), want[:]) {
			t.Errorf("packet %d is another than was sent", got+1)
		}
		if got++; got == len(contents) {
			enough()
		}
		return nil
	}, nodes.ReceiveOptions{})
	if err != nil || got != len(contents) {
		t.Errorf("received %d packets, %v; want %d", got, err, len(contents))
	}
}

// The commands take a large packet like any other.
func TestLargePacketsByCommand(t *testing.T) {
	t.Parallel()
	data, files := filepath.Join(t.TempDir(), "hub"), t.TempDir()
	admin := filepath.Join(data, "admin")
	h := startHub(t, data, freeAddress(t), freeAddress(t))
	province, portal := enrol(t, admin, "H41/motcua", "one-stop"), enrol(t, admin, "G22/portal", "portal")
	must(t, "admin", "--profile", admin, "right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "all")
	content := largeDossier(t, "AAAA", 32<<20)
	path := filepath.Join(files, "large.xml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	first := must(t, "node", "submit", "--profile", province, "--receipts", files, path)
	if again := must(t, "node", "submit", "--profile", province, path); !strings.Contains(first, "accepted as sequence 1") || again != first {
		t.Errorf("submit says %q, again %q; want the same sequence", first, again)
	}
	must(t, "verify", filepath.Join(files, "1-large.xml.receipt.json"), "--content", path, "--profile", province)
	must(t, "node", "receive", "--profile", portal, "--count", "1", "--dir", files)
	if got := read(t, filepath.Join(files, "000000000001-dossier.xml")); got != string(content) {
		t.Errorf("received %d bytes; want the %d that were sent", len(got), len(content))
	}
	if err := h.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("the hub did not end in order: %v", err)
	}
}
