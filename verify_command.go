package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes/receipt"
)

func verifyCommand() *cobra.Command {
	var keyFile, content string
	cmd := &cobra.Command{
		Use:   "verify RECEIPT... --key FILE",
		Short: "Check receipts offline",
		Long: `Checks that a hub gave its word: that the statement in a receipt is under a
Merkle root which the hub's ledger key has signed. Nothing but the receipt and the
key is needed, and the hub is not asked. Receipts are files as written by
"lienthong node submit --receipts"; the key file holds verifier keys, one a line,
as the hub's ledger.pub does. Exit code 1 when any receipt does not hold.`,
		Example: `  lienthong verify receipts/*.json --key ledger.pub
  lienthong verify receipts/1-dossier.xml.receipt.json --key ledger.pub --content dossier.xml`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			if keyFile == "" {
				return usageError{errors.New("--key is required: the file with the hub's verifier key, ledger.pub")}
			}
			if content != "" && len(files) > 1 {
				return usageError{errors.New("--content is for one receipt")}
			}
			keys, err := os.ReadFile(keyFile)
			if err != nil {
				return fmt.Errorf("key: %w", err)
			}
			verifier, err := receipt.NewVerifier(strings.Fields(string(keys))...)
			if err != nil {
				return fmt.Errorf("%s: %w", keyFile, err)
			}
			return verifyFiles(cmd, verifier, files, content)
		},
	}
	cmd.Flags().StringVar(&keyFile, "key", "", "file with the hub's verifier key")
	cmd.Flags().StringVar(&content, "content", "", "file that the receipt must be for, byte for byte")
	return cmd
}

func verifyFiles(cmd *cobra.Command, verifier *receipt.Verifier, files []string, content string) error {
	refused := false
	for _, file := range files {
		line := ""
		statement, err := verifyFile(cmd, verifier, file, content)
		if err != nil {
			refused = true
			line = fmt.Sprintf("%s: does not hold: %v", file, err)
		} else {
			line = fmt.Sprintf("%s: holds: %s accepted sequence %d, %s from %s, at %s", file, statement.GetHub(), statement.GetSequence(),
				typeWord(statement.GetType()), statement.GetSender(), statement.GetAcceptedAt().AsTime().Format("2006-01-02T15:04:05.000Z07:00"))
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	if refused {
		return errRefused
	}
	return nil
}

func verifyFile(cmd *cobra.Command, verifier *receipt.Verifier, file, content string) (*exchangev1.Statement, error) {
	written, err := readFile(cmd, file)
	if err != nil {
		return nil, err
	}
	kept := &exchangev1.Receipt{}
	if err := protojson.Unmarshal(written, kept); err != nil {
		return nil, fmt.Errorf("%w: not a receipt in JSON", receipt.ErrMalformed)
	}
	statement, err := verifier.Verify(kept)
	if err != nil || content == "" {
		return statement, err
	}
	sent, err := readFile(cmd, content)
	if err != nil {
		return nil, err
	}
	return statement, receipt.MatchesContent(statement, sent)
}
