package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
)

// board counts what nodes have done and knows what each still has to receive.
type board struct {
	mu       sync.Mutex
	order    []string
	rows     map[string]*boardRow
	expected map[transfer]bool
	received map[transfer]int
	acked    map[transfer]int
	changed  chan struct{}
}

type boardRow struct{ submitted, refused, received, acknowledged, answered int }

// transfer is one packet on its way to one node.
type transfer struct {
	node     string
	sequence uint64
}

func newBoard() *board {
	return &board{
		rows: map[string]*boardRow{}, expected: map[transfer]bool{},
		received: map[transfer]int{}, acked: map[transfer]int{}, changed: make(chan struct{}),
	}
}

// add gives a node its row.
func (b *board) add(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.order = append(b.order, node)
	b.rows[node] = &boardRow{}
}

// change alters the board and wakes who waits for it.
func (b *board) change(alter func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	alter()
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *board) submitted(node string, sequence uint64, recipients []string) {
	b.change(func() {
		b.rows[node].submitted++
		for _, recipient := range recipients {
			b.expected[transfer{recipient, sequence}] = true
		}
	})
}

func (b *board) refusedOne(node string) { b.change(func() { b.rows[node].refused++ }) }

func (b *board) answeredOne(node string) { b.change(func() { b.rows[node].answered++ }) }

func (b *board) receivedOne(node string, sequence uint64) {
	b.change(func() {
		b.rows[node].received++
		b.received[transfer{node, sequence}]++
	})
}

func (b *board) acknowledged(node string, sequences []uint64) {
	b.change(func() {
		for _, sequence := range sequences {
			b.rows[node].acknowledged++
			b.acked[transfer{node, sequence}]++
		}
	})
}

// settled waits until everything expected was received and acknowledged.
func (b *board) settled(ctx context.Context) error {
	for {
		b.mu.Lock()
		open, changed := b.openLocked(), b.changed
		b.mu.Unlock()
		if len(open) == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%d packets were not delivered and acknowledged, the first is %d for %s",
				len(open), open[0].sequence, open[0].node)
		}
	}
}

func (b *board) openLocked() []transfer {
	var open []transfer
	for t := range b.expected {
		if b.received[t] == 0 || b.acked[t] == 0 {
			open = append(open, t)
		}
	}
	return open
}

// exactlyOnce reports what was received or acknowledged more than once, or
// without being expected.
func (b *board) exactlyOnce() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var wrong []string
	for t, count := range b.received {
		if count != 1 || b.acked[t] != 1 || !b.expected[t] {
			wrong = append(wrong, fmt.Sprintf("%d for %s: received %d times, acknowledged %d times", t.sequence, t.node, count, b.acked[t]))
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return fmt.Errorf("not delivered exactly once: %s", strings.Join(wrong, "; "))
	}
	return nil
}

// table writes the board and returns how many lines it took.
func (b *board) table(w io.Writer) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out strings.Builder
	fmt.Fprintf(&out, "  %-16s %10s %10s %10s %14s %10s\n", "node", "submitted", "refused", "received", "acknowledged", "answered")
	for _, node := range b.order {
		r := b.rows[node]
		fmt.Fprintf(&out, "  %-16s %10d %10d %10d %14d %10d\n", node, r.submitted, r.refused, r.received, r.acknowledged, r.answered)
	}
	_, _ = io.WriteString(w, out.String()) // a terminal that has gone needs no table
	return len(b.order) + 1
}

// show keeps a table on a terminal up to date until ctx ends, and leaves its last
// state there. Anything else gets the last state only.
func (b *board) show(ctx context.Context, w io.Writer) {
	if !isTerminal(w) {
		<-ctx.Done()
		b.table(w)
		return
	}
	lines := b.table(w)
	for live := true; live; {
		b.mu.Lock()
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			live = false
		}
		_, _ = fmt.Fprintf(w, "\x1b[%dA", lines)
		b.table(w)
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
