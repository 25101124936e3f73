package registry_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
)

func TestNothingPassesWithoutARight(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.create("G22/portal", portal)
	if got := h.receivers("H41", dossier); got != "" {
		t.Errorf("without a right %q receive from H41", got)
	}
	h.grant("000.00.00.H41", "000.00.00.g22/portal", time.Time{}, dossier, progress)
	for from, want := range map[string]string{
		"H41": "G22/portal", "H41.04": "G22/portal", "H41.04.01.02": "G22/portal", "H4": "", "H411": "", "H42": "", "G22": "",
	} {
		if got := h.receivers(from, dossier); got != want {
			t.Errorf("dossiers of %s go to %q; want %q", from, got, want)
		}
	}
	if got := h.receivers("H41", survey); got != "" {
		t.Errorf("surveys, which no right lets through, go to %q", got)
	}
}

func TestRightsOfAnOrganisationAddUpWithThoseAboveIt(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, id := range []string{"G22/portal", "G01/a", "G02/b"} {
		h.create(id, portal)
	}
	h.grant("H41", "G22/portal", time.Time{}, dossier)
	h.grant("H41.04", "G01/a", time.Time{}, dossier)
	h.grant("H41.04.01", "G02/b", h.clock.Now().Add(time.Hour), dossier)
	for from, want := range map[string]string{
		"H41": "G22/portal", "H41.05": "G22/portal", "H41.04": "G01/a G22/portal", "H41.04.02": "G01/a G22/portal",
		"H41.04.01": "G01/a G02/b G22/portal", "H41.04.01.09": "G01/a G02/b G22/portal",
	} {
		if got := h.receivers(from, dossier); got != want {
			t.Errorf("dossiers of %s go to %q; want %q", from, got, want)
		}
	}
	h.clock.advance(time.Hour)
	if got := h.receivers("H41.04.01", dossier); got != "G01/a G22/portal" {
		t.Errorf("at the end of its right G02/b is among %q", got)
	}
}

// Who receives does not hang on being connected, only on not being revoked.
func TestReceiversByState(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	token := h.create("G22/portal", portal)
	h.grant("H41", "G22/portal", time.Time{}, dossier)
	want := func(state, want string) {
		t.Helper()
		if got := h.receivers("H41", dossier); got != want {
			t.Errorf("when the receiver is %s, %q receive; want %q", state, got, want)
		}
	}
	want("pending", "G22/portal")
	h.join(token)
	want("active", "G22/portal")
	if err := h.setState("G22/portal", suspended); err != nil {
		t.Fatal(err)
	}
	want("suspended", "G22/portal")
	if err := h.setState("G22/portal", revoked); err != nil {
		t.Fatal(err)
	}
	want("revoked", "")
	_, err := h.GrantRight(t.Context(), &registryv1.GrantRightRequest{Right: &registryv1.Right{
		Sender: "H42", Receiver: "G22/portal", Types: []packetv1.PacketType{dossier},
	}})
	wantRefusal(t, err, codes.FailedPrecondition, "node_state")
}

func TestOnlyActiveDatabasesAnswer(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	token := h.create("G05/dkkd", database)
	h.grantRight(&registryv1.Right{Sender: "H41", Receiver: "G05/dkkd", Services: []string{enterprise}})
	want := func(when, from, service, want string, may bool) {
		t.Helper()
		got := strings.Join(h.Answerers(organisation(t, from), service, h.clock.Now()), " ")
		if got != want || h.MayAnswer("G05/dkkd") != may {
			t.Errorf("%s, %s may ask %q, may answer is %v; want %q, %v", when, from, got, h.MayAnswer("G05/dkkd"), want, may)
		}
	}
	want("pending", "H41", enterprise, "", false)
	h.join(token)
	want("active", "H41", enterprise, "G05/dkkd", true)
	want("active", "H41.04", enterprise, "G05/dkkd", true)
	want("active", "H42", enterprise, "", true)
	want("active", "H41", enterprise+"2", "", true)
	if err := h.setState("G05/dkkd", suspended); err != nil {
		t.Fatal(err)
	}
	want("suspended", "H41", enterprise, "", false)

	h.join(h.create("G22/portal", portal))
	if h.MayAnswer("G22/portal") || h.MayAnswer("G22/nowhere") {
		t.Error("a portal, or nobody, may answer questions")
	}
	_, err := h.GrantRight(t.Context(), &registryv1.GrantRightRequest{Right: &registryv1.Right{
		Sender: "H41", Receiver: "G22/portal", Services: []string{enterprise},
	}})
	wantRefusal(t, err, codes.FailedPrecondition, "node_answers_not")
}

func TestGrantingTheSameRightAgainChangesOnlyItsEnd(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.create("G22/portal", portal)
	end := h.clock.Now().Add(time.Hour)
	first := h.grant("H41", "G22/portal", end, progress, dossier)
	for _, until := range []time.Time{end, end.Add(time.Hour), {}} {
		again := h.grant("000.00.00.H41", "G22/portal", until, dossier, progress)
		if again.GetId() != first.GetId() || again.GetExpiresAt() == nil != until.IsZero() {
			t.Errorf("granted again until %v it is %v; want id %s", until, again, first.GetId())
		}
		listed, err := h.ListRights(t.Context(), nil)
		if err != nil || len(listed.GetRights()) != 1 || !proto.Equal(listed.GetRights()[0], again) {
			t.Errorf("listed are %v, %v; want only what was granted last", listed.GetRights(), err)
		}
	}
	if other := h.grant("H41", "G22/portal", end, dossier); other.GetId() == first.GetId() {
		t.Error("a right to other types has the same id")
	}
}

