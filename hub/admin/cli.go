package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lienthong/lienthong/certs"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
)

// ProfileVariable names the administrator's profile in the environment.
const ProfileVariable = "LIENTHONG_ADMIN_PROFILE"

// maxAnswer is room for a list of every organisation of a country.
const maxAnswer = 64 << 20

// Commands returns `admin` and the commands below it, which call a hub as an
// administrator. Their errors are ready to be shown, several lines where there is
// more to say.
func Commands() *cobra.Command {
	r := &remote{}
	root := Group(&cobra.Command{
		Use:   "admin",
		Short: "Register organisations and nodes, grant rights",
		Long: `Administer a running hub over mutual TLS: who takes part, and who may send what
to whom. Nobody may send anything to anyone until a right says so.

The commands prove who you are with an administrator's profile. The hub writes the
first one at its first start into the directory "admin" of its data directory.`,
		Example: `  lienthong admin node add H41/motcua --kind one-stop
  lienthong admin node add G22/portal --kind portal
  lienthong admin right grant --from H41 --to G22/portal --type all`,
	}, organisationCommands(r), nodeCommands(r), rightCommands(r))
	root.SetFlagErrorFunc(FlagError)
	flags := root.PersistentFlags()
	flags.StringVar(&r.profile, "profile", defaultProfile(), "administrator's profile, a `directory`; $"+ProfileVariable+" names another default")
	flags.StringVarP(&r.output, "output", "o", outputTable, "`table` or json")
	flags.DurationVar(&r.timeout, "timeout", 30*time.Second, "how long to wait for the hub")
	return root
}

func defaultProfile() string {
	if named := os.Getenv(ProfileVariable); named != "" {
		return named
	}
	return filepath.Join("lienthong-data", "admin")
}

// UsageError is a command line that cannot be understood.
type UsageError struct{ error }

// Unwrap returns what cannot be understood.
func (e UsageError) Unwrap() error { return e.error }

// Usage returns err as a UsageError; nil for nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return UsageError{err}
}

// Group returns a command that only holds others: by itself it explains them,
// and a word that is none of them is an error; see also Misnamed.
func Group(cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			cmd.SilenceUsage = true
			return unknownCommand(cmd, args[0])
		}
		return cmd.Help()
	}
	cmd.Annotations = map[string]string{holdsOthers: ""}
	cmd.AddCommand(below...)
	return cmd
}

// holdsOthers marks the commands that Group returned.
const holdsOthers = "holds others"

// Misnamed returns the command below root that a command line leads to, and the error
// that it names none there. Cobra would not come to say so where --help is given, but
// explain the command above as if that had been asked for.
func Misnamed(root *cobra.Command, args []string) (*cobra.Command, error) {
	if len(args) > 0 && args[0] == "help" {
		args = args[1:]
	}
	found, rest, err := root.Find(args)
	if err != nil {
		return root, Usage(err)
	}
	if _, isGroup := found.Annotations[holdsOthers]; !isGroup {
		return found, nil
	}
	_ = found.ParseFlags(rest) // to tell words from values of flags; what is wrong with these is said later
	words := found.Flags().Args()
	if len(words) == 0 || found == root && isCobras(words[0]) {
		return found, nil
	}
	return found, unknownCommand(found, words[0])
}

// isCobras tells the commands that Cobra adds by itself.
func isCobras(word string) bool {
	return word == "help" || word == "completion" || strings.HasPrefix(word, "__complete")
}

// FlagError says what is wrong with a flag, and what it takes.
func FlagError(cmd *cobra.Command, err error) error {
	cmd.SilenceUsage = true
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return Usage(err)
	}
	flag := invalid.GetFlag()
	takes := valuesOf(flag.Value.Type())
	if takes == "" { // of another kind, which has words of its own
		return Usage(fmt.Errorf("--%s %q: %w", flag.Name, invalid.GetValue(), invalid.Unwrap()))
	}
	return Usage(fmt.Errorf("--%s %q: %s expected", flag.Name, invalid.GetValue(), takes))
}

