package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes/receipt"
)

// verifyOptions are what `verify` is told.
type verifyOptions struct {
	keyFile, profile, content, checkpoint, lang string
}

func verifyCommand() *cobra.Command {
	var options verifyOptions
	cmd := &cobra.Command{
		Use:   "verify RECEIPT... --key FILE",
		Short: "Check receipts offline",
		Long: `Checks that a hub gave its word: that the statement in a receipt is under a
Merkle root which the hub's ledger key has signed. Where the receipt has its place in
the whole ledger, that is checked, too, and said: its index, and the checkpoint that
covers it. Nothing but the receipt and the key is needed, and the hub is not asked.

Receipts are files as written by "lienthong node submit --receipts", brought under a
checkpoint by "lienthong ledger receipt", or as GET /v1/packets/{sequence}/receipt
gives them. The key comes from a node's profile, or from a file with verifier keys, one
a line: the hub keeps its own as ledger.pub in its data directory.

With --checkpoint, each receipt has to be in the ledger under that checkpoint, such as
an auditor keeps. Of one that holds, but is newer than the checkpoint, or whose file has
no proof under it, that is said, and what fetches it.

Exit codes: 0 all hold, and are under the checkpoint, where there is one; 1 one does not
hold; 3 all hold, but of one it is not proven that it is under the checkpoint; 2 the
command line is wrong.`,
		Example: `  lienthong verify receipts/*.json --profile motcua
  lienthong verify receipts/*.json --key ledger.pub --checkpoint hub.checkpoint
  lienthong verify receipts/1-dossier.xml.receipt.json --key ledger.pub --content dossier.xml`,
		Args: atLeastOne("a file with a receipt"),
		RunE: func(cmd *cobra.Command, files []string) error {
			if (options.keyFile == "") == (options.profile == "") {
				return usage("one of --key FILE and --profile DIR is required: where the hub's verifier key is")
			}
			if options.content != "" && len(files) > 1 {
				return usage("--content is for one receipt")
			}
			v, err := newReceiptChecker(cmd, options)
			if err != nil {
				return err
			}
			return v.files(files)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&options.keyFile, "key", "", "file with the hub's verifier key")
	flags.StringVar(&options.profile, "profile", "", "node's profile that holds the hub's verifier key")
	flags.StringVar(&options.content, "content", "", "file that the receipt must be for, byte for byte")
	flags.StringVar(&options.checkpoint, "checkpoint", "", "file with the checkpoint that every receipt must be under")
	langFlag(cmd, &options.lang, "language of what is printed")
	return cmd
}

func verifierOf(tell teller, keyFile string) (*receipt.Verifier, error) {
	if profile := tell.profile; profile != "" {
		hub, _, err := certs.LoadProfile(profile, nil)
		if err != nil {
			return nil, tell.explained(err)
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

// receiptChecker checks files with receipts.
type receiptChecker struct {
	cmd      *cobra.Command
	verifier *receipt.Verifier
	say      speech
	content  string
	// profile that asks the hub, where one was named.
	profile string
	// under is the checkpoint that receipts must be under, and underFile where it came
	// from; nil where none is asked for.
	under     *receipt.Checkpoint
	underFile string
}

func newReceiptChecker(cmd *cobra.Command, options verifyOptions) (*receiptChecker, error) {
	say, err := speechOf(options.lang)
	if err != nil {
		return nil, err
	}
	verifier, err := verifierOf(teller{cmd, say, options.profile}, options.keyFile)
	if err != nil {
		return nil, err
	}
	v := &receiptChecker{cmd: cmd, verifier: verifier, say: say, content: options.content, profile: options.profile}
	if options.checkpoint == "" {
		return v, nil
	}
	under, err := readCheckpoint(cmd, verifier, options.checkpoint)
	if err != nil {
		return nil, err
	}
	v.under, v.underFile = &under.said, options.checkpoint
	return v, nil
}

func (v *receiptChecker) files(files []string) error {
	refused, unproven := false, false
	for _, file := range files {
		line := ""
		proven, err := v.file(file)
		if errors.Is(err, errNotRead) {
			return err
		}
		var beyond beyondError
		switch {
		case errors.As(err, &beyond):
			unproven = true
			line = file + ": " + beyond.Error()
		case err != nil:
			refused = true
			line = fmt.Sprintf(v.say.of("%s: không hợp lệ: %v", "%s: does not hold: %v"), file, err)
		default:
			line = fmt.Sprintf(v.say.of("%s: hợp lệ: %s; chứng minh bằng %s", "%s: holds: %s; proven by %s"), file, v.stated(proven.Statement), v.proof(proven))
		}
		if _, err := fmt.Fprintln(v.cmd.OutOrStdout(), line); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	switch {
	case refused:
		return errRefused
	case unproven:
		return errUnproven
	}
	return nil
}

// stated says what the hub has said.
func (v *receiptChecker) stated(s *exchangev1.Statement) string {
	return fmt.Sprintf(v.say.of("%s đã tiếp nhận số thứ tự %d, %s từ %s, lúc %s", "%s accepted sequence %d, %s from %s, at %s"),
		s.GetHub(), s.GetSequence(), typeWord(s.GetType()), s.GetSender(), moment(s.GetAcceptedAt().AsTime()))
}

// proof says what that is proven by.
func (v *receiptChecker) proof(proven receipt.Proven) string {
	group := v.say.of("chữ ký của nhóm", "the signed group")
	if proven.Checkpoint == nil {
		return group
	}
	return group + fmt.Sprintf(v.say.of(" và vị trí %d trong sổ cái %d mục, theo %s", " and its place in the ledger, index %d of %d, under %s"),
		proven.Index, proven.Checkpoint.Size, checkpointWords(v.say, *proven.Checkpoint))
}

// checkpointWords names a checkpoint by its time.
func checkpointWords(say speech, c receipt.Checkpoint) string {
	if c.Time.IsZero() {
		return say.of("điểm kiểm tra không ghi thời gian", "a checkpoint without a time")
	}
	return say.of("điểm kiểm tra lúc ", "the checkpoint of ") + moment(c.Time)
}

// moment writes a time to the millisecond.
func moment(t time.Time) string { return inVietnam(t).Format("2006-01-02T15:04:05.000Z07:00") }

// errNotRead means that a file could not be read, which says nothing of a receipt.
var errNotRead = errors.New("not verified")

func (v *receiptChecker) file(file string) (receipt.Proven, error) {
	kept, err := readReceipt(v.cmd, file)
	if err != nil {
		return receipt.Proven{}, err
	}
	proven, err := v.verifier.Prove(kept.GetReceipt())
	if err != nil {
		return proven, err
	}
	if kept.GetStatement() != nil && !proto.Equal(kept.GetStatement(), proven.Statement) {
		return proven, fmt.Errorf("%w: what the file states in clear is not what its receipt proves", receipt.ErrContradiction)
	}
	if err := v.checkUnder(file, proven); err != nil || v.content == "" {
		return proven, err
	}
	sent, err := readFile(v.cmd, v.content)
	if err != nil {
		return proven, fmt.Errorf("%w: %w", errNotRead, err)
	}
	return proven, receipt.MatchesContent(proven.Statement, sent)
}

// beyondError says that a receipt holds, and is newer than the checkpoint it was to be
// under.
type beyondError string

// Error implements error.
func (b beyondError) Error() string { return string(b) }

// beyond says so of a receipt, and what brings the checkpoint forward.
func beyond(say speech, sequence uint64, under receipt.Checkpoint, underFile, file string) error {
	return beyondError(fmt.Sprintf(say.of(
		"biên nhận hợp lệ, nhưng mới hơn điểm kiểm tra trong %[2]s: số thứ tự %[1]d, điểm kiểm tra có %[3]d mục\n  Tiếp theo: lienthong ledger consistency --from %[2]s --out %[2]s\n             lienthong ledger receipt %[4]s --checkpoint %[2]s",
		"the receipt holds, but is newer than the checkpoint in %[2]s: it is of sequence %[1]d, the checkpoint covers %[3]d\n  Next: lienthong ledger consistency --from %[2]s --out %[2]s\n        lienthong ledger receipt %[4]s --checkpoint %[2]s"),
		sequence, underFile, under.Size, file))
}

// readReceipt reads a receipt as it is kept: as an answer with its statement in clear,
// or by itself.
func readReceipt(cmd *cobra.Command, file string) (*exchangev1.GetReceiptResponse, error) {
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
	return kept, nil
}

// checkUnder holds the checkpoint of a receipt against the one it must be under.
func (v *receiptChecker) checkUnder(file string, proven receipt.Proven) error {
	switch {
	case v.under == nil:
		return nil
	case proven.Statement.GetHub() != v.under.Hub:
		return fmt.Errorf("%w: the receipt is of hub %q, the checkpoint in %s of %q", receipt.ErrContradiction, proven.Statement.GetHub(), v.underFile, v.under.Hub)
	case v.under.Epoch == 0 && proven.Statement.GetSequence() > v.under.Size:
		return beyond(v.say, proven.Statement.GetSequence(), *v.under, v.underFile, file)
	case proven.Checkpoint == nil || proven.Checkpoint.Size != v.under.Size:
		return v.notUnder(file)
	}
	return receipt.VerifyConsistency(*v.under, *proven.Checkpoint, nil)
}

// notUnder says that a receipt holds, but its file has no proof under the checkpoint that
// is asked for, and what fetches it.
func (v *receiptChecker) notUnder(file string) error {
	profile := v.profile
	if profile == "" {
		profile = "DIR"
	}
	return beyondError(fmt.Sprintf(v.say.of(
		"biên nhận hợp lệ, nhưng tệp không có bằng chứng theo điểm kiểm tra trong %[1]s\n  Tiếp theo: lienthong ledger receipt --profile %[2]s --checkpoint %[1]s %[3]s",
		"the receipt holds; its proof under the checkpoint in %[1]s is not in the file\n  Next: lienthong ledger receipt --profile %[2]s --checkpoint %[1]s %[3]s"),
		v.underFile, profile, file))
}
