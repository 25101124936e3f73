package exchange

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/blobs"
)

// LargeReaders read large contents: they may copy little of them. Strict is needed
// where Config.Strict is.
type LargeReaders struct{ Liberal, Strict Reader }

// records are what was accepted.
type records interface {
	Find(ctx context.Context, sender, id string) (sequence uint64, digest [32]byte, err error)
	Records(ctx context.Context, sequences []uint64) ([][]byte, error)
}

// NeedsContent returns what tells blobs whether a packet with a content was accepted, and
// is kept.
func NeedsContent(s records) func(context.Context, blobs.Content) (bool, error) {
	return func(ctx context.Context, c blobs.Content) (bool, error) {
		sequence, _, err := s.Find(ctx, c.Sender, c.ID)
		var found [][]byte
		if err == nil {
			found, err = s.Records(ctx, []uint64{sequence})
		}
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrRemoved) {
			return false, nil
		}
		accepted := &exchangev1.AcceptedPacket{}
		if err == nil {
			err = proto.Unmarshal(found[0], accepted)
		}
		if err != nil {
			return false, fmt.Errorf("look for the packet of an upload: %w", err)
		}
		needed, large := LargeContent(accepted)
		return large && needed == c, nil
	}
}

// LargeContent returns which content an accepted packet has beside it; false where it
// has its content in it.
func LargeContent(accepted *exchangev1.AcceptedPacket) (blobs.Content, bool) {
	upload := accepted.GetEnvelope().GetUpload()
	return contentOf(accepted.GetSender(), accepted.GetEnvelope().GetId(), upload), upload != nil
}

func contentOf(sender, id string, upload *exchangev1.Upload) blobs.Content {
	c := blobs.Content{Sender: sender, ID: id, Size: int64(upload.GetSize())} //nolint:gosec // compared with the limit where it comes in
	copy(c.SHA256[:], upload.GetSha256())
	return c
}

// admitLarge does what admit does, with a content that was uploaded. One is read at a
// time: of all that it takes to read it, there is that much once.
func (s *Service) admitLarge(ctx context.Context, sub *submission) error {
	env := sub.envelope
	if err := s.checkLarge(env.GetUpload()); err != nil {
		return err
	}
	switch sequence, digest, err := s.store.Find(ctx, sub.sender, env.GetId()); {
	case err == nil && digest != sub.stored.Digest:
		return (&receipts{store: s.store}).conflict(ctx, sub.said(), sequence)
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return storeUnavailable(fmt.Errorf("look for an earlier submission: %w", err))
	}
	content := contentOf(sub.sender, env.GetId(), env.GetUpload())
	hold, err := s.blobs.Hold(content)
	if err != nil {
		return uploadMissing(err, codes.FailedPrecondition)
	}
	sub.hold = hold
	if err := s.transfers.reading.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("wait to read a large packet: %w", context.Cause(ctx))
	}
	defer s.transfers.reading.Release(1)
	err = s.blobs.View(ctx, content, func(bytes []byte) error {
		sub.content = bytes
		defer func() { sub.content, sub.packet = nil, nil }()
		return s.admit(sub)
	})
	var refused *fault.Error
	if err != nil && !errors.As(err, &refused) {
		return fmt.Errorf("read large packet: %w", err)
	}
	return err
}

// release lets go of what a submission holds, once it is known what became of it.
func (sub *submission) release(fate blobs.Fate) {
	if sub == nil {
		return
	}
	sub.room.leave(sub)
	sub.room = nil
	if sub.hold != nil {
		sub.hold.Release(fate)
		sub.hold = nil
	}
}

// fate is what an answer means for the content that the packet has beside it.
func (a answer) fate() blobs.Fate {
	switch {
	case a.accepted != nil:
		return blobs.Accepted
	case a.err == nil: // there is a packet under its id: this one's upload, it has or does not need
		return blobs.Unneeded
	case a.unknown:
		return blobs.Unknown
	}
	return blobs.Kept
}

// discardUpload lets go of the upload of a packet that is not accepted whenever it is
// submitted, so that it does not stand in the way of others. What a sender may try
// again for stays: to upload it anew might take hours.
func (s *Service) discardUpload(sub *submission, refused error) {
	upload := sub.envelope.GetUpload()
	if s.blobs == nil || upload == nil {
		return
	}
	var why *fault.Error
	if !errors.As(refused, &why) || why.RetryAfter > 0 {
		return
	}
	switch why.Code {
	case codes.InvalidArgument, codes.PermissionDenied, codes.AlreadyExists:
		s.blobs.Discard(contentOf(sub.sender, sub.envelope.GetId(), upload))
	}
}

// detached returns findings with texts of their own: theirs may be of a content, which
// may not be there any more, or would stay for as long as they do.
func detached(findings []*packetv1.Finding) []*packetv1.Finding {
	own := make([]*packetv1.Finding, len(findings))
	for i, f := range findings {
		own[i] = &packetv1.Finding{
			Severity: f.GetSeverity(), Line: f.Line, Column: f.Column, Rule: strings.Clone(f.GetRule()),
			Field: strings.Clone(f.GetField()), Sent: strings.Clone(f.GetSent()), Understood: strings.Clone(f.GetUnderstood()),
			MessageEn: strings.Clone(f.GetMessageEn()), MessageVi: strings.Clone(f.GetMessageVi()),
		}
	}
	return own
}

// checkLarge refuses a content that is too large.
func (s *Service) checkLarge(upload *exchangev1.Upload) error {
	if s.blobs == nil {
		return fault.New(codes.Unimplemented, "no_uploads", "this hub takes no uploads", "trục liên thông này không nhận nội dung tải lên riêng")
	}
	if size, most := upload.GetSize(), uint64(s.limits.LargeBytes); size > most { //nolint:gosec // a limit
		return fault.New(codes.ResourceExhausted, "packet_too_large",
			fmt.Sprintf("content is %d bytes; at most %d are allowed", size, most),
			fmt.Sprintf("nội dung gói tin có %d byte; cho phép tối đa %d byte", size, most))
	}
	return nil
}

// checkFormat refuses to write a large packet in another format than its sender's.
func checkFormat(env *exchangev1.Envelope, wanted exchangev1.Format) error {
	if wanted == exchangev1.Format_FORMAT_UNSPECIFIED || wanted == env.GetFormat() {
		return nil
	}
	return fault.New(codes.FailedPrecondition, "format_unavailable",
		fmt.Sprintf("this packet has %d bytes; so large, it is there as it was sent only, as %s", env.GetUpload().GetSize(), env.GetFormat()),
		fmt.Sprintf("gói tin có %d byte; gói tin lớn chỉ lấy được nguyên văn như đã gửi, dạng %s", env.GetUpload().GetSize(), env.GetFormat()))
}

// uploadMissing is the refusal of what needs a complete upload.
func uploadMissing(err error, code codes.Code) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fault.New(code, "upload_missing",
			"the hub has no upload of this content for this id; upload it first, then submit",
			"trục liên thông chưa có nội dung tải lên cho mã này; hãy tải nội dung lên rồi gửi gói tin")
	case errors.Is(err, blobs.ErrIncomplete):
		return fault.New(code, "upload_incomplete",
			"the upload of this content is not complete; go on with it, then submit",
			"nội dung chưa được tải lên đủ; hãy tải tiếp rồi gửi gói tin").Because(err)
	}
	return fmt.Errorf("hold upload: %w", err)
}