// valuesOf says what flags of a type take, before "expected"; nothing where it does not
// know.
func valuesOf(typ string) string {
	switch typ {
	case "bool":
		return "true or false is"
	case "int", "int32", "int64":
		return "a whole number is"
	case "uint", "uint32", "uint64":
		return "a whole number from 0 on is"
	case limitType:
		return `a whole number from 1 on, or "hub", is`
	case sizeType:
		return `a number of bytes from 1 on, such as 20971520, 500KiB, 20MiB or 64GiB, or "hub", is`
	case SettingType:
		return "a whole number from 1 on is"
	case BytesType:
		return "a number of bytes from 1 on, such as 16777216, 500KiB, 16MiB or 64GiB, is"
	case "duration":
		return "a time with its unit, e.g. 30s or 2m, is"
	}
	return ""
}

func unknownCommand(cmd *cobra.Command, word string) error {
	cmd.SuggestionsMinimumDistance = min(3, max(1, len(word)/2)) // of short words, all others are near
	hint := ""
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	} else {
		var there []string
		for _, below := range cmd.Commands() {
			if below.IsAvailableCommand() {
				there = append(there, below.Name())
			}
		}
		hint = "there are " + strings.Join(there, ", ")
	}
	return Usage(fmt.Errorf("%q is not a command of %q; %s", word, cmd.CommandPath(), hint))
}

// one requires exactly one argument, and says what it is.
func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			cmd.SilenceUsage = true
			return Usage(fmt.Errorf("%s takes one argument: %s; got %d", cmd.CommandPath(), what, len(args)))
		}
		return nil
	}
}

// none allows no argument.
func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		cmd.SilenceUsage = true
		return Usage(fmt.Errorf("%s takes no arguments; got %q", cmd.CommandPath(), args[0]))
	}
	return nil
}

// remote is the hub to call and how to show its answers.
type remote struct {
	profile, output string
	timeout         time.Duration
}

// call lets a command call the hub's registry. It closes the connection and
// turns the error into what is shown.
func (r *remote) call(cmd *cobra.Command, do func(context.Context, registryv1.RegistryServiceClient) error) error {
	cmd.SilenceUsage = true
	if r.output != outputTable && r.output != outputJSON {
		return Usage(fmt.Errorf("--output %s: table or json is expected", r.output))
	}
	if r.timeout <= 0 {
		return Usage(fmt.Errorf("--timeout %s: more than nothing is expected, e.g. 30s", r.timeout))
	}
	hub, source, err := certs.LoadProfile(r.profile, nil)
	if err != nil {
		return r.profileError(err)
	}
	conn, err := grpc.NewClient(hub.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(certs.ClientConfig(source, hub.ServerName(), nil))),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)))
	if err != nil {
		return fmt.Errorf("hub at %s: %w", hub.Address, err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), r.timeout)
	defer cancel()
	err = do(ctx, registryv1.NewRegistryServiceClient(conn))
	if closing := conn.Close(); err == nil && closing != nil {
		return fmt.Errorf("hub at %s: %w", hub.Address, closing)
	}
	return shown(err, hub.Address)
}

func (r *remote) profileError(err error) error {
	inside := filepath.Join(r.profile, "admin")
	if _, found := os.Stat(filepath.Join(inside, certs.HubFile)); found == nil {
		return fmt.Errorf("%s is no administrator's profile, but looks like a hub's data directory; try --profile %s", r.profile, inside)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf(`there is no administrator's profile in %s%s
không có hồ sơ quản trị viên trong thư mục %[1]s
Next: the hub writes one at its first start into the directory "admin" of its data
directory; name it with --profile DIR or in $%[3]s`, r.profile, missing(r.profile, err), ProfileVariable)
	}
	return fmt.Errorf("administrator's profile %s: %w", r.profile, err)
}

// missing names the file that a profile lacks, where the directory itself is there.
func missing(dir string, err error) string {
	var at *fs.PathError
	if _, found := os.Stat(dir); found != nil || !errors.As(err, &at) {
		return ""
	}
	return ": " + filepath.Base(at.Path) + " is missing"
}
