package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/admin"
	"github.com/lienthong/lienthong/packet"
)

func packetCommand() *cobra.Command {
	return admin.Group(&cobra.Command{
		Use:   "packet",
		Short: "Check and convert packets, print their schemas",
		Example: `  lienthong packet validate dossier.xml
  lienthong packet validate --format json outbox/
  lienthong packet convert --to json dossier.xml
  lienthong packet xsd > lienthong.xsd
  lienthong packet fields --lang vi dossier`,
	}, validateCommand(), convertCommand(), xsdCommand(), openAPICommand(), fieldsCommand())
}

// inputHelp says what every command that reads packets takes.
const inputHelp = `
An argument is a file, a directory or -, which is standard input. Directories are
searched for *.xml and *.json, sorted by path, however deep: hidden names are left
out, links are followed, and no directory is read twice. Files are read in
parallel; what is said comes in the order of the files. A file that cannot be read
is told and counted, and does not end the run. A packet larger than --large-bytes is
refused (limit.size) and not read; the files held at once come to at most that much and
four times --content-bytes.
`

// exitHelp says what every command that reads packets ends with.
const exitHelp = `
Exit codes: 0 every packet is accepted; 1 some are refused; 2 something could not
be read or written, the run was interrupted, or the command line is wrong: then
packets may be refused besides.`

// jsonHelp describes the lines of --format json.
const jsonHelp = `
With --format json every line is an object; one for each file, in order:

  file      as named, or found; - for standard input
  file_bytes  the same in Base64, only of a name that is not UTF-8
  type      dossier, progress, survey, statistic; unknown where it cannot be told
  format    xml, json, binary; unknown where it cannot be told
  bytes     how many were read
  result    accepted, refused, unreadable; of convert also unwritten, skipped
  output    the file that was written, of convert --out; of skipped, that was there
  output_bytes  the same in Base64, only of a name that is not UTF-8
  findings  in the order of the text, each with
    severity             error or warning
    field                path by official names: MSyncDocument.DocFees[0].Price
    line, column         from 1; 0 where there is no place
    rule                 stable identifier: required, int32.lte, unreadable
    sent, understood     values; personal data is masked
    message              in the language of --lang
    message_vi, message_en

and at the end one with type summary: complete (false: interrupted), files,
accepted, accepted_with_warnings (of the accepted), refused, unreadable, unwritten,
skipped, errors, warnings, bytes, seconds, megabytes_per_second. Characters that
could command a terminal are escaped.
`

// packetOptions are the flags of every command that reads packets.
type packetOptions struct {
	converts                bool // what is read is written again
	strict                  bool
	contentBytes            int
	largeBytes              int // 0: not said
	from, typ, lang, format string
}

func (o *packetOptions) declare(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&o.strict, "strict", false, "refuse packets that can only be read by taking liberties")
	o.contentBytes = hub.DefaultContentBytes
	flags.Var(setting[int]{at: &o.contentBytes, bytes: true}, "content-bytes", "largest packet in one piece, as of a hub, e.g. 16MiB (default 16 MiB)")
	flags.Var(setting[int]{at: &o.largeBytes, bytes: true}, "large-bytes", "largest packet in pieces, as of a hub, e.g. 160MiB (default 160 MiB, or --content-bytes where that is given)")
	flags.StringVar(&o.from, "from", "", "read as xml, json or binary (Protobuf) only; of directories, only files so named")
	flags.StringVar(&o.typ, "type", "", "type of the packets: dossier, progress, survey or statistic; told by their content where not given")
	langFlag(cmd, &o.lang, "language of the messages")
	flags.StringVar(&o.format, "format", formatText, "how findings are told: text or json")
	offer(cmd, "from", formatWords())
	offer(cmd, "type", typeWords())
	offer(cmd, "format", []string{formatText, formatJSON})
}

// offer lets shells complete the values of a flag.
func offer(cmd *cobra.Command, flag string, values []string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // fails for a flag that is not there
}

// Formats of what commands tell.
const (
	formatText = "text"
	formatJSON = "json"
)

// most returns the size of the largest packet. Who names that of one piece alone is told
// of whatever is larger.
func (o *packetOptions) most() int {
	switch {
	case o.largeBytes > 0:
		return max(o.largeBytes, o.contentBytes)
	case o.contentBytes == hub.DefaultContentBytes:
		return hub.DefaultLargeBytes
	}
	return o.contentBytes
}

// bounds have room for a large packet, or one of unknown size, and for others beside it.
func (o *packetOptions) bounds() bounds {
	return bounds{packet: int64(o.most()), held: int64(o.most()) + heldPackets*int64(o.contentBytes)}
}

