package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

func (s *Server) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	start := s.cfg.Clock()
	ctx, leave, err := s.begin(ctx, info.FullMethod, false)
	if err != nil {
		return nil, s.finish(ctx, info.FullMethod, start, err)
	}
	defer leave()
	resp, err := s.guardUnary(ctx, req, handler)
	// A call that the hub ended says why, whatever its handler made of it. A receipt
	// alone is let through: what it states has happened, and would be told as refused.
	_, done := resp.(*exchangev1.SubmitResponse)
	if ended := endedBy(ctx); ended != nil && (err != nil || !done) {
		err = ended
	}
	if err != nil {
		return nil, s.finish(ctx, info.FullMethod, start, err)
	}
	return resp, s.finish(ctx, info.FullMethod, start, nil)
}

func (s *Server) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	start := s.cfg.Clock()
	ctx, leave, err := s.begin(stream.Context(), info.FullMethod, true)
	if err != nil {
		return s.finish(ctx, info.FullMethod, start, err)
	}
	// The handler may be blocked sending to a client that does not read. The hub
	// ends the stream all the same: that returning is what unblocks it. Serve waits
	// for the handler.
	handled := make(chan error, 1)
	go func() {
		defer leave()
		handled <- s.guardStream(srv, session{ServerStream: stream, ctx: ctx, server: s}, handler)
	}()
	select {
	case err = <-handled:
	case <-ctx.Done():
		err = unwound(ctx, handled)
	}
	if ended := endedBy(ctx); ended != nil {
		err = ended
	}
	return s.finish(ctx, info.FullMethod, start, err)
}

// unwinding is how long a handler whose stream the hub has ended gets to return
// by itself.
const unwinding = 200 * time.Millisecond

func unwound(ctx context.Context, handled <-chan error) error {
	if endedBy(ctx) == nil {
		return <-handled // the client has gone: nothing can block the handler
	}
	timer := time.NewTimer(unwinding)
	defer timer.Stop()
	select {
	case err := <-handled:
		return err
	case <-timer.C:
		return context.Cause(ctx)
	}
}

// session is a stream whose context the hub can end and whose messages are
// checked as they come.
type session struct {
	grpc.ServerStream
	ctx    context.Context //nolint:containedctx // grpc.ServerStream hands its context out
	server *Server
}

// Context implements grpc.ServerStream.
func (s session) Context() context.Context { return s.ctx }

// RecvMsg implements grpc.ServerStream. The messages of a repeated field are
// left to the handler, which answers them one by one; everything else that does
// not keep to the rules ends the stream.
func (s session) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err //nolint:wrapcheck // io.EOF has to stay what it is
	}
	message, ok := m.(proto.Message)
	if !ok {
		return fmt.Errorf("message of type %T", m)
	}
	return s.server.validate(message, s.server.withoutElements(message.ProtoReflect().Descriptor()))
}

// withoutElements leaves out the messages in repeated fields of a message.
func (s *Server) withoutElements(desc protoreflect.MessageDescriptor) protovalidate.ValidationOption {
	if known, ok := s.filters.Load(desc.FullName()); ok {
		return known.(protovalidate.ValidationOption) //nolint:forcetypeassert // only these are stored
	}
	elements := map[protoreflect.FullName]bool{}
	for i := range desc.Fields().Len() {
		if field := desc.Fields().Get(i); field.IsList() && field.Message() != nil {
			elements[field.Message().FullName()] = true
		}
	}
	filter := protovalidate.WithFilter(protovalidate.FilterFunc(func(of protoreflect.Message, _ protoreflect.Descriptor) bool {
		return !elements[of.Descriptor().FullName()]
	}))
	s.filters.Store(desc.FullName(), filter)
	return filter
}

// begin admits a call: it finds out who calls, makes the call one that the hub
// can end, and only then asks whether the caller may, so that no suspension
// comes between. The context returned with an error is for the log.
func (s *Server) begin(ctx context.Context, method string, stream bool) (context.Context, func(), error) {
	identity, known, err := s.identify(ctx, method)
	if err != nil {
		return ctx, nil, err
	}
	if known {
		ctx = WithCaller(ctx, identity)
	}
	ctx, end := context.WithCancelCause(ctx)
	call := &liveCall{caller: identity.String(), sessions: s.sessions, end: end, stream: stream}
	ctx = context.WithValue(ctx, callKey{}, call)
	leaveSessions, err := s.sessions.enter(call)
	if err != nil {
		end(nil)
		return ctx, nil, err
	}
	expiry := s.endAtExpiry(identity, end)
	leave := func() {
		expiry()
		leaveSessions()
		end(nil)
	}
	if known {
		if err := s.admit(identity, method); err != nil {
			leave()
			return ctx, nil, err
		}
	}
	return ctx, leave, nil
}

