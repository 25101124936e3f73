package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lienthong/lienthong/packet/samples"
)

// lay writes files below dir, with the directories they are in.
func lay(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// sampleOf returns what a sample holds.
func sampleOf(t *testing.T, name string) string {
	t.Helper()
	for _, s := range append(samples.Good(), samples.Bad()...) {
		if s.Name == name {
			return string(s.Content)
		}
	}
	t.Fatalf("no sample %s", name)
	return ""
}

// loose is a packet that can only be read by taking liberties.
func loose(t *testing.T) string {
	t.Helper()
	return strings.NewReplacer("<Status>4<", "<Status> 4 <", "<DocumentId>", "<documentid>", "</DocumentId>", "</documentid>").
		Replace(sampleOf(t, "progress.xml"))
}

// told is a line of --format json.
type told struct {
	File        string
	FileBytes   []byte `json:"file_bytes"`
	Type        string
	Format      string
	Bytes       int
	Result      string
	Output      string
	OutputBytes []byte `json:"output_bytes"`
	Findings    []struct {
		Severity, Field, Rule, Sent, Understood, Message string
		Line, Column                                     int
		MessageVI                                        string `json:"message_vi"`
		MessageEN                                        string `json:"message_en"`
	}
}

// summed is the last line of --format json.
type summed struct {
	Type                                            string
	Complete                                        bool
	Files, Accepted, Refused, Unreadable, Unwritten int
	Skipped, Errors, Warnings, Bytes                int
	AcceptedWithWarnings                            int `json:"accepted_with_warnings"`
	Seconds                                         float64
	MegabytesPerSecond                              float64 `json:"megabytes_per_second"`
}

// toldIn reads JSON Lines; a member that is not documented fails the test.
func toldIn(t *testing.T, output string) (files []told, sum summed) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(output, "\n"), "\n")
	for i, line := range lines {
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields()
		var err error
		if i == len(lines)-1 {
			err = decoder.Decode(&sum)
		} else {
			var file told
			err = decoder.Decode(&file)
			files = append(files, file)
		}
		if err != nil {
			t.Fatalf("line %d: %v\n%s", i+1, err, line)
		}
	}
	if sum.Type != "summary" || sum.Files != len(files) {
		t.Fatalf("the last line is no summary of %d files: %+v", len(files), sum)
	}
	return files, sum
}

func TestValidateSearchesDirectories(t *testing.T) {
	t.Parallel()
	root, progress := t.TempDir(), sampleOf(t, "progress.xml")
	packets, elsewhere := filepath.Join(root, "packets"), filepath.Join(root, "elsewhere")
	lay(t, packets, map[string]string{
		"b.xml": progress, "a.json": sampleOf(t, "progress.json"), "UPPER.XML": progress, "notes.txt": "none",
		"2026/11/c.xml": progress, "2026/b.xml": progress, ".hidden.xml": progress, ".git/d.xml": progress, "z/no.xsd": "none",
	})
	lay(t, elsewhere, map[string]string{"far.xml": progress})
	link(t, "..", filepath.Join(packets, "2026", "up"))
	link(t, ".", filepath.Join(packets, "itself"))
	link(t, elsewhere, filepath.Join(packets, "0-link"))
	link(t, elsewhere, filepath.Join(packets, "another-link"))
	link(t, "b.xml", filepath.Join(packets, "linked.xml"))
	link(t, "gone.xml", filepath.Join(packets, "nowhere.xml"))
	link(t, "gone", filepath.Join(packets, "nowhere"))

	got := lienthong(t, "", "packet", "validate", "--format", "json", packets+"/", filepath.Join(packets, ".hidden.xml"))
	files, sum := toldIn(t, got.stdout)
	var names []string
	for _, file := range files {
		name, err := filepath.Rel(packets, file.File)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name+" "+file.Result)
	}
	want := []string{
		"0-link/far.xml accepted", "2026/11/c.xml accepted", "2026/b.xml accepted", "UPPER.XML accepted", "a.json accepted",
		"b.xml accepted", "linked.xml accepted", "nowhere.xml unreadable", ".hidden.xml accepted",
	}
	if !slices.Equal(names, want) {
		t.Errorf("read were\n %s\nwant\n %s", strings.Join(names, "\n "), strings.Join(want, "\n "))
	}
	if got.code != 2 || sum.Accepted != 8 || sum.Unreadable != 1 || !sum.Complete {
		t.Errorf("exit code %d, summary %+v", got.code, sum)
	}
}

func TestValidateTellsJSONLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, dir, map[string]string{"good.json": sampleOf(t, "survey.json"), "bad.xml": sampleOf(t, "bad-statistic.xml"), "none.xml": "<a"})
	got := lienthong(t, loose(t), "packet", "validate", "--format", "json", "--lang", "vi",
		filepath.Join(dir, "good.json"), "-", filepath.Join(dir, "bad.xml"), filepath.Join(dir, "none.xml"), dir+"/gone.xml")
	files, sum := toldIn(t, got.stdout)
	for i, want := range []struct{ typ, format, result string }{
		{"survey", "json", "accepted"}, {"progress", "xml", "accepted"}, {"statistic", "xml", "refused"},
		{"unknown", "xml", "refused"}, {"unknown", "unknown", "unreadable"},
	} {
		if f := files[i]; f.Type != want.typ || f.Format != want.format || f.Result != want.result || f.Findings == nil {
			t.Errorf("file %d: %+v; want %v and a list of findings", i+1, f, want)
		}
	}
	liberties := files[1].Findings
	if files[1].File != "-" || len(liberties) != 2 {
		t.Fatalf("standard input: %+v", files[1])
	}
	if f := liberties[1]; f.Severity != "warning" || f.Field != "MDocumentTraces.Status" || f.Rule != "whitespace" || f.Sent != " 4 " ||
		f.Understood != "4" || f.Line == 0 || f.Column == 0 || f.Message != f.MessageVI || f.MessageEN != "has white space around the value" {
		t.Errorf("white space: %+v", f)
	}
	if f := files[4].Findings[0]; f.Severity != "error" || f.Rule != "unreadable" || f.Line != 0 || !strings.Contains(f.Message, "không có tệp") {
		t.Errorf("a file that is not there: %+v", f)
	}
	bytes := 0
	for _, f := range files {
		bytes += f.Bytes
	}
	want := summed{Type: "summary", Complete: true, Files: 5, Accepted: 2, AcceptedWithWarnings: 1, Refused: 2, Unreadable: 1,
		Errors: 5, Warnings: 2, Bytes: bytes, Seconds: sum.Seconds, MegabytesPerSecond: sum.MegabytesPerSecond}
	if sum != want || sum.Seconds <= 0 || sum.MegabytesPerSecond <= 0 || got.code != 2 || got.stderr != "" {
		t.Errorf("exit code %d, stderr %q, summary\n%+v\nwant\n%+v", got.code, got.stderr, sum, want)
	}
}

