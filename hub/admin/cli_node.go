package admin

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/packet"
)

func nodeCommands(r *remote) *cobra.Command {
	return Group(&cobra.Command{
		Use:   "node",
		Short: "Register, change, suspend and revoke nodes",
		Long: `A node is one system of one organisation: a one-stop system, a portal, a database,
another hub. It is registered here, joins with the token it is given, and then
proves itself with the certificate it got.`,
		Example: `  lienthong admin node add H41/motcua --kind one-stop
  lienthong admin node list`,
	}, r.nodeAdd(), r.nodeSet(), r.nodeToken(), r.nodeList(), r.nodeShow(),
		r.nodeState("suspend", registryv1.NodeState_NODE_STATE_SUSPENDED,
			"Stop a node for a while",
			"Stops a node: its live connections end within a second and it cannot call the hub.\nPackets for it keep waiting in its inbox. It can be activated again."),
		r.nodeState("activate", registryv1.NodeState_NODE_STATE_ACTIVE,
			"Bring a suspended node back",
			"Brings a suspended node back. A node that has not joined yet becomes active by\njoining with its token, not here."),
		r.nodeRevoke())
}

func (r *remote) nodeAdd() *cobra.Command {
	var kind, description string
	var strict bool
	kinds := words(registryv1.NodeKind(0).Descriptor())
	cmd := &cobra.Command{
		Use:   "add ORGANISATION/NAME",
		Short: "Register a node and print the token it joins with",
		Long: `Registers a node and prints the single-use token that it joins with. The token is
shown this once; hand it to the node's operator over a channel you trust. Until the
node has joined, packets for it wait in its inbox.

The organisation must be registered. Names are written with a-z, 0-9 and hyphens.

Packets are read liberally: what differs from the standard but can be understood is
accepted, with a warning for each liberty on the receipt. With --strict the hub
refuses such packets of this node; node set changes that later.`,
		Example: `  lienthong admin node add H41/motcua --kind one-stop --description "Một cửa điện tử Nghệ An"
  lienthong admin node add H41/motcua --kind one-stop --strict
  lienthong admin node add G05/dkkd --kind database --output json`,
		Args: one("a node id, e.g. H41/motcua"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			chosen, err := number(registryv1.NodeKind(0).Descriptor(), "kind", kind)
			if err != nil {
				return err
			}
			return r.call(cmd, func(ctx context.Context, hub registryv1.RegistryServiceClient) error {
				answer, err := hub.CreateNode(ctx, &registryv1.CreateNodeRequest{
					Id: args[0], Kind: registryv1.NodeKind(chosen), Description: description, Strict: strict,
				})
				if err != nil {
					return err
				}
				return r.print(cmd, answer, func(to io.Writer) error {
					return sayToken(to, "is registered", answer.GetNode(), answer)
				})
			})
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "", "what it is: `"+strings.Join(kinds, "|")+"`")
	cmd.Flags().StringVar(&description, "description", "", describe)
	cmd.Flags().BoolVar(&strict, "strict", false, readStrictly)
	return cmd
}

// What flags of several commands are for.
const (
	describe     = "what it is, for people"
	readStrictly = "refuse packets of this node that can only be read by taking liberties"
)

// tokenGiven is an answer that holds a token.
type tokenGiven interface {
	GetToken() string
	GetTokenExpiresAt() *timestamppb.Timestamp
}

func sayToken(to io.Writer, what string, node *registryv1.Node, given tokenGiven) error {
	return say(to, `Node %s %s. It joins with this token, once, until %s:

%s

On the node's machine:

lienthong node join --token %s --profile %s
`, node.GetId(), what, moment(given.GetTokenExpiresAt(), "it is used"), given.GetToken(), given.GetToken(), strings.ReplaceAll(node.GetId(), "/", "-"))
}

func (r *remote) nodeToken() *cobra.Command {
	return &cobra.Command{
		Use:   "token ID",
		Short: "Give a node another token to join with",
		Long: `Gives a node that is registered another single-use token: one whose first token has
expired or was lost, or one that has lost its key or whose certificate has ended. An
earlier token that was not used is void from now on; a certificate stays good until
the new token is used. Joining into the same profile directory keeps the node's key.`,
		Example: "  lienthong admin node token H41/motcua",
		Args:    one("a node id, e.g. H41/motcua"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			return r.call(cmd, func(ctx context.Context, hub registryv1.RegistryServiceClient) error {
				answer, err := hub.IssueToken(ctx, &registryv1.IssueTokenRequest{Id: args[0]})
				if err != nil {
					return err
				}
				return r.print(cmd, answer, func(to io.Writer) error {
					if err := sayToken(to, "has a new token", answer.GetNode(), answer); err != nil {
						return err
					}
					return say(to, "\nName the directory of the profile the node has, to keep its key.\n")
				})
			})
		},
	}
}

// reading says how a node's packets are read, and who asked for it.
func reading(n *registryv1.Node, hubStrict bool) string {
	switch {
	case n.GetStrict():
		return "strict"
	case hubStrict:
		return "strict (hub)"
	}
	return "as hub"
}

func (r *remote) nodeState(verb string, state registryv1.NodeState, short, long string) *cobra.Command {
	return &cobra.Command{
		Use:     verb + " ID",
		Short:   short,
		Long:    long,
		Example: "  lienthong admin node " + verb + " H41/motcua",
		Args:    one("a node id, e.g. H41/motcua"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.call(cmd, func(ctx context.Context, hub registryv1.RegistryServiceClient) error {
				return r.setState(ctx, cmd, hub, &registryv1.SetNodeStateRequest{Id: args[0], State: state})
			})
		},
	}
}

func (r *remote) setState(ctx context.Context, cmd *cobra.Command, hub registryv1.RegistryServiceClient, req *registryv1.SetNodeStateRequest) error {
	answer, err := hub.SetNodeState(ctx, req)
	if err != nil {
		return err
	}
	return r.print(cmd, answer, func(to io.Writer) error {
		state := answer.GetNode().GetState()
		return say(to, "Node %s is now %s\n", answer.GetNode().GetId(), word(state.Descriptor(), state.Number()))
	})
}

func (r *remote) nodeRevoke() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Stop a node for good",
		Long: `Stops a node for good: its live connections end within a second, its certificate
and its token are worth nothing any more, and it receives nothing new. This is
final; its id cannot be used again. To stop a node for a while, suspend it.

Without --yes this is a dry run: it shows what would end and changes nothing.`,
		Example: "  lienthong admin node revoke H41/motcua\n  lienthong admin node revoke H41/motcua --yes",
		Args:    one("a node id, e.g. H41/motcua"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.call(cmd, func(ctx context.Context, hub registryv1.RegistryServiceClient) error {
				if yes {
					return r.setState(ctx, cmd, hub, &registryv1.SetNodeStateRequest{Id: args[0], State: registryv1.NodeState_NODE_STATE_REVOKED})
				}
				return r.dryRevoke(ctx, cmd, hub, args[0])
			})
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "revoke it; without this nothing is changed")
	return cmd
}

