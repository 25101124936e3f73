package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/certs"
	"github.com/lienthong/lienthong/hub/fault"
)

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (resp any, err error) {
	start := s.cfg.Clock()
	ctx, err = s.admit(ctx, info.FullMethod)
	if err == nil {
		err = s.validate(req)
	}
	if err == nil {
		resp, err = s.guardUnary(ctx, req, handler)
	}
	return resp, s.finish(ctx, info.FullMethod, start, err)
}

func (s *Server) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	start := s.cfg.Clock()
	ctx, err := s.admit(stream.Context(), info.FullMethod)
	if err != nil {
		return s.finish(ctx, info.FullMethod, start, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	identity, _ := CallerFrom(ctx)
	leave := s.sessions.enter(identity.String(), cancel)
	defer leave()
	// Again, now that the session can be ended: a suspension may have come between.
	if err := s.cfg.Authenticate(identity); err != nil {
		return s.finish(ctx, info.FullMethod, start, fmt.Errorf("authenticate: %w", err))
	}
	err = s.guardStream(srv, session{ServerStream: stream, ctx: ctx}, handler)
	// A stream that the hub ended says why, whatever its handler made of it.
	var told *fault.Error
	if cause := context.Cause(ctx); errors.As(cause, &told) {
		err = told
	}
	return s.finish(ctx, info.FullMethod, start, err)
}

// session is a stream whose context the hub can end.
type session struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // grpc.ServerStream hands its context out
}

// Context implements grpc.ServerStream.
func (s session) Context() context.Context { return s.ctx }

// admit finds out who calls and whether they may.
func (s *Server) admit(ctx context.Context, method string) (context.Context, error) {
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	who := s.cfg.Policy[service]
	if who&Anyone != 0 {
		return ctx, nil
	}
	identity, err := identityOf(ctx)
	if err != nil {
		return ctx, unauthenticated(err)
	}
	if !identity.NotAfter.IsZero() && s.cfg.Clock().After(identity.NotAfter) {
		return ctx, unauthenticated(certs.ErrExpired)
	}
	if err := s.cfg.Authenticate(identity); err != nil {
		return ctx, fmt.Errorf("authenticate: %w", err)
	}
	if (identity.Kind == certs.KindNode && who&Nodes == 0) || (identity.Kind == certs.KindAdmin && who&Admins == 0) ||
		(identity.Kind != certs.KindNode && identity.Kind != certs.KindAdmin) {
		return ctx, fault.New(codes.PermissionDenied, "not_for_you",
			fmt.Sprintf("%s is not for callers of this kind (%s)", service, identity.Kind),
			fmt.Sprintf("%s không dành cho loại người gọi này (%s)", service, identity.Kind))
	}
	return WithCaller(ctx, identity), nil
}

// unauthenticated says what is wrong with a client's certificate.
func unauthenticated(err error) error {
	reason, en, vi := "certificate_invalid", "the client certificate is not valid here", "chứng thư máy khách không hợp lệ"
	switch {
	case errors.Is(err, certs.ErrNoCertificate):
		reason, en, vi = "certificate_missing", "a client certificate is required; join the hub to get one", "cần chứng thư máy khách; hãy đăng ký với trục liên thông để được cấp"
	case errors.Is(err, certs.ErrUnknownAuthority):
		reason, en, vi = "certificate_unknown_authority", "the client certificate was not issued by an authority this hub trusts", "chứng thư máy khách không do cơ quan chứng thực mà trục liên thông tin cậy cấp"
	case errors.Is(err, certs.ErrExpired):
		reason, en, vi = "certificate_expired", "the client certificate has expired or is not valid yet; renew it and check the clock", "chứng thư máy khách đã hết hạn hoặc chưa có hiệu lực; hãy gia hạn và kiểm tra đồng hồ"
	}
	return fault.New(codes.Unauthenticated, reason, en, vi).Because(err)
}

func (s *Server) validate(req any) error {
	message, ok := req.(proto.Message)
	if !ok {
		return fmt.Errorf("request of type %T", req)
	}
	err := s.cfg.Validator.Validate(message)
	var invalid *protovalidate.ValidationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return fault.New(codes.InvalidArgument, "request_invalid", err.Error(), "yêu cầu không hợp lệ: "+err.Error())
	}
	return fmt.Errorf("validate request: %w", err)
}

// finish logs how a call ended, once, and turns its error into what the caller
// may see.
func (s *Server) finish(ctx context.Context, method string, start time.Time, err error) error {
	identity, _ := CallerFrom(ctx)
	attrs := []slog.Attr{
		slog.String("method", method), slog.String("caller", identity.String()),
		slog.Duration("took", s.cfg.Clock().Sub(start)),
	}
	if err == nil {
		s.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "call", attrs...)
		return nil
	}
	told := fault.From(err)
	level := slog.LevelInfo
	attrs = append(attrs, slog.String("code", told.Code.String()), slog.String("reason", told.Reason))
	if told.Code == codes.Internal || told.Code == codes.Unknown {
		level = slog.LevelError
		attrs = append(attrs, slog.Any("error", err))
	}
	s.cfg.Logger.LogAttrs(ctx, level, "call refused", attrs...)
	return told
}

func (s *Server) guardUnary(ctx context.Context, req any, handler grpc.UnaryHandler) (resp any, err error) {
	defer recovered(&err)
	return handler(ctx, req)
}

func (s *Server) guardStream(srv any, stream grpc.ServerStream, handler grpc.StreamHandler) (err error) {
	defer recovered(&err)
	return handler(srv, stream)
}

// recovered turns a panic of one call into its error, so that it ends no other.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

func errShuttingDown() error {
	return fault.New(codes.Unavailable, "shutting_down", "the hub is shutting down; connect again", "trục liên thông đang dừng; vui lòng kết nối lại").After(time.Second)
}

func errNoLongerWelcome() error {
	return fault.New(codes.PermissionDenied, "node_not_active", "an administrator has suspended or revoked this node", "quản trị viên đã tạm dừng hoặc thu hồi hệ thống này")
}

// sessions holds the live streams by caller.
type sessions struct {
	mu    sync.Mutex
	last  uint64
	ends  map[string]map[uint64]context.CancelCauseFunc
	ended error // set once the server stops: later streams end at once
}

func newSessions() *sessions {
	return &sessions{ends: map[string]map[uint64]context.CancelCauseFunc{}}
}

func (s *sessions) enter(caller string, end context.CancelCauseFunc) (leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		end(s.ended)
	}
	s.last++
	id := s.last
	if s.ends[caller] == nil {
		s.ends[caller] = map[uint64]context.CancelCauseFunc{}
	}
	s.ends[caller][id] = end
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.ends[caller], id)
		if len(s.ends[caller]) == 0 {
			delete(s.ends, caller)
		}
	}
}

func (s *sessions) end(caller string, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, end := range s.ends[caller] {
		end(cause)
	}
}

func (s *sessions) endAll(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = cause
	for _, ends := range s.ends {
		for _, end := range ends {
			end(cause)
		}
	}
}
