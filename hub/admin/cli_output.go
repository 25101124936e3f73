package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const (
	outputTable = "table"
	outputJSON  = "json"
)

// print shows an answer: as JSON, whole, or by the function given.
func (r *remote) print(cmd *cobra.Command, answer proto.Message, table func(io.Writer) error) error {
	if r.output == outputTable {
		return table(cmd.OutOrStdout())
	}
	content, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(answer)
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	// Indented here: protojson varies its white space on purpose.
	var text bytes.Buffer
	if err := json.Indent(&text, content, "", "  "); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return say(cmd.OutOrStdout(), "%s\n", text.String())
}

func say(to io.Writer, format string, args ...any) error {
	if _, err := fmt.Fprintf(to, format, args...); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// columns writes rows below their header.
func columns(to io.Writer, header []string, rows [][]string) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		if err := say(w, "%s\n", strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// vietnam is the time that administrators read and write.
func vietnam() *time.Location { return time.FixedZone("+07", 7*60*60) }

// moment writes a time; otherwise, where there is none.
func moment(t *timestamppb.Timestamp, otherwise string) string {
	if t == nil {
		return otherwise
	}
	return t.AsTime().In(vietnam()).Format("2006-01-02 15:04 MST")
}

// word returns the value of an enum as it is written on the command line:
// NODE_KIND_ONE_STOP of NodeKind is "one-stop".
func word(enum protoreflect.EnumDescriptor, number protoreflect.EnumNumber) string {
	value := enum.Values().ByNumber(number)
	if value == nil {
		return fmt.Sprint(number)
	}
	prefix := strings.TrimSuffix(string(enum.Values().ByNumber(0).Name()), "UNSPECIFIED")
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(string(value.Name()), prefix), "_", "-"))
}

// words returns all values of an enum but the zero one, as on the command line.
func words(enum protoreflect.EnumDescriptor) []string {
	var all []string
	for i := range enum.Values().Len() {
		if number := enum.Values().Get(i).Number(); number != 0 {
			all = append(all, word(enum, number))
		}
	}
	return all
}

// number returns the value of an enum that a word of the command line means. The
// error names the flag and what it takes: the enum's words, and others.
func number(enum protoreflect.EnumDescriptor, flag, text string, others ...string) (protoreflect.EnumNumber, error) {
	for i := range enum.Values().Len() {
		n := enum.Values().Get(i).Number()
		if n != 0 && word(enum, n) == strings.ToLower(strings.TrimSpace(text)) {
			return n, nil
		}
	}
	return 0, Usage(fmt.Errorf("--%s %q: one of %s is expected", flag, text, strings.Join(append(words(enum), others...), ", ")))
}
