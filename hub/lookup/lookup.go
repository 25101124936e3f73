// Package lookup carries questions to the nodes that answer them and answers
// back. Every question needs a right, has a deadline, and leaves a line in the
// audit log before its answer is let go; nothing of its content is kept.
package lookup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	lookupv1 "github.com/lienthong/lienthong/gen/lienthong/lookup/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/packet"
)

// Rights says who may ask whom.
type Rights interface {
	// Answerers returns the nodes that an organisation may ask for a service,
	// sorted.
	Answerers(organisation packet.Organisation, service string, at time.Time) []string
	// MayAnswer reports whether a node is of a kind that answers questions.
	MayAnswer(node string) bool
}

// Audit keeps the audit log.
type Audit interface {
	// AppendAudit adds one line, durably, and returns its number.
	AppendAudit(ctx context.Context, record []byte) (uint64, error)
}

// Config is what a Service is made of. All of it is required but the zero
// values of Deadline and Concurrent, which mean the defaults.
type Config struct {
	Rights Rights
	Audit  Audit
	// SpeaksFor returns the organisation a node speaks for: its own, or the one it
	// names; see registry.SpeaksFor.
	SpeaksFor func(node, onBehalfOf string) (packet.Organisation, error)
	// Caller returns the node id of who calls, as authenticated.
	Caller func(context.Context) (string, bool)
	Clock  func() time.Time
	Logger *slog.Logger
	// Deadline is given to questions that come without one; default 30 seconds. No
	// question is waited for longer than ten times as much.
	Deadline time.Duration
	// Concurrent bounds the questions a stream of a node has before it; default
	// 256. One asker may have half of them.
	Concurrent int
}

// Service implements LookupService.
type Service struct {
	lookupv1.UnimplementedLookupServiceServer
	cfg       Config
	answerers *answerers
}

// New returns a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Rights == nil || cfg.SpeaksFor == nil || cfg.Audit == nil || cfg.Caller == nil || cfg.Clock == nil || cfg.Logger == nil {
		return nil, errors.New("lookup: Rights, SpeaksFor, Audit, Caller, Clock and Logger are required")
	}
	if cfg.Deadline == 0 {
		cfg.Deadline = 30 * time.Second
	}
	if cfg.Concurrent == 0 {
		cfg.Concurrent = 256
	}
	return &Service{cfg: cfg, answerers: newAnswerers()}, nil
}

// Ask implements LookupService.
func (s *Service) Ask(ctx context.Context, req *lookupv1.AskRequest) (*lookupv1.AskResponse, error) {
	caller, ok := s.cfg.Caller(ctx)
	if !ok {
		return nil, fault.New(codes.Unauthenticated, "not_a_node", "only nodes ask questions", "chỉ hệ thống đã đăng ký mới được tra cứu")
	}
	record := &lookupv1.AuditRecord{Asker: caller, Service: req.GetService()}
	response, askErr := s.ask(ctx, caller, req, record)
	sequence, err := s.audit(ctx, record, askErr)
	if err != nil {
		return nil, err
	}
	if askErr != nil {
		return nil, askErr
	}
	return &lookupv1.AskResponse{Response: response, AnsweredBy: record.GetAnswerer(), AuditSequence: sequence}, nil
}

// audit writes the line even when the caller has gone: that it asked is a fact.
func (s *Service) audit(ctx context.Context, record *lookupv1.AuditRecord, askErr error) (uint64, error) {
	record.At = timestamppb.New(s.cfg.Clock())
	if askErr != nil {
		record.Code = int32(fault.From(askErr).Code) //nolint:gosec // codes are small
	}
	line, err := proto.Marshal(record)
	if err != nil {
		return 0, fmt.Errorf("audit: %w", err)
	}
	sequence, err := s.cfg.Audit.AppendAudit(context.WithoutCancel(ctx), line)
	if err != nil {
		return 0, fmt.Errorf("audit: %w", err)
	}
	return sequence, nil
}

func (s *Service) ask(ctx context.Context, caller string, req *lookupv1.AskRequest, record *lookupv1.AuditRecord) ([]byte, error) {
	organisation, err := s.cfg.SpeaksFor(caller, req.GetOnBehalfOf())
	if err != nil {
		return nil, err
	}
	record.OnBehalfOf = organisation.String()
	node, err := s.choose(organisation, req)
	if err != nil {
		return nil, err
	}
	record.Answerer = node
	within := s.cfg.Deadline
	if _, has := ctx.Deadline(); has {
		within *= longest
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	deadline, _ := ctx.Deadline()
	answer, err := s.answerers.ask(ctx, node, &lookupv1.Question{
		Service: req.GetService(), Asker: caller, OnBehalfOf: organisation.String(),
		Request: req.GetRequest(), Deadline: timestamppb.New(deadline),
	})
	if err != nil {
		return nil, err
	}
	switch outcome := answer.GetOutcome().(type) {
	case *lookupv1.Answer_Response:
		return outcome.Response, nil
	case *lookupv1.Answer_Error:
		return nil, answererError(outcome.Error)
	}
	return nil, answerInvalid("an answer without an outcome", "câu trả lời không có kết quả")
}

// longest is how many times the usual deadline an asker may ask for.
const longest = 10

// answererError hands on the answering node's error with its own code and text,
// as far as both fit a gRPC status.
func answererError(s *status.Status) error {
	code := codes.Code(s.GetCode()) //nolint:gosec // checked next
	if code == codes.OK || code > codes.Unauthenticated {
		return answerInvalid("an error without a code that gRPC knows", "lỗi không có mã gRPC hợp lệ")
	}
	text := strings.ToValidUTF8(s.GetMessage()[:min(len(s.GetMessage()), maxErrorText)], "")
	return fault.New(code, "answerer_error", text, text)
}

// maxErrorText keeps an answerer's text to what all clients take in a trailer.
const maxErrorText = 1024

func answerInvalid(en, vi string) error {
	return fault.New(codes.Unknown, "answer_invalid", "the answering node sent "+en, "hệ thống trả lời gửi "+vi)
}

// choose returns the node to ask: the one named, or the only one there may be.
func (s *Service) choose(organisation packet.Organisation, req *lookupv1.AskRequest) (string, error) {
	allowed := s.cfg.Rights.Answerers(organisation, req.GetService(), s.cfg.Clock())
	if named := req.GetNode(); named != "" {
		for _, node := range allowed {
			if node == named {
				return node, nil
			}
		}
		allowed = nil
	}
	switch len(allowed) {
	case 1:
		return allowed[0], nil
	case 0:
		return "", fault.New(codes.PermissionDenied, "right_missing",
			fmt.Sprintf("%s has no right to ask %s for this service; an administrator can grant one", organisation, orAny(req.GetNode(), "any node")),
			fmt.Sprintf("%s chưa được cấp quyền tra cứu dịch vụ này tại %s; quản trị viên có thể cấp quyền", organisation, orAny(req.GetNode(), "hệ thống nào")))
	}
	return "", fault.New(codes.InvalidArgument, "node_ambiguous",
		"several nodes may be asked for this service; name one of: "+strings.Join(allowed, ", "),
		"có nhiều hệ thống cung cấp dịch vụ này; hãy chỉ định một: "+strings.Join(allowed, ", "))
}

func orAny(node, otherwise string) string {
	if node == "" {
		return otherwise
	}
	return node
}
