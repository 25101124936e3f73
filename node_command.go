package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	faultv1 "github.com/lienthong/lienthong/gen/lienthong/fault/v1"
	"github.com/lienthong/lienthong/hub/admin"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/packet"
)

func nodeCommand() *cobra.Command {
	return admin.Group(&cobra.Command{
		Use:   "node",
		Short: "Join a hub as a node, submit and receive packets, and see what became of them",
		Example: `  lienthong node join --token lt1.CgpINDEv... --profile motcua
  lienthong node submit --profile motcua dossier.xml
  lienthong node receive --profile motcua --dir inbox/`,
	}, joinCommand(), submitCommand(), receiveCommand(), pullCommand(), ackCommand(), rejectCommand(), statusCommand(), deadLettersCommand(), setAddressCommand())
}

// defaultProfile is where a node keeps its profile when it is not told.
const defaultProfile = "lienthong-node"

// inVietnam returns a time as the official format shows it.
func inVietnam(t time.Time) time.Time { return t.In(time.FixedZone("", 7*60*60)) }

// maxToken is far more than a token has.
const maxToken = 4096

func profileFlag(cmd *cobra.Command, profile *string) {
	cmd.Flags().StringVar(profile, "profile", defaultProfile, "directory with the node's key, certificate and hub address")
}

func joinCommand() *cobra.Command {
	var token, profile, lang string
	cmd := &cobra.Command{
		Use:   "join --token TOKEN --profile DIR",
		Short: "Trade an administrator's token for a certificate",
		Long: `Makes a key on this machine, which it never leaves, and trades the token an
administrator gave for a certificate. The token says where the hub is and which
root certificate it must show, so nothing else has to be trusted. A join that was
interrupted can be repeated with the same token.`,
		Example: `  lienthong node join --token lt1.CgpINDEvbW90Y3Vh... --profile /etc/lienthong/motcua`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			say, err := speechOf(lang)
			if err != nil {
				return err
			}
			if token == "" {
				return usage("--token is required; an administrator gets one with: lienthong admin node add")
			}
			if token == "-" { // keeps it out of the process list and the shell's history
				line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), maxToken)).ReadString('\n')
				if err != nil && !errors.Is(err, io.EOF) {
					return fmt.Errorf("read token: %w", err)
				}
				token = strings.TrimSpace(line)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
			defer cancel()
			joined, err := nodes.Join(ctx, token, profile, nodes.JoinOptions{})
			if err != nil {
				return teller{cmd, say, profile}.explained(err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), say.of("Đã kết nạp vào %s với tên %s; chứng thư có hiệu lực đến %s.\nHồ sơ: %s\nTiếp theo: lienthong node submit --profile %[4]s FILE, hoặc lienthong node receive --profile %[4]s --dir DIR\n",
				"Joined %s as %s; certificate until %s.\nProfile: %s\nNext: lienthong node submit --profile %[4]s FILE, or lienthong node receive --profile %[4]s --dir DIR\n"),
				joined.Hub.Address, joined.Node, inVietnam(joined.Node.NotAfter).Format("2006-01-02 15:04 -07"), profile)
			return err
		},
	}
	cmd.Flags().StringVar(&token, "token", "", "token from: lienthong admin node add; - reads it from standard input")
	profileFlag(cmd, &profile)
	langFlag(cmd, &lang, "language of what is printed")
	return cmd
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
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if options.count < 0 {
				return usage("--count %d: 0 or more is expected", options.count)
			}
			return receivePackets(cmd, options)
		},
	}
	profileFlag(cmd, &options.profile)
	cmd.Flags().StringVar(&options.dir, "dir", "", "directory to write packets to, one file each; default: standard output")
	cmd.Flags().StringVar(&options.format, "format", "xml", "format to write: xml, json, or original for the sender's own bytes; large packets always as the last")
	langFlag(cmd, &options.lang, "language of what is said")
	cmd.Flags().IntVar(&options.count, "count", 0, "stop after this many; 0: go on")
	return cmd
}

type receiveOptions struct {
	profile, dir, format, lang string
	count                      int
}

