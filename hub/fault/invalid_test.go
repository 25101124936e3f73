package fault_test

import (
	"errors"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// What a request breaks is told by field, in both languages, with what is allowed.
func TestInvalidRequestsAreToldInBothLanguages(t *testing.T) {
	t.Parallel()
	validator, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	good := &exchangev1.Envelope{Id: "a", Type: packetv1.PacketType_PACKET_TYPE_SURVEY, Format: exchangev1.Format_FORMAT_XML, Content: []byte("x")}
	envelope := func(change func(*exchangev1.Envelope)) proto.Message {
		e := proto.CloneOf(good)
		change(e)
		return e
	}
	for _, tc := range []struct {
		request               proto.Message
		within, field, en, vi string
	}{
		{&exchangev1.PullRequest{Max: 5000}, "", "max", "may be at most 1024", "không được lớn hơn 1024"},
		{&exchangev1.GetReceiptRequest{}, "", "sequence", "has to be at least 1", "phải từ 1 trở lên"},
		{&exchangev1.SubmitRequest{}, "", "envelope", "is required", "bắt buộc phải có"},
		{&exchangev1.AcknowledgeRequest{}, "", "sequences", "must not be empty", "không được để trống"},
		{&exchangev1.AcknowledgeRequest{Sequences: make([]uint64, 1025)}, "", "sequences", "may have at most 1024 items", "chỉ được có tối đa 1024 giá trị"},
		{envelope(func(e *exchangev1.Envelope) { e.Id = "ế" }), "envelope", "envelope.id", "is not written as expected: ^[A-Za-z0-9", "không đúng dạng quy định: ^[A-Za-z0-9"},
		{envelope(func(e *exchangev1.Envelope) { e.Id = strings.Repeat("a", 129) }), "envelope", "envelope.id", "may have at most 128 characters", "tối đa 128 ký tự"},
		{envelope(func(e *exchangev1.Envelope) { e.Content = nil }), "", "content", "has to be there, or upload", "phải có content, hoặc upload"},
		{envelope(func(e *exchangev1.Envelope) { e.Format = 9 }), "", "format", "one of FORMAT_XML, FORMAT_JSON, FORMAT_PROTOBUF is expected", "phải là một trong FORMAT_XML"},
		{envelope(func(e *exchangev1.Envelope) { e.Type = 0 }), "", "type", "one of PACKET_TYPE_DOSSIER, ", "phải là một trong PACKET_TYPE_DOSSIER, "},
		{envelope(func(e *exchangev1.Envelope) { e.Recipients = []string{"a", "a"} }), "", "recipients", "holds the same twice", "có giá trị bị lặp"},
	} {
		var invalid *protovalidate.ValidationError
		if err := validator.Validate(tc.request); !errors.As(err, &invalid) {
			t.Errorf("%v is valid: %v", tc.request, err)
			continue
		}
		got := fault.Invalid(tc.within, invalid)
		if got.Code != codes.InvalidArgument || got.Reason != "request_invalid" || len(got.Findings) != 1 {
			t.Errorf("%v: got %v with %v", tc.request, got, got.Findings)
			continue
		}
		f := got.Findings[0]
		if f.GetField() != tc.field || !strings.Contains(f.GetMessageEn(), tc.en) || !strings.Contains(f.GetMessageVi(), tc.vi) {
			t.Errorf("%v: the finding is %v; want %s: %s / %s", tc.request, f, tc.field, tc.en, tc.vi)
		}
		if !strings.Contains(got.EN, tc.field+": "+f.GetMessageEn()) || !strings.Contains(got.VI, tc.field+": "+f.GetMessageVi()) ||
			strings.Contains(got.EN+got.VI, "validation error") {
			t.Errorf("%v is told as %q, %q", tc.request, got.EN, got.VI)
		}
	}
}

// Of many violations the text says the first ones, and how many more there are.
func TestManyViolationsAreCounted(t *testing.T) {
	t.Parallel()
	many := &exchangev1.Envelope{
		Id: "a", Type: packetv1.PacketType_PACKET_TYPE_SURVEY, Format: exchangev1.Format_FORMAT_XML, Content: []byte("x"),
		Recipients: []string{"", strings.Repeat("a", 101), strings.Repeat("b", 101), strings.Repeat("c", 101), strings.Repeat("d", 101), strings.Repeat("e", 101), strings.Repeat("f", 101)},
	}
	validator, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	var invalid *protovalidate.ValidationError
	if err := validator.Validate(many); !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	got := fault.Invalid("", invalid)
	if len(got.Findings) != 7 || !strings.HasSuffix(got.EN, "; and 2 more") || !strings.HasSuffix(got.VI, "; và 2 lỗi khác") {
		t.Errorf("got %d findings, %q, %q", len(got.Findings), got.EN, got.VI)
	}
}
