package gateway

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// download is the content of a large packet on its way through the edge, which holds
// no more than a piece of it.
type download struct {
	stream grpc.ServerStreamingClient[exchangev1.DownloadResponse]
	first  []byte
	size   uint64
	close  context.CancelFunc
}

// open begins a download. What may be refused is refused here, before anything is
// answered. The download outlives the bound of a call: it lasts as long as the caller
// reads.
func (g *gateway) open(ctx context.Context, accepted *exchangev1.AcceptedPacket) (*download, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stream, err := g.transfer.Download(ctx, &exchangev1.DownloadRequest{Sequence: accepted.GetSequence()})
	var first *exchangev1.DownloadResponse
	if err == nil {
		first, err = stream.Recv()
	}
	if err != nil {
		cancel()
		return nil, presentable(err)
	}
	return &download{stream: stream, first: first.GetChunk(), size: accepted.GetEnvelope().GetUpload().GetSize(), close: cancel}, nil
}

// pieceWithin bounds how long a caller takes to read one piece.
const pieceWithin = 30 * time.Second

// send answers with the content. Where the hub fails in the middle, which is in its
// log, the answer ends before the length that was promised: nobody takes a part for
// the whole.
func (d *download) send(c *call, mediaType string) error {
	h := c.w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.FormatUint(d.size, 10))
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodHead {
		return nil
	}
	control := http.NewResponseController(c.w)
	for piece := d.first; ; {
		// By the clock of the network, whatever the edge's own says.
		_ = control.SetWriteDeadline(time.Now().Add(pieceWithin))
		if _, err := c.w.Write(piece); err != nil {
			return nil // the caller has gone; there is nobody to tell
		}
		next, err := d.stream.Recv()
		if err != nil {
			return nil
		}
		piece = next.GetChunk()
	}
}
