// Package web serves the public pages: a dossier and its timeline by dossier
// code, and what organisations have published of their statistics and surveys.
// Pages are rendered here, in Vietnamese or English; they need no script, no
// cookie and nothing from another site, and hold no personal data unmasked.
package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
)

// Views is what the pages are made from. Errors are gRPC status errors or
// *fault.Error; NOT_FOUND and INVALID_ARGUMENT become a page that says so. Codes
// that differ in case only are one code.
type Views interface {
	GetDossier(context.Context, *viewv1.GetDossierRequest) (*viewv1.GetDossierResponse, error)
	ListStatistics(context.Context, *viewv1.ListStatisticsRequest) (*viewv1.ListStatisticsResponse, error)
	ListSurveys(context.Context, *viewv1.ListSurveysRequest) (*viewv1.ListSurveysResponse, error)
	ListReportingOrganisations(context.Context, *viewv1.ListReportingOrganisationsRequest) (*viewv1.ListReportingOrganisationsResponse, error)
}

// Options of the pages; the zero value works.
type Options struct {
	// Now is the clock that dossiers are overdue by; nil means time.Now.
	Now func() time.Time
	// Logger is told of pages that could not be made, by route and error, never by
	// dossier code; nil means slog.Default.
	Logger *slog.Logger
}

// New returns the handler of the public pages. It serves GET and HEAD only and
// may be called concurrently.
func New(views Views, opts Options) (http.Handler, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	assets, err := loadAssets()
	if err != nil {
		return nil, fmt.Errorf("public pages: %w", err)
	}
	templates, err := loadTemplates()
	if err != nil {
		return nil, fmt.Errorf("public pages: %w", err)
	}
	s := &site{views: views, now: opts.Now, logger: opts.Logger, assets: assets, templates: templates}
	return s.guard(s.routes()), nil
}

// site holds what every page needs.
type site struct {
	views     Views
	now       func() time.Time
	logger    *slog.Logger
	assets    assets
	templates templates
}

// addressBytes bounds the path and the query, each. The longest honest query
// holds a dossier code of 100 characters.
const addressBytes = 2048

// How long others may keep what they were given.
const (
	cacheFigures = "public, max-age=60"
	cacheNothing = "no-store"
	cacheForever = "public, max-age=31536000, immutable"
)

func (s *site) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", s.home)
	mux.HandleFunc("/ho-so", s.dossier)
	mux.HandleFunc("/thong-ke", s.statisticsOverview)
	mux.HandleFunc("/thong-ke/{org}", s.statistics)
	mux.HandleFunc("/khao-sat", s.surveyOverview)
	mux.HandleFunc("/khao-sat/{org}", s.surveys)
	mux.HandleFunc("/static/{name}", s.asset)
	mux.HandleFunc("/robots.txt", robots)
	mux.HandleFunc("/", s.notFound)
	return mux
}

// guard sets what every answer carries and turns away what no page takes.
func (s *site) guard(next http.Handler) http.Handler {
	policy := strings.Join([]string{
		"default-src 'none'", "style-src 'self'", "img-src 'self'", "form-action 'self'",
		"frame-ancestors 'none'", "base-uri 'none'",
	}, "; ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", cacheNothing)
		switch {
		case !slices.Contains([]string{http.MethodGet, http.MethodHead}, r.Method):
			h.Set("Allow", "GET, HEAD")
			s.refuse(w, r, http.StatusMethodNotAllowed)
		case len(r.URL.RawQuery) > addressBytes || len(r.URL.Path) > addressBytes:
			s.refuse(w, r, http.StatusRequestURITooLong)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *site) home(w http.ResponseWriter, r *http.Request) {
	p := s.page(r, text{"Tra cứu tình trạng hồ sơ", "Look up a dossier"})
	p.Section = sectionDossier
	w.Header().Set("Cache-Control", cacheFigures)
	s.render(w, r, http.StatusOK, "home", p)
}

func (s *site) notFound(w http.ResponseWriter, r *http.Request) {
	s.refuse(w, r, http.StatusNotFound)
}

// robots keeps dossiers out of search engines.
func robots(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", cacheFigures)
	_, _ = w.Write([]byte("User-agent: *\nDisallow: /ho-so\n")) // a client that left needs no answer
}
