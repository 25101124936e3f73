package web

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"

	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/packet"
)

// overviewRows bounds how many organisations one overview compares.
const overviewRows = 200

// overview compares organisations by their newest figures.
type overview struct {
	Surveys bool
	Rows    []overviewRow
	// More tells that there are organisations beyond the rows.
	More bool
}

// overviewRow is one organisation in an overview.
type overviewRow struct {
	Code, Name string
	Period     string
	Counted    int32
	Percent    string
	Bar        bar
}

// statistics is what an organisation's statistics page shows.
type statistics struct {
	Code, Name string
	HasSurveys bool
	Newest     period
	Periods    []period
}

// period is one row of statistics.
type period struct {
	Name    string
	Figures *viewv1.Statistic
	Percent string
	Solved  bar
}

// surveys is what an organisation's survey page shows.
type surveys struct {
	Code, Name    string
	HasStatistics bool
	Surveys       []survey
}

// survey is the outcome of one survey.
type survey struct {
	At        moment
	Voted     int32
	Overall   answer
	Questions []answer
}

// answer is how satisfied people were.
type answer struct {
	Question            string
	VeryGood, Good, Bad string
	Bar                 bar
}

func (s *site) statisticsOverview(w http.ResponseWriter, r *http.Request) {
	p := s.page(r, text{"Thống kê giải quyết hồ sơ", "Statistics of dossiers"})
	p.Section = sectionStatistics
	s.overview(w, r, p, func(row *overviewRow) (bool, error) {
		answer, err := s.views.ListStatistics(r.Context(), &viewv1.ListStatisticsRequest{Organisation: row.Code, Limit: 1})
		if err != nil || len(answer.GetStatistics()) == 0 {
			return false, err
		}
		newest := p.period(answer.GetStatistics()[0])
		row.Period, row.Counted, row.Percent, row.Bar = newest.Name, newest.Figures.GetTotal(), newest.Percent, newest.Solved
		return true, nil
	})
}

func (s *site) surveyOverview(w http.ResponseWriter, r *http.Request) {
	p := s.page(r, text{"Khảo sát mức độ hài lòng", "Satisfaction surveys"})
	p.Section = sectionSurveys
	s.overview(w, r, p, func(row *overviewRow) (bool, error) {
		answer, err := s.views.ListSurveys(r.Context(), &viewv1.ListSurveysRequest{Organisation: row.Code, Limit: 1})
		if err != nil || len(answer.GetSurveys()) == 0 {
			return false, err
		}
		newest := p.survey(answer.GetSurveys()[0])
		row.Period, row.Counted, row.Percent, row.Bar = newest.At.Text, newest.Voted, satisfied(newest.Overall), newest.Overall.Bar
		return true, nil
	})
}

// overview answers with a row for each organisation that fill finds figures of.
func (s *site) overview(w http.ResponseWriter, r *http.Request, p *page, fill func(*overviewRow) (bool, error)) {
	answer, err := s.views.ListReportingOrganisations(r.Context(), &viewv1.ListReportingOrganisationsRequest{})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	body := overview{Surveys: p.Section == sectionSurveys}
	for _, organisation := range answer.GetOrganisations() {
		if len(body.Rows) == overviewRows {
			body.More = true
			break
		}
		row := overviewRow{Code: organisation.GetCode(), Name: cmp.Or(organisation.GetName(), organisation.GetCode())}
		has, err := fill(&row)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if has {
			body.Rows = append(body.Rows, row)
		}
	}
	p.Body = body
	w.Header().Set("Cache-Control", cacheFigures)
	s.render(w, r, http.StatusOK, "overview", p)
}

func (s *site) statistics(w http.ResponseWriter, r *http.Request) {
	p := s.page(r, text{"Thống kê giải quyết hồ sơ", "Statistics of dossiers"})
	p.Section = sectionStatistics
	found, ok := s.organisation(w, r, p)
	if !ok {
		return
	}
	if len(found.statistics) == 0 {
		s.refuse(w, r, http.StatusNotFound)
		return
	}
	body := statistics{Code: found.code, Name: cmp.Or(found.statistics[0].GetOrganisationName(), found.code), HasSurveys: len(found.surveys) > 0}
	for _, figures := range found.statistics {
		body.Periods = append(body.Periods, p.period(figures))
	}
	body.Newest = body.Periods[0]
	p.Title += " – " + body.Name
	p.Body = body
	w.Header().Set("Cache-Control", cacheFigures)
	s.render(w, r, http.StatusOK, "statistics", p)
}

