package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/blobs"
)

// Upload implements TransferService.
func (s *Service) Upload(stream exchangev1.TransferService_UploadServer) error {
	ctx := stream.Context()
	caller, err := s.callerOf(ctx)
	if err != nil {
		return err
	}
	patience := s.patienceWith(ctx)
	first, err := next(stream, patience)
	if err != nil {
		return fmt.Errorf("read upload: %w", err)
	}
	at, err := s.transfers.enter(caller)
	if err != nil {
		return err
	}
	defer at.leave()
	content, err := s.announced(ctx, caller, first.GetStart())
	if err != nil {
		return err
	}
	writer, err := s.blobs.Begin(ctx, content, int64(first.GetStart().GetOffset())) //nolint:gosec // anything but what is held is refused
	if errors.Is(err, blobs.ErrTooMany) {
		return tooManyUploads(err, s.blobs.Uploads(caller))
	}
	if err != nil {
		return uploadRefused(err)
	}
	err = s.take(&arriving{stream, patience, at}, writer)
	held, closeErr := writer.Close()
	switch {
	case err != nil:
		return uploadRefused(err)
	case closeErr != nil:
		return uploadRefused(closeErr)
	}
	if err := stream.SendAndClose(&exchangev1.UploadResponse{Held: uint64(held)}); err != nil { //nolint:gosec // a size
		return fmt.Errorf("answer upload: %w", err)
	}
	return nil
}

// next waits for the next message of an upload, but not for ever.
func next(stream exchangev1.TransferService_UploadServer, patience *patience) (message *exchangev1.UploadRequest, err error) {
	over := patience.begin()
	defer func() { over(len(message.GetChunk())) }()
	return stream.Recv() //nolint:wrapcheck // io.EOF has to stay what it is
}

// arriving is an upload under way.
type arriving struct {
	stream   exchangev1.TransferService_UploadServer
	patience *patience
	place    *place
}

// announced checks what an upload says it will be.
func (s *Service) announced(ctx context.Context, caller string, start *exchangev1.UploadStart) (blobs.Content, error) {
	if start == nil {
		return blobs.Content{}, fault.New(codes.InvalidArgument, "request_invalid",
			"start: the first message of an upload has to say what it is", "start: thông điệp đầu tiên phải cho biết nội dung sẽ tải lên")
	}
	if err := s.checkLarge(start.GetContent()); err != nil {
		return blobs.Content{}, err
	}
	switch sequence, _, err := s.store.Find(ctx, caller, start.GetId()); {
	case err == nil:
		return blobs.Content{}, fault.New(codes.AlreadyExists, "packet_accepted",
			fmt.Sprintf("a packet with this id was accepted as sequence %d; submit it again to get its receipt, or use a new id", sequence),
			fmt.Sprintf("gói tin với mã này đã được tiếp nhận với số thứ tự %d; hãy gửi lại để nhận biên nhận, hoặc dùng mã mới", sequence))
	case !errors.Is(err, store.ErrNotFound):
		return blobs.Content{}, storeUnavailable(fmt.Errorf("look for an earlier submission: %w", err))
	}
	return contentOf(caller, start.GetId(), start.GetContent()), nil
}

// take writes what comes, no faster than the node may send.
func (s *Service) take(from *arriving, writer *blobs.Writer) error {
	ctx := from.stream.Context()
	for {
		next, err := next(from.stream, from.patience)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read upload: %w", err)
		}
		if next.GetStart() != nil {
			return fault.New(codes.InvalidArgument, "request_invalid",
				"start: an upload begins once in a stream", "start: mỗi luồng chỉ bắt đầu một lần tải lên")
		}
		if err := s.quota.paceBytes(ctx, from.place, len(next.GetChunk())); err != nil {
			return err
		}
		if err := writer.Write(ctx, next.GetChunk()); err != nil {
			return fmt.Errorf("take upload: %w", err)
		}
	}
}

// uploadsRetry is when a node may try again that has no room for another upload. That
// may last: it is for the node to submit what it has uploaded, or to drop it.
const uploadsRetry = 30 * time.Second

// namedUploads bounds the uploads that a refusal names.
const namedUploads = 20

// tooManyUploads is the refusal of an upload that there is no room for. It names the
// node's own: ids and sizes, which the node itself has given.
func tooManyUploads(err error, open []blobs.Content) error {
	var named []string
	var size int64
	for i, c := range open {
		if size += c.Size; i < namedUploads {
			named = append(named, fmt.Sprintf("%s (%d)", c.ID, c.Size))
		}
	}
	list, moreEN, moreVI := strings.Join(named, ", "), "", ""
	if more := len(open) - len(named); more > 0 {
		moreEN, moreVI = fmt.Sprintf(" and %d more", more), fmt.Sprintf(" và %d nội dung khác", more)
	}
	en, vi := fmt.Sprintf("there is no room for another upload. This node has %d that are not accepted, of %d bytes", len(open), size),
		fmt.Sprintf("không còn chỗ cho nội dung tải lên mới. Hệ thống này có %d nội dung chưa được tiếp nhận, tổng cộng %d byte", len(open), size)
	if len(open) > 0 {
		en, vi = en+": "+list+moreEN+". Submit or drop some", vi+": "+list+moreVI+". Hãy gửi hoặc bỏ bớt"
	}
	return fault.New(codes.ResourceExhausted, "too_many_uploads", en+"; or wait and try again", vi+"; hoặc chờ rồi thử lại").
		After(uploadsRetry).Because(err)
}

