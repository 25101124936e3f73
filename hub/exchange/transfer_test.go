package exchange_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/fault"
)

// upload is an upload of which only a piece is sent.
type upload = exchangev1.TransferService_UploadClient

func beginUpload(t *testing.T, client exchangev1.TransferServiceClient, id string, content, piece []byte) upload {
	t.Helper()
	stream, err := client.Upload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	start := &exchangev1.UploadStart{Id: id, Content: &exchangev1.Upload{Size: uint64(len(content)), Sha256: sum[:]}}
	messages := []*exchangev1.UploadRequest{{Part: &exchangev1.UploadRequest_Start{Start: start}}}
	for chunk := range slices.Chunk(piece, 256<<10) {
		messages = append(messages, &exchangev1.UploadRequest{Part: &exchangev1.UploadRequest_Chunk{Chunk: chunk}})
	}
	for _, message := range messages {
		_ = stream.Send(message) // the answer says why where it was not taken
	}
	return stream
}

// Uploads that stop, as many as there are places, end: the whole blocks that they have
// sent are held, and another node gets a place.
func TestStalledUploadsGiveTheirPlacesBack(t *testing.T) {
	t.Parallel()
	const block, size = 1 << 20, 2 << 20
	h := start(t, options{large: true, limits: exchange.Limits{TransferIdle: 500 * time.Millisecond}})
	content := make([]byte, size)
	var first exchangev1.TransferServiceClient
	var stalled []upload
	for n := range 4 {
		client := h.transfers(fmt.Sprintf("H4%d/motcua", n+1))
		if n == 0 {
			first = client
		}
		for i := range 8 {
			stalled = append(stalled, beginUpload(t, client, fmt.Sprint("id-", i), content, content[:block+1]))
		}
	}
	for _, one := range stalled {
		ended := make(chan error, 1)
		go func() { ended <- one.RecvMsg(&exchangev1.UploadResponse{}) }()
		if err := within(t, ended, "end of an upload that has stopped"); fault.From(err).Reason != "transfer_stalled" {
			t.Fatalf("an upload that has stopped: %v; want transfer_stalled", err)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; { // the hub ends them a moment after it has said so
		held, err := first.GetUpload(t.Context(), &exchangev1.GetUploadRequest{Id: "id-0"})
		if err == nil && held.GetHeld() == block {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("of the first, %d bytes are held, %v; want the block that was sent", held.GetHeld(), err)
		}
	}
	if answer, err := beginUpload(t, h.transfers("H45/motcua"), "id", content, content).CloseAndRecv(); err != nil || answer.GetHeld() != size {
		t.Errorf("another node: %v, %v; want its content held", answer, err)
	}
}

// Streams that have not said what they upload take no place.
func TestSilentUploadsTakeNoPlace(t *testing.T) {
	t.Parallel()
	h := start(t, options{large: true})
	client := h.transfers("H41/motcua")
	for range 9 {
		if _, err := client.Upload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	content := make([]byte, 1000)
	if answer, err := beginUpload(t, client, "id", content, content).CloseAndRecv(); err != nil || answer.GetHeld() != 1000 {
		t.Errorf("beside silent streams: %v, %v; want its content held", answer, err)
	}
}

// Downloads that are not read end, too.
func TestUnreadDownloadsEnd(t *testing.T) {
	t.Parallel()
	h := start(t, options{large: true, limits: exchange.Limits{TransferIdle: 500 * time.Millisecond}})
	env := envelope("a", "0001")
	padded(env, 12<<20) // more than lies on the way
	sender := h.node("H41/motcua")
	submit(t, sender, env)
	client := h.transfers("G22/cong")
	unread := make([]exchangev1.TransferService_DownloadClient, 8)
	for i := range unread {
		var err error
		if unread[i], err = client.Download(t.Context(), &exchangev1.DownloadRequest{Sequence: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := unread[i].Recv(); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		next, err := client.Download(t.Context(), &exchangev1.DownloadRequest{Sequence: 1})
		if err == nil {
			_, err = next.Recv()
		}
		if err == nil {
			break
		}
		if fault.From(err).Reason != "too_many_transfers" || time.Now().After(deadline) {
			t.Fatalf("beside downloads that are not read: %v; want a place in the end", err)
		}
	}
	var err error
	for err == nil {
		_, err = unread[0].Recv()
	}
	if fault.From(err).Reason != "transfer_stalled" {
		t.Errorf("the first ended with %v; want transfer_stalled", err)
	}
}
