package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
)

func rightCommands(r *remote) *cobra.Command {
	return Group(&cobra.Command{
		Use:   "right",
		Short: "Grant and revoke rights",
		Long: `A right lets packets of some types, or questions to some services, of an
organisation and all below it through to one node. Without a right nothing passes.`,
		Example: `  lienthong admin right grant --from H41 --to G22/portal --type dossier,progress
  lienthong admin right list`,
	}, r.rightGrant(), r.rightList(), r.rightRevoke())
}

// asked is a right as the flags say it.
type asked struct {
	from, to, expires string
	types, services   []string
}

func (r *remote) rightGrant() *cobra.Command {
	var a asked
	types := words(packetv1.PacketType(0).Descriptor())
	cmd := &cobra.Command{
		Use:   "grant",
		Short: "Grant a right",
		Long: `Grants a right: packets of these types from an organisation, and from all below it,
are delivered to a node; or its nodes may ask a database these questions. Granting
the same right again only changes when it ends: without --expires, never.

A day in --expires is the first day without the right, in Vietnam.`,
		Example: `  lienthong admin right grant --from H41 --to G22/portal --type dossier,progress,survey,statistic
  lienthong admin right grant --from H41 --to G22/portal --type all --expires 2027-01-01
  lienthong admin right grant --from H41 --to G05/dkkd \
      --service lienthong.enterprise.v1.EnterpriseService/LookUpEnterprise`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceUsage = true
			right, err := a.right()
			if err != nil {
				return err
			}
			return r.call(cmd, func(ctx context.Context, hub registryv1.RegistryServiceClient) error {
				answer, err := hub.GrantRight(ctx, &registryv1.GrantRightRequest{Right: right})
				if err != nil {
					return err
				}
				return r.print(cmd, answer, func(to io.Writer) error { return rightTable(to, []*registryv1.Right{answer.GetRight()}) })
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&a.from, "from", "", "`organisation` that sends or asks, with all below it, e.g. H41")
	flags.StringVar(&a.to, "to", "", "`node` that receives or answers, e.g. G22/portal")
	flags.StringSliceVar(&a.types, "type", nil, "`types` of packets: "+strings.Join(types, ",")+"; or all")
	flags.StringSliceVar(&a.services, "service", nil, "look-up `services`, as pkg.Service/Method")
	flags.StringVar(&a.expires, "expires", "", "when it ends: a `day`, 2027-01-01, or a moment, 2027-01-01T12:00:00+07:00")
	return cmd
}

// right returns the right that the flags ask for, or everything wrong with them.
func (a asked) right() (*registryv1.Right, error) {
	var wrong []error
	if a.from == "" {
		wrong = append(wrong, errors.New("--from is required: the organisation that sends, e.g. H41"))
	}
	if a.to == "" {
		wrong = append(wrong, errors.New("--to is required: the node that receives, e.g. G22/portal"))
	}
	if len(a.types)+len(a.services) == 0 {
		wrong = append(wrong, errors.New("--type or --service is required: what the right lets through, e.g. --type all"))
	}
	right := &registryv1.Right{Sender: a.from, Receiver: a.to, Services: a.services}
	for _, text := range a.types {
		types, err := packetTypes(text)
		wrong = append(wrong, err)
		right.Types = append(right.Types, types...)
	}
	slices.Sort(right.Types)
	right.Types = slices.Compact(right.Types)
	if a.expires != "" {
		end, err := parseEnd(a.expires)
		wrong = append(wrong, err)
		right.ExpiresAt = timestamppb.New(end)
	}
	return right, Usage(errors.Join(wrong...))
}

// packetTypes returns the types that one word of --type means.
func packetTypes(text string) ([]packetv1.PacketType, error) {
	enum := packetv1.PacketType(0).Descriptor()
	meant := []string{text}
	if strings.TrimSpace(text) == "all" {
		meant = words(enum)
	}
	var types []packetv1.PacketType
	for _, one := range meant {
		n, err := number(enum, "type", one, "all")
		if err != nil {
			return nil, err
		}
		types = append(types, packetv1.PacketType(n))
	}
	return types, nil
}

func parseEnd(text string) (time.Time, error) {
	if day, err := time.ParseInLocation(time.DateOnly, text, vietnam()); err == nil {
		return day, nil
	}
	end, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return end, fmt.Errorf("--expires %q: a day, 2027-01-01, or a moment, 2027-01-01T12:00:00+07:00, is expected", text)
	}
	return end, nil
}

func (r *remote) rightList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List rights by sender and receiver",
		Long:    "Lists all rights by sender, then receiver, those that have ended included.",
		Example: "  lienthong admin right list\n  lienthong admin right list --output json",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.call(cmd, func(ctx context.Context, hub registryv1.RegistryServiceClient) error {
				answer, err := hub.ListRights(ctx, &registryv1.ListRightsRequest{})
				if err != nil {
					return err
				}
				return r.print(cmd, answer, func(to io.Writer) error {
					if len(answer.GetRights()) == 0 {
						return say(to, "No rights yet: nobody may send anything. Next: lienthong admin right grant --from ORGANISATION --to NODE --type all\n")
					}
					return rightTable(to, answer.GetRights())
				})
			})
		},
	}
}

func rightTable(to io.Writer, rights []*registryv1.Right) error {
	var rows [][]string
	for _, right := range rights {
		through := append([]string(nil), right.GetServices()...)
		for _, typ := range right.GetTypes() {
			through = append(through, word(typ.Descriptor(), typ.Number()))
		}
		rows = append(rows, []string{
			right.GetId(), right.GetSender(), right.GetReceiver(), moment(right.GetExpiresAt(), "never"), strings.Join(through, ", "),
		})
	}
	return columns(to, []string{"ID", "FROM", "TO", "ENDS", "LETS THROUGH"}, rows)
}

func (r *remote) rightRevoke() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ID",
		Short:   "Take a right back",
		Long:    "Takes a right back. What was accepted under it is still delivered. It can be\ngranted again.",
		Example: "  lienthong admin right revoke 3f9c2a61d0b7e845",
		Args:    one("the id of a right, see lienthong admin right list"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.call(cmd, func(ctx context.Context, hub registryv1.RegistryServiceClient) error {
				answer, err := hub.RevokeRight(ctx, &registryv1.RevokeRightRequest{Id: args[0]})
				if err != nil {
					return err
				}
				return r.print(cmd, answer, func(to io.Writer) error { return say(to, "Right %s is taken back\n", args[0]) })
			})
		},
	}
}
