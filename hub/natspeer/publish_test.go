package natspeer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"golang.org/x/sync/semaphore"
)

// publishAsync publishes without waiting for one acknowledgement before the next
// packet.
func publishAsync(ctx context.Context, conn *nats.Conn, c *consignment, sender int) error {
	refused := make(chan error, 1)
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(inFlight/senders),
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, m *nats.Msg, ack *jetstream.PubAck) {
			n, err := c.numberOf(m.Data)
			if err == nil && ack.Duplicate {
				err = fmt.Errorf("packet %d was taken for a duplicate", n)
			}
			if err != nil {
				tell(refused, err)
				return
			}
			c.acknowledged(sender, n)
		}),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, _ *nats.Msg, err error) { tell(refused, err) }))
	if err != nil {
		return err
	}
	for n := sender; n < c.count; n += senders {
		if _, err := js.PublishMsgAsync(c.message(n), jetstream.WithStallWait(time.Minute)); err != nil {
			return fmt.Errorf("publish packet %d: %w", n, err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-refused:
		return err
	default:
		return nil
	}
}

// tell keeps the first error.
func tell(to chan<- error, err error) {
	select {
	case to <- err:
	default:
	}
}

// perBatch and batchesInFlight are the batches of one publisher; the server takes 50
// unfinished ones of a stream.
const (
	perBatch        = 512
	batchesInFlight = 4
)

// publishBatches publishes atomic batches: only the last packet of each, which commits
// it, is acknowledged.
func publishBatches(ctx context.Context, conn *nats.Conn, c *consignment, sender int) error {
	window, refused := semaphore.NewWeighted(batchesInFlight), make(chan error, 1)
	inbox := conn.NewRespInbox()
	subscription, err := conn.Subscribe(inbox+".*", func(m *nats.Msg) {
		if err := c.committed(sender, strings.TrimPrefix(m.Subject, inbox+"."), m.Data); err != nil {
			tell(refused, err)
		}
		window.Release(1)
	})
	if err != nil {
		return err
	}
	for first := sender; first < c.count; first += perBatch * senders {
		if err := window.Acquire(ctx, 1); err != nil {
			return err
		}
		if err := c.publishBatch(conn, first, inbox); err != nil {
			return err
		}
	}
	if err := window.Acquire(ctx, batchesInFlight); err != nil { // all are back
		return err
	}
	select {
	case err = <-refused:
	default:
	}
	return errors.Join(err, subscription.Unsubscribe())
}

// publishBatch publishes one batch of a sender; the answer comes to the inbox, under
// the number of its first packet.
func (c *consignment) publishBatch(conn *nats.Conn, first int, inbox string) error {
	id := nuid.Next()
	for i := range perBatch {
		n := first + i*senders
		m := c.message(n)
		m.Header.Set("Nats-Batch-Id", id)
		m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		last := i == perBatch-1 || n+senders >= c.count
		if last {
			m.Header.Set("Nats-Batch-Commit", "1")
			m.Reply = inbox + "." + strconv.Itoa(first)
		}
		if err := conn.PublishMsg(m); err != nil {
			return fmt.Errorf("publish packet %d: %w", n, err)
		}
		if last {
			break
		}
	}
	return conn.FlushTimeout(time.Minute)
}

// committed takes the server's answer to the batch that begins with a packet.
func (c *consignment) committed(sender int, begins string, answer []byte) error {
	var ack struct {
		Count int              `json:"count"`
		Error *json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(answer, &ack); err != nil || ack.Error != nil {
		return fmt.Errorf("a batch was refused: %s", answer)
	}
	first, err := strconv.Atoi(begins)
	if err != nil {
		return fmt.Errorf("answer to a batch: %w", err)
	}
	for i := range ack.Count {
		c.acknowledged(sender, first+i*senders)
	}
	return nil
}
