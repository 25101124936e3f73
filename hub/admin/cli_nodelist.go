package admin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
)

func (r *remote) nodeList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List nodes by id",
		Long: `Lists all nodes by id, with their state, the end of their certificate, what waits for
them of what may wait (a number of packets, and how the hub stores them), and how their
packets are read: "strict" where an administrator said so of the node; "strict (hub)"
where the hub itself runs with --strict; else "as hub", which is liberally. A quota is
shown as far as it is a node's own; what it does not say is as the hub has it, which
node set shows.`,
		Example: "  lienthong admin node list\n  lienthong admin node list --output json",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.call(cmd, func(ctx context.Context, hub registryv1.RegistryServiceClient) error {
				answer, err := hub.ListNodes(ctx, &registryv1.ListNodesRequest{})
				if err != nil {
					return err
				}
				return r.print(cmd, answer, func(to io.Writer) error {
					if len(answer.GetNodes()) == 0 {
						return say(to, "No nodes yet. Next: lienthong admin node add ORGANISATION/NAME --kind KIND\n")
					}
					return listTable(to, answer)
				})
			})
		},
	}
}

// listTable lists nodes with what waits for them.
func listTable(to io.Writer, list *registryv1.ListNodesResponse) error {
	header := slices.Insert(nodeHeader(), waitingColumn, "WAITING")
	var rows [][]string
	for i, n := range list.GetNodes() {
		rows = append(rows, slices.Insert(nodeRow(n, list.GetHubStrict()), waitingColumn, waitingText(waitingAt(list, i), inboxBytes(n, list))))
	}
	return columns(to, header, rows)
}

// waitingColumn is before the description, which may be long.
const waitingColumn = 6

func nodeHeader() []string {
	return []string{"ID", "KIND", "STATE", "CERTIFICATE ENDS", "READING", "QUOTA", "DESCRIPTION"}
}

func nodeRow(n *registryv1.Node, hubStrict bool) []string {
	return []string{
		n.GetId(), word(n.GetKind().Descriptor(), n.GetKind().Number()), word(n.GetState().Descriptor(), n.GetState().Number()),
		moment(n.GetCertificateExpiresAt(), "-"), reading(n, hubStrict), quotaText(n.GetQuota(), "as hub"), n.GetDescription(),
	}
}

// waitingAt returns what waits for a node of a list; nil where a hub does not say.
func waitingAt(list *registryv1.ListNodesResponse, i int) *registryv1.Waiting {
	if i >= len(list.GetWaiting()) {
		return nil
	}
	return list.GetWaiting()[i]
}

// inboxBytes returns how much may wait for a node; 0 is no limit.
func inboxBytes(n *registryv1.Node, list *registryv1.ListNodesResponse) uint64 {
	return cmp.Or(n.GetQuota().GetInboxBytes(), list.GetHubQuota().GetInboxBytes())
}

// waitingText writes what waits for a node, of what may: "12, 1.5 MiB of 64 GiB".
func waitingText(waiting *registryv1.Waiting, most uint64) string {
	switch {
	case waiting == nil:
		return "-"
	case waiting.GetDeliveries() == 0:
		return "0"
	case most == 0:
		return fmt.Sprintf("%d, %s", waiting.GetDeliveries(), roughly(waiting.GetBytes()))
	}
	return fmt.Sprintf("%d, %s of %s", waiting.GetDeliveries(), roughly(waiting.GetBytes()), roughly(most))
}

func nodeTable(to io.Writer, hubStrict bool, nodes ...*registryv1.Node) error {
	var rows [][]string
	for _, n := range nodes {
		rows = append(rows, nodeRow(n, hubStrict))
	}
	return columns(to, nodeHeader(), rows)
}

func (r *remote) nodeShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one node: its state, its quota, and how full its inbox is",
		Long: `Shows one node, a line for each thing that is to be said of it: its state, the end of
its certificate, how its packets are read, its quota and the hub's, and what waits for
it. Packets to a node whose inbox is full are refused; those in it stay.`,
		Example: "  lienthong admin node show G22/portal",
		Args:    one("a node id, e.g. H41/motcua"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.call(cmd, func(ctx context.Context, hub registryv1.RegistryServiceClient) error {
				list, err := hub.ListNodes(ctx, &registryv1.ListNodesRequest{})
				if err != nil {
					return err
				}
				at := slices.IndexFunc(list.GetNodes(), func(n *registryv1.Node) bool { return n.GetId() == canonical(args[0]) })
				if at < 0 {
					return errUnknown(args[0])
				}
				shown := &registryv1.ListNodesResponse{Nodes: list.GetNodes()[at : at+1], HubStrict: list.GetHubStrict(), HubQuota: list.GetHubQuota()}
				if waiting := waitingAt(list, at); waiting != nil {
					shown.Waiting = []*registryv1.Waiting{waiting}
				}
				return r.print(cmd, shown, func(to io.Writer) error { return sayNode(to, shown) })
			})
		},
	}
}

// sayNode says all of the one node of a list.
func sayNode(to io.Writer, list *registryv1.ListNodesResponse) error {
	n := list.GetNodes()[0]
	most := inboxBytes(n, list)
	waiting := waitingText(waitingAt(list, 0), most)
	if bytes := waitingAt(list, 0).GetBytes(); most > 0 && bytes > 0 {
		waiting += fmt.Sprintf(" (%.1f %%)", float64(bytes)/float64(most)*100)
	}
	row := nodeRow(n, list.GetHubStrict())
	return columns(to, []string{"ID", row[0]}, [][]string{
		{"KIND", row[1]}, {"STATE", row[2]}, {"CERTIFICATE ENDS", row[3]}, {"READING", row[4]}, {"QUOTA", row[5]},
		{"HUB'S QUOTA", quotaText(list.GetHubQuota(), "no limit")}, {"WAITING", waiting}, {"DESCRIPTION", row[6]},
	})
}

func errUnknown(id string) error {
	return fmt.Errorf("node %s is not registered\nhệ thống %s chưa được đăng ký\nNext: %s", id, id, nextStep("node_unknown"))
}
