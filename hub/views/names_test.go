package views_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

func TestNamesAreMasked(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Nguyễn Thị Ánh Tuyết":              "N*** T*** Á*** T***",
		"  Nguyễn\tThị \u00a0Ánh  Tuyết ":   "N*** T*** Á*** T***",
		"A\u0301nh":                         "Á***",
		"E\u0302\u0301 a":                   "Ế*** a***",
		"CÔNG TY TNHH A&B":                  "C*** T*** T*** A***",
		"(Ông) Đỗ Y":                        "Ô*** Đ*** Y***",
		"040190012345":                      "***",
		"An 0912345678":                     "A*** ***",
		"-":                                 "***",
		strings.Repeat("An ", 40):           strings.TrimSpace(strings.Repeat("A*** ", 16)),
		"a" + strings.Repeat("\u0301", 200): "á***",
	} {
		t.Run(fmt.Sprintf("%.24q", name), func(t *testing.T) {
			t.Parallel()
			b := follow(t)
			b.accept("H41", synced(2, func(m *packetv1.MSyncDocument) { m.CitizenName = name }))
			if got := b.dossier(code).GetApplicantMasked(); got != want {
				t.Errorf("masked name is %q, %q was expected", got, want)
			}
		})
	}
}

// Whatever was written for a name, each word shows one letter of its own at most.
func TestMaskedNamesShowOneLetterOfAWord(t *testing.T) {
	t.Parallel()
	b := follow(t)
	masked := regexp.MustCompile(`^(\pL\p{Mn}{0,2})?\*\*\*$`)
	names := rapid.StringOfN(rapid.RuneFrom([]rune("  ẾĐ*"), unicode.L, unicode.Mn, unicode.Nd, unicode.P, unicode.Zs), 1, 60, -1)
	number := 0
	rapid.Check(t, func(t *rapid.T) {
		name := names.Draw(t, "name")
		if strings.TrimSpace(name) == "" {
			return
		}
		number++
		code := fmt.Sprintf("H41-240101-%d", number)
		b.accept("H41", synced(2, func(m *packetv1.MSyncDocument) { m.DocCode, m.CitizenName = code, name }))
		words, shown := strings.Fields(name), strings.Fields(b.dossier(code).GetApplicantMasked())
		if len(shown) != min(len(words), 16) {
			t.Fatalf("%q has %d words, masked %q has %d", name, len(words), shown, len(shown))
		}
		for i, word := range shown {
			letter := strings.TrimSuffix(word, "***")
			if !masked.MatchString(word) || !strings.Contains(norm.NFC.String(words[i]), letter) {
				t.Fatalf("word %q is shown as %q", words[i], word)
			}
		}
	})
}
