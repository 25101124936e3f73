// Package admin is the door for administrators: the registry and enrolment
// services of the hub, and the `lienthong admin` commands that call them. Every
// change is logged with who asked for it and how it ended; tokens, secrets and
// certificate requests are not.
package admin

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// Organisations keeps organisations.
type Organisations interface {
	PutOrganisations(context.Context, *registryv1.PutOrganisationsRequest) (*registryv1.PutOrganisationsResponse, error)
	ListOrganisations(context.Context, *registryv1.ListOrganisationsRequest) (*registryv1.ListOrganisationsResponse, error)
}

// Nodes keeps nodes.
type Nodes interface {
	CreateNode(context.Context, *registryv1.CreateNodeRequest) (*registryv1.CreateNodeResponse, error)
	IssueToken(context.Context, *registryv1.IssueTokenRequest) (*registryv1.IssueTokenResponse, error)
	UpdateNode(context.Context, *registryv1.UpdateNodeRequest) (*registryv1.UpdateNodeResponse, error)
	ListNodes(context.Context, *registryv1.ListNodesRequest) (*registryv1.ListNodesResponse, error)
	SetNodeState(context.Context, *registryv1.SetNodeStateRequest) (*registryv1.SetNodeStateResponse, error)
}

// Rights keeps rights.
type Rights interface {
	GrantRight(context.Context, *registryv1.GrantRightRequest) (*registryv1.GrantRightResponse, error)
	ListRights(context.Context, *registryv1.ListRightsRequest) (*registryv1.ListRightsResponse, error)
	RevokeRight(context.Context, *registryv1.RevokeRightRequest) (*registryv1.RevokeRightResponse, error)
}

// Registry keeps who takes part and who may send what to whom. A change that
// returned no error is durable. Errors are *fault.Error, or the registry's own
// failures.
type Registry interface {
	Organisations
	Nodes
	Rights
}

// RegistryService implements registryv1.RegistryServiceServer. Who may call it is
// for the gRPC server's policy to say.
type RegistryService struct {
	registryv1.UnimplementedRegistryServiceServer
	registry Registry
	waiting  WaitingFunc
	changes  changes
	updates  sync.Mutex // of nodes: what is logged as before is what was there
}

// WaitingFunc tells what waits for a node.
type WaitingFunc func(ctx context.Context, node string) (*registryv1.Waiting, error)

// NewRegistryService returns the service. Caller says who makes a call, as
// authenticated; it stands in the log.
func NewRegistryService(registry Registry, waiting WaitingFunc, caller func(context.Context) (string, bool), logger *slog.Logger) *RegistryService {
	return &RegistryService{registry: registry, waiting: waiting, changes: changes{caller, logger}}
}

// PutOrganisations implements RegistryService.
func (s *RegistryService) PutOrganisations(ctx context.Context, req *registryv1.PutOrganisationsRequest) (*registryv1.PutOrganisationsResponse, error) {
	answer, err := s.registry.PutOrganisations(ctx, req)
	s.changes.log(ctx, "put organisations", err, slog.Int("named", len(req.GetOrganisations())),
		slog.Int("added", int(answer.GetAdded())), slog.Int("changed", int(answer.GetChanged())))
	return answer, err
}

// ListOrganisations implements RegistryService.
func (s *RegistryService) ListOrganisations(ctx context.Context, req *registryv1.ListOrganisationsRequest) (*registryv1.ListOrganisationsResponse, error) {
	return s.registry.ListOrganisations(ctx, req)
}

// CreateNode implements RegistryService.
func (s *RegistryService) CreateNode(ctx context.Context, req *registryv1.CreateNodeRequest) (*registryv1.CreateNodeResponse, error) {
	answer, err := s.registry.CreateNode(ctx, req)
	s.changes.log(ctx, "create node", err, slog.String("node", req.GetId()), slog.String("kind", req.GetKind().String()),
		slog.Bool("strict", req.GetStrict()))
	return answer, err
}

// IssueToken implements RegistryService.
func (s *RegistryService) IssueToken(ctx context.Context, req *registryv1.IssueTokenRequest) (*registryv1.IssueTokenResponse, error) {
	answer, err := s.registry.IssueToken(ctx, req)
	s.changes.log(ctx, "issue token", err, slog.String("node", req.GetId()))
	return answer, err
}

// UpdateNode implements RegistryService. What leaves a node as it was is not logged. A
// description may name people: that there is another one stands in the log, not what
// it says.
func (s *RegistryService) UpdateNode(ctx context.Context, req *registryv1.UpdateNodeRequest) (*registryv1.UpdateNodeResponse, error) {
	s.updates.Lock()
	defer s.updates.Unlock()
	before, err := s.registry.ListNodes(ctx, &registryv1.ListNodesRequest{})
	if err != nil {
		return nil, err
	}
	answer, err := s.registry.UpdateNode(ctx, req)
	if err != nil {
		s.changes.log(ctx, "update node", err, slog.String("node", req.GetId()))
		return nil, err
	}
	now := answer.GetNode()
	var was *registryv1.Node
	if i := slices.IndexFunc(before.GetNodes(), func(n *registryv1.Node) bool { return n.GetId() == now.GetId() }); i >= 0 {
		was = before.GetNodes()[i]
	}
	if proto.Equal(was, now) {
		return answer, nil
	}
	attrs := []slog.Attr{
		slog.String("node", now.GetId()), slog.Bool("description", was.GetDescription() != now.GetDescription()),
		slog.Bool("strict_before", was.GetStrict()), slog.Bool("strict", now.GetStrict()),
	}
	if !proto.Equal(was.GetQuota(), now.GetQuota()) {
		attrs = append(attrs, quotaAttr("quota_before", was.GetQuota()), quotaAttr("quota", now.GetQuota()))
	}
	s.changes.log(ctx, "update node", nil, attrs...)
	return answer, nil
}

