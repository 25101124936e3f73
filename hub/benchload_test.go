package hub_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/nodes"
)

// packetsPerDossier is how many packets tell the story of one dossier.
const packetsPerDossier = 5

// inFlight is how many packets all senders together have without a receipt.
const inFlight = 8192

// consignment is packets that senders send in turn, numbered from 0: packet n is
// sender n%senders's. Each sender goes through its dossiers again and again.
type consignment struct {
	mould        *mould
	senders      int
	dossiers     int // of each sender
	firstDossier int
	to           []string // recipients named in each envelope; none: all with a right

	count atomic.Int64 // packets; one that is cut short has fewer in the end
	// due is when each packet was due to be sent: for one without a pace, when it was.
	due []atomic.Int64
}

func newConsignment(m *mould, senders, count int) *consignment {
	each := (count + senders - 1) / senders
	c := &consignment{mould: m, senders: senders, dossiers: (each + packetsPerDossier - 1) / packetsPerDossier, due: make([]atomic.Int64, count)}
	c.count.Store(int64(count))
	return c
}

// envelope returns packet n.
func (c *consignment) envelope(n int) *exchangev1.Envelope {
	sender, turn := n%c.senders, n/c.senders
	return &exchangev1.Envelope{
		Type: packetv1.PacketType_PACKET_TYPE_PROGRESS, Format: c.mould.format, Recipients: c.to,
		Content: c.mould.cast(c.firstDossier+sender*c.dossiers+turn%c.dossiers, n),
	}
}

// since returns how long ago packet n was due.
func (c *consignment) since(n int) time.Duration {
	return time.Duration(time.Now().UnixNano() - c.due[n].Load())
}

// submitting is what takes a sender's envelopes: a *nodes.Submitter.
type submitting interface {
	Send(ctx context.Context, env *exchangev1.Envelope) error
	CloseAndWait(ctx context.Context) error
}

// opened starts submitting for one sender; result is told every result.
type opened func(ctx context.Context, sender, window int, result resultFunc) (submitting, error)

type resultFunc = func(nodes.Result)

// pace is when packets are due: so many a second, in bursts a millisecond apart; 0: as
// soon as they can go. What is late stays due when it was.
type pace struct {
	perSecond float64
	until     <-chan time.Time // cuts the consignment of one sender short, where it is not nil
}

// cut reports whether the packet at hand is to be the last.
func (p pace) cut() bool {
	select {
	case <-p.until:
		return true
	default:
		return false
	}
}

// sending is one sender at work.
type sending struct {
	consignment *consignment
	sender      int
	accepted    []time.Duration
	groups      map[uint64]bool // first sequences of the groups in the receipts
	lastGroup   uint64
	refused     error
}

// send sends what is due of one sender, and waits for its receipts.
func (c *consignment) send(ctx context.Context, sender int, open opened, p pace) (*sending, error) {
	s := &sending{consignment: c, sender: sender, groups: map[uint64]bool{}}
	submitter, err := open(ctx, sender, min(max(inFlight/c.senders, 8), 4096), s.result)
	if err != nil {
		return s, err
	}
	if err := s.sendAll(ctx, submitter, p); err != nil {
		return s, errors.Join(err, submitter.CloseAndWait(ctx))
	}
	if err := submitter.CloseAndWait(ctx); err != nil {
		return s, err
	}
	return s, s.refused
}

func (s *sending) sendAll(ctx context.Context, to submitting, p pace) error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	c, begin := s.consignment, time.Now()
	for turn, n := 0, s.sender; n < len(c.due); turn, n = turn+1, n+c.senders {
		due := time.Now()
		if p.perSecond > 0 {
			due = begin.Add(time.Duration(float64(n) / p.perSecond * 1e9).Truncate(time.Millisecond))
			if err := waitFor(ctx, due, ticker.C); err != nil {
				return err
			}
		}
		last := p.cut()
		if last {
			c.count.Store(int64(n) + 1) // before it is sent: recipients look when they have it
		}
		c.due[n].Store(due.UnixNano())
		if err := to.Send(ctx, c.envelope(n)); err != nil {
			return fmt.Errorf("send packet %d: %w", n, err)
		}
		if last {
			return nil
		}
	}
	return nil
}

// waitFor waits until a moment, looking at each tick.
func waitFor(ctx context.Context, moment time.Time, tick <-chan time.Time) error {
	for time.Now().Before(moment) {
		select {
		case <-tick:
		case <-ctx.Done():
			return fmt.Errorf("wait until the next packet is due: %w", context.Cause(ctx))
		}
	}
	return nil
}

