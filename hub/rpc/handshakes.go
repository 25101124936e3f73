package rpc

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// How many handshakes a server makes where nothing else is said: one takes about half
// a millisecond of a processor, so that a quarter of one is what nodes that all come
// back at once can take from those that are served.
const (
	DefaultHandshakesPerSecond  = 500
	DefaultHandshakesInProgress = 256
)

const (
	// handshakePatience is how long a connection may say nothing, and then how long it
	// waits for its handshake to begin. It is less than clients wait for its end.
	handshakePatience = 5 * time.Second
	// handshakeWithin bounds a handshake that has begun.
	handshakeWithin = 5 * time.Second
	// handshakeSlack is how long what was not used of the rate can be used later.
	handshakeSlack = 100 * time.Millisecond
	// An address can take one of so many parts of all places, and of what is in progress.
	addressShare = 4
)

// Why a connection is closed before its handshake.
var (
	errTooManyHandshakes = errors.New("too many connections are waiting for their handshake")
	errStopping          = errors.New("the server is stopping")
)

// handshakes makes connections wait for their turn to be verified, so that nodes that
// all come back at once do not take the processors from those that are served. Who
// would have to wait for long is closed at once, which costs next to nothing: clients
// try again, each at a time of its own. Who says nothing takes no turn.
type handshakes struct {
	logger *slog.Logger
	silent *silent
	turns  *turns

	mu      sync.Mutex
	open    map[net.Conn]bool // silent, waiting and in progress
	stopped bool
	denied  bool // since the last one that did not have to wait
}

func newHandshakes(cfg Config) *handshakes {
	perSecond, most := orDefault(cfg.HandshakesPerSecond, DefaultHandshakesPerSecond), orDefault(cfg.HandshakesInProgress, DefaultHandshakesInProgress)
	places := shared(most + perSecond*int(handshakePatience/time.Second))
	return &handshakes{
		logger: cfg.Logger,
		silent: newSilent(places),
		turns:  newTurns(cfg.Clock, time.Second/time.Duration(perSecond), shared(most), places),
		open:   map[net.Conn]bool{},
	}
}

func orDefault(value, otherwise int) int {
	if value <= 0 {
		return otherwise
	}
	return value
}

// enter waits until the handshake of a connection may begin, and returns what it is to
// be made on. The error says that the connection is to be closed. Leave is called when
// the handshake has ended.
func (h *handshakes) enter(conn net.Conn) (ready net.Conn, leave func(), err error) {
	if err := h.track(conn); err != nil {
		return nil, nil, err
	}
	host := hostOf(conn)
	ready, err = h.hear(conn, host)
	var own *turn
	if err == nil {
		own, err = h.wait(host)
	}
	if err != nil {
		h.forget(conn)
		return nil, nil, err
	}
	return ready, func() {
		h.turns.leave(own)
		h.forget(conn)
	}, nil
}

// hear waits until a client begins to speak.
func (h *handshakes) hear(conn net.Conn, host string) (net.Conn, error) {
	h.silent.enter(conn, host)
	defer h.silent.leave(conn, host)
	if err := conn.SetDeadline(time.Now().Add(handshakePatience)); err != nil {
		return nil, err //nolint:wrapcheck // by the caller
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		return nil, fmt.Errorf("wait for the first message: %w", err)
	}
	return &spoken{Conn: conn, ahead: first}, nil
}

// wait waits for a turn.
func (h *handshakes) wait(host string) (*turn, error) {
	own, err := h.turns.join(host)
	if err != nil {
		h.deny(err)
		return nil, err
	}
	select {
	case err = <-own.told:
		h.mu.Lock()
		h.denied = false
		h.mu.Unlock()
	default:
		err = h.waitFor(own)
	}
	if err != nil {
		h.turns.leave(own)
		h.deny(err)
		return nil, err
	}
	return own, nil
}

func (h *handshakes) waitFor(own *turn) error {
	timer := time.NewTimer(handshakePatience)
	defer timer.Stop()
	select {
	case err := <-own.told:
		return err
	case <-timer.C:
		return errTooManyHandshakes
	}
}

// deny says in the log, once and not for each, that connections are closed.
func (h *handshakes) deny(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.denied && errors.Is(err, errTooManyHandshakes) {
		h.denied = true
		h.logger.Warn("connections are closed before their handshake: too many come at once", "waiting", len(h.open))
	}
}

func (h *handshakes) track(conn net.Conn) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return errStopping
	}
	h.open[conn] = true
	return nil
}

func (h *handshakes) forget(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, conn)
}

// stop ends the handshakes that wait or are in progress: nothing would come of them.
func (h *handshakes) stop() {
	h.turns.stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	for conn := range h.open {
		_ = conn.Close() // its handshake is told
	}
}

// hostOf returns what is counted as one address: an address of IPv4, or a network of
// IPv6 with 64 bits, which is what one machine is given, with as many addresses as it
// likes.
func hostOf(conn net.Conn) string {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	host := at.Addr().Unmap()
	if host.Is4() {
		return host.String()
	}
	return netip.PrefixFrom(host.WithZone(""), 64).Masked().String()
}
