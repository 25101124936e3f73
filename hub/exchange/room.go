package exchange

import (
	"sync"
	"sync/atomic"
)

// room knows how many bytes are on their way into each inbox: admitted, and neither
// committed nor refused. It remembers recipients, of which there are few.
type room struct {
	byRecipient sync.Map // of *atomic.Int64
}

// enter counts a submission as on its way to its recipients, until leave, and appends
// how much was on its way to each before.
func (r *room) enter(sub *submission, before []int64) []int64 {
	sub.room = r
	for _, recipient := range sub.stored.Recipients {
		before = append(before, r.of(recipient).Add(sub.takes())-sub.takes())
	}
	return before
}

// leave ends what enter began; nil where that has not.
func (r *room) leave(sub *submission) {
	if r == nil {
		return
	}
	for _, recipient := range sub.stored.Recipients {
		r.of(recipient).Add(-sub.takes())
	}
}

func (r *room) of(recipient string) *atomic.Int64 {
	if bytes, ok := r.byRecipient.Load(recipient); ok {
		return bytes.(*atomic.Int64) //nolint:forcetypeassert // nothing else is in it
	}
	bytes, _ := r.byRecipient.LoadOrStore(recipient, new(atomic.Int64))
	return bytes.(*atomic.Int64) //nolint:forcetypeassert // as above
}

// takes is what a submission takes of an inbox, but for what the commit adds.
func (sub *submission) takes() int64 { return int64(len(sub.record)) + sub.stored.ContentBytes }
