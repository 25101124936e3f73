package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/lienthong/lienthong/packet/samples"
)

// program returns the path of lienthong, built once, with the race detector.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "lienthong-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "lienthong")
	out, err := exec.CommandContext(context.Background(), "go", "build", "-race", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := program(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// result is what a finished command left.
type result struct {
	stdout, stderr string
	code           int
}

// lienthong runs one command to its end.
func lienthong(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// must runs a command that has to succeed and returns its output.
func must(t *testing.T, args ...string) string {
	t.Helper()
	got := lienthong(t, "", args...)
	if got.code != 0 {
		t.Fatalf("lienthong %s: exit code %d\n%s%s", strings.Join(args, " "), got.code, got.stdout, got.stderr)
	}
	return got.stdout
}

// hubProcess is a hub in a process of its own.
type hubProcess struct {
	cmd   *exec.Cmd
	ended chan error
}

// startHub runs `lienthong hub` and waits until it serves.
func startHub(t *testing.T, dir, grpcAddress, httpAddress string, flags ...string) *hubProcess {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	// The test's own context would kill it before its clean-up can stop it in order.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path,
		append([]string{"hub", "--data", dir, "--grpc", grpcAddress, "--http", httpAddress, "--web", ""}, flags...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &hubProcess{cmd: cmd, ended: make(chan error, 1)}
	serving := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(stderr)
		for said := false; lines.Scan(); {
			if !said && strings.Contains(lines.Text(), "hub is serving") {
				said = true
				close(serving)
			}
		}
		_, _ = io.Copy(io.Discard, stderr)
		h.ended <- cmd.Wait()
	}()
	select {
	case <-serving:
	case err := <-h.ended:
		t.Fatalf("the hub ended before it served: %v", err)
	}
	t.Cleanup(func() { h.end(t, syscall.SIGKILL) })
	return h
}

// end sends a signal and returns how the process ended.
func (h *hubProcess) end(t *testing.T, signal syscall.Signal) error {
	t.Helper()
	if h.ended == nil {
		return nil
	}
	if err := h.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal %v: %v", signal, err)
	}
	err := <-h.ended
	h.ended = nil
	return err
}

// freeAddress returns a loopback address that nobody listens on, and that nobody is
// given by chance before a hub that was killed comes back to it: its port is below
// those that systems hand out themselves.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if l, err := net.Listen("tcp", address); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// samplesDir writes the samples into files.
func samplesDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, s := range append(samples.Good(), samples.Bad()...) {
		if err := os.WriteFile(filepath.Join(dir, s.Name), s.Content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDemo(t *testing.T) {
	t.Parallel()
	got := lienthong(t, "", "demo", "--once", "--data", t.TempDir())
	if got.code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", got.code, got.stdout, got.stderr)
	}
	for _, want := range []string{
		"delivered and acknowledged exactly once", "each verified offline", "<MDocumentTraces>",
		"Công ty TNHH Gốm Sông Lam", "/ho-so?code=", "HTTP 401", "MStatistic.Month",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("the output does not say %q\n%s", want, got.stdout)
		}
	}
}

func TestDemoRunsAgainOnItsData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		must(t, "demo", "--once", "--data", dir)
	}
}

var token = regexp.MustCompile(`lt1\.[A-Za-z0-9_-]+`)

// enrol registers a node and joins as it, with two commands.
func enrol(t *testing.T, admin, id, kind string) (profile string) {
	t.Helper()
	profile = filepath.Join(t.TempDir(), "profile")
	printed := must(t, "admin", "--profile", admin, "node", "add", id, "--kind", kind)
	must(t, "node", "join", "--token", token.FindString(printed), "--profile", profile)
	return profile
}

