package registry

import (
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/packet"
)

// SpeaksFor returns the organisation that a node speaks for: its own where
// onBehalfOf is empty, else the one named, which has to be its own or below. The
// error is a *fault.Error for what the caller named.
func SpeaksFor(node, onBehalfOf string) (packet.Organisation, error) {
	code, _, _ := strings.Cut(node, "/")
	own, err := packet.ParseOrganisation(code)
	if err != nil {
		return packet.Organisation{}, fmt.Errorf("organisation of node %s: %w", node, err)
	}
	if onBehalfOf == "" {
		return own, nil
	}
	named, err := packet.ParseOrganisation(onBehalfOf)
	if err != nil {
		return packet.Organisation{}, fault.New(codes.InvalidArgument, "organisation_invalid",
			"on_behalf_of is not an organisation code; allowed are G12.18 and 000.00.18.G12",
			"on_behalf_of không phải mã cơ quan; dạng cho phép: G12.18 hoặc 000.00.18.G12").Because(err)
	}
	if !own.Contains(named) {
		return packet.Organisation{}, fault.New(codes.PermissionDenied, "organisation_not_yours",
			fmt.Sprintf("a node of %s may not speak for %s; allowed are %s and organisations below it", own, named, own),
			fmt.Sprintf("hệ thống của %s không được thay mặt %s; chỉ được thay mặt %s và các đơn vị trực thuộc", own, named, own))
	}
	return named, nil
}
