package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"google.golang.org/protobuf/proto"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// example is one page and what it says.
type example struct {
	name, address string
	status        int
	vi, en        []string
}

// everyPage returns one address of each kind of page with what it says.
func everyPage() []example {
	return []example{
		{"home", "/", 200, []string{"Tra cứu tình trạng hồ sơ", "Mã hồ sơ", "Ví dụ: H41.04-240105-0007"}, []string{"Look up a dossier", "Dossier code"}},
		{
			"dossier", "/ho-so?code=" + code, 200,
			[]string{
				"Hồ sơ " + code, "Đăng ký biện pháp bảo đảm", "Đang xử lý", "Còn 2 ngày", "N*** T*** Á*** T***", "12/01/2024 17:00",
				"UBND tỉnh Nghệ An", "Văn phòng Đăng ký đất đai", "Tiếp nhận hồ sơ", "06/01/2024 09:00", "Chuyên viên",
			},
			[]string{"Dossier " + code, "In process", "2 days left", "Dossier received", "Result promised for", "N*** T*** Á*** T***"},
		},
		{"dossier with an unknown status", "/ho-so?code=H41.04-240105-0008", 200, []string{"Trạng thái 77"}, []string{"Status 77"}},
		{"unknown dossier", "/ho-so?code=H41-1", 404, []string{"Không tìm thấy hồ sơ", "H41-1"}, []string{"Dossier not found", "H41-1"}},
		{"no code", "/ho-so", 400, []string{"Hãy nhập mã hồ sơ."}, []string{"Please enter a dossier code."}},
		{"blank code", "/ho-so?code=%20%0A", 400, []string{"Hãy nhập mã hồ sơ."}, []string{"Please enter a dossier code."}},
		{"long code", "/ho-so?code=" + strings.Repeat("9", 101), 400, []string{"mã có tối đa 100 ký tự"}, []string{"at most 100 characters"}},
		{"code with a zero byte", "/ho-so?code=H41%00", 400, []string{"không phải là mã hồ sơ"}, []string{"not a dossier code"}},
		{"code that is not UTF-8", "/ho-so?code=H41%ff", 400, []string{"không phải là mã hồ sơ"}, []string{"not a dossier code"}},
		{"overview of statistics", "/thong-ke", 200, []string{"UBND tỉnh Nghệ An H41", "Tháng 01/2024", "12.345", "95,0%"}, []string{"Month 01/2024", "12,345", "95.0%"}},
		{"statistics", "/thong-ke/H41", 200, []string{"UBND tỉnh Nghệ An", "Tháng 01/2024", "Tháng 12/2023", "90,0%"}, []string{"Month 12/2023", "90.0%", "See its satisfaction surveys"}},
		{"overview of surveys", "/khao-sat", 200, []string{"UBND tỉnh Nghệ An H41", "240", "92,5%"}, []string{"Satisfied or better", "92.5%"}},
		{"surveys", "/khao-sat/H41", 200, []string{"Thái độ phục vụ?", "240 lượt đánh giá", "62,5%"}, []string{"240 votes", "62.5%", "Overall"}},
		{"organisation without figures", "/thong-ke/G22", 404, []string{"Không tìm thấy trang"}, []string{"Page not found"}},
		{"what is no organisation", "/khao-sat/Hanoi", 404, []string{"Không tìm thấy trang"}, []string{"Page not found"}},
		{"no page", "/nowhere", 404, []string{"Không tìm thấy trang"}, []string{"Page not found"}},
		{"no asset", "/static/x.js", 404, []string{"Không tìm thấy trang"}, []string{"Page not found"}},
	}
}

func inEnglish(address string) string {
	if strings.Contains(address, "?") {
		return address + "&lang=en"
	}
	return address + "?lang=en"
}

