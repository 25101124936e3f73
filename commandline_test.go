package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// inVietnamese runs a command in a Vietnamese environment.
func inVietnamese(t *testing.T, args ...string) result {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=vi_VN.UTF-8")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// A command line that cannot be understood is told in words, without those of
// libraries, and with the next step.
func TestWrongCommandLinesAreToldInWords(t *testing.T) {
	t.Parallel()
	none := filepath.Join(t.TempDir(), "none")
	for _, tc := range []struct {
		args string
		code int
		want []string
	}{
		{"admin organisation", 2, []string{`"organisation" is not a command of "lienthong admin"; did you mean org?`}},
		{"admin organisation list --help", 2, []string{`"organisation" is not a command`, "did you mean org?", "Try: lienthong admin --help"}},
		{"help admin organisation", 2, []string{"did you mean org?"}},
		{"node recieve -h", 2, []string{`"recieve" is not a command of "lienthong node"; did you mean receive?`}},
		{"node frobnicate", 2, []string{"there are ack, dead-letters, join, pull, receive, reject, set-address, status, submit"}},
		{"packet valdate", 2, []string{"did you mean validate?"}},
		{"frobnicate --help", 2, []string{`"frobnicate" is not a command of "lienthong"; there are admin, `}},
		{"admin node set H41/x --strict=maybe", 2, []string{`--strict "maybe": true or false is expected`}},
		{"hub --data x --keep letters=5d", 2, []string{`--keep "letters=5d"`, "dossier, progress, statistic, survey"}},
		{"hub --data x --keep dossier=5", 2, []string{`--keep "dossier=5"`, "1825d"}},
		{"hub --data x --keep dossier", 2, []string{`--keep "dossier"`, "dossier=1825d"}},
		{"hub --content-bytes many", 2, []string{`--content-bytes "many": a number of bytes from 1 on, such as 16777216, 500KiB, 16MiB or 64GiB, is expected`}},
		{"hub --data x --content-bytes 0", 2, []string{`--content-bytes "0": a number of bytes from 1 on`}},
		{"hub --data x --delivery-attempts 0", 2, []string{`--delivery-attempts "0": a whole number from 1 on is expected`}},
		{"hub --data x --inbox-bytes 64GB", 2, []string{`--inbox-bytes "64GB": a number of bytes from 1 on`}},
		{"node submit --timeout 5 x.xml", 2, []string{`--timeout "5": a time with its unit, e.g. 30s or 2m, is expected`}},
		{"node status 1 2", 2, []string{"lienthong node status takes at most one argument, the sequence of a packet; got 2"}},
		{"node ack", 2, []string{"lienthong node ack needs the sequence of a packet"}},
		{"node reject 1", 2, []string{"--reason TEXT is required"}},
		{"node set-address hub.example.vn", 2, []string{`address "hub.example.vn": HOST:PORT is expected`}},
		{"node set-address a:70000", 2, []string{`address "a:70000": the port is a number from 1 to 65535`}},
		{"node set-address a:0", 2, []string{`address "a:0": the port is a number from 1 to 65535`}},
		{"node set-address a:1 --profile " + none, 1, []string{"there is no node's profile in " + none}},
		{"node pull --count 0", 2, []string{"--count 0: 1 to 1024 is expected"}},
		{"node pull --wait 2m", 2, []string{"--wait 2m0s: whole seconds from 0s to 60s are expected"}},
		{"node status seven", 2, []string{`SEQUENCE "seven": the sequence of a packet is expected`}},
		{"node dead-letters --redeliver 1,x", 2, []string{`--redeliver "x": the sequence of a packet is expected`}},
		{"node dead-letters --redeliver 1 --all", 2, []string{"one of --redeliver, --discard and --all is expected"}},
		{"node dead-letters --timeout 0s", 2, []string{"--timeout 0s: more than nothing is expected"}},
		{"node dead-letters --profile " + none, 1, []string{"there is no node's profile in " + none, "không có hồ sơ của hệ thống"}},
		{"node submit", 2, []string{"lienthong node submit needs a file with a packet"}},
		{"packet xsd dossier survey", 2, []string{"at most one argument, the type of a packet; got 2"}},
		{"hub serve", 2, []string{`lienthong hub takes no arguments; got "serve"`}},
		{"verify", 2, []string{"needs a file with a receipt"}},
		{"node submit --profile " + none + " x.xml", 1, []string{"there is no node's profile in " + none, "không có hồ sơ của hệ thống", "Next: ", "lienthong node join --token TOKEN --profile " + none}},
		{"node receive --profile " + none, 1, []string{"there is no node's profile in " + none}},
		{"verify x.json --profile " + none, 1, []string{"there is no node's profile in " + none}},
		{"verify x.json --key " + none, 1, []string{"--key " + none + ": no such file or directory"}},
		{"admin node list --profile " + none, 1, []string{"there is no administrator's profile in " + none, "Next: "}},
		{"node submit --profile " + filepath.Dir(none) + " x.xml", 1, []string{": hub.json is missing"}},
	} {
		got := lienthong(t, "", strings.Fields(tc.args)...)
		if got.code != tc.code || got.stdout != "" {
			t.Errorf("%s: exit code %d, want %d; stdout %q", tc.args, got.code, tc.code, got.stdout)
		}
		for _, want := range tc.want {
			if !strings.Contains(got.stderr, want) {
				t.Errorf("%s: %q is missing in\n%s", tc.args, want, got.stderr)
			}
		}
		for _, raw := range []string{"strconv", "arg(s)", "invalid argument", "load profile", "open /"} {
			if strings.Contains(got.stderr, raw) {
				t.Errorf("%s: %q stands in\n%s", tc.args, raw, got.stderr)
			}
		}
	}
}

// Each command that speaks the language of the environment says so.
func TestTheDefaultLanguageIsDocumented(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"packet validate", "packet convert", "packet fields", "node submit", "node status", "node dead-letters", "verify", "ledger consistency"} {
		if help := must(t, append(strings.Fields(command), "--help")...); !strings.Contains(help, "LC_ALL, LC_MESSAGES or LANG") {
			t.Errorf("%s --help does not say what language it speaks by default", command)
		}
	}
}

