package rpc

import (
	"slices"
	"sync"
	"time"
)

// turns lets so much go on at one time, and begin no faster than is said. Addresses
// take turns: who comes from one with few that wait waits for a round of all addresses,
// and not for all that others have sent before.
type turns struct {
	clock         func() time.Time
	every         time.Duration // between two beginnings
	slots, places limit         // in progress; waiting, of one address both

	mu        sync.Mutex
	next      time.Time   // when the next may begin
	timer     *time.Timer // looks again then
	running   int
	waiting   int
	addresses map[string]*address
	round     []*address // those with something waiting; the first one's turn it is
	over      bool
}

// limit is how many there may be, of all addresses and of one.
type limit struct{ all, each int }

// shared is a limit of which one address can take no more than its share.
func shared(all int) limit { return limit{all: all, each: max(1, all/addressShare)} }

// address is what comes from one.
type address struct {
	host    string
	waiting []*turn // the first has come first
	running int
}

// turn is one that waits for its turn.
type turn struct {
	of   *address
	told chan error // nil when it has come; has room for what is told
	come bool       // under turns.mu
}

func newTurns(clock func() time.Time, every time.Duration, slots, places limit) *turns {
	t := &turns{clock: clock, every: every, slots: slots, places: places, addresses: map[string]*address{}}
	t.timer = time.AfterFunc(every, t.look)
	return t
}

// join puts one in line, or refuses it at once where too many wait.
func (t *turns) join(host string) (*turn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of, ok := t.addresses[host]
	if !ok {
		of = &address{host: host}
	}
	switch {
	case t.over:
		return nil, errStopping
	case len(of.waiting)+of.running >= t.places.each, t.waiting >= t.places.all && !t.makeRoom(of):
		return nil, errTooManyHandshakes
	}
	joined := &turn{of: of, told: make(chan error, 1)}
	t.addresses[host] = of
	if len(of.waiting) == 0 {
		t.round = append(t.round, of)
	}
	of.waiting = append(of.waiting, joined)
	t.waiting++
	t.serve()
	return joined, nil
}

// makeRoom sends away the last of the address with the most that wait, where that has
// more than another would have with one more.
func (t *turns) makeRoom(newcomer *address) bool {
	most := slices.MaxFunc(t.round, func(a, b *address) int { return len(a.waiting) - len(b.waiting) })
	last := len(most.waiting) - 1
	if last <= len(newcomer.waiting) {
		return false
	}
	most.waiting[last].told <- errTooManyHandshakes
	most.waiting = most.waiting[:last]
	t.waiting--
	return true
}

// leave ends one whose turn has come, or takes one that still waits out of the line.
func (t *turns) leave(gone *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := gone.of
	if gone.come {
		t.running--
		of.running--
	} else if at := slices.Index(of.waiting, gone); at >= 0 {
		of.waiting = slices.Delete(of.waiting, at, at+1)
		t.waiting--
		if len(of.waiting) == 0 {
			t.round = slices.DeleteFunc(t.round, func(a *address) bool { return a == of })
		}
	}
	if len(of.waiting)+of.running == 0 && t.addresses[of.host] == of {
		delete(t.addresses, of.host)
	}
	t.serve()
}

// look serves once the time of the next has come, whatever the clock says: it may have
// been put back.
func (t *turns) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := t.clock(); t.next.After(now) {
		t.next = now
	}
	t.serve()
}

// serve tells those whose turn has come.
func (t *turns) serve() {
	if t.over {
		return
	}
	now := t.clock()
	if earliest := now.Add(-handshakeSlack); t.next.Before(earliest) {
		t.next = earliest
	}
	for t.running < t.slots.all && !t.next.After(now) {
		at := slices.IndexFunc(t.round, func(a *address) bool { return a.running < t.slots.each })
		if at < 0 {
			return // until one leaves, or another comes
		}
		of := t.round[at]
		t.round = slices.Delete(t.round, at, at+1)
		first := of.waiting[0]
		of.waiting = of.waiting[1:]
		if len(of.waiting) > 0 {
			t.round = append(t.round, of)
		}
		of.running++
		t.running++
		t.waiting--
		t.next = t.next.Add(t.every)
		first.come = true
		first.told <- nil
	}
	if t.waiting > 0 && t.running < t.slots.all {
		t.timer.Reset(min(t.next.Sub(now), t.every))
	}
}

// stop tells those that wait that nothing comes of it.
func (t *turns) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.timer.Stop()
	for _, of := range t.round {
		for _, left := range of.waiting {
			left.told <- errStopping
		}
		of.waiting = nil
	}
	t.round, t.waiting = nil, 0
}
