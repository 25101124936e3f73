package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// binarySuffix is what names of packets in binary Protobuf end in.
const binarySuffix = ".binpb"

// conversionOptions are the flags of convert alone.
type conversionOptions struct {
	to, out             string
	force, skipExisting bool
}

// conversion returns what converts as the flags say, without its reader.
func (o *conversionOptions) conversion() (*conversion, error) {
	if o.to == "" {
		return nil, usage("--to is required: xml, json or binary")
	}
	format, err := formatNamed("--to", o.to)
	if err != nil {
		return nil, err
	}
	switch {
	case o.skipExisting && o.force:
		return nil, usage("--force replaces what --skip-existing leaves: only one of them is allowed")
	case o.skipExisting && o.out == "":
		return nil, usage("--skip-existing needs --out DIR: standard output holds no files")
	}
	return &conversion{to: format, out: o.out, force: o.force, skipExisting: o.skipExisting}, nil
}

func convertCommand() *cobra.Command {
	options := packetOptions{converts: true}
	var target conversionOptions
	cmd := &cobra.Command{
		Use:   "convert --to xml|json|binary FILE|DIRECTORY|-...",
		Short: "Write packets in another format",
		Long: `Reads packets in official XML or JSON, or with --from binary --type TYPE in binary
Protobuf, and writes them as official XML, official JSON, or binary Protobuf.

One file is written to standard output; its findings are told on standard error.
Several files and directories need --out DIR: there a file has the path that it
has below the directory that was named, ending in .xml, .json or .binpb; findings
are told on standard output, and a summary on standard error. Files appear whole
or not at all, readable by their owner only. Nothing is written where two would
become one file, or where a file is there already and neither --force is given, which
replaces it, nor --skip-existing, which leaves it and does not read its packet.

A file appears when its turn has come: of a run that was interrupted, what was told
and counted is there, and nothing else. With --skip-existing it is taken up again.
` + inputHelp + jsonHelp + exitHelp,
		Example: `  lienthong packet convert --to json dossier.xml
  lienthong packet convert --to xml - < dossier.json
  lienthong packet convert --to json --out converted/ outbox/
  lienthong packet convert --to json --skip-existing --out converted/ outbox/
  lienthong packet convert --from binary --type dossier --to xml dossier.binpb`,
		Args: atLeastOne("a file, a directory, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := target.conversion()
			if err != nil {
				return err
			}
			if c.reader, err = options.reader(cmd); err != nil {
				return err
			}
			return c.run(cmd, args, options)
		},
	}
	options.declare(cmd)
	cmd.Flags().StringVar(&target.to, "to", "", "format to write: xml, json or binary")
	cmd.Flags().StringVar(&target.out, "out", "", "directory to write into; it is made where it is not there")
	cmd.Flags().BoolVar(&target.force, "force", false, "replace files that are there already")
	cmd.Flags().BoolVar(&target.skipExisting, "skip-existing", false, "leave files that are there already, and convert the others")
	offer(cmd, "to", formatWords())
	_ = cmd.MarkFlagDirname("out") // fails for a flag that is not there
	return cmd
}

// conversion reads packets and writes them in another format.
type conversion struct {
	reader              *packetReader
	to                  exchangev1.Format
	out                 string // directory; empty: standard output
	force, skipExisting bool
	staged              sync.Map // names of files that hold conversions until their turn
}

func (c *conversion) run(cmd *cobra.Command, args []string, options packetOptions) error {
	inputs, err := findInputs(cmd.Context(), args, search{suffixes: c.reader.suffixes(), except: c.out})
	if err != nil {
		return err
	}
	to := reportsTo{cmd.OutOrStdout(), cmd.ErrOrStderr()}
	if c.out == "" {
		to.findings = to.troubles
		err = c.oneToStdout(cmd, args)
	} else {
		err = c.checkOutputs(inputs)
	}
	if err != nil {
		return err
	}
	run, err := newPacketRun(cmd, options, to)
	if err != nil {
		return err
	}
	run.quiet = c.out == "" && options.format == formatText
	run.settle = c.publish
	err = run.over(cmd.Context(), inputs, c.convert)
	if left := c.clear(); left != nil {
		return fmt.Errorf("%w: %w", errIncomplete, left)
	}
	return err
}

// oneToStdout makes sure that what is given can go to standard output.
func (c *conversion) oneToStdout(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage("several files need --out DIR: standard output has room for one packet")
	}
	if info, err := os.Stat(args[0]); err == nil && info.IsDir() {
		return usage("%s is a directory: it needs --out DIR", printable(args[0]))
	}
	if f, ok := cmd.OutOrStdout().(*os.File); ok && c.to == exchangev1.Format_FORMAT_PROTOBUF && term.IsTerminal(int(f.Fd())) {
		return usage("--to binary is nothing for a terminal: redirect standard output, or give --out DIR")
	}
	return nil
}

