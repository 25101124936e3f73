package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/lienthong/lienthong/hub/admin"
	"github.com/lienthong/lienthong/nodes"
)

// maxMessage is room for a file, and an envelope around it.
const maxMessage = maxFile + 1<<20

// nodeConfig is how commands are a node. How large a packet may be is for the hub to
// say, not for them: whatever can be read from a file is sent.
func (t teller) nodeConfig() nodes.Config {
	return nodes.Config{MaxMessageBytes: maxMessage, Logger: slog.New(&waitingHandler{out: t.cmd.ErrOrStderr(), say: t.say})}
}

// waitingHandler says once that a command waits for the hub: it ends with what became
// of that.
type waitingHandler struct {
	out  io.Writer
	say  speech
	said sync.Once
}

// Enabled implements slog.Handler.
func (h *waitingHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

// Handle implements slog.Handler.
func (h *waitingHandler) Handle(_ context.Context, record slog.Record) error {
	why := ""
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			why = a.Value.String()
		}
		return why == ""
	})
	if strings.Contains(why, context.Canceled.Error()) || strings.HasSuffix(why, "operation was canceled") {
		return nil // the command is done, and did not need the connection any more
	}
	if trouble, is := admin.TroubleOf(why); is {
		why = h.say.of(trouble.VI, trouble.EN)
	}
	h.said.Do(func() {
		fmt.Fprintf(h.out, h.say.of("chưa kết nối được với trục liên thông, đang thử lại: %s\n", "the hub cannot be reached yet, trying again: %s\n"), printable(why)) //nolint:errcheck // terminal output
	})
	return nil
}

// WithAttrs implements slog.Handler.
func (h *waitingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h *waitingHandler) WithGroup(string) slog.Handler { return h }