func receivePackets(cmd *cobra.Command, options receiveOptions) (err error) {
	say, err := speechOf(options.lang)
	if err != nil {
		return err
	}
	tell := teller{cmd, say, options.profile}
	write, err := packetWriter(cmd, options)
	if err != nil {
		return err
	}
	client, err := nodes.DialProfile(options.profile, nodes.Config{MaxMessageBytes: maxMessage})
	if err != nil {
		return tell.explained(err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	ctx, enough := context.WithCancel(cmd.Context())
	defer enough()
	taken := 0
	return tell.explained(client.Receive(ctx, func(ctx context.Context, d *exchangev1.Delivery) error {
		if err := putDelivery(ctx, cmd, client, d, options.dir, write); err != nil {
			return err
		}
		if taken++; taken == options.count {
			enough()
		}
		return nil
	}, nodes.ReceiveOptions{}))
}

// putDelivery puts a delivery where it was asked for, a large one by pieces.
func putDelivery(ctx context.Context, cmd *cobra.Command, client *nodes.Client, d *exchangev1.Delivery, dir string, write func(*exchangev1.Delivery) error) error {
	if d.GetPacket().GetEnvelope().GetUpload() != nil {
		return putLarge(ctx, cmd, client, dir, d)
	}
	return write(d)
}

// packetWriter returns what puts a delivery where it was asked for.
func packetWriter(cmd *cobra.Command, options receiveOptions) (func(*exchangev1.Delivery) error, error) {
	formats := map[string]exchangev1.Format{
		"xml": exchangev1.Format_FORMAT_XML, "json": exchangev1.Format_FORMAT_JSON, "original": exchangev1.Format_FORMAT_UNSPECIFIED,
	}
	format, ok := formats[options.format]
	if !ok {
		return nil, usage("--format %q: xml, json and original are allowed", options.format)
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
	sayReceived(cmd, p)
	if dir == "" {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", strings.TrimRight(string(content), "\n")); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		return nil
	}
	return certs.WriteFile(packetFile(dir, p, format), content, 0o600)
}

// sayReceived says, apart from the packets, that one was written.
func sayReceived(cmd *cobra.Command, p *exchangev1.AcceptedPacket) {
	lang, _ := cmd.Flags().GetString("lang")                                                                                  // whoever asks has it
	fmt.Fprintf(cmd.ErrOrStderr(), speech(lang).of("đã nhận số thứ tự %d: %s từ %s\n", "received sequence %d: %s from %s\n"), //nolint:errcheck // terminal output
		p.GetSequence(), typeWord(p.GetEnvelope().GetType()), p.GetSender())
}

// packetFile is the file that a packet is written to.
func packetFile(dir string, p *exchangev1.AcceptedPacket, format exchangev1.Format) string {
	suffix := map[exchangev1.Format]string{
		exchangev1.Format_FORMAT_XML: "xml", exchangev1.Format_FORMAT_JSON: "json", exchangev1.Format_FORMAT_PROTOBUF: "binpb",
	}[format]
	return filepath.Join(dir, fmt.Sprintf("%012d-%s.%s", p.GetSequence(), typeWord(p.GetEnvelope().GetType()), suffix))
}

// teller says errors of the SDK to people, in the language of a command.
type teller struct {
	cmd     *cobra.Command
	say     speech
	profile string
}

// explained returns an error of the SDK as a person reads it: a refusal in words, a
// profile that is not there with the next step.
func (t teller) explained(err error) error {
	var refusal *nodes.Refused
	switch {
	case errors.As(err, &refusal):
		said := refusal.Refusal
		if trouble, is := troubleOf(refusal); is {
			return t.say.troubled(t.address(), trouble)
		}
		return errors.New(t.say.both(t.cmd, withReason(said.GetMessageVi(), said), withReason(said.GetMessageEn(), said), "\n  "))
	case errors.Is(err, fs.ErrNotExist):
		return t.noProfile(err)
	}
	return err
}

// troubleOf returns why there was no answer, where that is one of the mistakes that people
// make with addresses and profiles.
func troubleOf(refused *nodes.Refused) (admin.Trouble, bool) {
	if cause := refused.Unwrap(); cause != nil {
		return admin.TroubleOf(cause.Error())
	}
	return admin.Trouble{}, false // the hub's own word
}

// address returns where the profile looks for its hub.
func (t teller) address() string {
	hub, err := certs.LoadHub(t.profile)
	if err != nil {
		return t.profile
	}
	return hub.Address
}

// troubled says why a hub cannot be reached, and what to do.
func (s speech) troubled(address string, trouble admin.Trouble) error {
	return fmt.Errorf(s.of("không kết nối được với trục liên thông tại %s: %s\nTiếp theo: %s", "the hub at %s cannot be reached: %s\nNext: %s"),
		address, s.of(trouble.VI, trouble.EN), s.of(trouble.NextVI, trouble.NextEN))
}

func withReason(text string, said *faultv1.Refusal) string {
	return text + " (" + said.GetReason() + ")"
}

// noProfile says that a directory is not the profile of a node, and how it becomes one.
func (t teller) noProfile(err error) error {
	dir := t.profile
	en, vi := "there is no node's profile in "+dir, "không có hồ sơ của hệ thống trong thư mục "+dir
	if at, ok := errors.AsType[*fs.PathError](err); ok && filepath.Dir(at.Path) == filepath.Clean(dir) {
		if _, found := os.Stat(dir); found == nil {
			en, vi = en+": "+filepath.Base(at.Path)+" is missing", vi+": thiếu tệp "+filepath.Base(at.Path)
		}
	}
	next := "lienthong node join --token TOKEN --profile " + dir
	return fmt.Errorf("%s\n%s", t.say.both(t.cmd, vi, en, "\n"), t.say.of(
		"Tiếp theo: kết nạp bằng mã của quản trị viên: "+next+"; nếu đã có hồ sơ: --profile DIR",
		"Next: join a hub with the token its administrator gives: "+next+"; where there is a profile already: --profile DIR"))
}
