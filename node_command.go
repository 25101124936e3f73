package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	faultv1 "github.com/lienthong/lienthong/gen/lienthong/fault/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/packet"
)

func nodeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Join a hub as a node, submit and receive packets",
		Args:  arguments(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(joinCommand(), submitCommand(), receiveCommand())
	return cmd
}

// defaultProfile is where a node keeps its profile when it is not told.
const defaultProfile = "lienthong-node"

func profileFlag(cmd *cobra.Command, profile *string) {
	cmd.Flags().StringVar(profile, "profile", defaultProfile, "directory with the node's key, certificate and hub address")
}

func joinCommand() *cobra.Command {
	var token, profile string
	cmd := &cobra.Command{
		Use:   "join --token TOKEN --profile DIR",
		Short: "Trade an administrator's token for a certificate",
		Long: `Makes a key on this machine, which it never leaves, and trades the token an
administrator gave for a certificate. The token says where the hub is and which
root certificate it must show, so nothing else has to be trusted. A join that was
interrupted can be repeated with the same token.`,
		Example: `  lienthong node join --token lt1.CgpINDEvbW90Y3Vh... --profile /etc/lienthong/motcua`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if token == "" {
				return usageError{errors.New("--token is required; an administrator gets one with: lienthong admin node add")}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
			defer cancel()
			joined, err := nodes.Join(ctx, token, profile, nodes.JoinOptions{})
			if err != nil {
				return explained(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Joined %s as %s; certificate until %s.\nProfile: %s\nNext: lienthong node receive --profile %s\n",
				joined.Hub.Address, joined.Node, joined.Node.NotAfter.Local().Format(time.DateOnly), profile, profile)
			return err
		},
	}
	cmd.Flags().StringVar(&token, "token", "", "token from: lienthong admin node add")
	profileFlag(cmd, &profile)
	return cmd
}

func submitCommand() *cobra.Command {
	var options submitOptions
	cmd := &cobra.Command{
		Use:   "submit FILE...",
		Short: "Submit packets to the hub and check their receipts",
		Long: `Submits packets in official XML or JSON and prints a line for each. A receipt is
verified against the hub's ledger key before it is reported. FILE - is standard
input. Exit code 1 when any packet is refused.

A packet's id follows from its content unless --id gives one, so a command that is
repeated does not submit anything twice.`,
		Example: `  lienthong node submit --profile motcua dossier.xml
  lienthong node submit --profile motcua --receipts receipts/ out/*.xml`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			if options.id != "" && len(files) > 1 {
				return usageError{errors.New("--id is for one file")}
			}
			return submitFiles(cmd, files, options)
		},
	}
	profileFlag(cmd, &options.profile)
	cmd.Flags().StringVar(&options.id, "id", "", "id of the envelope, for one file")
	cmd.Flags().StringVar(&options.onBehalfOf, "on-behalf-of", "", "organisation below the node's own that it speaks for")
	cmd.Flags().StringSliceVar(&options.to, "to", nil, "nodes to deliver to, to narrow the routing")
	cmd.Flags().StringVar(&options.receipts, "receipts", "", "directory to keep the receipts in, one JSON file each")
	return cmd
}

type submitOptions struct {
	profile, id, onBehalfOf, receipts string
	to                                []string
}

func submitFiles(cmd *cobra.Command, files []string, options submitOptions) (err error) {
	client, err := nodes.DialProfile(options.profile, nodes.Config{})
	if err != nil {
		return explained(err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	codec, err := packet.NewCodec(packet.Options{})
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
		accepted, err := submitFile(cmd, to, codec, file, options)
		var refusal *nodes.Refused
		switch {
		case errors.As(err, &refusal):
			refused = true
			printRefusal(cmd.OutOrStdout(), file, refusal.Refusal)
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := keepReceipt(options.receipts, file, accepted); err != nil {
			return err
		}
		printAccepted(cmd.OutOrStdout(), file, accepted.Statement)
	}
	if refused {
		return errRefused
	}
	return nil
}

func submitFile(cmd *cobra.Command, to *stream, codec *packet.Codec, file string, options submitOptions) (*nodes.Accepted, error) {
	content, err := readFile(cmd, file)
	if err != nil {
		return nil, err
	}
	typ, format, err := identify(codec, content)
	var invalid *packet.InvalidError
	if errors.As(err, &invalid) {
		return nil, &nodes.Refused{Refusal: &faultv1.Refusal{
			Reason: "packet_unknown", MessageEn: "not a packet this program knows", MessageVi: "không phải gói tin đã biết", Findings: invalid.Findings,
		}}
	}
	if err != nil {
		return nil, err
	}
	env := &exchangev1.Envelope{
		Id: options.id, Type: typ, Format: format, Content: content,
		OnBehalfOf: options.onBehalfOf, Recipients: options.to,
	}
	if env.GetId() == "" {
		if env.Id, err = derivedID(env); err != nil {
			return nil, err
		}
	}
	return to.submit(cmd.Context(), env)
}

// derivedID returns an id that is the same for the same envelope, and another for
// any other.
func derivedID(env *exchangev1.Envelope) (string, error) {
	written, err := proto.MarshalOptions{Deterministic: true}.Marshal(env)
	if err != nil {
		return "", fmt.Errorf("envelope id: %w", err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(written)), nil
}

func printAccepted(w io.Writer, file string, s *exchangev1.Statement) {
	fmt.Fprintf(w, "%s: accepted as sequence %d, to %s, %d warnings\n", //nolint:errcheck // terminal output
		file, s.GetSequence(), strings.Join(s.GetRecipients(), ", "), len(s.GetWarnings()))
	_ = printFindings(w, file, s.GetWarnings(), (*packetv1.Finding).GetMessageEn)
}

func printRefusal(w io.Writer, file string, r *faultv1.Refusal) {
	fmt.Fprintf(w, "%s: refused: %s (%s)\n  %s\n", file, r.GetMessageEn(), r.GetReason(), r.GetMessageVi()) //nolint:errcheck // terminal output
	_ = printFindings(w, file, r.GetFindings(), (*packetv1.Finding).GetMessageEn)
}

func keepReceipt(dir, file string, accepted *nodes.Accepted) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep receipt: %w", err)
	}
	written, err := protojson.MarshalOptions{Multiline: true}.Marshal(accepted.Receipt)
	if err != nil {
		return fmt.Errorf("keep receipt: %w", err)
	}
	name := fmt.Sprintf("%d-%s.receipt.json", accepted.Statement.GetSequence(), filepath.Base(file))
	return certs.WriteFile(filepath.Join(dir, name), append(written, '\n'), 0o600)
}

func receiveCommand() *cobra.Command {
	var options receiveOptions
	cmd := &cobra.Command{
		Use:   "receive",
		Short: "Receive what is addressed to this node",
		Long: `Receives packets until Ctrl-C, or until --count of them, and acknowledges each
once it is written: to a file of its own in --dir, or to standard output.
What is not acknowledged is delivered again.`,
		Example: `  lienthong node receive --profile portal --dir inbox/
  lienthong node receive --profile portal --count 1 --format json`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return receivePackets(cmd, options) },
	}
	profileFlag(cmd, &options.profile)
	cmd.Flags().StringVar(&options.dir, "dir", "", "directory to write packets to, one file each; default: standard output")
	cmd.Flags().StringVar(&options.format, "format", "xml", "format to write: xml, json, or original for the sender's own bytes")
	cmd.Flags().IntVar(&options.count, "count", 0, "stop after this many; 0: go on")
	return cmd
}

