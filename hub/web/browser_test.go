package web_test

import (
	"context"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// phone is a real browser in the size of a phone.
type phone struct {
	t   *testing.T
	ctx context.Context
}

const phoneWidth, phoneHeight = 390, 844

func newPhone(t *testing.T) phone {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("chromium is needed (make tools installs it): %v", err)
	}
	ctx, stop := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true))
	t.Cleanup(stop)
	ctx, leave := chromedp.NewContext(ctx)
	t.Cleanup(leave)
	p := phone{t, ctx}
	p.do("take the phone", chromedp.EmulateViewport(phoneWidth, phoneHeight, chromedp.EmulateMobile, chromedp.EmulateTouch))
	return p
}

func (p phone) do(step string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatalf("%s: %v", step, err)
	}
}

// read returns what an element says, its white space made single.
func (p phone) read(selector string) string {
	p.t.Helper()
	said, err := chromedp.Run(p.ctx, chromedp.Text(chromedp.CSS(selector)))
	if err != nil {
		p.t.Fatalf("read %s: %v", selector, err)
	}
	return strings.Join(strings.Fields(said), " ")
}

func (p phone) wantFits(page string) {
	p.t.Helper()
	width, err := chromedp.Run(p.ctx, chromedp.Evaluate[int]("document.documentElement.scrollWidth"))
	if err != nil || width > phoneWidth {
		p.t.Errorf("the %s is %d wide, at most %d was expected (error %v)", page, width, phoneWidth, err)
	}
}

// A person with a phone types a code, reads the timeline, and switches to
// English.
func TestOnAPhone(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(pages(t, ordinary()...))
	t.Cleanup(server.Close)
	p := newPhone(t)
	p.do("open the page", chromedp.Navigate(server.URL))
	p.wantFits("home page")
	p.do("look the code up", chromedp.SendKeys(chromedp.CSS("#code"), strings.ToLower(code)),
		chromedp.Click(chromedp.CSS(".search button")), chromedp.WaitVisible(chromedp.CSS(".timeline")))
	want := "05/01/2024 08:00 Tiếp nhận hồ sơ UBND tỉnh Nghệ An 06/01/2024 09:00 Đang xử lý Chuyên viên · UBND tỉnh Nghệ An" +
		" 12/01/2024 17:00 Hẹn trả kết quả Còn 2 ngày"
	if got := p.read(".timeline"); got != want {
		t.Errorf("the timeline says %q, %q was expected", got, want)
	}
	if got := p.read(".applicant"); got != "N*** T*** Á*** T***" {
		t.Errorf("the applicant is shown as %q", got)
	}
	p.wantFits("dossier")
	p.do("switch to English", chromedp.Click(chromedp.CSS(`.languages a[lang="en"]`)),
		chromedp.WaitVisible(chromedp.CSS(`html[lang="en"] .timeline`)))
	if got := p.read(".timeline"); !strings.HasPrefix(got, "05/01/2024 08:00 Dossier received") {
		t.Errorf("the timeline says %q in English", got)
	}
	address, err := chromedp.Run(p.ctx, chromedp.Location())
	if want := server.URL + "/ho-so?code=" + code + "&lang=en"; err != nil || address != want {
		t.Errorf("the address is %q, %q was expected (error %v)", address, want, err)
	}
	for _, path := range []string{"/thong-ke", "/thong-ke/H41", "/khao-sat", "/khao-sat/H41", "/ho-so?code=H41-1"} {
		p.do("open "+path, chromedp.Navigate(server.URL+path))
		p.wantFits("page " + path)
	}
}
