package admin_test

import (
	"strings"
	"testing"

	"github.com/lienthong/lienthong/hub/registry"
)

// A quota is set of one node, shown with it, logged, and taken back; what is not named
// stays.
func TestQuotasOfNodes(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *registry.Config) { c.Quota = registry.Quota{PacketsPerSecond: 1000, InboxBytes: 64 << 30} })
	h.ok("node", "add", "H41/motcua", "--kind", "one-stop")
	h.ok("node", "add", "G22/portal", "--kind", "portal")
	for _, step := range []struct {
		args string
		want []string
	}{
		{"node set H41/motcua --packets-per-second 500", []string{" 500 packets/s ", "says nothing: 1000 packets/s, inbox 64 GiB"}},
		{"node set H41/motcua --bytes-per-second 20MiB --inbox-bytes 1000", []string{"500 packets/s, 20 MiB/s, inbox 1000 bytes"}},
		{"node set H41/motcua --description x", []string{"500 packets/s, 20 MiB/s, inbox 1000 bytes"}},
		{"node set H41/motcua --packets-per-second hub --bytes-per-second 2TiB", []string{" 2 TiB/s, inbox 1000 bytes "}},
		{"node list", []string{"QUOTA", " 2 TiB/s, inbox 1000 bytes ", " as hub "}},
	} {
		wantIn(t, h.ok(strings.Fields(step.args)...), step.want...)
	}
	out := h.ok("node", "set", "H41/motcua", "--bytes-per-second", "hub", "--inbox-bytes", "hub")
	if strings.Contains(out, "TiB") || strings.Contains(out, "1000 bytes") {
		t.Errorf("a quota that was taken back is shown:\n%s", out)
	}
	wantIn(t, h.log.String(), "quota_before.packets_per_second=0 quota_before.bytes_per_second=0 quota_before.inbox_bytes=0 quota.packets_per_second=500")
	h.ok("node", "set", "G22/portal", "--inbox-bytes", "3MiB")
	wantIn(t, h.ok("node", "list"), "12, 1.5 MiB of 3 MiB")
	wantIn(t, h.ok("node", "show", "G22/portal"), "WAITING           12, 1.5 MiB of 3 MiB (50.0 %)")
	wantIn(t, h.ok("node", "show", "G22/portal", "-o", "json"), `"deliveries": "12"`, `"bytes": "1572864"`)
	wantIn(t, h.refused("node", "show", "H41/nowhere"), "node H41/nowhere is not registered", "chưa được đăng ký", "lienthong admin node list")
	wantIn(t, h.ok("node", "list", "-o", "json"), `"hubQuota"`, `"packetsPerSecond": "1000"`)
}

func TestQuotasThatAreNone(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.ok("node", "add", "H41/motcua", "--kind", "one-stop")
	for flag, expected := range map[string]string{
		"--packets-per-second=0":                            `--packets-per-second "0": a whole number from 1 on, or "hub", is expected`,
		"--packets-per-second=5KiB":                         `a whole number from 1 on`,
		"--packets-per-second=-1":                           `a whole number from 1 on`,
		"--packets-per-second=1000000001":                   "packets_per_second",
		"--bytes-per-second=20MB":                           `a number of bytes from 1 on, such as 20971520, 500KiB, 20MiB or 64GiB, or "hub", is expected`,
		"--bytes-per-second=2000TiB":                        "bytes_per_second",
		"--inbox-bytes=18446744073709551615TiB":             `a number of bytes from 1 on`,
		"--inbox-bytes=":                                    `a number of bytes from 1 on`,
		"--inbox-bytes=99999999999999999999999999999999999": `a number of bytes from 1 on`,
	} {
		wantIn(t, h.refused("node", "set", "H41/motcua", flag), expected)
	}
}
