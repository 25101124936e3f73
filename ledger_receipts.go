package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	ledgerv1 "github.com/lienthong/lienthong/gen/lienthong/ledger/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/nodes/receipt"
)

// unheardError means that the hub did not answer a question about one receipt, so that
// there is nothing to be learned about the next ones either.
type unheardError struct{ error }

// receipts brings receipts under a checkpoint. Each is said what became of, whatever
// became of those before it.
func (a *auditor) receipts(ctx context.Context, underFile string, files []string) error {
	for _, file := range files {
		if file == "-" {
			return usage("a receipt from standard input has no file to be kept in")
		}
	}
	under, err := a.under(ctx, underFile)
	if err != nil {
		return err
	}
	short := false
	for _, file := range files {
		err := a.receipt(ctx, under, underFile, file)
		if err == nil {
			continue
		}
		if unheard, is := errors.AsType[unheardError](err); is {
			return fmt.Errorf("%s: %w", file, unheard.error)
		}
		short = true
		if err := a.print("%s: %s", printable(file), a.shortOf(err)); err != nil {
			return err
		}
	}
	if short {
		return errRefused
	}
	return nil
}

// shortOf says why a receipt was not brought under a checkpoint.
func (a *auditor) shortOf(err error) string {
	var beyond beyondError
	if errors.As(err, &beyond) || errors.Is(err, errNotRead) {
		return err.Error()
	}
	return fmt.Sprintf(a.say.of("không hợp lệ: %v", "does not hold: %v"), err)
}

// under returns the checkpoint that receipts are to be brought under. A hub that has
// signed none yet can tell of each receipt all the same whether it was lost: then it is
// one without bytes.
func (a *auditor) under(ctx context.Context, file string) (signedCheckpoint, error) {
	if file != "" {
		return readCheckpoint(a.cmd, a.verifier, file)
	}
	resp, err := a.ledger.GetCheckpoint(ctx, &ledgerv1.GetCheckpointRequest{})
	if err != nil && fault.From(err).Reason == "ledger_empty" {
		return signedCheckpoint{said: receipt.Checkpoint{Size: 1}}, nil
	}
	return a.checked(resp, err)
}

func (a *auditor) receipt(ctx context.Context, under signedCheckpoint, underFile, file string) error {
	kept, err := readReceipt(a.cmd, file)
	if err != nil {
		return err
	}
	statement, err := a.verifier.Verify(kept.GetReceipt())
	if err != nil {
		return err
	}
	resp, err := a.ledger.GetInclusionProof(ctx, &ledgerv1.GetInclusionProofRequest{Sequence: statement.GetSequence(), Size: under.said.Size})
	if err != nil {
		return a.unproven(err, statement.GetSequence(), under, underFile, file)
	}
	if under.signed == nil {
		return a.notCovered(statement.GetSequence()) // the first was signed just now
	}
	kept.Receipt.Checkpoint, kept.Receipt.Inclusion, kept.Statement = under.signed, resp.GetPath(), statement
	kept.Receipt.LedgerIndex = proto.Uint64(resp.GetIndex())
	proven, err := a.verifier.Prove(kept.GetReceipt())
	if err != nil {
		return err
	}
	if err := rewriteReceipt(file, kept); err != nil {
		return unheardError{err}
	}
	v := &receiptChecker{cmd: a.cmd, verifier: a.verifier, say: a.say}
	return a.print(a.say.of("%s: chứng minh bằng %s", "%s: proven by %s"), file, v.proof(proven))
}

// unproven says why the hub gives no proof for a receipt that holds.
func (a *auditor) unproven(err error, sequence uint64, under signedCheckpoint, underFile, file string) error {
	reason := fault.From(err).Reason
	switch {
	case reason == "sequence_skipped", reason == "packet_lost":
		return beyondError(fmt.Sprintf(a.say.of(
			"biên nhận hợp lệ, nhưng gói tin số thứ tự %d đã bị mất khi trục được khôi phục từ bản sao lưu: hãy gửi lại với cùng mã định danh",
			"the receipt holds, but sequence %d was lost in the restore: submit it again with the same id"), sequence))
	case status.Code(err) != codes.OutOfRange:
		return unheardError{a.told(err)}
	case underFile == "":
		return a.notCovered(sequence)
	case reason == "beyond_checkpoint":
		return beyondError(fmt.Sprintf(a.say.of(
			"biên nhận hợp lệ, nhưng sổ cái của trục ngắn hơn điểm kiểm tra trong %[1]s (%[2]d mục)\n  Tiếp theo: lienthong ledger consistency --from %[1]s",
			"the receipt holds, but the hub's ledger is shorter than the checkpoint in %[1]s, which covers %[2]d\n  Next: lienthong ledger consistency --from %[1]s"),
			underFile, under.said.Size))
	}
	return beyond(a.say, sequence, under.said, underFile, file)
}

// notCovered says that no checkpoint covers a receipt yet.
func (a *auditor) notCovered(sequence uint64) error {
	return beyondError(fmt.Sprintf(a.say.of("biên nhận hợp lệ, nhưng trục chưa ký điểm kiểm tra cho số thứ tự %d; hãy thử lại sau giây lát",
		"the receipt holds, but the hub has signed no checkpoint yet that covers sequence %d; try again in a moment"), sequence))
}

// rewriteReceipt replaces a file with a receipt, where that changes.
func rewriteReceipt(file string, kept *exchangev1.GetReceiptResponse) error {
	written, err := protojson.MarshalOptions{Multiline: true}.Marshal(kept)
	if err != nil {
		return fmt.Errorf("write receipt: %w", err)
	}
	written = append(written, '\n')
	if before, err := os.ReadFile(file); err == nil && bytes.Equal(before, written) {
		return nil
	}
	return certs.WriteFile(file, written, 0o600)
}
