package nodes_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/packet"
	"github.com/lienthong/lienthong/packet/samples"
)

const mib = 1 << 20

// dossierFile writes a dossier with an attachment of that size to a file, in Base64 in
// lines, as many senders do.
func dossierFile(t testing.TB, attachment int) (*os.File, int64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dossier.xml")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	before, after := aroundAttachment(t)
	w := bufio.NewWriter(file)
	_, _ = w.WriteString(before)
	encoder := base64.NewEncoder(base64.StdEncoding, &inLines{to: w})
	if _, err := io.CopyN(encoder, rand.NewChaCha8([32]byte{}), int64(attachment)); err != nil {
		t.Fatal(err)
	}
	_ = encoder.Close()
	_, _ = w.WriteString(after)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return file, info.Size()
}

// aroundAttachment returns what stands before and after the Base64 of an attachment.
func aroundAttachment(t testing.TB) (before, after string) {
	t.Helper()
	content := string(samples.Good()[0].Content)
	before, after, found := strings.Cut(content, "<Base64>")
	_, after, closed := strings.Cut(after, "</Base64>")
	if !found || !closed {
		t.Fatal("the first sample has no attachment")
	}
	return before + "<Base64>", "</Base64>" + after
}

// inLines ends a line after every 76 bytes.
type inLines struct {
	to *bufio.Writer
	at int
}

func (l *inLines) Write(p []byte) (int, error) {
	for _, c := range p {
		if l.at == 76 {
			_, _ = l.to.WriteString("\r\n")
			l.at = 0
		}
		_ = l.to.WriteByte(c)
		l.at++
	}
	return len(p), nil
}

// watched is a file that tells how far it was read, when it is read the second time:
// the first is for its SHA-256.
type watched struct {
	io.ReaderAt
	size  int64
	reach map[int64]func() // called once, at an offset

	mu     sync.Mutex
	hashed bool
	sent   int64
}

func (w *watched) ReadAt(p []byte, at int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.ReaderAt.ReadAt(p, at)
	if !w.hashed {
		w.hashed = at+int64(n) == w.size
		return n, err
	}
	w.sent += int64(n)
	for offset, do := range w.reach {
		if at+int64(n) > offset {
			delete(w.reach, offset)
			do()
		}
	}
	return n, err
}

func large() *exchangev1.Envelope {
	return &exchangev1.Envelope{Type: packetv1.PacketType_PACKET_TYPE_DOSSIER, Format: exchangev1.Format_FORMAT_XML}
}

// peak measures how much the heap grows until stop.
func peak(t testing.TB) (stop func() uint64) {
	t.Helper()
	before := debug.SetGCPercent(20)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	base, most := m.HeapAlloc, m.HeapAlloc
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			case <-quit:
				return
			}
		}
	}()
	return func() uint64 {
		close(quit)
		<-done
		debug.SetGCPercent(before)
		return most - base
	}
}

