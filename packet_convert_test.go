package main_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// filesIn returns the paths of all files below a directory, hidden ones too.
func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		below, err := filepath.Rel(dir, path)
		files = append(files, below)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return files
}

func TestConvertWritesADirectoryAsItIsBuilt(t *testing.T) {
	t.Parallel()
	in, out := t.TempDir(), filepath.Join(t.TempDir(), "made", "here")
	lay(t, in, map[string]string{
		"dossier.xml": sampleOf(t, "dossier.xml"), "2026/11/survey.XML": sampleOf(t, "survey.xml"), "2026/loose.v1.xml": loose(t),
		"2026/bad.xml": sampleOf(t, "bad-statistic.xml"), "2026/progress.json": sampleOf(t, "progress.json"),
	})
	got := lienthong(t, "", "packet", "convert", "--to", "json", "--out", out, in)
	if got.code != 1 || !regexp.MustCompile(`^5 files: 4 converted \(1 with warnings\), 1 refused, 0 unreadable; `).MatchString(got.stderr) {
		t.Errorf("exit code %d, summary %q", got.code, got.stderr)
	}
	if !strings.Contains(got.stdout, "bad.xml:3:3: error: MStatistic.Month: ") || !strings.Contains(got.stdout, "loose.v1.xml:9:3: warning: ") {
		t.Errorf("findings are\n%s", got.stdout)
	}
	want := []string{"2026/11/survey.json", "2026/loose.v1.json", "2026/progress.json", "dossier.json"}
	if made := filesIn(t, out); !slices.Equal(made, want) {
		t.Fatalf("made were %v, want %v", made, want)
	}
	for name, source := range map[string]string{"2026/11/survey.json": "2026/11/survey.XML", "dossier.json": "dossier.xml"} {
		one := must(t, "packet", "convert", "--to", "json", filepath.Join(in, source))
		if content := read(t, filepath.Join(out, name)); content != one {
			t.Errorf("%s holds %s; alone it becomes %s", name, content, one)
		}
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; only its owner is to read it", name, info.Mode(), err)
		}
	}
}

func TestConvertTellsJSONLines(t *testing.T) {
	t.Parallel()
	in, out := t.TempDir(), t.TempDir()
	lay(t, in, map[string]string{"a.xml": loose(t), "b/c.xml": sampleOf(t, "survey.xml"), "d/e.xml": sampleOf(t, "survey.xml"), "f.xml": "<MVotes/>"})
	lay(t, out, map[string]string{"d": "a file where a directory has to be"})
	got := lienthong(t, "", "packet", "convert", "--to", "binary", "--format", "json", "--out", out, in)
	files, sum := toldIn(t, got.stdout)
	for i, want := range []struct{ result, output string }{
		{"accepted", filepath.Join(out, "a.binpb")}, {"accepted", filepath.Join(out, "b/c.binpb")}, {"unwritten", ""}, {"refused", ""},
	} {
		if f := files[i]; f.Result != want.result || f.Output != want.output {
			t.Errorf("file %d: %+v; want %v", i+1, f, want)
		}
	}
	if f := files[2].Findings; len(f) != 1 || f[0].Rule != "unwritten" || !strings.Contains(f[0].Message, "not a directory") {
		t.Errorf("what could not be written says %+v", f)
	}
	if got.code != 2 || sum.Accepted != 2 || sum.AcceptedWithWarnings != 1 || sum.Refused != 1 || sum.Unwritten != 1 {
		t.Errorf("exit code %d, summary %+v", got.code, sum)
	}
	// On standard output is the packet; what there is to say of it is beside it.
	got = lienthong(t, loose(t), "packet", "convert", "--to", "xml", "--format", "json", "-")
	if got.code != 0 || !strings.Contains(got.stdout, "<Status>4</Status>") || strings.Count(got.stderr, `"rule":"whitespace"`) != 1 {
		t.Errorf("exit code %d, stdout %s, stderr %s", got.code, got.stdout, got.stderr)
	}
	if files, sum := toldIn(t, got.stderr); len(files) != 1 || sum.AcceptedWithWarnings != 1 || !sum.Complete {
		t.Errorf("of one packet, what is told sums up to %+v", sum)
	}
}

