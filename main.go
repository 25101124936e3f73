// Command lienthong is the exchange hub, its administration, its nodes and its
// packet tools in one program.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/lienthong/lienthong/hub/admin"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // refused, or something went wrong
	exitUsage  = 2 // the command line cannot be understood, or what it names cannot be read

	exitUnproven = 3 // receipts hold, but are not all proven to be under a checkpoint
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal stops in order; a second one, where that takes too long, at once.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	cmd, err := admin.Misnamed(root, args)
	if err == nil {
		cmd, err = root.ExecuteContextC(ctx)
	}
	var misused usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errRefused):
		return exitFailed // what was refused has been said, line by line
	case errors.Is(err, errUnproven):
		return exitUnproven // so has been of which
	case err == errIncomplete:
		return exitUsage // so has been what could not be read
	case errors.As(err, &misused):
		fmt.Fprintf(s.err, "lienthong: %v\nTry: %s --help\n", err, cmd.CommandPath())
		return exitUsage
	case errors.Is(err, errIncomplete):
		fmt.Fprintf(s.err, "lienthong: %v\n", err)
		return exitUsage
	default:
		fmt.Fprintf(s.err, "lienthong: %v\n", err)
		return exitFailed
	}
}

// errRefused ends a command whose output has said what was refused.
var errRefused = errors.New("refused")

// errUnproven ends a command whose output has said which receipts hold, but are not
// proven to be under the checkpoint that was asked for.
var errUnproven = errors.New("not proven under the checkpoint")

// errIncomplete ends a command that did not get to judge all it was given: something
// could not be read or written, or it was interrupted.
var errIncomplete = errors.New("not complete")

// incomplete says why a command did not get to judge all it was given.
type incomplete string

// Error implements error.
func (i incomplete) Error() string { return string(i) }

// Is makes it an errIncomplete, which sets the exit code, without saying so.
func (i incomplete) Is(target error) bool { return target == errIncomplete }

// usageError is a command line that cannot be understood.
type usageError = admin.UsageError

func usage(format string, args ...any) error { return admin.Usage(fmt.Errorf(format, args...)) }

func newRoot() *cobra.Command {
	root := admin.Group(&cobra.Command{
		Use:   "lienthong",
		Short: "Exchange hub for dossiers, progress, surveys and statistics",
		Long: `Liên Thông moves the official packets of decisions 1697 and 1705/QĐ-BTTTT
between one-stop systems, service portals and national databases.

See it work:        lienthong demo
Run a hub:          lienthong hub --data DIR
Administer it:      lienthong admin --help
Join as a node:     lienthong node join --token TOKEN --profile DIR
Check a packet:     lienthong packet validate FILE
Check a receipt:    lienthong verify RECEIPT --key FILE
Audit a hub:        lienthong ledger --help
Check its data:     lienthong fsck --data DIR
Back it up:         lienthong backup --data DIR --to DIR
Go on from a copy:  lienthong restore --data DIR

Exit codes: 0 done, 1 refused or failed, 2 the command line is wrong; of verify also 3,
where receipts hold, but are not proven to be under the checkpoint.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
	}, hubCommand(), admin.Commands(), nodeCommand(), packetCommand(), verifyCommand(), ledgerCommand(), fsckCommand(), backupCommand(), restoreCommand(), demoCommand(), versionCommand())
	root.SetFlagErrorFunc(admin.FlagError)
	return root
}

// noArguments, atLeastOne and atMostOne make a wrong number of arguments a usage
// error, which says what they are.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no arguments; got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

func atLeastOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("%s needs %s", cmd.CommandPath(), what)
		}
		return nil
	}
}

func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usage("%s takes at most one argument, %s; got %d", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}