// maxClashes is how many reasons against a conversion are told.
const maxClashes = 5

// checkOutputs makes sure, before anything is written, that no input would be
// written over another one's output, over another input, or over what is there. Of
// what is to be left, the inputs are marked.
func (c *conversion) checkOutputs(inputs []input) error {
	var clashes []string
	written, sources := map[string]string{}, map[string]string{}
	for _, in := range inputs {
		sources[absolute(in.name)] = in.name
	}
	for i, in := range inputs {
		if in.name == stdinName {
			return usage("- goes to standard output: below --out it would have no name")
		}
		if in.problem != nil {
			continue
		}
		output := c.output(in)
		path := absolute(output)
		switch first, taken := written[path]; {
		case taken:
			clashes = append(clashes, fmt.Sprintf("%s and %s would both become %s%s", first, in.name, output, c.telling(first, in.name)))
		case sources[path] != "" && path != absolute(in.name):
			clashes = append(clashes, fmt.Sprintf("%s would be written over %s, which is to be read", in.name, sources[path]))
		case !c.force:
			var clash string
			if inputs[i].kept, clash = c.isThere(output); clash != "" {
				clashes = append(clashes, clash)
			}
		}
		written[path] = in.name
	}
	if len(clashes) == 0 {
		return nil
	}
	if more := len(clashes) - maxClashes; more > 0 {
		clashes = append(clashes[:maxClashes], fmt.Sprintf("and %d more", more))
	}
	for i := range clashes {
		clashes[i] = printable(clashes[i])
	}
	return usage("nothing is written:\n  %s", strings.Join(clashes, "\n  "))
}

// isThere says whether a file is there that is to be left, or what is there against
// writing one.
func (c *conversion) isThere(output string) (kept bool, clash string) {
	info, err := os.Lstat(output)
	switch {
	case err != nil:
		return false, ""
	case info.IsDir():
		return false, output + " is a directory"
	case c.skipExisting:
		return true, ""
	}
	return false, output + " exists; --force replaces it, --skip-existing leaves it"
}

// telling says how to convert only one of two files that are in different formats.
func (c *conversion) telling(first, second string) string {
	if c.reader.from != exchangev1.Format_FORMAT_UNSPECIFIED || strings.EqualFold(filepath.Ext(first), filepath.Ext(second)) {
		return ""
	}
	return "; --from xml (or json) takes only files of that format out of directories"
}

// absolute returns a path that names a file in one way only; links are not followed.
func absolute(path string) string {
	if all, err := filepath.Abs(path); err == nil {
		return all
	}
	return filepath.Clean(path)
}

// output returns where an input's conversion goes.
func (c *conversion) output(in input) string {
	suffix := binarySuffix
	switch c.to {
	case exchangev1.Format_FORMAT_XML:
		suffix = ".xml"
	case exchangev1.Format_FORMAT_JSON:
		suffix = ".json"
	}
	return filepath.Join(c.out, stem(in.below)+suffix)
}

// stem returns a name without what says its format. Other endings belong to it:
// hoso-2026.11 is of November.
func stem(name string) string {
	switch ending := filepath.Ext(name); strings.ToLower(ending) {
	case ".xml", ".json", binarySuffix, ".pb", ".bin":
		return strings.TrimSuffix(name, ending)
	}
	return name
}

// convert reads a packet and writes it: all but the name, which publish gives it.
func (c *conversion) convert(ctx context.Context, in input) (*outcome, error) {
	if in.kept {
		return &outcome{input: in, result: skipped, output: c.output(in)}, nil
	}
	o, err := c.reader.decode(ctx, in)
	if err != nil || o.message == nil {
		return o, err
	}
	content, err := c.reader.codec.Encode(o.message.Message, c.to)
	o.message = nil
	if err != nil {
		o.fail(unwritten, problem(ruleUnwritten, "không ghi được dưới dạng này: "+err.Error(), "cannot be written in this format: "+err.Error()))
		return o, nil
	}
	if c.to != exchangev1.Format_FORMAT_PROTOBUF && !bytes.HasSuffix(content, []byte("\n")) {
		content = append(content, '\n') // of text, for whoever reads lines
	}
	if c.out == "" {
		o.content = content
		return o, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if o.staged, err = c.stage(c.output(in), content); err != nil {
		c.cannotWrite(o, err)
	}
	return o, nil
}
