package registry

import (
	"fmt"
	"strings"
	"unicode"

	"google.golang.org/grpc/codes"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// maxListed bounds the violations that one refusal lists: they travel in a
// trailer, which many clients take only up to some kilobytes of.
const maxListed = 40

// violations gathers everything that is wrong with one request.
type violations struct {
	found []*packetv1.Finding
}

// add notes what is wrong with a field, and what is allowed.
func (v *violations) add(field, rule, sent, en, vi string) {
	v.found = append(v.found, &packetv1.Finding{
		Severity: packetv1.Severity_SEVERITY_ERROR,
		Field:    field, Rule: rule, Sent: strings.ToValidUTF8(fmt.Sprintf("%.64s", sent), "\uFFFD"), MessageEn: en, MessageVi: vi,
	})
}

// err returns the refusal, or nil where nothing is wrong.
func (v *violations) err(code codes.Code, reason string) error {
	switch n := len(v.found); {
	case n == 0:
		return nil
	case n == 1:
		f := v.found[0]
		return fault.New(code, reason, f.GetField()+": "+f.GetMessageEn(), f.GetField()+": "+f.GetMessageVi()).With(v.found)
	case n > maxListed:
		return fault.New(code, reason,
			fmt.Sprintf("%d violations, the first %d are listed", n, maxListed),
			fmt.Sprintf("có %d lỗi, liệt kê %d lỗi đầu tiên", n, maxListed)).With(v.found[:maxListed])
	default:
		return fault.New(code, reason, fmt.Sprintf("%d violations", n), fmt.Sprintf("có %d lỗi", n)).With(v.found)
	}
}

// checkName refuses a name that says nothing.
func (v *violations) checkName(field, name string) {
	if name == "" {
		v.add(field, "required", name, "a name is required", "phải có tên")
	}
	v.checkText(field, name)
}

// checkText refuses characters that no name or description needs and that could
// deceive whoever reads it on a terminal.
func (v *violations) checkText(field, text string) {
	for _, c := range text {
		if !unicode.IsGraphic(c) {
			v.add(field, "text", fmt.Sprintf("%U", c), "control characters are not allowed", "không được chứa ký tự điều khiển")
			return
		}
	}
}
