package hub_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lienthong/lienthong/hub"
)

func TestConfigFile(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, file, wantError string
		want                  func(hub.Config) bool
	}{
		{name: "what the file names wins over the defaults", file: "data: /srv/hub\ngrpc: :9443\nhosts: [hub.example.vn]\nstrict: true\n",
			want: func(c hub.Config) bool {
				return c.DataDir == "/srv/hub" && c.GRPC == ":9443" && c.HTTP == hub.DefaultHTTP && c.Hosts[0] == "hub.example.vn" && c.Strict
			}},
		{name: "times are written with their unit", file: "data: x\ncheckpoint_interval: 250ms\n",
			want: func(c hub.Config) bool { return c.CheckpointInterval == 250*time.Millisecond }},
		{name: "how often is tried", file: "data: x\ndelivery_attempts: 3\n", want: func(c hub.Config) bool { return c.DeliveryAttempts == 3 }},
		{name: "quotas", file: "data: x\npackets_per_second: 500\nbytes_per_second: 2000000\ninbox_bytes: 100000000000\nhandshakes_per_second: 50\n",
			want: func(c hub.Config) bool {
				return c.PacketsPerSecond == 500 && c.BytesPerSecond == 2_000_000 && c.InboxBytes == 100_000_000_000 && c.HandshakesPerSecond == 50
			}},
		{name: "how long packets are kept", file: "retention:\n  dossier: {keep: 1825d}\n  progress: {keep: 36h, bytes: 500GiB}\n  survey: {bytes: 1536MiB}\n  statistic: {bytes: 2000000}\n",
			want: func(c hub.Config) bool {
				return maps.Equal(c.Retention, hub.Retention{
					"dossier": {For: hub.Period(1825 * 24 * time.Hour)}, "progress": {For: hub.Period(36 * time.Hour), Bytes: 500 << 30},
					"survey": {Bytes: 1536 << 20}, "statistic": {Bytes: 2_000_000},
				})
			}},
		{name: "a time that is none", file: "retention: {dossier: {keep: five years}}\n", wantError: "1825d"},
		{name: "a time without a unit", file: "retention: {dossier: {keep: 1825}}\n", wantError: "1825d"},
		{name: "more days than can be counted", file: "retention: {dossier: {keep: 100000d}}\n", wantError: "36500d"},
		{name: "a time below nothing", file: "retention: {dossier: {keep: -1d}}\n", wantError: "36500d"},
		{name: "a size that is none", file: "retention: {dossier: {bytes: much}}\n", wantError: "GiB"},
		{name: "a bound of retention that is none", file: "retention: {dossier: {kept: 1d}}\n", wantError: "kept"},
		{name: "the line and type of a bound that is none", file: "data: x\nretention:\n  dossier:\n    keep: 5d\n    kept: 1d\n", wantError: `hub.yaml, line 5: retention of dossier: "kept" is no bound; keep and bytes are allowed`},
		{name: "of a time that is none", file: "retention:\n  dossier: {keep: 5d}\n  survey:\n    keep: five years\n", wantError: `hub.yaml, line 4: retention of survey: keep "five years": days, as 1825d`},
		{name: "of a time that is a list", file: "retention:\n  survey:\n    keep: [1d]\n", wantError: "line 3: retention of survey: keep one value is expected"},
		{name: "of too short a time", file: "retention:\n  dossier: {keep: 5d}\n  survey: {keep: 5m}\n", wantError: "line 3: retention of survey: keep 5m0s: 1h0m0s or more"},
		{name: "of too little room", file: "retention:\n  survey: {bytes: 1KiB}\n", wantError: "line 2: retention of survey: bytes 1024: 1048576 (1MiB) or more"},
		{name: "of nothing kept", file: "retention:\n  survey: {keep: 0d}\n", wantError: "line 2: retention of survey: keep 0d keeps nothing"},
		{name: "of a type that is none", file: "retention:\n  dossier: {keep: 5d}\n  dossiers: {keep: 5d}\n", wantError: `line 3: retention: there is no packet type "dossiers"; allowed are dossier, progress, statistic, survey`},
		{name: "of a type without bounds", file: "retention:\n  dossier: 1825d\n", wantError: "line 2: retention of dossier: {keep: 1825d}, {bytes: 500GiB} or both are expected"},
		{name: "retention without types", file: "data: x\nretention: 5d\n", wantError: "line 2: retention: types of packets are expected"},
		{name: "sizes as they are printed", file: "inbox_bytes: 64 GiB\nlarge_bytes: 8.5 MiB\ncontent_bytes: 2048 bytes\n", want: func(c hub.Config) bool {
			return c.InboxBytes == 64<<30 && c.LargeBytes == 17<<19 && c.ContentBytes == 2048
		}},
		{name: "a fraction of a byte", file: "inbox_bytes: 8.5\n", wantError: `inbox_bytes "8.5"`},
		{name: "bytes with their unit", file: "content_bytes: 4MiB\nlarge_bytes: 2097152\nbytes_per_second: 500KiB # a slow line\ninbox_bytes: \"2TiB\"\n",
			want: func(c hub.Config) bool {
				return c.ContentBytes == 4<<20 && c.LargeBytes == 2<<20 && c.BytesPerSecond == 500<<10 && c.InboxBytes == 2<<40
			}},
		{name: "times in days", file: "checkpoint_interval: 2d\n", want: func(c hub.Config) bool { return c.CheckpointInterval == 48*time.Hour }},
		{name: "no limit is 0", file: "packets_per_second: 0\nbytes_per_second: 0\n", want: func(c hub.Config) bool { return c.PacketsPerSecond+c.BytesPerSecond == 0 }},
		{name: "0 is not the default", file: "# sizes\ndata: x\ncontent_bytes: 0\n", wantError: `hub.yaml, line 3: content_bytes "0": a number of bytes, such as 16777216, 500KiB, 16MiB or 64GiB, from 1 on is expected`},
		{name: "nor of attempts", file: "delivery_attempts: 0\n", wantError: `hub.yaml, line 1: delivery_attempts "0": a whole number from 1 on is expected`},
		{name: "nor of times", file: "checkpoint_interval: 0s\n", wantError: `line 1: checkpoint_interval "0s": a time with its unit`},
		{name: "a unit that is none", file: "inbox_bytes: 64GB\n", wantError: `line 1: inbox_bytes "64GB": a number of bytes`},
		{name: "packets have no unit", file: "packets_per_second: 5KiB\n", wantError: `line 1: packets_per_second "5KiB": a whole number from 1 on is expected, or 0 for no limit`},
		{name: "more than there is", file: "content_bytes: 99999999999TiB\n", wantError: "line 1: content_bytes"},
		{name: "a switch that is none", file: "strict: perhaps\n", wantError: `line 1: strict "perhaps": true or false is expected`},
		{name: "hosts are a list", file: "data: x\nhosts: {a: b}\n", wantError: `line 2: hosts`},
		{name: "no mapping", file: "- data\n", wantError: "hub.yaml, line 1: lines of key: value are expected"},
		{name: "no YAML", file: "data: [x\n", wantError: "hub.yaml, line 1: "},
		{name: "a key twice", file: "data: x\ndata: y\n", wantError: "hub.yaml, line 2: "},
		{name: "what keys there are", file: "datum: x\n", wantError: `line 1: "datum" is not a setting; there are data, name, grpc`},
		{name: "a quota below nothing is an error", file: "packets_per_second: -1\n", wantError: "packets_per_second"},
		{name: "an empty file changes nothing", file: "", want: func(c hub.Config) bool { return c.HTTP == hub.DefaultHTTP }},
		{name: "so does one with comments only", file: "# nothing here\n", want: func(c hub.Config) bool { return c.HTTP == hub.DefaultHTTP }},
		{name: "an unknown key is an error that names it", file: "data: x\ncontent_byte: 5\n", wantError: "content_byte"},
		{name: "a value of the wrong kind is an error", file: "content_bytes: many\n", wantError: "content_bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "hub.yaml")
			if err := os.WriteFile(path, []byte(tc.file), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := hub.ReadConfig(path, hub.Config{HTTP: hub.DefaultHTTP})
			switch {
			case tc.wantError != "" && (err == nil || !strings.Contains(err.Error(), tc.wantError)):
				t.Errorf("error is %v, want one that names %q", err, tc.wantError)
			case tc.wantError == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.wantError == "" && !tc.want(cfg):
				t.Errorf("read as %+v", cfg)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		change    func(*hub.Config)
		wantError string
	}{
		{"no data directory", func(c *hub.Config) { c.DataDir = "" }, "--data"},
		{"an address without a port", func(c *hub.Config) { c.GRPC = "localhost" }, "host:port"},
		{"an address that is not this machine's", func(c *hub.Config) { c.HTTP = "192.0.2.1:0" }, "http address"},
		{"an empty host", func(c *hub.Config) { c.Hosts = []string{""} }, "hosts"},
		{"a packet limit below reason", func(c *hub.Config) { c.ContentBytes = 10 }, "content_bytes"},
		{"checkpoints without end", func(c *hub.Config) { c.CheckpointInterval = time.Microsecond }, "checkpoint_interval"},
		{"large packets that may not stand still", func(c *hub.Config) { c.TransferIdle = time.Millisecond }, "transfer_idle"},
		{"attempts without end", func(c *hub.Config) { c.DeliveryAttempts = 1001 }, "delivery_attempts"},
		{"fewer attempts than none", func(c *hub.Config) { c.DeliveryAttempts = -1 }, "delivery_attempts"},
		{"a type that is none", func(c *hub.Config) { c.Retention = hub.Retention{"letters": {For: 1 << 60}} }, "dossier, progress, statistic, survey"},
		{"a host with a space", func(c *hub.Config) { c.Hosts = []string{"bad host"} }, `host "bad host": a host name or an IP address is expected`},
		{"a host with a port", func(c *hub.Config) { c.Hosts = []string{"hub.example:8443"} }, "without a port"},
		{"a type in capitals", func(c *hub.Config) { c.Retention = hub.Retention{"Dossier": {For: 1 << 60}} }, "dossier, progress, statistic, survey"},
		{"packets that go at once", func(c *hub.Config) { c.Retention = hub.Retention{"dossier": {For: hub.Period(59 * time.Minute)}} }, "1h"},
		{"no room for packets", func(c *hub.Config) { c.Retention = hub.Retention{"dossier": {Bytes: 1000}} }, "1048576"},
		{"packets kept for no time said", func(c *hub.Config) { c.Retention = hub.Retention{"dossier": {}} }, "retention of dossier"},
		{"retention without end", func(c *hub.Config) { c.RetentionInterval = time.Microsecond }, "retention_interval"},
		{"no handshakes at all", func(c *hub.Config) { c.HandshakesPerSecond = -1 }, "handshakes_per_second"},
		{"a name that fits no certificate", func(c *hub.Config) { c.Name = "Trục liên thông" }, "hub"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := hub.Config{
				DataDir: filepath.Join(t.TempDir(), "hub"), GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0",
				Logger: slog.New(slog.DiscardHandler),
			}
			tc.change(&cfg)
			h, err := hub.New(t.Context(), cfg)
			if err == nil {
				t.Fatalf("a hub started; closing it: %v", h.Close())
			}
			if _, err := os.Stat(cfg.DataDir); tc.wantError == "http address" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a hub that could not listen has left a data directory behind: %v", err)
			}
			if !strings.Contains(err.Error(), tc.wantError) {
				t.Errorf("error is %q, want one that says %q", err, tc.wantError)
			}
		})
	}
}

func TestOneDataDirectoryOneHub(t *testing.T) {
	t.Parallel()
	cfg := hub.Config{
		DataDir: filepath.Join(t.TempDir(), "hub"), GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0",
		Logger: slog.New(slog.DiscardHandler),
	}
	first, err := hub.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := hub.New(t.Context(), cfg); err == nil {
		t.Errorf("a second hub opened the same data directory; closing it: %v", second.Close())
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := hub.New(t.Context(), cfg)
	if err != nil {
		t.Fatalf("after the first was closed: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