func TestConvertReadsBinary(t *testing.T) {
	t.Parallel()
	in, binary, out := t.TempDir(), t.TempDir(), t.TempDir()
	lay(t, in, map[string]string{"a.xml": sampleOf(t, "dossier.xml"), "b.xml": sampleOf(t, "dossier-supplement.xml")})
	must(t, "packet", "convert", "--to", "binary", "--out", binary, in)
	must(t, "packet", "validate", "--strict", "--from", "binary", "--type", "dossier", binary)
	must(t, "packet", "convert", "--from", "binary", "--type", "dossier", "--to", "xml", "--out", out, binary)
	for _, name := range filesIn(t, in) {
		want := must(t, "packet", "convert", "--to", "xml", filepath.Join(in, name))
		if back := read(t, filepath.Join(out, name)); back != want {
			t.Errorf("%s: by way of Protobuf it became\n%s\nwant\n%s", name, back, want)
		}
	}
	got := lienthong(t, "\xff\xff", "packet", "convert", "--from", "binary", "--type", "dossier", "--to", "json", "-")
	if got.code != 1 || got.stdout != "" || !strings.Contains(got.stderr, "-:1:1: error: ") {
		t.Errorf("what is no Protobuf: exit code %d, %q, %q", got.code, got.stdout, got.stderr)
	}
}

// What is written as text ends its last line; binary is what it is.
func TestConvertEndsTheLastLine(t *testing.T) {
	t.Parallel()
	dossier := sampleOf(t, "dossier.xml")
	for format, ends := range map[string]string{"json": "}\n", "xml": "</MSyncDocument>\n"} {
		if got := lienthong(t, dossier, "packet", "convert", "--to", format, "-"); !strings.HasSuffix(got.stdout, ends) || strings.HasSuffix(got.stdout, "\n\n") {
			t.Errorf("as %s it ends in %q", format, got.stdout[max(0, len(got.stdout)-20):])
		}
	}
	binary := lienthong(t, dossier, "packet", "convert", "--to", "binary", "-").stdout
	if got := lienthong(t, binary, "packet", "validate", "--strict", "--from", "binary", "--type", "dossier", "-"); got.code != 0 {
		t.Errorf("binary Protobuf is not read again: %s", got.stdout)
	}
}

