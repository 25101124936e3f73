package admin

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
)

func (r *remote) nodeSet() *cobra.Command {
	var description string
	var strict bool
	var packets, bytes, inbox limit
	cmd := &cobra.Command{
		Use:   "set ID",
		Short: "Change how a node's packets are read, its quota, or its description",
		Long: `Changes what is named, and leaves the rest of the node as it is. The change counts
from the node's next packet, on connections that are open too.

With --strict (or --strict=true) packets of this node that can only be read by taking
liberties are refused, with every liberty as a violation; packets that were accepted
before stay as they are. With --strict=false the node's packets are read as the hub
reads: liberally, unless the hub itself runs with --strict.

What a node may send in a second is bounded by --packets-per-second and, counting
contents, by --bytes-per-second: beyond it, streams of the node are read no faster, and
single packets are refused with the time when to try again. --inbox-bytes bounds what may
wait for it: packets to a node that does not take them are refused once so much waits;
what was accepted before stays. "hub" stands for what the hub says of all nodes. Bytes
may be written as 500KiB, 20MiB or 64GiB.`,
		Example: `  lienthong admin node set H41/motcua --strict
  lienthong admin node set H41/motcua --packets-per-second 500 --bytes-per-second 20MiB
  lienthong admin node set G22/portal --inbox-bytes 200GiB
  lienthong admin node set H41/motcua --strict=false --description "Một cửa điện tử Nghệ An"`,
		Args: one("a node id, e.g. H41/motcua (values of --strict are written --strict=true, --strict=false)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			req := &registryv1.UpdateNodeRequest{Id: args[0]}
			given := 0
			for name, take := range map[string]func(){
				"strict":             func() { req.Strict = &strict },
				"description":        func() { req.Description = &description },
				"packets-per-second": func() { req.PacketsPerSecond = &packets.value },
				"bytes-per-second":   func() { req.BytesPerSecond = &bytes.value },
				"inbox-bytes":        func() { req.InboxBytes = &inbox.value },
			} {
				if cmd.Flags().Changed(name) {
					take()
					given++
				}
			}
			if given == 0 {
				return Usage(errors.New("nothing to change: --strict=true, --strict=false, --packets-per-second N, --bytes-per-second N, --inbox-bytes N or --description TEXT is expected"))
			}
			return r.updateNode(cmd, req)
		},
	}
	cmd.Flags().StringVar(&description, "description", "", describe+`; "" for none`)
	cmd.Flags().BoolVar(&strict, "strict", false, readStrictly)
	bytes.sized, inbox.sized = true, true
	cmd.Flags().Var(&packets, "packets-per-second", "packets it may send in a second: a `number` or hub")
	cmd.Flags().Var(&bytes, "bytes-per-second", "`bytes` of content it may send in a second, e.g. 20MiB, or hub")
	cmd.Flags().Var(&inbox, "inbox-bytes", "`bytes` that may wait for it, e.g. 64GiB, or hub")
	return cmd
}

func (r *remote) updateNode(cmd *cobra.Command, req *registryv1.UpdateNodeRequest) error {
	return r.call(cmd, func(ctx context.Context, hub registryv1.RegistryServiceClient) error {
		answer, err := hub.UpdateNode(ctx, req)
		if err != nil {
			return err
		}
		return r.print(cmd, answer, func(to io.Writer) error {
			if err := nodeTable(to, answer.GetHubStrict(), answer.GetNode()); err != nil {
				return err
			}
			if err := sayHubQuota(to, answer.GetHubQuota()); err != nil {
				return err
			}
			return sayStrictHub(to, answer)
		})
	})
}

// sayHubQuota says what holds where the node's own quota is silent.
func sayHubQuota(to io.Writer, quota *registryv1.Quota) error {
	return say(to, "\nThe hub's own quota, where the node's says nothing: %s\n", quotaText(quota, "no limit"))
}

// sayStrictHub says, of a node that is not strict, that its hub is all the same.
func sayStrictHub(to io.Writer, answer *registryv1.UpdateNodeResponse) error {
	if !answer.GetHubStrict() || answer.GetNode().GetStrict() {
		return nil
	}
	return say(to, `
The hub itself runs with --strict: it reads packets of %[1]s strictly all the same.
Trục chạy với --strict nên vẫn đọc chặt chẽ gói tin của hệ thống %[1]s.
`, answer.GetNode().GetId())
}
