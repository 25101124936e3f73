package exchange_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/blobs"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// uploads is one node's doors.
type uploads struct {
	packets exchangev1.ExchangeServiceClient
	content exchangev1.TransferServiceClient
}

func (h *hub) uploads(node string) uploads {
	return uploads{packets: h.node(node), content: h.transfers(node)}
}

// upload uploads an envelope's content, and puts that in its place.
func (u uploads) upload(t *testing.T, env *exchangev1.Envelope) {
	t.Helper()
	content := env.GetContent()
	if _, err := beginUpload(t, u.content, env.GetId(), content, content).CloseAndRecv(); err != nil {
		t.Fatalf("upload %s: %v", env.GetId(), err)
	}
	asUploaded(env)
}

func asUploaded(env *exchangev1.Envelope) {
	sum := sha256.Sum256(env.GetContent())
	env.Content, env.Upload = nil, &exchangev1.Upload{Size: uint64(len(env.GetContent())), Sha256: sum[:]}
}

func (u uploads) wantHeld(t *testing.T, id string, held bool) {
	t.Helper()
	if _, err := u.content.GetUpload(t.Context(), &exchangev1.GetUploadRequest{Id: id}); (err == nil) != held {
		t.Errorf("upload %s: %v; held is to be %v", id, err, held)
	}
}

func (u uploads) submit(t *testing.T, env *exchangev1.Envelope) error {
	t.Helper()
	_, err := u.packets.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: env})
	return err
}

// What was refused for good makes room for the next upload, at once: a node that has
// uploaded as much as it may does not wait a day for what never will be accepted.
func TestRefusedUploadsMakeRoomAtOnce(t *testing.T) {
	t.Parallel()
	h := start(t, options{large: true})
	node := h.uploads("H41/motcua")
	for i := range 20 {
		env := envelope(fmt.Sprint("refused-", i), "0001")
		switch i % 3 {
		case 0:
			env.Content = []byte("<MDocumentTraces>")
		case 1:
			env.Content = progressOf("G22", "0001", "của nơi khác")
		case 2:
			env.Recipients = []string{"G01/csdl"}
		}
		node.upload(t, env)
		refused := map[int]string{0: "packet_invalid", 1: "organisation_not_yours", 2: "right_missing"}[i%3]
		wantRefused(t, node.submit(t, env), map[bool]codes.Code{true: codes.InvalidArgument, false: codes.PermissionDenied}[i%3 == 0], refused)
		node.wantHeld(t, env.GetId(), false)
	}
	env := envelope("refused-0", "0001") // another content, or the same, can be uploaded under the id
	node.upload(t, env)
	if err := node.submit(t, env); err != nil {
		t.Errorf("another content under the id of a refused one: %v", err)
	}
}

// An envelope whose id was used for another packet has no use for its upload; one that
// was accepted in one piece meanwhile needs none either.
func TestUploadsForAnIDInUseAreDropped(t *testing.T) {
	t.Parallel()
	h := start(t, options{large: true})
	node := h.uploads("H41/motcua")
	other, same := envelope("other", "0001"), envelope("same", "0001")
	padded(other, 10)
	node.upload(t, other)
	node.upload(t, same)
	submit(t, node.packets, envelope("other", "0001"))
	submit(t, node.packets, envelope("same", "0001"))
	wantRefused(t, node.submit(t, other), codes.AlreadyExists, "id_conflict")
	node.wantHeld(t, "other", false)
	if got := submit(t, node.packets, same).GetStatement().GetSequence(); got != 2 {
		t.Errorf("the same, uploaded: sequence %d; want 2", got)
	}
	node.wantHeld(t, "same", false)
}

// A refusal that says when to try again costs nobody the upload.
func TestUploadsStayForAnotherAttempt(t *testing.T) {
	t.Parallel()
	most := quotasOf("G22/cong", exchange.Quota{InboxBytes: 1})
	g := newGate()
	h := start(t, options{large: true, quota: most.of, brake: g.brake})
	node := h.uploads("H41/motcua")
	commit := func(err error) {
		go func() {
			<-g.arrived
			g.open <- err
		}()
	}
	commit(nil)
	submit(t, node.packets, envelope("first", "0001"))
	env := envelope("large", "0001")
	node.upload(t, env)
	wantRefused(t, node.submit(t, env), codes.ResourceExhausted, "recipient_full")
	node.wantHeld(t, "large", true)
	most.set("G22/cong", exchange.Quota{})
	commit(store.ErrFull)
	wantRefused(t, node.submit(t, env), codes.Unavailable, "store_full")
	node.wantHeld(t, "large", true)
	close(g.free)
	if err := node.submit(t, env); err != nil {
		t.Errorf("when there is room: %v", err)
	}
}

