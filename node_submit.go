package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	faultv1 "github.com/lienthong/lienthong/gen/lienthong/fault/v1"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/packet"
)

func submitCommand() *cobra.Command {
	var options submitOptions
	cmd := &cobra.Command{
		Use:   "submit FILE...",
		Short: "Submit packets to the hub and check their receipts",
		Long: `Submits packets in official XML or JSON and prints a line for each. A receipt is
verified against the hub's ledger key before it is reported. FILE - is standard
input.

What is larger than 8 MiB, or than the hub takes in one piece, is uploaded in pieces;
after a cut that goes on where it was. --timeout is how long to wait for the hub: for its
answer to one packet, and while it takes nothing of an upload.

A packet's id follows from its content unless --id gives one, so a command that is
repeated does not submit anything twice. Where there was no answer, repeat it: what was
accepted meanwhile gets the same receipt.

Exit codes: 0 all were accepted; 1 one was refused, could not be read, or got no answer;
2 the command line is wrong.`,
		Example: `  lienthong node submit --profile motcua dossier.xml
  lienthong node submit --profile motcua --receipts receipts/ out/*.xml`,
		Args: atLeastOne("a file with a packet, or - for standard input"),
		RunE: func(cmd *cobra.Command, files []string) error {
			if options.id != "" && len(files) > 1 {
				return usage("--id is for one file")
			}
			if options.timeout <= 0 {
				return usage("--timeout %s: more than nothing is expected, e.g. 30s", options.timeout)
			}
			say, err := speechOf(options.lang)
			if err != nil {
				return err
			}
			return submitFiles(cmd, files, options, say)
		},
	}
	profileFlag(cmd, &options.profile)
	flags := cmd.Flags()
	flags.StringVar(&options.id, "id", "", "id of the envelope, for one file")
	flags.StringVar(&options.onBehalfOf, "on-behalf-of", "", "organisation below the node's own that it speaks for")
	flags.StringSliceVar(&options.to, "to", nil, "nodes to deliver to, to narrow the routing")
	flags.StringVar(&options.receipts, "receipts", "", "directory to keep the receipts in, one JSON file each")
	flags.DurationVar(&options.timeout, "timeout", time.Minute, "how long to wait for the hub's answer to one packet")
	langFlag(cmd, &options.lang, "language of what is printed")
	return cmd
}

type submitOptions struct {
	profile, id, onBehalfOf, receipts, lang string
	to                                      []string
	timeout                                 time.Duration
}

