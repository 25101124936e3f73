package web_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

const (
	nobodyKeeps  = "no-store"
	aMinute      = "public, max-age=60"
	foreverKept  = "public, max-age=31536000, immutable"
	contentOfAll = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

func wantHeaders(t testing.TB, w *httptest.ResponseRecorder) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Security-Policy": contentOfAll, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		"Permissions-Policy": "camera=(), geolocation=(), microphone=()", "Set-Cookie": "", "Access-Control-Allow-Origin": "",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q, %q was expected", name, got, want)
		}
	}
}

func TestEveryAnswerIsHardened(t *testing.T) {
	t.Parallel()
	h := pages(t, ordinary()...)
	for _, page := range everyPage() {
		wantHeaders(t, get(h, page.address))
	}
	for _, w := range []*httptest.ResponseRecorder{
		get(h, "/static/style.css"), get(h, "/robots.txt"), get(h, "/thong-ke/h41"), get(h, "//evil.example/.."),
		ask(h, http.MethodPost, "/"), get(h, "/?"+strings.Repeat("x", 3000)),
	} {
		wantHeaders(t, w)
	}
}

// What is about one dossier, and every refusal, is kept by nobody and found by
// no search engine.
func TestCaching(t *testing.T) {
	t.Parallel()
	h := pages(t, ordinary()...)
	for _, page := range everyPage() {
		w := get(h, page.address)
		want, robots := aMinute, ""
		if page.status != http.StatusOK || strings.HasPrefix(page.address, "/ho-so") {
			want, robots = nobodyKeeps, "noindex"
		}
		if got := w.Header().Get("Cache-Control"); got != want {
			t.Errorf("Cache-Control of %s is %q, %q was expected", page.address, got, want)
		}
		if got := w.Header().Get("X-Robots-Tag"); got != robots {
			t.Errorf("X-Robots-Tag of %s is %q, %q was expected", page.address, got, robots)
		}
	}
	if got := get(h, "/ho-so?code=h41.04-240105-0007").Header().Get("Cache-Control"); got != nobodyKeeps {
		t.Errorf("Cache-Control of a redirect to a dossier is %q, %q was expected", got, nobodyKeeps)
	}
}

func TestAssetsAreKeptForeverUnderTheirVersion(t *testing.T) {
	t.Parallel()
	h := pages(t)
	home := get(h, "/").Body.String()
	for name, contentType := range map[string]string{"style.css": "text/css; charset=utf-8", "mark.svg": "image/svg+xml"} {
		_, after, found := strings.Cut(home, `"/static/`+name)
		version, _, _ := strings.Cut(after, `"`)
		if !found || !strings.HasPrefix(version, "?v=") {
			t.Fatalf("the page does not name a version of %s", name)
		}
		for address, cache := range map[string]string{
			"/static/" + name + version: foreverKept, "/static/" + name: nobodyKeeps, "/static/" + name + "?v=old": nobodyKeeps,
		} {
			w := get(h, address)
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != contentType || w.Header().Get("Cache-Control") != cache {
				t.Errorf("%s answers %d, %q, %q; 200, %q, %q was expected", address, w.Code,
					w.Header().Get("Content-Type"), w.Header().Get("Cache-Control"), contentType, cache)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(pages(t, ordinary()...))
	t.Cleanup(server.Close)
	for _, page := range everyPage() {
		got, head := call(t, http.MethodGet, server.URL+page.address), call(t, http.MethodHead, server.URL+page.address)
		if head.status != got.status || head.length != int64(len(got.body)) || head.body != "" || got.body == "" {
			t.Errorf("HEAD %s answers %d, length %d; GET %d with %d bytes", page.address, head.status, head.length, got.status, len(got.body))
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, http.MethodTrace, "BREW"} {
		for _, path := range []string{"/", "/ho-so?code=" + code, "/static/style.css", "/nowhere", "/robots.txt"} {
			w := call(t, method, server.URL+path)
			if w.status != http.StatusMethodNotAllowed || w.header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s answers %d, Allow %q; 405 and GET, HEAD were expected", method, path, w.status, w.header.Get("Allow"))
			}
		}
	}
}

type answered struct {
	status int
	header http.Header
	length int64
	body   string
}

func call(t *testing.T, method, address string) answered {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, address, err)
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		t.Fatalf("%s %s: %v", method, address, err)
	}
	return answered{response.StatusCode, response.Header, response.ContentLength, string(body)}
}

func TestLongAddressesAreTurnedAway(t *testing.T) {
	t.Parallel()
	h := pages(t)
	for _, address := range []string{"/ho-so?code=" + strings.Repeat("9", 2048), "/" + strings.Repeat("x", 2048)} {
		w := get(h, address)
		if w.Code != http.StatusRequestURITooLong || w.Body.Len() > 8000 {
			t.Errorf("an address of %d bytes is answered with %d and %d bytes; 414 and a short page were expected", len(address), w.Code, w.Body.Len())
		}
	}
	if w := get(h, "/ho-so?code="+strings.Repeat("%E1%BA%BF", 100)); w.Code != http.StatusNotFound {
		t.Errorf("a code of 100 letters is answered with %d, 404 was expected", w.Code)
	}
}

func TestRobotsStayAwayFromDossiers(t *testing.T) {
	t.Parallel()
	w := get(pages(t), "/robots.txt")
	if !strings.Contains(w.Body.String(), "User-agent: *\nDisallow: /ho-so\n") || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("robots.txt is %q, %q", w.Header().Get("Content-Type"), w.Body)
	}
}