// An attachment of 100 MiB comes through: its upload is cut, then the hub is restarted
// in the middle, then the download is cut. What was uploaded is not uploaded again, and
// neither the hub nor the nodes, which share a process here, hold it in memory.
func TestAnAttachmentOf100MiBOverCutsAndARestart(t *testing.T) { //nolint:paralleltest // it measures the heap
	file, size := dossierFile(t, 100*mib)
	w := startWire(t)
	h := hubtest.Start(t)
	w.lead(h.GRPCAddress())
	sender := join(t, h.AddNode("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP), w.Addr().String())
	recipient := join(t, h.AddNode("G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL), w.Addr().String())
	h.Grant("H41", "G22/portal")
	grown := peak(t)
	content := &watched{ReaderAt: file, size: size, reach: map[int64]func(){
		40 * mib: w.cut,
		90 * mib: func() {
			dir := h.DataDir
			h.Stop()
			h = hubtest.Start(t, func(c *hub.Config) { c.DataDir = dir })
			w.lead(h.GRPCAddress())
		},
	}}
	env := large()
	accepted, err := sender.SubmitLarge(t.Context(), env, content, size)
	if err != nil {
		t.Fatal(err)
	}
	if got := uint64(size); env.GetUpload().GetSize() != got || !bytes.Equal(accepted.Statement.GetContentSha256(), env.GetUpload().GetSha256()) {
		t.Errorf("the receipt is for %x; want the content's", accepted.Statement.GetContentSha256())
	}
	if again := content.sent - size; again > 24*mib {
		t.Errorf("of %d bytes, %d were sent again after a cut and a restart; want little", size, again)
	}
	sum := sha256.New()
	read := receiveOne(t, recipient, func(ctx context.Context, p *exchangev1.AcceptedPacket) error {
		r := recipient.Open(ctx, p)
		first, err := io.CopyN(sum, r, 50*mib)
		w.cut()
		rest, err2 := io.Copy(sum, r)
		if err := errors.Join(err, err2, r.Close()); err != nil {
			return err
		}
		if first+rest != size {
			t.Errorf("received %d bytes; want %d", first+rest, size)
		}
		return nil
	})
	if len(read.GetEnvelope().GetContent()) > 0 || !bytes.Equal(sum.Sum(nil), env.GetUpload().GetSha256()) {
		t.Errorf("received other bytes than were sent")
	}
	if err := h.WaitForViews(t.Context(), accepted.Statement.GetSequence()); err != nil {
		t.Error(err)
	}
	if most := grown(); most > 64*mib {
		t.Errorf("the heap grew by %d bytes; the content has %d, and is never whole in memory", most, size)
	} else {
		t.Logf("the heap grew by %d MiB", most/mib)
	}
	again := &watched{ReaderAt: file, size: size}
	same, err := sender.SubmitLarge(t.Context(), env, again, size)
	if err != nil || same.Statement.GetSequence() != accepted.Statement.GetSequence() || again.sent > 0 {
		t.Errorf("submitted again: %v, %v, %d bytes sent; want the same receipt, and nothing uploaded", same, err, again.sent)
	}
}

// receiveOne hands the next delivery to handle.
func receiveOne(t testing.TB, c *nodes.Client, handle func(context.Context, *exchangev1.AcceptedPacket) error) *exchangev1.AcceptedPacket {
	t.Helper()
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	var received *exchangev1.AcceptedPacket
	err := c.Receive(ctx, func(ctx context.Context, d *exchangev1.Delivery) error {
		defer enough()
		received = d.GetPacket()
		return handle(ctx, received)
	}, nodes.ReceiveOptions{})
	if err != nil || received == nil {
		t.Fatalf("receive: %v", err)
	}
	return received
}

// largePair is a hub with a sender and a recipient.
func largePair(t testing.TB, change ...func(*hub.Config)) (h *hubtest.Hub, sender, recipient *nodes.Client) {
	t.Helper()
	h = hubtest.Start(t, change...)
	sender = join(t, h.AddNode("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP), "")
	recipient = join(t, h.AddNode("G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL), "")
	h.Grant("H41", "G22/portal")
	return h, sender, recipient
}

// While a large packet is uploaded and read, small ones are accepted as before.
func TestSmallPacketsPassALargeOne(t *testing.T) {
	t.Parallel()
	_, sender, _ := largePair(t)
	file, size := dossierFile(t, 60*mib)
	ctx, uploaded := context.WithCancel(t.Context())
	var uploading sync.WaitGroup
	uploading.Go(func() {
		defer uploaded()
		if _, err := sender.SubmitLarge(t.Context(), large(), file, size); err != nil {
			t.Error(err)
		}
	})
	var took []time.Duration
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		if _, err := sender.Submit(t.Context(), step(t, "H41-261102-0001", n)); err != nil {
			t.Error(err)
			break
		}
		took = append(took, time.Since(began))
	}
	uploading.Wait()
	slices.Sort(took)
	if len(took) < 20 {
		t.Fatalf("%d small packets were accepted while a large one came", len(took))
	}
	// They share a processor or two, and a disk, with the upload and each other's tests.
	if median, worst := took[len(took)/2], took[len(took)-1]; median > 250*time.Millisecond || worst > 5*time.Second {
		t.Errorf("small packets took %v, at most %v", median, worst)
	} else {
		t.Logf("%d small packets took %v, at most %v", len(took), median, worst)
	}
}

// What the hub refuses of a large packet it says as of any other, and nothing of it is
// kept in the texts that is gone with the content.
func TestLargePacketsAreRefusedWithFindings(t *testing.T) {
	t.Parallel()
	_, sender, _ := largePair(t)
	before, after := aroundAttachment(t)
	content := before + strings.Repeat("QUJD", 3*mib) + "!" + after
	_, err := sender.SubmitLarge(t.Context(), large(), strings.NewReader(content), int64(len(content)))
	var refused *nodes.Refused
	if !errors.As(err, &refused) || refused.Reason() != "packet_invalid" || len(refused.Refusal.GetFindings()) == 0 ||
		!slices.ContainsFunc(refused.Refusal.GetFindings(), func(f *packetv1.Finding) bool { return f.GetRule() == "base64" && f.GetLine() > 1 }) {
		t.Fatalf("got %v; want the finding", err)
	}
	escaped := before + strings.Repeat("QUJD", 3*mib) + strings.Repeat("QUJ&#68;", 3*mib) + after
	_, err = sender.SubmitLarge(t.Context(), large(), strings.NewReader(escaped), int64(len(escaped)))
	if !errors.As(err, &refused) || !slices.ContainsFunc(refused.Refusal.GetFindings(), func(f *packetv1.Finding) bool { return f.GetRule() == "limit.copied" }) {
		t.Errorf("with references: %v; want limit.copied", err)
	}
}

func TestLargePacketsKeepTheHubsLimits(t *testing.T) {
	t.Parallel()
	_, sender, recipient := largePair(t, func(c *hub.Config) { c.LargeBytes = 4 * mib })
	file, size := dossierFile(t, 4*mib)
	_, err := sender.SubmitLarge(t.Context(), large(), file, size)
	var refused *nodes.Refused
	if !errors.As(err, &refused) || refused.Code() != codes.ResourceExhausted || !strings.Contains(refused.Refusal.GetMessageVi(), fmt.Sprint(4*mib)) {
		t.Errorf("of %d bytes: %v; want the bound", size, err)
	}
	file, size = dossierFile(t, 2*mib)
	accepted, err := sender.SubmitLarge(t.Context(), large(), file, size)
	if err != nil {
		t.Fatal(err)
	}
	p, err := recipient.GetPacket(t.Context(), accepted.Statement.GetSequence(), exchangev1.Format_FORMAT_XML)
	if err != nil || len(p.GetEnvelope().GetContent()) > 0 || p.GetEnvelope().GetUpload().GetSize() != uint64(size) {
		t.Errorf("got %v, %v; want the upload in place of the content", p, err)
	}
	if _, err := recipient.GetPacket(t.Context(), accepted.Statement.GetSequence(), exchangev1.Format_FORMAT_JSON); !errors.As(err, &refused) || refused.Reason() != "format_unavailable" {
		t.Errorf("in another format: %v; want format_unavailable", err)
	}
	other := large()
	other.Id = accepted.Statement.GetEnvelopeId()
	short := []byte("<MSyncDocument/>")
	if _, err := sender.SubmitLarge(t.Context(), other, bytes.NewReader(short), int64(len(short))); !errors.As(err, &refused) || refused.Code() != codes.AlreadyExists {
		t.Errorf("another content under its id: %v; want ALREADY_EXISTS", err)
	}
}

// A packet is the same submission whichever way it comes.
func TestAPacketIsTheSameUploadedOrNot(t *testing.T) {
	t.Parallel()
	_, sender, _ := largePair(t)
	file, size := dossierFile(t, 3*mib)
	content, err := io.ReadAll(io.NewSectionReader(file, 0, size))
	if err != nil {
		t.Fatal(err)
	}
	small := large()
	small.Content = content
	small.Id = packet.EnvelopeID(small)
	first, err := sender.Submit(t.Context(), small)
	if err != nil {
		t.Fatal(err)
	}
	uploaded := large()
	uploaded.Id = small.GetId()
	second, err := sender.SubmitLarge(t.Context(), uploaded, file, size)
	if err != nil || second.Statement.GetSequence() != first.Statement.GetSequence() || packet.EnvelopeID(uploaded) != small.GetId() {
		t.Errorf("got %v, %v; want the receipt of %d", second, err, first.Statement.GetSequence())
	}
}
