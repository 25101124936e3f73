package views_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
)

const (
	received     = viewv1.StepKind_STEP_KIND_RECEIVED
	progress     = viewv1.StepKind_STEP_KIND_PROGRESS
	askedFor     = viewv1.StepKind_STEP_KIND_SUPPLEMENT_REQUIRED
	supplemented = viewv1.StepKind_STEP_KIND_SUPPLEMENT_RECEIVED
	finished     = viewv1.StepKind_STEP_KIND_FINISHED
	returned     = viewv1.StepKind_STEP_KIND_RETURNED
)

func TestDossierShowsWhatItsPacketsSay(t *testing.T) {
	t.Parallel()
	b := follow(t)
	b.accept("H41.04", synced(2))
	b.accept("H41.04", progressed(6, 9, 4))
	want := &viewv1.Dossier{
		Code: code, ProcedureCode: "1.011442.000.00.00.H41", ProcedureName: "Đăng ký biện pháp bảo đảm",
		ApplicantMasked: "N*** T*** Á*** T***", OrganisationName: "UBND tỉnh Nghệ An", OrganisationCode: "H41",
		ProcessingUnit: "Văn phòng Đăng ký đất đai", Status: 4, ReceivedAt: at(5, 8), AppointedAt: at(12, 17),
		Steps: []*viewv1.Step{
			{At: at(5, 8), Sequence: 1, Kind: received, OrganisationName: "UBND tỉnh Nghệ An"},
			{At: at(6, 9), Sequence: 2, Kind: progress, Status: proto.Int32(4), Position: "Chuyên viên", OrganisationName: "UBND tỉnh Nghệ An"},
		},
	}
	if diff := cmp.Diff(want, b.dossier(code), protocmp.Transform()); diff != "" {
		t.Errorf("dossier (-want +got):\n%s", diff)
	}
}

// Nothing that identifies the applicant or an official is in an answer, wherever
// the sender wrote it.
func TestDossierHoldsNoPersonalData(t *testing.T) {
	t.Parallel()
	b := follow(t)
	b.accept("H41", synced(10, func(m *packetv1.MSyncDocument) {
		m.IsSuccess, m.SuccessDate, m.IsReturned, m.ReturnedDate = true, at(9, 8), true, at(10, 8)
		m.ApproverName, m.ApproverPosition = proto.String("Lê Thị Hoa"), proto.String("Phó Giám đốc Lê Thị  Hoa")
		m.CitizenInfo, m.Note = proto.String("Sinh năm 1990"), proto.String("Gọi 0912345678")
		m.Supplementaries = []*packetv1.Supplementary{{
			SupplementaryId: 1, SendUser: "Trần Văn Bình", SendComment: "Bổ sung bản sao", SendDate: at(6, 8),
			IsReceived: true, ReceivedDate: at(7, 8), ReceivedUser: proto.String("Phạm Văn Ba"), OldDateAppointed: at(12, 17),
		}}
	}))
	b.accept("H41", progressed(8, 9, 4, func(m *packetv1.MDocumentTraces) { m.UserPosition = "trần văn bình (chuyên viên)" }))
	text := strings.ToLower(prototext.Format(b.dossier(code)))
	for _, personal := range []string{"tuyết", "nguyễn", "0401", "0912", "trường thi", "example.vn", "thửa", "1990", "hoa", "bình", "phạm", "lãnh đạo"} {
		if strings.Contains(text, personal) {
			t.Errorf("the answer holds %q:\n%s", personal, text)
		}
	}
}

// told is one packet of the dossier.
type told func(b *bench)

func says(status int32, change ...func(*packetv1.MSyncDocument)) told {
	return func(b *bench) { b.accept("H41", synced(status, change...)) }
}

func step(d int, status int32) told {
	return func(b *bench) { b.accept("H41", progressed(d, 9, status)) }
}

