package nodes

import (
	"context"
	"errors"
	"fmt"
	"sync"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// Why Send does not take an envelope, or a result says neither yes nor no.
var (
	// ErrUnresolved means that the Submitter ended before the hub had answered: the
	// envelope may be accepted or not. Submit it again with the same id.
	ErrUnresolved = errors.New("the hub has not said what became of the envelope")
	// ErrOnItsWay means that an envelope with this id has no result yet.
	ErrOnItsWay = errors.New("an envelope with this id is on its way")
)

// Defaults of SubmitterOptions.
const (
	DefaultWindowEnvelopes = 1024
	DefaultWindowBytes     = 32 << 20
)

// SubmitterOptions say what becomes of results and how much may be without one.
type SubmitterOptions struct {
	// OnResult is told the result of every envelope, once each, one after another,
	// in no promised order. It is required. While it works, the window does not
	// move: it must not call Send.
	OnResult func(Result)
	// WindowEnvelopes and WindowBytes bound the envelopes without a result.
	WindowEnvelopes, WindowBytes int
}

// Result is what became of one envelope.
type Result struct {
	// Envelope as it was sent.
	Envelope *exchangev1.Envelope
	// Accepted is the verified proof; nil where Err is not.
	Accepted *Accepted
	// Err is a *Refused, ErrReceipt, or ErrUnresolved with the reason.
	Err error
}

// Submitter submits envelopes without waiting for one before sending the next.
// Every envelope that Send took gets exactly one result, whatever the network and
// the hub do meanwhile: after a cut, all that has no result is sent again, in
// order, and the hub recognises by id what it had accepted. The hub accepts in
// the order of Send; only an envelope that it put off for a moment (a disk that
// failed, a quota) may fall behind others that were on their way with it. An envelope to
// a recipient whose inbox is full is refused ("recipient_full", with RetryAfter), and
// others go on: to keep the order of its subject, hold back what follows it there until
// it was sent again.
type Submitter struct {
	client *Client
	opts   SubmitterOptions
	end    context.CancelCauseFunc
	queued chan struct{} // has a token when there may be something to send
	done   chan struct{} // closed when run has ended

	mu      sync.Mutex
	window  window
	freed   chan struct{} // closed, and made anew, when there may be room
	closing bool          // Send takes no more
	live    bool          // there is a stream
	err     error         // what run ended with
}

// OpenSubmitter starts a Submitter. It works until CloseAndWait, the end of ctx,
// or a refusal for good; CloseAndWait is to be called in any case.
func (c *Client) OpenSubmitter(ctx context.Context, opts SubmitterOptions) (*Submitter, error) {
	if opts.OnResult == nil {
		return nil, errors.New("submitter: OnResult is required")
	}
	if opts.WindowEnvelopes <= 0 {
		opts.WindowEnvelopes = DefaultWindowEnvelopes
	}
	if opts.WindowBytes <= 0 {
		opts.WindowBytes = DefaultWindowBytes
	}
	ctx, end := context.WithCancelCause(ctx)
	s := &Submitter{
		client: c, opts: opts, end: end,
		queued: make(chan struct{}, 1), done: make(chan struct{}), freed: make(chan struct{}),
		window: window{byID: map[string]*outgoing{}},
	}
	go s.run(ctx)
	return s, nil
}

// Send takes an envelope, blocking while the window is full. An empty id is filled
// in, in env itself; env is not to be changed before its result. On error the
// envelope was not taken and gets no result: a *Refused that needed no hub,
// ErrOnItsWay, ErrClosed, what ctx ended with, or what the Submitter ended with.
// Concurrent calls may overtake each other.
func (s *Submitter) Send(ctx context.Context, env *exchangev1.Envelope) error {
	size, err := s.client.address(env)
	if err != nil {
		return err
	}
	o := &outgoing{envelope: env, size: size}
	for {
		freed, err := s.offer(o)
		if freed == nil || err != nil {
			return err
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return fmt.Errorf("wait for room in the window: %w", context.Cause(ctx))
		}
	}
}

// CloseAndWait takes no more envelopes, waits until each has its result, and ends
// the Submitter. When ctx ends first, the rest gets ErrUnresolved. The error is nil
// when the hub has answered for every envelope, be it with a refusal.
func (s *Submitter) CloseAndWait(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.checkFinished()
	select {
	case <-s.done:
	case <-ctx.Done():
		s.end(context.Cause(ctx))
		<-s.done
	}
	s.end(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// offer puts an envelope into the window. Without room it returns a channel that
// is closed when there may be some.
func (s *Submitter) offer(o *outgoing) (freed <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return nil, s.err
	case s.closing:
		return nil, ErrClosed
	case s.window.byID[o.envelope.GetId()] != nil:
		return nil, fmt.Errorf("%w: %q", ErrOnItsWay, o.envelope.GetId())
	}
	// One envelope larger than the whole window goes alone.
	held := len(s.window.byID)
	if held > 0 && (held >= s.opts.WindowEnvelopes || s.window.bytes+o.size > s.opts.WindowBytes) {
		return s.freed, nil
	}
	s.window.add(o)
	s.wake()
	return nil, nil
}

// wake tells the sender to look.
func (s *Submitter) wake() {
	select {
	case s.queued <- struct{}{}:
	default:
	}
}

// run owns the Submitter's goroutines. What has no result at the end gets
// ErrUnresolved.
func (s *Submitter) run(ctx context.Context) {
	defer close(s.done)
	err := s.client.persist(ctx, "submit", s.session)
	if errors.Is(err, errFinished) {
		err = nil
	}
	for _, o := range s.ended(err) {
		s.settle(o, Result{Err: fmt.Errorf("%w: %w", ErrUnresolved, err)})
	}
}

// ended makes Send take no more and returns what has no result.
func (s *Submitter) ended(err error) []*outgoing {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.release()
	var rest []*outgoing
	for o := s.window.first; o != nil; o = o.next {
		rest = append(rest, o)
	}
	return rest
}

// settle tells an envelope's result, then makes room.
func (s *Submitter) settle(o *outgoing, result Result) {
	result.Envelope = o.envelope
	s.opts.OnResult(result)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window.remove(o)
	s.release()
}

func (s *Submitter) release() {
	close(s.freed)
	s.freed = make(chan struct{})
}
