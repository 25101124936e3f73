package rpc

import (
	"errors"
	"log/slog"
	"net"
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
	// handshakePatience is how long a connection waits for its handshake to begin. It
	// is less than clients wait for its end.
	handshakePatience = 5 * time.Second
	// handshakeWithin bounds a handshake that has begun.
	handshakeWithin = 5 * time.Second
	// handshakeSlack is how long what was not used of the rate can be used later.
	handshakeSlack = 100 * time.Millisecond
	// addressShare of all places is the most that one address can take.
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
// try again, each at a time of its own.
type handshakes struct {
	clock   func() time.Time
	logger  *slog.Logger
	every   time.Duration // between two beginnings
	places  int           // for one address, waiting and in progress
	slots   chan struct{} // in progress
	stopped chan struct{}

	mu     sync.Mutex
	next   time.Time         // when the next may begin
	from   map[string]int    // waiting and in progress, by address
	open   map[net.Conn]bool // the same
	denied bool              // since the last one that did not have to wait
}

func newHandshakes(cfg Config) *handshakes {
	perSecond, most := orDefault(cfg.HandshakesPerSecond, DefaultHandshakesPerSecond), orDefault(cfg.HandshakesInProgress, DefaultHandshakesInProgress)
	return &handshakes{
		clock: cfg.Clock, logger: cfg.Logger,
		every:   time.Second / time.Duration(perSecond),
		places:  max(1, (most+perSecond*int(handshakePatience/time.Second))/addressShare),
		slots:   make(chan struct{}, most),
		stopped: make(chan struct{}),
		from:    map[string]int{}, open: map[net.Conn]bool{},
	}
}

func orDefault(value, otherwise int) int {
	if value <= 0 {
		return otherwise
	}
	return value
}

// enter waits until the handshake of a connection may begin. The error says that it
// is to be closed. Leave is called when the handshake has ended.
func (h *handshakes) enter(conn net.Conn) (leave func(), err error) {
	host := hostOf(conn)
	wait, err := h.book(conn, host)
	if err != nil {
		return nil, err
	}
	if err := h.wait(wait); err != nil {
		h.forget(conn, host)
		return nil, err
	}
	return func() {
		<-h.slots
		h.forget(conn, host)
	}, nil
}

// book gives a connection its turn.
func (h *handshakes) book(conn net.Conn, host string) (wait time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.stopped:
		return 0, errStopping
	default:
	}
	now := h.clock()
	if earliest := now.Add(-handshakeSlack); h.next.Before(earliest) {
		h.next = earliest
	}
	wait = h.next.Sub(now)
	if wait > handshakePatience+h.every { // the clock was put back
		wait, h.next = 0, now
	}
	if wait > handshakePatience || h.from[host] >= h.places {
		if !h.denied { // once, not for each
			h.logger.Warn("connections are closed before their handshake: too many come at once", "waiting", len(h.open), "from_one_address", h.from[host])
		}
		h.denied = true
		return 0, errTooManyHandshakes
	}
	h.denied = h.denied && wait > 0
	h.next = h.next.Add(h.every)
	h.from[host]++
	h.open[conn] = true
	return wait, nil
}

// wait waits for a turn and, after it, for a slot.
func (h *handshakes) wait(turn time.Duration) error {
	timer := time.NewTimer(turn)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.stopped:
		return errStopping
	}
	timer.Reset(handshakePatience)
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return errTooManyHandshakes
	case <-h.stopped:
		return errStopping
	}
}

func (h *handshakes) forget(conn net.Conn, host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, conn)
	if h.from[host]--; h.from[host] == 0 {
		delete(h.from, host)
	}
}

// stop ends the handshakes that wait or are in progress: nothing would come of them.
func (h *handshakes) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.stopped)
	for conn := range h.open {
		_ = conn.Close() // its handshake is told
	}
}

func hostOf(conn net.Conn) string {
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	return host
}