func TestEveryPageInBothLanguages(t *testing.T) {
	t.Parallel()
	h := pages(t, ordinary()...)
	for _, page := range everyPage() {
		for lang, says := range map[string][]string{"vi": page.vi, "en": page.en} {
			address := page.address
			if lang == "en" {
				address = inEnglish(address)
			}
			t.Run(page.name+" "+lang, func(t *testing.T) {
				t.Parallel()
				w := get(h, address)
				if w.Code != page.status {
					t.Errorf("%s answers %d, %d was expected", address, w.Code, page.status)
				}
				if got := w.Header().Get("Content-Language"); got != lang {
					t.Errorf("Content-Language is %q, %q was expected", got, lang)
				}
				said := text(t, w)
				for _, s := range says {
					if !strings.Contains(said, s) {
						t.Errorf("%s does not say %q; it says:\n%s", address, s, said)
					}
				}
				wantWellMade(t, w.Body.Bytes(), lang)
			})
		}
	}
}

// wantWellMade checks what holds for every page: one heading, names for what has
// none by itself, no id twice, nothing that runs, nothing from elsewhere.
func wantWellMade(t testing.TB, page []byte, lang string) {
	t.Helper()
	ids, headings := map[string]bool{}, 0
	for n := range parse(t, page).Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		wantHarmless(t, n)
		if id := attribute(n, "id"); id != "" && ids[id] {
			t.Errorf("id %q is there twice", id)
		} else if id != "" {
			ids[id] = true
		}
		switch n.Data {
		case "h1":
			headings++
		case "html":
			if got := attribute(n, "lang"); got != lang {
				t.Errorf("lang of the page is %q, %q was expected", got, lang)
			}
		case "svg":
			if attribute(n, "aria-label")+attribute(n, "aria-labelledby") == "" {
				t.Error("a picture has no name")
			}
		}
	}
	if headings != 1 {
		t.Errorf("the page has %d main headings, 1 was expected", headings)
	}
	for n := range parse(t, page).Descendants() {
		for _, name := range []string{"aria-describedby", "aria-labelledby", "for"} {
			for id := range strings.FieldsSeq(attribute(n, name)) {
				if !ids[id] {
					t.Errorf("%s of <%s> names %q, which is not there", name, n.Data, id)
				}
			}
		}
	}
}

// wantHarmless checks that an element runs nothing and fetches nothing from
// another site.
func wantHarmless(t testing.TB, n *html.Node) {
	t.Helper()
	switch n.Data {
	case "script", "iframe", "object", "embed", "style", "base":
		t.Errorf("the page has <%s>", n.Data)
	}
	for _, a := range n.Attr {
		switch {
		case strings.HasPrefix(a.Key, "on") || a.Key == "style":
			t.Errorf("<%s> has %s=%q", n.Data, a.Key, a.Val)
		case a.Key == "href" || a.Key == "src" || a.Key == "action":
			if u, err := url.Parse(a.Val); err != nil || u.Scheme != "" || u.Host != "" || strings.HasPrefix(a.Val, "//") {
				t.Errorf("<%s> leads elsewhere: %q", n.Data, a.Val)
			}
		}
	}
}

