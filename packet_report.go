package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// reporter tells what became of packets.
type reporter interface {
	outcome(*outcome) error
	summary(*tally) error
}

// textReporter tells lines that editors and grep understand.
type textReporter struct {
	to       reportsTo
	say      speech
	converts bool
}

func (r *textReporter) outcome(o *outcome) error {
	if o.result == unreadFile || o.result == unwritten {
		return r.troubles(o)
	}
	return printFindings(r.to.findings, o.input.name, o.findings, r.say)
}

// troubles tells what is wrong with a file; that has no place in it.
func (r *textReporter) troubles(o *outcome) error {
	var lines bytes.Buffer
	for _, f := range o.findings {
		fmt.Fprintf(&lines, "%s: %s: %s\n", printable(o.input.name), r.say.severity(f), printable(r.say.message(f)))
	}
	_, err := r.to.troubles.Write(lines.Bytes())
	return err
}

func (r *textReporter) summary(t *tally) error {
	line := r.counts(t) + "; " + r.say.duration(t.Seconds)
	if t.Files > 1 { // of one file, it would tell of the start of the program
		line += r.say.sprintf(r.say.of(", %.1f MB/giây", ", %.1f MB/s"), t.MegabytesPerSecond)
	}
	if !t.Complete {
		line = r.say.sprintf(r.say.of("bị ngắt khi mới đọc %d trong %d tệp: ", "interrupted after %d of %d files: "), t.Files, t.Found) + line
	}
	_, err := fmt.Fprintln(r.to.troubles, line)
	return err
}

// counts says how many files fared how; what did not happen is not mentioned,
// except that nothing was refused and that all could be read.
func (r *textReporter) counts(t *tally) string {
	say := r.say
	files := say.of("%d tệp", "%d files")
	if t.Files == 1 {
		files = say.of("%d tệp", "%d file")
	}
	good := say.of(": %d được chấp nhận", ": %d accepted")
	if r.converts {
		good = say.of(": %d được chuyển đổi", ": %d converted")
	}
	line := say.sprintf(files, t.Files) + say.sprintf(good, t.Accepted)
	if t.AcceptedWithWarnings > 0 {
		line += say.sprintf(say.of(" (%d có cảnh báo)", " (%d with warnings)"), t.AcceptedWithWarnings)
	}
	line += say.sprintf(say.of(", %d bị từ chối, %d không đọc được", ", %d refused, %d unreadable"), t.Refused, t.Unreadable)
	if t.Unwritten > 0 {
		line += say.sprintf(say.of(", %d không ghi được", ", %d not written"), t.Unwritten)
	}
	if t.Skipped > 0 {
		line += say.sprintf(say.of(", %d bỏ qua", ", %d skipped"), t.Skipped)
	}
	return line
}

// jsonReporter tells JSON Lines: an object for each packet, and one that sums up.
type jsonReporter struct {
	to  io.Writer
	say speech
}

type outcomeObject struct {
	File        string          `json:"file"`
	FileBytes   []byte          `json:"file_bytes,omitempty"`
	Type        string          `json:"type"`
	Format      string          `json:"format"`
	Bytes       int64           `json:"bytes"`
	Result      result          `json:"result"`
	Output      string          `json:"output,omitempty"`
	OutputBytes []byte          `json:"output_bytes,omitempty"`
	Findings    []findingObject `json:"findings"`
}

type findingObject struct {
	Severity   string `json:"severity"`
	Field      string `json:"field"`
	Line       int32  `json:"line"`
	Column     int32  `json:"column"`
	Rule       string `json:"rule"`
	Sent       string `json:"sent"`
	Understood string `json:"understood"`
	Message    string `json:"message"`
	MessageVI  string `json:"message_vi"`
	MessageEN  string `json:"message_en"`
}

func (r *jsonReporter) outcome(o *outcome) error {
	line := outcomeObject{
		File: o.input.name, FileBytes: unspeakable(o.input.name), Type: knownTypeWord(o.typ), Format: formatWord(o.format), Bytes: o.bytes,
		Result: o.result, Output: o.output, OutputBytes: unspeakable(o.output), Findings: make([]findingObject, 0, len(o.findings)),
	}
	for _, f := range o.findings {
		line.Findings = append(line.Findings, findingObject{
			Severity: english.severity(f), Field: f.GetField(), Line: f.GetLine(), Column: f.GetColumn(), Rule: f.GetRule(),
			Sent: f.GetSent(), Understood: f.GetUnderstood(),
			Message: r.say.message(f), MessageVI: f.GetMessageVi(), MessageEN: f.GetMessageEn(),
		})
	}
	return r.write(line)
}

// unspeakable returns the bytes of a name that is not UTF-8, which no JSON string
// can hold; nil of others.
func unspeakable(name string) []byte {
	if utf8.ValidString(name) {
		return nil
	}
	return []byte(name)
}

func (r *jsonReporter) summary(t *tally) error {
	return r.write(struct {
		Type string `json:"type"`
		*tally
	}{"summary", t})
}

// write writes a line at once, so that whoever reads along never sees half of it.
func (r *jsonReporter) write(value any) error {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := r.to.Write(harmless(line.Bytes()))
	return err
}

// harmless returns the same JSON without characters that could command a terminal:
// encoding/json escapes only some of them.
func harmless(encoded []byte) []byte {
	raw := func(r rune) bool { return r >= 0x7F && commands(r) }
	if bytes.IndexFunc(encoded, raw) < 0 {
		return encoded
	}
	escaped := make([]byte, 0, len(encoded)+64)
	for _, r := range string(encoded) {
		if raw(r) {
			escaped = fmt.Appendf(escaped, "\\u%04x", r)
		} else {
			escaped = utf8.AppendRune(escaped, r)
		}
	}
	return escaped
}

// printFindings prints a line for each finding, all of a file at once.
func printFindings(w io.Writer, file string, findings []*packetv1.Finding, say speech) error {
	if len(findings) == 0 {
		return nil
	}
	var lines bytes.Buffer
	for _, f := range findings {
		field := ""
		if f.GetField() != "" {
			field = printable(f.GetField()) + ": "
		}
		fmt.Fprintf(&lines, "%s:%d:%d: %s: %s%s\n", printable(file), max(f.GetLine(), 1), max(f.GetColumn(), 1), say.severity(f), field, printable(say.told(f)))
	}
	if _, err := w.Write(lines.Bytes()); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
