package nodes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// DefaultLargeBytes is from what size on a content is better uploaded in pieces than
// sent as one message: a cut then costs a piece, and nobody holds the whole in memory.
const DefaultLargeBytes = 8 << 20

// uploadChunk is how much of a content travels in one message. The hub sees that
// something comes by whole messages alone, and ends an upload of which nothing comes
// for half a minute: this much comes in that time over any line of 5 kbit/s. It is not
// measured how fast a line is, because that cannot be seen from here: what was sent may
// lie in buffers on the way. More in one message would hardly be faster: it is what
// HTTP/2 sends at once.
const uploadChunk = 16 << 10

// SubmitLarge submits an envelope whose content is read from a file, or whatever can be
// read more than once, in pieces, and returns the verified proof that it was accepted.
// It is Submit in everything else: an empty id, and the upload, are filled in, in env
// itself; submitting the same again is the same submission, and uploads nothing that
// the hub holds already. What content reads as may not change meanwhile.
//
// While the hub cannot be reached, is restarted, or asks to come back later, it goes on
// where the hub stands, until ctx ends. Errors: those of Submit, and of content.
func (c *Client) SubmitLarge(ctx context.Context, env *exchangev1.Envelope, content io.ReaderAt, size int64) (*Accepted, error) {
	if env == nil || len(env.GetContent()) > 0 {
		return nil, refusal(codes.InvalidArgument, "request_invalid", "an envelope without content is expected: it is read from elsewhere", "phong bì phải không có content: nội dung được đọc từ nơi khác")
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(content, 0, size)); err != nil {
		return nil, fmt.Errorf("read content: %w", err)
	}
	env.Upload = &exchangev1.Upload{Size: uint64(size), Sha256: sum.Sum(nil)} //nolint:gosec // a size
	for attempts := 0; ; attempts++ {
		accepted, err := c.Submit(ctx, env)
		var refused *Refused
		if !errors.As(err, &refused) || refused.Reason() != reasonUploadMissing && refused.Reason() != reasonUploadIncomplete {
			return accepted, err
		}
		if attempts == maxUploads { // the hub holds it, and does not find it
			return nil, err
		}
		if err := c.upload(ctx, env, content); err != nil {
			return nil, err
		}
	}
}

// maxUploads is how often a content is uploaded for one submission: it may be dropped
// between the end of the upload and the submission, but not again and again.
const maxUploads = 3

// Reasons that the hub gives.
const (
	reasonUploadMissing    = "upload_missing"
	reasonUploadIncomplete = "upload_incomplete"
	reasonUploadOffset     = "upload_offset"
	reasonPacketAccepted   = "packet_accepted"
)

// upload uploads until the hub holds all of a content. Every piece that the hub has
// taken is a success: attempts are counted from there.
func (c *Client) upload(ctx context.Context, env *exchangev1.Envelope, content io.ReaderAt) error {
	for failures, most := 0, uint64(0); ; failures++ {
		held, err := c.uploadOnce(ctx, env, content)
		if held > most {
			failures, most = 0, held
		}
		var failed final
		switch {
		case err == nil:
			return nil
		case errors.As(err, &failed):
			return failed.error
		case ctx.Err() != nil || c.isClosed():
			return c.ended(ctx, err)
		}
		refused, after, again := c.judge(err)
		if refused.Reason() == reasonPacketAccepted {
			return nil // to submit it again gives its receipt
		}
		if !again && refused.Reason() != reasonUploadOffset {
			return refused
		}
		if err := c.pause(ctx, max(after, c.backoff.Delay(failures, c.random()))); err != nil {
			return c.gaveUp(ctx, refused)
		}
	}
}

// uploadOnce goes on with an upload by one stream. It returns what the hub held before.
func (c *Client) uploadOnce(ctx context.Context, env *exchangev1.Envelope, content io.ReaderAt) (held uint64, err error) {
	stands, err := c.transfer.GetUpload(ctx, &exchangev1.GetUploadRequest{Id: env.GetId()}, grpc.WaitForReady(true))
	switch {
	case err != nil && c.refused(err).Reason() != reasonUploadMissing:
		return 0, fmt.Errorf("ask for upload: %w", err)
	case err == nil && bytes.Equal(stands.GetContent().GetSha256(), env.GetUpload().GetSha256()) &&
		stands.GetContent().GetSize() == env.GetUpload().GetSize():
		held = stands.GetHeld()
	}
	if held == env.GetUpload().GetSize() {
		return held, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.transfer.Upload(ctx, grpc.WaitForReady(true))
	if err != nil {
		return held, fmt.Errorf("open upload: %w", err)
	}
	if err := sendUpload(stream, env, content, held); err != nil {
		return held, err
	}
	answer, err := stream.CloseAndRecv()
	if err != nil {
		return held, fmt.Errorf("upload: %w", err)
	}
	if answer.GetHeld() != env.GetUpload().GetSize() {
		return held, streamEnded()
	}
	return answer.GetHeld(), nil
}

// sendUpload sends a content from an offset on. Why the hub takes no more is for its
// answer to say.
func sendUpload(stream grpc.ClientStreamingClient[exchangev1.UploadRequest, exchangev1.UploadResponse], env *exchangev1.Envelope, content io.ReaderAt, from uint64) error {
	start := &exchangev1.UploadStart{Id: env.GetId(), Content: env.GetUpload(), Offset: from}
	if stream.Send(&exchangev1.UploadRequest{Part: &exchangev1.UploadRequest_Start{Start: start}}) != nil {
		return nil
	}
	rest := io.NewSectionReader(content, int64(from), int64(env.GetUpload().GetSize()-from)) //nolint:gosec // within the size
	chunk := make([]byte, uploadChunk)
	for {
		n, err := io.ReadFull(rest, chunk)
		if n > 0 && stream.Send(&exchangev1.UploadRequest{Part: &exchangev1.UploadRequest_Chunk{Chunk: chunk[:n]}}) != nil {
			return nil
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return final{fmt.Errorf("read content: %w", err)}
		}
	}
}
