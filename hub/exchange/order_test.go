package exchange_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
)

// Whatever streams and pulls of one recipient do at the same time, nothing is
// lost, nothing acknowledged or dead comes again, and nobody gets a packet while an
// earlier one of its sender and subject is out to somebody else or to nobody; but for
// what was on its way to a consumer when that rejected the earlier one.
func TestCompetingConsumersKeepOrder(t *testing.T) {
	t.Parallel()
	h := start(t, options{limits: exchange.Limits{Unacknowledged: 8, Attempts: modelAttempts, RetryAtMost: 20 * time.Second}})
	senders := []exchangev1.ExchangeServiceClient{h.node("H41/a"), h.node("H41/b")}
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		name := fmt.Sprintf("G22/cong-%d", runs)
		h.rights.grant("H41", name)
		m := &consumers{
			t: rt, ctx: t.Context(), hub: h, name: name, node: h.node(name), senders: senders, run: runs,
			order: map[uint64]string{}, acknowledged: map[uint64]bool{}, seen: map[uint64]uint32{}, rejections: map[uint64]int{}, out: map[uint64]*consumer{},
			dead: map[uint64]bool{}, revived: map[uint64]bool{},
		}
		defer m.leaveAll()
		rt.Repeat(map[string]func(*rapid.T){
			"submit":         m.submit,
			"open a stream":  m.open,
			"grant credit":   m.grant,
			"read":           m.read,
			"acknowledge":    m.acknowledge,
			"leave":          m.leave,
			"pull":           m.pull,
			"let leases end": m.endLeases,
			"reject":         m.reject,
			"let time pass":  m.pass,
			"revive":         m.revive,
		})
		m.drain()
		m.checkDead()
	})
}

// modelAttempts is how often a delivery of the model may be rejected.
const modelAttempts = 3

// consumers is the model of one inbox, and the means to act on the real one.
type consumers struct {
	t       *rapid.T
	ctx     context.Context
	hub     *hub
	name    string
	node    exchangev1.ExchangeServiceClient
	senders []exchangev1.ExchangeServiceClient
	run     int
	sent    int

	order        map[uint64]string // sender and subject of every accepted packet
	acknowledged map[uint64]bool
	seen         map[uint64]uint32    // attempts that were seen
	rejections   map[uint64]int       // since it came, or came back
	out          map[uint64]*consumer // who has what is not acknowledged
	dead         map[uint64]bool
	revived      map[uint64]bool // from the dead, and not delivered since
	live         []*consumer
}

// consumer is a stream, or a pull without one.
type consumer struct {
	stream exchangev1.ExchangeService_ReceiveClient
	cancel context.CancelFunc
	credit int
	until  time.Time // end of the lease of a pull
	// rejects is what the hub has not confirmed.
	rejects []uint64
}

func (m *consumers) submit(t *rapid.T) {
	from := rapid.IntRange(0, len(m.senders)-1).Draw(t, "sender")
	dossier := rapid.SampledFrom([]string{"0001", "0002"}).Draw(t, "dossier")
	m.sent++
	env := envelope(fmt.Sprintf("%d-%d", m.run, m.sent), dossier)
	env.Recipients = []string{m.name}
	resp, err := m.senders[from].Submit(m.ctx, &exchangev1.SubmitRequest{Envelope: env})
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	m.order[resp.GetStatement().GetSequence()] = fmt.Sprint(from, dossier)
}

func (m *consumers) open(t *rapid.T) {
	if len(m.live) == 3 {
		t.Skip("enough streams")
	}
	ctx, cancel := context.WithCancel(m.ctx)
	stream, err := m.node.Receive(ctx)
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	m.live = append(m.live, &consumer{stream: stream, cancel: cancel})
}

func (m *consumers) any(t *rapid.T) *consumer {
	if len(m.live) == 0 {
		t.Skip("no stream")
	}
	return m.live[rapid.IntRange(0, len(m.live)-1).Draw(t, "stream")]
}

func (m *consumers) grant(t *rapid.T) {
	c := m.any(t)
	credit := rapid.IntRange(1, 5).Draw(t, "credit")
	c.credit += credit
	if err := c.stream.Send(&exchangev1.ReceiveRequest{Credit: uint32(credit)}); err != nil {
		t.Fatalf("grant: %v", err)
	}
}

func (m *consumers) read(t *rapid.T) { m.settle(t, m.any(t)) }

// settle has the hub confirm an acknowledgement and takes in what came before.
func (m *consumers) settle(t *rapid.T, c *consumer, sequences ...uint64) {
	if err := c.stream.Send(&exchangev1.ReceiveRequest{Acknowledge: append(sequences, nobodys)}); err != nil {
		t.Fatalf("acknowledge: %v", err)
	}
	for {
		frame, err := c.stream.Recv()
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		m.take(t, c, frame.GetDeliveries())
		if frame.GetDeliveries() != nil {
			continue
		}
		for _, sequence := range frame.GetAcknowledged() {
			m.done(sequence)
		}
		return
	}
}

func (m *consumers) done(sequence uint64) {
	m.acknowledged[sequence] = true
	delete(m.out, sequence)
}

