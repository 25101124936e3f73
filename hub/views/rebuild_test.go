package views_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/store"
)

// said is one packet of a drawn log.
type said struct {
	speaker string
	message proto.Message
}

func drawLog(t *rapid.T) []said {
	codes := []string{"H41-240101-1", "G22.01-240101-2", "HS-3"}
	speakers := []string{"H41", "H41.04", "G22", "G22.01"}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) said {
		speaker := rapid.SampledFrom(speakers).Draw(t, "speaker")
		inCharge := speaker[:3]
		code := rapid.SampledFrom(codes).Draw(t, "code")
		status := rapid.Int32Range(0, 11).Draw(t, "status")
		d := rapid.IntRange(5, 12).Draw(t, "day")
		switch rapid.IntRange(0, 5).Draw(t, "type") {
		case 0:
			m := counted(2024, rapid.Int32Range(0, 3).Draw(t, "month"), rapid.Int32Range(0, 100).Draw(t, "in time"))
			m.OrganizationInchargeIdlevel1 = inCharge
			return said{speaker, m}
		case 1:
			m := voted(d, rapid.Int32Range(0, 100).Draw(t, "votes"))
			m.OrganizationInchargeIdLevel1 = inCharge
			return said{speaker, m}
		case 2, 3:
			return said{speaker, synced(status, func(m *packetv1.MSyncDocument) {
				m.DocCode, m.OrganInchargeIdLevel1 = code, inCharge
				if rapid.Bool().Draw(t, "finished") {
					m.FinishedDate = at(d, 9)
				}
			})}
		default:
			return said{speaker, progressed(d, 9, status, func(m *packetv1.MDocumentTraces) {
				m.DocCode, m.OrganizationInchargeIdLevel1 = code, inCharge
			})}
		}
	}), 1, 40).Draw(t, "log")
}

// kept returns every view item by kind and key.
func (b *bench) kept() map[string]string {
	b.t.Helper()
	all := map[string]string{}
	for _, kind := range []string{"dossier", "statistic", "survey", "organisation"} {
		items, err := b.store.ViewItems(b.t.Context(), kind, "", 1000)
		if err != nil {
			b.t.Fatalf("items of %s: %v", kind, err)
		}
		for _, i := range items {
			all[kind+" "+i.Key] = fmt.Sprintf("%x", i.Value)
		}
	}
	return all
}

// Views that follow packet by packet, with restarts, some packets handed over as they
// were read and some not, and views that are built from the whole log at once keep the
// same bytes.
func TestRebuiltViewsEqualFollowingViews(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	rapid.Check(t, func(t *rapid.T) {
		log := drawLog(t)
		following, rebuilt := newBench(t, codec), newBench(t, codec)
		defer following.close()
		defer rebuilt.close()
		following.start()
		for _, s := range log {
			if sequence := following.accept(s.speaker, s.message); rapid.Bool().Draw(t, "handed over") {
				following.offer(sequence, s.speaker, s.message)
			}
			rebuilt.accept(s.speaker, s.message)
			switch rapid.IntRange(0, 3).Draw(t, "then") {
			case 0:
				following.settle()
			case 1:
				following.restart()
			}
		}
		following.settle()
		rebuilt.start()
		rebuilt.settle()
		if diff := cmp.Diff(following.kept(), rebuilt.kept()); diff != "" {
			t.Fatalf("what is kept (-following +rebuilt):\n%s", diff)
		}
		if len(rebuilt.kept()) == 0 {
			t.Fatalf("nothing is kept of %d packets", len(log))
		}
	})
}

// Whatever order progress comes in, every step is in the history, and the status
// is the newest one's by time, then by the log.
func TestProgressInAnyOrder(t *testing.T) {
	t.Parallel()
	codec := newCodec(t)
	ongoing := []int32{1, 2, 4, 5, 6, 9, 42}
	rapid.Check(t, func(t *rapid.T) {
		b := newBench(t, codec)
		defer b.close()
		b.start()
		var newest, want int32
		times := map[int32]bool{}
		for _, minute := range rapid.SliceOfN(rapid.Int32Range(0, 30), 1, 15).Draw(t, "minutes") {
			status := rapid.SampledFrom(ongoing).Draw(t, "status")
			b.accept("H41", progressed(6, 9, status, func(m *packetv1.MDocumentTraces) {
				m.DateCreated.Seconds += int64(minute) * 60
				m.UserPosition = fmt.Sprintf("Chuyên viên %d", len(times))
			}))
			if minute >= newest {
				newest, want = minute, status
			}
			times[minute] = true
		}
		d := b.dossier(code)
		if d.GetStatus() != want {
			t.Fatalf("status is %d, %d was expected", d.GetStatus(), want)
		}
		for i, s := range d.GetSteps() {
			delete(times, int32(s.GetAt().AsTime().Sub(day(6, 9)).Minutes()))
			if i > 0 && s.GetAt().AsTime().Before(d.GetSteps()[i-1].GetAt().AsTime()) {
				t.Fatalf("step %d is out of order", i)
			}
		}
		if len(times) > 0 {
			t.Fatalf("steps at minutes %v are missing from the history", times)
		}
	})
}

// A hub of another version left views that this one would not have made.
func TestViewsOfAnotherLayoutAreRebuilt(t *testing.T) {
	t.Parallel()
	b := newBench(t, newCodec(t))
	t.Cleanup(b.close)
	b.accept("H41", synced(2))
	b.accept("H41", counted(2024, 1, 90))
	b.start()
	b.settle()
	want := b.kept()
	b.stop()
	left := []store.Item{{Kind: "layout", Value: []byte("0")}, {Kind: "dossier", Key: code, Value: []byte("what was")}}
	for i := range 50 {
		left = append(left, store.Item{Kind: "survey", Key: fmt.Sprint(i), Value: []byte("what was")})
	}
	if err := b.store.ApplyView(t.Context(), 2, left); err != nil {
		t.Fatal(err)
	}
	b.restart()
	b.accept("H41", counted(2024, 1, 90))
	b.settle()
	if diff := cmp.Diff(want, b.kept()); diff != "" {
		t.Errorf("what is kept after another layout (-want +got):\n%s", diff)
	}
}
