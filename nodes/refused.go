package nodes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	faultv1 "github.com/lienthong/lienthong/gen/lienthong/fault/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// ErrClosed means that the Client or the Submitter was closed.
var ErrClosed = errors.New("closed")

// Refused is the error of whatever the hub, or the node that answers, did not
// do. It holds the hub's own words; where the hub could not be reached, the SDK's.
type Refused struct {
	// Refusal has code, reason, texts in both languages, the violations of the
	// packet, and when trying again may help. It is never nil.
	Refusal *faultv1.Refusal

	cause error
}

// Code returns the gRPC code.
func (r *Refused) Code() codes.Code {
	return codes.Code(r.Refusal.GetCode()) //nolint:gosec // codes are small
}

// Reason returns the stable word for programs, e.g. "right_missing".
func (r *Refused) Reason() string { return r.Refusal.GetReason() }

// RetryAfter returns when trying again may help; 0 where that is not known.
func (r *Refused) RetryAfter() time.Duration { return r.Refusal.GetRetryAfter().AsDuration() }

// Error says what is wrong, in English, with the first violation of a packet.
// Texts of violations do not quote the packet.
func (r *Refused) Error() string {
	text := r.Reason() + ": " + r.Refusal.GetMessageEn()
	findings := r.Refusal.GetFindings()
	at := slices.IndexFunc(findings, func(f *packetv1.Finding) bool { return f.GetSeverity() == packetv1.Severity_SEVERITY_ERROR })
	if at >= 0 {
		text += fmt.Sprintf("; the first is %s (%d:%d): %s", findings[at].GetField(), findings[at].GetLine(), findings[at].GetColumn(), findings[at].GetMessageEn())
	}
	return text
}

// Unwrap returns what the network or gRPC said, where the words are the SDK's.
func (r *Refused) Unwrap() error { return r.cause }

// GRPCStatus lets gRPC, and status.Code, see the code and the Refusal.
func (r *Refused) GRPCStatus() *status.Status {
	s := status.New(r.Code(), r.Refusal.GetMessageEn())
	if detailed, err := s.WithDetails(r.Refusal); err == nil {
		return detailed
	}
	return s
}

func refusal(code codes.Code, reason, en, vi string) *Refused {
	return &Refused{Refusal: &faultv1.Refusal{Code: int32(code), Reason: reason, MessageEn: en, MessageVi: vi}} //nolint:gosec // codes are small
}

// told returns the error of a call as callers see it: ErrClosed or a *Refused.
// Where ctx ended the wait, it is DEADLINE_EXCEEDED or CANCELED, wraps what ctx
// ended with, and says so when there was no connection.
func (c *Client) told(ctx context.Context, err error) error {
	if c.isClosed() {
		return ErrClosed
	}
	refused := c.refused(err)
	if ctx.Err() == nil || refused.cause == nil {
		return refused
	}
	return c.tooLate(context.Cause(ctx))
}

// tooLate says that ctx ended before there was an answer.
func (c *Client) tooLate(ended error) *Refused {
	r := refusal(codes.DeadlineExceeded, "deadline_exceeded",
		fmt.Sprintf("the hub at %s has not answered in time", c.hub.Address),
		fmt.Sprintf("trục liên thông tại %s chưa trả lời trong thời hạn", c.hub.Address))
	if !errors.Is(ended, context.DeadlineExceeded) {
		r = refusal(codes.Canceled, "canceled",
			fmt.Sprintf("the call was cancelled before the hub at %s had answered", c.hub.Address),
			fmt.Sprintf("lời gọi bị hủy trước khi trục liên thông tại %s trả lời", c.hub.Address))
	}
	r.cause = ended
	if trouble := c.links.trouble(); trouble != nil {
		r.Refusal.MessageEn += "; it cannot be reached: " + trouble.Error()
		r.Refusal.MessageVi += "; không kết nối được: " + trouble.Error()
		r.cause = fmt.Errorf("%w; %w", ended, trouble)
	}
	return r
}

