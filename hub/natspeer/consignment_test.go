package natspeer_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// consignment is packets that publishers publish in turn, numbered from 0: packet n is
// publisher n%senders's.
type consignment struct {
	count   int
	content []byte         // of every packet, but for its number
	sent    []atomic.Int64 // when each packet was

	next      [senders]int // number of the packet that comes next; of the consumer
	delivered []time.Duration
	accepted  [senders][]time.Duration // each of its publisher
}

// digits of its number begin each packet.
const digits = 9

func newConsignment(count, size int) *consignment {
	c := &consignment{count: count, content: bytes.Repeat([]byte("x"), size), sent: make([]atomic.Int64, count)}
	for i := range c.next {
		c.next[i] = i
	}
	return c
}

// message returns packet n, which is sent now. Its id is new.
func (c *consignment) message(n int) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Data = bytes.Clone(c.content)
	copy(m.Data, fmt.Sprintf("%0*d", digits, n))
	m.Header.Set(nats.MsgIdHdr, nuid.Next())
	c.sent[n].Store(time.Now().UnixNano())
	return m
}

func (c *consignment) numberOf(content []byte) (int, error) {
	if len(content) != len(c.content) {
		return 0, fmt.Errorf("a packet of %d bytes; all that were sent have %d", len(content), len(c.content))
	}
	n, err := strconv.Atoi(string(content[:digits]))
	if err != nil || n >= c.count {
		return 0, fmt.Errorf("packet %.9q; there are %d", content, c.count)
	}
	return n, nil
}

// acknowledged notes that the server has acknowledged packet n to its publisher.
func (c *consignment) acknowledged(sender, n int) {
	c.accepted[sender] = append(c.accepted[sender], c.since(n))
}

// take takes a packet that was delivered.
func (c *consignment) take(content []byte) error {
	n, err := c.numberOf(content)
	if err != nil {
		return err
	}
	if next := &c.next[n%senders]; n != *next {
		return fmt.Errorf("packet %d was delivered where %d comes next", n, *next)
	}
	c.next[n%senders] += senders
	c.delivered = append(c.delivered, c.since(n))
	return nil
}

func (c *consignment) since(n int) time.Duration {
	return time.Duration(time.Now().UnixNano() - c.sent[n].Load())
}

// report writes what was measured, and fails unless everything was acknowledged and
// delivered.
func (c *consignment) report(b *testing.B) {
	b.Helper()
	accepted := slices.Concat(c.accepted[:]...)
	if len(accepted) != c.count || len(c.delivered) != c.count {
		b.Fatalf("of %d packets, %d were acknowledged and %d delivered", c.count, len(accepted), len(c.delivered))
	}
	b.ReportMetric(float64(c.count)/b.Elapsed().Seconds(), "packets/s")
	reportLatency(b, "accept", accepted)
	reportLatency(b, "deliver", c.delivered)
}

func reportLatency(b *testing.B, name string, all []time.Duration) {
	b.Helper()
	slices.Sort(all)
	for _, p := range []float64{50, 99, 99.9} {
		at := min(int(float64(len(all))*p/100), len(all)-1)
		b.ReportMetric(float64(all[at].Microseconds())/1e3, fmt.Sprintf("%s-p%v-ms", name, p))
	}
}
