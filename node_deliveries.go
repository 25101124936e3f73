package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes"
)

// deliveryOptions are what commands about deliveries are told.
type deliveryOptions struct {
	profile, lang string
	timeout       time.Duration
}

func (o *deliveryOptions) flags(cmd *cobra.Command) {
	profileFlag(cmd, &o.profile)
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "how long to wait for the hub")
	langFlag(cmd, &o.lang, "language of what is printed")
}

// asNode runs a task as the node of a profile.
func asNode(cmd *cobra.Command, o deliveryOptions, task func(context.Context, *nodes.Client, speech) error) (err error) {
	if o.timeout <= 0 {
		return usage("--timeout %s: more than nothing is expected, e.g. 30s", o.timeout)
	}
	say, err := speechOf(o.lang)
	if err != nil {
		return err
	}
	tell := teller{cmd, say, o.profile}
	client, err := nodes.DialProfile(o.profile, tell.nodeConfig())
	if err != nil {
		return tell.explained(err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	return tell.explained(task(ctx, client, say))
}

func deadLettersCommand() *cobra.Command {
	var options deliveryOptions
	var redeliver, discard []string
	var all bool
	cmd := &cobra.Command{
		Use:   "dead-letters",
		Short: "List this node's dead letters, deliver them anew, or do away with them",
		Long: `Lists the packets that this node has rejected until the hub gave them up: sequence, how
often it was delivered, when it was given up, and the reason. With --redeliver or --all
they go back into the node's inbox, to be received or pulled anew; with --discard they
are done with, and never delivered: their senders see that they were discarded, and why
they were rejected. Exit code 1 when one that was named is no dead letter.`,
		Example: `  lienthong node dead-letters --profile dvcqg
  lienthong node dead-letters --profile dvcqg --redeliver 7,9
  lienthong node dead-letters --profile dvcqg --discard 8`,
		Args: noArguments,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		again, err := sequencesOf("--redeliver", redeliver)
		if err != nil {
			return err
		}
		gone, err := sequencesOf("--discard", discard)
		if err != nil {
			return err
		}
		if all && len(again)+len(gone) > 0 || len(again) > 0 && len(gone) > 0 {
			return usage("one of --redeliver, --discard and --all is expected, not several")
		}
		return asNode(cmd, options, func(ctx context.Context, c *nodes.Client, say speech) error {
			m := morgue{cmd: cmd, client: c, say: say}
			switch {
			case all:
				return m.redeliverAll(ctx)
			case len(again) > 0:
				return m.settle(ctx, again, c.Redeliver)
			case len(gone) > 0:
				return m.settle(ctx, gone, c.Discard)
			}
			return m.list(ctx)
		})
	}
	options.flags(cmd)
	cmd.Flags().StringSliceVar(&redeliver, "redeliver", nil, "sequences to deliver anew, with commas between them")
	cmd.Flags().StringSliceVar(&discard, "discard", nil, "sequences to do away with, with commas between them")
	cmd.Flags().BoolVar(&all, "all", false, "deliver all of them anew")
	return cmd
}

// sequencesOf reads sequences of packets.
func sequencesOf(what string, said []string) ([]uint64, error) {
	var sequences []uint64
	for _, text := range said {
		sequence, err := strconv.ParseUint(text, 10, 64)
		if err != nil || sequence == 0 {
			return nil, usage("%s %q: the sequence of a packet is expected, a whole number from 1", what, text)
		}
		sequences = append(sequences, sequence)
	}
	return sequences, nil
}

// morgue lists and settles the dead letters of a node.
type morgue struct {
	cmd    *cobra.Command
	client *nodes.Client
	say    speech
}

// atOnce is how many dead letters are fetched, or settled, by one call.
const atOnce = 1000

// each calls do with the dead letters, some at a time, until there are no more.
func (m morgue) each(ctx context.Context, do func([]*exchangev1.DeadLetter) error) error {
	for after := uint64(0); ; {
		letters, err := m.client.DeadLetters(ctx, after, atOnce)
		if err != nil || len(letters) == 0 {
			return err
		}
		if err := do(letters); err != nil {
			return err
		}
		after = letters[len(letters)-1].GetSequence()
	}
}

func (m morgue) list(ctx context.Context) error {
	found := false
	err := m.each(ctx, func(letters []*exchangev1.DeadLetter) error {
		found = true
		for _, letter := range letters {
			m.printf("%d: lần giao: %d, dừng lúc %s: %s\n", "%d: deliveries: %d, given up at %s: %s\n", letter.GetSequence(), letter.GetAttempts(),
				inVietnam(letter.GetGivenUpAt().AsTime()).Format("2006-01-02 15:04:05 -07"), printable(letter.GetReason()))
		}
		return nil
	})
	if err == nil && !found {
		m.printf("không có gói tin nào không giao được\n", "there are no dead letters\n")
	}
	return err
}

func (m morgue) redeliverAll(ctx context.Context) error {
	var all []uint64
	err := m.each(ctx, func(letters []*exchangev1.DeadLetter) error {
		for _, letter := range letters {
			all = append(all, letter.GetSequence())
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(all) == 0 {
		m.printf("không có gói tin nào không giao được\n", "there are no dead letters\n")
	}
	return m.settle(ctx, all, m.client.Redeliver)
}

// settle settles dead letters, and says of each what became of it.
func (m morgue) settle(ctx context.Context, sequences []uint64, by func(context.Context, ...uint64) (*exchangev1.SettleDeadLettersResponse, error)) error {
	refused := false
	for some := range slices.Chunk(sequences, atOnce) {
		settled, err := by(ctx, some...)
		if err != nil {
			return err
		}
		for _, sequence := range settled.GetRedelivered() {
			m.printf("%d: đã trở lại hộp thư, sẽ được giao lại\n", "%d: is in the inbox again, to be delivered anew\n", sequence)
		}
		for _, sequence := range settled.GetDiscarded() {
			m.printf("%d: đã bỏ, sẽ không được giao nữa\n", "%d: done away with, will not be delivered again\n", sequence)
		}
		for _, sequence := range settled.GetNotDead() {
			refused = true
			m.printf("%d: không nằm trong danh sách không giao được của hệ thống này\n", "%d: is no dead letter of this node\n", sequence)
		}
	}
	if refused {
		return errRefused
	}
	return nil
}

func (m morgue) printf(vi, en string, args ...any) {
	fmt.Fprintf(m.cmd.OutOrStdout(), m.say.of(vi, en), args...) //nolint:errcheck // terminal output
}
