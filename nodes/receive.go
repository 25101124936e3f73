package nodes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// ErrReceiving means that the Client is receiving already.
var ErrReceiving = errors.New("this client is receiving already")

// DefaultCredit is how many deliveries the hub may send ahead.
const DefaultCredit = 256

// partingTime bounds how long the last acknowledgements may take when Receive
// ends; what the hub has not taken by then is delivered again.
const partingTime = 5 * time.Second

// ReceiveOptions are options of Receive; zero values mean the defaults.
type ReceiveOptions struct {
	// Credit bounds the deliveries that are on their way or wait for the handler;
	// default DefaultCredit.
	Credit int
	// Seen defaults to one in memory that lives as long as the Client.
	Seen Seen
	// Acknowledged, where given, is told which deliveries the hub has confirmed to
	// be done with. It is called where handle is, not at the same time.
	Acknowledged func(sequences []uint64)
}

type handler = func(context.Context, *exchangev1.Delivery) error

// Receive hands what is addressed to the node to handle, one delivery after
// another, and acknowledges each when handle has returned nil. Packets of one
// sender and subject come in the order they were accepted, across cuts and
// restarts. What was handled before is acknowledged again and not handed out.
//
// Where handle returns a *Rejection, wrapped or not, the hub is told, and Receive goes
// on: the delivery comes again after a while, and what comes after it of the same
// sender and subject not before it, unless it has become a dead letter.
//
// It receives until ctx ends, and returns nil then; until handle returns another
// error, and returns that: the delivery stays in the hub's inbox and comes first the next
// time; or until the hub refuses for good, with a *Refused. Acknowledgements of
// what was handled, and rejections, are sent before it returns. A cut of the connection does not
// end the context of handle. One Receive runs per Client: ErrReceiving otherwise.
func (c *Client) Receive(ctx context.Context, handle func(context.Context, *exchangev1.Delivery) error, opts ReceiveOptions) error {
	if !c.receiving.CompareAndSwap(false, true) {
		return ErrReceiving
	}
	defer c.receiving.Store(false)
	if opts.Credit <= 0 {
		opts.Credit = DefaultCredit
	}
	if opts.Seen == nil {
		opts.Seen = c.seen
	}
	err := c.persist(ctx, "receive", func(ctx context.Context) (bool, error) {
		return c.receive(ctx, handle, opts)
	})
	var failed final
	if errors.As(err, &failed) {
		err = failed.error
	}
	if ended := ctx.Err(); ended != nil && (failed.error == nil || errors.Is(err, ended)) {
		return nil
	}
	return err
}

// receive is one stream: one goroutine reads frames, one sends acknowledgements,
// rejections and credit, this one handles deliveries.
func (c *Client) receive(ctx context.Context, handle handler, opts ReceiveOptions) (lived bool, err error) {
	// The stream outlives ctx by partingTime, for the last acknowledgements.
	streamCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	letGo := context.AfterFunc(ctx, cancel)
	stream, err := c.exchange.Receive(streamCtx, grpc.WaitForReady(true))
	letGo()
	if err != nil {
		return false, fmt.Errorf("open stream: %w", err)
	}
	r := &receiver{
		stream: stream, handle: handle, opts: opts, rejected: newRejections(),
		frames: make(chan *exchangev1.ReceiveResponse), ended: make(chan error, 1),
		handled: make(chan struct{}, 1), over: make(chan struct{}),
	}
	running.Go(func() { r.read(streamCtx) })
	running.Go(func() { r.acknowledge(streamCtx) })
	lived, err = r.deliver(ctx)
	var ends final
	if errors.As(err, &ends) || ctx.Err() != nil {
		r.part()
	}
	return lived, err
}

type receiver struct {
	stream grpc.BidiStreamingClient[exchangev1.ReceiveRequest, exchangev1.ReceiveResponse]
	handle handler
	opts   ReceiveOptions
	frames chan *exchangev1.ReceiveResponse
	ended  chan error // what read ended with; closed then

	rejected rejections // not confirmed

	mu      sync.Mutex
	untold  untold
	handled chan struct{} // has a token when untold may hold something
	over    chan struct{} // closed when untold will hold no more
}

// untold is what the hub has not been told yet.
type untold struct {
	acknowledge []uint64
	reject      []*exchangev1.Rejection
	takenBack   int // deliveries that were passed over
}