func processed(d int) func(*packetv1.MSyncDocument) {
	return func(m *packetv1.MSyncDocument) { m.FinishedDate = at(d, 9) }
}

func TestStatusFollowsTheNewestEvent(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		told []told
		want int32
	}{
		"a dossier packet alone":                                {[]told{says(2)}, 2},
		"progress after it":                                     {[]told{says(2), step(6, 4)}, 4},
		"progress alone":                                        {[]told{step(6, 4)}, 4},
		"late progress does not move it back":                   {[]told{says(2), step(8, 9), step(6, 4)}, 9},
		"progress of the same time counts in order of the log":  {[]told{step(6, 4), step(6, 5)}, 5},
		"progress older than the dates of the dossier packet":   {[]told{says(9, processed(9)), step(6, 4)}, 9},
		"the same dossier packet again":                         {[]told{says(2), step(6, 4), says(2)}, 4},
		"a dossier packet with a newer date":                    {[]told{says(2), step(6, 4), says(9, processed(9))}, 9},
		"a dossier packet that says something new without date": {[]told{says(2), step(6, 4), says(5)}, 5},
		"a late first dossier packet":                           {[]told{step(6, 4), says(2)}, 4},
		"a late first dossier packet that tells an end":         {[]told{step(6, 4), says(7)}, 7},
		"progress after an end":                                 {[]told{says(2), step(6, 10), step(7, 4)}, 10},
		"another end after an end":                              {[]told{says(2), step(6, 8), step(7, 7)}, 7},
		"a dossier packet opens it again":                       {[]told{says(2), step(6, 10), says(4), step(7, 9)}, 9},
		"unknown numbers are kept":                              {[]told{says(2), step(6, 77)}, 77},
		"an unknown number is no end":                           {[]told{says(77), step(6, 4)}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := follow(t)
			for _, tell := range test.told {
				tell(b)
			}
			b.wantStatus(code, test.want)
		})
	}
}

// shown is a step in short.
type shown struct {
	Kind     viewv1.StepKind
	Day      int
	Sequence uint64
}

func timeline(d *viewv1.Dossier) []shown {
	var all []shown
	for _, s := range d.GetSteps() {
		all = append(all, shown{s.GetKind(), s.GetAt().AsTime().In(day(1, 0).Location()).Day(), s.GetSequence()})
	}
	return all
}

func wantTimeline(t *testing.T, d *viewv1.Dossier, want ...shown) {
	t.Helper()
	if diff := cmp.Diff(want, timeline(d)); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
}

func TestTimelineTellsEachStepOnce(t *testing.T) {
	t.Parallel()
	b := follow(t)
	supplement := func(m *packetv1.MSyncDocument) {
		m.HasSupplementary, m.RequireSupplementaryDate = proto.Bool(true), at(7, 0)
		m.Supplementaries = []*packetv1.Supplementary{{
			SupplementaryId: 1, SendUser: "Trần Văn Bình", SendComment: "Bổ sung", SendDate: at(7, 8), OldDateAppointed: at(12, 17),
		}}
	}
	b.accept("H41", synced(2))
	b.accept("H41", progressed(6, 9, 4))
	b.accept("H41", synced(2))
	b.accept("H41", progressed(6, 9, 4))
	wantTimeline(t, b.dossier(code), shown{received, 5, 3}, shown{progress, 6, 2})
	b.accept("H41", synced(5, supplement))
	wantTimeline(t, b.dossier(code), shown{received, 5, 5}, shown{progress, 6, 2}, shown{askedFor, 7, 5})
	b.accept("H41", synced(10, supplement, func(m *packetv1.MSyncDocument) {
		m.Supplementaries[0].IsReceived, m.Supplementaries[0].ReceivedDate = true, at(8, 8)
		m.IsSuccess, m.SuccessDate, m.IsReturned, m.ReturnedDate = true, at(9, 8), true, at(10, 8)
	}))
	wantTimeline(t, b.dossier(code), shown{received, 5, 6}, shown{progress, 6, 2}, shown{askedFor, 7, 6},
		shown{supplemented, 8, 6}, shown{finished, 9, 6}, shown{returned, 10, 6})
	d := b.dossier(code)
	if !proto.Equal(d.GetFinishedAt(), at(9, 8)) || !proto.Equal(d.GetReturnedAt(), at(10, 8)) {
		t.Errorf("finished %v, returned %v; the 9th and the 10th were expected", d.GetFinishedAt(), d.GetReturnedAt())
	}
	b.accept("H41", synced(4))
	wantTimeline(t, b.dossier(code), shown{received, 5, 7}, shown{progress, 6, 2})
}