// result takes the result of one packet. The results of one sender come one after
// another.
func (s *sending) result(r nodes.Result) {
	n, err := s.consignment.mould.numberOf(r.Envelope.GetContent())
	if err = errors.Join(err, r.Err); err != nil {
		s.refused = errors.Join(s.refused, err)
		return
	}
	s.accepted = append(s.accepted, s.consignment.since(n))
	if first := r.Accepted.Statement.GetSequence() - uint64(r.Accepted.Receipt.GetIndex()); first != s.lastGroup {
		s.lastGroup = first
		s.groups[first] = true
	}
}

// receiving is one recipient at work. It checks that every packet comes once, and each
// dossier's in the order they were sent.
type receiving struct {
	consignment *consignment
	turns       [][]int // which turn of the sender comes next, by sender and dossier
	delivered   []time.Duration
	confirmed   int64 // acknowledgements
}

func (c *consignment) newReceiving() *receiving {
	r := &receiving{consignment: c, turns: make([][]int, c.senders)}
	for sender := range r.turns {
		r.turns[sender] = make([]int, c.dossiers)
		for dossier := range r.turns[sender] {
			r.turns[sender][dossier] = dossier
		}
	}
	return r
}

// receive receives until all packets are acknowledged, and the hub has confirmed that.
func (r *receiving) receive(ctx context.Context, client *nodes.Client) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err := client.Receive(ctx, r.handle, nodes.ReceiveOptions{Credit: 4096, Acknowledged: func(sequences []uint64) {
		if r.confirmed += int64(len(sequences)); r.confirmed >= r.consignment.count.Load() {
			stop()
		}
	}})
	if err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	if count := r.consignment.count.Load(); r.confirmed != count || int64(len(r.delivered)) != count {
		return fmt.Errorf("of %d packets, %d were delivered and %d acknowledgements confirmed", count, len(r.delivered), r.confirmed)
	}
	return nil
}

func (r *receiving) handle(_ context.Context, d *exchangev1.Delivery) error {
	c := r.consignment
	n, err := c.mould.numberOf(d.GetPacket().GetEnvelope().GetContent())
	if err != nil {
		return err
	}
	if n >= len(c.due) {
		return fmt.Errorf("packet %d was delivered; there are %d", n, len(c.due))
	}
	sender, turn := n%c.senders, n/c.senders
	next := &r.turns[sender][turn%c.dossiers]
	if turn != *next {
		return fmt.Errorf("sender %d, dossier %d: packet %d was delivered where %d comes next", sender, turn%c.dossiers, turn, *next)
	}
	*next += c.dossiers
	r.delivered = append(r.delivered, c.since(n))
	return nil
}

// ship sends a consignment from all senders of a fleet to all its recipients, and
// fails the benchmark unless everybody has everything, once and in order.
func (f *fleet) ship(b *testing.B, c *consignment, open opened, p pace) *figures {
	b.Helper()
	work, ctx := errgroup.WithContext(b.Context())
	b.ResetTimer()
	b.StartTimer()
	before, err := usedNow()
	if err != nil {
		b.Fatal(err)
	}
	receivers := make([]*receiving, len(f.recipients))
	for i, client := range f.recipients {
		receivers[i] = c.newReceiving()
		work.Go(func() error { return receivers[i].receive(ctx, client) })
	}
	senders := make([]*sending, c.senders)
	for i := range senders {
		work.Go(func() (err error) {
			senders[i], err = c.send(ctx, i, open, p)
			return err
		})
	}
	if err := work.Wait(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	measured, err := since(before)
	if err != nil {
		b.Fatal(err)
	}
	measured.add(senders, receivers)
	return measured
}

// since returns what was used since a moment.
func since(before used) (*figures, error) {
	after, err := usedNow()
	if err != nil {
		return nil, err
	}
	return &figures{elapsed: after.at.Sub(before.at), cpu: after.cpu - before.cpu, written: after.written - before.written}, nil
}

// add adds what senders and recipients have seen.
func (f *figures) add(senders []*sending, receivers []*receiving) {
	var accepted, delivered [][]time.Duration
	groups := map[uint64]bool{}
	for _, s := range senders {
		accepted = append(accepted, s.accepted)
		for first := range s.groups {
			groups[first] = true
		}
	}
	for _, r := range receivers {
		delivered = append(delivered, r.delivered)
	}
	f.accepted, f.delivered, f.groups = merged(accepted), merged(delivered), len(groups)
	f.packets, f.deliveries = len(f.accepted), len(f.delivered)
}

// sdk submits with the nodes' own Submitter, which sends what has gathered in one frame.
func (f *fleet) sdk(ctx context.Context, sender, window int, result resultFunc) (submitting, error) {
	return f.senders[sender].OpenSubmitter(ctx, nodes.SubmitterOptions{WindowEnvelopes: window, OnResult: result})
}
