// Package fault holds the one error type that crosses the hub's edges. It owns
// its gRPC status, its HTTP status and its texts in Vietnamese and English;
// errors of any other type leave the hub as INTERNAL without their text.
package fault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	faultv1 "github.com/lienthong/lienthong/gen/lienthong/fault/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// Error is a refusal: what was wrong, for a program (Code, Reason) and for
// people in both languages. Texts never hold personal data.
type Error struct {
	Code   codes.Code
	Reason string // stable word, snake_case
	EN     string
	VI     string
	// Findings are the violations of the packet, where the packet was refused.
	Findings []*packetv1.Finding
	// RetryAfter is when trying again may help; 0 where it will not.
	RetryAfter time.Duration

	cause error
}

// New returns an Error.
func New(code codes.Code, reason, en, vi string) *Error {
	return &Error{Code: code, Reason: reason, EN: en, VI: vi}
}

// Because returns a copy that wraps cause. The cause is for the log; it never
// reaches the caller of the hub.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// After returns a copy that tells the caller to try again after d.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// With returns a copy that carries findings.
func (e *Error) With(findings []*packetv1.Finding) *Error {
	c := *e
	c.Findings = findings
	return &c
}

// Error says what the caller is told, then the cause.
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Reason, e.EN, e.cause)
	}
	return e.Reason + ": " + e.EN
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Refusal returns the error as callers see it.
func (e *Error) Refusal() *faultv1.Refusal {
	r := &faultv1.Refusal{
		Code:      int32(e.Code),
		Reason:    e.Reason,
		MessageEn: e.EN,
		MessageVi: e.VI,
		Findings:  e.Findings,
	}
	if e.RetryAfter > 0 {
		r.RetryAfter = durationpb.New(e.RetryAfter)
	}
	return r
}

// GRPCStatus makes grpc send the error with its Refusal as detail, and what it says of
// trying again also as google.rpc.RetryInfo, which libraries know: with as many
// findings as a trailer holds, and a text that says how many there are. Refusals
// in messages, as streams have them, hold all.
func (e *Error) GRPCStatus() *status.Status {
	refusal := e.Refusal()
	if shown := fitting(refusal.GetFindings()); len(shown) < len(e.Findings) {
		refusal.Findings = shown
		refusal.MessageEn += fmt.Sprintf(" (%d of %d findings are shown, violations first; a stream shows all)", len(shown), len(e.Findings))
		refusal.MessageVi += fmt.Sprintf(" (hiển thị %d trong số %d phát hiện, lỗi trước; gửi theo luồng sẽ nhận đủ)", len(shown), len(e.Findings))
	}
	s := status.New(e.Code, refusal.GetMessageEn())
	details := []protoadapt.MessageV1{refusal}
	if retry := refusal.GetRetryAfter(); retry != nil {
		details = append(details, &errdetails.RetryInfo{RetryDelay: retry})
	}
	detailed, err := s.WithDetails(details...)
	if err != nil {
		return s
	}
	return detailed
}

// fitting returns the findings where a trailer holds them, else as many as it
// does, violations before warnings.
func fitting(findings []*packetv1.Finding) []*packetv1.Finding {
	size := 0
	for _, finding := range findings {
		size += proto.Size(finding)
	}
	if size <= maxTrailer {
		return findings
	}
	byWeight := slices.Clone(findings)
	slices.SortStableFunc(byWeight, func(a, b *packetv1.Finding) int { return cmp.Compare(a.GetSeverity(), b.GetSeverity()) })
	size = 0
	for i, finding := range byWeight {
		if size += proto.Size(finding); size > maxTrailer {
			return byWeight[:i]
		}
	}
	return byWeight
}

// maxTrailer bounds the findings in a status: gRPC clients in other languages
// take 8 KiB of metadata by default, and details travel as Base64.
const maxTrailer = 4 << 10

// From returns err as an Error. Cancellation and deadlines keep their codes, a
// gRPC status keeps its Refusal or, unless it tells of a failure (UNKNOWN,
// INTERNAL, DATA_LOSS), its code and message; anything else becomes INTERNAL with
// err as its cause.
func From(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled):
		return New(codes.Canceled, "canceled", "the call was cancelled", "lời gọi đã bị hủy").Because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return New(codes.DeadlineExceeded, "deadline_exceeded", "the deadline passed before there was an answer", "quá thời hạn trước khi có kết quả").Because(err)
	}
	// Not status.FromError: that would put the texts wrapped around the status into it.
	var with interface{ GRPCStatus() *status.Status }
	if errors.As(err, &with) {
		return fromStatus(with.GRPCStatus(), err)
	}
	return Internal(err)
}

// ReasonInternal is the reason of errors that Internal returns, and of no others.
const ReasonInternal = "internal"

// Internal returns an INTERNAL error that hides cause from the caller.
func Internal(cause error) *Error {
	return New(codes.Internal, ReasonInternal, "the hub failed; the operator has been told", "trục liên thông gặp lỗi; đơn vị vận hành đã được báo").Because(cause)
}

func fromStatus(s *status.Status, cause error) *Error {
	for _, d := range s.Details() {
		if r, ok := d.(*faultv1.Refusal); ok {
			return FromRefusal(r).Because(cause)
		}
	}
	switch s.Code() {
	case codes.OK, codes.Unknown, codes.Internal, codes.DataLoss:
		return Internal(cause)
	}
	return New(s.Code(), reasonOf(s.Code()), s.Message(), s.Message()).Because(cause)
}

// FromRefusal returns the error a Refusal describes.
func FromRefusal(r *faultv1.Refusal) *Error {
	return &Error{
		Code:       codes.Code(r.GetCode()), //nolint:gosec // codes are small
		Reason:     r.GetReason(),
		EN:         r.GetMessageEn(),
		VI:         r.GetMessageVi(),
		Findings:   r.GetFindings(),
		RetryAfter: r.GetRetryAfter().AsDuration(),
	}
}

// HTTPStatus returns the HTTP status that fits a gRPC code at the edge.
func HTTPStatus(code codes.Code) int {
	switch code {
	case codes.OK:
		return http.StatusOK
	case codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition:
		return http.StatusBadRequest
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.NotFound:
		return http.StatusNotFound
	case codes.AlreadyExists, codes.Aborted:
		return http.StatusConflict
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable:
		return http.StatusServiceUnavailable
	case codes.DeadlineExceeded:
		return http.StatusGatewayTimeout
	case codes.Canceled:
		return 499
	default:
		return http.StatusInternalServerError
	}
}

func reasonOf(code codes.Code) string {
	switch code {
	case codes.Canceled:
		return "canceled"
	case codes.DeadlineExceeded:
		return "deadline_exceeded"
	case codes.InvalidArgument:
		return "invalid_argument"
	case codes.NotFound:
		return "not_found"
	case codes.AlreadyExists:
		return "already_exists"
	case codes.PermissionDenied:
		return "permission_denied"
	case codes.ResourceExhausted:
		return "resource_exhausted"
	case codes.Unauthenticated:
		return "unauthenticated"
	case codes.Unavailable:
		return "unavailable"
	case codes.Unimplemented:
		return "unimplemented"
	default:
		return "failed"
	}
}
