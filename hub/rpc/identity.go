package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/fullstorydev/grpchan/inprocgrpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/lienthong/lienthong/certs"
)

type callerKey struct{}

// WithCaller returns a context for calls on Server.InProcess. It is for the edge
// that has verified who calls; contexts do not cross the network.
func WithCaller(ctx context.Context, identity certs.Identity) context.Context {
	return context.WithValue(ctx, callerKey{}, identity)
}

// CallerFrom returns who calls, in the handler of a call.
func CallerFrom(ctx context.Context) (certs.Identity, bool) {
	identity, ok := ctx.Value(callerKey{}).(certs.Identity)
	return identity, ok
}

// NodeFrom returns the id of the node that calls; false for other callers.
func NodeFrom(ctx context.Context) (string, bool) {
	identity, ok := CallerFrom(ctx)
	if !ok || identity.Kind != certs.KindNode {
		return "", false
	}
	return identity.String(), true
}

// verified is what a handshake found out: an identity, or why there is none.
type verified struct {
	credentials.TLSInfo
	identity certs.Identity
	err      error
}

// transport verifies client certificates once per connection and lets the calls
// on it answer for the result: a dropped handshake would tell the client nothing.
type transport struct {
	credentials.TransportCredentials
	verifier   Verifier
	welcome    func(certs.Identity) error
	strangers  *strangers
	handshakes *handshakes
}

func newCredentials(cfg Config, paced *handshakes) credentials.TransportCredentials {
	return transport{
		TransportCredentials: credentials.NewTLS(cfg.TLS), verifier: cfg.Verifier, welcome: cfg.Authenticate,
		strangers: newStrangers(cfg.Logger), handshakes: paced,
	}
}

// ServerHandshake implements credentials.TransportCredentials.
func (t transport) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := t.handshake(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("handshake: %w", errors.Join(err, raw.Close()))
	}
	tlsInfo, ok := info.(credentials.TLSInfo)
	if !ok {
		return nil, nil, fmt.Errorf("handshake: unexpected %T", info)
	}
	v := verified{TLSInfo: tlsInfo}
	v.identity, v.err = t.verifier.Identity(tlsInfo.State.PeerCertificates)
	if v.err == nil && t.welcome(v.identity) == nil {
		return conn, v, nil
	}
	bounded, err := t.strangers.bound(conn)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("handshake: %w", err), conn.Close())
	}
	return bounded, v, nil
}

// handshake makes a handshake when it is its turn.
func (t transport) handshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	ready, leave, err := t.handshakes.enter(raw)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	if err := raw.SetDeadline(time.Now().Add(handshakeWithin)); err != nil {
		return nil, nil, err //nolint:wrapcheck // by the caller
	}
	conn, info, err := t.TransportCredentials.ServerHandshake(ready)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // by the caller
	}
	return conn, info, raw.SetDeadline(time.Now().Add(connectWithin)) //nolint:wrapcheck // by the caller
}

// Clone implements credentials.TransportCredentials.
func (t transport) Clone() credentials.TransportCredentials {
	t.TransportCredentials = t.TransportCredentials.Clone()
	return t
}

// identityOf returns who makes a call, from its connection or, in process, from
// the edge's context.
func identityOf(ctx context.Context) (certs.Identity, error) {
	if local := inprocgrpc.ClientContext(ctx); local != nil {
		if identity, ok := CallerFrom(local); ok {
			return identity, nil
		}
		return certs.Identity{}, certs.ErrNoCertificate
	}
	p, ok := peer.FromContext(ctx)
	if !ok {
		return certs.Identity{}, certs.ErrNoCertificate
	}
	v, ok := p.AuthInfo.(verified)
	if !ok {
		return certs.Identity{}, certs.ErrNoCertificate
	}
	return v.identity, v.err
}