// TestConvertReplacesNothingUnasked: what is refused is refused before anything is
// written.
func TestConvertReplacesNothingUnasked(t *testing.T) {
	t.Parallel()
	progress, survey := sampleOf(t, "progress.xml"), sampleOf(t, "survey.xml")
	before := map[string]string{
		"in/a.xml": progress, "in/b.xml": survey, "both/a.xml": progress, "both/a.json": sampleOf(t, "progress.json"),
		"more/a.xml": survey, "there/b.json": "mine", "named/a.json": sampleOf(t, "progress.json"),
		"stands/a.json/readme": "mine",
	}
	for _, tc := range []struct {
		name, args string // with DIR for the directory
		code       int
		stderr     string // regular expression
		made       map[string]string
	}{
		{"to what is there", "--to json --out DIR/there DIR/in", 2, `nothing is written:\n  .*there/b\.json exists; --force replaces it, --skip-existing leaves it\nTry: `, nil},
		{"to what is there, when asked", "--to json --force --out DIR/there DIR/in", 0, `2 converted`,
			map[string]string{"there/a.json": `"DocumentId"`, "there/b.json": `"TotalVoted"`}},
		{"two to one", "--to binary --out DIR/out DIR/both", 2, `both/a\.json and .*both/a\.xml would both become .*out/a\.binpb; --from xml \(or json\) takes only files of that format out of directories\n`, nil},
		{"two directories to one", "--to json --force --out DIR/out DIR/in DIR/more", 2, `would both become .*out/a\.json\n`, nil},
		{"the same twice", "--to json --out DIR/out DIR/in/a.xml DIR/in/../in/a.xml", 2, `would both become`, nil},
		{"one of them, by its format", "--to binary --from xml --out DIR/out DIR/both", 0, `1 converted`, map[string]string{"out/a.binpb": "H41"}},
		{"over another input", "--to json --force --out DIR/named DIR/in/a.xml DIR/named", 2, `(both become|is to be read)`, nil},
		{"over an input that is elsewhere", "--to json --force --out DIR/both DIR/in/a.xml DIR/both/a.json DIR/in/b.xml", 2, `both become`, nil},
		{"beside what is there", "--to json --skip-existing --out DIR/there DIR/in", 0, `^2 files: 1 converted, 0 refused, 0 unreadable, 1 skipped; `,
			map[string]string{"there/a.json": `"DocumentId"`}},
		{"two to one, beside what is there", "--to json --skip-existing --out DIR/there DIR/in DIR/more", 2, `would both become .*there/a\.json\n`, nil},
		{"to a directory", "--to json --skip-existing --out DIR/stands DIR/in", 2, `stands/a\.json is a directory\n`, nil},
		{"to replace and to leave", "--to json --skip-existing --force --out DIR/there DIR/in", 2, `only one of them is allowed`, nil},
		{"to leave nothing", "--to json --skip-existing DIR/in/a.xml", 2, `--skip-existing needs --out DIR`, nil},
		{"over itself, unasked", "--to xml --out DIR/in DIR/in", 2, `in/a\.xml exists`, nil},
		{"over itself", "--to xml --force --out DIR/in DIR/in", 0, `2 converted`, map[string]string{"in/a.xml": "<MDocumentTraces>"}},
		{"below what is read", "--to json --out DIR/in/json DIR/in", 0, `^2 files: 2 converted`, map[string]string{"in/json/a.json": "{", "in/json/b.json": "{"}},
		{"several to standard output", "--to json DIR/in/a.xml DIR/in/b.xml", 2, `several files need --out DIR`, nil},
		{"a directory to standard output", "--to json DIR/in", 2, `is a directory: it needs --out DIR`, nil},
		{"standard input to a directory", "--to json --out DIR/out -", 2, `standard output`, nil},
		{"to nothing", "DIR/in/a.xml", 2, `--to is required: xml, json or binary`, nil},
		{"one that is not there", "--to json DIR/gone.xml", 2, `^.*gone\.xml: error: cannot be read: no such file or directory\n$`, nil},
		{"one that is not there, of several", "--to json --out DIR/out DIR/gone.xml DIR/in", 2, `2 converted, 0 refused, 1 unreadable`,
			map[string]string{"out/a.json": "{", "out/b.json": "{"}},
		{"strictly", "--to json --strict --out DIR/out DIR/in", 0, `2 converted`, map[string]string{"out/a.json": "{", "out/b.json": "{"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			lay(t, dir, before)
			got := lienthong(t, "", append([]string{"packet", "convert"}, strings.Fields(strings.ReplaceAll(tc.args, "DIR", dir))...)...)
			if got.code != tc.code || !regexp.MustCompile(tc.stderr).MatchString(got.stderr) || got.stdout != "" {
				t.Errorf("exit code %d, want %d; stdout %q, stderr %q, want %s", got.code, tc.code, got.stdout, got.stderr, tc.stderr)
			}
			for _, name := range filesIn(t, dir) {
				content := read(t, filepath.Join(dir, name))
				if want, made := tc.made[name]; made && !strings.Contains(content, want) || !made && before[name] != content {
					t.Errorf("%s holds %s", name, content)
				}
			}
			for name := range tc.made {
				if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	strict := lienthong(t, loose(t), "packet", "convert", "--strict", "--to", "xml", "-")
	if strict.code != 1 || strict.stdout != "" || !strings.Contains(strict.stderr, "MDocumentTraces.Status") {
		t.Errorf("strictly, of what takes liberties: exit code %d, %q, %q", strict.code, strict.stdout, strict.stderr)
	}
}