// A packet that is refused does not cost one that is underway its content, were it the
// same.
func TestUploadsUnderwayStay(t *testing.T) {
	t.Parallel()
	g := newGate()
	h := start(t, options{large: true, brake: g.brake})
	node := h.uploads("H41/motcua")
	env := envelope("large", "0001")
	node.upload(t, env)
	first := make(chan error, 1)
	go func() { first <- node.submit(t, env) }()
	within(t, g.arrived, "the commit")
	h.rights.revoke("H41")
	second := make(chan error, 1)
	go func() { second <- node.submit(t, env) }()
	close(g.free)
	for _, one := range []chan error{first, second} {
		if err := within(t, one, "an answer"); err != nil {
			t.Errorf("the same twice: %v; want its receipt", err)
		}
	}
	stream, err := node.content.Download(t.Context(), &exchangev1.DownloadRequest{Sequence: 1})
	if err == nil {
		_, err = stream.Recv()
	}
	if err != nil {
		t.Errorf("the content of what was accepted: %v", err)
	}
}

// Where a failed write leaves open whether a packet was accepted, nothing removes its
// content before the store is opened again: neither a refusal, nor its sender, nor time.
func TestUploadsOfWhatMayBeAcceptedStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := pebblestore.Open(dir, pebblestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	signer, err := ledger.Open(dir, "hub.test")
	if err != nil {
		t.Fatal(err)
	}
	now := &clock{}
	b, err := blobs.Open("blobs", blobs.Options{FS: vfs.NewMem(), Accepted: exchange.NeedsContent(s), Clock: now.now})
	if err != nil {
		t.Fatal(err)
	}
	grants := &rights{receivers: map[string][]string{"H41": {"G22/cong"}}}
	service := newService(t, exchange.Config{
		Store: broken{s}, DeadLetters: s, Ledger: signer, Clock: time.Now, Rights: grants, Blobs: b, Large: readers(t),
		Caller: func(context.Context) (string, bool) { return "H41/motcua", true },
	})
	ran := make(chan error, 1)
	go func() { ran <- service.Run(t.Context()) }()
	_, err = submitLarge(t.Context(), service, b, "p")
	wantRefused(t, err, codes.Unavailable, "store_unavailable")
	within(t, ran, "the end of the exchange")
	grants.revoke("H41")
	env := envelope("p", "0001")
	padded(env, 100_000)
	asUploaded(env)
	_, err = service.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: env})
	wantRefused(t, err, codes.PermissionDenied, "right_missing")
	if err := b.Drop(t.Context(), "H41/motcua", "p"); !errors.Is(err, blobs.ErrBusy) {
		t.Errorf("drop it: %v; want ErrBusy", err)
	}
	now.advance(48 * time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, held, _, err := b.Held("H41/motcua", "p"); err != nil || held != int64(env.GetUpload().GetSize()) {
		t.Errorf("%d bytes are held, %v; want all", held, err)
	}
}

// Who has uploaded as much as it may is told so before it has sent anything, with what
// stands in the way, and when to come back.
func TestTooManyUploads(t *testing.T) {
	t.Parallel()
	h := start(t, options{large: true})
	node := h.uploads("H41/motcua")
	content := make([]byte, 1000)
	for i := range 16 {
		if _, err := beginUpload(t, node.content, fmt.Sprintf("id-%02d", i), content, nil).CloseAndRecv(); err != nil {
			t.Fatal(err)
		}
	}
	stream := beginUpload(t, node.content, "one-more", content, nil) // nothing of it comes
	ended := make(chan error, 1)
	go func() { ended <- stream.RecvMsg(&exchangev1.UploadResponse{}) }()
	told := wantRefused(t, within(t, ended, "a refusal"), codes.ResourceExhausted, "too_many_uploads")
	for _, text := range []string{told.EN, told.VI} {
		if !strings.Contains(text, "16") || !strings.Contains(text, "id-00 (1000), id-01 (1000)") || !strings.Contains(text, "id-15") {
			t.Errorf("told %q; want the uploads that stand in the way", text)
		}
	}
	if told.RetryAfter <= 0 {
		t.Error("it does not say when to try again")
	}
	if _, err := node.content.DropUpload(t.Context(), &exchangev1.DropUploadRequest{Id: "id-07"}); err != nil {
		t.Fatal(err)
	}
	if _, err := beginUpload(t, node.content, "one-more", content, content).CloseAndRecv(); err != nil {
		t.Errorf("when one was dropped: %v", err)
	}
}