// A strict hub says so when it starts; another one does not.
func TestTheBannerOfAStrictHubSaysSo(t *testing.T) {
	t.Parallel()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{nil, {"--strict"}} {
		var banner bytes.Buffer
		cmd := exec.CommandContext(t.Context(), path, append([]string{
			"hub", "--data", filepath.Join(t.TempDir(), "hub"), "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--web", "", "--log", "info",
		}, flags...)...)
		cmd.Stdout = &banner
		log, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for said, line := "", make([]byte, 4096); !strings.Contains(said, "hub is serving"); {
			n, err := log.Read(line)
			if err != nil {
				t.Fatalf("the hub ended: %v\n%s", err, said)
			}
			said += string(line[:n])
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the hub ended with %v", err)
		}
		if said := strings.Contains(banner.String(), "strict: "); said != (flags != nil) {
			t.Errorf("with flags %v the banner is\n%s", flags, banner.String())
		}
	}
}

// In a Vietnamese environment, what node submit says of packets is Vietnamese, too; of
// one that is too large it says how large it is and may be, and nothing of streams.
func TestSubmitSpeaksTheLanguageOfTheEnvironment(t *testing.T) {
	t.Parallel()
	data, files := filepath.Join(t.TempDir(), "hub"), samplesDir(t)
	admin := filepath.Join(data, "admin")
	startHub(t, data, "127.0.0.1:0", "127.0.0.1:0", "--content-bytes", "1000000", "--large-bytes", "2000000")
	province := enrol(t, admin, "H41/motcua", "one-stop")
	enrol(t, admin, "G22/portal", "portal")
	must(t, "admin", "--profile", admin, "right", "grant", "--from", "H41", "--to", "G22/portal", "--type", "all")
	lay(t, files, map[string]string{"loose.xml": loose(t), "large.xml": sampleOf(t, "survey.xml") + strings.Repeat("\n", 40_000_000), "middling.xml": sampleOf(t, "progress.xml") + strings.Repeat("\n", 1_500_000)})
	got := inVietnamese(t, "node", "submit", "--profile", province, filepath.Join(files, "large.xml"), filepath.Join(files, "middling.xml"),
		filepath.Join(files, "loose.xml"), filepath.Join(files, "bad-statistic.xml"), filepath.Join(files, "none.xml"))
	for _, want := range []string{
		"large.xml: bị từ chối: nội dung gói tin có 400", "tối đa 2000000 byte", "at most 2000000 are allowed",
		"middling.xml: đã tiếp nhận với số thứ tự 1,", // which is uploaded once the hub has said that it is too large for a message
		"loose.xml: đã tiếp nhận với số thứ tự 2, gửi đến G22/portal, cảnh báo: 2\n", "loose.xml:9:3: cảnh báo: MDocumentTraces.Status: ",
		"bad-statistic.xml: bị từ chối: gói tin không hợp lệ; số lỗi: 3 (packet_invalid)\n", "bad-statistic.xml:3:3: lỗi: MStatistic.Month: ",
		"none.xml: chưa gửi: không có tệp hoặc thư mục này\n",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("%q is missing in\n%s", want, got.stdout)
		}
	}
	if got.code != 1 || got.stderr != "" || strings.Contains(got.stdout, "Config") {
		t.Errorf("exit code %d, stderr %q, stdout\n%s", got.code, got.stderr, got.stdout)
	}
}