// uploadRefused is the refusal of an upload.
func uploadRefused(err error) error {
	refusal := func(code codes.Code, reason, en, vi string) *fault.Error {
		return fault.New(code, reason, en, vi).Because(err)
	}
	switch {
	case errors.Is(err, blobs.ErrOffset):
		return refusal(codes.OutOfRange, "upload_offset",
			"the upload does not go on there; ask how much of it is held", "vị trí tải tiếp không đúng; hãy hỏi lại đã lưu đến đâu")
	case errors.Is(err, blobs.ErrBusy), errors.Is(err, blobs.ErrTakenOver):
		return refusal(codes.Aborted, "upload_busy",
			"this upload goes on in another call, or is being submitted", "nội dung này đang được tải lên hoặc gửi đi trong một lời gọi khác").After(time.Second)
	case errors.Is(err, blobs.ErrOther):
		return refusal(codes.InvalidArgument, "upload_other",
			"what was uploaded is not the content announced: its size or its SHA-256 is another; upload it anew",
			"nội dung tải lên không đúng với khai báo: khác kích thước hoặc khác SHA-256; hãy tải lên lại từ đầu")
	case errors.Is(err, store.ErrFull):
		return storeUnavailable(err)
	}
	return err
}

// GetUpload implements TransferService.
func (s *Service) GetUpload(ctx context.Context, req *exchangev1.GetUploadRequest) (*exchangev1.GetUploadResponse, error) {
	caller, err := s.uploader(ctx)
	if err != nil {
		return nil, err
	}
	content, held, until, err := s.blobs.Held(caller, req.GetId())
	if err != nil {
		return nil, uploadMissing(err, codes.NotFound)
	}
	return &exchangev1.GetUploadResponse{
		Content: &exchangev1.Upload{Size: uint64(content.Size), Sha256: content.SHA256[:]}, //nolint:gosec // a size
		Held:    uint64(held), KeptUntil: timestamppb.New(until),                           //nolint:gosec // a size
	}, nil
}

// DropUpload implements TransferService.
func (s *Service) DropUpload(ctx context.Context, req *exchangev1.DropUploadRequest) (*exchangev1.DropUploadResponse, error) {
	caller, err := s.uploader(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.blobs.Drop(ctx, caller, req.GetId()); err != nil {
		return nil, uploadRefused(fmt.Errorf("drop upload: %w", err))
	}
	return &exchangev1.DropUploadResponse{}, nil
}

func (s *Service) uploader(ctx context.Context) (string, error) {
	caller, err := s.callerOf(ctx)
	if err != nil {
		return "", err
	}
	return caller, s.checkLarge(nil)
}

// Download implements TransferService.
func (s *Service) Download(req *exchangev1.DownloadRequest, stream exchangev1.TransferService_DownloadServer) error {
	ctx := stream.Context()
	statement, err := s.statementFor(ctx, req.GetSequence(), true)
	if err != nil {
		return err
	}
	caller, err := s.callerOf(ctx)
	if err != nil {
		return err
	}
	at, err := s.transfers.enter(caller)
	if err != nil {
		return err
	}
	defer at.leave()
	accepted, err := s.packetOf(ctx, statement)
	if err != nil {
		return err
	}
	content, large := LargeContent(accepted)
	size := content.Size
	if !large {
		size = int64(len(accepted.GetEnvelope().GetContent()))
	}
	offset := int64(req.GetOffset()) //nolint:gosec // what is beyond is negative, and refused
	if offset < 0 || offset > size {
		return fault.New(codes.OutOfRange, "offset_beyond",
			fmt.Sprintf("the content has %d bytes", size), fmt.Sprintf("nội dung có %d byte", size))
	}
	patience := s.patienceWith(ctx)
	if large {
		err := s.sendLarge(content, offset, stream, patience)
		// It has gone since, or the hub goes on from a backup that was made meanwhile.
		if errors.Is(err, store.ErrNotFound) && s.blobs != nil && s.blobs.IsRetired(content) {
			return expired(statement)
		}
		return err
	}
	return sendContent(accepted.GetEnvelope().GetContent()[offset:], stream, patience)
}

// chunkBytes of a content travel in one message: so little that a slow line has taken it
// before the download counts as stalled, and what HTTP/2 sends at once.
const chunkBytes = 16 << 10

func sendContent(content []byte, stream exchangev1.TransferService_DownloadServer, patience *patience) error {
	for chunk := range slices.Chunk(content, chunkBytes) {
		over := patience.begin()
		err := stream.Send(&exchangev1.DownloadResponse{Chunk: chunk})
		over(len(chunk))
		if err != nil {
			return fmt.Errorf("send content: %w", err)
		}
	}
	return nil
}

func (s *Service) sendLarge(content blobs.Content, offset int64, stream exchangev1.TransferService_DownloadServer, patience *patience) (err error) {
	if s.blobs == nil {
		return fmt.Errorf("%w: the hub runs without what keeps large contents", store.ErrNotFound)
	}
	reader, err := s.blobs.Read(content, offset)
	if err != nil {
		return fmt.Errorf("read content: %w", err)
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	for {
		block, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read content: %w", err)
		}
		if err := sendContent(block, stream, patience); err != nil {
			return err
		}
	}
}
