package main_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// frames is a sender without the SDK: it writes its own frames, with the same
// envelope twice in one of them, or the same id with other content.
type frames struct {
	load    *load
	node    string
	lane    string
	client  exchangev1.ExchangeServiceClient
	random  *rand.Rand
	n       int
	pending []sent // without an answer, in the order they were sent
}

func (l *load) newFrames(t *testing.T, node, lane, profile string) *frames {
	t.Helper()
	at, source, err := certs.LoadProfile(profile, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(at.Address, grpc.WithTransportCredentials(credentials.NewTLS(certs.ClientConfig(source, at.ServerName(), nil))),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: time.Millisecond, Multiplier: 2, Jitter: 1, MaxDelay: 20 * time.Millisecond},
			MinConnectTimeout: 10 * time.Second,
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &frames{load: l, node: node, lane: lane, client: exchangev1.NewExchangeServiceClient(conn), random: l.random("frames " + lane)}
}

// run sends one stream of frames after another, and ends when there is nothing new
// to send and everything is answered.
func (f *frames) run(ctx context.Context) {
	f.load.every(ctx, 15*time.Millisecond, func() { f.stream(ctx, f.newEnvelopes()) })
	for len(f.pending) > 0 && pause(ctx, time.Millisecond) {
		f.stream(ctx, nil)
	}
	if len(f.pending) > 0 {
		f.load.complain(ctx, "%d envelopes of %s have no answer", len(f.pending), f.node)
	}
}

func (f *frames) newEnvelopes() []sent {
	var fresh []sent
	for range 1 + f.random.IntN(20) {
		env, subject := f.load.fresh(f.lane, f.n, f.random)
		f.n++
		e := sent{env, subject}
		switch f.random.IntN(10) {
		case 0:
			fresh = append(fresh, e, e)
		case 1:
			fresh = append(fresh, e, sent{f.load.otherwise(env, subject), subject})
		case 2:
			env.Content = fmt.Appendf(nil, "no packet %d", f.n)
			fresh = append(fresh, e)
		default:
			fresh = append(fresh, e)
		}
	}
	return fresh
}

// stream sends what has no answer, then what is new, and reads to the end.
func (f *frames) stream(ctx context.Context, fresh []sent) {
	f.pending = append(f.pending, fresh...)
	for _, e := range f.pending {
		f.load.history.Submitted(f.lane, f.node, e.subject, e.envelope)
	}
	results, err := f.exchange(ctx)
	f.settle(results)
	if err != nil && !errors.Is(err, io.EOF) && !again(err) {
		f.load.complain(ctx, "stream of %s: %v", f.node, err)
	}
}

func (f *frames) exchange(ctx context.Context) (results []*exchangev1.SubmitResult, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := f.client.SubmitStream(ctx, grpc.WaitForReady(true))
	if err != nil {
		return nil, err
	}
	for chunk := range slices.Chunk(f.pending, 1+f.random.IntN(64)) {
		frame := &exchangev1.SubmitStreamRequest{}
		for _, e := range chunk {
			frame.Envelopes = append(frame.Envelopes, e.envelope)
		}
		if stream.Send(frame) != nil {
			break // why is for Recv to say
		}
	}
	_ = stream.CloseSend()
	for {
		frame, err := stream.Recv()
		if err != nil {
			return results, err
		}
		results = append(results, frame.GetResults()...)
	}
}

func digestOf(e sent) string {
	sum := sha256.Sum256(e.envelope.GetContent())
	return string(sum[:])
}

// settle takes from what is pending what has an answer. Results name an id and not
// a content: a receipt says which it is for, and a refusal is for the one that is
// left, where one is.
func (f *frames) settle(results []*exchangev1.SubmitResult) {
	for _, result := range results {
		if r := result.GetReceipt(); r != nil {
			digest := f.load.took(f.node, result.GetId(), r).GetContentSha256()
			f.answered(result.GetId(), func(e sent) bool { return digestOf(e) == string(digest) })
		}
	}
	for _, result := range results {
		refusal := result.GetRefusal()
		if refusal == nil || notNow(codes.Code(refusal.GetCode())) { //nolint:gosec // codes are small
			continue
		}
		left := slices.DeleteFunc(slices.Clone(f.pending), func(e sent) bool { return e.envelope.GetId() != result.GetId() })
		if len(left) == 1 {
			f.load.history.Refused(f.node, left[0].envelope, refusal.GetReason())
			f.answered(result.GetId(), func(sent) bool { return true })
		}
	}
}

func (f *frames) answered(id string, which func(sent) bool) {
	f.pending = slices.DeleteFunc(f.pending, func(e sent) bool { return e.envelope.GetId() == id && which(e) })
}

// notNow reports whether a refusal is to be followed by another attempt.
func notNow(code codes.Code) bool {
	return code == codes.Unavailable || code == codes.Aborted || code == codes.Canceled || code == codes.DeadlineExceeded || code == codes.ResourceExhausted
}