// take checks deliveries that a consumer got against the model.
func (m *consumers) take(t *rapid.T, c *consumer, deliveries []*exchangev1.Delivery) {
	if c.stream != nil {
		if c.credit -= len(deliveries); c.credit < 0 {
			t.Fatalf("%d deliveries more than were granted", -c.credit)
		}
	}
	for _, d := range deliveries {
		sequence := d.GetPacket().GetSequence()
		if m.overtaken(c, sequence) {
			continue
		}
		switch order, ok := m.order[sequence]; {
		case !ok:
			t.Fatalf("delivery %d is of a packet for others", sequence)
		case m.acknowledged[sequence] || m.dead[sequence]:
			t.Fatalf("%d was acknowledged, or is dead, and came again", sequence)
		case m.out[sequence] != nil:
			t.Fatalf("%d is out already", sequence)
		case d.GetAttempt() <= m.seen[sequence]:
			t.Fatalf("%d comes as attempt %d after attempt %d", sequence, d.GetAttempt(), m.seen[sequence])
		default:
			m.checkOrder(t, c, sequence, order)
		}
		delete(m.revived, sequence)
		m.seen[sequence] = d.GetAttempt()
		m.out[sequence] = c
	}
}

// checkOrder fails where an earlier packet of the same order is not done with and
// not out to the same consumer.
func (m *consumers) checkOrder(t *rapid.T, c *consumer, sequence uint64, order string) {
	for earlier, other := range m.order {
		over := m.acknowledged[earlier] || m.dead[earlier] || m.revived[earlier]
		if earlier < sequence && other == order && !over && m.out[earlier] != c {
			t.Fatalf("%d came before %d of the same sender and subject", sequence, earlier)
		}
	}
}

func (m *consumers) acknowledge(t *rapid.T) {
	if len(m.out) == 0 {
		t.Skip("nothing is out")
	}
	some := rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(maps.Keys(m.out))), 1, len(m.out), rapid.ID).Draw(t, "acknowledge")
	if len(m.live) > 0 && rapid.Bool().Draw(t, "by stream") {
		m.settle(t, m.any(t), some...)
		return
	}
	resp, err := m.node.Acknowledge(m.ctx, &exchangev1.AcknowledgeRequest{Sequences: some})
	if err != nil || len(resp.GetAcknowledged()) != len(some) {
		t.Fatalf("acknowledge %d: %v, %v", some, resp, err)
	}
	for _, sequence := range some {
		m.done(sequence)
	}
}

func (m *consumers) leave(t *rapid.T) {
	c := m.any(t)
	m.live = slices.DeleteFunc(m.live, func(other *consumer) bool { return other == c })
	m.takeBack(c)
	c.cancel()
}

func (m *consumers) takeBack(c *consumer) {
	maps.DeleteFunc(m.out, func(_ uint64, owner *consumer) bool { return owner == c })
}

func (m *consumers) pull(t *rapid.T) {
	before := m.hub.clock.now()
	most := rapid.IntRange(1, 5).Draw(t, "at most")
	resp, err := m.node.Pull(m.ctx, &exchangev1.PullRequest{Max: uint32(most)})
	if err != nil {
		t.Fatalf("pull: %v", err)
	}
	if len(resp.GetDeliveries()) > most {
		t.Fatalf("%d deliveries; %d were asked for", len(resp.GetDeliveries()), most)
	}
	if until := resp.GetLeaseUntil().AsTime(); until.Before(before) {
		t.Fatalf("the lease ends at %v, before it began at %v", until, before)
	}
	m.take(t, &consumer{until: resp.GetLeaseUntil().AsTime()}, resp.GetDeliveries())
}

// endLeases lets a lease's time pass. From then on nobody has what was pulled.
func (m *consumers) endLeases(*rapid.T) {
	m.hub.clock.advance(time.Minute + time.Second)
	maps.DeleteFunc(m.out, func(_ uint64, owner *consumer) bool { return owner.stream == nil })
}

func (m *consumers) leaveAll() {
	for _, c := range m.live {
		m.takeBack(c)
		c.cancel()
	}
	m.live = nil
}

// drain takes all that is left: everything that was not acknowledged has to come.
func (m *consumers) drain() {
	m.leaveAll()
	m.endLeases(nil)
	for deadline := time.Now().Add(20 * time.Second); len(m.acknowledged)+len(m.dead) < len(m.order); {
		if time.Now().After(deadline) {
			m.t.Fatalf("%d of %d packets were delivered, %d are dead", len(m.acknowledged), len(m.order), len(m.dead))
		}
		resp, err := m.node.Pull(m.ctx, &exchangev1.PullRequest{WaitSeconds: 1})
		if err != nil {
			m.t.Fatalf("pull: %v", err)
		}
		m.take(m.t, &consumer{}, resp.GetDeliveries())
		if len(resp.GetDeliveries()) == 0 {
			continue
		}
		taken := sequences(resp.GetDeliveries())
		if _, err := m.node.Acknowledge(m.ctx, &exchangev1.AcknowledgeRequest{Sequences: taken}); err != nil {
			m.t.Fatalf("acknowledge: %v", err)
		}
		for _, sequence := range taken {
			m.done(sequence)
		}
	}
}
