package registry

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/lienthong/lienthong/certs"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/packet"
)

const (
	pending   = registryv1.NodeState_NODE_STATE_PENDING
	active    = registryv1.NodeState_NODE_STATE_ACTIVE
	suspended = registryv1.NodeState_NODE_STATE_SUSPENDED
	revoked   = registryv1.NodeState_NODE_STATE_REVOKED
)

// CreateNode registers a node and returns the token it joins with; only the hash
// of its secret is kept. Errors: INVALID_ARGUMENT, NOT_FOUND where the very
// organisation of the node is not registered, ALREADY_EXISTS.
func (r *Registry) CreateNode(ctx context.Context, req *registryv1.CreateNodeRequest) (*registryv1.CreateNodeResponse, error) {
	var wrong violations
	organisation, identity, _ := wrong.node("id", req.GetId())
	description := strings.TrimSpace(req.GetDescription())
	wrong.checkText("description", description)
	if err := wrong.err(codes.InvalidArgument, "node_invalid"); err != nil {
		return nil, err
	}
	now := r.cfg.Clock()
	token, err := r.newToken(identity, now)
	if err != nil {
		return nil, err
	}
	node := &registryv1.Node{
		Id: identity.String(), Kind: req.GetKind(), State: pending,
		Description: description, CreatedAt: timestamppb.New(now), Strict: req.GetStrict(),
	}
	err = r.update(ctx, func(d *draft) error {
		if d.organisations[organisation.String()] == nil {
			return unknownOrganisation(organisation)
		}
		if known := d.nodes[node.GetId()]; known != nil {
			return fault.New(codes.AlreadyExists, "node_exists",
				fmt.Sprintf("node %s is registered already and %s", node.GetId(), stateEN(known.GetState())),
				fmt.Sprintf("hệ thống %s đã được đăng ký và %s", node.GetId(), stateVI(known.GetState())))
		}
		d.putNode(node)
		d.putToken(node.GetId(), token.stored)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &registryv1.CreateNodeResponse{
		Node: proto.CloneOf(node), Token: token.text, TokenExpiresAt: token.stored.GetExpiresAt(),
	}, nil
}

// IssueToken gives a node that is pending or active another token in place of the
// one before. When it is used, the certificate before it ends. Errors:
// INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION where the node is suspended or
// revoked.
func (r *Registry) IssueToken(ctx context.Context, req *registryv1.IssueTokenRequest) (*registryv1.IssueTokenResponse, error) {
	var wrong violations
	_, identity, _ := wrong.node("id", req.GetId())
	if err := wrong.err(codes.InvalidArgument, "node_invalid"); err != nil {
		return nil, err
	}
	token, err := r.newToken(identity, r.cfg.Clock())
	if err != nil {
		return nil, err
	}
	node, err := r.changeNode(ctx, identity, func(d *draft, node *registryv1.Node) error {
		if node.GetState() != pending && node.GetState() != active {
			return fault.New(codes.FailedPrecondition, "node_state",
				fmt.Sprintf("node %s %s and cannot join; %s", node.GetId(), stateEN(node.GetState()), insteadEN(node.GetState())),
				fmt.Sprintf("hệ thống %s %s nên không thể đăng ký lại; %s", node.GetId(), stateVI(node.GetState()), insteadVI(node.GetState())))
		}
		d.putToken(node.GetId(), token.stored)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &registryv1.IssueTokenResponse{Node: node, Token: token.text, TokenExpiresAt: token.stored.GetExpiresAt()}, nil
}

// UpdateNode changes what the request gives: the description, whether the node's
// packets are read strictly, and its quota; these count from its next packet, in
// streams that are open too. What it does not give stays as it is. A node in any state
// can be changed. Errors: INVALID_ARGUMENT, NOT_FOUND.
func (r *Registry) UpdateNode(ctx context.Context, req *registryv1.UpdateNodeRequest) (*registryv1.UpdateNodeResponse, error) {
	var wrong violations
	_, identity, _ := wrong.node("id", req.GetId())
	description := strings.TrimSpace(req.GetDescription())
	wrong.checkText("description", description)
	if err := wrong.err(codes.InvalidArgument, "node_invalid"); err != nil {
		return nil, err
	}
	node, err := r.changeNode(ctx, identity, func(_ *draft, node *registryv1.Node) error {
		if req.Description != nil {
			node.Description = description
		}
		if req.Strict != nil {
			node.Strict = req.GetStrict()
		}
		updateQuota(node, req)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &registryv1.UpdateNodeResponse{Node: node, HubStrict: r.cfg.StrictHub, HubQuota: r.cfg.Quota.message()}, nil
}

// ListNodes returns all nodes by id, and what the hub itself says: whether it reads
// strictly, and the quota of nodes that have none of their own.
func (r *Registry) ListNodes(context.Context, *registryv1.ListNodesRequest) (*registryv1.ListNodesResponse, error) {
	return &registryv1.ListNodesResponse{
		Nodes: sorted(r.current.Load().nodes, (*registryv1.Node).GetId), HubStrict: r.cfg.StrictHub, HubQuota: r.cfg.Quota.message(),
	}, nil
}

// SetNodeState suspends a node, brings it back, or revokes it for good; a state
// that it has already changes nothing. A token that is left dies when the node is
// suspended or revoked.
// Errors: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION where the state it is
// in does not lead there.
func (r *Registry) SetNodeState(ctx context.Context, req *registryv1.SetNodeStateRequest) (*registryv1.SetNodeStateResponse, error) {
	var wrong violations
	_, identity, _ := wrong.node("id", req.GetId())
	if err := wrong.err(codes.InvalidArgument, "node_invalid"); err != nil {
		return nil, err
	}
	node, err := r.changeNode(ctx, identity, func(d *draft, node *registryv1.Node) error {
		if node.GetState() == req.GetState() {
			return nil
		}
		if !leadsTo(node.GetState(), req.GetState()) {
			return wrongState(node, req.GetState())
		}
		node.State = req.GetState()
		// A token that is left would make the node active again.
		if node.GetState() != active && d.tokens[node.GetId()] != nil {
			d.dropToken(node.GetId())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if node.GetState() != active {
		r.cfg.Ended(node.GetId(), notActive(node))
	}
	return &registryv1.SetNodeStateResponse{Node: node}, nil
}

// changeNode changes a node that is there, and returns it as it is then. What is left
// as it was is not written.
func (r *Registry) changeNode(ctx context.Context, identity certs.Identity, change func(*draft, *registryv1.Node) error) (*registryv1.Node, error) {
	var node *registryv1.Node
	err := r.update(ctx, func(d *draft) error {
		was := d.nodes[identity.String()]
		if was == nil {
			return unknownNode(identity.String())
		}
		node = proto.CloneOf(was)
		if err := change(d, node); err != nil {
			return err
		}
		if !proto.Equal(was, node) {
			d.putNode(proto.CloneOf(node))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return node, nil
}

// leadsTo reports whether an administrator may take a node from a state to
// another. A pending node becomes active by joining only.
func leadsTo(from, to registryv1.NodeState) bool {
	switch from {
	case pending:
		return to == revoked
	case active:
		return to == suspended || to == revoked
	case suspended:
		return to == active || to == revoked
	default:
		return false
	}
}

// wrongState says why a node does not get to a state, and what leads on.
func wrongState(node *registryv1.Node, to registryv1.NodeState) *fault.Error {
	en, vi := "it has to join with its token first, or can be revoked", "hệ thống phải đăng ký bằng mã đăng ký trước, hoặc có thể thu hồi"
	if node.GetState() == revoked {
		en, vi = "that is final; register a new node instead", "không thể thay đổi; hãy đăng ký hệ thống mới"
	}
	become := map[registryv1.NodeState]string{active: "activated", suspended: "suspended", revoked: "revoked"}[to]
	if become == "" {
		become = "taken back to where it has not joined"
	}
	return fault.New(codes.FailedPrecondition, "node_state",
		fmt.Sprintf("node %s %s and cannot be %s: %s", node.GetId(), stateEN(node.GetState()), become, en),
		fmt.Sprintf("hệ thống %s %s: %s", node.GetId(), stateVI(node.GetState()), vi))
}

// node reads a node id whose organisation may come in either spelling.
func (v *violations) node(field, id string) (packet.Organisation, certs.Identity, bool) {
	code, name, found := strings.Cut(id, "/")
	if !found {
		v.add(field, "node", id, "<organisation>/<name> is expected, e.g. H41/motcua",
			"phải có dạng <mã cơ quan>/<tên>, ví dụ H41/motcua")
		return packet.Organisation{}, certs.Identity{}, false
	}
	organisation, ok := v.organisation(field, code)
	if !ok {
		return packet.Organisation{}, certs.Identity{}, false
	}
	identity, err := certs.ParseNodeID(organisation.String() + "/" + name)
	if err != nil {
		v.add(field, "node", id, err.Error(),
			"tên hệ thống chỉ gồm a-z, 0-9 và dấu gạch nối, tối đa 63 ký tự, không bắt đầu bằng dấu gạch nối")
	}
	return organisation, identity, err == nil
}

func unknownNode(id string) *fault.Error {
	return fault.New(codes.NotFound, "node_unknown",
		fmt.Sprintf("node %s is not registered", id), fmt.Sprintf("hệ thống %s chưa được đăng ký", id))
}

// stateEN says of a node what state it is in, after its name in a sentence.
func stateEN(state registryv1.NodeState) string {
	switch state {
	case pending:
		return "has not joined yet"
	case active:
		return "is active"
	case suspended:
		return "is suspended"
	case revoked:
		return "is revoked"
	default:
		return "is in a state this hub does not know"
	}
}

func stateVI(state registryv1.NodeState) string {
	switch state {
	case pending:
		return "chưa hoàn tất đăng ký"
	case active:
		return "đang hoạt động"
	case suspended:
		return "đang bị tạm dừng"
	case revoked:
		return "đã bị thu hồi"
	default:
		return "không rõ trạng thái"
	}
}

// insteadEN says what to do about a node that may not join.
func insteadEN(state registryv1.NodeState) string {
	if state == suspended {
		return "activate it first"
	}
	return "that is final; register a new node instead"
}

func insteadVI(state registryv1.NodeState) string {
	if state == suspended {
		return "hãy kích hoạt lại trước"
	}
	return "không thể thay đổi; hãy đăng ký hệ thống mới"
}
