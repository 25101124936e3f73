package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/packet"
)

// codeRunes is the longest dossier code there can be, in characters.
const codeRunes = 100

// exampleCode shows what a dossier code looks like.
const exampleCode = "H41.04-240105-0007"

// tone is how good the news is; the style sheet gives it a colour, the text
// beside it says the same in words.
type tone string

const (
	toneOngoing tone = "ongoing"
	toneDone    tone = "done"
	toneWaiting tone = "waiting"
	toneLate    tone = "late"
	toneStopped tone = "stopped"
)

// badge is a short word in its tone.
type badge struct {
	Text string
	Tone tone
}

// stage is one of the stations every dossier passes.
type stage struct {
	Name    string
	Reached bool
	Current bool
}

// step is one entry of the timeline.
type step struct {
	At           moment
	Heading      string
	Status       *badge
	Position     string
	Organisation string
	Tone         tone
}

// dossier is what the dossier page shows.
type dossier struct {
	Code, Procedure, ProcedureCode string
	Applicant                      string
	Organisation, Unit             string
	Status                         badge
	Advice                         string
	Deadline                       *badge
	Received, Appointed            moment
	Finished, Returned             moment
	Stages                         []stage
	Steps                          []step
	// HasFacts tells that there is more to show than the code and the steps.
	HasFacts bool
	// Promised is shown at the end of the timeline while processing goes on.
	Promised bool
}

func (s *site) dossier(w http.ResponseWriter, r *http.Request) {
	typed := r.URL.Query().Get("code")
	code := strings.TrimSpace(typed)
	p := s.page(r, text{"Tra cứu tình trạng hồ sơ", "Look up a dossier"})
	p.Section, p.Private, p.Canonical = sectionDossier, true, ""
	if p.Problem = p.problem(code); p.Problem != "" {
		p.Title = p.T("Lỗi – ", "Error – ") + p.Title
		s.render(w, r, http.StatusBadRequest, "home", p)
		return
	}
	p.Code = code
	answer, err := s.views.GetDossier(r.Context(), &viewv1.GetDossierRequest{Code: code})
	found := answer.GetDossier()
	switch {
	case err != nil && unknown(err):
		p.Title = p.T("Không tìm thấy hồ sơ", "Dossier not found")
		s.render(w, r, http.StatusNotFound, "unknown", p)
	case err != nil:
		s.fail(w, r, err)
	case found.GetCode() != typed:
		http.Redirect(w, r, p.Link("/ho-so", "code", found.GetCode()), http.StatusFound)
	default:
		p.Canonical = p.Link("/ho-so", "code", code)
		p.Title = p.T("Hồ sơ ", "Dossier ") + code
		p.Body = p.dossier(found)
		s.render(w, r, http.StatusOK, "dossier", p)
	}
}

// problem says what is wrong with what was typed for a code; empty when nothing is.
func (p *page) problem(code string) string {
	switch {
	case code == "":
		return p.T("Hãy nhập mã hồ sơ.", "Please enter a dossier code.")
	case !plausible(code):
		return p.T("Đây không phải là mã hồ sơ: mã có tối đa 100 ký tự, gồm chữ, số, dấu chấm và dấu gạch ngang.",
			"This is not a dossier code: codes have at most 100 characters; letters, digits, dots and hyphens.")
	default:
		return ""
	}
}

