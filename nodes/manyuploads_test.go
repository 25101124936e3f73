package nodes_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	hubfault "github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/nodes"
)

// crowded takes uploads once it has refused a few, as there are too many.
type crowded struct {
	exchangev1.UnimplementedTransferServiceServer
	refusals int

	mu      sync.Mutex
	refused []time.Time
	held    uint64
}

const crowdedRetry = 200 * time.Millisecond

// GetUpload implements TransferService.
func (c *crowded) GetUpload(context.Context, *exchangev1.GetUploadRequest) (*exchangev1.GetUploadResponse, error) {
	return nil, hubfault.New(codes.NotFound, "upload_missing", "no such upload", "không có")
}

// Upload implements TransferService.
func (c *crowded) Upload(stream exchangev1.TransferService_UploadServer) error {
	if _, err := stream.Recv(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.refused) < c.refusals {
		c.refused = append(c.refused, time.Now())
		return hubfault.New(codes.ResourceExhausted, "too_many_uploads", "16 are open", "đang có 16").After(crowdedRetry)
	}
	c.held = 0
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&exchangev1.UploadResponse{Held: c.held})
		}
		if err != nil {
			return err
		}
		c.held += uint64(len(message.GetChunk()))
	}
}

// Where a node has too many uploads open, a large packet waits, as long as the hub says,
// and is sent when there is room; who does not want to wait is told what it waits for.
func TestLargePacketsWaitForRoom(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	c := &crowded{refusals: 3}
	h.uploads = c
	h.fault = func(int, *exchangev1.Envelope) fault {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.held == 0 {
			return fault{refuse: hubfault.New(codes.FailedPrecondition, "upload_missing", "upload it first", "hãy tải lên")}
		}
		return fault{}
	}
	client := dial(t, h.config(t))
	content := bytes.Repeat([]byte("x"), 3<<20)
	if _, err := client.SubmitLarge(t.Context(), large(), bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	if c.held != uint64(len(content)) || len(c.refused) != 3 {
		t.Errorf("the hub has %d bytes after %d refusals; want %d after 3", c.held, len(c.refused), len(content))
	}
	for i, at := range c.refused[1:] {
		if waited := at.Sub(c.refused[i]); waited < crowdedRetry {
			t.Errorf("tried again after %v; the hub said %v", waited, crowdedRetry)
		}
	}
	*c = crowded{refusals: 1 << 30}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := client.SubmitLarge(ctx, large(), bytes.NewReader(content), int64(len(content)))
	var refused *nodes.Refused
	if !errors.As(err, &refused) || !errors.Is(err, context.DeadlineExceeded) || !bytes.Contains([]byte(refused.Error()), []byte("too_many_uploads")) {
		t.Errorf("with no room at all: %v; want to be told that the time was over, and what it waited for", err)
	}
}