// quotaAttr is a quota for the log; 0 is as the hub has it.
func quotaAttr(name string, quota *registryv1.Quota) slog.Attr {
	return slog.Group(name, slog.Uint64("packets_per_second", quota.GetPacketsPerSecond()),
		slog.Uint64("bytes_per_second", quota.GetBytesPerSecond()), slog.Uint64("inbox_bytes", quota.GetInboxBytes()))
}

// ListNodes implements RegistryService.
func (s *RegistryService) ListNodes(ctx context.Context, req *registryv1.ListNodesRequest) (*registryv1.ListNodesResponse, error) {
	answer, err := s.registry.ListNodes(ctx, req)
	if err != nil {
		return nil, err
	}
	for _, node := range answer.GetNodes() {
		waiting, err := s.waiting(ctx, node.GetId())
		if err != nil {
			return nil, fmt.Errorf("what waits for %s: %w", node.GetId(), err)
		}
		answer.Waiting = append(answer.Waiting, waiting)
	}
	return answer, nil
}

// SetNodeState implements RegistryService.
func (s *RegistryService) SetNodeState(ctx context.Context, req *registryv1.SetNodeStateRequest) (*registryv1.SetNodeStateResponse, error) {
	answer, err := s.registry.SetNodeState(ctx, req)
	s.changes.log(ctx, "set node state", err, slog.String("node", req.GetId()), slog.String("state", req.GetState().String()))
	return answer, err
}

// GrantRight implements RegistryService.
func (s *RegistryService) GrantRight(ctx context.Context, req *registryv1.GrantRightRequest) (*registryv1.GrantRightResponse, error) {
	answer, err := s.registry.GrantRight(ctx, req)
	asked := req.GetRight()
	attrs := []slog.Attr{
		slog.String("right", answer.GetRight().GetId()), slog.String("sender", asked.GetSender()), slog.String("receiver", asked.GetReceiver()),
		slog.Any("types", asked.GetTypes()), slog.Any("services", asked.GetServices()),
	}
	if asked.GetExpiresAt() != nil {
		attrs = append(attrs, slog.Time("expires", asked.GetExpiresAt().AsTime()))
	}
	s.changes.log(ctx, "grant right", err, attrs...)
	return answer, err
}

// ListRights implements RegistryService.
func (s *RegistryService) ListRights(ctx context.Context, req *registryv1.ListRightsRequest) (*registryv1.ListRightsResponse, error) {
	return s.registry.ListRights(ctx, req)
}

// RevokeRight implements RegistryService.
func (s *RegistryService) RevokeRight(ctx context.Context, req *registryv1.RevokeRightRequest) (*registryv1.RevokeRightResponse, error) {
	answer, err := s.registry.RevokeRight(ctx, req)
	s.changes.log(ctx, "revoke right", err, slog.String("right", req.GetId()))
	return answer, err
}

// Enroller gives nodes their certificates.
type Enroller interface {
	// Join trades a token for a certificate. Errors are *fault.Error, or the
	// enroller's own failures.
	Join(context.Context, *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error)
}

// EnrolmentService implements enrolmentv1.EnrolmentServiceServer. It is for
// callers without a certificate.
type EnrolmentService struct {
	enrolmentv1.UnimplementedEnrolmentServiceServer
	enroller Enroller
	changes  changes
}

// NewEnrolmentService returns the service.
func NewEnrolmentService(enroller Enroller, logger *slog.Logger) *EnrolmentService {
	return &EnrolmentService{enroller: enroller, changes: changes{logger: logger}}
}

// Join implements EnrolmentService.
func (s *EnrolmentService) Join(ctx context.Context, req *enrolmentv1.JoinRequest) (*enrolmentv1.JoinResponse, error) {
	answer, err := s.enroller.Join(ctx, req)
	if err != nil { // what a stranger calls itself is not for the log
		s.changes.log(ctx, "join", err)
		return nil, err
	}
	s.changes.log(ctx, "join", nil, slog.String("node", req.GetNode()))
	return answer, nil
}

// changes logs what was changed, or was not.
type changes struct {
	caller func(context.Context) (string, bool) // nil: nobody has a certificate
	logger *slog.Logger
}

func (c changes) log(ctx context.Context, what string, err error, attrs ...slog.Attr) {
	who, known := "", false
	if c.caller != nil {
		who, known = c.caller(ctx)
	}
	if !known {
		who = "nobody"
	}
	attrs = append([]slog.Attr{slog.String("change", what), slog.String("by", who)}, attrs...)
	if err == nil {
		c.logger.LogAttrs(ctx, slog.LevelInfo, "registry changed", attrs...)
		return
	}
	told := fault.From(err)
	attrs = append(attrs, slog.String("code", told.Code.String()), slog.String("reason", told.Reason))
	c.logger.LogAttrs(ctx, slog.LevelWarn, "registry not changed", attrs...)
}