func (s *site) surveys(w http.ResponseWriter, r *http.Request) {
	p := s.page(r, text{"Khảo sát mức độ hài lòng", "Satisfaction surveys"})
	p.Section = sectionSurveys
	found, ok := s.organisation(w, r, p)
	if !ok {
		return
	}
	if len(found.surveys) == 0 {
		s.refuse(w, r, http.StatusNotFound)
		return
	}
	body := surveys{Code: found.code, Name: cmp.Or(found.surveys[0].GetOrganisationName(), found.code), HasStatistics: len(found.statistics) > 0}
	for _, results := range found.surveys {
		body.Surveys = append(body.Surveys, p.survey(results))
	}
	p.Title += " – " + body.Name
	p.Body = body
	w.Header().Set("Cache-Control", cacheFigures)
	s.render(w, r, http.StatusOK, "surveys", p)
}

// published is everything one organisation has published.
type published struct {
	code       string
	statistics []*viewv1.Statistic
	surveys    []*viewv1.Survey
}

// organisation reads what the organisation in the path has published. Where it
// returns false it has answered: with the canonical address, or with an error.
func (s *site) organisation(w http.ResponseWriter, r *http.Request, p *page) (published, bool) {
	named := r.PathValue("org")
	parsed, err := packet.ParseOrganisation(named)
	if err != nil {
		s.refuse(w, r, http.StatusNotFound)
		return published{}, false
	}
	code := parsed.String()
	if code != named {
		http.Redirect(w, r, p.Link(pathOf(p.Section)+code), http.StatusMovedPermanently)
		return published{}, false
	}
	statistics, err := s.views.ListStatistics(r.Context(), &viewv1.ListStatisticsRequest{Organisation: code})
	if err == nil || unknown(err) {
		var surveys *viewv1.ListSurveysResponse
		surveys, err = s.views.ListSurveys(r.Context(), &viewv1.ListSurveysRequest{Organisation: code})
		if err == nil || unknown(err) {
			return published{code, statistics.GetStatistics(), surveys.GetSurveys()}, true
		}
	}
	s.fail(w, r, err)
	return published{}, false
}

func pathOf(section section) string {
	if section == sectionSurveys {
		return "/khao-sat/"
	}
	return "/thong-ke/"
}

func (p *page) period(figures *viewv1.Statistic) period {
	inTime, late := int64(figures.GetSolvedInTime()), int64(figures.GetSolvedLate())
	shareInTime, shareLate := percentOf(inTime, inTime+late), percentOf(late, inTime+late)
	row := period{
		Name:    p.T("Năm ", "Year ") + strconv.Itoa(int(figures.GetYear())),
		Figures: figures,
		Percent: figures.GetSolvedInTimePercent(),
	}
	if month := figures.GetMonth(); month != 0 {
		row.Name = fmt.Sprintf(p.T("Tháng %02d/%d", "Month %02d/%d"), month, figures.GetYear())
	}
	if row.Percent == "" {
		row.Percent = shareInTime
	}
	label := p.T("Đúng hạn ", "In time ") + p.Percent(shareInTime) + p.T(", trễ hạn ", ", late ") + p.Percent(shareLate)
	row.Solved = barOf(label, []string{"good", "bad"}, []string{shareInTime, shareLate})
	return row
}

func (p *page) survey(results *viewv1.Survey) survey {
	view := survey{
		At:    momentOf(results.GetAt()),
		Voted: results.GetTotalVoted(),
		Overall: p.answer(p.T("Đánh giá chung", "Overall"),
			results.GetPercentVeryGood(), results.GetPercentGood(), results.GetPercentBad()),
	}
	for _, q := range results.GetQuestions() {
		view.Questions = append(view.Questions, p.answer(q.GetContent(), q.GetPercentVeryGood(), q.GetPercentGood(), q.GetPercentBad()))
	}
	return view
}

func (p *page) answer(question, veryGood, good, bad string) answer {
	label := p.T("Rất hài lòng ", "Very satisfied ") + p.Percent(veryGood) +
		p.T(", hài lòng ", ", satisfied ") + p.Percent(good) +
		p.T(", không hài lòng ", ", not satisfied ") + p.Percent(bad)
	return answer{
		Question: question, VeryGood: veryGood, Good: good, Bad: bad,
		Bar: barOf(label, []string{"best", "good", "bad"}, []string{veryGood, good, bad}),
	}
}

// satisfied adds the two good answers; empty where either is not a number.
func satisfied(a answer) string {
	veryGood, err1 := strconv.ParseFloat(a.VeryGood, 64)
	good, err2 := strconv.ParseFloat(a.Good, 64)
	if err1 != nil || err2 != nil {
		return ""
	}
	return strconv.FormatFloat(veryGood+good, 'f', 1, 64)
}
