package main

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes"
)

// stream submits over one pipelined stream, an envelope at a time. Unlike a call,
// a stream has room for every finding of a refusal.
type stream struct {
	client    *nodes.Client
	submitter *nodes.Submitter
	results   chan nodes.Result
}

func openStream(ctx context.Context, client *nodes.Client) (*stream, error) {
	results := make(chan nodes.Result, nodes.DefaultWindowEnvelopes)
	submitter, err := client.OpenSubmitter(ctx, nodes.SubmitterOptions{OnResult: func(r nodes.Result) { results <- r }})
	if err != nil {
		return nil, fmt.Errorf("open stream: %w", err)
	}
	return &stream{client, submitter, results}, nil
}

// submit waits for the envelope's result. After an error that is no refusal, the
// stream is of no more use.
func (s *stream) submit(ctx context.Context, env *exchangev1.Envelope) (*nodes.Accepted, error) {
	if err := s.submitter.Send(ctx, proto.CloneOf(env)); err != nil {
		return nil, fmt.Errorf("submit: %w", err)
	}
	select {
	case result := <-s.results:
		return result.Accepted, result.Err
	case <-ctx.Done():
		_, err := s.client.Inbox(ctx) // which has ended: only to have it said why there was no answer
		return nil, fmt.Errorf("wait for the result: %w", err)
	}
}

// close ends the stream. What it was for has its result, or is given up.
func (s *stream) close() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.submitter.CloseAndWait(ended)
}
