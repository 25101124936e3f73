package fault

import (
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/reflect/protoreflect"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// So many violations the text of a refusal says, and so many are findings; of more,
// only their number.
const (
	maxTold     = 5
	maxFindings = 100
)

// Invalid returns the INVALID_ARGUMENT for a request that breaks rules of its .proto
// file: a finding for each, in both languages, with its path below within ("" for the
// request itself).
func Invalid(within string, invalid *protovalidate.ValidationError) *Error {
	var findings []*packetv1.Finding
	var en, vi []string
	for _, v := range invalid.Violations[:min(len(invalid.Violations), maxFindings)] {
		field := protovalidate.FieldPathString(v.Proto.GetField())
		if _, about, ok := strings.Cut(v.Proto.GetRuleId(), "."); ok && field == "" {
			field = about // rules of a message are named for a field of it
		}
		if within != "" {
			field = strings.TrimSuffix(within+"."+field, ".")
		}
		f := &packetv1.Finding{Severity: packetv1.Severity_SEVERITY_ERROR, Field: field, Rule: v.Proto.GetRuleId()}
		f.MessageEn, f.MessageVi = broken(v)
		findings = append(findings, f)
		en, vi = append(en, field+": "+f.GetMessageEn()), append(vi, field+": "+f.GetMessageVi())
	}
	if more := len(invalid.Violations) - maxTold; more > 0 {
		en, vi = append(en[:maxTold], fmt.Sprintf("and %d more", more)), append(vi[:maxTold], fmt.Sprintf("và %d lỗi khác", more))
	}
	return New(codes.InvalidArgument, "request_invalid",
		"the request is not valid: "+strings.Join(en, "; "), "yêu cầu không hợp lệ: "+strings.Join(vi, "; ")).With(findings)
}

// broken says what a rule allows. A rule without words here keeps those of the
// validator in English.
func broken(v *protovalidate.Violation) (en, vi string) {
	id := v.Proto.GetRuleId()
	kind, rule, _ := strings.Cut(id, ".")
	bound := ""
	if v.RuleValue.IsValid() {
		bound = v.RuleValue.String()
	}
	switch {
	case id == "required":
		return "is required", "bắt buộc phải có"
	case kind == "enum":
		names := strings.Join(namesOf(v.FieldDescriptor), ", ")
		return "one of " + names + " is expected", "phải là một trong " + names
	case rule == "pattern":
		return "is not written as expected: " + bound, "không đúng dạng quy định: " + bound
	case id == "envelope.content":
		return "has to be there, or upload in its place", "phải có content, hoặc upload thay cho content"
	case id == "repeated.unique":
		return "holds the same twice", "có giá trị bị lặp"
	}
	unitEN, unitVI := map[string]string{"string": " characters", "bytes": " bytes", "repeated": " items"}[kind],
		map[string]string{"string": " ký tự", "bytes": " byte", "repeated": " giá trị"}[kind]
	switch rule {
	case "min_len", "min_bytes", "min_items":
		if bound == "1" {
			return "must not be empty", "không được để trống"
		}
		return "has to have at least " + bound + unitEN, "phải có ít nhất " + bound + unitVI
	case "max_len", "max_bytes", "max_items":
		return "may have at most " + bound + unitEN, "chỉ được có tối đa " + bound + unitVI
	case "len":
		return "has to have " + bound + unitEN, "phải có đúng " + bound + unitVI
	case "lte":
		return "may be at most " + bound, "không được lớn hơn " + bound
	case "gte":
		return "has to be at least " + bound, "phải từ " + bound + " trở lên"
	}
	return v.Proto.GetMessage(), "không đúng quy tắc " + id
}

// namesOf returns the values an enum field may have.
func namesOf(field protoreflect.FieldDescriptor) []string {
	if field == nil || field.Enum() == nil {
		return nil
	}
	var names []string
	values := field.Enum().Values()
	for i := range values.Len() {
		if values.Get(i).Number() != 0 {
			names = append(names, string(values.Get(i).Name()))
		}
	}
	return names
}
