package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/store"
)

// What retention removes is gone. So a clock that is far ahead, as after a battery is
// changed or by a wrong time server, must not end all at once what was to be kept for
// years.
const (
	// clockAhead is how far the clock may be ahead of what is known of the time.
	clockAhead = 7 * 24 * time.Hour
	// clockCatchUp is how many times as fast as time passes what is known follows a clock
	// that is ahead, and stays so: a hub that was idle, or off, for months goes by its
	// clock again after days, and a clock that is wrong for a day ends little.
	clockCatchUp = 7
)

// boundedClock tells the time that ages are told by: the clock's, but at most clockAhead
// after what is known of it. Known is the time of the newest packet that the hub had when
// it started, and what has passed since. Packets that were accepted since do not count:
// their times are the clock's.
type boundedClock struct {
	known time.Time // it is as late as this, or the clock has said so for long
	read  time.Time // when known was brought up to date; with a monotonic reading
	ahead bool      // the clock was, when last asked
}

// at returns the time to go by, where the clock says now and so much time has passed since
// it was asked last.
func (c *boundedClock) at(now time.Time, passed time.Duration) time.Time {
	if follows := c.known.Add(clockCatchUp * passed); now.After(follows) {
		c.known = follows
	} else if now.After(c.known) {
		c.known = now
	}
	most := c.known.Add(clockAhead)
	if c.ahead = now.After(most); c.ahead {
		return most
	}
	return now
}

// startRetentionClock learns what is known of the time as the hub starts. Where nothing
// was ever accepted, it is the clock's: there is nothing that could go too soon.
func (h *Hub) startRetentionClock(ctx context.Context) error {
	h.retaining = boundedClock{known: h.cfg.Clock(), read: time.Now()}
	_, size := h.log.Checkpoint()
	if size == 0 || len(h.kept) == 0 {
		return nil
	}
	last := h.store.Epochs().Sequence(size)
	group, err := h.store.Group(ctx, last)
	if err != nil {
		return fmt.Errorf("retention: when the newest packet was accepted: %w", err)
	}
	statement := &exchangev1.Statement{}
	if err := proto.Unmarshal(group.Leaves[last-group.First], statement); err != nil {
		return errors.Join(store.ErrCorrupt, fmt.Errorf("retention: the leaf of %d: %w", last, err))
	}
	h.retaining.known = statement.GetAcceptedAt().AsTime()
	return nil
}

// retentionTime returns the time to go by. A clock that is ahead is told of once.
func (h *Hub) retentionTime() time.Time {
	c, now, read := &h.retaining, h.cfg.Clock(), time.Now()
	was, passed := c.ahead, read.Sub(c.read)
	c.read = read
	bounded := c.at(now, passed)
	if c.ahead && !was {
		h.cfg.Logger.Warn("the clock is far ahead of the newest packet: retention goes by an earlier time, which catches up by a week a day. See that the clock is right",
			"clock", now, "known", c.known, "goes_by", bounded)
	}
	return bounded
}
