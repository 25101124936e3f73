package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/admin"
	"github.com/lienthong/lienthong/packet"
)

// maxFile bounds what is read of a packet file.
const maxFile = 256 << 20

func packetCommand() *cobra.Command {
	return admin.Group(&cobra.Command{
		Use:   "packet",
		Short: "Check and convert packets, print their schema",
		Example: `  lienthong packet validate dossier.xml
  lienthong packet convert --to json dossier.xml
  lienthong packet xsd > lienthong.xsd`,
	}, validateCommand(), convertCommand(), xsdCommand())
}

func validateCommand() *cobra.Command {
	var strict bool
	var lang string
	cmd := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Say everything that is wrong with packets",
		Long: `Reads packets in official XML or JSON and prints one line for each violation
and each liberty that was taken in reading:

  file:line:column: error|warning: Field.path: message

FILE - is standard input. Exit code 1 when any file is refused, else 0.`,
		Example: `  lienthong packet validate statistic.xml
  lienthong packet validate --lang vi dossiers/*.xml
  curl -s https://example/packet | lienthong packet validate -`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			codec, err := packet.NewCodec(packet.Options{Strict: strict})
			if err != nil {
				return err
			}
			say, err := language(lang)
			if err != nil {
				return err
			}
			return validateFiles(cmd, codec, files, say)
		},
	}
	cmd.Flags().BoolVar(&strict, "strict", false, "refuse packets that can only be read by taking liberties")
	cmd.Flags().StringVar(&lang, "lang", defaultLanguage(), "language of the messages: vi or en")
	return cmd
}

func validateFiles(cmd *cobra.Command, codec *packet.Codec, files []string, say sayer) error {
	refused := 0
	for _, file := range files {
		findings, err := validateFile(cmd, codec, file)
		if err != nil {
			return err
		}
		if err := printFindings(cmd.OutOrStdout(), file, findings, say); err != nil {
			return err
		}
		if hasError(findings) {
			refused++
		}
	}
	if refused > 0 {
		return errRefused
	}
	return nil
}

func validateFile(cmd *cobra.Command, codec *packet.Codec, file string) ([]*packetv1.Finding, error) {
	content, err := readFile(cmd, file)
	if err != nil {
		return nil, err
	}
	read, err := decodeAny(codec, content)
	var invalid *packet.InvalidError
	switch {
	case errors.As(err, &invalid):
		return invalid.Findings, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return read.Warnings, nil
}

// decodeAny reads a packet of whatever type its content says.
func decodeAny(codec *packet.Codec, content []byte) (*packet.Packet, error) {
	typ, format, err := codec.Identify(content)
	if err != nil {
		return nil, err
	}
	return codec.Decode(typ, format, content)
}

func hasError(findings []*packetv1.Finding) bool {
	for _, f := range findings {
		if f.GetSeverity() == packetv1.Severity_SEVERITY_ERROR {
			return true
		}
	}
	return false
}

// sayer returns a finding's message in the language asked for.
type sayer func(*packetv1.Finding) string

func language(lang string) (sayer, error) {
	switch lang {
	case "vi":
		return (*packetv1.Finding).GetMessageVi, nil
	case "en":
		return (*packetv1.Finding).GetMessageEn, nil
	}
	return nil, usage("--lang %q: vi and en are allowed", lang)
}

func defaultLanguage() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := os.Getenv(name); value != "" {
			if strings.HasPrefix(value, "vi") {
				return "vi"
			}
			return "en"
		}
	}
	return "en"
}

func printFindings(w io.Writer, file string, findings []*packetv1.Finding, say sayer) error {
	for _, f := range findings {
		severity := "error"
		if f.GetSeverity() == packetv1.Severity_SEVERITY_WARNING {
			severity = "warning"
		}
		field := ""
		if f.GetField() != "" {
			field = f.GetField() + ": "
		}
		if _, err := fmt.Fprintf(w, "%s:%d:%d: %s: %s%s\n", file, max(f.GetLine(), 1), max(f.GetColumn(), 1), severity, field, say(f)); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

func convertCommand() *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use:   "convert --to xml|json|binary FILE",
		Short: "Write a packet in another format",
		Long: `Reads a packet in official XML or JSON and writes it to standard output as
official XML, official JSON, or binary Protobuf. Liberties taken in reading are
told on standard error. FILE - is standard input.`,
		Example: `  lienthong packet convert --to json dossier.xml
  lienthong packet convert --to xml - < dossier.json`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, ok := map[string]exchangev1.Format{
				"xml": exchangev1.Format_FORMAT_XML, "json": exchangev1.Format_FORMAT_JSON, "binary": exchangev1.Format_FORMAT_PROTOBUF,
			}[to]
			if !ok {
				return usage("--to %q: xml, json and binary are allowed", to)
			}
			return convertFile(cmd, args[0], format)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "format to write: xml, json or binary")
	return cmd
}

func convertFile(cmd *cobra.Command, file string, format exchangev1.Format) error {
	codec, err := packet.NewCodec(packet.Options{})
	if err != nil {
		return err
	}
	say, err := language(defaultLanguage())
	if err != nil {
		return err
	}
	content, err := readFile(cmd, file)
	if err != nil {
		return err
	}
	read, err := decodeAny(codec, content)
	var invalid *packet.InvalidError
	if errors.As(err, &invalid) {
		return errors.Join(errRefused, printFindings(cmd.ErrOrStderr(), file, invalid.Findings, say))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := printFindings(cmd.ErrOrStderr(), file, read.Warnings, say); err != nil {
		return err
	}
	written, err := codec.Encode(read.Message, format)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if _, err := cmd.OutOrStdout().Write(written); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func xsdCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "xsd [TYPE]",
		Short: "Print the XML schema of one packet, or of all",
		Long: `Prints the XML schema, generated from the rules the hub itself applies.
TYPE is dossier, progress, survey or statistic.`,
		Example: `  lienthong packet xsd > lienthong.xsd
  lienthong packet xsd statistic`,
		Args:      arguments(cobra.MaximumNArgs(1)),
		ValidArgs: []string{"dossier", "progress", "survey", "statistic"},
		RunE: func(cmd *cobra.Command, args []string) error {
			var types []packetv1.PacketType
			for _, name := range args {
				typ, err := packetType(name)
				if err != nil {
					return err
				}
				types = append(types, typ)
			}
			schema, err := packet.XSD(types...)
			if err != nil {
				return err
			}
			if _, err := cmd.OutOrStdout().Write(schema); err != nil {
				return fmt.Errorf("write: %w", err)
			}
			return nil
		},
	}
}

// packetType returns the type that a word on the command line names.
func packetType(name string) (packetv1.PacketType, error) {
	value, ok := packetv1.PacketType_value["PACKET_TYPE_"+strings.ToUpper(name)]
	if !ok || value == 0 {
		return 0, usage("packet type %q: dossier, progress, survey and statistic are allowed", name)
	}
	return packetv1.PacketType(value), nil
}

// typeWord is packetType's inverse.
func typeWord(typ packetv1.PacketType) string {
	return strings.ToLower(strings.TrimPrefix(typ.String(), "PACKET_TYPE_"))
}

// readFile reads a packet file, or standard input for "-".
func readFile(cmd *cobra.Command, file string) ([]byte, error) {
	var reader io.Reader = cmd.InOrStdin()
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read packet: %w", err)
		}
		defer opened.Close() //nolint:errcheck // only read
		reader = opened
	}
	content, err := io.ReadAll(io.LimitReader(reader, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s is larger than the %d bytes allowed", file, maxFile)
	}
	return content, nil
}