// plausible bounds what is looked up; it says nothing about what exists.
func plausible(code string) bool {
	return utf8.ValidString(code) && utf8.RuneCountInString(code) <= codeRunes &&
		strings.IndexFunc(code, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// ExampleCode shows what a dossier code looks like.
func (p *page) ExampleCode() string { return exampleCode }

func (p *page) dossier(d *viewv1.Dossier) dossier {
	view := dossier{
		Code:          d.GetCode(),
		Procedure:     d.GetProcedureName(),
		ProcedureCode: d.GetProcedureCode(),
		Applicant:     d.GetApplicantMasked(),
		Organisation:  d.GetOrganisationName(),
		Unit:          d.GetProcessingUnit(),
		Status:        p.status(d.GetStatus()),
		Advice:        p.advice(d.GetStatus()),
		Deadline:      p.deadline(d),
		Received:      momentOf(d.GetReceivedAt()),
		Appointed:     momentOf(d.GetAppointedAt()),
		Finished:      momentOf(d.GetFinishedAt()),
		Returned:      momentOf(d.GetReturnedAt()),
		Stages:        p.stages(d.GetStatus()),
	}
	view.HasFacts = view.Applicant+view.Organisation+view.Unit+view.ProcedureCode+
		view.Received.Text+view.Appointed.Text+view.Finished.Text+view.Returned.Text != ""
	for _, told := range d.GetSteps() {
		view.Steps = append(view.Steps, p.step(told))
	}
	view.Promised = view.Appointed.Text != "" && !ended(d)
	return view
}

// status names a status; numbers outside the list are shown as such.
func (p *page) status(status int32) badge {
	if status == 0 {
		return badge{p.T("Chưa có thông tin trạng thái", "Status not known yet"), toneOngoing}
	}
	name := p.T("Trạng thái ", "Status ") + strconv.Itoa(int(status))
	if code, ok := packet.StatusCode(status); ok {
		name = p.T(code.GetVi(), capitalised(code.GetEn()))
	}
	return badge{name, toneOf(status)}
}

func toneOf(status int32) tone {
	switch status {
	case 5, 6:
		return toneWaiting
	case 3, 7, 8:
		return toneStopped
	case 9, 10:
		return toneDone
	default:
		return toneOngoing
	}
}

// advice says what the applicant does next; empty where there is nothing to do.
func (p *page) advice(status int32) string {
	switch status {
	case 3:
		return p.T("Cơ quan không tiếp nhận hồ sơ. Lý do được ghi trong thông báo gửi cho người nộp.",
			"The agency did not accept the dossier. The reason is in the notice sent to the applicant.")
	case 5:
		return p.T("Cơ quan yêu cầu bổ sung giấy tờ. Vui lòng xem thông báo đã gửi cho bạn hoặc liên hệ nơi nộp hồ sơ.",
			"The agency needs more papers. Please see the notice you were sent, or contact the office where you applied.")
	case 6:
		return p.T("Cần nộp phí, lệ phí để hồ sơ được xử lý tiếp. Vui lòng xem thông báo đã gửi cho bạn.",
			"A fee has to be paid before processing goes on. Please see the notice you were sent.")
	case 9:
		return p.T("Kết quả đã có. Khi đến nhận, vui lòng mang theo giấy hẹn và giấy tờ tùy thân.",
			"The result is ready. Please bring your appointment slip and identity papers to collect it.")
	default:
		return ""
	}
}

// ended tells whether the agency has nothing left to do.
func ended(d *viewv1.Dossier) bool {
	code, known := packet.StatusCode(d.GetStatus())
	return d.GetFinishedAt() != nil || d.GetReturnedAt() != nil || d.GetStatus() == 9 || known && code.GetTerminal()
}

// deadline compares with the promised date; nil where nothing can be said.
func (p *page) deadline(d *viewv1.Dossier) *badge {
	if d.GetAppointedAt() == nil {
		return nil
	}
	due := d.GetAppointedAt().AsTime()
	if wholeDay(due) {
		due = due.Add(24*time.Hour - time.Second)
	}
	if ended(d) {
		return p.outcome(d, due)
	}
	left := days(p.now, due)
	switch {
	case p.now.After(due) && left == 0:
		return &badge{p.T("Quá hạn hôm nay", "Overdue since today"), toneLate}
	case p.now.After(due):
		return &badge{p.count("Quá hạn %d ngày", "Overdue by %d day", -left), toneLate}
	case left == 0:
		return &badge{p.T("Đến hạn hôm nay", "Due today"), toneWaiting}
	default:
		return &badge{p.count("Còn %d ngày", "%d day left", left), toneOngoing}
	}
}

// outcome says whether the result of an ended dossier was in time; nil where
// there is none, or where its time is not known: a result may lie ready long
// before the applicant comes for it.
func (p *page) outcome(d *viewv1.Dossier, due time.Time) *badge {
	finished, returned := d.GetFinishedAt(), d.GetReturnedAt()
	inTime := func(at *timestamppb.Timestamp) bool { return at != nil && !at.AsTime().After(due) }
	switch {
	case toneOf(d.GetStatus()) == toneStopped:
		return nil
	case inTime(finished) || finished == nil && inTime(returned):
		return &badge{p.T("Đúng hạn", "In time"), toneDone}
	case finished != nil:
		return &badge{p.T("Trễ hạn", "Late"), toneLate}
	default:
		return nil
	}
}

// count fills a number into a text; English gets its plural.
func (p *page) count(vi, en string, n int) string {
	if n != 1 {
		en = strings.Replace(en, "day", "days", 1)
	}
	return strings.Replace(p.T(vi, en), "%d", strconv.Itoa(n), 1)
}

// stages returns the stations of a dossier that is on its way; none for one
// that was refused, withdrawn, stopped, or whose status is not in the list.
func (p *page) stages(status int32) []stage {
	reached, ok := map[int32]int{1: 0, 2: 1, 4: 2, 5: 2, 6: 2, 9: 3, 10: 4}[status]
	if !ok {
		return nil
	}
	names := []string{
		p.T("Đăng ký", "Registered"), p.T("Tiếp nhận", "Received"), p.T("Xử lý", "In process"),
		p.T("Có kết quả", "Result ready"), p.T("Trả kết quả", "Returned"),
	}
	stages := make([]stage, len(names))
	for i, name := range names {
		stages[i] = stage{Name: name, Reached: i <= reached, Current: i == reached}
	}
	return stages
}

func (p *page) step(told *viewv1.Step) step {
	s := step{
		At:           momentOf(told.GetAt()),
		Position:     told.GetPosition(),
		Organisation: told.GetOrganisationName(),
		Tone:         toneOngoing,
	}
	if told.Status != nil {
		status := p.status(told.GetStatus())
		s.Status, s.Tone = &status, status.Tone
	}
	switch told.GetKind() {
	case viewv1.StepKind_STEP_KIND_RECEIVED:
		s.Heading = p.T("Tiếp nhận hồ sơ", "Dossier received")
	case viewv1.StepKind_STEP_KIND_SUPPLEMENT_REQUIRED:
		s.Heading, s.Tone = p.T("Yêu cầu bổ sung giấy tờ", "Supplement asked for"), toneWaiting
	case viewv1.StepKind_STEP_KIND_SUPPLEMENT_RECEIVED:
		s.Heading = p.T("Đã nhận giấy tờ bổ sung", "Supplement received")
	case viewv1.StepKind_STEP_KIND_FINISHED:
		s.Heading, s.Tone = p.T("Kết thúc xử lý", "Processing ended"), toneDone
	case viewv1.StepKind_STEP_KIND_RETURNED:
		s.Heading, s.Tone = p.T("Trả kết quả", "Result handed over"), toneDone
	default:
		s.Heading = p.T("Cập nhật xử lý", "Work on the dossier")
		if s.Status != nil {
			s.Heading, s.Status = s.Status.Text, nil
		}
	}
	return s
}

func capitalised(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:]
}
