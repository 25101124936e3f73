package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/hub/fault"
)

// retryDefault is what Retry-After says where the hub does not.
const retryDefault = 5 * time.Second

// statusOf returns the HTTP status of a refusal. Some reasons fit a status that
// no gRPC code stands for.
func statusOf(refused *fault.Error) int {
	switch refused.Reason {
	case "packet_too_large", "body_too_large":
		return http.StatusRequestEntityTooLarge
	case "packet_expired":
		return http.StatusGone
	case "media_type_unsupported", "encoding_unsupported":
		return http.StatusUnsupportedMediaType
	case "method_not_allowed":
		return http.StatusMethodNotAllowed
	case "body_too_slow":
		return http.StatusRequestTimeout
	}
	return fault.HTTPStatus(refused.Code)
}

// retryAfter returns how long a refused caller is asked to wait; 0 where the
// status does not ask for it.
func retryAfter(refused *fault.Error) time.Duration {
	switch statusOf(refused) {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if refused.RetryAfter <= 0 {
			return retryDefault
		}
	}
	return refused.RetryAfter
}

func errMediaType(sent string) *fault.Error {
	return fault.New(codes.InvalidArgument, "media_type_unsupported",
		fmt.Sprintf("Content-Type %q is not read here; send application/xml, text/xml or application/json in UTF-8", cut(sent)),
		fmt.Sprintf("không đọc được Content-Type %q; hãy gửi application/xml, text/xml hoặc application/json, mã hóa UTF-8", cut(sent)))
}

func errNotJSONType(sent string) *fault.Error {
	return fault.New(codes.InvalidArgument, "media_type_unsupported",
		fmt.Sprintf("Content-Type %q is not read under /v1; send application/json", cut(sent)),
		fmt.Sprintf("không đọc được Content-Type %q tại /v1; hãy gửi application/json", cut(sent)))
}

// errOtherFormat refuses a body that is not what its Content-Type says.
func errOtherFormat(said, is string) *fault.Error {
	name := map[string]string{typeXML: "XML", typeJSON: "JSON"}[is]
	return fault.New(codes.InvalidArgument, "media_type_wrong",
		fmt.Sprintf("this is %s, but Content-Type says %s; send it as %s", name, said, is),
		fmt.Sprintf("đây là %s, nhưng Content-Type là %s; hãy gửi với Content-Type %s", name, said, is))
}

func errUnrecognised() *fault.Error {
	return fault.New(codes.InvalidArgument, "media_type_unsupported",
		"the body came without Content-Type and looks neither like XML nor like JSON",
		"nội dung gửi lên không có Content-Type và không phải XML hay JSON")
}

func errEncoding(sent string) *fault.Error {
	return fault.New(codes.InvalidArgument, "encoding_unsupported",
		fmt.Sprintf("Content-Encoding %q is not read here; send the body as it is", cut(sent)),
		fmt.Sprintf("không đọc được Content-Encoding %q; hãy gửi nội dung không nén", cut(sent)))
}

func errTooLarge(limit int64) *fault.Error {
	return fault.New(codes.ResourceExhausted, "body_too_large",
		fmt.Sprintf("the body is larger than the %d bytes allowed", limit),
		fmt.Sprintf("nội dung gửi lên vượt quá %d byte cho phép", limit))
}

func errHanding() *fault.Error {
	return fault.New(codes.Unavailable, "documents_busy",
		"too many are being handed documents; ask again in a moment", "đang có quá nhiều lượt lấy tài liệu; vui lòng thử lại sau giây lát").After(time.Second)
}

func errBusy() *fault.Error {
	return fault.New(codes.Unavailable, "edge_busy",
		"the hub is busy with other bodies; submit again later", "trục liên thông đang bận tiếp nhận; vui lòng gửi lại sau").After(time.Second)
}

func errBodyEnded(cause error) *fault.Error {
	return fault.New(codes.InvalidArgument, "body_incomplete",
		"the body ended before it was complete", "nội dung gửi lên bị ngắt giữa chừng").Because(cause)
}

func errTooSlow(cause error) *fault.Error {
	return fault.New(codes.DeadlineExceeded, "body_too_slow",
		"the body took too long to arrive", "nội dung gửi lên đến quá chậm").Because(cause)
}

func errEmptyBody() *fault.Error {
	return fault.New(codes.InvalidArgument, "body_empty", "the body is empty", "không có nội dung gửi lên")
}

func errNoSuchPath() *fault.Error {
	return fault.New(codes.NotFound, "path_unknown",
		"there is nothing at this address; check the base URL and the path",
		"không có dịch vụ tại địa chỉ này; hãy kiểm tra địa chỉ gốc và đường dẫn")
}

func errMethod(allowed string) *fault.Error {
	return fault.New(codes.Unimplemented, "method_not_allowed",
		"the method is not for this address; allowed: "+allowed,
		"phương thức không dùng được tại địa chỉ này; cho phép: "+allowed)
}

func errCrossOrigin(cause error) *fault.Error {
	return fault.New(codes.PermissionDenied, "cross_origin",
		"calls from pages of other sites are refused", "từ chối lời gọi từ trang của địa chỉ khác").Because(cause)
}

func errHeader(name, en, vi string) *fault.Error {
	return fault.New(codes.InvalidArgument, "header_invalid", name+": "+en, name+": "+vi)
}

// maxShown is how much of what a caller sent is told back, in bytes.
const maxShown = 80

// cut keeps what a caller sent short enough to be told back.
func cut(s string) string {
	if len(s) > maxShown {
		return strings.ToValidUTF8(s[:maxShown], "") + "..."
	}
	return s
}