func submitFiles(cmd *cobra.Command, files []string, options submitOptions, say speech) (err error) {
	tell := teller{cmd, say, options.profile}
	client, err := nodes.DialProfile(options.profile, tell.nodeConfig())
	if err != nil {
		return tell.explained(err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	codec, err := packet.NewCodec(packet.Options{ContentBytes: maxFile, TextBytes: maxFile, Shared: true})
	if err != nil {
		return err
	}
	to, err := openStream(cmd.Context(), client)
	if err != nil {
		return err
	}
	defer to.close()
	refused, heard := false, false
	for _, file := range files {
		env, err := envelopeOf(cmd, codec, file, options)
		if errors.Is(err, errNotSent) {
			refused = true
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", printable(file), printable(notSent(err, say))) //nolint:errcheck // terminal output
			continue
		}
		accepted, err := submitOne(cmd, to, env, err, options.timeout)
		if refusal, isOne := refusalOf(err); isOne {
			refused, heard = true, true
			tell.printRefusal(file, refusal)
			continue
		}
		if shut := shutOut(err); shut != nil {
			return fmt.Errorf("%s: %s", printable(file), tell.shutOut(shut, heard))
		}
		if err != nil {
			return fmt.Errorf("%s: %s", printable(file), tell.unanswered(err))
		}
		heard = true
		printAccepted(cmd.OutOrStdout(), file, accepted.Statement, say)
		if err := keepReceipt(options.receipts, file, accepted); err != nil {
			return fmt.Errorf(say.of("%s đã được tiếp nhận với số thứ tự %d, nhưng: %w", "%s was accepted as sequence %d, but: %w"), file, accepted.Statement.GetSequence(), err)
		}
	}
	if refused {
		return errRefused
	}
	return nil
}

// refusalOf tells the hub's word from what only says that there was none.
func refusalOf(err error) (*faultv1.Refusal, bool) {
	var refused *nodes.Refused
	if errors.Is(err, nodes.ErrUnresolved) || !errors.As(err, &refused) {
		return nil, false // the stream may have been ended with an answer on its way
	}
	switch refused.Code() {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded, codes.Unknown, codes.Unimplemented, codes.Internal:
		return nil, false
	}
	return refused.Refusal, true
}

// shutOut returns the refusal with which the hub has ended a stream, as it does not let
// the node in, or not any more; nil where it was not that.
func shutOut(err error) *faultv1.Refusal {
	refused, isOne := errors.AsType[*nodes.Refused](err)
	if !isOne || refused.Unwrap() != nil {
		return nil // nobody's word, or the SDK's own
	}
	if code := refused.Code(); code != codes.PermissionDenied && code != codes.Unauthenticated {
		return nil
	}
	return refused.Refusal
}

// shutOut says so, and what to do. Where the hub had let the node in before, the packet
// may have been under way when it was shut out.
func (t teller) shutOut(r *faultv1.Refusal, heard bool) string {
	text := t.say.of("bị từ chối: ", "refused: ") +
		t.say.both(t.cmd, printable(withReason(r.GetMessageVi(), r)), printable(withReason(r.GetMessageEn(), r)), "\n  ")
	if heard {
		text += t.say.of("\n  Trục đóng luồng khi gói tin này đang được gửi: chưa biết đã được tiếp nhận hay chưa.",
			"\n  The hub ended the stream while this packet was under way: it is not known whether it was accepted.")
	}
	return text + fmt.Sprintf(t.say.of(
		"\n  Từ gói tin này trở đi không có gói nào được xác nhận. Tiếp theo: liên hệ quản trị viên của trục; khi lệnh sau thành công: lienthong node status --profile %s, hãy chạy lại đúng lệnh này",
		"\n  Nothing from this packet on was confirmed. Next: ask the hub's administrator; once this succeeds: lienthong node status --profile %s, run the same command again"), t.profile)
}

// unanswered says that the hub gave no answer, and what to do. Whether the packet was
// accepted is not known then.
func (t teller) unanswered(err error) string {
	var slow *slowError
	var refused *nodes.Refused
	vi, en := "trục không trả lời trong thời hạn", "the hub has not answered in time"
	switch {
	case errors.As(err, &slow):
		vi = fmt.Sprintf("đã gửi %d trong %d byte, trục chưa nhận thêm; có thể đang chờ hạn mức byte mỗi giây của hệ thống này, hoặc đường truyền chậm. Phần trục đã nhận được giữ lại", slow.sent, slow.size)
		en = fmt.Sprintf("%d of %d bytes were sent, and the hub takes no more for now; it may wait for this node's quota of bytes in a second, or the line is slow. What it has is kept", slow.sent, slow.size)
	case errors.As(err, &refused):
		r := refused.Refusal
		vi, en = withReason(r.GetMessageVi(), r), withReason(r.GetMessageEn(), r)
	case !errors.Is(err, context.DeadlineExceeded):
		vi, en = fmt.Sprintf("%v", err), fmt.Sprintf("%v", err)
	}
	next := ""
	if refused != nil {
		if trouble, is := troubleOf(refused); is {
			vi, en = trouble.VI, trouble.EN
			next = "\n  " + t.say.of("Tiếp theo: "+trouble.NextVI, "Next: "+trouble.NextEN)
		}
	}
	text := t.say.of("không có trả lời: ", "no answer: ") + t.say.both(t.cmd, vi, en, "\n  ")
	if slow != nil && slow.sent < slow.size {
		return text + t.say.of(
			"\n  Gói tin chưa được tiếp nhận. Hãy chạy lại đúng lệnh này để gửi tiếp từ chỗ đã dừng; --timeout 5m để chờ lâu hơn.",
			"\n  The packet is not accepted yet. Run the same command again, and it goes on where it was; --timeout 5m waits longer.")
	}
	if next != "" {
		return text + next
	}
	return text + t.say.of(
		"\n  Chưa biết gói tin đã được tiếp nhận hay chưa. Hãy chạy lại đúng lệnh này: mã gói tin không đổi, nên chỉ được tiếp nhận một lần và nhận cùng một biên nhận; --timeout 5m để chờ lâu hơn.",
		"\n  It is not known whether the packet was accepted. Run the same command again: its id stays the same, so it is accepted once and gets the same receipt; --timeout 5m waits longer.")
}

// errNotSent means that a file could not be read.
var errNotSent = errors.New("not sent")

// unsent is why a file could not be read; it is an errNotSent.
type unsent struct{ error }

// Unwrap returns why, and what kind of error it is.
func (u unsent) Unwrap() []error { return []error{errNotSent, u.error} }

// envelopeOf reads a file; what is no packet is refused here.
func envelopeOf(cmd *cobra.Command, codec *packet.Codec, file string, options submitOptions) (*exchangev1.Envelope, error) {
	content, err := readFile(cmd, file)
	if err != nil {
		return nil, unsent{err}
	}
	typ, format, err := codec.Identify(content)
	var invalid *packet.InvalidError
	if errors.As(err, &invalid) {
		return nil, &nodes.Refused{Refusal: &faultv1.Refusal{
			Code: int32(codes.InvalidArgument), Reason: "packet_unknown", Findings: invalid.Findings,
			MessageEn: "not a packet this program knows; it was not sent", MessageVi: "không phải gói tin đã biết; chưa gửi đi",
		}}
	}
	if err != nil {
		return nil, unsent{err}
	}
	env := &exchangev1.Envelope{
		Id: options.id, Type: typ, Format: format, Content: content,
		OnBehalfOf: options.onBehalfOf, Recipients: options.to,
	}
	if env.GetId() == "" {
		env.Id = packet.EnvelopeID(env)
	}
	return env, nil
}

func submitOne(cmd *cobra.Command, to *stream, env *exchangev1.Envelope, refused error, timeout time.Duration) (*nodes.Accepted, error) {
	if refused != nil {
		return nil, refused
	}
	content := env.GetContent()
	if len(content) <= nodes.DefaultLargeBytes {
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout+time.Duration(len(content)>>20)*time.Second)
		defer cancel()
		accepted, err := to.submit(ctx, env)
		if !tooLargeForAMessage(err) {
			return accepted, err
		}
	}
	env.Content = nil
	return submitLarge(cmd.Context(), to.client, env, content, timeout)
}

// tooLargeForAMessage reports whether the hub takes a packet in pieces, if at all.
func tooLargeForAMessage(err error) bool {
	refused, isOne := errors.AsType[*nodes.Refused](err)
	return isOne && (refused.Reason() == "packet_too_large" || refused.Reason() == "message_too_large")
}

// notSent says why a file was not sent.
func notSent(err error, say speech) string {
	vi, en := reason(err)
	return say.of("chưa gửi: "+vi, "not sent: "+en)
}

func printAccepted(w io.Writer, file string, s *exchangev1.Statement, say speech) {
	fmt.Fprintf(w, say.of("%s: đã tiếp nhận với số thứ tự %d, gửi đến %s, cảnh báo: %d\n", "%s: accepted as sequence %d, to %s, warnings: %d\n"), //nolint:errcheck // terminal output
		file, s.GetSequence(), strings.Join(s.GetRecipients(), ", "), len(s.GetWarnings()))
	_ = printFindings(w, file, s.GetWarnings(), say)
}

// printRefusal prints the hub's word.
func (t teller) printRefusal(file string, r *faultv1.Refusal) {
	w := t.cmd.OutOrStdout()
	fmt.Fprintf(w, t.say.of("%s: bị từ chối: %s\n", "%s: refused: %s\n"), file, //nolint:errcheck // terminal output
		t.say.both(t.cmd, printable(withReason(r.GetMessageVi(), r)), printable(withReason(r.GetMessageEn(), r)), "\n  "))
	_ = printFindings(w, file, r.GetFindings(), t.say)
}

// keepReceipt writes a receipt together with what it states, for people.
func keepReceipt(dir, file string, accepted *nodes.Accepted) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep receipt: %w", err)
	}
	kept := &exchangev1.GetReceiptResponse{Receipt: accepted.Receipt, Statement: accepted.Statement}
	written, err := protojson.MarshalOptions{Multiline: true}.Marshal(kept)
	if err != nil {
		return fmt.Errorf("keep receipt: %w", err)
	}
	if file == "-" {
		file = "stdin"
	}
	name := fmt.Sprintf("%d-%s.receipt.json", accepted.Statement.GetSequence(), filepath.Base(file))
	return certs.WriteFile(filepath.Join(dir, name), append(written, '\n'), 0o600)
}
