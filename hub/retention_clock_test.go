package hub_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
)

// What cannot be removed, or does not belong there, keeps nothing else.
func TestAForeignDirectoryAmongTheNotesKeepsNothingElse(t *testing.T) {
	t.Parallel()
	k := newKeeping(t)
	if err := os.Mkdir(filepath.Join(k.hub.DataDir, "blobs", "retired", "old"), 0o700); err != nil {
		t.Fatal(err)
	}
	k.pass(2 * time.Hour)
	k.wantKept()
}

// said tells of records of a log that contain a text.
type said struct {
	slog.Handler
	text string
	told chan struct{}
}

func (s said) Enabled(context.Context, slog.Level) bool { return true }

func (s said) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, s.text) {
		s.told <- struct{}{}
	}
	return nil
}

// A start with a clock that is years ahead ends nothing that is to be kept for years.
func TestAClockThatIsYearsAheadEndsNothing(t *testing.T) {
	t.Parallel()
	k := newKeeping(t)
	placed(t, k.province, waiting) // all are covered by a checkpoint: they could go
	told := make(chan struct{}, 100)
	again := func(passes time.Duration) {
		dir, address := k.hub.DataDir, k.hub.GRPCAddress()
		k.hub.Stop()
		k.passed.Add(int64(passes))
		k.hub = hubtest.Start(t, k.config, func(c *hub.Config) {
			c.DataDir, c.GRPC = dir, address
			c.Retention = hub.Retention{"dossier": {For: hub.Period(1825 * 24 * time.Hour)}}
			c.Logger = slog.New(said{slog.DiscardHandler, "clock is far ahead", told})
		})
	}
	const nine = 9 * 365 * 24 * time.Hour
	again(nine)
	select {
	case <-told:
	case <-time.After(20 * time.Second):
		t.Error("nothing was said of a clock that is nine years ahead")
	}
	again(-nine)
	if _, err := k.portal.GetPacket(t.Context(), large, exchangev1.Format_FORMAT_UNSPECIFIED); err != nil || len(k.contents()) == 0 {
		t.Errorf("after one start with the clock nine years ahead: %v, contents %v; it was to be kept for five", err, k.contents())
	}
	if len(told) > 0 {
		t.Errorf("it was said %d times more; want once", len(told))
	}
}
