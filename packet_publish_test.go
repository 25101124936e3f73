package main_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	command "github.com/lienthong/lienthong"
)

// A name is cut only where it says a format.
func TestConvertedFilesKeepTheirNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"hoso-2026.11": "hoso-2026.11.json", "hoso.xml": "hoso.json", "hoso.v1.XML": "hoso.v1.json", "hoso.json.bak": "hoso.json.bak.json",
		"hoso.binpb": "hoso.json", "hoso.pb": "hoso.json", "hoso.bin": "hoso.json", "hoso": "hoso.json", "hoso.": "hoso..json",
	} {
		in, out := t.TempDir(), t.TempDir()
		lay(t, in, map[string]string{name: sampleOf(t, "survey.xml")})
		must(t, "packet", "convert", "--to", "json", "--out", out, filepath.Join(in, name))
		if made := filesIn(t, out); !slices.Equal(made, []string{want}) {
			t.Errorf("%s becomes %v, want %s", name, made, want)
		}
	}
}

// TestNamesWithoutLinksReplaceNothing: also on file systems without links, of which
// there is none to test on.
func TestNamesWithoutLinksReplaceNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, dir, map[string]string{"staged": "new", "there": "mine"})
	staged, there, free := filepath.Join(dir, "staged"), filepath.Join(dir, "there"), filepath.Join(dir, "free")
	link(t, "nowhere", filepath.Join(dir, "linked"))
	for _, path := range []string{there, filepath.Join(dir, "linked")} {
		if err := command.NameWithoutLinks(staged, path); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: got %v; want that it exists", path, err)
		}
	}
	if err := command.NameWithoutLinks(filepath.Join(dir, "gone"), free); err == nil || len(filesIn(t, dir)) != 3 {
		t.Errorf("what is not there got a name: %v, %v", err, filesIn(t, dir))
	}
	if err := command.NameWithoutLinks(staged, free); err != nil {
		t.Error(err)
	}
	if read(t, there) != "mine" || read(t, free) != "new" || !slices.Equal(filesIn(t, dir), []string{"free", "linked", "there"}) {
		t.Errorf("there are %v; there %q, free %q", filesIn(t, dir), read(t, there), read(t, free))
	}
}

func TestSchemasThatCannotBeWrittenAreNotComplete(t *testing.T) {
	t.Parallel()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"xsd", "openapi", "fields", "fields --format json"} {
		readOnly, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), path, append([]string{"packet"}, strings.Fields(args)...)...)
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = readOnly, &stderr
		if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(stderr.String(), "not complete: write: ") {
			t.Errorf("%s: %v, %q; want exit code 2", args, err, stderr.String())
		}
		_ = readOnly.Close()
	}
}
