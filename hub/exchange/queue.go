package exchange

import "sync"

// queue holds the bundles that wait for their commit: how much that may be is for
// quota to say. The bundles of a sender come out in the order they went in. Senders
// take turns (deficit round robin): whoever has little to send waits for what is being
// committed, and not for all that others have queued before.
type queue struct {
	limits Limits
	// ready has a token when something may be queued.
	ready chan struct{}

	mu     sync.Mutex
	lines  map[string]*line // by sender, with something queued
	turns  []*line          // the same; the first one's turn it is
	closed bool
}

// line is what one sender has queued.
type line struct {
	sender  string
	bundles []*bundle
	credit  int // what it may still send in this turn, as weight
}

func newQueue(limits Limits) *queue {
	return &queue{limits: limits, ready: make(chan struct{}, 1), lines: map[string]*line{}}
}

// put queues a bundle, unless the queue was closed.
func (q *queue) put(b *bundle) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	sender := b.submissions[0].sender
	of, ok := q.lines[sender]
	if !ok {
		of = &line{sender: sender, credit: q.turn()}
		q.lines[sender] = of
		q.turns = append(q.turns, of)
	}
	of.bundles = append(of.bundles, b)
	q.tell()
	return true
}

// close makes the queue take no more. What is queued can still be taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// group takes what is to be committed together; nothing where nothing is queued.
func (q *queue) group() []*bundle {
	q.mu.Lock()
	defer q.mu.Unlock()
	var group []*bundle
	for count, size := 0, 0; len(q.turns) > 0 && count < q.limits.GroupEnvelopes && size < q.limits.GroupBytes; {
		b := q.next()
		group = append(group, b)
		count, size = count+len(b.submissions), size+b.bytes
	}
	if len(q.turns) > 0 {
		q.tell()
	}
	return group
}

// next takes the bundle whose turn it is.
func (q *queue) next() *bundle {
	for {
		of := q.turns[0]
		b := of.bundles[0]
		weight := q.weight(b)
		if of.credit < weight {
			of.credit += q.turn()
			q.turns = append(q.turns[1:], of)
			continue
		}
		of.credit -= weight
		of.bundles[0] = nil
		if of.bundles = of.bundles[1:]; len(of.bundles) == 0 {
			q.turns = q.turns[1:]
			delete(q.lines, of.sender)
		}
		return b
	}
}

// turnsPerGroup is how many senders that have much to send share a group.
const turnsPerGroup = 8

// turn is what a sender may add to a group before it is another's turn.
func (q *queue) turn() int { return max(1, q.limits.GroupBytes/turnsPerGroup) }

// weight is the share of a group that a bundle takes, in bytes.
func (q *queue) weight(b *bundle) int {
	return max(b.bytes, len(b.submissions)*q.limits.GroupBytes/q.limits.GroupEnvelopes)
}

func (q *queue) tell() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}
