package main

import (
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/lienthong/lienthong/certs"
)

func setAddressCommand() *cobra.Command {
	var profile, lang string
	cmd := &cobra.Command{
		Use:   "set-address HOST:PORT",
		Short: "Have a profile look for its hub at another address",
		Long: `Changes where a profile looks for its hub: after the hub was moved, such as when it was
restored from a backup on another machine. Key, certificate and the hub's ledger key stay
as they are: whatever is there has to prove that it is the same hub, with a certificate
that names HOST (lienthong hub --host). The profile of an administrator is changed alike.`,
		Example: "  lienthong node set-address hub2.example.gov.vn:8443 --profile motcua",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("%s takes one argument: the hub's address, HOST:PORT", cmd.CommandPath())
			}
			host, port, err := net.SplitHostPort(args[0])
			if err != nil || host == "" || port == "" {
				return usage("address %q: HOST:PORT is expected, e.g. hub.example.gov.vn:8443", args[0])
			}
			if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
				return usage("address %q: the port is a number from 1 to 65535, e.g. hub.example.gov.vn:8443", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			say, err := speechOf(lang)
			if err != nil {
				return err
			}
			hub, err := certs.LoadHub(profile)
			if err != nil {
				return teller{cmd, say, profile}.explained(err)
			}
			before := hub.Address
			hub.Address = args[0]
			if err := certs.SaveHub(profile, hub); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), say.of("%s: trục liên thông tại %s, trước đây tại %s\nTiếp theo: %s\n",
				"%s: the hub is at %s now, was at %s\nNext: %s\n"), profile, hub.Address, before, nextOf(profile))
			return err
		},
	}
	profileFlag(cmd, &profile)
	langFlag(cmd, &lang, "language of what is printed")
	return cmd
}

// nextOf returns what tells whether a profile's hub is there: for an administrator's
// another command than for a node's.
func nextOf(profile string) string {
	if credentials, err := certs.LoadCredentials(profile); err == nil {
		if _, id, err := credentials.Identity(); err == nil && id.Kind == certs.KindAdmin {
			return "lienthong admin --profile " + profile + " node list"
		}
	}
	return "lienthong node status --profile " + profile
}
