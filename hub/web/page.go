package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/hub/fault"
)

// language is what a page is written in.
type language string

const (
	vietnamese language = "vi"
	english    language = "en"
)

// text is one text in both languages.
type text struct{ vi, en string }

func (t text) in(lang language) string {
	if lang == english {
		return t.en
	}
	return t.vi
}

// section is the entry of the navigation that a page belongs to.
type section string

const (
	sectionDossier    section = "dossier"
	sectionStatistics section = "statistics"
	sectionSurveys    section = "surveys"
)

// page is what the layout shows. Body is what the page itself shows.
type page struct {
	Lang    language
	Title   string
	Section section
	// Canonical is the page's one address; empty for pages that are not to be found again.
	Canonical string
	// Code is what the search box holds.
	Code string
	// Problem says what is wrong with Code; empty when nothing is.
	Problem string
	Private bool
	Body    any

	now    time.Time
	path   string // of this page
	assets assets
}

// page starts a page for the request. The language is the one the address
// names, else Vietnamese: an address shows everybody the same page.
func (s *site) page(r *http.Request, title text) *page {
	lang := vietnamese
	if r.URL.Query().Get("lang") == string(english) {
		lang = english
	}
	p := &page{Lang: lang, Title: title.in(lang), now: s.now(), path: r.URL.Path, assets: s.assets}
	p.Canonical = p.Link(p.path)
	return p
}

// T returns the text in the page's language.
func (p *page) T(vi, en string) string { return text{vi, en}.in(p.Lang) }

// English tells whether the page is in English.
func (p *page) English() bool { return p.Lang == english }

// Link returns an address of this site that keeps the language. Pairs of names
// and values become its query.
func (p *page) Link(path string, pairs ...string) string {
	return link(p.Lang, path, pairs...)
}

// In returns the address of this page in another language.
func (p *page) In(lang string) string {
	if p.Code == "" {
		return link(language(lang), p.path)
	}
	return link(language(lang), p.path, "code", p.Code)
}

// Asset returns the address of a style sheet or picture.
func (p *page) Asset(name string) string { return p.assets.url(name) }

func link(lang language, path string, pairs ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	if lang == english {
		query.Set("lang", string(english))
	}
	return (&url.URL{Path: path, RawQuery: query.Encode()}).String()
}

// Fresh returns the page with an empty search box.
func (p *page) Fresh() *page {
	fresh := *p
	fresh.Code, fresh.Problem = "", ""
	return &fresh
}

// With returns an answer together with the page that shows it.
func (p *page) With(a answer) struct {
	Page   *page
	Answer answer
} {
	return struct {
		Page   *page
		Answer answer
	}{p, a}
}

// render answers with a page, or with a plain line when it cannot be made.
func (s *site) render(w http.ResponseWriter, r *http.Request, status int, name string, p *page) {
	var out bytes.Buffer
	if err := s.templates[name].ExecuteTemplate(&out, "layout", p); err != nil {
		s.logger.ErrorContext(r.Context(), "public page could not be rendered", "page", name, "error", err)
		w.Header().Set("Cache-Control", cacheNothing)
		http.Error(w, "Hệ thống gặp lỗi. / The system failed.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(p.Lang))
	h.Set("Content-Length", strconv.Itoa(out.Len()))
	if p.Private || status != http.StatusOK {
		h.Set("Cache-Control", cacheNothing)
		h.Set("X-Robots-Tag", "noindex")
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(out.Bytes()) // a client that left needs no answer
	}
}

// refusal is what an error page says.
type refusal struct {
	Status  int
	Heading string
	Advice  string
}

// refuse answers with an error page.
func (s *site) refuse(w http.ResponseWriter, r *http.Request, status int) {
	heading, advice := explain(status)
	p := s.page(r, heading)
	p.Canonical, p.path = "", "/"
	p.Body = refusal{Status: status, Heading: heading.in(p.Lang), Advice: advice.in(p.Lang)}
	s.render(w, r, status, "refused", p)
}

// fail answers for a view that could not be read, and logs it unless the caller
// is at fault or gone.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := fault.HTTPStatus(fault.From(err).Code)
	if errors.Is(err, context.Canceled) {
		status = http.StatusServiceUnavailable
	} else if status >= http.StatusInternalServerError {
		s.logger.ErrorContext(r.Context(), "public page could not be made", "route", r.Pattern, "error", err)
	}
	s.refuse(w, r, status)
}

// unknown tells whether err says that there is nothing of that name.
func unknown(err error) bool {
	code := fault.From(err).Code
	return code == codes.NotFound || code == codes.InvalidArgument
}

func explain(status int) (heading, advice text) {
	switch status {
	case http.StatusNotFound:
		return text{"Không tìm thấy trang", "Page not found"},
			text{"Địa chỉ này không có trên hệ thống. Có thể liên kết đã cũ hoặc bị gõ thiếu.",
				"There is no such address here. The link may be old or incomplete."}
	case http.StatusMethodNotAllowed:
		return text{"Thao tác không được hỗ trợ", "This is not supported"},
			text{"Các trang này chỉ để xem. Vui lòng mở lại trang từ thanh địa chỉ.",
				"These pages are for reading only. Please open the page from the address bar."}
	case http.StatusRequestURITooLong, http.StatusBadRequest:
		return text{"Địa chỉ không hợp lệ", "The address is not valid"},
			text{"Địa chỉ quá dài hoặc có ký tự không đọc được. Vui lòng nhập lại mã hồ sơ.",
				"The address is too long or cannot be read. Please enter the dossier code again."}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return text{"Hệ thống đang bận", "The system is busy"},
			text{"Vui lòng thử lại sau ít phút.", "Please try again in a few minutes."}
	default:
		return text{"Hệ thống gặp lỗi", "Something went wrong"},
			text{"Đây là lỗi của hệ thống, không phải của bạn. Vui lòng thử lại sau ít phút.",
				"This is our fault, not yours. Please try again in a few minutes."}
	}
}
