package nodes

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Backoff says how long to wait before trying again: a random time between
// nothing and Min, twice Min, four times Min and so on, never beyond Max (full
// jitter). A hub that says when to come back is not asked before. The first connection
// after one that was lost is made within five times Min, at random: the hub has lost
// those of all other nodes, too.
type Backoff struct {
	// Min defaults to 0.2 seconds, Max to 30.
	Min, Max time.Duration
}

func (b Backoff) withDefaults() Backoff {
	if b.Min <= 0 {
		b.Min = 200 * time.Millisecond
	}
	if b.Max <= 0 {
		b.Max = 30 * time.Second
	}
	b.Max = max(b.Max, b.Min)
	return b
}

// Delay returns the wait after a number of failures in a row, from 0; random, in
// [0, 1), picks it.
func (b Backoff) Delay(failures int, random float64) time.Duration {
	b = b.withDefaults()
	ceiling := b.Min
	for range failures {
		if ceiling *= 2; ceiling >= b.Max {
			ceiling = b.Max
			break
		}
	}
	return time.Duration(random * float64(ceiling))
}

// afterLoss returns the wait between the loss of a connection and the next; random, in
// [0, 1), picks it.
func (b Backoff) afterLoss(random float64) time.Duration {
	return time.Duration(random * float64(min(5*b.Min, b.Max, maxAfterLoss)))
}

// maxAfterLoss is well below the time that gRPC gives a connection.
const maxAfterLoss = 5 * time.Second

// pause waits before another attempt. The error says that ctx or the Client has
// ended.
func (c *Client) pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait to try again: %w", context.Cause(ctx))
	case <-c.closed:
		return ErrClosed
	}
}

// session is one life of a stream. Lived means that it got somewhere, so that the
// next backoff starts afresh. A nil error means that nothing is left to do.
type session func(ctx context.Context) (lived bool, err error)

// final is the error of a session that is not to be followed by another.
type final struct{ error }

// Unwrap returns the error.
func (f final) Unwrap() error { return f.error }

// persist runs one session after another until one is done or final, ctx or the
// Client ends, or the hub refuses for good. It returns nil, a final, the cause of
// ctx, ErrClosed, or a *Refused.
func (c *Client) persist(ctx context.Context, stream string, run session) error {
	for failures := 0; ; failures++ {
		began := c.clock()
		lived, err := run(ctx)
		var last final
		switch {
		case err == nil:
			return nil
		case errors.As(err, &last):
			return last
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", stream, context.Cause(ctx))
		case c.isClosed():
			return ErrClosed
		case errors.Is(err, errResumed):
			failures = -1
			continue
		}
		refused, after, again := c.judge(err)
		if !again {
			return refused
		}
		if lived || c.clock().Sub(began) >= c.backoff.Max {
			failures = 0
		}
		wait := max(after, c.backoff.Delay(failures, c.random()))
		c.logger.Warn("a stream to the hub was cut; connecting again", "stream", stream, "hub", c.hub.Address, "error", refused, "wait", wait)
		if err := c.pause(ctx, wait); err != nil {
			return err
		}
	}
}
