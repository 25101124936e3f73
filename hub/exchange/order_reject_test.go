package exchange_test

import (
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// overtaken reports whether a delivery was on its way when one before it was rejected
// by the same consumer.
func (m *consumers) overtaken(c *consumer, sequence uint64) bool {
	return slices.ContainsFunc(c.rejects, func(rejected uint64) bool {
		return rejected <= sequence && m.order[rejected] == m.order[sequence]
	})
}

// reject rejects what one consumer has: by itself, where it is a stream, since only
// its stream tells what was on its way; what was pulled by whatever means.
func (m *consumers) reject(t *rapid.T) {
	if len(m.out) == 0 {
		t.Skip("nothing is out")
	}
	all := slices.Sorted(maps.Keys(m.out))
	owner := m.out[rapid.SampledFrom(all).Draw(t, "of the consumer of")]
	own := slices.DeleteFunc(all, func(sequence uint64) bool { return m.out[sequence] != owner })
	some := rapid.SliceOfNDistinct(rapid.SampledFrom(own), 1, len(own), rapid.ID).Draw(t, "reject")
	var rejections []*exchangev1.Rejection
	hopeless := map[uint64]bool{}
	for _, sequence := range some {
		final := rapid.IntRange(0, 5).Draw(t, "final") == 0
		m.rejections[sequence]++
		hopeless[sequence] = final || m.rejections[sequence] >= modelAttempts
		rejections = append(rejections, &exchangev1.Rejection{Sequence: sequence, Reason: "thử", Final: final})
	}
	switch {
	case owner.stream != nil:
		m.rejectBy(t, owner, rejections)
	case len(m.live) > 0 && rapid.Bool().Draw(t, "by stream"):
		m.rejectBy(t, m.any(t), rejections)
	default:
		resp, err := m.node.Reject(m.ctx, &exchangev1.RejectRequest{Rejections: rejections})
		if err != nil || len(resp.GetRejected())+len(resp.GetDead()) != len(some) {
			t.Fatalf("reject %d: %v, %v", some, resp, err)
		}
		for _, sequence := range resp.GetDead() {
			if !hopeless[sequence] {
				t.Fatalf("%d is dead after rejection %d", sequence, m.rejections[sequence])
			}
		}
	}
	m.rejected(some, hopeless)
	m.acknowledgeLate(t, some, hopeless)
}

// rejectBy rejects by a stream and takes in what comes before the confirmation.
func (m *consumers) rejectBy(t *rapid.T, c *consumer, rejections []*exchangev1.Rejection) {
	for _, r := range rejections {
		c.rejects = append(c.rejects, r.GetSequence())
	}
	if err := c.stream.Send(&exchangev1.ReceiveRequest{Reject: rejections}); err != nil {
		t.Fatalf("reject: %v", err)
	}
	for {
		frame, err := c.stream.Recv()
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		m.take(t, c, frame.GetDeliveries())
		if frame.GetRejected() != nil {
			c.rejects = nil
			return
		}
	}
}

// rejected takes rejections into the model, and what is taken back with them.
func (m *consumers) rejected(some []uint64, hopeless map[uint64]bool) {
	for _, sequence := range some {
		for later := range m.out {
			if later > sequence && m.order[later] == m.order[sequence] && !slices.Contains(some, later) {
				delete(m.out, later)
				m.seen[later]-- // it does not count
			}
		}
	}
	for _, sequence := range some {
		delete(m.out, sequence)
		if hopeless[sequence] {
			m.dead[sequence] = true
		}
	}
}

// acknowledgeLate acknowledges one that has just been rejected, or was taken back: that
// counts, as its order waits and it is on its way to nobody.
func (m *consumers) acknowledgeLate(t *rapid.T, some []uint64, hopeless map[uint64]bool) {
	var waiting []uint64
	for sequence, order := range m.order {
		behind := func(rejected uint64) bool {
			return rejected <= sequence && m.order[rejected] == order && !hopeless[rejected]
		}
		if m.seen[sequence] > 0 && m.out[sequence] == nil && !m.acknowledged[sequence] && !m.dead[sequence] && slices.ContainsFunc(some, behind) {
			waiting = append(waiting, sequence)
		}
	}
	slices.Sort(waiting)
	if len(waiting) == 0 || rapid.Bool().Draw(t, "leave it") {
		return
	}
	late := rapid.SampledFrom(waiting).Draw(t, "acknowledge late")
	resp, err := m.node.Acknowledge(m.ctx, &exchangev1.AcknowledgeRequest{Sequences: []uint64{late}})
	if err != nil || len(resp.GetAcknowledged()) != 1 {
		t.Fatalf("acknowledge %d late: %v, %v", late, resp, err)
	}
	m.done(late)
}

func (m *consumers) pass(t *rapid.T) {
	m.hub.clock.advance(time.Duration(rapid.IntRange(1, 10).Draw(t, "seconds")) * time.Second)
	// What was leased for too long by then is taken back for certain only by endLeases.
	maps.DeleteFunc(m.out, func(_ uint64, owner *consumer) bool {
		return owner.stream == nil && m.hub.clock.now().After(owner.until)
	})
}

func (m *consumers) revive(t *rapid.T) {
	if len(m.dead) == 0 {
		t.Skip("nothing is dead")
	}
	sequence := rapid.SampledFrom(slices.Sorted(maps.Keys(m.dead))).Draw(t, "revive")
	resp, err := m.node.SettleDeadLetters(m.ctx, &exchangev1.SettleDeadLettersRequest{Redeliver: []uint64{sequence}})
	if err != nil || !slices.Equal(resp.GetRedelivered(), []uint64{sequence}) {
		t.Fatalf("revive %d: %v, %v", sequence, resp, err)
	}
	delete(m.dead, sequence)
	m.revived[sequence], m.seen[sequence], m.rejections[sequence] = true, 0, 0
}

func (m *consumers) checkDead() {
	resp, err := m.node.ListDeadLetters(m.ctx, &exchangev1.ListDeadLettersRequest{Limit: 1000})
	if err != nil {
		m.t.Fatalf("dead letters: %v", err)
	}
	var dead []uint64
	for _, letter := range resp.GetDeadLetters() {
		dead = append(dead, letter.GetSequence())
	}
	if want := slices.Sorted(maps.Keys(m.dead)); !slices.Equal(dead, want) {
		m.t.Fatalf("dead letters are %d; want %d", dead, want)
	}
}
