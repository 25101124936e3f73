package fault_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
