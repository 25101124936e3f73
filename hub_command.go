package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lienthong/lienthong/hub"
)

func hubCommand() *cobra.Command {
	cfg := hub.Config{GRPC: hub.DefaultGRPC, HTTP: hub.DefaultHTTP, Web: hub.DefaultWeb}
	var file, level string
	cmd := &cobra.Command{
		Use:   "hub --data DIR",
		Short: "Run a hub",
		Long: `Runs a hub on a data directory. The first start makes the directory, with a
certificate authority, a ledger key and the first administrator's profile in
DIR/admin: move that profile to the administrator's own machine.

The configuration file is YAML with the keys data, name, grpc, http, web, hosts,
content_bytes, large_bytes, strict, delivery_attempts, packets_per_second, bytes_per_second,
inbox_bytes, handshakes_per_second, transfer_idle, after which a large packet that stands
still is cut, to go on later (default 30s), retention, retention_interval and checkpoint_interval, the time between
checkpoints of the ledger (default 1s); unknown keys are errors. Flags win over the
file. Bytes are plain numbers, or have a unit: 500KiB, 16MiB, 64GiB; content_bytes
and large_bytes are 1KiB to 1GiB. Times have one, too:
500ms, 30s, 12h, 7d.

No node may send more in a second than --packets-per-second and --bytes-per-second,
nor have more waiting for it than --inbox-bytes; packets to a node whose inbox is full
are refused, those in it stay. Of one node: lienthong admin node set.

Packets are kept for ever. With --keep dossier=1825d, or in the file

  retention:
    dossier: {keep: 1825d}
    progress: {keep: 365d, bytes: 500GiB}

packets of that type (dossier, progress, survey or statistic) are removed once they are
older (keep: 1h or more), or there is more of them (bytes: 1MiB or more); what has not been acknowledged by all its recipients, and
dead letters that were not discarded, stay. Receipts are kept for ever, and ids are not
free again. What the public pages know of removed packets they keep, but cannot make
anew: without DIR/store/index, removed dossiers are not looked up any more. It is looked
at every retention_interval (default 1m).

Packets are read liberally: what differs from the standard but can be understood is
accepted, with a warning for each liberty on the receipt. With --strict such packets
are refused, of every node; without it, of the nodes that an administrator has made
strict. What was accepted before stays readable.

What the hub looks things up by, DIR/store/index, is made from the journal. Where it turns
out to be damaged, or cannot be written, in a way that the hub cannot go on with, it ends
with exit status 74 and says so in the log. Start it again: it makes the index anew, which
takes as long as reading the journal.

Log lines are JSON on standard error. Ctrl-C or SIGTERM stops the hub after it
has finished what it accepted.`,
		Example: `  lienthong hub --data /var/lib/lienthong
  lienthong hub --data /var/lib/lienthong --grpc :8443 --http :8444 --host hub.example.gov.vn
  lienthong hub --config /etc/lienthong.yaml`,
		Args: noArguments,
	}
	hubFlags(cmd.Flags(), &cfg)
	flags := cmd.Flags()
	flags.StringVar(&file, "config", "", "YAML file with these settings")
	flags.StringVar(&level, "log", "info", "least level to log: debug, info, warn, error")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		settled, err := settle(cmd, cfg, file)
		if err != nil {
			return err
		}
		if settled.DataDir == "" {
			return usage("--data DIR is required: where the hub keeps everything")
		}
		var least slog.Level
		if err := least.UnmarshalText([]byte(level)); err != nil {
			return usage("--log %q: debug, info, warn and error are allowed", level)
		}
		settled.Logger = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: least}))
		collectLess()
		return runHub(cmd, settled)
	}
	cmd.AddCommand(hubAdminCommand())
	return cmd
}

// hubFlags declares the flags that are settings of the configuration file too.
func hubFlags(flags *pflag.FlagSet, cfg *hub.Config) {
	flags.StringVar(&cfg.DataDir, "data", "", "directory that holds everything the hub keeps")
	flags.StringVar(&cfg.Name, "name", hub.DefaultName, "name of the hub in certificates and receipts, fixed at the first start")
	flags.StringVar(&cfg.GRPC, "grpc", cfg.GRPC, "address for nodes and administrators (gRPC, mutual TLS)")
	flags.StringVar(&cfg.HTTP, "http", cfg.HTTP, "address for REST/XML clients (HTTPS, mutual TLS)")
	flags.StringVar(&cfg.Web, "web", cfg.Web, `address of the public pages (HTTP, for a reverse proxy); "" for none`)
	flags.StringSliceVar(&cfg.Hosts, "host", nil, "name or IP address that clients reach the hub by; may be repeated, the first stands in tokens")
	flags.Var(setting[int]{at: &cfg.ContentBytes, bytes: true}, "content-bytes", "largest packet that comes in one piece, e.g. 16MiB (default 16 MiB)")
	flags.Var(setting[int]{at: &cfg.LargeBytes, bytes: true}, "large-bytes", "largest packet that is uploaded in pieces, e.g. 160MiB (default 160 MiB)")
	flags.BoolVar(&cfg.Strict, "strict", false, "refuse packets that can only be read by taking liberties, of every node; of one: lienthong admin node set")
	flags.Var(setting[int]{at: &cfg.DeliveryAttempts}, "delivery-attempts", fmt.Sprintf("how often a packet that its recipient rejects is delivered before it becomes a dead letter (default %d)", hub.DefaultDeliveryAttempts))
	flags.Var(setting[uint64]{at: &cfg.PacketsPerSecond, unlimited: true}, "packets-per-second", "packets that one node may send in a second; 0: no limit (default no limit)")
	flags.Var(setting[uint64]{at: &cfg.BytesPerSecond, bytes: true, unlimited: true}, "bytes-per-second", "bytes of content that one node may send in a second, e.g. 20MiB; 0: no limit (default no limit)")
	flags.Var(setting[uint64]{at: &cfg.InboxBytes, bytes: true}, "inbox-bytes", "bytes that may wait for one node before more for it is refused, e.g. 64GiB (default 64 GiB)")
	flags.Var(&cfg.Retention, "keep", "how long packets of a type are kept once they are delivered, e.g. dossier=1825d; may be repeated (default for ever)")
	flags.Var(setting[int]{at: &cfg.HandshakesPerSecond}, "handshakes-per-second", "connections of nodes that are verified in a second; others wait or try again (default 500)")
}

