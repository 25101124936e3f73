package hub_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// used is what this process, hub and load together, has used up to a moment.
type used struct {
	at      time.Time
	cpu     time.Duration
	written int64 // bytes that files were made to hold, cached ones too
}

func usedNow() (used, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return used{}, fmt.Errorf("processor time: %w", err)
	}
	written, err := processFigure("self", "io", "write_bytes:")
	if err != nil {
		return used{}, err
	}
	return used{at: time.Now(), cpu: time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), written: written}, nil
}

// processFigure returns the number behind a name in a file of a process in /proc.
func processFigure(process, file, name string) (int64, error) {
	path := filepath.Join("/proc", process, file)
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("figures of a process: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			return strconv.ParseInt(fields[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}

// figures are what a load has measured.
type figures struct {
	packets    int // accepted
	deliveries int
	groups     int // commit groups that the receipts tell of
	elapsed    time.Duration
	cpu        time.Duration
	written    int64
	// From when each was due until its receipt, and until the handler of a recipient
	// had it; sorted.
	accepted, delivered []time.Duration
}

// rate is packets per second, from the first that is sent to the last
// acknowledgement that is confirmed.
func (f *figures) rate() float64 { return float64(f.packets) / f.elapsed.Seconds() }

// report writes the figures as those of a benchmark.
func (f *figures) report(b *testing.B) {
	b.Helper()
	b.ReportMetric(f.rate(), "packets/s")
	b.ReportMetric(float64(f.deliveries)/f.elapsed.Seconds(), "deliveries/s")
	b.ReportMetric(float64(f.groups)/f.elapsed.Seconds(), "groups/s")
	f.reportCost(b)
	reportLatency(b, "accept", f.accepted)
	reportLatency(b, "deliver", f.delivered)
}

// reportCost writes what one packet costs.
func (f *figures) reportCost(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(f.cpu.Microseconds())/float64(f.packets), "cpu-us/packet")
	b.ReportMetric(float64(f.written)/float64(f.packets), "written-B/packet")
}

func reportLatency(b *testing.B, name string, sorted []time.Duration) {
	b.Helper()
	for _, p := range []float64{50, 99, 99.9} {
		b.ReportMetric(milliseconds(percentile(sorted, p)), fmt.Sprintf("%s-p%v-ms", name, p))
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// percentile returns the shortest duration that so many percent do not exceed.
func percentile(sorted []time.Duration, percent float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(float64(len(sorted))*percent/100), len(sorted)-1)]
}

// merged returns all durations of several slices, sorted.
func merged(parts [][]time.Duration) []time.Duration {
	all := slices.Concat(parts...)
	slices.Sort(all)
	return all
}

// fromEnvironment returns a number that the environment may set.
func fromEnvironment(b *testing.B, name string, fallback int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 {
		b.Fatalf("%s=%s: a number from 1 is expected", name, text)
	}
	return number
}