// refused returns the Refusal that an error of gRPC carries, or one in the SDK's
// words.
func (c *Client) refused(err error) *Refused {
	var already *Refused
	if errors.As(err, &already) {
		return already
	}
	s, _ := status.FromError(err)
	for _, detail := range s.Details() {
		if r, ok := detail.(*faultv1.Refusal); ok {
			return &Refused{Refusal: r}
		}
	}
	var r *Refused
	switch s.Code() {
	case codes.Unavailable:
		return c.unreachable(err)
	case codes.ResourceExhausted:
		r = messageTooLarge(s.Message())
	default:
		r = refusal(s.Code(), "failed",
			fmt.Sprintf("the hub at %s gave no answer that makes sense (%s)", c.hub.Address, s.Code()),
			fmt.Sprintf("trục liên thông tại %s không trả lời hợp lệ (%s)", c.hub.Address, s.Code()))
	}
	r.cause = err
	return r
}

// Reasons that the SDK knows.
const (
	// reasonMessageTooLarge is the SDK's own: gRPC has refused a message.
	reasonMessageTooLarge = "message_too_large"
	// reasonRecipientFull is the hub's: a recipient has not taken what waits for it.
	reasonRecipientFull = "recipient_full"
)

// messageTooLarge says how large a message may be, where gRPC said it: there is no
// other way to learn it, gRPC ends such a call before the hub sees it.
func messageTooLarge(said string) *Refused {
	en, vi := "a message is larger than the hub or this node takes", "thông điệp lớn hơn mức trục liên thông hoặc hệ thống này cho phép"
	if _, most, told := sizesTooLarge(said); told {
		en = fmt.Sprintf("a message, which is a packet with its envelope, may have at most %d bytes", most)
		vi = fmt.Sprintf("một thông điệp, gồm gói tin và phong bì, chỉ được có tối đa %d byte", most)
	}
	return refusal(codes.ResourceExhausted, reasonMessageTooLarge, en, vi)
}

// sizesTooLarge returns what gRPC says of a message that was too large, where it does:
// its size, and how large it may be.
func sizesTooLarge(said string) (size, most int, told bool) {
	_, sizes, found := strings.Cut(said, "larger than max ")
	if !found {
		return 0, 0, false
	}
	_, err := fmt.Sscanf(sizes, "(%d vs. %d)", &size, &most)
	return size, most, err == nil
}

// unreachable says that there is no connection, or that it was lost, and why.
func (c *Client) unreachable(err error) *Refused {
	trouble := c.links.trouble()
	if trouble == nil {
		r := refusal(codes.Unavailable, "connection_lost",
			fmt.Sprintf("the connection to the hub at %s was lost", c.hub.Address),
			fmt.Sprintf("mất kết nối tới trục liên thông tại %s", c.hub.Address))
		r.cause = err
		return r
	}
	r := refusal(codes.Unavailable, "hub_unreachable",
		fmt.Sprintf("the hub at %s cannot be reached: %v", c.hub.Address, trouble),
		fmt.Sprintf("không kết nối được tới trục liên thông tại %s: %v", c.hub.Address, trouble))
	r.cause = trouble
	return r
}

// streamEnded is the error of a stream that the hub has ended with OK.
func streamEnded() *Refused {
	return refusal(codes.Unavailable, "stream_ended", "the hub has ended the stream", "trục liên thông đã đóng luồng")
}

// judge tells whether trying again may help, and when the hub wants to be asked.
func (c *Client) judge(err error) (refused *Refused, after time.Duration, again bool) {
	refused = c.refused(err)
	after = refused.RetryAfter()
	if denied(refused) {
		// The hub may be looking at a certificate that has been renewed since.
		return refused, 0, c.links.dropOutdated()
	}
	switch refused.Code() {
	case codes.ResourceExhausted:
		return refused, after, refused.Refusal.GetRetryAfter() != nil
	case codes.Unavailable, codes.Internal, codes.Unknown, codes.Aborted, codes.Canceled, codes.DeadlineExceeded:
		return refused, after, true
	default:
		return refused, 0, false
	}
}

// denied reports whether the hub does not let the caller in, or not do that.
func denied(refused *Refused) bool {
	return refused.Code() == codes.Unauthenticated || refused.Code() == codes.PermissionDenied
}
