package main

import (
	"bytes"
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
input. Exit code 1 when any packet is refused, or the hub gives no answer.

What is larger than 8 MiB, or than the hub takes in one piece, is uploaded in pieces;
after a cut that goes on where it was. --timeout is for the hub's answer: for each MiB
of the packet there is a second more.

A packet's id follows from its content unless --id gives one, so a command that is
repeated does not submit anything twice.`,
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
	client, err := nodes.DialProfile(options.profile, nodeConfig())
	if err != nil {
		return explained(err, options.profile)
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
	refused := false
	for _, file := range files {
		env, err := envelopeOf(cmd, codec, file, options)
		if errors.Is(err, errNotSent) {
			refused = true
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", printable(file), printable(notSent(err, say))) //nolint:errcheck // terminal output
			continue
		}
		accepted, err := submitOne(cmd, to, env, err, options.timeout)
		if refusal, isOne := refusalOf(err); isOne {
			refused = true
			printRefusal(cmd.OutOrStdout(), file, refusal, say)
			continue
		}
		if err != nil {
			return fmt.Errorf(say.of("%s: trục chưa trả lời; gói tin có thể đã hoặc chưa được tiếp nhận, hãy gửi lại để biết: %w",
				"%s: no answer from the hub; it may have been accepted or not, submit it again to find out: %w"), file, explained(err, options.profile))
		}
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

// errNotSent means that a file could not be read.
var errNotSent = errors.New("not sent")

// envelopeOf reads a file; what is no packet is refused here.
func envelopeOf(cmd *cobra.Command, codec *packet.Codec, file string, options submitOptions) (*exchangev1.Envelope, error) {
	content, err := readFile(cmd, file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
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
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
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
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout+time.Duration(len(content)>>20)*time.Second)
	defer cancel()
	if len(content) <= nodes.DefaultLargeBytes {
		accepted, err := to.submit(ctx, env)
		if !tooLargeForAMessage(err) {
			return accepted, err
		}
	}
	env.Content = nil
	return to.client.SubmitLarge(ctx, env, bytes.NewReader(content), int64(len(content)))
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

// printRefusal prints the hub's word in the language asked for first: who is asked for
// help may read the other one.
func printRefusal(w io.Writer, file string, r *faultv1.Refusal, say speech) {
	fmt.Fprintf(w, say.of("%s: bị từ chối: %s (%s)\n  %s\n", "%s: refused: %s (%s)\n  %s\n"), file, //nolint:errcheck // terminal output
		printable(say.of(r.GetMessageVi(), r.GetMessageEn())), r.GetReason(), printable(say.of(r.GetMessageEn(), r.GetMessageVi())))
	_ = printFindings(w, file, r.GetFindings(), say)
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
