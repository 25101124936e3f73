package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/packet"
)

// GrantRight grants a right. A right to the same types and services between the
// same two is the same right: granting it again changes when it ends, and nothing
// else. Errors: INVALID_ARGUMENT; NOT_FOUND where the receiver, or the sender and
// everything that contains it, is not registered; FAILED_PRECONDITION where the
// receiver can never use it.
func (r *Registry) GrantRight(ctx context.Context, req *registryv1.GrantRightRequest) (*registryv1.GrantRightResponse, error) {
	right, from, err := checkRight(req.GetRight(), r.cfg.Clock())
	if err != nil {
		return nil, err
	}
	err = r.update(ctx, func(d *draft) error {
		if err := d.checkParties(right, from); err != nil {
			return err
		}
		if was := d.rights[right.GetId()]; !proto.Equal(was, right) {
			d.putRight(right)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &registryv1.GrantRightResponse{Right: proto.CloneOf(right)}, nil
}

// ListRights returns all rights by sender, then receiver.
func (r *Registry) ListRights(context.Context, *registryv1.ListRightsRequest) (*registryv1.ListRightsResponse, error) {
	return &registryv1.ListRightsResponse{Rights: sorted(r.current.Load().rights, func(right *registryv1.Right) string {
		return right.GetSender() + "\x00" + right.GetReceiver() + "\x00" + right.GetId()
	})}, nil
}

// RevokeRight takes a right back. Errors: NOT_FOUND.
func (r *Registry) RevokeRight(ctx context.Context, req *registryv1.RevokeRightRequest) (*registryv1.RevokeRightResponse, error) {
	err := r.update(ctx, func(d *draft) error {
		if d.rights[req.GetId()] == nil {
			return fault.New(codes.NotFound, "right_unknown",
				fmt.Sprintf("there is no right %.64q", req.GetId()), fmt.Sprintf("không có quyền %.64q", req.GetId()))
		}
		d.dropRight(req.GetId())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &registryv1.RevokeRightResponse{}, nil
}

// checkRight returns the right as it will be kept, canonical and with its id, and
// its sender.
func checkRight(named *registryv1.Right, now time.Time) (*registryv1.Right, packet.Organisation, error) {
	var wrong violations
	from, _ := wrong.organisation("right.sender", named.GetSender())
	_, to, _ := wrong.node("right.receiver", named.GetReceiver())
	if len(named.GetTypes())+len(named.GetServices()) == 0 {
		wrong.add("right.types", "required", "", "at least one packet type or service is required", "phải có ít nhất một loại gói tin hoặc dịch vụ tra cứu")
	}
	for i, service := range named.GetServices() {
		if !isService(service) {
			wrong.add(fmt.Sprintf("right.services[%d]", i), "service", service,
				"a full method name is expected, e.g. lienthong.enterprise.v1.EnterpriseService/LookUpEnterprise",
				"phải là tên đầy đủ của dịch vụ, ví dụ lienthong.enterprise.v1.EnterpriseService/LookUpEnterprise")
		}
	}
	if end := named.GetExpiresAt(); end != nil && (!end.IsValid() || !now.Before(end.AsTime())) {
		wrong.add("right.expires_at", "future", end.AsTime().Format(time.RFC3339), "a moment in the future is expected", "phải là thời điểm trong tương lai")
	}
	right := &registryv1.Right{
		Sender: from.String(), Receiver: to.String(),
		Types: sortedSet(named.GetTypes()), Services: sortedSet(named.GetServices()),
		ExpiresAt: named.GetExpiresAt(),
	}
	right.Id = rightID(right)
	return right, from, wrong.err(codes.InvalidArgument, "right_invalid")
}

// checkParties refuses a right whose sender or receiver is not there, or whose
// receiver could never use it.
func (d *draft) checkParties(right *registryv1.Right, from packet.Organisation) error {
	var missing violations
	if !slices.ContainsFunc(from.Up(), func(o packet.Organisation) bool { return d.organisations[o.String()] != nil }) {
		missing.add("right.sender", "registered", right.GetSender(), unknownOrganisation(from).EN, unknownOrganisation(from).VI)
	}
	receiver := d.nodes[right.GetReceiver()]
	if receiver == nil {
		told := unknownNode(right.GetReceiver())
		missing.add("right.receiver", "registered", right.GetReceiver(), told.EN, told.VI)
	}
	if err := missing.err(codes.NotFound, "right_party_unknown"); err != nil {
		return err
	}
	switch {
	case receiver.GetState() == revoked:
		return fault.New(codes.FailedPrecondition, "node_state",
			fmt.Sprintf("node %s is REVOKED and receives nothing", receiver.GetId()),
			fmt.Sprintf("hệ thống %s đã bị thu hồi, không nhận được gì", receiver.GetId()))
	case len(right.GetServices()) > 0 && receiver.GetKind() != registryv1.NodeKind_NODE_KIND_DATABASE:
		return fault.New(codes.FailedPrecondition, "node_answers_not",
			fmt.Sprintf("node %s is no database; only nodes of kind DATABASE answer questions", receiver.GetId()),
			fmt.Sprintf("hệ thống %s không phải cơ sở dữ liệu; chỉ cơ sở dữ liệu mới trả lời tra cứu", receiver.GetId()))
	}
	return nil
}

// rightID is derived from what the right lets through, so that the same right
// has the same id wherever and whenever it is granted.
func rightID(right *registryv1.Right) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%d\x00%s", right.GetSender(), right.GetReceiver(), right.GetTypes(), strings.Join(right.GetServices(), "\x00"))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func sortedSet[T packetv1.PacketType | string](all []T) []T {
	all = slices.Clone(all)
	slices.Sort(all)
	return slices.Compact(all)
}

const maxService = 200

// isService reports whether s is written as pkg.Service/Method.
func isService(s string) bool {
	service, method, found := strings.Cut(s, "/")
	names := strings.Split(service, ".")
	return found && len(s) <= maxService && len(names) >= 2 && !slices.ContainsFunc(append(names, method), notIdentifier)
}

// notIdentifier reports whether s is not a Protobuf identifier.
func notIdentifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return true
		}
	}
	return s == ""
}
