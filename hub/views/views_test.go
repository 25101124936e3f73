package views_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
	"github.com/lienthong/lienthong/hub/views"
	"github.com/lienthong/lienthong/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestViewsGoOnWhereTheyLeftOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBench(t, newCodec(t))
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.store, err = pebblestore.Open(dir, pebblestore.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.close() })
	b.views = b.newViews()
	b.start()
	b.accept("H41", synced(2))
	b.wantStatus(code, 2)
	b.stop()
	b.accept("H41", progressed(6, 9, 4)) // while no views run
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	if b.store, err = pebblestore.Open(dir, pebblestore.Options{}); err != nil {
		t.Fatal(err)
	}
	b.views = b.newViews()
	if answer, err := b.views.GetDossier(t.Context(), &viewv1.GetDossierRequest{Code: code}); err != nil || answer.GetDossier().GetStatus() != 2 {
		t.Errorf("before they run, views show %v, %v; status 2 was expected", answer, err)
	}
	counting := &countingDecoder{Decoder: b.codec}
	b.views, err = views.New(views.Config{Store: b.store, Codec: counting})
	if err != nil {
		t.Fatal(err)
	}
	b.start()
	b.wantStatus(code, 4)
	b.stop()
	if counting.packets != 1 {
		t.Errorf("%d packets were read after the restart, the one that was new was expected", counting.packets)
	}
}

// countingDecoder counts what is read; it is looked at after the views ended.
type countingDecoder struct {
	views.Decoder
	packets int
}

func (d *countingDecoder) Decode(typ packetv1.PacketType, format exchangev1.Format, content []byte) (*packet.Packet, error) {
	d.packets++
	return d.Decoder.Decode(typ, format, content)
}

func TestWhatCannotBeReadBlocksNothing(t *testing.T) {
	t.Parallel()
	const secret = "Nguyễn Bí Mật"
	dossier, progress := packetv1.PacketType_PACKET_TYPE_DOSSIER, packetv1.PacketType_PACKET_TYPE_PROGRESS
	xml := exchangev1.Format_FORMAT_XML
	b := follow(t)
	b.acceptRecord(func(uint64) []byte { return []byte(secret) })
	b.acceptContent("H41", dossier, xml, []byte("<MSyncDocument><CitizenName>"+secret))
	b.acceptContent("H41", 99, xml, []byte("<MSyncDocument/>"))
	b.acceptContent("nobody", progress, xml, []byte("<MDocumentTraces/>"))
	b.accept("H41", synced(2, func(m *packetv1.MSyncDocument) { m.DocCode = "H41\u202e-1" }))
	b.accept("H41", synced(2))
	b.wantStatus(code, 2)
	b.restart()
	b.wantStatus(code, 2)
	b.stop()
	if lines := strings.Count(b.log.String(), "\n"); lines != 5 {
		t.Errorf("%d lines are logged, one for each of 5 packets was expected:\n%s", lines, b.log)
	}
	if strings.Contains(b.log.String(), secret) || strings.Contains(b.log.String(), "Bí") {
		t.Errorf("the log holds content:\n%s", b.log)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	b := follow(t)
	dossier := func(code string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := b.views.GetDossier(ctx, &viewv1.GetDossierRequest{Code: code})
			return err
		}
	}
	for name, test := range map[string]struct {
		call   func(context.Context) error
		code   codes.Code
		reason string
	}{
		"a dossier nobody spoke of": {dossier("H41-240101-0001"), codes.NotFound, "dossier_unknown"},
		"no code":                   {dossier(""), codes.InvalidArgument, "dossier_code_invalid"},
		"blanks for a code":         {dossier("  \t"), codes.InvalidArgument, "dossier_code_invalid"},
		"a code with a zero byte":   {dossier("H41\x00"), codes.InvalidArgument, "dossier_code_invalid"},
		"a code that is not UTF-8":  {dossier("H41\xff"), codes.InvalidArgument, "dossier_code_invalid"},
		"a code of 101 characters":  {dossier(strings.Repeat("H", 101)), codes.InvalidArgument, "dossier_code_invalid"},
		"an unknown one of 100":     {dossier(strings.Repeat("ế", 100)), codes.NotFound, "dossier_unknown"},
		"statistics of what is no one": {func(ctx context.Context) error {
			_, err := b.views.ListStatistics(ctx, &viewv1.ListStatisticsRequest{Organisation: "Nghệ An"})
			return err
		}, codes.InvalidArgument, "organisation_invalid"},
		"surveys of what is no one": {func(ctx context.Context) error {
			_, err := b.views.ListSurveys(ctx, &viewv1.ListSurveysRequest{Organisation: "H41/"})
			return err
		}, codes.InvalidArgument, "organisation_invalid"},
		"a caller that left": {func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return dossier(code)(ctx)
		}, codes.Canceled, "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.call(t.Context())
			var refused *fault.Error
			if !errors.As(err, &refused) || refused.Code != test.code || refused.Reason != test.reason {
				t.Fatalf("error is %v; %s %s was expected", err, test.code, test.reason)
			}
			if refused.VI == "" || refused.EN == "" || status.Code(err) != test.code {
				t.Errorf("error %+v lacks a text or its gRPC status", refused)
			}
		})
	}
}

func TestRunEndsWhereTheStoreIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t, newCodec(t))
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.views.Run(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("run over a closed store ended with %v, ErrClosed was expected", err)
	}
}

// failingOnce fails the first read of the log.
type failingOnce struct {
	*pebblestore.Store
	failed bool
}

func (s *failingOnce) AcceptedAfter(ctx context.Context, after uint64, maxEntries, maxBytes int) ([]store.Entry, error) {
	if !s.failed {
		s.failed = true
		return nil, errors.New("the disk is away for a moment")
	}
	return s.Store.AcceptedAfter(ctx, after, maxEntries, maxBytes)
}

func TestRunTriesAgainWhereTheStoreFailed(t *testing.T) {
	t.Parallel()
	b := newBench(t, newCodec(t))
	t.Cleanup(b.close)
	b.accept("H41", synced(2))
	var err error
	if b.views, err = views.New(views.Config{Store: &failingOnce{Store: b.store}, Codec: b.codec, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.wantStatus(code, 2)
}

func TestWaitForEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := follow(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.views.WaitFor(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for what never came ended with %v, context.Canceled was expected", err)
	}
	if err := b.views.WaitFor(t.Context(), 0); err != nil {
		t.Errorf("waiting for nothing: %v", err)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	if _, err := views.New(views.Config{}); err == nil {
		t.Error("views without store and codec were made")
	}
}
