package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/lienthong/lienthong/hub"
)

func backupCommand() *cobra.Command {
	var data, to, output, lang string
	cmd := &cobra.Command{
		Use:   "backup --data DIR --to DIR",
		Short: "Back a hub's data directory up, while the hub runs",
		Long: `Copies a data directory to another directory, which belongs on another disk or machine.
The hub may be running. Everything that had a receipt before the command was given is in
the backup: packets, deliveries that wait, rights, the certificate authority and the
ledger with its key. Uploads that have not come to their end are left out: their senders
go on from the beginning. Keep it as safe as the data directory itself: whoever has it can
speak for the hub.

A backup that is in --to is replaced, once the new one is whole and on stable storage;
what has not changed since is not copied again. Until then the new one is in a directory
beside it whose name ends in .partial, on which no hub starts. A configuration file is not
in the data directory: keep it, too.

To restore, start a hub on the backup, or on a copy of it: lienthong hub --data DIR. It
makes its index anew from the journal. Where it is at another address then, start it with
--host for its new name, and tell each profile: lienthong node set-address HOST:PORT. What
was accepted after the backup is not there: senders that submit it again, with the same
ids, get new receipts. The hub goes on with sequences that nobody has given, and with a
ledger of another name, so that what the lost hub has signed since is not contradicted.
Rights, revocations, suspensions and quotas are those of the backup, and have to be looked
over before the hub is opened: a node that was revoked since is let in again. The start
says in the log which nodes are active. Join tokens that were issued before are void.
Copies made in other ways have to be declared: lienthong restore --help. Before that,
check it: lienthong fsck --data DIR.

Exit codes: 0 the backup is whole; 1 it could not be made, and an earlier one is as it
was; 2 the command line is wrong.`,
		Example: "  lienthong backup --data /var/lib/lienthong --to /backup/lienthong",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if data == "" || to == "" {
				return usage("--data DIR and --to DIR are required: what to back up, and where to")
			}
			if output != formatText && output != formatJSON {
				return usage("--output %q: text and json are allowed", output)
			}
			say, err := speechOf(lang)
			if err != nil {
				return err
			}
			return backUp(cmd, data, to, output, say)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&data, "data", "", "the hub's data directory")
	flags.StringVar(&to, "to", "", "directory of the backup; made, or replaced where it is an earlier one")
	flags.StringVar(&output, "output", formatText, "how the end is told: text or json")
	langFlag(cmd, &lang, "language of what is printed")
	offer(cmd, "output", []string{formatText, formatJSON})
	return cmd
}

// isData reports whether a directory was a hub's. Where it was, something else is missing.
func isData(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "store"))
	return err == nil
}

func backUp(cmd *cobra.Command, data, to, output string, say speech) error {
	began := time.Now()
	made, err := hub.MakeBackup(cmd.Context(), data, to, time.Now)
	switch {
	case errors.Is(err, hub.ErrNoBackup):
		return fmt.Errorf(say.of("%s đã có và không phải bản sao lưu; hãy chọn thư mục khác", "%s is there and is no backup; name another directory"), to)
	case errors.Is(err, fs.ErrNotExist) && !isData(data):
		return fmt.Errorf(say.of("%s không phải thư mục dữ liệu của trục liên thông: %w", "%s is no data directory of a hub: %w"), data, err)
	case err != nil:
		return err
	}
	if output == formatJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(made)
	} else {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), say.sprintf(say.of(
			"%s: đã sao lưu; chép %.1f MB, giữ lại %.1f MB từ bản trước, trong %s\nTiếp theo: lienthong fsck --data %s",
			"%s: backed up; %.1f MB copied, %.1f MB kept from the one before, in %s\nNext: lienthong fsck --data %s"),
			to, float64(made.Bytes)/1e6, float64(made.LinkedBytes)/1e6, say.duration(time.Since(began).Seconds()), to))
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
