package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes"
)

func statusCommand() *cobra.Command {
	var options deliveryOptions
	cmd := &cobra.Command{
		Use:   "status [SEQUENCE]",
		Short: "Tell how far a packet has got, or what waits for this node",
		Long: `With the sequence of a receipt, tells of a packet that this node submitted, a line for
each recipient: it waits, it was acknowledged, or it is a dead letter, with the reason
that the recipient gave. Of what a recipient has rejected and the hub will deliver again,
it tells how often it was delivered, why it was rejected, and when it goes out next. Of a
packet that this node received, it tells the same of this node alone.

Without a sequence, tells how many packets wait for this node, how large they are, of how
much may wait, and since when the oldest does.`,
		Example: "  lienthong node status --profile motcua 1\n  lienthong node status --profile dvcqg",
		Args:    atMostOne("the sequence of a packet"),
		RunE: func(cmd *cobra.Command, args []string) error {
			sequences, err := sequencesOf("SEQUENCE", args)
			if err != nil {
				return err
			}
			return asNode(cmd, options, func(ctx context.Context, c *nodes.Client, say speech) error {
				if len(sequences) == 0 {
					return printInbox(ctx, cmd, c, say)
				}
				deliveries, err := c.DeliveryStatus(ctx, sequences[0])
				if err != nil {
					return err
				}
				for _, d := range deliveries {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", d.GetRecipient(), stateOf(d, say)) //nolint:errcheck // terminal output
				}
				return nil
			})
		},
	}
	options.flags(cmd)
	return cmd
}

func stateOf(d *exchangev1.DeliveryStatus, say speech) string {
	switch d.GetState() {
	case exchangev1.DeliveryStatus_STATE_WAITING:
		return waitingState(d, say)
	case exchangev1.DeliveryStatus_STATE_ACKNOWLEDGED:
		return say.of("đã nhận", "acknowledged")
	case exchangev1.DeliveryStatus_STATE_DEAD:
		return say.of("không giao được: ", "dead letter: ") + printable(d.GetReason()) + fmt.Sprintf(say.of(" (số lần giao: %d)", " (deliveries: %d)"), d.GetAttempts())
	case exchangev1.DeliveryStatus_STATE_DISCARDED:
		return say.of("không giao được, bên nhận đã bỏ: ", "dead letter, which the recipient has discarded: ") + printable(d.GetReason()) + fmt.Sprintf(say.of(" (số lần giao: %d)", " (deliveries: %d)"), d.GetAttempts())
	default:
		return d.GetState().String()
	}
}

// waitingState says of a delivery that waits what it waits for.
func waitingState(d *exchangev1.DeliveryStatus, say speech) string {
	text := say.of("đang chờ", "waiting")
	if d.GetAttempts() > 0 {
		text += fmt.Sprintf(say.of("; số lần đã giao: %d", "; deliveries so far: %d"), d.GetAttempts())
	}
	if d.GetReason() != "" {
		text += say.of("; bị từ chối lần gần nhất: ", "; rejected the last time: ") + printable(d.GetReason())
	}
	if next := d.GetNextAttemptAt(); next != nil {
		text += say.of("; giao lại sớm nhất lúc ", "; goes out again at ") + moment(next.AsTime()) + say.of("", ", or later")
	}
	return text
}

// printInbox says what waits for a node.
func printInbox(ctx context.Context, cmd *cobra.Command, c *nodes.Client, say speech) error {
	inbox, err := c.Inbox(ctx)
	if err != nil {
		return err
	}
	text := fmt.Sprintf(say.of("%s: số gói tin đang chờ: %d", "%s: packets waiting: %d"), c.Node(), inbox.GetDeliveries())
	if inbox.GetDeliveries() > 0 {
		text += ", " + bytesText(inbox.GetBytes(), say)
	}
	if most := inbox.GetMostBytes(); most > 0 {
		text += say.of(" trên tối đa ", " of at most ") + bytesText(most, say)
	}
	if inbox.GetOldest() > 0 {
		text += fmt.Sprintf(say.of("; chờ lâu nhất: số thứ tự %d, tiếp nhận lúc %s", "; waiting longest: sequence %d, accepted at %s"),
			inbox.GetOldest(), moment(inbox.GetOldestAcceptedAt().AsTime()))
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), text); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// bytesText writes a number of bytes in the largest unit of which there is one.
func bytesText(bytes uint64, say speech) string {
	number, unit := float64(bytes), "byte"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if number < 1024 {
			break
		}
		number, unit = number/1024, next
	}
	if unit == "byte" {
		return say.sprintf(say.of("%.0f byte", "%.0f bytes"), number)
	}
	return say.sprintf("%.1f %s", number, unit)
}