func TestLateProgressStaysInTheHistory(t *testing.T) {
	t.Parallel()
	b := follow(t)
	b.accept("H41", synced(2))
	b.accept("H41", progressed(8, 9, 9))
	b.accept("H41", progressed(6, 9, 4))
	wantTimeline(t, b.dossier(code), shown{received, 5, 1}, shown{progress, 6, 3}, shown{progress, 8, 2})
}

func TestProgressWithoutStatusIsAStepAndMovesNothing(t *testing.T) {
	t.Parallel()
	b := follow(t)
	b.accept("H41", synced(2))
	b.accept("H41", progressed(8, 9, 0, func(m *packetv1.MDocumentTraces) { m.Status = nil }))
	b.wantStatus(code, 2)
	steps := b.dossier(code).GetSteps()
	if len(steps) != 2 || steps[1].Status != nil {
		t.Errorf("steps are %v; a second without status was expected", steps)
	}
	b.accept("H41", progressed(7, 9, 4))
	b.wantStatus(code, 4)
}

func TestTimelineKeepsTheNewestSteps(t *testing.T) {
	t.Parallel()
	b := newBench(t, newCodec(t))
	t.Cleanup(b.close)
	const steps = 520
	for i := range steps {
		b.accept("H41", progressed(6, 0, 4, func(m *packetv1.MDocumentTraces) { m.DateCreated.Seconds += int64(i) }))
	}
	b.start()
	got := b.dossier(code).GetSteps()
	if len(got) != 500 {
		t.Fatalf("%d steps are kept, 500 were expected", len(got))
	}
	if first, last := got[0].GetSequence(), got[499].GetSequence(); first != steps-499 || last != steps {
		t.Errorf("steps %d to %d are kept, %d to %d were expected", first, last, steps-499, steps)
	}
}

func TestNobodySpeaksForAnothersDossier(t *testing.T) {
	t.Parallel()
	foreign := func(m *packetv1.MSyncDocument) {
		m.OrganInchargeIdLevel1, m.OrganInchargeName = "G22", "Bộ Y tế"
	}
	neutral := func(m *packetv1.MSyncDocument) { m.DocCode = "HS-0007" }
	b := follow(t)
	b.accept("H41.04", synced(2))
	b.accept("G22", synced(10, foreign))
	b.accept("G22.01", progressed(20, 9, 8, func(m *packetv1.MDocumentTraces) { m.OrganizationInchargeIdLevel1 = "G22" }))
	b.accept("H41.05", progressed(6, 9, 4))
	b.wantStatus(code, 4)
	wantTimeline(t, b.dossier(code), shown{received, 5, 1}, shown{progress, 6, 4})

	b.accept("G22", synced(2, foreign, neutral))
	b.accept("H41", synced(10, neutral))
	if d := b.dossier("HS-0007"); d.GetStatus() != 2 || d.GetOrganisationCode() != "G22" {
		t.Errorf("status %d of %s; the first to speak of a code that names nobody was expected to keep it", d.GetStatus(), d.GetOrganisationCode())
	}
	b.stop()
	for _, sequence := range []string{"sequence=2", "sequence=3", "sequence=6"} {
		if n := strings.Count(b.log.String(), sequence+" "); n != 1 {
			t.Errorf("%s is logged %d times, once was expected:\n%s", sequence, n, b.log)
		}
	}
}

