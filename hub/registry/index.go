package registry

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/packet"
)

// index finds the nodes that hold a right to what an organisation sends. It is
// asked for every packet: a look-up takes no lock, and allocates only the first
// time after a right has begun to be or ceased to be valid.
type index[T comparable] map[sender[T]]*holders

// sender is an organisation, by code, and what it sends.
type sender[T comparable] struct {
	code string
	what T
}

// grant is one right to one thing.
type grant[T comparable] struct {
	to sender[T]
	holder
}

// holder is a node that holds a right until a moment; zero: for good.
type holder struct {
	node  string
	until time.Time
}

func holderOf(right *registryv1.Right) holder {
	h := holder{node: right.GetReceiver()}
	if right.GetExpiresAt() != nil {
		h.until = right.GetExpiresAt().AsTime()
	}
	return h
}

// newIndex puts under each sender that a grant names all holders that it and the
// organisations that contain it have.
func newIndex[T comparable](grants []grant[T]) index[T] {
	direct := map[sender[T]][]holder{}
	for _, g := range grants {
		direct[g.to] = append(direct[g.to], g.holder)
	}
	x := make(index[T], len(direct))
	for to := range direct {
		last := map[string]time.Time{}
		for code := to.code; code != ""; code = parent(code) {
			for _, h := range direct[sender[T]{code, to.what}] {
				if until, ok := last[h.node]; !ok || later(h.until, until) {
					last[h.node] = h.until
				}
			}
		}
		all := make([]holder, 0, len(last))
		for _, node := range slices.Sorted(maps.Keys(last)) {
			all = append(all, holder{node, last[node]})
		}
		x[to] = &holders{all: all}
	}
	return x
}

// find returns the nodes that hold a right at a moment, sorted. The nearest
// organisation that any right names knows of those above it.
func (x index[T]) find(organisation packet.Organisation, what T, at time.Time) []string {
	for code := organisation.String(); code != ""; code = parent(code) {
		if h, ok := x[sender[T]{code, what}]; ok {
			return h.at(at)
		}
	}
	return nil
}

// holders are sorted by node, each node once, with its last right.
type holders struct {
	all    []holder
	period atomic.Pointer[period] // the one last asked for
}

// period is a time in which the same nodes hold a right: from inclusive, to
// exclusive; zero: without end.
type period struct {
	from, to time.Time
	nodes    []string
}

func (h *holders) at(at time.Time) []string {
	p := h.period.Load()
	if p == nil || at.Before(p.from) || ended(p.to, at) {
		p = h.periodAt(at)
		h.period.Store(p)
	}
	return p.nodes
}

func (h *holders) periodAt(at time.Time) *period {
	p := &period{}
	for _, one := range h.all {
		if ended(one.until, at) {
			if one.until.After(p.from) {
				p.from = one.until
			}
			continue
		}
		p.nodes = append(p.nodes, one.node)
		if later(p.to, one.until) {
			p.to = one.until
		}
	}
	return p
}

// ended reports whether what lasts until a moment is over; zero: never.
func ended(until, at time.Time) bool { return !until.IsZero() && !at.Before(until) }

// later reports whether a is a later end than b; zero: never ends.
func later(a, b time.Time) bool {
	return !b.IsZero() && (a.IsZero() || a.After(b))
}

// parent returns the code of the organisation above; empty at the top.
func parent(code string) string { return code[:max(strings.LastIndexByte(code, '.'), 0)] }
