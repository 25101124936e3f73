//go:build unix

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// onTerminal starts a command whose streams are all one terminal, 100 columns wide.
// What it prints is read from screen until it ends.
func onTerminal(t *testing.T, columns uint16, args ...string) (cmd *exec.Cmd, screen io.Reader) {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TERM=xterm")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: columns})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return cmd, terminal
}

// shown returns what a terminal shows of what was printed: lines, of which later
// text overwrites earlier after a carriage return.
func shown(t *testing.T, printed string) []string {
	t.Helper()
	var lines []string
	for line := range strings.SplitSeq(printed, "\n") {
		var cells []rune
		for piece := range strings.SplitSeq(line, "\r") {
			if rest, erased := strings.CutPrefix(piece, "\x1b[K"); erased {
				piece, cells = rest, nil
			}
			if strings.ContainsRune(piece, '\x1b') {
				t.Errorf("an unexpected command in %q", piece)
			}
			text := []rune(piece)
			cells = append(text, cells[min(len(text), len(cells)):]...)
		}
		lines = append(lines, string(cells))
	}
	return lines
}

// held makes a pipe that whoever reads it waits for, until it is let go.
func held(t *testing.T, path string) (letGo func(content string)) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // does not wait for a reader
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pipe.Close() })
	return func(content string) {
		if _, err := io.WriteString(pipe, content); err != nil {
			t.Error(err)
		}
		_ = pipe.Close()
	}
}

// TestProgressIsShownWhileARunLastsAndGoneAfterIt, and findings stand between, whole.
func TestProgressIsShownWhileARunLastsAndGoneAfterIt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, lang, progress, summary string
		columns                       uint16
	}{
		{"in English", "en", "Checking 10/11  90% [=", "11 files: 9 accepted, 2 refused, 0 unreadable; ", 100},
		{"in Vietnamese", "vi", "Đang kiểm tra 10/11  90% [=", "11 tệp: 9 được chấp nhận, 2 bị từ chối, 0 không đọc được; ", 100},
		{"on a narrow terminal", "en", clear + "Checking 10/11" + clear, "11 files: ", 30},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for i := range 9 {
				lay(t, dir, map[string]string{fmt.Sprintf("d/%d.xml", i): sampleOf(t, "survey.xml")})
			}
			lay(t, dir, map[string]string{"d/bad.xml": sampleOf(t, "unknown-packet.xml")})
			letGo := held(t, filepath.Join(dir, "pipe"))
			cmd, screen := onTerminal(t, tc.columns, "packet", "validate", "--lang", tc.lang, filepath.Join(dir, "d"), filepath.Join(dir, "pipe"))
			printed := untilShown(t, screen, tc.progress)
			letGo("<MVotes/>")
			rest, _ := io.ReadAll(screen) // ends with an error when the terminal is closed
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("ended with %v", err)
			}
			lines := shown(t, printed+string(rest))
			findings := 0
			for i, line := range lines {
				switch {
				case strings.HasPrefix(line, dir):
					findings++
				case strings.HasPrefix(line, tc.summary) && i == len(lines)-2, line == "" && i == len(lines)-1:
				default:
					t.Errorf("line %d is %q", i+1, line)
				}
			}
			if findings < 2 {
				t.Errorf("%d findings are left on\n%s", findings, strings.Join(lines, "\n"))
			}
		})
	}
}

const clear = "\r\x1b[K"

// untilShown reads until a text has been printed; for a while.
func untilShown(t *testing.T, screen io.Reader, want string) string {
	t.Helper()
	var printed strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(printed.String(), want) {
		n, err := screen.Read(buffer)
		printed.Write(buffer[:n])
		if err != nil || printed.Len() > 10_000 {
			t.Fatalf("%q was not shown: %v\n%q", want, err, printed.String())
		}
	}
	return printed.String()
}

func TestNoProgressOfOneFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.xml")
	if err := os.WriteFile(path, []byte(sampleOf(t, "survey.xml")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, screen := onTerminal(t, 100, "packet", "validate", path)
	printed, _ := io.ReadAll(screen)
	if err := cmd.Wait(); err != nil || bytes.ContainsRune(printed, '\x1b') || !bytes.HasPrefix(printed, []byte("1 file: 1 accepted")) {
		t.Errorf("%v, printed %q", err, printed)
	}
}

func TestBinaryIsNotForATerminal(t *testing.T) {
	t.Parallel()
	cmd, screen := onTerminal(t, 100, "packet", "convert", "--to", "binary", "-")
	printed, _ := io.ReadAll(screen)
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 2 || !bytes.Contains(printed, []byte("nothing for a terminal")) {
		t.Errorf("%v, printed %q", err, printed)
	}
}

// TestInterruptedRunsEndAtOnce: also where what they read does not come.
func TestInterruptedRunsEndAtOnce(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		for _, last := range []string{"pipe", "-"} {
			t.Run(signal.String()+" while reading "+last, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				lay(t, dir, map[string]string{"a.xml": sampleOf(t, "bad-statistic.xml"), "b.xml": sampleOf(t, "survey.xml")})
				held(t, filepath.Join(dir, "pipe"))
				p := startPacket(t, dir, "validate", "--format", "json", "a.xml", last, "b.xml")
				first, err := p.stdout.ReadString('\n')
				if err != nil || !strings.Contains(first, `"refused"`) {
					t.Fatalf("%q, %v", first, err)
				}
				code, rest := p.end(t, signal)
				if code != 2 || !strings.HasPrefix(rest, `{"type":"summary","complete":false,"files":1,`) {
					t.Errorf("exit code %d, %q", code, rest)
				}
			})
		}
	}
}

// TestAnInterruptedConversionIsTakenUpAgain: what is there was told and counted, and
// what was finished before its turn is not there.
func TestAnInterruptedConversionIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	lay(t, dir, map[string]string{"a.xml": loose(t), "c.xml": loose(t)})
	held(t, filepath.Join(dir, "b"))
	p := startPacket(t, dir, "convert", "--to", "json", "--lang", "en", "--out", "out", "a.xml", "b", "c.xml")
	if first, err := p.stdout.ReadString('\n'); err != nil || !strings.Contains(first, "a.xml") {
		t.Fatalf("%q, %v", first, err)
	}
	for deadline := time.Now().Add(time.Minute); len(filesIn(t, out)) < 2; { // c.xml is on its way
		if time.Now().After(deadline) {
			t.Fatal("c.xml is not converted while b is waited for")
		}
	}
	code, rest := p.end(t, syscall.SIGINT)
	if code != 2 || !strings.HasPrefix(p.stderr.String(), "interrupted after 1 of 3 files: 1 file: 1 converted") || strings.Contains(rest, "c.xml") {
		t.Errorf("exit code %d, %q, %q", code, p.stderr.String(), rest)
	}
	if made := filesIn(t, out); !slices.Equal(made, []string{"a.json"}) {
		t.Fatalf("left are %v", made)
	}
	lay(t, out, map[string]string{"a.json": "as it was left"})
	again := lienthong(t, "", "packet", "convert", "--to", "json", "--format", "json", "--skip-existing", "--out", out, filepath.Join(dir, "a.xml"), filepath.Join(dir, "c.xml"))
	files, sum := toldIn(t, again.stdout)
	if again.code != 0 || files[0].Result != "skipped" || files[0].Output != filepath.Join(out, "a.json") || files[1].Result != "accepted" ||
		sum.Skipped != 1 || sum.Accepted != 1 || sum.Bytes != files[1].Bytes {
		t.Errorf("taken up again, exit code %d:\n%s", again.code, again.stdout)
	}
	if kept := read(t, filepath.Join(out, "a.json")); kept != "as it was left" || !strings.Contains(read(t, filepath.Join(out, "c.json")), "DocumentId") {
		t.Errorf("what was there has become %q; or c.json is not whole", kept)
	}
}

