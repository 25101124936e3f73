package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/lienthong/lienthong/hub"
)

// fsckOptions are what `fsck` is told.
type fsckOptions struct {
	data, output, lang string
	quick              bool
}

func fsckCommand() *cobra.Command {
	var options fsckOptions
	cmd := &cobra.Command{
		Use:   "fsck --data DIR",
		Short: "Check everything in a hub's data directory",
		Long: `Reads the whole data directory of a hub that is not running, and says everything that
is not as the hub has written it: damaged or missing parts of the journal; packets
whose content, statement and signature do not agree; gaps in the sequences, an id that
stands for two packets, deliveries that were done with but never there; an index that is
another than the journal makes; a ledger that is not the one under the last signed
checkpoint. Nothing is changed. Memory is bounded however much is stored.

To check a hub while it runs, make a backup and check that: lienthong backup --help
That a directory is a copy which the original has gone on from cannot be seen in it:
declare it before a hub is started on it: lienthong restore --help

With --quick, what is in the packets and the ledger is left out: signatures, hashes of
contents, statements. The checksums of the journal are verified all the same; of the
contents of large packets it is seen that each is there, with all of its length.

With --output json every line is an object. One with type finding for each:

  rule          stable identifier: journal.damaged, packet.content, index.differs, ...
  notice        true where it is no problem, and there is nothing to do
  file, offset  in the data directory, where it is about a place in a file
  position      in the journal, where it is about a part of that
  sequence      of the packet, where it is about one
  what          what it is, in English
  message, message_vi, message_en  what the rule says, and what to do

and at the end one with type summary: checked (false: not all could be), quick
(true: signatures, contents, statements and ledger were left out), packets, removed
(of these, by retention: their receipts are kept), last (sequence), waiting, dead, covered
(by the ledger's checkpoint), epochs (where the hub went on from a copy: last sequence
before, next, at, copied), bytes (read, with those of large contents), seconds,
megabytes_per_second, problems, notices, and error, where not all could be checked: why.

Exit codes: 0 everything is as it must be; 1 there are problems; 2 not all could be
checked, such as while a hub has the directory open, or the command line is wrong.`,
		Example: `  lienthong fsck --data /var/lib/lienthong
  lienthong fsck --data /var/lib/lienthong --quick --output json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if options.data == "" {
				return usage("--data DIR is required: the data directory to check")
			}
			if options.output != formatText && options.output != formatJSON {
				return usage("--output %q: text and json are allowed", options.output)
			}
			say, err := speechOf(options.lang)
			if err != nil {
				return err
			}
			return newFsck(cmd, options, say).run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&options.data, "data", "", "the hub's data directory")
	flags.BoolVar(&options.quick, "quick", false, "leave out signatures, hashes of contents, statements and the ledger")
	flags.StringVar(&options.output, "output", formatText, "how findings are told: text or json")
	langFlag(cmd, &options.lang, "language of what is printed")
	offer(cmd, "output", []string{formatText, formatJSON})
	return cmd
}

// fsck is a check under way, and what has been said of it.
type fsck struct {
	options           fsckOptions
	say               speech
	out               io.Writer
	started           time.Time
	problems, notices int
	failed            error // of writing
	details           details

	mu   sync.Mutex // what is read and what is found is told by two goroutines
	line *progress  // under mu
}

func newFsck(cmd *cobra.Command, options fsckOptions, say speech) *fsck {
	line := &progress{say: say, doing: say.of("Đang kiểm tra", "Checking"), unit: " MB", started: time.Now()}
	if f, ok := cmd.ErrOrStderr().(*os.File); ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd())) {
		line.terminal = f
	}
	return &fsck{options: options, say: say, line: line, out: line.above(cmd.OutOrStdout()), started: line.started, details: newDetails()}
}

func (f *fsck) run(cmd *cobra.Command) error {
	checked, err := hub.Check(cmd.Context(), f.options.data, hub.CheckOptions{Quick: f.options.quick, Progress: f.advance}, f.found)
	f.line.hide()
	switch {
	case errors.Is(err, hub.ErrInUse):
		err = incomplete(fmt.Sprintf(f.say.of("trục liên thông đang chạy trên %s: chưa kiểm tra gì; hãy dừng trục trước, hoặc kiểm tra một bản sao lưu: lienthong backup --data %[1]s --to DIR",
			"a hub runs on %s: nothing was checked; stop it first, or check a backup: lienthong backup --data %[1]s --to DIR"), f.options.data))
	case errors.Is(err, fs.ErrNotExist):
		err = incomplete(fmt.Sprintf(f.say.of("%s không phải thư mục dữ liệu của trục liên thông: không có kho lưu trữ trong đó", "%s is no data directory of a hub: there is no store in it"), f.options.data))
	case err != nil:
		err = fmt.Errorf("%w: %w", err, errIncomplete)
	}
	if err == nil || f.options.output == formatJSON {
		f.sum(checked, err)
	}
	switch {
	case err != nil && f.options.output == formatJSON && f.failed == nil:
		return errIncomplete // the summary has said it
	case err != nil:
		return err
	case f.failed != nil:
		return fmt.Errorf("write: %w: %w", f.failed, errIncomplete)
	case f.problems > 0:
		return errRefused
	}
	return nil
}

// advance draws how far the check is.
func (f *fsck) advance(done, all int64) {
	const mega = 1_000_000
	f.mu.Lock()
	defer f.mu.Unlock()
	f.line.files, f.line.total, f.line.done, f.line.all, f.line.advanced = int(done/mega), int(all/mega), done, all, time.Now()
	f.line.tick()
}

// toldFinding is a finding as --output json tells it.
type toldFinding struct {
	Type      string  `json:"type"`
	Rule      string  `json:"rule"`
	Notice    bool    `json:"notice"`
	File      string  `json:"file,omitempty"`
	Offset    int64   `json:"offset,omitempty"`
	Position  *uint64 `json:"position,omitempty"`
	Sequence  uint64  `json:"sequence,omitempty"`
	What      string  `json:"what,omitempty"`
	Message   string  `json:"message"`
	MessageVI string  `json:"message_vi"`
	MessageEN string  `json:"message_en"`
}

func (f *fsck) found(found hub.Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kind := f.say.of("lỗi", "error")
	if found.Notice {
		f.notices++
		kind = f.say.of("ghi chú", "notice")
	} else {
		f.problems++
	}
	vi, en := explain(found.Rule)
	if f.options.output == formatJSON {
		told := toldFinding{
			Type: "finding", Rule: string(found.Rule), Notice: found.Notice, File: found.File, Offset: found.Offset,
			Sequence: found.Sequence, What: found.What, Message: f.say.of(vi, en), MessageVI: vi, MessageEN: en,
		}
		if at := uint64(found.Position); found.Offset > 0 || at > 0 {
			told.Position = &at
		}
		f.write(told)
		return
	}
	line := kind + ": "
	if found.File != "" {
		line = found.File + ": " + line
	}
	if found.Sequence > 0 {
		line += fmt.Sprintf(f.say.of("gói tin %d: ", "packet %d: "), found.Sequence)
	}
	line += f.say.of(vi, en)
	where := ""
	switch {
	case found.Offset > 0:
		where = fmt.Sprintf(f.say.of("vị trí %d trong tệp", "at offset %d"), found.Offset)
	case found.Position > 0:
		where = fmt.Sprintf(f.say.of("vị trí %d trong nhật ký", "at %d of the journal"), found.Position)
	}
	what := found.What
	if f.say == vietnamese {
		what = f.details.of(what)
	}
	for _, more := range []string{what, where} {
		if more != "" {
			line += "; " + more
		}
	}
	f.println(fmt.Sprintf("%s (%s)", printable(line), found.Rule))
}

func (f *fsck) println(line string) {
	if _, err := fmt.Fprintln(f.out, line); err != nil {
		f.failed = err
	}
}

func (f *fsck) write(told any) {
	if err := json.NewEncoder(f.out).Encode(told); err != nil {
		f.failed = err
	}
}

// toldSummary is what --output json ends with.
type toldSummary struct {
	Type    string      `json:"type"`
	Checked bool        `json:"checked"`
	Quick   bool        `json:"quick"`
	Packets uint64      `json:"packets"`
	Removed uint64      `json:"removed"`
	Last    uint64      `json:"last"`
	Waiting uint64      `json:"waiting"`
	Dead    uint64      `json:"dead"`
	Covered uint64      `json:"covered"`
	Epochs  []toldEpoch `json:"epochs"`
	Bytes   int64       `json:"bytes"`
	Seconds float64     `json:"seconds"`
	Rate    float64     `json:"megabytes_per_second"`

	Problems int `json:"problems"`
	Notices  int `json:"notices"`

	Error string `json:"error,omitempty"`
}

// sum ends what was said; failed says why not all could be checked.
func (f *fsck) sum(checked hub.Checked, failed error) {
	seconds := time.Since(f.started).Seconds()
	mega := float64(checked.Bytes) / 1e6
	if f.options.output == formatJSON {
		why := ""
		if failed != nil {
			why = failed.Error()
		}
		f.write(toldSummary{
			Type: "summary", Checked: failed == nil, Quick: f.options.quick, Error: why, Packets: checked.Packets, Removed: checked.Removed, Last: checked.Last, Waiting: checked.Waiting, Dead: checked.Dead,
			Covered: checked.Covered, Epochs: epochsOf(checked), Bytes: checked.Bytes, Seconds: seconds, Rate: mega / seconds,
			Problems: f.problems, Notices: f.notices,
		})
		return
	}
	for _, e := range checked.Epochs {
		f.println(f.epoch(e))
	}
	verdict := f.say.of("mọi thứ đều đúng", "everything is as it must be")
	if f.options.quick {
		verdict = f.say.of("những gì đã kiểm tra đều đúng", "what was checked is as it must be")
	}
	if f.problems > 0 {
		verdict = f.say.sprintf(f.say.of("%d lỗi", "problems: %d"), f.problems)
	}
	if f.options.quick {
		verdict += f.say.of("; chưa kiểm tra (--quick): chữ ký, mã băm của nội dung, bản kê, sổ cái", "; not checked (--quick): signatures, hashes of contents, statements, the ledger")
	}
	removed := ""
	if checked.Removed > 0 {
		removed = f.say.sprintf(f.say.of(" (%d đã hết hạn lưu)", " (%d not kept any more)"), checked.Removed)
	}
	f.println(f.say.sprintf(f.say.of(
		"gói tin: %d%s, số thứ tự cuối: %s; lượt giao đang chờ: %d, không giao được: %d; sổ cái ký đến %d; đã đọc %.1f MB trong %s, %.0f MB/s; %s",
		"packets: %d%s, last sequence: %s; deliveries waiting: %d, dead letters: %d; ledger signed up to %d; read %.1f MB in %s, %.0f MB/s; %s"),
		checked.Packets, removed, strconv.FormatUint(checked.Last, 10), checked.Waiting, checked.Dead, checked.Covered, mega, f.say.duration(seconds), mega/seconds, verdict))
}