func TestValidateEndsWithACodeAndASummary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, dir, map[string]string{
		"good/a.xml": sampleOf(t, "dossier.xml"), "good/b.json": sampleOf(t, "progress.json"), "loose.xml": loose(t),
		"bad/a.xml": sampleOf(t, "bad-statistic.xml"), "bad/b.xml": sampleOf(t, "survey.xml"), "empty/readme.txt": "",
		"\x1b[31m\n.xml": "{}", "escape.json": `{"DocumentId":"\u001b]0;title\u0007","Status":"\u001b[31m\u202e"}`,
	})
	large, err := os.Create(filepath.Join(dir, "large.xml"))
	if err == nil {
		err = errors.Join(large.Truncate(16<<30), large.Close()) // takes no room
	}
	if err != nil {
		t.Fatal(err)
	}
	link(t, "itself.xml", filepath.Join(dir, "itself.xml"))
	for _, tc := range []struct {
		name, args, stdin string // args with DIR for the directory
		code              int
		stdout, stderr    string // regular expressions
	}{
		{"one file has no speed", "DIR/good/a.xml", "", 0, `^$`, `^1 file: 1 accepted, 0 refused, 0 unreadable; [\d,.]+ m?s\n$`},
		{"a warning in Vietnamese", "--lang vi DIR/loose.xml", "", 0, `loose\.xml:9:3: cảnh báo: MDocumentTraces\.Status: .*; đã gửi " 4 ", hiểu là "4"\n`, `^1 tệp: 1 được chấp nhận`},
		{"an error in Vietnamese", "--lang vi DIR/bad/a.xml", "", 1, `a\.xml:3:3: lỗi: MStatistic\.Month: .*; đã gửi "13"\n`, `1 bị từ chối`},
		{"all accepted", "DIR/good", "", 0, `^$`, `^2 files: 2 accepted, 0 refused, 0 unreadable; [\d,.]+ m?s, [\d,.]+ MB/s\n$`},
		{"in Vietnamese", "--lang vi DIR/good DIR/loose.xml", "", 0, `: cảnh báo: .*; đã gửi " 4 ", hiểu là "4"\n$`,
			`^3 tệp: 3 được chấp nhận \(1 có cảnh báo\), 0 bị từ chối, 0 không đọc được; [\d,.]+ (ms|giây), [\d,.]+ MB/giây\n$`},
		{"liberties are warnings", "DIR/loose.xml", "", 0, `:\d+:\d+: warning: MDocumentTraces\.Status: has white space around the value; sent " 4 ", read as "4"\n$`,
			`^1 file: 1 accepted \(1 with warnings\), 0 refused`},
		{"strict refuses liberties", "--strict DIR/loose.xml", "", 1, `: error: MDocumentTraces\.Status: `, `^1 file: 0 accepted, 1 refused`},
		{"strict accepts what is right", "--strict DIR/good", "", 0, `^$`, `2 accepted`},
		{"some refused", "DIR/bad DIR/good", "", 1, `^(.*bad/a\.xml:\d+:\d+: error: .*\n){3}$`, `^4 files: 3 accepted, 1 refused`},
		{"what was sent is told", "DIR/bad", "", 1, `MStatistic\.Month: must be from 1 to 12 .*; sent "13"\n`, ``},
		{"one is not there", "DIR/gone.xml DIR/good", "", 2, `^$`, `(?s)gone\.xml: error: cannot be read: no such file or directory\n3 files: 2 accepted, 0 refused, 1 unreadable`},
		{"one is not there, others are refused", "DIR/bad DIR/gone.xml", "", 2, `bad/a\.xml`, `1 refused, 1 unreadable`},
		{"one is too large", "DIR/large.xml", "", 1, `large\.xml:1:1: error: the packet has 17179869184 bytes; at most 167772160 are allowed\n$`, `1 refused`},
		{"one is too large, in Vietnamese", "--lang vi DIR/large.xml", "", 1, `: lỗi: gói tin có 17179869184 byte; cho phép tối đa 167772160 byte\n$`, ``},
		{"one has no end", "--content-bytes 1024 /dev/zero", "", 1, `zero:1:1: error: the packet has more than 1024 bytes; at most 1024 are allowed\n$`, ``},
		{"a size too small for any", "--content-bytes 1023 DIR/good", "", 2, `^$`, `--content-bytes 1023: 1024 to 1073741824 are allowed`},
		{"a size no hub has", "--content-bytes 1073741825 DIR/good", "", 2, `^$`, `--content-bytes 1073741825: 1024 to`},
		{"a link to itself", "--lang vi DIR/itself.xml", "", 2, `^$`, `itself\.xml: lỗi: không đọc được: `},
		{"a directory without packets", "DIR/empty", "", 2, `^$`, `empty: error: the directory holds no packets: looked for \*\.xml, \*\.json\n`},
		{"a directory without packets of a format", "--from json DIR/bad", "", 2, `^$`, `looked for \*\.json\n`},
		{"only files of a format", "--from json DIR/good", "", 0, `^$`, `^1 file: 1 accepted`},
		{"a format that it is not", "--from json -", "<MVotes/>", 1, `^-:1:1: error: this is XML, not JSON\n$`, `1 refused`},
		{"nor that", "--from xml --type survey --lang vi -", "{}", 1, `^-:1:1: lỗi: đây là JSON, không phải XML\n$`, `1 bị từ chối`},
		{"a type that it is not", "--type survey DIR/good/a.xml", "", 1, `: error: `, `1 refused`},
		{"a type where the content does not tell", "--type progress -", `{"Comment":"x"}`, 1, `MDocumentTraces\.DocCode: is required`, ``},
		{"nothing that commands a terminal", "--type progress DIR/escape.json", "", 1, `^[^\x00-\x09\x0b-\x1f\x7f\x{202e}]+$`, `1 refused`},
		{"nor in a name", "DIR", "", 2, `\\u001b\[31m\\u000a\.xml:1:1: error`, `unreadable`},
		{"standard input twice", "- -", "", 2, `^$`, `- was given twice`},
		{"a language there is not", "--lang fr DIR/good", "", 2, `^$`, `--lang "fr": vi and en are allowed`},
		{"a format there is not", "--format xml DIR/good", "", 2, `^$`, `--format "xml": text and json are allowed`},
		{"a format to read there is not", "--from yaml DIR/good", "", 2, `^$`, `--from "yaml": xml, json and binary`},
		{"a type there is not", "--type invoice DIR/good", "", 2, `^$`, `dossier, progress, survey and statistic`},
		{"binary without a type", "--from binary -", "", 2, `^$`, `--from binary needs --type`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(strings.ReplaceAll(tc.args, "DIR", dir))
			got := lienthong(t, tc.stdin, append([]string{"packet", "validate"}, args...)...)
			if got.code != tc.code {
				t.Errorf("exit code %d, want %d", got.code, tc.code)
			}
			if !regexp.MustCompile(tc.stdout).MatchString(got.stdout) {
				t.Errorf("stdout is %q, want %s", got.stdout, tc.stdout)
			}
			if !regexp.MustCompile(tc.stderr).MatchString(got.stderr) {
				t.Errorf("stderr is %q, want %s", got.stderr, tc.stderr)
			}
		})
	}
}