// A code names the organisation that gave it: who takes such a code before its
// owner does not keep it, and leaves nothing behind.
func TestTheOrganisationInTheCodeTakesItBack(t *testing.T) {
	t.Parallel()
	for _, spelling := range []string{code, "000.00.04.H41-240105-0007"} {
		t.Run(spelling, func(t *testing.T) {
			t.Parallel()
			b := follow(t)
			b.accept("G22", synced(10, func(m *packetv1.MSyncDocument) { m.DocCode, m.OrganInchargeIdLevel1 = spelling, "G22" }))
			b.accept("H41.04", progressed(6, 9, 4, func(m *packetv1.MDocumentTraces) { m.DocCode = spelling }))
			b.accept("G22", progressed(9, 9, 8, func(m *packetv1.MDocumentTraces) {
				m.DocCode, m.OrganizationInchargeIdLevel1 = spelling, "G22"
			}))
			d := b.dossier(spelling)
			if d.GetStatus() != 4 || d.GetApplicantMasked() != "" || d.GetOrganisationCode() != "H41" {
				t.Errorf("dossier is %v; H41's alone was expected", d)
			}
			wantTimeline(t, d, shown{progress, 6, 2})
		})
	}
}

func TestSpellingsOfACodeAreOneDossier(t *testing.T) {
	t.Parallel()
	b := follow(t)
	b.accept("H41", synced(2))
	b.accept("H41", progressed(6, 9, 4, func(m *packetv1.MDocumentTraces) { m.DocCode = " h41.04-240105-0007 " }))
	for _, spelling := range []string{code, "h41.04-240105-0007", "  H41.04-240105-0007\n", "000.00.04.H41-240105-0007", "000.00.04.h41-240105-0007"} {
		b.wantStatus(spelling, 4)
	}
	if got := b.dossier("h41.04-240105-0007").GetCode(); got != code {
		t.Errorf("code is shown as %q, %q was expected", got, code)
	}
}

// The spelling of the organisation is the sender's, and the one that citizens
// have on paper.
func TestCodesOfTheFormOf2016AreFoundByBothAndShownAsSent(t *testing.T) {
	t.Parallel()
	b := follow(t)
	const sent = "000.00.04.H41-240105-0007"
	b.accept("H41", synced(2, func(m *packetv1.MSyncDocument) { m.DocCode = sent }))
	b.accept("H41", progressed(6, 9, 4, func(m *packetv1.MDocumentTraces) { m.DocCode = code }))
	b.wantStatus(sent, 4)
	b.wantStatus(code, 4)
	if got := b.dossier(code).GetCode(); got != sent {
		t.Errorf("code is shown as %q, %q was expected", got, sent)
	}
}

func TestLongTextsAreCut(t *testing.T) {
	t.Parallel()
	b := follow(t)
	long := strings.Repeat("ế", 5000)
	b.accept("H41", synced(2, func(m *packetv1.MSyncDocument) {
		m.DocTypeName, m.ProcessingOrganName, m.OrganInchargeName = long, long, long
	}))
	b.accept("H41", progressed(6, 9, 4, func(m *packetv1.MDocumentTraces) {
		m.UserPosition, m.OrganizationInchargeName = long, "UBND \u202etỉnh"
	}))
	d := b.dossier(code)
	if size := proto.Size(d); size > 5000 {
		t.Errorf("dossier takes %d bytes, at most 5000 were expected", size)
	}
	if name := d.GetProcedureName(); !strings.HasSuffix(name, "ế…") {
		t.Errorf("cut name ends in %q, a mark after a whole letter was expected", name[len(name)-8:])
	}
	if name := d.GetSteps()[1].GetOrganisationName(); name != "UBND tỉnh" {
		t.Errorf("organisation is %q, no mark of writing direction was expected", name)
	}
}
