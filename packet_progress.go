package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

const (
	// progressDelay is how long a run may take before it shows how far it is.
	progressDelay = 500 * time.Millisecond
	// standstill is how long nothing may be done before nothing can be foretold.
	standstill = 2 * time.Second
)

const (
	clearLine = "\r\x1b[K"
	barWidth  = 30
)

// progress is a line on a terminal that says how far a run is. It is there only
// while nothing else is written, and not at all where standard error is no
// terminal. One goroutine uses it.
type progress struct {
	terminal          *os.File // nil: none is shown
	say               speech
	doing             string
	started, advanced time.Time
	files, total      int
	unit              string // of these, where they are not files
	done, all         int64  // shares
	limit             int64  // largest packet in bytes
	shown             bool
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

// start begins to measure a run over packets of at most limit bytes. One file has no
// progress.
func (p *progress) start(inputs []input, limit int64) {
	if len(inputs) < 2 {
		p.terminal = nil
	}
	p.total, p.limit, p.started = len(inputs), limit, time.Now()
	for _, in := range inputs {
		p.all += p.share(in)
	}
}

// share is what a file adds to the whole: what is to be read of it, and something
// for itself.
func (p *progress) share(in input) int64 { return in.toRead(p.limit)/4096 + 1 }

// advance counts an input as done.
func (p *progress) advance(in input) {
	p.files++
	p.done += p.share(in)
	p.advanced = time.Now()
}

// tick draws the line anew, once the run is a long one.
func (p *progress) tick() {
	if p.terminal == nil || time.Since(p.started) < progressDelay {
		return
	}
	line := p.line(time.Now())
	if line == "" {
		p.hide()
		return
	}
	p.shown = true
	_, _ = io.WriteString(p.terminal, clearLine+line) // a terminal that is gone does not end the run
}

// line says how far the run is: with a bar where the terminal is wide enough for
// one, for a line that is broken could not be taken away. It is empty where there is
// no room, or where nobody knows how much there is.
func (p *progress) line(now time.Time) string {
	width, _, err := term.GetSize(int(p.terminal.Fd()))
	if err != nil {
		return ""
	}
	counts := p.doing + p.say.sprintf(" %d/%d", p.files, p.total) + p.unit
	line := fmt.Sprintf("%s %3d%% [%s]", counts, 100*p.done/p.all, p.bar())
	if seconds := int(p.left(now).Seconds()); seconds > 0 {
		line += p.say.sprintf(p.say.of(" còn %d:%02d", " %d:%02d left"), seconds/60, seconds%60)
	}
	switch {
	case width > utf8.RuneCountInString(line):
		return line
	case width > utf8.RuneCountInString(counts):
		return counts
	}
	return ""
}

// bar draws what is done of the whole.
func (p *progress) bar() string {
	done := int(barWidth * p.done / p.all)
	bar := strings.Repeat("=", done)
	if done > 0 && done < barWidth {
		bar = bar[1:] + ">"
	}
	return bar + strings.Repeat(" ", barWidth-done)
}

// left foretells how long the run still takes, by how long it took up to its last
// advance. It shrinks until the next one, and is nothing while the run stands still.
func (p *progress) left(now time.Time) time.Duration {
	since := now.Sub(p.advanced)
	if p.done == 0 || since > standstill {
		return 0
	}
	perShare := float64(p.advanced.Sub(p.started)) / float64(p.done)
	return max(0, time.Duration(perShare*float64(p.all-p.done))-since)
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