// TestEveryMemberIsDocumented: what programs read stands in --help.
func TestEveryMemberIsDocumented(t *testing.T) {
	t.Parallel()
	help := must(t, "packet", "convert", "--help")
	out := filepath.Join(t.TempDir(), "out")
	dir := t.TempDir()
	lay(t, dir, map[string]string{"a.xml": loose(t)})
	lines := must(t, "packet", "convert", "--to", "json", "--format", "json", "--out", out, dir)
	names := regexp.MustCompile(`"([a-z_]+)":`).FindAllStringSubmatch(lines, -1)
	if len(names) < 30 {
		t.Fatalf("found %d members in\n%s", len(names), lines)
	}
	for _, name := range names {
		if !regexp.MustCompile(`\b` + name[1] + `\b`).MatchString(help) {
			t.Errorf("--help does not say what %s is", name[1])
		}
	}
}

// Of very many violations the first are told, and all are counted.
func TestViolationsThatAreNotToldAreCounted(t *testing.T) {
	t.Parallel()
	papers := strings.Repeat("<DocPapers><PaperName>a</PaperName><Amount>-1</Amount><PaperType>x</PaperType></DocPapers>", 2000)
	got := lienthong(t, "<MSyncDocument>"+papers+"</MSyncDocument>", "packet", "validate", "--format", "json", "-")
	files, sum := toldIn(t, got.stdout)
	if len(files[0].Findings) > 1100 || sum.Errors < 4000 {
		t.Errorf("told were %d findings, counted %d errors", len(files[0].Findings), sum.Errors)
	}
}

