package fault_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// What a caller sees of an error over gRPC is all of the refusal and none of the
// cause.
func TestStatusCarriesTheRefusalAndHidesTheCause(t *testing.T) {
	t.Parallel()
	err := fault.New(codes.InvalidArgument, "packet_invalid", "not valid", "không hợp lệ").
		With([]*packetv1.Finding{{Field: "MStatistic.Month", Rule: "int32.lte"}}).
		After(3 * time.Second).
		Because(errors.New("secret detail"))
	got := fault.From(status.Convert(fmt.Errorf("wrapped: %w", err)).Err())
	if got.Code != codes.InvalidArgument || got.Reason != "packet_invalid" || got.EN != "not valid" || got.VI != "không hợp lệ" ||
		got.RetryAfter != 3*time.Second || len(got.Findings) != 1 || got.Findings[0].GetField() != "MStatistic.Month" {
		t.Errorf("came over as %+v", got)
	}
	if text := status.Convert(err).String(); text != "rpc error: code = InvalidArgument desc = not valid" {
		t.Errorf("status text is %q", text)
	}
}

// However much is wrong with a packet, the status fits what gRPC clients take in a
// trailer, and says what is missing.
func TestStatusFitsATrailer(t *testing.T) {
	t.Parallel()
	findings := make([]*packetv1.Finding, 1000)
	for i := range findings {
		findings[i] = &packetv1.Finding{Field: fmt.Sprintf("MVotes.Questions[%d].Content", i), Rule: "required", MessageEn: "is required", MessageVi: "bắt buộc phải có"}
	}
	err := fault.New(codes.InvalidArgument, "packet_invalid", "not valid", "không hợp lệ").With(findings)
	s := status.Convert(err)
	if size := base64.StdEncoding.EncodedLen(proto.Size(s.Proto())) + len(s.Message()); size > 8<<10 {
		t.Errorf("the status takes %d bytes of metadata; clients take 8192", size)
	}
	got := fault.From(s.Err())
	if len(got.Findings) < 10 || got.Findings[0].GetField() != findings[0].GetField() || !strings.Contains(got.EN, "of 1000") || !strings.Contains(got.VI, "1000") {
		t.Errorf("%d findings and %q, %q came over; want the first ones, and how many there are", len(got.Findings), got.EN, got.VI)
	}
	if len(err.Refusal().GetFindings()) != 1000 {
		t.Error("the refusal itself, for a message, lost findings")
	}
}

func TestViolationsComeBeforeWarningsWhereNotAllFit(t *testing.T) {
	t.Parallel()
	findings := make([]*packetv1.Finding, 200)
	for i := range findings {
		findings[i] = &packetv1.Finding{Severity: packetv1.Severity_SEVERITY_WARNING, Field: fmt.Sprintf("MSyncDocument.DocFees[%d].Price", i), Rule: "decimal.spelling"}
	}
	findings[199] = &packetv1.Finding{Severity: packetv1.Severity_SEVERITY_ERROR, Field: "MSyncDocument.OrganInchargeIdLevel1", Rule: "organisation"}
	got := fault.From(status.Convert(fault.New(codes.InvalidArgument, "packet_invalid", "not valid", "không hợp lệ").With(findings)).Err())
	if len(got.Findings) == 200 || got.Findings[0].GetField() != "MSyncDocument.OrganInchargeIdLevel1" {
		t.Errorf("of %d findings the first is %s; want the violation", len(got.Findings), got.Findings[0].GetField())
	}
	if findings[0].GetField() != "MSyncDocument.DocFees[0].Price" {
		t.Error("the refusal's own findings were reordered")
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		code   codes.Code
		reason string
	}{
		{errors.New("disk /dev/sda1 is broken"), codes.Internal, "internal"},
		{fmt.Errorf("wait: %w", context.Canceled), codes.Canceled, "canceled"},
		{context.DeadlineExceeded, codes.DeadlineExceeded, "deadline_exceeded"},
		{status.Error(codes.ResourceExhausted, "message too large"), codes.ResourceExhausted, "resource_exhausted"},
		{status.Error(codes.Unimplemented, "unknown method"), codes.Unimplemented, "unimplemented"},
		{status.Error(codes.Internal, "goroutine 7"), codes.Internal, "internal"},
		{status.Error(codes.Unknown, "dial tcp 10.0.0.7"), codes.Internal, "internal"},
		{fmt.Errorf("deep: %w", fault.New(codes.NotFound, "packet_not_found", "no", "không")), codes.NotFound, "packet_not_found"},
	} {
		got := fault.From(c.err)
		if got.Code != c.code || got.Reason != c.reason {
			t.Errorf("%v became %s %s; want %s %s", c.err, got.Code, got.Reason, c.code, c.reason)
		}
		if c.code == codes.Internal && got.EN == c.err.Error() {
			t.Errorf("%v shows its text to the caller", c.err)
		}
		if !errors.Is(got, c.err) && !errors.Is(c.err, got) {
			t.Errorf("%v lost its cause", c.err)
		}
	}
}

// What this program wrapped around a gRPC status is for its log.
func TestTextsAroundAStatusAreNotShown(t *testing.T) {
	t.Parallel()
	got := fault.From(fmt.Errorf("read /var/lib/hub: %w", status.Error(codes.ResourceExhausted, "too large")))
	if got.Code != codes.ResourceExhausted || got.EN != "too large" {
		t.Errorf("became %s %q; want the status's own text", got.Code, got.EN)
	}
}

func TestHTTPStatus(t *testing.T) {
	t.Parallel()
	want := map[codes.Code]int{
		codes.OK: http.StatusOK, codes.InvalidArgument: http.StatusBadRequest, codes.Unauthenticated: http.StatusUnauthorized,
		codes.PermissionDenied: http.StatusForbidden, codes.NotFound: http.StatusNotFound, codes.AlreadyExists: http.StatusConflict,
		codes.ResourceExhausted: http.StatusTooManyRequests, codes.Unavailable: http.StatusServiceUnavailable,
		codes.Internal: http.StatusInternalServerError, codes.DataLoss: http.StatusInternalServerError,
	}
	for code, expected := range want {
		if got := fault.HTTPStatus(code); got != expected {
			t.Errorf("%s is HTTP %d; want %d", code, got, expected)
		}
	}
}
