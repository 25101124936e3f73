package nodes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// ErrContent means that what was read is not what the packet's receipt is for.
var ErrContent = errors.New("the content is not the one that was accepted")

// Open returns what reads the content of a packet that was received, as its sender
// wrote it: from the packet, or of a large one from the hub, in pieces. Where the
// connection is cut, reading goes on at the same place, until ctx ends. In the place of
// io.EOF comes ErrContent where the SHA-256 is not the packet's; only who has read up to
// io.EOF knows that it is. Other errors of reading: *Refused, ErrClosed.
func (c *Client) Open(ctx context.Context, p *exchangev1.AcceptedPacket) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	r := &contentReader{client: c, ctx: ctx, cancel: cancel, packet: p, sum: sha256.New()}
	if p.GetEnvelope().GetUpload() == nil {
		r.size, r.chunk = uint64(len(p.GetEnvelope().GetContent())), p.GetEnvelope().GetContent()
	} else {
		r.size = p.GetEnvelope().GetUpload().GetSize()
	}
	return r
}

// contentReader reads the content of a packet.
type contentReader struct {
	client *Client
	ctx    context.Context //nolint:containedctx // of a reader, whose Read takes none
	cancel context.CancelFunc
	packet *exchangev1.AcceptedPacket
	size   uint64

	stream   grpc.ServerStreamingClient[exchangev1.DownloadResponse]
	chunk    []byte // what has come and was not read
	at       uint64 // what was read
	failures int    // in a row
	sum      hash.Hash
	err      error
}

// Read implements io.Reader.
func (r *contentReader) Read(p []byte) (int, error) {
	for r.err == nil && len(r.chunk) == 0 {
		if r.at == r.size {
			r.err = r.end()
		} else {
			r.err = r.more()
		}
	}
	if len(r.chunk) == 0 {
		return 0, r.err
	}
	n := copy(p, r.chunk)
	r.sum.Write(r.chunk[:n])
	r.chunk, r.at = r.chunk[n:], r.at+uint64(n) //nolint:gosec // a length
	return n, nil
}

// end is what comes after the last byte.
func (r *contentReader) end() error {
	if !bytes.Equal(r.sum.Sum(nil), r.packet.GetContentSha256()) {
		return fmt.Errorf("packet %d: %w", r.packet.GetSequence(), ErrContent)
	}
	return io.EOF
}

// more gets the next piece, by a new stream where the one before was cut.
func (r *contentReader) more() error {
	chunk, err := r.next()
	if err == nil {
		r.failures = 0
		if uint64(len(chunk)) > r.size-r.at { // it is not the packet's
			return fmt.Errorf("packet %d: %w", r.packet.GetSequence(), ErrContent)
		}
		r.chunk = chunk
		return nil
	}
	r.stream = nil
	if r.ctx.Err() != nil || r.client.isClosed() {
		return r.client.ended(r.ctx, err)
	}
	refused, after, again := r.client.judge(err)
	if !again || refused.Code() == codes.Internal && r.failures >= maxInternal {
		return refused
	}
	wait := max(after, r.client.backoff.Delay(r.failures, r.client.random()))
	r.failures++
	if r.client.pause(r.ctx, wait) != nil {
		return r.client.gaveUp(r.ctx, refused)
	}
	return nil
}

// maxInternal is how often a hub that fails is asked for the same piece again: what has
// changed on its disk does not come back.
const maxInternal = 5

func (r *contentReader) next() ([]byte, error) {
	if r.stream == nil {
		stream, err := r.client.transfer.Download(r.ctx, &exchangev1.DownloadRequest{Sequence: r.packet.GetSequence(), Offset: r.at}, grpc.WaitForReady(true))
		if err != nil {
			return nil, fmt.Errorf("open download: %w", err)
		}
		r.stream = stream
	}
	message, err := r.stream.Recv()
	if errors.Is(err, io.EOF) {
		return nil, streamEnded()
	}
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	return message.GetChunk(), nil
}

// Close implements io.Closer.
func (r *contentReader) Close() error {
	r.cancel()
	if r.err == nil {
		r.err = ErrClosed
	}
	r.chunk = nil
	return nil
}