// TestNothingIsForetoldOfARunThatStandsStill: until then the time that is left shrinks.
func TestNothingIsForetoldOfARunThatStandsStill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, dir, map[string]string{"a.xml": sampleOf(t, "survey.xml"), "c.xml": ""})
	if err := os.Truncate(filepath.Join(dir, "c.xml"), 64<<20); err != nil { // most of what there is to do
		t.Fatal(err)
	}
	letGo := held(t, filepath.Join(dir, "b"))
	cmd, screen := onTerminal(t, 100, "packet", "validate", "--content-bytes", "67108864", filepath.Join(dir, "a.xml"), filepath.Join(dir, "b"), filepath.Join(dir, "c.xml"))
	const still = "]" + clear
	printed := untilShown(t, screen, " left"+clear) // so that there was something to foretell
	printed += untilShown(t, screen, still+"Checking 1/3   0% [")
	letGo("<MVotes/>")
	_, _ = io.ReadAll(screen) // ends with an error when the terminal is closed
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("ended with %v", err)
	}
	last := time.Duration(math.MaxInt64)
	for _, told := range regexp.MustCompile(`1/3 .* (\d+):(\d+) left`).FindAllStringSubmatch(strings.ReplaceAll(printed, "\r", "\n"), -1) {
		left, err := time.ParseDuration(told[1] + "m" + told[2] + "s")
		if err != nil || left > last {
			t.Errorf("after %v, %v are left (%v) though nothing was done", last, left, err)
		}
		last = left
	}
}

// A terminal that does not know how wide it is shows no progress.
func TestNoProgressWithoutRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lay(t, dir, map[string]string{"a.xml": sampleOf(t, "survey.xml"), "bad.xml": sampleOf(t, "bad-statistic.xml")})
	letGo, letGoWide := held(t, filepath.Join(dir, "pipe")), held(t, filepath.Join(dir, "wide"))
	cmd, screen := onTerminal(t, 0, "packet", "validate", filepath.Join(dir, "a.xml"), filepath.Join(dir, "pipe"), filepath.Join(dir, "bad.xml"))
	wide, wideScreen := onTerminal(t, 100, "packet", "validate", filepath.Join(dir, "a.xml"), filepath.Join(dir, "wide"))
	untilShown(t, wideScreen, "Checking 1/2") // so that it had time to show something, too
	letGo("<MVotes/>")
	letGoWide("<MVotes/>")
	_, _ = io.ReadAll(wideScreen)    // ends with an error when the terminal is closed
	_ = wide.Wait()                  // is refused
	printed, _ := io.ReadAll(screen) // ends with an error when the terminal is closed
	_ = cmd.Wait()                   // the exit code tells
	if cmd.ProcessState.ExitCode() != 1 || bytes.ContainsRune(printed, '\x1b') || !bytes.Contains(printed, []byte("3 files: ")) {
		t.Errorf("exit code %d, printed %q", cmd.ProcessState.ExitCode(), printed)
	}
}

// packetProcess is a packet command in a process of its own.
type packetProcess struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// startPacket starts one in a directory; its standard input stays open and empty.
func startPacket(t *testing.T, dir string, args ...string) *packetProcess {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	p := &packetProcess{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), path, append([]string{"packet"}, args...)...)}
	p.cmd.Dir, p.cmd.Stderr = dir, &p.stderr
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=4") // what comes after what is waited for is read
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(stdout)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// end sends a signal and returns the exit code and what was still printed.
func (p *packetProcess) end(t *testing.T, signal syscall.Signal) (code int, rest string) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	printed, err := io.ReadAll(p.stdout)
	if err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait() // the exit code tells
	return p.cmd.ProcessState.ExitCode(), string(printed)
}
