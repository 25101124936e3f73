package main

import (
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progressDelay is how long a run may take before it shows how far it is.
const progressDelay = 500 * time.Millisecond

const (
	clearLine = "\r\x1b[K"
	barWidth  = 30
)

// progress is a line on a terminal that says how far a run is. It is there only
// while nothing else is written, and not at all where standard error is no
// terminal. One goroutine uses it.
type progress struct {
	terminal *os.File // nil: none is shown
	say      speech
	doing    string
	bar      *progressbar.ProgressBar
	started  time.Time
	files    int
	total    int
	shown    bool
}

// newProgress returns what shows progress on w, if that is a terminal.
func newProgress(w io.Writer, say speech, converts bool) *progress {
	p := &progress{say: say, doing: say.of("Đang kiểm tra", "Checking")}
	if converts {
		p.doing = say.of("Đang chuyển đổi", "Converting")
	}
	if f, ok := w.(*os.File); ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd())) {
		p.terminal = f
	}
	return p
}

// start begins to measure a run. One file has no progress.
func (p *progress) start(inputs []input) {
	if len(inputs) < 2 {
		p.terminal = nil
	}
	if p.terminal == nil {
		return
	}
	var total int64
	for _, in := range inputs {
		total += share(in)
	}
	p.total, p.started = len(inputs), time.Now()
	p.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(io.Discard), // what it draws is written by line
		progressbar.OptionThrottle(0),
		progressbar.OptionSetWidth(barWidth),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetPredictTime(false),
	)
}

// share is what a file adds to the whole: its size, and something for itself.
func share(in input) int64 { return in.size/4096 + 1 }

// advance counts an input as done.
func (p *progress) advance(in input) {
	if p.terminal != nil {
		p.files++
		_ = p.bar.Add64(share(in)) // into io.Discard
	}
}

// tick draws the line anew, once the run is a long one.
func (p *progress) tick() {
	if p.terminal == nil || time.Since(p.started) < progressDelay {
		return
	}
	p.shown = true
	_, _ = io.WriteString(p.terminal, clearLine+p.line()) // a terminal that is gone does not end the run
}

// line says how far the run is: with a bar where the terminal is wide enough for
// one, for a line that is broken could not be taken away.
func (p *progress) line() string {
	counts := p.doing + p.say.sprintf(" %d/%d", p.files, p.total)
	p.bar.Describe(counts)
	line := strings.TrimSpace(p.bar.String())
	if left := p.bar.State().SecondsLeft; left >= 1 {
		seconds := int(left)
		line += p.say.sprintf(p.say.of(" còn %d:%02d", " %d:%02d left"), seconds/60, seconds%60)
	}
	width, _, err := term.GetSize(int(p.terminal.Fd()))
	switch {
	case err != nil || width > utf8.RuneCountInString(line):
		return line
	case width > utf8.RuneCountInString(counts):
		return counts
	}
	return ""
}

// hide takes the line away, where it is shown.
func (p *progress) hide() {
	if p.shown {
		p.shown = false
		_, _ = io.WriteString(p.terminal, clearLine)
	}
}

// above returns a writer for what stands above the line: it is hidden before
// anything is written.
func (p *progress) above(w io.Writer) io.Writer { return writerAbove{p, w} }

type writerAbove struct {
	line *progress
	io.Writer
}

func (w writerAbove) Write(b []byte) (int, error) {
	w.line.hide()
	return w.Writer.Write(b)
}