// endAtExpiry ends a call when the certificate it was begun with does.
func (s *Server) endAtExpiry(identity certs.Identity, end context.CancelCauseFunc) (stop func()) {
	if identity.NotAfter.IsZero() {
		return func() {}
	}
	timer := time.AfterFunc(identity.NotAfter.Sub(s.cfg.Clock()), func() { end(unauthenticated(certs.ErrExpired)) })
	return func() { timer.Stop() }
}

// tap refuses strangers, who is not welcome any more, and who has too many calls under
// way, before anything of their messages is read.
func (s *Server) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	identity, known, err := s.identify(ctx, info.FullMethodName)
	if err == nil && known {
		err = s.admit(identity, info.FullMethodName)
	}
	if err == nil && known {
		err = s.arrivals.enter(ctx, identity.String(), info.FullMethodName)
	}
	if err != nil {
		return ctx, s.finish(ctx, info.FullMethodName, s.cfg.Clock(), err)
	}
	return ctx, nil
}

// identify finds out who calls. Callers of services for anyone stay unknown.
func (s *Server) identify(ctx context.Context, method string) (identity certs.Identity, known bool, err error) {
	if s.cfg.Policy[serviceOf(method)]&Anyone != 0 {
		return certs.Identity{}, false, nil
	}
	identity, err = identityOf(ctx)
	if err != nil {
		return certs.Identity{}, false, unauthenticated(err)
	}
	if !identity.NotAfter.IsZero() && s.cfg.Clock().After(identity.NotAfter) {
		return certs.Identity{}, false, unauthenticated(certs.ErrExpired)
	}
	return identity, true, nil
}

// admit says whether a known caller may call.
func (s *Server) admit(identity certs.Identity, method string) error {
	if err := s.cfg.Authenticate(identity); err != nil {
		return fmt.Errorf("authenticate: %w", err)
	}
	service := serviceOf(method)
	var kind Who
	switch identity.Kind {
	case certs.KindNode:
		kind = Nodes
	case certs.KindAdmin:
		kind = Admins
	}
	if s.cfg.Policy[service]&kind == 0 {
		return fault.New(codes.PermissionDenied, "not_for_you",
			fmt.Sprintf("%s is not for callers of this kind (%s)", service, identity.Kind),
			fmt.Sprintf("%s không dành cho loại người gọi này (%s)", service, identity.Kind))
	}
	return nil
}

func serviceOf(method string) string {
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	return service
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

func (s *Server) validate(message proto.Message, options ...protovalidate.ValidationOption) error {
	if leftUnread(message) {
		return errTooManyFields()
	}
	err := s.cfg.Validator.Validate(message, options...)
	var invalid *protovalidate.ValidationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return fault.Invalid("", invalid)
	}
	return fmt.Errorf("validate request: %w", err)
}

// finish logs how a call ended, once, and turns its error into what the caller
// may see. The log shows the texts of the hub's own failures only: what others
// wrote may name people.
func (s *Server) finish(ctx context.Context, method string, start time.Time, err error) error {
	identity, _ := CallerFrom(ctx)
	attrs := []slog.Attr{
		slog.String("method", method), slog.String("caller", identity.String()),
		slog.Int64("took_us", s.cfg.Clock().Sub(start).Microseconds()),
	}
	if err == nil {
		s.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "call", attrs...)
		return nil
	}
	told := fault.From(err)
	if told.Code == codes.Canceled && errors.Is(ctx.Err(), context.Canceled) {
		s.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "call ended by its caller", attrs...)
		return told
	}
	level := slog.LevelInfo
	attrs = append(attrs, slog.String("code", told.Code.String()), slog.String("reason", told.Reason))
	if told.Code == codes.Internal || told.Code == codes.Unknown {
		level = slog.LevelError
	}
	if told.Reason == fault.ReasonInternal {
		attrs = append(attrs, slog.Any("error", err))
	}
	s.cfg.Logger.LogAttrs(ctx, level, "call refused", attrs...)
	return told
}

func (s *Server) guardUnary(ctx context.Context, req any, handler grpc.UnaryHandler) (resp any, err error) {
	defer recovered(&err)
	message, ok := req.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("request of type %T", req)
	}
	if err := s.validate(message); err != nil {
		return nil, err
	}
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
