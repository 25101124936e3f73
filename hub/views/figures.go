package views

import (
	"fmt"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/packet"
)

// maxQuestions bounds what is kept of one survey.
const maxQuestions = 60

// applyStatistic puts the figures of a period into the batch, in place of any
// accepted before for the same period.
func applyStatistic(b *batch, from source, m *packetv1.MStatistic) error {
	publisher := from.publisher()
	key, ok := periodKey(publisher, m.GetYear(), m.GetMonth())
	if !ok {
		return unusablePeriod
	}
	name := clip(m.GetOrganizationInchargeName(), longText)
	b.put(kindStatistic, key, &viewv1.Statistic{
		OrganisationCode: publisher.String(), OrganisationName: name,
		Year: m.GetYear(), Month: m.GetMonth(),
		Total: m.GetTotal(), NewReception: m.GetNewReception(), CarriedOver: m.GetPreExtisting(),
		SolvedInTime: m.GetSolvedInTime(), SolvedLate: m.GetSolvedLate(),
		Pending: m.GetPending(), PendingLate: m.GetPendingLate(),
		SolvedInTimePercent: m.GetSolvedInTimePercent(),
	})
	b.put(kindOrganisation, publisher.String(), &viewv1.ReportingOrganisation{Code: publisher.String(), Name: name})
	return nil
}

// applySurvey puts the results of a survey into the batch, in place of any
// accepted before that were drawn up at the same time.
func applySurvey(b *batch, from source, m *packetv1.MVotes) error {
	at := moment(m.GetDateCreated())
	if at == nil {
		return unusableTime
	}
	publisher := from.publisher()
	name := clip(m.GetOrganizationInchargeName(), longText)
	survey := &viewv1.Survey{
		OrganisationCode: publisher.String(), OrganisationName: name,
		At: at, TotalVoted: m.GetTotalVoted(),
		PercentVeryGood: m.GetPercentVeryGood(), PercentGood: m.GetPercentGood(),
		PercentBad: m.GetPercentBad(),
	}
	for _, q := range m.GetQuestions()[:min(len(m.GetQuestions()), maxQuestions)] {
		survey.Questions = append(survey.Questions, &viewv1.SurveyQuestion{
			Content:         clip(q.GetContent(), longText),
			PercentVeryGood: q.GetPercentVeryGood(), PercentGood: q.GetPercentGood(),
			PercentBad: q.GetPercentBad(),
		})
	}
	b.put(kindSurvey, surveyKey(publisher, survey), survey)
	b.put(kindOrganisation, publisher.String(), &viewv1.ReportingOrganisation{Code: publisher.String(), Name: name})
	return nil
}

// periodKey orders the periods of an organisation newest first, a whole year
// before its months. It returns false for what is no period.
func periodKey(o packet.Organisation, year, month int32) (string, bool) {
	if year < 0 || year > 9999 || month < 0 || month > 12 {
		return "", false
	}
	if month == 0 {
		month = 13
	}
	return fmt.Sprintf("%s%04d-%02d", figuresOf(o), 9999-year, 99-month), true
}

// lastSecond is the last second that a timestamp can name, of the year 9999.
const lastSecond = 253402300799

// surveyKey orders the surveys of an organisation newest first.
func surveyKey(o packet.Organisation, survey *viewv1.Survey) string {
	at := survey.GetAt()
	return fmt.Sprintf("%s%012d.%09d", figuresOf(o), lastSecond-at.GetSeconds(), 999_999_999-at.GetNanos())
}

// figuresOf is what the keys of an organisation's figures start with, and those
// of no other.
func figuresOf(o packet.Organisation) string { return o.String() + "/" }