func TestNothingWithAReceiptIsLostWhenTheHubIsKilled(t *testing.T) {
	t.Parallel()
	data, files := filepath.Join(t.TempDir(), "hub"), samplesDir(t)
	admin := filepath.Join(data, "admin")
	grpcAddress, httpAddress := freeAddress(t), freeAddress(t)
	h := startHub(t, data, grpcAddress, httpAddress)
	province := enrol(t, admin, "H41/motcua", "one-stop")
	portal := enrol(t, admin, "G22/portal", "portal")
	must(t, "admin", "--profile", admin, "right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "all")

	accepted := must(t, "node", "submit", "--profile", province, "--receipts", filepath.Join(files, "receipts"),
		filepath.Join(files, "dossier.xml"), filepath.Join(files, "progress.xml"))
	if strings.Count(accepted, "accepted as sequence") != 2 {
		t.Fatalf("submit says:\n%s", accepted)
	}
	if err := h.end(t, syscall.SIGKILL); err == nil {
		t.Fatal("a killed hub ended as if nothing had been")
	}
	kept := filepath.Join(files, "receipts", "1-dossier.xml.receipt.json")
	for content, want := range map[string]int{"dossier.xml": 0, "progress.xml": 1} {
		for _, key := range [][]string{{"--key", filepath.Join(data, "ledger.pub")}, {"--profile", province}} {
			got := lienthong(t, "", append([]string{"verify", kept, "--content", filepath.Join(files, content)}, key...)...)
			if got.code != want {
				t.Errorf("verify the dossier's receipt for %s: exit code %d, want %d\n%s%s", content, got.code, want, got.stdout, got.stderr)
			}
		}
	}
	forged := filepath.Join(files, "forged.json")
	if err := os.WriteFile(forged, []byte(strings.ReplaceAll(read(t, kept), "H41/motcua", "H99/motcua")), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := lienthong(t, "", "verify", forged, "--profile", province); got.code != 1 || !strings.Contains(got.stdout, "does not hold") {
		t.Errorf("a receipt whose statement in clear was changed: exit code %d, %q", got.code, got.stdout)
	}
	missing := lienthong(t, "", "node", "submit", "--profile", province, filepath.Join(files, "none.xml"))
	if missing.code != 1 || !strings.Contains(missing.stdout, "not sent") || strings.Contains(missing.stderr, "no answer") {
		t.Errorf("a file that is not there: exit code %d, %q", missing.code, missing.stdout+missing.stderr)
	}
	// The hub is down: that is no refusal, and does not last for ever.
	down := lienthong(t, "", "node", "submit", "--profile", province, "--timeout", "1s", filepath.Join(files, "survey.xml"))
	if down.code != 1 || strings.Contains(down.stdout, "refused") || !strings.Contains(down.stderr, "the hub at "+grpcAddress+" has not answered in time; it cannot be reached") ||
		!strings.Contains(down.stderr, "Run the same command again") || strings.Count(down.stderr, "trying again") != 1 || strings.Contains(down.stderr, "WARN") {
		t.Errorf("without a hub: exit code %d, %q", down.code, down.stdout+down.stderr)
	}

	restarted := startHub(t, data, grpcAddress, httpAddress)
	again := must(t, "node", "submit", "--profile", province, filepath.Join(files, "dossier.xml"))
	if first, _, _ := strings.Cut(accepted, "\n"); first != strings.TrimSpace(again) {
		t.Errorf("submitted again after the kill: %q, before: %q", strings.TrimSpace(again), first)
	}
	inbox := filepath.Join(t.TempDir(), "inbox")
	must(t, "node", "receive", "--profile", portal, "--count", "2", "--dir", inbox)
	for _, name := range []string{"000000000001-dossier.xml", "000000000002-progress.xml"} {
		if got := lienthong(t, "", "packet", "validate", "--strict", filepath.Join(inbox, name)); got.code != 0 {
			t.Errorf("%s as received: exit code %d\n%s%s", name, got.code, got.stdout, got.stderr)
		}
	}
	if err := restarted.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("the hub did not end in order on SIGTERM: %v", err)
	}
}

func TestSubmitSaysWhatIsRefused(t *testing.T) {
	t.Parallel()
	data, files := filepath.Join(t.TempDir(), "hub"), samplesDir(t)
	admin := filepath.Join(data, "admin")
	startHub(t, data, "127.0.0.1:0", "127.0.0.1:0")
	second := lienthong(t, "", "hub", "--data", data, "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--web", "")
	if second.code != 1 || !strings.Contains(second.stderr, "another process has it open") {
		t.Errorf("a second hub on the same data: exit code %d, %q", second.code, second.stderr)
	}
	province := enrol(t, admin, "H41/motcua", "one-stop")
	for _, tc := range []struct{ name, file, want string }{
		{"a packet nobody may receive", "statistic.xml", "right_missing"},
		{"a packet with violations", "bad-statistic.xml", "MStatistic.Month"},
	} {
		got := lienthong(t, "", "node", "submit", "--profile", province, filepath.Join(files, tc.file))
		if got.code != 1 || !strings.Contains(got.stdout, tc.want) {
			t.Errorf("%s: exit code %d, output %q; want 1 and %q", tc.name, got.code, got.stdout+got.stderr, tc.want)
		}
	}
	revoked := lienthong(t, "", "admin", "--profile", admin, "node", "revoke", "H41/motcua", "--yes")
	if revoked.code != 0 {
		t.Fatalf("revoke: %s%s", revoked.stdout, revoked.stderr)
	}
	got := lienthong(t, "", "node", "receive", "--profile", province, "--count", "1")
	if got.code != 1 || !strings.Contains(got.stderr, "node_not_active") {
		t.Errorf("a revoked node receives: exit code %d, %q", got.code, got.stderr)
	}
	got = lienthong(t, "", "node", "submit", "--profile", province, filepath.Join(files, "dossier.xml"))
	wantSaid(t, "a revoked node submits", got, 1, "dossier.xml: refused: node H41/motcua is revoked", "(node_not_active)", "Next: ask the hub's administrator")
	if strings.Contains(got.stderr, "no answer") || strings.Contains(got.stderr, "not known") {
		t.Errorf("a revoked node is told that nothing is known:\n%s", got.stderr)
	}
	wantSaid(t, "in Vietnamese", inVietnamese(t, "node", "submit", "--profile", province, filepath.Join(files, "dossier.xml")), 1,
		"dossier.xml: bị từ chối: ", "Tiếp theo: liên hệ quản trị viên")
}

// One node is made strict on a running hub, stays so when the hub is killed, and is
// strict no more; then the hub is.
func TestStrictReading(t *testing.T) {
	t.Parallel()
	data, files := filepath.Join(t.TempDir(), "hub"), samplesDir(t)
	admin := filepath.Join(data, "admin")
	grpcAddress, httpAddress := freeAddress(t), freeAddress(t)
	h := startHub(t, data, grpcAddress, httpAddress)
	province := enrol(t, admin, "H41/motcua", "one-stop")
	enrol(t, admin, "G22/portal", "portal")
	must(t, "admin", "--profile", admin, "right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "all")
	official := read(t, filepath.Join(files, "progress.xml"))
	loose := func(name string) string {
		path := filepath.Join(files, name)
		content := strings.NewReplacer("<Status>4<", "<Status> 4 <", "<DocumentId>88121<", "<DocumentId>"+name+"<").Replace(official)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	submit := func(when, path string, wantCode int, want string) {
		t.Helper()
		got := lienthong(t, "", "node", "submit", "--profile", province, path)
		if got.code != wantCode || !strings.Contains(got.stdout, want) {
			t.Errorf("%s: exit code %d, want %d and %q\n%s%s", when, got.code, wantCode, want, got.stdout, got.stderr)
		}
	}
	set := func(flag, want string) {
		t.Helper()
		if printed := must(t, "admin", "--profile", admin, "node", "set", "H41/motcua", flag); !strings.Contains(printed, want) {
			t.Errorf("node set %s printed %q; want %q", flag, printed, want)
		}
	}
	first := loose("first.xml")
	submit("liberally", first, 0, "accepted as sequence 1, to G22/portal, warnings: 1")
	set("--strict", "strict")
	const refused = "MDocumentTraces.Status: must have no white space"
	submit("a strict node", loose("second.xml"), 1, refused)
	submit("the first again", first, 0, "accepted as sequence 1,")
	if err := h.end(t, syscall.SIGKILL); err == nil {
		t.Fatal("a killed hub ended as if nothing had been")
	}
	h = startHub(t, data, grpcAddress, httpAddress)
	submit("after the hub was killed", loose("third.xml"), 1, refused)
	set("--strict=false", "as hub")
	submit("strict no more", loose("fourth.xml"), 0, "accepted as sequence 2,")
	if err := h.end(t, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	startHub(t, data, grpcAddress, httpAddress, "--strict")
	set("--strict=false", "The hub itself runs with --strict")
	submit("a strict hub", loose("fifth.xml"), 1, refused)
	submit("a strict hub", loose("fifth.xml"), 1, "; this hub reads packets strictly (packet_invalid)")
	if list := must(t, "admin", "--profile", admin, "node", "list"); !strings.Contains(list, "strict (hub)") {
		t.Errorf("the list of nodes of a strict hub is\n%s", list)
	}
	submit("the first again, on a strict hub", first, 0, "accepted as sequence 1,")
	submit("what takes no liberty", filepath.Join(files, "progress.xml"), 0, "accepted as sequence 3, to G22/portal, warnings: 0")
}

func TestANodeThatLostItsKeyJoinsAgain(t *testing.T) {
	t.Parallel()
	data, files := filepath.Join(t.TempDir(), "hub"), samplesDir(t)
	admin := filepath.Join(data, "admin")
	startHub(t, data, "127.0.0.1:0", "127.0.0.1:0")
	lost := enrol(t, admin, "H41/motcua", "one-stop")
	enrol(t, admin, "G22/portal", "portal")
	must(t, "admin", "--profile", admin, "right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "all")
	other := lienthong(t, "", "node", "join", "--token", token.FindString(must(t, "admin", "--profile", admin, "node", "token", "G22/portal")), "--profile", lost)
	if other.code != 1 || !strings.Contains(other.stderr, "H41/motcua") {
		t.Errorf("joined over another node's profile: exit code %d, %q", other.code, other.stderr)
	}
	again := filepath.Join(t.TempDir(), "again")
	must(t, "node", "join", "--token", token.FindString(must(t, "admin", "--profile", admin, "node", "token", "H41/motcua")), "--profile", again)
	must(t, "node", "submit", "--profile", again, filepath.Join(files, "dossier.xml"))
	got := lienthong(t, "", "node", "submit", "--profile", lost, filepath.Join(files, "progress.xml"))
	// Whether the packet was on its way when the hub ended the stream is a matter of
	// moments: it is told as refused, or as without an answer.
	if got.code != 1 || !strings.Contains(got.stdout+got.stderr, "certificate_superseded") {
		t.Errorf("the certificate before: exit code %d, %q", got.code, got.stdout+got.stderr)
	}
}

func TestPacketCommands(t *testing.T) {
	t.Parallel()
	files := samplesDir(t)
	good, bad := filepath.Join(files, "dossier.xml"), filepath.Join(files, "bad-statistic.xml")
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name       string
		stdin      string
		args       []string
		wantCode   int
		wantStdout string // regular expression
		wantStderr string
	}{
		{name: "a good file is silent", args: []string{"packet", "validate", good}, wantStdout: `^$`},
		{name: "a violation has file, line, column, path and text", args: []string{"packet", "validate", bad}, wantCode: 1,
			wantStdout: `(?m)^.*bad-statistic\.xml:3:\d+: error: MStatistic\.Month: .+$`},
		{name: "all violations at once", args: []string{"packet", "validate", bad}, wantCode: 1,
			wantStdout: `(?s)MStatistic\.OrganizationInchargeIdlevel1.*MStatistic\.Month.*MStatistic\.Total`},
		{name: "in Vietnamese", args: []string{"packet", "validate", "--lang", "vi", bad}, wantCode: 1, wantStdout: `bắt buộc|phải`},
		{name: "one bad file among good ones", args: []string{"packet", "validate", good, bad, good}, wantCode: 1, wantStdout: `bad-statistic`},
		{name: "standard input", stdin: string(content), args: []string{"packet", "validate", "-"}, wantStdout: `^$`},
		{name: "malformed XML", stdin: "<MVotes><TotalVoted>1</MVotes>", args: []string{"packet", "validate", "-"}, wantCode: 1, wantStdout: `-:1:\d+: error: `},
		{name: "an unknown packet", stdin: "<MInvoice/>", args: []string{"packet", "validate", "-"}, wantCode: 1, wantStdout: `MInvoice`},
		{name: "a file that is not there", args: []string{"packet", "validate", good + "x"}, wantCode: 2, wantStderr: `no such file`},
		{name: "no file", args: []string{"packet", "validate"}, wantCode: 2, wantStderr: `packet validate needs a file, a directory, or - for standard input`},
		{name: "to JSON", args: []string{"packet", "convert", "--to", "json", good}, wantStdout: `"DocCode"\s*:`},
		{name: "to binary", args: []string{"packet", "convert", "--to", "binary", good}, wantStdout: `.`},
		{name: "to a format there is not", args: []string{"packet", "convert", "--to", "yaml", good}, wantCode: 2, wantStderr: `xml, json and binary`},
		{name: "what cannot be read is not converted", args: []string{"packet", "convert", "--to", "xml", bad}, wantCode: 1, wantStdout: `^$`, wantStderr: `MStatistic\.Month`},
		{name: "the schema of all", args: []string{"packet", "xsd"}, wantStdout: `(?s)MSyncDocument.*MStatistic`},
		{name: "the schema of one", args: []string{"packet", "xsd", "statistic"}, wantStdout: `MStatistic`},
		{name: "the schema of none", args: []string{"packet", "xsd", "invoice"}, wantCode: 2, wantStderr: `dossier, progress, survey and statistic`},
		{name: "an unknown command", args: []string{"pakcet"}, wantCode: 2, wantStderr: `is not a command of "lienthong"; did you mean packet`},
		{name: "an unknown command below admin", args: []string{"admin", "node", "lst"}, wantCode: 2, wantStderr: `did you mean list\?`},
		{name: "a missing argument below admin", args: []string{"admin", "node", "add"}, wantCode: 2, wantStderr: `takes one argument`},
		{name: "a profile that is none", args: []string{"node", "submit", "--profile", files + "/none", good}, wantCode: 1, wantStderr: `Next: join a hub with the token`},
		{name: "a negative count", args: []string{"node", "receive", "--count", "-1"}, wantCode: 2, wantStderr: `0 or more`},
		{name: "a receipt that is not there", args: []string{"verify", "none.json", "--key", good}, wantCode: 1, wantStderr: `not a verifier key`},
		{name: "a demo in a directory of something else", args: []string{"demo", "--once", "--data", files}, wantCode: 1, wantStderr: `no demo has made`},
		{name: "an unknown flag", args: []string{"hub", "--dta", "x"}, wantCode: 2, wantStderr: `unknown flag`},
		{name: "a hub without a data directory", args: []string{"hub"}, wantCode: 2, wantStderr: `--data`},
		{name: "the version", args: []string{"version"}, wantStdout: `^lienthong .+ go1\.`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := lienthong(t, tc.stdin, tc.args...)
			if got.code != tc.wantCode {
				t.Errorf("exit code %d, want %d\n%s%s", got.code, tc.wantCode, got.stdout, got.stderr)
			}
			if !regexp.MustCompile(tc.wantStdout).MatchString(got.stdout) {
				t.Errorf("stdout is %q, want %s", got.stdout, tc.wantStdout)
			}
			if !regexp.MustCompile(tc.wantStderr).MatchString(got.stderr) {
				t.Errorf("stderr is %q, want %s", got.stderr, tc.wantStderr)
			}
		})
	}
}

func TestConversionThereAndBackChangesNothing(t *testing.T) {
	t.Parallel()
	files := samplesDir(t)
	for _, s := range samples.Good() {
		xml := must(t, "packet", "convert", "--to", "xml", filepath.Join(files, s.Name))
		json := lienthong(t, xml, "packet", "convert", "--to", "json", "-")
		back := lienthong(t, json.stdout, "packet", "convert", "--to", "xml", "-")
		if back.stdout != xml {
			t.Errorf("%s: XML to JSON to XML changed it:\n%s\n%s", s.Name, xml, back.stdout)
		}
	}
}
