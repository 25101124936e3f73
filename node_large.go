package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes"
)

// putLarge puts the content of a large packet where it was asked for, as it comes and
// as its sender wrote it. A file is there once all of it is, and compared with its
// SHA-256.
func putLarge(ctx context.Context, cmd *cobra.Command, client *nodes.Client, dir string, d *exchangev1.Delivery) (err error) {
	p := d.GetPacket()
	sayReceived(cmd, p)
	content := client.Open(ctx, p)
	defer func() { err = errors.Join(err, content.Close()) }()
	if dir == "" {
		if _, err := io.Copy(cmd.OutOrStdout(), content); err != nil {
			return fmt.Errorf("write packet %d: %w", p.GetSequence(), err)
		}
		return nil
	}
	if err := certs.WriteFileFrom(packetFile(dir, p, p.GetEnvelope().GetFormat()), content, 0o600); err != nil {
		return fmt.Errorf("packet %d: %w", p.GetSequence(), err)
	}
	return nil
}

// submitLarge submits a content in pieces. It waits for the hub for so long while that
// takes nothing: what goes on, if slowly, such as by a quota, may go on.
func submitLarge(ctx context.Context, client *nodes.Client, env *exchangev1.Envelope, content []byte, patience time.Duration) (*nodes.Accepted, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	size := int64(len(content))
	idle := time.AfterFunc(patience, func() { end(context.DeadlineExceeded) })
	defer idle.Stop()
	read := &watched{content: content, progress: func() { idle.Reset(patience) }}
	accepted, err := client.SubmitLarge(ctx, env, read, size)
	if err != nil && context.Cause(ctx) == context.DeadlineExceeded {
		if sent := read.uploaded(); sent > 0 {
			return nil, &slowError{sent: sent, size: size}
		}
	}
	return accepted, err
}

// slowError means that a part of an upload is on its way, or all of it, and the hub has
// taken nothing for a while. Before all of it was sent, the packet cannot be accepted.
type slowError struct{ sent, size int64 }

// Error implements error.
func (s *slowError) Error() string { return fmt.Sprintf("%d of %d bytes were sent", s.sent, s.size) }

// watched is a content that is watched as it is read: once to sum it up, then as it is
// uploaded.
type watched struct {
	content  []byte
	progress func()

	mu       sync.Mutex
	whole    bool // it was read to its end once
	furthest int64
}

// ReadAt implements io.ReaderAt.
func (w *watched) ReadAt(p []byte, at int64) (int, error) {
	w.progress()
	n, err := bytes.NewReader(w.content).ReadAt(p, at)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.whole {
		w.furthest = max(w.furthest, at+int64(n))
	}
	w.whole = w.whole || at+int64(n) >= int64(len(w.content))
	return n, err //nolint:wrapcheck // io.EOF has to stay what it is
}

func (w *watched) uploaded() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.furthest
}
