package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// binarySuffix is what names of packets in binary Protobuf end in.
const binarySuffix = ".binpb"

// conversionOptions are the flags of convert alone.
type conversionOptions struct {
	to, out string
	force   bool
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
become one file, or where a file is there already and --force is not given.
` + inputHelp + jsonHelp + exitHelp,
		Example: `  lienthong packet convert --to json dossier.xml
  lienthong packet convert --to xml - < dossier.json
  lienthong packet convert --to json --out converted/ outbox/
  lienthong packet convert --from binary --type dossier --to xml dossier.binpb`,
		Args: atLeastOne("a file, a directory, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if target.to == "" {
				return usage("--to is required: xml, json or binary")
			}
			format, err := formatNamed("--to", target.to)
			if err != nil {
				return err
			}
			r, err := options.reader(cmd)
			if err != nil {
				return err
			}
			c := &conversion{reader: r, to: format, out: target.out, force: target.force}
			return c.run(cmd, args, options)
		},
	}
	options.declare(cmd)
	cmd.Flags().StringVar(&target.to, "to", "", "format to write: xml, json or binary")
	cmd.Flags().StringVar(&target.out, "out", "", "directory to write into; it is made where it is not there")
	cmd.Flags().BoolVar(&target.force, "force", false, "replace files that are there already")
	offer(cmd, "to", formatWords())
	_ = cmd.MarkFlagDirname("out") // fails for a flag that is not there
	return cmd
}

// conversion reads packets and writes them in another format.
type conversion struct {
	reader *packetReader
	to     exchangev1.Format
	out    string // directory; empty: standard output
	force  bool
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
	run.quiet = c.out == ""
	return run.over(cmd.Context(), inputs, c.convert)
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
// written over another one's output, over another input, or over what is there.
func (c *conversion) checkOutputs(inputs []input) error {
	var clashes []string
	written, sources := map[string]string{}, map[string]string{}
	for _, in := range inputs {
		sources[absolute(in.name)] = in.name
	}
	for _, in := range inputs {
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
			if _, err := os.Lstat(output); err == nil {
				clashes = append(clashes, output+" exists; --force replaces it")
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
	return filepath.Join(c.out, strings.TrimSuffix(in.below, filepath.Ext(in.below))+suffix)
}

// convert reads a packet and writes it.
func (c *conversion) convert(ctx context.Context, in input) (*outcome, error) {
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
	output := c.output(in)
	if err := c.write(output, content); err != nil {
		vi, en := reason(err)
		o.fail(unwritten, problem(ruleUnwritten, "không ghi được "+output+": "+vi, "cannot write "+output+": "+en))
		return o, nil
	}
	o.output = output
	return o, nil
}

// write makes a file appear with all of its content, for its owner only. Without
// force it never replaces one, whoever else writes there.
func (c *conversion) write(path string, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(dir, ".lienthong-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Close()); err == nil {
		err = c.name(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}

// name gives a finished file its name.
func (c *conversion) name(temporary, path string) error {
	if c.force {
		return os.Rename(temporary, path)
	}
	err := os.Link(temporary, path) // unlike a renaming, fails where there is a file
	if err == nil {
		return os.Remove(temporary)
	}
	if _, statErr := os.Lstat(path); errors.Is(err, fs.ErrExist) || !errors.Is(statErr, fs.ErrNotExist) {
		return fs.ErrExist
	}
	return os.Rename(temporary, path) // where the file system has no links
}
