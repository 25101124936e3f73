package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

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
				if len(pulled.GetDeliveries()) == 0 {
					return sayNothing(ctx, cmd, c, say)
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

// sayNothing says why nothing was taken: nothing waits, or what does cannot go out now.
func sayNothing(ctx context.Context, cmd *cobra.Command, c *nodes.Client, say speech) error {
	inbox, err := c.Inbox(ctx)
	if err != nil {
		return err
	}
	text := say.of("không có gói tin nào đang chờ", "nothing waits")
	if inbox.GetDeliveries() > 0 {
		text = fmt.Sprintf(say.of(
			"lúc này không lấy được gói tin nào; số gói tin đang chờ: %d: đã được lấy và còn trong hạn giữ, bị từ chối và sẽ giao lại sau, hoặc đứng sau gói tin như vậy của cùng bên gửi và hồ sơ",
			"nothing can be taken now; packets waiting: %d: they are out under a lease, were rejected and go out again later, or are behind such a one of the same sender and dossier"),
			inbox.GetDeliveries())
		if states, err := c.DeliveryStatus(ctx, inbox.GetOldest()); err == nil && len(states) > 0 {
			text += fmt.Sprintf(say.of("\n  chờ lâu nhất: số thứ tự %d: %s", "\n  waiting longest: sequence %d: %s"), inbox.GetOldest(), stateOf(states[0], say))
		}
	}
	fmt.Fprintln(cmd.ErrOrStderr(), text) //nolint:errcheck // terminal output
	return nil
}

// sayPulled says, apart from the packets, until when they are to be settled, and how.
func sayPulled(cmd *cobra.Command, pulled *exchangev1.PullResponse, profile string, say speech) {
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
never for this node; which of these, is said.`,
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
					refused = m.notWaiting(ctx, done.GetNotWaiting()) || refused
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

// notWaiting says of sequences why nothing was there to be settled.
func (m morgue) notWaiting(ctx context.Context, sequences []uint64) (some bool) {
	for _, sequence := range sequences {
		m.printf("%d: chưa làm gì: %s\n", "%d: nothing was done: %s\n", sequence, m.whyNot(ctx, sequence))
	}
	return len(sequences) > 0
}

// whyNot says why a sequence could not be settled.
func (m morgue) whyNot(ctx context.Context, sequence uint64) string {
	states, err := m.client.DeliveryStatus(ctx, sequence)
	if refused, is := errors.AsType[*nodes.Refused](err); is && refused.Code() == codes.NotFound {
		return printable(m.say.of(refused.Refusal.GetMessageVi(), refused.Refusal.GetMessageEn()))
	}
	own := slices.IndexFunc(states, func(d *exchangev1.DeliveryStatus) bool { return d.GetRecipient() == m.client.Node() })
	if err != nil || own < 0 {
		return m.say.of("không chờ hệ thống này", "it does not wait for this node")
	}
	switch states[own].GetState() {
	case exchangev1.DeliveryStatus_STATE_ACKNOWLEDGED:
		return m.say.of("đã xác nhận trước đó", "it was acknowledged before")
	case exchangev1.DeliveryStatus_STATE_DEAD:
		return m.say.of("nằm trong danh sách không giao được: lienthong node dead-letters", "it is a dead letter: lienthong node dead-letters")
	case exchangev1.DeliveryStatus_STATE_DISCARDED:
		return m.say.of("đã bị từ chối và bỏ trước đó", "it was rejected and discarded before")
	}
	return m.say.of("gói tin đang chờ nhưng không nằm trong tay hệ thống này: chưa được lấy, đã hết hạn giữ, hoặc bị trục thu lại vì gói tin trước của cùng bên gửi và hồ sơ bị từ chối; hãy lấy trước: lienthong node pull",
		"it waits, but is not out with this node: it was not taken, its lease has ended, or it was taken back as one before it of the same sender and dossier was rejected; take it first: lienthong node pull")
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
Later packets of the same sender and dossier wait until then, and are taken back where
they were out; others are not. Packets of no dossier, surveys and statistics, wait so
behind those of the same sender and organisation.

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
		refused = m.notWaiting(ctx, done.GetNotWaiting()) || refused
	}
	if refused {
		return errRefused
	}
	return nil
}
