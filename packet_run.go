package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// packetRun is one run over packets: it tells their outcomes, shows how far it is,
// counts, and sums up.
type packetRun struct {
	reporter reporter
	progress *progress
	content  io.Writer // of conversions that are not for files
	size     bounds
	settle   func(*outcome)
	tally    tally
	quiet    bool // nothing to sum up
}

// reportsTo is where a run tells what it found: findings of packets, and
// troubles with files and the summary.
type reportsTo struct{ findings, troubles io.Writer }

func newPacketRun(cmd *cobra.Command, options packetOptions, to reportsTo) (*packetRun, error) {
	say, err := speechOf(options.lang)
	if err != nil {
		return nil, err
	}
	bar := newProgress(cmd.ErrOrStderr(), say, options.converts)
	r, err := options.reporter(reportsTo{bar.above(to.findings), bar.above(to.troubles)})
	if err != nil {
		return nil, err
	}
	return &packetRun{
		reporter: r, progress: bar, content: bar.above(cmd.OutOrStdout()), size: options.bounds(), settle: func(*outcome) {},
	}, nil
}

// over runs work over the inputs. It returns errRefused or errIncomplete where
// all has been said.
func (r *packetRun) over(ctx context.Context, inputs []input, work func(context.Context, input) (*outcome, error)) error {
	started := time.Now()
	r.progress.start(inputs, r.size.packet)
	err := judgeInOrder(ctx, inputs, r.size, work, r)
	r.progress.hide()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errIncomplete, err)
	}
	r.tally.Complete = err == nil
	r.tally.Found = len(inputs)
	r.tally.took(time.Since(started))
	if !r.quiet || err != nil {
		err = errors.Join(err, r.reporter.summary(&r.tally))
	}
	switch {
	case err != nil, r.tally.Unreadable+r.tally.Unwritten > 0:
		return errIncomplete
	case r.tally.Refused > 0:
		return errRefused
	}
	return nil
}

// outcome settles one, counts it, and tells it.
func (r *packetRun) outcome(o *outcome) error {
	r.settle(o)
	r.tally.add(o)
	r.progress.advance(o.input)
	if err := r.reporter.outcome(o); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if len(o.content) == 0 {
		return nil
	}
	if _, err := r.content.Write(o.content); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func (r *packetRun) tick() { r.progress.tick() }

// tally counts outcomes; as JSON it is the summary.
type tally struct {
	Complete             bool    `json:"complete"`
	Found                int     `json:"-"`
	Files                int     `json:"files"`
	Accepted             int     `json:"accepted"`
	AcceptedWithWarnings int     `json:"accepted_with_warnings"`
	Refused              int     `json:"refused"`
	Unreadable           int     `json:"unreadable"`
	Unwritten            int     `json:"unwritten"`
	Skipped              int     `json:"skipped"`
	Errors               int     `json:"errors"`
	Warnings             int     `json:"warnings"`
	Bytes                int64   `json:"bytes"`
	Seconds              float64 `json:"seconds"`
	MegabytesPerSecond   float64 `json:"megabytes_per_second"`
}

func (t *tally) add(o *outcome) {
	t.Files++
	t.Bytes += o.bytes
	warnings := 0
	for _, f := range o.findings {
		if f.GetSeverity() == packetv1.Severity_SEVERITY_WARNING {
			warnings++
		}
	}
	t.Warnings += warnings
	t.Errors += o.violations
	switch o.result {
	case accepted:
		t.Accepted++
		if warnings > 0 {
			t.AcceptedWithWarnings++
		}
	case refused:
		t.Refused++
	case unreadFile:
		t.Unreadable++
	case unwritten:
		t.Unwritten++
	case skipped:
		t.Skipped++
	}
}

func (t *tally) took(d time.Duration) {
	t.Seconds = d.Round(time.Microsecond).Seconds()
	if d > 0 {
		t.MegabytesPerSecond = math.Round(float64(t.Bytes)/1e3/d.Seconds()) / 1e3
	}
}