// collectLess makes the garbage collector wait until the heap is four times what is in
// use, as nearly all that a hub allocates is let go of within milliseconds: a tenth of
// its work is less. GOGC and GOMEMLIMIT say otherwise where they are set.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
}

func hubAdminCommand() *cobra.Command {
	var data, name, profile string
	cmd := &cobra.Command{
		Use:   "admin --data DIR --name NAME --profile DIR",
		Short: "Give an administrator a profile, on the hub's machine",
		Long: `Makes an administrator's profile, good for a year, with the certificate authority in
the hub's data directory: for more administrators than the first, and for one whose
profile was lost or has ended. The hub may be running. Move the profile to the
administrator's own machine.`,
		Example: "  lienthong hub admin --data /var/lib/lienthong --name lan --profile lan-admin",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if data == "" || name == "" || profile == "" {
				return usage("--data DIR, --name NAME and --profile DIR are required")
			}
			if err := hub.IssueAdministrator(data, name, profile, time.Now); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Profile of administrator %s: %s\nNext: lienthong admin --profile %s node list\n", name, profile, profile)
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "the hub's data directory")
	cmd.Flags().StringVar(&name, "name", "", "name of the administrator: a-z, 0-9 and hyphens")
	cmd.Flags().StringVar(&profile, "profile", "", "directory to make, for the profile")
	return cmd
}

// settle puts the file over the defaults and the flags that were given over the
// file.
func settle(cmd *cobra.Command, flagged hub.Config, file string) (hub.Config, error) {
	if file == "" {
		return flagged, nil
	}
	cfg, err := hub.ReadConfig(file, hub.Config{GRPC: hub.DefaultGRPC, HTTP: hub.DefaultHTTP, Web: hub.DefaultWeb})
	if err != nil {
		return cfg, err
	}
	for name, take := range map[string]func(){
		"data":              func() { cfg.DataDir = flagged.DataDir },
		"name":              func() { cfg.Name = flagged.Name },
		"grpc":              func() { cfg.GRPC = flagged.GRPC },
		"http":              func() { cfg.HTTP = flagged.HTTP },
		"web":               func() { cfg.Web = flagged.Web },
		"host":              func() { cfg.Hosts = flagged.Hosts },
		"large-bytes":       func() { cfg.LargeBytes = flagged.LargeBytes },
		"content-bytes":     func() { cfg.ContentBytes = flagged.ContentBytes },
		"delivery-attempts": func() { cfg.DeliveryAttempts = flagged.DeliveryAttempts },
		"strict":            func() { cfg.Strict = flagged.Strict },

		"packets-per-second": func() { cfg.PacketsPerSecond = flagged.PacketsPerSecond },
		"bytes-per-second":   func() { cfg.BytesPerSecond = flagged.BytesPerSecond },
		"inbox-bytes":        func() { cfg.InboxBytes = flagged.InboxBytes },
		"keep": func() {
			for name, keep := range flagged.Retention {
				if cfg.Retention == nil {
					cfg.Retention = hub.Retention{}
				}
				keep.Bytes = cfg.Retention[name].Bytes
				cfg.Retention[name] = keep
			}
		},
		"handshakes-per-second": func() { cfg.HandshakesPerSecond = flagged.HandshakesPerSecond },
	} {
		if cmd.Flags().Changed(name) {
			take()
		}
	}
	return cfg, nil
}

func runHub(cmd *cobra.Command, cfg hub.Config) error {
	h, err := hub.New(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), `Liên Thông hub
  nodes and administrators  %s (gRPC)
  REST/XML clients          %s
  public pages              %s
%s%s`, h.GRPCAddress(), h.EdgeURL(), orNone(h.WebURL()), readingLine(cfg.Strict), nextStep(filepath.Join(cfg.DataDir, hub.AdminDir)))
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return h.Run(cmd.Context())
}

// readingLine says that packets are read strictly, where they are.
func readingLine(strict bool) string {
	if !strict {
		return ""
	}
	return "  reading                   strict: what can only be read by taking liberties is refused, of every node\n"
}

// nextStep tells of the first administrator's profile, until it was moved away.
func nextStep(profile string) string {
	if _, err := os.Stat(profile); err != nil {
		return ""
	}
	return fmt.Sprintf("  administrator's profile   %s: move it to the administrator's own machine\nNext: lienthong admin --profile %s node list\n", profile, profile)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
