package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes"
)

func pullCommand() *cobra.Command {
	var options deliveryOptions
	var to receiveOptions
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "pull",
		Short: "Take some of what waits, to acknowledge or reject it by hand",
		Long: `Takes some of the packets that wait for this node and writes each to a file of its own
in --dir, or to standard output, as receive does; but acknowledges none. Until the lease
ends, which is said, each is this command's: settle it with ack or reject, by its
sequence. What was not settled by then is delivered again.`,
		Example: `  lienthong node pull --profile portal --dir inbox/ --count 5
  lienthong node ack --profile portal 7 8`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to.count < 1 || to.count > 1024 {
				return usage("--count %d: 1 to 1024 is expected", to.count)
			}
			if wait < 0 || wait > time.Minute || wait%time.Second != 0 {
				return usage("--wait %s: whole seconds from 0s to 60s are expected", wait)
			}
			write, err := packetWriter(cmd, to)
			if err != nil {
				return err
			}
			return asNode(cmd, options, func(ctx context.Context, c *nodes.Client, say speech) error {
				pulled, err := c.Pull(ctx, &exchangev1.PullRequest{Max: uint32(to.count), WaitSeconds: uint32(wait / time.Second)}) //nolint:gosec // in bounds
				if err != nil {
					return err
				}
				for _, d := range pulled.GetDeliveries() {
					if err := putDelivery(ctx, cmd, c, d, to.dir, write); err != nil {
						return err
					}
				}
				sayPulled(cmd, pulled, options.profile, say)
				return nil
			})
		},
	}
	options.flags(cmd)
	cmd.Flags().StringVar(&to.dir, "dir", "", "directory to write packets to, one file each; default: standard output")
	cmd.Flags().StringVar(&to.format, "format", "xml", "format to write: xml, json, or original for the sender's own bytes; large packets always as the last")
	cmd.Flags().IntVar(&to.count, "count", 1, "take at most this many")
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait for the first, up to 60s")
	return cmd
}

// sayPulled says, apart from the packets, until when they are to be settled, and how.
func sayPulled(cmd *cobra.Command, pulled *exchangev1.PullResponse, profile string, say speech) {
	if len(pulled.GetDeliveries()) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), say.of("không có gói tin nào đang chờ", "nothing waits")) //nolint:errcheck // terminal output
		return
	}
	first := pulled.GetDeliveries()[0].GetPacket().GetSequence()
	fmt.Fprintf(cmd.ErrOrStderr(), say.of( //nolint:errcheck // terminal output
		"đã lấy: %d; giữ đến %s\nTiếp theo: lienthong node ack --profile %s %d ..., hoặc lienthong node reject --profile %[3]s %[4]d --reason TEXT\n",
		"taken: %d; yours until %s\nNext: lienthong node ack --profile %s %d ..., or lienthong node reject --profile %[3]s %[4]d --reason TEXT\n"),
		len(pulled.GetDeliveries()), moment(pulled.GetLeaseUntil().AsTime()), profile, first)
}

func ackCommand() *cobra.Command {
	var options deliveryOptions
	cmd := &cobra.Command{
		Use:   "ack SEQUENCE...",
		Short: "Acknowledge packets: they are not delivered again",
		Long: `Says that packets are done with, by their sequences, such as after pull: they are not
delivered again. Of each is said what became of it. Exit code 1 when one that was named
does not wait for this node: it was acknowledged before, it is a dead letter, or it was
never for this node.`,
		Example: "  lienthong node ack --profile portal 7 8",
		Args:    atLeastOne("the sequence of a packet"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sequences, err := sequencesOf("SEQUENCE", args)
			if err != nil {
				return err
			}
			return asNode(cmd, options, func(ctx context.Context, c *nodes.Client, say speech) error {
				m, refused := morgue{cmd: cmd, client: c, say: say}, false
				for some := range slices.Chunk(sequences, atOnce) {
					done, err := c.Acknowledge(ctx, some...)
					if err != nil {
						return err
					}
					for _, sequence := range done.GetAcknowledged() {
						m.printf("%d: đã xác nhận\n", "%d: acknowledged\n", sequence)
					}
					refused = m.notWaiting(done.GetNotWaiting()) || refused
				}
				if refused {
					return errRefused
				}
				return nil
			})
		},
	}
	options.flags(cmd)
	return cmd
}

// notWaiting says of sequences that nothing was there to be settled.
func (m morgue) notWaiting(sequences []uint64) bool {
	for _, sequence := range sequences {
		m.printf("%d: không chờ hệ thống này: đã xác nhận trước đó, nằm trong danh sách không giao được, hoặc không gửi cho hệ thống này\n",
			"%d: does not wait for this node: it was acknowledged before, is a dead letter, or was never for this node\n", sequence)
	}
	return len(sequences) > 0
}

func rejectCommand() *cobra.Command {
	var options deliveryOptions
	var reason string
	var final bool
	cmd := &cobra.Command{
		Use:   "reject SEQUENCE... --reason TEXT",
		Short: "Say that packets cannot be handled, and why",
		Long: `Says that packets that were taken with pull cannot be handled, by their sequences. Each
is delivered again after a while, which doubles each time; after as many rejections as
the hub allows, or at once with --final, it becomes a dead letter: see dead-letters.
Later packets of the same sender and dossier wait until then, others do not.

The packet's sender sees the reason: no personal data. Exit code 1 when one that was
named is not out with this node.`,
		Example: `  lienthong node reject --profile portal 7 --reason "the archive is down"
  lienthong node reject --profile portal 8 --final --reason "no such service here"`,
		Args: atLeastOne("the sequence of a packet"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sequences, err := sequencesOf("SEQUENCE", args)
			if err != nil {
				return err
			}
			if reason == "" {
				return usage("--reason TEXT is required: why, for the packet's sender")
			}
			return asNode(cmd, options, func(ctx context.Context, c *nodes.Client, say speech) error {
				return morgue{cmd: cmd, client: c, say: say}.reject(ctx, sequences, reason, final)
			})
		},
	}
	options.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for people, at most 500 characters")
	cmd.Flags().BoolVar(&final, "final", false, "trying again will not help: a dead letter at once")
	return cmd
}

// reject rejects deliveries, and says of each what became of it.
func (m morgue) reject(ctx context.Context, sequences []uint64, reason string, final bool) error {
	refused := false
	for some := range slices.Chunk(sequences, atOnce) {
		rejections := make([]*exchangev1.Rejection, len(some))
		for i, sequence := range some {
			rejections[i] = &exchangev1.Rejection{Sequence: sequence, Reason: reason, Final: final}
		}
		done, err := m.client.Reject(ctx, rejections...)
		if err != nil {
			return err
		}
		for _, sequence := range done.GetRejected() {
			m.printf("%d: đã từ chối, sẽ được giao lại sau\n", "%d: rejected, will be delivered again later\n", sequence)
		}
		for _, sequence := range done.GetDead() {
			m.printf("%d: đã từ chối, chuyển vào danh sách không giao được\n", "%d: rejected, is a dead letter now\n", sequence)
		}
		for _, sequence := range done.GetNotWaiting() {
			refused = true
			m.printf("%d: không nằm trong tay hệ thống này: hãy lấy trước (lienthong node pull); hoặc đã xác nhận, hết hạn giữ, hay không gửi cho hệ thống này\n",
				"%d: is not out with this node: take it first (lienthong node pull); or it was acknowledged, its lease has ended, or it was never for this node\n", sequence)
		}
	}
	if refused {
		return errRefused
	}
	return nil
}
