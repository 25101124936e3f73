package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lienthong/lienthong/packet"
)

// TestJSONCommandsNoTerminal: it is escaped, and the same; what is no text is told in
// bytes besides.
func TestJSONCommandsNoTerminal(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), t.TempDir()
	names := []string{"a\x7f\u009b31m\u202e\u2066\u200f\u061c\n.xml", "b\xff\u009b.xml", "cũ.xml"}
	for _, name := range names {
		lay(t, dir, map[string]string{name: strings.Replace(loose(t), "<Status> 4 <", "<Status> 4\u0085\u202e <", 1)})
	}
	for _, args := range [][]string{{"validate"}, {"convert", "--to", "json", "--out", out}} {
		got := lienthong(t, "", append(append([]string{"packet"}, args...), "--format", "json", dir)...)
		if found := regexp.MustCompile(`[\x00-\x09\x0b-\x1f\x7f-\x{9f}\x{202e}\x{2066}\x{200f}\x{61c}]`).FindString(got.stdout); found != "" {
			t.Errorf("%s: %q stands raw in\n%q", args, found, got.stdout)
		}
		if !strings.Contains(got.stdout, `a\u007f\u009b31m\u202e\u2066\u200f\u061c\n.xml"`) || !strings.Contains(got.stdout, "cũ.xml") {
			t.Errorf("%s: names are not as they should be in\n%s", args, got.stdout)
		}
		files, _ := toldIn(t, got.stdout)
		if files[0].File != filepath.Join(dir, names[0]) || files[0].FileBytes != nil || files[2].File != filepath.Join(dir, names[2]) {
			t.Errorf("%s: what was escaped is read as %q and %q", args, files[0].File, files[2].File)
		}
		if string(files[1].FileBytes) != filepath.Join(dir, names[1]) || !strings.Contains(files[1].File, "b\ufffd\u009b") {
			t.Errorf("%s: a name that is no text is %q, in bytes %q", args, files[1].File, files[1].FileBytes)
		}
	}
}

// TestPacketsMayBeAsLargeAsOfAHub: larger ones are refused in the words of the codec,
// and no more is read of them than tells so.
func TestPacketsMayBeAsLargeAsOfAHub(t *testing.T) {
	t.Parallel()
	survey := sampleOf(t, "survey.xml")
	sized := func(size int) string { return survey + strings.Repeat("\n", size-len(survey)) }
	dir := t.TempDir()
	lay(t, dir, map[string]string{"fits.xml": sized(16 << 20), "more.xml": sized(16<<20 + 1), "small.xml": sized(2048)})
	got := lienthong(t, sized(16<<20+10), "packet", "validate", "--format", "json", "--large-bytes", "16MiB",
		filepath.Join(dir, "fits.xml"), filepath.Join(dir, "more.xml"), "-")
	files, _ := toldIn(t, got.stdout)
	for i, want := range []struct {
		result string
		bytes  int
	}{{"accepted", 16 << 20}, {"refused", 0}, {"refused", 16<<20 + 1}} {
		if f := files[i]; f.Result != want.result || f.Bytes != want.bytes {
			t.Errorf("file %d: %s, %d bytes read; want %v", i+1, f.Result, f.Bytes, want)
		}
	}
	codec, err := packet.NewCodec(packet.Options{ContentBytes: 2047})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = codec.Identify([]byte(sized(2048)))
	invalid, ok := err.(*packet.InvalidError)
	if !ok {
		t.Fatal(err)
	}
	want := invalid.Findings[0]
	files, _ = toldIn(t, lienthong(t, "", "packet", "validate", "--format", "json", "--content-bytes", "2047", filepath.Join(dir, "small.xml")).stdout)
	if f := files[0].Findings[0]; f.Rule != want.GetRule() || f.MessageVI != want.GetMessageVi() || f.MessageEN != want.GetMessageEn() || f.Field != want.GetField() || f.Line != int(want.GetLine()) {
		t.Errorf("told is %+v; the codec says %v", f, want)
	}
}

// A text may be as long as the packet.
func TestTextsMayBeAsLongAsPackets(t *testing.T) {
	t.Parallel()
	long := strings.Replace(sampleOf(t, "survey.json"), "{", `{"Extra":"`+strings.Repeat("a", 33<<20)+`",`, 1)
	path := filepath.Join(t.TempDir(), "long.json")
	if err := os.WriteFile(path, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := lienthong(t, "", "packet", "validate", "--content-bytes", "41943040", path); got.code != 0 {
		t.Errorf("exit code %d, %s", got.code, got.stdout)
	}
}

// TestNoDirectoryIsReadTwice, by whatever arguments it is named.
func TestNoDirectoryIsReadTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, dir, map[string]string{"in/sub/a.xml": sampleOf(t, "survey.xml"), "in/sub/b.xml": sampleOf(t, "survey.xml"), "more/c.xml": sampleOf(t, "survey.xml")})
	link(t, "in", filepath.Join(dir, "linked"))
	for args, want := range map[string]string{
		"DIR/in DIR/in": "2 files: 2 accepted", "DIR/in DIR/linked DIR/in/": "2 files: 2 accepted", "DIR/in/sub DIR/in": "2 files: 2 accepted",
		"DIR/in DIR/in/sub": "2 files: 2 accepted", "DIR/more DIR DIR/in": "3 files: 3 accepted",
	} {
		got := lienthong(t, "", append([]string{"packet", "validate"}, strings.Fields(strings.ReplaceAll(args, "DIR", dir))...)...)
		if got.code != 0 || !strings.HasPrefix(got.stderr, want) {
			t.Errorf("%s: exit code %d, %q; want %q", args, got.code, got.stderr, want)
		}
	}
}
