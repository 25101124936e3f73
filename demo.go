package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/packet"
)

func demoCommand() *cobra.Command {
	var once bool
	var dir string
	cmd := &cobra.Command{
		Use:   "demo [--once] [--data DIR]",
		Short: "Show the product at work on this machine",
		Long: `Starts a hub on free loopback ports with a certificate authority of its own,
registers four nodes through the real enrolment, grants rights, sends packets
through three doors (gRPC stream, REST/XML, REST/JSON), shows who received and
acknowledged what, asks the enterprise register a question, and prints the address
of the public pages.

With --once it ends, and its exit code is 0 only when every packet was delivered
and acknowledged exactly once and every bad one was refused with its violations.
Without, it keeps running and says what to try next.`,
		Example: "  lienthong demo\n  lienthong demo --once\n  lienthong demo --data demo-data",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd, dir, once)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end after the run and judge it by the exit code")
	cmd.Flags().StringVar(&dir, "data", "", "directory to keep hub and nodes in; default: a temporary one, removed at the end")
	return cmd
}

func runDemo(cmd *cobra.Command, dir string, once bool) (err error) {
	if dir == "" {
		temporary, err := os.MkdirTemp("", "lienthong-demo-")
		if err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
		dir = temporary
	}
	d, err := newDemo(cmd.Context(), cmd.OutOrStdout(), dir)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := d.run(cmd.Context(), once); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("demo: %w", err)
	}
	return nil
}

// run runs the hub and its nodes until the play is over or, if it stays, until
// ctx ends. The first failure of anything ends everything.
func (d *demo) run(ctx context.Context, once bool) error {
	tasks, ctx := errgroup.WithContext(ctx)
	ctx, finish := context.WithCancel(ctx)
	defer finish()
	tasks.Go(func() error { return d.hub.Run(ctx) })
	tasks.Go(func() error {
		defer finish()
		if err := d.prepare(ctx); err != nil {
			return err
		}
		tasks.Go(func() error { return d.receive(ctx) })
		tasks.Go(func() error { return d.answer(ctx) })
		if err := d.play(ctx); err != nil || once {
			return err
		}
		return d.stay(ctx)
	})
	return errors.Join(tasks.Wait(), d.closeNodes())
}

// demo is a hub with four nodes, and what has happened on it.
type demo struct {
	out     io.Writer
	dir     string
	hub     *hub.Hub
	codec   *packet.Codec
	board   *board
	nodes   []*demoNode
	sent    []sentPacket
	refused []*refusal
}

func newDemo(ctx context.Context, out io.Writer, dir string) (*demo, error) {
	codec, err := packet.NewCodec(packet.Options{})
	if err != nil {
		return nil, err
	}
	if err := takeDirectory(dir); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(dir, "hub.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("hub log: %w", err)
	}
	running, err := hub.New(ctx, hub.Config{
		DataDir: filepath.Join(dir, "hub"), Name: "demo.lienthong",
		GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0", Web: "127.0.0.1:0",
		Logger: slog.New(slog.NewJSONHandler(log, nil)),
	})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return &demo{out: out, dir: dir, hub: running, codec: codec, board: newBoard()}, nil
}

// demoMark stands in directories that a demo has made, so that it takes no other.
const demoMark = ".lienthong-demo"

func takeDirectory(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	mark := filepath.Join(dir, demoMark)
	if _, err := os.Stat(mark); err != nil && len(entries) > 0 {
		return fmt.Errorf("%s holds something that no demo has made; name an empty or a new directory", dir)
	}
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

// playWithin bounds the whole run: on the slowest machine it takes seconds.
const playWithin = 3 * time.Minute

// prepare registers the nodes and grants their rights.
func (d *demo) prepare(ctx context.Context) error {
	d.say("Liên Thông demo: a hub and four nodes on this machine.\n")
	d.say("  gRPC %s · HTTPS %s · public pages %s\n", d.hub.GRPCAddress(), d.hub.EdgeURL(), d.hub.WebURL())
	return inOrder(ctx, d.enrol, d.grant, d.writeSamples)
}

// play shows everything once. An error means that something that was promised
// did not happen.
func (d *demo) play(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, playWithin)
	defer cancel()
	return inOrder(ctx, d.ask, d.exchange, d.showOnePacket, d.showPage)
}

// inOrder takes steps until one fails.
func inOrder(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// say writes to the terminal; a terminal that has gone is noticed elsewhere.
func (d *demo) say(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format, args...) }

// heading starts a part of the output.
func (d *demo) heading(title string) { d.say("\n%s\n", title) }