func TestHostileTextIsOnlyText(t *testing.T) {
	t.Parallel()
	for _, hostile := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`,
		`</title><script>alert(1)</script>`, `{{.Now}}`, `<!--`, `//evil.example`,
	} {
		t.Run(hostile, func(t *testing.T) {
			t.Parallel()
			hostileCode := "H41-" + hostile
			h := pages(t,
				dossier(hostileCode, 2, func(m *packetv1.MSyncDocument) {
					m.CitizenName, m.DocTypeName, m.DocTypeCode = hostile, hostile, hostile
					m.ProcessingOrganName, m.OrganInchargeName = hostile, hostile
				}),
				progress(hostileCode, 6, 4, hostile),
				survey(9, hostile),
			)
			for _, address := range []string{
				"/ho-so?code=" + url.QueryEscape(hostileCode), "/ho-so?code=" + url.QueryEscape(hostile),
				"/khao-sat/H41", "/" + url.PathEscape(hostile), "/?lang=" + url.QueryEscape(hostile),
			} {
				w := get(h, address)
				wantWellMade(t, w.Body.Bytes(), "vi")
				if strings.Contains(address, "H41") && (w.Code != http.StatusOK || !strings.Contains(text(t, w), hostile)) {
					t.Errorf("%s answers %d and does not show the text as it is", address, w.Code)
				}
			}
		})
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	appointed := func(d, hour int) func(*packetv1.MSyncDocument) {
		return func(m *packetv1.MSyncDocument) { m.DateAppointed = at(d, hour) }
	}
	finished := func(d int) func(*packetv1.MSyncDocument) {
		return func(m *packetv1.MSyncDocument) { m.FinishedDate = at(d, 8) }
	}
	returned := func(d int) func(*packetv1.MSyncDocument) {
		return func(m *packetv1.MSyncDocument) { m.IsReturned, m.ReturnedDate = true, at(d, 8) }
	}
	for name, test := range map[string]struct {
		status int32
		change []func(*packetv1.MSyncDocument)
		vi, en string
	}{
		"days left":                 {4, []func(*packetv1.MSyncDocument){appointed(13, 8)}, "Còn 3 ngày", "3 days left"},
		"one day left":              {4, []func(*packetv1.MSyncDocument){appointed(11, 8)}, "Còn 1 ngày", "1 day left"},
		"due later today":           {4, []func(*packetv1.MSyncDocument){appointed(10, 17)}, "Đến hạn hôm nay", "Due today"},
		"due today without an hour": {4, []func(*packetv1.MSyncDocument){appointed(10, 0)}, "Đến hạn hôm nay", "Due today"},
		"overdue since the morning": {4, []func(*packetv1.MSyncDocument){appointed(10, 8)}, "Quá hạn hôm nay", "Overdue since today"},
		"overdue":                   {4, []func(*packetv1.MSyncDocument){appointed(9, 17)}, "Quá hạn 1 ngày", "Overdue by 1 day"},
		"finished in time":          {9, []func(*packetv1.MSyncDocument){appointed(8, 17), finished(8)}, "Đúng hạn", "In time"},
		"finished late":             {9, []func(*packetv1.MSyncDocument){appointed(8, 17), finished(9)}, "Trễ hạn", "Late"},
		"fetched late, ready when?": {10, []func(*packetv1.MSyncDocument){appointed(8, 17), returned(9)}, "", ""},
		"fetched in time":           {10, []func(*packetv1.MSyncDocument){appointed(8, 17), returned(7)}, "Đúng hạn", "In time"},
		"withdrawn":                 {7, []func(*packetv1.MSyncDocument){appointed(8, 17), finished(9)}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := pages(t, dossier(code, test.status, test.change...))
			for lang, want := range map[string]string{"vi": test.vi, "en": test.en} {
				w := get(h, "/ho-so?code="+code+map[string]string{"vi": "", "en": "&lang=en"}[lang])
				if got := deadlineOf(t, w); got != want {
					t.Errorf("deadline in %s is %q, %q was expected", lang, got, want)
				}
			}
		})
	}
}

// deadlineOf returns what the second badge says.
func deadlineOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	for n := range parse(t, w.Body.Bytes()).Descendants() {
		if strings.HasPrefix(attribute(n, "class"), "badge quiet") {
			return n.LastChild.Data
		}
	}
	return ""
}

func TestAddressesHaveOneSpelling(t *testing.T) {
	t.Parallel()
	h := pages(t, ordinary()...)
	for address, want := range map[string]string{
		"/ho-so?code=h41.04-240105-0007":                  "/ho-so?code=" + code,
		"/ho-so?code=+H41.04-240105-0007+&lang=en":        "/ho-so?code=" + code + "&lang=en",
		"/thong-ke/000.00.00.H41":                         "/thong-ke/H41",
		"/khao-sat/h41?lang=en":                           "/khao-sat/H41?lang=en",
		"/thong-ke/H41?code=https://evil.example&lang=en": "",
	} {
		w := get(h, address)
		if got := w.Header().Get("Location"); got != want {
			t.Errorf("%s leads to %q, %q was expected", address, got, want)
		}
		if want != "" && w.Code != http.StatusFound && w.Code != http.StatusMovedPermanently {
			t.Errorf("%s answers %d, a redirect was expected", address, w.Code)
		}
	}
}

