package hub_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

const (
	// livePerSecond is what goes on beside the draining of a backlog.
	livePerSecond = 5000
	// liveAlone is how long that is measured with nothing beside it.
	liveAlone = 3 * time.Second
	// liveLongest bounds how long it goes on while the backlog is drained.
	liveLongest = 5 * time.Minute
)

// BenchmarkBacklog drains what came for a recipient that was away, while another node
// goes on sending to another recipient, 5,000 packets a second in bursts a
// millisecond apart. It says how fast the backlog is drained, from the opening of the
// stream to the last acknowledgement that is confirmed, and what delivery of the live
// traffic took before and meanwhile. LIENTHONG_BACKLOG is the number of packets in
// the backlog, 100,000 by default. Everything is once and in order, or it fails.
func BenchmarkBacklog(b *testing.B) {
	count := fromEnvironment(b, "LIENTHONG_BACKLOG", 100_000)
	for range b.N {
		d := newDraining(b, count)
		if err := d.fill(b.Context()); err != nil {
			b.Fatal(err)
		}
		alone, err := d.live(b.Context(), time.After(liveAlone))
		if err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		took, beside, err := d.drain(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		b.ReportMetric(float64(count), "backlog")
		b.ReportMetric(float64(count)/took.Seconds(), "drained/s")
		b.ReportMetric(alone.rate(), "alone/s")
		b.ReportMetric(beside.rate(), "beside/s")
		reportLatency(b, "alone", alone.delivered)
		reportLatency(b, "beside", beside.delivered)
	}
}

// draining is a fleet of two senders and two recipients: the first recipient has a
// backlog that the first sender has sent.
type draining struct {
	fleet   *fleet
	mould   *mould
	backlog *consignment
	sent    int // dossiers of the live traffic
}

func newDraining(b *testing.B, count int) *draining {
	b.Helper()
	d := &draining{fleet: startFleet(b, 2, 2), mould: newMould(b, exchangev1.Format_FORMAT_PROTOBUF, 1<<10)}
	d.backlog = newConsignment(d.mould, 1, count)
	d.backlog.to = []string{nodeID(recipientName, 0)}
	d.sent = d.backlog.dossiers
	return d
}

func (d *draining) fill(ctx context.Context) error {
	_, err := d.backlog.send(ctx, 0, d.fleet.sdk, pace{})
	return err
}

// live sends from the second sender to the second recipient until a moment, and
// returns what that measured once all of it is acknowledged.
func (d *draining) live(ctx context.Context, until <-chan time.Time) (*figures, error) {
	c := newConsignment(d.mould, 1, livePerSecond*int(liveLongest.Seconds()))
	c.to = []string{nodeID(recipientName, 1)}
	c.firstDossier = d.sent
	d.sent += c.dossiers
	open := func(ctx context.Context, _, window int, result resultFunc) (submitting, error) {
		return d.fleet.sdk(ctx, 1, window, result)
	}
	work, ctx := errgroup.WithContext(ctx)
	receiver, measured := c.newReceiving(), &figures{}
	begin := time.Now()
	work.Go(func() error { return receiver.receive(ctx, d.fleet.recipients[1]) })
	work.Go(func() error {
		sender, err := c.send(ctx, 0, open, pace{perSecond: livePerSecond, until: until})
		measured.add([]*sending{sender}, nil)
		return err
	})
	if err := work.Wait(); err != nil {
		return nil, fmt.Errorf("live traffic: %w", err)
	}
	measured.elapsed = time.Since(begin)
	measured.delivered = merged([][]time.Duration{receiver.delivered})
	return measured, nil
}

// drain receives the backlog with live traffic beside it.
func (d *draining) drain(ctx context.Context) (took time.Duration, beside *figures, err error) {
	work, ctx := errgroup.WithContext(ctx)
	drained := make(chan time.Time)
	work.Go(func() error {
		defer close(drained)
		begin := time.Now()
		err := d.backlog.newReceiving().receive(ctx, d.fleet.recipients[0])
		took = time.Since(begin)
		return err
	})
	work.Go(func() (err error) {
		beside, err = d.live(ctx, drained)
		return err
	})
	return took, beside, work.Wait()
}
