package main

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// heldPackets bounds the files that are held at once, by their sizes: as much as so
// many of the largest packets.
const heldPackets = 4

// betweenTicks is how often a run that waits shows that it is alive.
const betweenTicks = 100 * time.Millisecond

// following is told what happens in a run, by one goroutine.
type following interface {
	// outcome is told each outcome, in the order of the inputs.
	outcome(*outcome) error
	// tick is told that time goes by.
	tick()
}

// bounds are in bytes: of the largest packet, and of all that is held at once.
type bounds struct{ packet, held int64 }

// judgeInOrder does work for every input, as many at a time as there are processors,
// and tells the outcomes in the order of the inputs. What is held at once is
// bounded in number and in size. The first error ends the run and is returned.
func judgeInOrder(ctx context.Context, inputs []input, size bounds, work func(context.Context, input) (*outcome, error), f following) error {
	workers := runtime.GOMAXPROCS(0)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers + 2) // beside the workers, who hands out and who tells
	line := &line{places: make(chan place, workers), held: semaphore.NewWeighted(size.held)}
	group.Go(func() error { return line.tell(ctx, f) })
	group.Go(func() error {
		defer close(line.places)
		for _, in := range inputs {
			p, err := line.stand(ctx, in.weight(size.packet))
			if err != nil {
				return err
			}
			group.Go(func() error {
				o, err := work(ctx, in)
				p.done <- o
				return err
			})
		}
		return nil
	})
	return group.Wait()
}

// line is where outcomes wait for those before them.
type line struct {
	places chan place
	held   *semaphore.Weighted
}

// place is one in the line; done never blocks who fills it.
type place struct {
	weight int64
	done   chan *outcome
}

// stand waits until there is room, and takes the next place.
func (l *line) stand(ctx context.Context, weight int64) (place, error) {
	p := place{weight, make(chan *outcome, 1)}
	if err := l.held.Acquire(ctx, weight); err != nil {
		return p, context.Cause(ctx)
	}
	select {
	case l.places <- p:
		return p, nil
	case <-ctx.Done():
		return p, context.Cause(ctx)
	}
}

// tell hands on the outcomes until there are no more.
func (l *line) tell(ctx context.Context, f following) error {
	ticker := time.NewTicker(betweenTicks)
	defer ticker.Stop()
	for {
		p, more, err := await(ctx, l.places, ticker.C, f.tick)
		if err != nil || !more {
			return err
		}
		o, _, err := await(ctx, p.done, ticker.C, f.tick)
		if err != nil || o == nil { // no outcome: the worker's error ends the run
			return err
		}
		if err := f.outcome(o); err != nil {
			return err
		}
		l.held.Release(p.weight)
	}
}

// await receives a value, and ticks while there is none.
func await[T any](ctx context.Context, values <-chan T, ticks <-chan time.Time, tick func()) (value T, more bool, err error) {
	for {
		select {
		case value, more = <-values:
			return value, more, nil
		case <-ticks:
			tick()
		case <-ctx.Done():
			return value, false, context.Cause(ctx)
		}
	}
}