// Each page links to itself in the other language.
func TestLanguagesLinkToEachOther(t *testing.T) {
	t.Parallel()
	h := pages(t, ordinary()...)
	other := regexp.MustCompile(`<a href="([^"]*)" lang="(vi|en)" hreflang`)
	for _, page := range everyPage() {
		w := get(h, page.address)
		match := other.FindStringSubmatch(w.Body.String())
		if match == nil || match[2] != "en" {
			t.Errorf("%s has no link to English", page.address)
			continue
		}
		switched := get(h, html.UnescapeString(match[1]))
		if w.Code == http.StatusOK && switched.Code != http.StatusOK {
			t.Errorf("%s in English, %s, answers %d", page.address, match[1], switched.Code)
		}
		if got := switched.Header().Get("Content-Language"); got != "en" {
			t.Errorf("%s leads to %s, which is in %q", page.address, match[1], got)
		}
	}
}

func TestStagesShowHowFarADossierIs(t *testing.T) {
	t.Parallel()
	for status, want := range map[int32]string{
		1: "Đăng ký", 2: "Tiếp nhận", 4: "Xử lý", 5: "Xử lý", 6: "Xử lý", 9: "Có kết quả", 10: "Trả kết quả", 3: "", 7: "", 8: "", 77: "",
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			w := get(pages(t, dossier(code, status)), "/ho-so?code="+code)
			got := ""
			for n := range parse(t, w.Body.Bytes()).Descendants() {
				if attribute(n, "aria-current") == "step" {
					got = n.FirstChild.FirstChild.Data
				}
			}
			if got != want {
				t.Errorf("the current stage is %q, %q was expected", got, want)
			}
		})
	}
}

func TestTimelineTellsDossierDates(t *testing.T) {
	t.Parallel()
	h := pages(t, dossier(code, 10, func(m *packetv1.MSyncDocument) {
		m.HasSupplementary = proto.Bool(true)
		m.Supplementaries = []*packetv1.Supplementary{{
			SupplementaryId: 1, SendUser: "Trần Văn Bình", SendComment: "Bổ sung bản sao", SendDate: at(6, 8),
			IsReceived: true, ReceivedDate: at(7, 8), OldDateAppointed: at(12, 17),
		}}
		m.IsSuccess, m.SuccessDate, m.IsReturned, m.ReturnedDate = true, at(8, 8), true, at(9, 8)
	}))
	said := text(t, get(h, "/ho-so?code="+code+"&lang=en"))
	last := 0
	for _, step := range []string{
		"05/01/2024 08:00 Dossier received", "06/01/2024 08:00 Supplement asked for", "07/01/2024 08:00 Supplement received",
		"08/01/2024 08:00 Processing ended", "09/01/2024 08:00 Result handed over",
	} {
		found := strings.Index(said[last:], step)
		if found < 0 {
			t.Fatalf("%q does not follow in the timeline; the page says:\n%s", step, said)
		}
		last += found
	}
}

func TestPercentagesAreShort(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string]string{
		"95": "95%", "33.333333333333336": "33,33%", "99.999": "100,00%", "7.25": "7,25%", "0": "0%",
	} {
		t.Run(sent, func(t *testing.T) {
			t.Parallel()
			results := survey(9)
			m := results.message.(*packetv1.MVotes) //nolint:forcetypeassert // made so
			m.PercentBad = sent
			said := text(t, get(pages(t, results), "/khao-sat/H41"))
			if !strings.Contains(said, "Không hài lòng "+want) {
				t.Errorf("%s is not shown as %s; the page says:\n%s", sent, want, said)
			}
		})
	}
}