func (r *receiver) read(ctx context.Context) {
	defer close(r.ended)
	for {
		frame, err := r.stream.Recv()
		if err != nil {
			r.ended <- err
			return
		}
		select {
		case r.frames <- frame:
		case <-ctx.Done():
			r.ended <- ctx.Err()
			return
		}
	}
}

// deliver hands out deliveries until the stream or ctx ends, or handle fails.
func (r *receiver) deliver(ctx context.Context) (lived bool, err error) {
	for {
		select {
		case frame := <-r.frames:
			lived = true
			r.confirmed(frame)
			for _, d := range frame.GetDeliveries() {
				if ctx.Err() != nil {
					return lived, fmt.Errorf("deliver: %w", context.Cause(ctx))
				}
				if err := r.one(ctx, d); err != nil {
					return lived, final{err}
				}
			}
		case err := <-r.ended:
			if errors.Is(err, io.EOF) {
				err = streamEnded()
			}
			return lived, fmt.Errorf("read deliveries: %w", err)
		case <-ctx.Done():
			return lived, fmt.Errorf("deliver: %w", context.Cause(ctx))
		}
	}
}

func (r *receiver) confirmed(frame *exchangev1.ReceiveResponse) {
	r.rejected.confirm(frame.GetRejected())
	if sequences := frame.GetAcknowledged(); len(sequences) > 0 && r.opts.Acknowledged != nil {
		r.opts.Acknowledged(sequences)
	}
}

func (r *receiver) one(ctx context.Context, d *exchangev1.Delivery) error {
	sequence := d.GetPacket().GetSequence()
	if r.rejected.takenBack(d) {
		r.tell(func(to *untold) { to.takenBack++ })
		return nil
	}
	if !r.opts.Seen.Contains(sequence) {
		err := r.handle(ctx, d)
		if rejection, isOne := errors.AsType[*Rejection](err); isOne {
			r.rejected.add(d)
			r.tell(func(to *untold) { to.reject = append(to.reject, rejection.message(sequence)) })
			return nil
		}
		if err != nil {
			return err
		}
		r.opts.Seen.Add(sequence)
	}
	r.tell(func(to *untold) { to.acknowledge = append(to.acknowledge, sequence) })
	return nil
}

// tell adds to what the hub will be told.
func (r *receiver) tell(add func(*untold)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.untold)
	select {
	case r.handled <- struct{}{}:
	default:
	}
}

// acknowledge grants credit, then sends what was handled as it comes: one frame
// takes all that gathered while the one before was sent. Each delivery that is done
// with, in whatever way, grants the credit for one more.
func (r *receiver) acknowledge(ctx context.Context) {
	frame := &exchangev1.ReceiveRequest{Credit: uint32(r.opts.Credit)} //nolint:gosec // an option, small
	for over := false; ; {
		if frame != nil && r.stream.Send(frame) != nil {
			return // why is for read to say
		}
		if frame = r.batch(); frame != nil {
			continue
		}
		if over {
			_ = r.stream.CloseSend() // a broken stream is read's to notice
			return
		}
		select {
		case <-r.handled:
			frame = r.batch()
		case <-r.over:
			over = true
		case <-ctx.Done():
			return
		}
	}
}

// What is told in one frame; the hub takes more.
const (
	acknowledgementsPerFrame = 4096
	rejectionsPerFrame       = 256
)

// batch takes out of untold what goes into one frame; nil where there is nothing.
func (r *receiver) batch() *exchangev1.ReceiveRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := &r.untold
	frame := &exchangev1.ReceiveRequest{
		Acknowledge: all.acknowledge[:min(len(all.acknowledge), acknowledgementsPerFrame)],
		Reject:      all.reject[:min(len(all.reject), rejectionsPerFrame)],
	}
	credit := len(frame.GetAcknowledge()) + len(frame.GetReject()) + all.takenBack
	if credit == 0 {
		return nil
	}
	frame.Credit = uint32(credit) //nolint:gosec // no more than was granted before
	all.acknowledge, all.reject, all.takenBack = all.acknowledge[len(frame.GetAcknowledge()):], all.reject[len(frame.GetReject()):], 0
	return frame
}

// part waits until the hub has taken the last acknowledgements and ended the
// stream, or partingTime has passed. Deliveries that still come stay unhandled.
func (r *receiver) part() {
	close(r.over)
	timer := time.NewTimer(partingTime)
	defer timer.Stop()
	for {
		select {
		case frame := <-r.frames:
			r.confirmed(frame)
		case <-r.ended:
			return
		case <-timer.C:
			return
		}
	}
}
