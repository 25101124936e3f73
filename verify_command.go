package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes/receipt"
)

func verifyCommand() *cobra.Command {
	var keyFile, profile, content string
	cmd := &cobra.Command{
		Use:   "verify RECEIPT... --key FILE",
		Short: "Check receipts offline",
		Long: `Checks that a hub gave its word: that the statement in a receipt is under a
Merkle root which the hub's ledger key has signed. Nothing but the receipt and the
key is needed, and the hub is not asked. Receipts are files as written by
"lienthong node submit --receipts", or as GET /v1/packets/{sequence}/receipt gives
them. The key comes from a node's profile, or from a file with verifier keys, one a
line: the hub keeps its own as ledger.pub in its data directory.
Exit code 1 when any receipt does not hold.`,
		Example: `  lienthong verify receipts/*.json --profile motcua
  lienthong verify receipts/*.json --key ledger.pub
  lienthong verify receipts/1-dossier.xml.receipt.json --key ledger.pub --content dossier.xml`,
		Args: atLeastOne("a file with a receipt"),
		RunE: func(cmd *cobra.Command, files []string) error {
			if (keyFile == "") == (profile == "") {
				return usage("one of --key FILE and --profile DIR is required: where the hub's verifier key is")
			}
			if content != "" && len(files) > 1 {
				return usage("--content is for one receipt")
			}
			verifier, err := verifierOf(keyFile, profile)
			if err != nil {
				return err
			}
			return verifyFiles(cmd, verifier, files, content)
		},
	}
	cmd.Flags().StringVar(&keyFile, "key", "", "file with the hub's verifier key")
	cmd.Flags().StringVar(&profile, "profile", "", "node's profile that holds the hub's verifier key")
	cmd.Flags().StringVar(&content, "content", "", "file that the receipt must be for, byte for byte")
	return cmd
}

func verifierOf(keyFile, profile string) (*receipt.Verifier, error) {
	if profile != "" {
		hub, _, err := certs.LoadProfile(profile, nil)
		if err != nil {
			return nil, explained(err, profile)
		}
		verifier, err := receipt.NewVerifier(hub.LedgerKey)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", profile, err)
		}
		return verifier, nil
	}
	keys, err := os.ReadFile(keyFile)
	if err != nil {
		_, why := reason(err)
		return nil, fmt.Errorf("--key %s: %s", keyFile, why)
	}
	verifier, err := receipt.NewVerifier(strings.Fields(string(keys))...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	return verifier, nil
}

func verifyFiles(cmd *cobra.Command, verifier *receipt.Verifier, files []string, content string) error {
	refused := false
	for _, file := range files {
		line := ""
		statement, err := verifyFile(cmd, verifier, file, content)
		if errors.Is(err, errNotRead) {
			return err
		}
		if err != nil {
			refused = true
			line = fmt.Sprintf("%s: does not hold: %v", file, err)
		} else {
			line = fmt.Sprintf("%s: holds: %s accepted sequence %d, %s from %s, at %s", file, statement.GetHub(), statement.GetSequence(),
				typeWord(statement.GetType()), statement.GetSender(), inVietnam(statement.GetAcceptedAt().AsTime()).Format("2006-01-02T15:04:05.000Z07:00"))
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

// errNotRead means that a file could not be read, which says nothing of a receipt.
var errNotRead = errors.New("not verified")

func verifyFile(cmd *cobra.Command, verifier *receipt.Verifier, file, content string) (*exchangev1.Statement, error) {
	written, err := readFile(cmd, file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotRead, err)
	}
	kept := &exchangev1.GetReceiptResponse{}
	if protojson.Unmarshal(written, kept) != nil {
		kept = &exchangev1.GetReceiptResponse{Receipt: &exchangev1.Receipt{}}
		if err := protojson.Unmarshal(written, kept.GetReceipt()); err != nil {
			return nil, fmt.Errorf("%w: not a receipt in JSON", receipt.ErrMalformed)
		}
	}
	statement, err := verifier.Verify(kept.GetReceipt())
	if err == nil && kept.GetStatement() != nil && !proto.Equal(kept.GetStatement(), statement) {
		return nil, fmt.Errorf("%w: what the file states in clear is not what its receipt proves", receipt.ErrContradiction)
	}
	if err != nil || content == "" {
		return statement, err
	}
	sent, err := readFile(cmd, content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotRead, err)
	}
	return statement, receipt.MatchesContent(statement, sent)
}
