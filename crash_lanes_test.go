package main_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes"
)

// recent is the envelopes that a lane has sent of late, for others to compete with.
type recent struct {
	mu  sync.Mutex
	all []sent
}

type sent struct {
	envelope *exchangev1.Envelope
	subject  string
}

const recentEnvelopes = 64

func (r *recent) add(s sent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all = append(r.all, s); len(r.all) > recentEnvelopes {
		r.all = r.all[1:]
	}
}

// any returns one of them, the latest ones more often.
func (r *recent) any(random *rand.Rand) (s sent, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		return sent{}, false
	}
	return r.all[max(random.IntN(len(r.all)), random.IntN(len(r.all)))], true
}

// every calls do at intervals until enough has been sent or ctx ends.
func (l *load) every(ctx context.Context, interval time.Duration, do func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			do()
		case <-l.enough:
			return
		case <-ctx.Done():
			return
		}
	}
}

// submitStream sends bursts by the SDK's Submitter, and things accepted before once
// more. It ends when everything has its result.
func (l *load) submitStream(ctx context.Context, node, lane string, others *recent) {
	random, known := l.random("stream "+lane), &recent{}
	s, err := l.clients[node].OpenSubmitter(ctx, nodes.SubmitterOptions{WindowEnvelopes: 300, OnResult: func(r nodes.Result) {
		if l.settle(ctx, node, r) {
			known.add(sent{envelope: r.Envelope})
		}
	}})
	if err != nil {
		l.t.Errorf("submitter: %v", err)
		return
	}
	n := 0
	l.every(ctx, 10*time.Millisecond, func() {
		for range 1 + random.IntN(16) {
			env, subject := l.fresh(lane, n, random)
			n++
			others.add(sent{env, subject})
			l.send(ctx, s, lane, node, sent{env, subject})
		}
		if earlier, ok := known.any(random); ok {
			// It was accepted: its subject is not looked at again.
			l.sendAgain(ctx, s, node, earlier)
		}
	})
	if err := s.CloseAndWait(ctx); err != nil {
		l.complain(ctx, "%s has not got an answer for everything: %v", node, err)
	}
}

func (l *load) send(ctx context.Context, s *nodes.Submitter, lane, node string, e sent) {
	l.history.Submitted(lane, node, e.subject, e.envelope)
	if err := s.Send(ctx, e.envelope); err != nil {
		l.complain(ctx, "send %s: %v", e.envelope.GetId(), err)
	}
}

// sendAgain sends what was accepted; it may be on its way again already.
func (l *load) sendAgain(ctx context.Context, s *nodes.Submitter, node string, e sent) {
	if err := s.Send(ctx, e.envelope); err != nil && !errors.Is(err, nodes.ErrOnItsWay) {
		l.complain(ctx, "send %s again: %v", e.envelope.GetId(), err)
	}
}

// settle writes down a result, and reports whether it is a receipt.
func (l *load) settle(ctx context.Context, node string, r nodes.Result) bool {
	var refused *nodes.Refused
	switch {
	case r.Err == nil:
		l.took(node, r.Envelope.GetId(), r.Accepted.Receipt)
		return true
	case errors.As(r.Err, &refused) && !errors.Is(r.Err, nodes.ErrUnresolved):
		l.history.Refused(node, r.Envelope, refused.Reason())
	default:
		l.complain(ctx, "%s of %s: %v", r.Envelope.GetId(), node, r.Err)
	}
	return false
}

// submitOne sends one after another by unary calls: new ones, and the ids that a
// stream of the same node has just sent, with the same content and with other.
func (l *load) submitOne(ctx context.Context, node, lane string, others *recent) {
	random, n := l.random("unary "+lane), 0
	l.every(ctx, 2*time.Millisecond, func() {
		var e sent
		e.envelope, e.subject = l.fresh(lane, n, random)
		competing := false
		if random.IntN(3) == 0 {
			if other, ok := others.any(random); ok {
				e, competing = other, true
			}
		}
		if !competing {
			n++
		} else if random.IntN(4) == 0 {
			e.envelope = l.otherwise(e.envelope, e.subject)
		}
		l.history.Submitted(lane, node, e.subject, e.envelope)
		accepted, err := l.clients[node].Submit(ctx, e.envelope)
		l.settle(ctx, node, nodes.Result{Envelope: e.envelope, Accepted: accepted, Err: err})
	})
}
