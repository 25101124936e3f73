// Package rpc is the hub's gRPC door: mutual TLS 1.3, who may call what, and the
// same checks for unary calls, streams, and calls that the HTTP edge makes in
// process. What no policy names is refused.
package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"buf.build/go/protovalidate"
	"github.com/fullstorydev/grpchan/inprocgrpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/lienthong/lienthong/certs"
	"github.com/lienthong/lienthong/hub/fault"
)

// Who is a set of kinds of callers.
type Who uint8

// The kinds of callers.
const (
	Nodes  Who = 1 << iota // nodes with a certificate of this hub
	Admins                 // administrators
	Anyone                 // even without a certificate
)

// Policy says, by full service name, who may call. A service it does not name
// may be called by nobody.
type Policy map[string]Who

// Verifier finds out who a client certificate chain speaks for.
type Verifier interface {
	Identity(chain []*x509.Certificate) (certs.Identity, error)
}

// Config is what a Server is made of; all of it is required but where a default is
// named.
type Config struct {
	// TLS is the server's side. It asks for client certificates but leaves their
	// verification to Verifier, so that a wrong one gets an answer that says so.
	TLS      *tls.Config
	Verifier Verifier
	// Authenticate is asked at every call whether the identity is still welcome.
	Authenticate func(certs.Identity) error
	Policy       Policy
	Validator    protovalidate.Validator
	// MaxMessageBytes bounds one gRPC message from a client.
	MaxMessageBytes int
	// HandshakesPerSecond bounds how many TLS handshakes begin in a second, and
	// HandshakesInProgress how many are under way; defaults DefaultHandshakesPerSecond,
	// DefaultHandshakesInProgress.
	HandshakesPerSecond, HandshakesInProgress int
	// StopWithin bounds a graceful stop; what is left then is cut.
	StopWithin time.Duration
	Clock      func() time.Time
	Logger     *slog.Logger
}

// Server is a gRPC server and, with the same services and checks, an in-process
// channel for the HTTP edge.
type Server struct {
	cfg        Config
	network    *grpc.Server
	local      *inprocgrpc.Channel
	handshakes *handshakes
	arrivals   *arrivals
	sessions   *sessions
	filters    sync.Map // by the name of a streamed message, what of it is not validated
}

// maxHeaderBytes bounds the metadata of a call, which is read before anything is
// known about the caller.
const maxHeaderBytes = 64 << 10

// connectWithin bounds what comes before the first call on a connection.
const connectWithin = 20 * time.Second

// New returns a Server.
func New(cfg Config) (*Server, error) {
	if cfg.TLS == nil || cfg.Verifier == nil || cfg.Authenticate == nil || len(cfg.Policy) == 0 ||
		cfg.Validator == nil || cfg.Clock == nil || cfg.Logger == nil || cfg.MaxMessageBytes <= 0 || cfg.StopWithin <= 0 {
		return nil, errors.New("rpc: TLS, Verifier, Authenticate, Policy, Validator, MaxMessageBytes, StopWithin, Clock and Logger are required")
	}
	cfg.HandshakesPerSecond = orDefault(cfg.HandshakesPerSecond, DefaultHandshakesPerSecond)
	s := &Server{cfg: cfg, handshakes: newHandshakes(cfg), arrivals: newArrivals(), sessions: newSessions()}
	s.network = grpc.NewServer(
		grpc.Creds(newCredentials(cfg, s.handshakes)),
		grpc.MaxRecvMsgSize(cfg.MaxMessageBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ConnectionTimeout(connectWithin),
		grpc.MaxConcurrentStreams(perConnection),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.InTapHandle(s.tap),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
	)
	s.local = (&inprocgrpc.Channel{}).WithServerUnaryInterceptor(s.unary).WithServerStreamInterceptor(s.stream)
	return s, nil
}

// Register registers services with both doors.
func (s *Server) Register(register func(grpc.ServiceRegistrar)) {
	register(s.network)
	register(s.local)
}

// InProcess returns a connection for callers in this process. Calls on it carry
// the identity given by WithCaller and pass the same checks as any other.
func (s *Server) InProcess() grpc.ClientConnInterface { return s.local }

// Serve serves until ctx ends, then ends streams, those whose handlers finish what they
// have taken after they have, lets calls finish, and cuts what takes longer than
// StopWithin. Every stream is told when its node is to come back, each node another
// time.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	s.arrivals.learn(s.network.GetServiceInfo())
	served := make(chan error, 1)
	go func() { served <- s.network.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve grpc: %w", err)
	case <-ctx.Done():
	}
	s.stop()
	if err := <-served; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve grpc: %w", err)
	}
	return nil
}

func (s *Server) stop() {
	s.handshakes.stop()
	s.sessions.stop(func(caller string, connected int) error {
		return errShuttingDown(ReturnAfter(caller, connected, s.cfg.HandshakesPerSecond))
	})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.network.GracefulStop()
	}()
	drained := time.AfterFunc(min(drainWithin, s.cfg.StopWithin/2), s.sessions.endStreams)
	defer drained.Stop()
	timer := time.NewTimer(s.cfg.StopWithin)
	defer timer.Stop()
	select {
	case <-stopped:
	case <-timer.C:
		s.network.Stop()
		<-stopped
	}
	s.sessions.streams.Wait()
}

// EndSessions ends the streams, and other calls under way, of a node that may not
// go on, and tells them why.
func (s *Server) EndSessions(node string, why *fault.Error) { s.sessions.end(node, why) }