// dryRevoke shows a node and the rights that revoking it would end.
func (r *remote) dryRevoke(ctx context.Context, cmd *cobra.Command, hub registryv1.RegistryServiceClient, id string) error {
	nodes, err := hub.ListNodes(ctx, &registryv1.ListNodesRequest{})
	if err != nil {
		return err
	}
	rights, err := hub.ListRights(ctx, &registryv1.ListRightsRequest{})
	if err != nil {
		return err
	}
	for _, n := range nodes.GetNodes() {
		if n.GetId() != canonical(id) {
			continue
		}
		held := 0
		for _, right := range rights.GetRights() {
			if right.GetReceiver() == n.GetId() {
				held++
			}
		}
		return r.print(cmd, n, func(to io.Writer) error {
			if err := nodeTable(to, nodes.GetHubStrict(), n); err != nil {
				return err
			}
			return say(to, `
Dry run: nothing was changed. Revoking %s is final: it never calls this hub again
and receives nothing new. Rights it holds, which end with it: %d.
To do it: lienthong admin node revoke %s --yes
`, n.GetId(), held, n.GetId())
		})
	}
	return errUnknown(id)
}

// canonical returns a node id with its organisation in the canonical spelling; as
// it is where it is no node id.
func canonical(id string) string {
	code, name, _ := strings.Cut(id, "/")
	organisation, err := packet.ParseOrganisation(code)
	if err != nil {
		return id
	}
	return organisation.String() + "/" + name
}