// reader returns what reads packets as the flags say.
func (o *packetOptions) reader(cmd *cobra.Command) (*packetReader, error) {
	if o.contentBytes < hub.MinContentBytes || o.contentBytes > hub.MaxContentBytes {
		return nil, usage("--content-bytes %d: %d to %d are allowed", o.contentBytes, hub.MinContentBytes, hub.MaxContentBytes)
	}
	if o.most() > hub.MaxContentBytes {
		return nil, usage("--large-bytes %d: up to %d are allowed", o.largeBytes, hub.MaxContentBytes)
	}
	r := &packetReader{stdin: cmd.InOrStdin(), whole: int64(o.contentBytes), limit: int64(o.most())}
	var err error
	if o.from != "" {
		if r.from, err = formatNamed("--from", o.from); err != nil {
			return nil, err
		}
	}
	if o.typ != "" {
		if r.typ, err = packetType(o.typ); err != nil {
			return nil, err
		}
	}
	if r.from == exchangev1.Format_FORMAT_PROTOBUF && o.typ == "" {
		return nil, usage("--from binary needs --type: binary Protobuf does not say what packet it is")
	}
	as := packet.Options{
		Strict: o.strict, ContentBytes: o.most(), TextBytes: hub.MaxContentBytes, // as a hub: what is within the size may be one text
		Shared: true, // every file is read into bytes of its own
	}
	if r.codec, err = packet.NewCodec(as); err != nil {
		return nil, err
	}
	as.CopiedBytes = o.contentBytes
	r.large, err = packet.NewCodec(as)
	return r, err
}

// reporter returns what tells outcomes as the flags say.
func (o *packetOptions) reporter(to reportsTo) (reporter, error) {
	say, err := speechOf(o.lang)
	if err != nil {
		return nil, err
	}
	switch o.format {
	case formatText:
		return &textReporter{to: to, say: say, converts: o.converts}, nil
	case formatJSON:
		return &jsonReporter{to.findings, say}, nil
	}
	return nil, usage("--format %q: text and json are allowed", o.format)
}

func validateCommand() *cobra.Command {
	var options packetOptions
	cmd := &cobra.Command{
		Use:   "validate FILE|DIRECTORY|-...",
		Short: "Say everything that is wrong with packets",
		Long: `Reads packets in official XML or JSON and prints one line for each violation and
each liberty that was taken in reading, and a summary on standard error:

  file:line:column: error|warning: Field.path: message; sent "...", read as "..."

in English or, with --lang vi or in a Vietnamese environment, in Vietnamese
(lỗi, cảnh báo); what programs read, --format json, is the same in both.

Packets are read as a hub reads them: liberally, with a warning for each liberty,
or with --strict not so. What is larger than --content-bytes, 16 MiB, is read as a hub
reads what is uploaded in pieces, up to --large-bytes, 160 MiB: Base64 has to be written
plainly there (limit.copied). Name what the hub that they are for has, where that is
another content_bytes or large_bytes.
` + inputHelp + jsonHelp + exitHelp,
		Example: `  lienthong packet validate statistic.xml
  lienthong packet validate --lang vi --strict outbox/
  lienthong packet validate --format json outbox/ | jq 'select(.result == "refused")'
  curl -s https://example/packet | lienthong packet validate -
  lienthong packet validate --from binary --type dossier dossier.binpb`,
		Args: atLeastOne("a file, a directory, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := options.reader(cmd)
			if err != nil {
				return err
			}
			run, err := newPacketRun(cmd, options, reportsTo{cmd.OutOrStdout(), cmd.ErrOrStderr()})
			if err != nil {
				return err
			}
			inputs, err := findInputs(cmd.Context(), args, search{suffixes: r.suffixes()})
			if err != nil {
				return err
			}
			return run.over(cmd.Context(), inputs, r.read)
		},
	}
	options.declare(cmd)
	return cmd
}

// formats are the words for formats on the command line.
func formats() map[string]exchangev1.Format {
	return map[string]exchangev1.Format{
		"xml": exchangev1.Format_FORMAT_XML, "json": exchangev1.Format_FORMAT_JSON, "binary": exchangev1.Format_FORMAT_PROTOBUF,
	}
}

func formatWords() []string { return slices.Sorted(maps.Keys(formats())) }

// formatNamed returns the format that a flag names.
func formatNamed(flag, word string) (exchangev1.Format, error) {
	format, ok := formats()[word]
	if !ok {
		return 0, usage("%s %q: xml, json and binary are allowed", flag, word)
	}
	return format, nil
}

// unknownWord stands for a type or format that could not be told.
const unknownWord = "unknown"

// formatWord is formatNamed's inverse.
func formatWord(format exchangev1.Format) string {
	for word, f := range formats() {
		if f == format {
			return word
		}
	}
	return unknownWord
}

func typeWords() []string {
	var words []string
	for number := range packetv1.PacketType_name {
		if number != 0 {
			words = append(words, typeWord(packetv1.PacketType(number)))
		}
	}
	slices.Sort(words)
	return words
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

// knownTypeWord is typeWord, of a type that may not be known.
func knownTypeWord(typ packetv1.PacketType) string {
	if typ == packetv1.PacketType_PACKET_TYPE_UNSPECIFIED {
		return unknownWord
	}
	return typeWord(typ)
}