type receiveOptions struct {
	profile, dir, format string
	count                int
}

func receivePackets(cmd *cobra.Command, options receiveOptions) (err error) {
	write, err := packetWriter(cmd, options)
	if err != nil {
		return err
	}
	client, err := nodes.DialProfile(options.profile, nodes.Config{})
	if err != nil {
		return explained(err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	ctx, enough := context.WithCancel(cmd.Context())
	defer enough()
	taken := 0
	return explained(client.Receive(ctx, func(_ context.Context, d *exchangev1.Delivery) error {
		if err := write(d); err != nil {
			return err
		}
		if taken++; taken == options.count {
			enough()
		}
		return nil
	}, nodes.ReceiveOptions{}))
}

// packetWriter returns what puts a delivery where it was asked for.
func packetWriter(cmd *cobra.Command, options receiveOptions) (func(*exchangev1.Delivery) error, error) {
	formats := map[string]exchangev1.Format{
		"xml": exchangev1.Format_FORMAT_XML, "json": exchangev1.Format_FORMAT_JSON, "original": exchangev1.Format_FORMAT_UNSPECIFIED,
	}
	format, ok := formats[options.format]
	if !ok {
		return nil, usageError{fmt.Errorf("--format %q: xml, json and original are allowed", options.format)}
	}
	if options.dir != "" {
		if err := os.MkdirAll(options.dir, 0o700); err != nil {
			return nil, fmt.Errorf("directory for packets: %w", err)
		}
	}
	codec, err := packet.NewCodec(packet.Options{})
	if err != nil {
		return nil, err
	}
	return func(d *exchangev1.Delivery) error {
		content, written, err := inFormat(codec, d.GetPacket().GetEnvelope(), format)
		if err != nil {
			return fmt.Errorf("packet %d: %w", d.GetPacket().GetSequence(), err)
		}
		return putPacket(cmd, options.dir, d, content, written)
	}, nil
}

// inFormat returns an envelope's content in a format, or as it is.
func inFormat(codec *packet.Codec, env *exchangev1.Envelope, format exchangev1.Format) ([]byte, exchangev1.Format, error) {
	if format == exchangev1.Format_FORMAT_UNSPECIFIED {
		return env.GetContent(), env.GetFormat(), nil
	}
	read, err := codec.Decode(env.GetType(), env.GetFormat(), env.GetContent())
	if err != nil {
		return nil, format, err
	}
	content, err := codec.Encode(read.Message, format)
	return content, format, err
}

func putPacket(cmd *cobra.Command, dir string, d *exchangev1.Delivery, content []byte, format exchangev1.Format) error {
	p := d.GetPacket()
	fmt.Fprintf(cmd.ErrOrStderr(), "received sequence %d: %s from %s\n", p.GetSequence(), typeWord(p.GetEnvelope().GetType()), p.GetSender()) //nolint:errcheck // terminal output
	if dir == "" {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", strings.TrimRight(string(content), "\n")); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		return nil
	}
	suffix := map[exchangev1.Format]string{
		exchangev1.Format_FORMAT_XML: "xml", exchangev1.Format_FORMAT_JSON: "json", exchangev1.Format_FORMAT_PROTOBUF: "binpb",
	}[format]
	return certs.WriteFile(filepath.Join(dir, fmt.Sprintf("%012d-%s.%s", p.GetSequence(), typeWord(p.GetEnvelope().GetType()), suffix)), content, 0o600)
}

// explained returns a refusal as one error with both texts; others as they are.
func explained(err error) error {
	var refusal *nodes.Refused
	if errors.As(err, &refusal) {
		return fmt.Errorf("%s (%s)\n  %s", refusal.Refusal.GetMessageEn(), refusal.Refusal.GetReason(), refusal.Refusal.GetMessageVi())
	}
	return err
}
