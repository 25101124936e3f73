package nodes

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/lienthong/lienthong/certs"
)

// links knows the connections of a Client: which certificate each was made with,
// and why the last attempt failed. After a connection was lost, the next is made after
// a while: all the nodes of a hub lose theirs at the same moment.
type links struct {
	source   certs.Source // nil for a node that has none yet
	onFailed func(error)
	// afterLoss says how long to wait after a connection was lost; nil: not at all.
	afterLoss func() time.Duration
	dialer    net.Dialer

	mu      sync.Mutex
	live    map[*link]bool
	failure error
	lost    time.Time // when a connection was lost, and no other was asked for since
}

func newLinks(source certs.Source, onFailed func(error)) *links {
	return &links{source: source, onFailed: onFailed, live: map[*link]bool{}}
}

// link is one connection.
type link struct {
	net.Conn
	links *links
	used  *certs.Credentials
}

// Close implements net.Conn.
func (l *link) Close() error {
	l.links.mu.Lock()
	if l.links.live[l] {
		l.links.lost = time.Now()
	}
	delete(l.links.live, l)
	l.links.mu.Unlock()
	return l.Conn.Close() //nolint:wrapcheck // gRPC's own connection
}

// dial connects and remembers why it could not.
func (ls *links) dial(ctx context.Context, address string) (net.Conn, error) {
	if err := ls.hesitate(ctx); err != nil {
		return nil, err
	}
	conn, err := ls.dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		ls.failed(err)
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// hesitate waits before the first connection after one that was lost.
func (ls *links) hesitate(ctx context.Context) error {
	ls.mu.Lock()
	lost := ls.lost
	ls.lost = time.Time{}
	ls.mu.Unlock()
	if lost.IsZero() || ls.afterLoss == nil {
		return nil
	}
	timer := time.NewTimer(ls.afterLoss() - time.Since(lost))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to connect: %w", context.Cause(ctx))
	}
}

func (ls *links) failed(err error) {
	ls.mu.Lock()
	ls.failure = err
	ls.mu.Unlock()
	ls.onFailed(err)
}

// trouble returns why the last attempt to connect failed; nil where it did not.
func (ls *links) trouble() error {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.failure
}

// dropOutdated closes the connections that were made with another certificate
// than the one to use now, and reports whether there were any.
func (ls *links) dropOutdated() bool {
	if ls.source == nil {
		return false
	}
	current := ls.source.Credentials()
	ls.mu.Lock()
	var outdated []*link
	for l := range ls.live {
		if !l.used.Chain[0].Equal(current.Chain[0]) {
			outdated = append(outdated, l)
			delete(ls.live, l) // it is not lost
		}
	}
	ls.mu.Unlock()
	for _, l := range outdated {
		_ = l.Close() // it is given up; gRPC sees that and connects again
	}
	return len(outdated) > 0
}

// transport is TLS whose connections links knows.
type transport struct {
	credentials.TransportCredentials
	links *links
}

func newTransport(config *tls.Config, ls *links) credentials.TransportCredentials {
	return transport{TransportCredentials: credentials.NewTLS(config), links: ls}
}

// ClientHandshake implements credentials.TransportCredentials.
func (t transport) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	l := &link{links: t.links}
	if t.links.source != nil {
		l.used = t.links.source.Credentials()
	}
	conn, info, err := t.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		t.links.failed(err)
		return nil, nil, fmt.Errorf("handshake: %w", err)
	}
	l.Conn = conn
	t.links.mu.Lock()
	defer t.links.mu.Unlock()
	t.links.failure = nil
	if l.used != nil {
		t.links.live[l] = true
	}
	return l, info, nil
}

// Clone implements credentials.TransportCredentials.
func (t transport) Clone() credentials.TransportCredentials {
	return transport{TransportCredentials: t.TransportCredentials.Clone(), links: t.links}
}
