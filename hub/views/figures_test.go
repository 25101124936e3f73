package views_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
)

func (b *bench) statistics(organisation string, limit uint32) []*viewv1.Statistic {
	b.t.Helper()
	b.settle()
	answer, err := b.views.ListStatistics(b.t.Context(), &viewv1.ListStatisticsRequest{Organisation: organisation, Limit: limit})
	if err != nil {
		b.t.Fatalf("statistics of %s: %v", organisation, err)
	}
	return answer.GetStatistics()
}

func (b *bench) surveys(organisation string, limit uint32) []*viewv1.Survey {
	b.t.Helper()
	b.settle()
	answer, err := b.views.ListSurveys(b.t.Context(), &viewv1.ListSurveysRequest{Organisation: organisation, Limit: limit})
	if err != nil {
		b.t.Fatalf("surveys of %s: %v", organisation, err)
	}
	return answer.GetSurveys()
}

func periods(found []*viewv1.Statistic) []string {
	names := []string{}
	for _, s := range found {
		names = append(names, fmt.Sprintf("%d/%d: %d", s.GetMonth(), s.GetYear(), s.GetSolvedInTime()))
	}
	return names
}

func TestStatisticsShowTheNewestPacketOfEachPeriod(t *testing.T) {
	t.Parallel()
	b := follow(t)
	for _, m := range []*packetv1.MStatistic{
		counted(2023, 12, 80), counted(2024, 2, 81), counted(2024, 1, 82), counted(2023, 0, 83), counted(2024, 2, 95), counted(2024, 10, 84),
	} {
		b.accept("H41", m)
	}
	want := []string{"10/2024: 84", "2/2024: 95", "1/2024: 82", "0/2023: 83", "12/2023: 80"}
	if diff := cmp.Diff(want, periods(b.statistics("000.00.00.H41", 0))); diff != "" {
		t.Errorf("periods, newest first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[:2], periods(b.statistics("H41", 2))); diff != "" {
		t.Errorf("the newest two periods (-want +got):\n%s", diff)
	}
	figures := &viewv1.Statistic{
		OrganisationCode: "H41", OrganisationName: "UBND tỉnh Nghệ An", Year: 2024, Month: 10, Total: 120, NewReception: 100,
		CarriedOver: 20, SolvedInTime: 84, SolvedLate: 16, Pending: 15, PendingLate: 5, SolvedInTimePercent: "84.0",
	}
	if diff := cmp.Diff(figures, b.statistics("H41", 1)[0], protocmp.Transform()); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}

func TestSurveysShowTheNewestPacketOfEachTime(t *testing.T) {
	t.Parallel()
	b := follow(t)
	for _, m := range []*packetv1.MVotes{voted(10, 1), voted(12, 2), voted(11, 3), voted(10, 4)} {
		b.accept("H41", m)
	}
	votes := []int32{}
	for _, s := range b.surveys("H41", 0) {
		votes = append(votes, s.GetTotalVoted())
	}
	if diff := cmp.Diff([]int32{2, 3, 4}, votes); diff != "" {
		t.Errorf("votes, newest first (-want +got):\n%s", diff)
	}
	want := &viewv1.Survey{
		OrganisationCode: "H41", OrganisationName: "UBND tỉnh Nghệ An", At: at(12, 17), TotalVoted: 2,
		PercentVeryGood: "62.5", PercentGood: "30.0", PercentBad: "7.5",
		Questions: []*viewv1.SurveyQuestion{{Content: "Thái độ phục vụ?", PercentVeryGood: "70", PercentGood: "25", PercentBad: "5"}},
	}
	if diff := cmp.Diff(want, b.surveys("H41", 1)[0], protocmp.Transform()); diff != "" {
		t.Errorf("survey (-want +got):\n%s", diff)
	}
}

// H41.04 rightly writes H41 into its packets: its figures are its own and
// overwrite no one's.
func TestFiguresBelongToWhoSpoke(t *testing.T) {
	t.Parallel()
	b := follow(t)
	b.accept("H41", counted(2024, 1, 90))
	b.accept("H41.04", counted(2024, 1, 50))
	b.accept("H411", counted(2024, 1, 10))
	b.accept("H41.04", voted(10, 7))
	for organisation, want := range map[string][]string{
		"H41": {"1/2024: 90"}, "H41.04": {"1/2024: 50"}, "H411": {"1/2024: 10"}, "H41.05": {},
	} {
		if diff := cmp.Diff(want, periods(b.statistics(organisation, 0))); diff != "" {
			t.Errorf("periods of %s (-want +got):\n%s", organisation, diff)
		}
	}
	answer, err := b.views.ListReportingOrganisations(t.Context(), &viewv1.ListReportingOrganisationsRequest{})
	want := []*viewv1.ReportingOrganisation{
		{Code: "H41", Name: "UBND tỉnh Nghệ An"}, {Code: "H41.04", Name: "Tên cơ quan tự ghi"}, {Code: "H411", Name: "Tên cơ quan tự ghi"},
	}
	if diff := cmp.Diff(want, answer.GetOrganisations(), protocmp.Transform()); diff != "" || err != nil {
		t.Errorf("reporting organisations (-want +got), error %v:\n%s", err, diff)
	}
}

func TestSurveysAreBounded(t *testing.T) {
	t.Parallel()
	b := follow(t)
	percent := "50." + strings.Repeat("0", 40)
	m := voted(10, 1)
	for range 300 {
		m.Questions = append(m.Questions, &packetv1.Question{
			Content: strings.Repeat("ố", 2000), PercentVeryGood: percent, PercentGood: "25", PercentBad: "25",
		})
	}
	b.accept("H41", m)
	found := b.surveys("H41", 0)
	if len(found) != 1 {
		b.stop()
		t.Fatalf("%d surveys are kept, 1 was expected; log: %s", len(found), b.log)
	}
	survey := found[0]
	if n := len(survey.GetQuestions()); n != 60 {
		t.Errorf("%d questions are kept, 60 were expected", n)
	}
	if q := survey.GetQuestions()[1]; len(q.GetContent()) > 1000 || q.GetPercentVeryGood() != percent {
		t.Errorf("a question takes %d bytes, its percentage is %q; at most 1000, and the digits that came were expected", len(q.GetContent()), q.GetPercentVeryGood())
	}
}