func TestRevokeRight(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.create("G22/portal", portal)
	right := h.grant("H41", "G22/portal", time.Time{}, dossier)
	if _, err := h.RevokeRight(t.Context(), &registryv1.RevokeRightRequest{Id: right.GetId()}); err != nil {
		t.Fatal(err)
	}
	if got := h.receivers("H41", dossier); got != "" {
		t.Errorf("after its right was taken back %q receive", got)
	}
	_, err := h.RevokeRight(t.Context(), &registryv1.RevokeRightRequest{Id: right.GetId()})
	wantRefusal(t, err, codes.NotFound, "right_unknown")
	h.reopen()
	if got := h.receivers("H41", dossier); got != "" {
		t.Errorf("after a restart %q receive again", got)
	}
}

func TestGrantRightNamesEveryViolation(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	past := timestamppb.New(h.clock.Now())
	for name, c := range map[string]struct {
		right  *registryv1.Right
		code   codes.Code
		reason string
		fields string
	}{
		"nothing said": {nil, codes.InvalidArgument, "right_invalid", "right.sender right.receiver right.types"},
		"all wrong": {
			&registryv1.Right{Sender: "x", Receiver: "y", Services: []string{"a", enterprise, "/" + enterprise, "a.B/", "a..B/C", "a.B/C/D", "1a.B/C"}, ExpiresAt: past},
			codes.InvalidArgument, "right_invalid",
			"right.sender right.receiver right.services[0] right.services[2] right.services[3] right.services[4] right.services[5] right.services[6] right.expires_at",
		},
		"strangers": {
			&registryv1.Right{Sender: "H99.01", Receiver: "G22/portal", Types: []packetv1.PacketType{dossier}},
			codes.NotFound, "right_party_unknown", "right.sender right.receiver",
		},
		"time out of range": {
			&registryv1.Right{Sender: "H41", Receiver: "G22/portal", Types: []packetv1.PacketType{dossier}, ExpiresAt: &timestamppb.Timestamp{Seconds: 1 << 60}},
			codes.InvalidArgument, "right_invalid", "right.expires_at",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.GrantRight(t.Context(), &registryv1.GrantRightRequest{Right: c.right})
			got := wantRefusal(t, err, c.code, c.reason)
			var fields []string
			for _, f := range got.Findings {
				fields = append(fields, f.GetField())
			}
			if strings.Join(fields, " ") != c.fields {
				t.Errorf("violations at %q; want %q", fields, c.fields)
			}
		})
	}
}

// Receivers answers like someone who reads the list of rights from top to bottom.
func TestReceiversAgreeWithReadingTheRights(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	nodes := []string{"G01/a", "G01/b", "G02/a", "G22/portal"}
	for _, id := range nodes {
		h.create(id, portal)
	}
	codes := []string{"H41", "H41.04", "H41.04.01", "H41.05", "H42", "H4"}
	if _, err := h.PutOrganisations(t.Context(), put("H4", "bốn")); err != nil {
		t.Fatal(err)
	}
	start := h.clock.Now()
	rapid.Check(t, func(rt *rapid.T) {
		h.clearRights()
		granted := map[string]*registryv1.Right{}
		for range rapid.IntRange(0, 12).Draw(rt, "grants") {
			right := &registryv1.Right{
				Sender: rapid.SampledFrom(codes).Draw(rt, "sender"), Receiver: rapid.SampledFrom(nodes).Draw(rt, "receiver"),
				Types: rapid.SliceOfNDistinct(rapid.SampledFrom([]packetv1.PacketType{dossier, progress, survey}), 1, 3, rapid.ID).Draw(rt, "types"),
			}
			if hours := rapid.IntRange(0, 4).Draw(rt, "hours"); hours > 0 {
				right.ExpiresAt = timestamppb.New(start.Add(time.Duration(hours) * time.Hour))
			}
			kept := h.grantRight(right)
			granted[kept.GetId()] = kept
		}
		for range 10 {
			from := organisation(rt, rapid.SampledFrom(append(codes, "H41.04.01.01", "H411", "G01")).Draw(rt, "from"))
			typ := rapid.SampledFrom([]packetv1.PacketType{dossier, progress, survey}).Draw(rt, "type")
			at := start.Add(time.Duration(rapid.IntRange(0, 10).Draw(rt, "half hours")) * 30 * time.Minute)
			want := map[string]bool{}
			for _, r := range granted {
				if organisation(rt, r.GetSender()).Contains(from) && slices.Contains(r.GetTypes(), typ) &&
					(r.GetExpiresAt() == nil || at.Before(r.GetExpiresAt().AsTime())) {
					want[r.GetReceiver()] = true
				}
			}
			if got := h.Receivers(from, typ, at); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
				rt.Fatalf("%s of %s at %s go to %q; the rights say %q", typ, from, at, got, slices.Sorted(maps.Keys(want)))
			}
		}
	})
}

func (h *hub) clearRights() {
	h.t.Helper()
	listed, err := h.ListRights(h.t.Context(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range listed.GetRights() {
		if _, err := h.RevokeRight(h.t.Context(), &registryv1.RevokeRightRequest{Id: r.GetId()}); err != nil {
			h.t.Fatal(err)
		}
	}
}

func TestLookUpsAllocateNothing(t *testing.T) {
	h := newHub(t)
	h.create("G22/portal", portal)
	h.create("G02/a", portal)
	h.grant("H41", "G22/portal", h.clock.Now().Add(time.Hour), dossier)
	h.grant("H41.04", "G02/a", time.Time{}, dossier)
	from, at := organisation(t, "H41.04.01.02"), h.clock.Now()
	if n := testing.AllocsPerRun(1000, func() {
		if len(h.Receivers(from, dossier, at)) != 2 {
			t.Error("two nodes should receive")
		}
	}); n != 0 {
		t.Errorf("a look-up allocates %v times; want never", n)
	}
}