// fakeViews answers everything with one error, or with many organisations.
type fakeViews struct {
	err           error
	organisations int
	asked         int
	limits        map[uint32]bool
}

func (f *fakeViews) GetDossier(context.Context, *viewv1.GetDossierRequest) (*viewv1.GetDossierResponse, error) {
	return nil, f.err
}

func (f *fakeViews) ListStatistics(_ context.Context, req *viewv1.ListStatisticsRequest) (*viewv1.ListStatisticsResponse, error) {
	f.asked++
	f.limits = map[uint32]bool{req.GetLimit(): true}
	if f.err != nil {
		return nil, f.err
	}
	return &viewv1.ListStatisticsResponse{Statistics: []*viewv1.Statistic{{Year: 2024}}}, nil
}

func (f *fakeViews) ListSurveys(context.Context, *viewv1.ListSurveysRequest) (*viewv1.ListSurveysResponse, error) {
	return &viewv1.ListSurveysResponse{}, f.err
}

func (f *fakeViews) ListReportingOrganisations(context.Context, *viewv1.ListReportingOrganisationsRequest) (*viewv1.ListReportingOrganisationsResponse, error) {
	answer := &viewv1.ListReportingOrganisationsResponse{}
	for i := range f.organisations {
		answer.Organisations = append(answer.Organisations, &viewv1.ReportingOrganisation{Code: fmt.Sprintf("H41.%03d", i)})
	}
	return answer, f.err
}

func TestFailuresAreAnswers(t *testing.T) {
	t.Parallel()
	secret := errors.New("pebble: secret path")
	for name, test := range map[string]struct {
		err    error
		status int
		says   string
		logged int
	}{
		"anything":          {secret, 500, "Hệ thống gặp lỗi", 1},
		"internal":          {fault.Internal(secret), 500, "Hệ thống gặp lỗi", 1},
		"busy":              {fault.New(codes.ResourceExhausted, "busy", "secret", "secret"), 429, "Hệ thống đang bận", 0},
		"away":              {status.Error(codes.Unavailable, "secret"), 503, "Hệ thống đang bận", 1},
		"too slow":          {context.DeadlineExceeded, 504, "Hệ thống đang bận", 1},
		"the caller left":   {fmt.Errorf("read: %w", context.Canceled), 503, "Hệ thống đang bận", 0},
		"not known":         {status.Error(codes.NotFound, "secret"), 404, "Không tìm thấy", 0},
		"not even possible": {fault.New(codes.InvalidArgument, "x", "secret", "secret"), 404, "Không tìm thấy", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			h := serve(t, &fakeViews{err: test.err}, &log)
			w := get(h, "/ho-so?code="+code)
			if w.Code != test.status || !strings.Contains(text(t, w), test.says) {
				t.Errorf("answered with %d, %s; %d, %q was expected", w.Code, text(t, w), test.status, test.says)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("internal detail is on the page:\n%s", w.Body)
			}
			if got := strings.Count(log.String(), "\n"); got != test.logged || strings.Contains(log.String(), code) {
				t.Errorf("%d lines are logged, %d without the code were expected:\n%s", got, test.logged, &log)
			}
			for _, address := range []string{"/thong-ke", "/thong-ke/H41", "/khao-sat", "/khao-sat/H41"} {
				if w := get(h, address); w.Code < 400 || test.status != 404 && w.Code != test.status || w.Header().Get("Cache-Control") != nobodyKeeps {
					t.Errorf("%s answers %d, Cache-Control %q; %d, %q was expected", address, w.Code, w.Header().Get("Cache-Control"), test.status, nobodyKeeps)
				}
			}
		})
	}
}

func TestOverviewIsBounded(t *testing.T) {
	t.Parallel()
	fake := &fakeViews{organisations: 1000}
	w := get(serve(t, fake, io.Discard), "/thong-ke")
	if fake.asked != 200 || !fake.limits[1] {
		t.Errorf("one overview asks %d times, for %v; 200 times for 1 was expected", fake.asked, fake.limits)
	}
	if !strings.Contains(text(t, w), "Chỉ hiển thị các cơ quan đầu tiên") || !strings.Contains(text(t, w), "H41.199") {
		t.Error("the page does not say that it shows only a part, or does not show it")
	}
}

func TestOverviewWithoutFiguresSaysSo(t *testing.T) {
	t.Parallel()
	h := pages(t)
	for _, address := range []string{"/thong-ke", "/khao-sat"} {
		if said := text(t, get(h, address)); !strings.Contains(said, "Chưa có cơ quan nào công bố số liệu.") {
			t.Errorf("%s says: %s", address, said)
		}
	}
}

// Whatever is asked for, the answer is hardened, well made, and no failure.
func FuzzAddress(f *testing.F) {
	for _, page := range everyPage() {
		f.Add(strings.TrimPrefix(page.address, "/"), "en")
	}
	f.Add("ho-so?code=%3Cscript%3E", "<vi>")
	f.Add("thong-ke/H41%2F..%2F", "")
	h := serve(f, viewsOf(f, ordinary()...), io.Discard)
	f.Fuzz(func(t *testing.T, address, lang string) {
		request, err := http.NewRequest(http.MethodGet, "/"+address, nil)
		if err != nil {
			return
		}
		query := request.URL.Query()
		query.Set("lang", lang)
		request.URL.RawQuery = query.Encode()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request)
		if w.Code >= http.StatusInternalServerError {
			t.Fatalf("answered with %d", w.Code)
		}
		wantHeaders(t, w)
		if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") && w.Header().Get("Location") == "" {
			wantWellMade(t, w.Body.Bytes(), w.Header().Get("Content-Language"))
		}
	})
}
