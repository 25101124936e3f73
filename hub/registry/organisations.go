package registry

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/packet"
)

// PutOrganisations adds organisations or renames the ones that are there, all or
// none. Codes may come in either spelling; each may come once. Errors:
// INVALID_ARGUMENT with every violation.
func (r *Registry) PutOrganisations(ctx context.Context, req *registryv1.PutOrganisationsRequest) (*registryv1.PutOrganisationsResponse, error) {
	wanted, err := checkOrganisations(req.GetOrganisations())
	if err != nil {
		return nil, err
	}
	var answer *registryv1.PutOrganisationsResponse
	err = r.update(ctx, func(d *draft) error {
		answer = &registryv1.PutOrganisationsResponse{}
		for _, o := range wanted {
			was, known := d.organisations[o.GetCode()]
			switch {
			case !known:
				answer.Added++
			case proto.Equal(was, o):
				continue
			default:
				answer.Changed++
			}
			d.putOrganisation(o)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// ListOrganisations returns all organisations by code.
func (r *Registry) ListOrganisations(context.Context, *registryv1.ListOrganisationsRequest) (*registryv1.ListOrganisationsResponse, error) {
	return &registryv1.ListOrganisationsResponse{
		Organisations: sorted(r.current.Load().organisations, (*registryv1.Organisation).GetCode),
	}, nil
}

// checkOrganisations returns the organisations with canonical codes.
func checkOrganisations(named []*registryv1.Organisation) ([]*registryv1.Organisation, error) {
	var wrong violations
	wanted := make([]*registryv1.Organisation, 0, len(named))
	first := map[string]int{}
	for i, o := range named {
		at := fmt.Sprintf("organisations[%d]", i)
		name := strings.TrimSpace(o.GetName())
		wrong.checkName(at+".name", name)
		code, ok := wrong.organisation(at+".code", o.GetCode())
		if !ok {
			continue
		}
		if earlier, twice := first[code.String()]; twice {
			wrong.add(at+".code", "unique", o.GetCode(),
				fmt.Sprintf("%s stands in organisations[%d] already", code, earlier),
				fmt.Sprintf("%s đã có ở organisations[%d]", code, earlier))
			continue
		}
		first[code.String()] = i
		wanted = append(wanted, &registryv1.Organisation{Code: code.String(), Name: name})
	}
	return wanted, wrong.err(codes.InvalidArgument, "organisations_invalid")
}

// organisation reads a code in either spelling.
func (v *violations) organisation(field, code string) (packet.Organisation, bool) {
	o, err := packet.ParseOrganisation(code)
	if err != nil {
		v.add(field, "organisation", code, err.Error(),
			fmt.Sprintf("%.64q không phải mã cơ quan; dạng cho phép: G12.18 hoặc 000.00.18.G12", code))
	}
	return o, err == nil
}

func unknownOrganisation(code packet.Organisation) *fault.Error {
	return fault.New(codes.NotFound, "organisation_unknown",
		fmt.Sprintf("organisation %s is not registered; register it first", code),
		fmt.Sprintf("cơ quan %s chưa được đăng ký; hãy đăng ký cơ quan trước", code))
}

// sorted returns copies of messages, by a key.
func sorted[M proto.Message](all map[string]M, key func(M) string) []M {
	list := slices.SortedFunc(maps.Values(all), func(a, b M) int { return cmp.Compare(key(a), key(b)) })
	for i, m := range list {
		list[i] = proto.CloneOf(m)
	}
	return list
}