func TestOutputThatCannotBeWrittenIsNoRefusal(t *testing.T) {
	t.Parallel()
	readOnly, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close() //nolint:errcheck // nothing can be written there
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "packet", "validate", "-")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("{}"), readOnly, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(stderr.String(), "not complete: write: ") {
		t.Errorf("%v, %q", err, stderr.String())
	}
}

// TestValidateAThousandFiles: however many are read at once, what is said is said in
// the order of the files.
func TestValidateAThousandFiles(t *testing.T) {
	t.Parallel()
	const files, everyBad, everyLoose = 1000, 50, 20
	dir := t.TempDir()
	tree, want := map[string]string{}, []string{}
	for i := range files {
		name, content := fmt.Sprintf("%02d/%04d.xml", i/100, i), sampleOf(t, "dossier.xml")
		switch {
		case i%everyBad == 0:
			content = sampleOf(t, "bad-statistic.xml")
			want = append(want, name, name, name)
		case i%everyLoose == 1:
			content = loose(t)
			want = append(want, name, name)
		}
		tree[name] = content + strings.Repeat("\n", i*i%10_000) // of all sizes
	}
	lay(t, dir, tree)
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for _, processors := range []string{"1", "8"} {
		cmd := exec.CommandContext(t.Context(), path, "packet", "validate", "--lang", "en", ".")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOMAXPROCS="+processors)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
			t.Fatalf("%v\n%s", err, stderr.String())
		}
		var names []string
		for line := range strings.Lines(stdout.String()) {
			name, _, _ := strings.Cut(line, ":")
			names = append(names, name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("with %s processors, findings are of %v\nwant %v", processors, names, want)
		}
		if !strings.HasPrefix(stderr.String(), "1,000 files: 980 accepted (50 with warnings), 20 refused, 0 unreadable; ") {
			t.Errorf("with %s processors, the summary is %s", processors, stderr.String())
		}
	}
}

// A pipe that is named is read as standard input is.
func TestValidateReadsPipes(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close() //nolint:errcheck // only read
	content := sampleOf(t, "survey.xml")
	go func() {
		_, _ = io.WriteString(write, content)
		_ = write.Close()
	}()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, "packet", "validate", "--format", "json", "/dev/fd/3")
	cmd.ExtraFiles = []*os.File{read}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files, _ := toldIn(t, string(out))
	if len(files) != 1 || files[0].Type != "survey" || files[0].Result != "accepted" {
		t.Errorf("got %+v", files)
	}
}

// What node submit sends in pieces is validated, too, as the hub reads it.
func TestLargePacketsAreValidated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sample := sampleOf(t, "dossier.xml")
	before, rest, _ := strings.Cut(sample, "<Base64>")
	_, after, found := strings.Cut(rest, "</Base64>")
	if !found {
		t.Fatal("the sample has no attachment")
	}
	write := func(name, base64 string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(before+"<Base64>"+base64+"</Base64>"+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	large := write("large.xml", strings.Repeat("QUJD", 5<<20))
	wantSaid(t, "a large packet", lienthong(t, "", "packet", "validate", large), 0, "1 file: 1 accepted")
	wantSaid(t, "one that is not valid", lienthong(t, "", "packet", "validate", write("invalid.xml", strings.Repeat("QUJD", 5<<20)+"#")), 1, "invalid.xml:", "Base64")
	wantSaid(t, "one that is written so that it has to be copied", lienthong(t, "", "packet", "validate", write("copied.xml", "&#81;UJD"+strings.Repeat("QUJD", 5<<20))), 1, "in a large packet, texts with references or escapes may have 16777216 bytes in all")
	wantSaid(t, "one that is too large", lienthong(t, "", "packet", "validate", "--large-bytes", "18MiB", large), 1, "at most 18874368 are allowed")
	wantSaid(t, "one that a hub takes in one piece alone", lienthong(t, "", "packet", "validate", "--content-bytes", "8MiB", large), 1, "at most 8388608 are allowed")
}
