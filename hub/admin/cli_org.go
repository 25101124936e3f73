package admin

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/registry"
)

func organisationCommands(r *remote) *cobra.Command {
	return Group(&cobra.Command{
		Use:        "org",
		SuggestFor: []string{"organisation", "organisations", "organization", "organizations", "agency"},
		Short:      "List and import organisations",
		Long: `Organisations are agencies by their code; codes nest: H41 contains H41.04. Both
official spellings are read, G12.18 and 000.00.18.G12. A new hub starts with the
ministries and provinces of the official code list.`,
		Example: `  lienthong admin org list
  lienthong admin org import agencies.csv`,
	}, r.organisationList(), r.organisationImport())
}

func (r *remote) organisationList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List organisations by code",
		Long:    "Lists all registered organisations by code.",
		Example: "  lienthong admin org list\n  lienthong admin org list --output json",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.call(cmd, func(ctx context.Context, hub registryv1.RegistryServiceClient) error {
				answer, err := hub.ListOrganisations(ctx, &registryv1.ListOrganisationsRequest{})
				if err != nil {
					return err
				}
				return r.print(cmd, answer, func(to io.Writer) error {
					var rows [][]string
					for _, o := range answer.GetOrganisations() {
						rows = append(rows, []string{o.GetCode(), o.GetName()})
					}
					return columns(to, []string{"CODE", "NAME"}, rows)
				})
			})
		},
	}
}

func (r *remote) organisationImport() *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE.csv",
		Short: "Add or rename organisations from a CSV file",
		Long: `Adds the organisations of a CSV file, and renames the ones that are there. The
file is UTF-8 with commas, and its first line names the columns: code,name_vi or
code,level,kind,name_vi. "-" reads standard input.

All or none: where the file has mistakes, every one is shown with its line and
nothing is written. Organisations that the file does not name stay as they are.`,
		Example: `  lienthong admin org import agencies.csv
  printf 'code,name_vi\nH41.04,Sở Tư pháp Nghệ An\n' | lienthong admin org import -`,
		Args: one("a CSV file, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cmd.SilenceUsage = true
			all, err := readOrganisations(cmd, args[0])
			if err != nil {
				return err
			}
			return r.call(cmd, func(ctx context.Context, hub registryv1.RegistryServiceClient) error {
				answer, err := hub.PutOrganisations(ctx, &registryv1.PutOrganisationsRequest{Organisations: all})
				if err != nil {
					return err
				}
				return r.print(cmd, answer, func(to io.Writer) error {
					same := len(all) - int(answer.GetAdded()) - int(answer.GetChanged())
					return say(to, "organisations added: %d, renamed: %d, there already: %d\n", answer.GetAdded(), answer.GetChanged(), same)
				})
			})
		},
	}
}

func readOrganisations(cmd *cobra.Command, path string) (all []*registryv1.Organisation, err error) {
	from := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("import: %w", err)
		}
		defer file.Close() //nolint:errcheck // only read
		from = file
	}
	all, err = registry.ReadOrganisations(from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, shown(err, ""))
	}
	return all, nil
}
