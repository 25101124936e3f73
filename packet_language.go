package main

import (
	"fmt"
	"math"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	xlanguage "golang.org/x/text/language"
	"golang.org/x/text/message"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// speech is the language that a command speaks.
type speech string

const (
	vietnamese speech = "vi"
	english    speech = "en"
)

func speechOf(lang string) (speech, error) {
	switch s := speech(lang); s {
	case vietnamese, english:
		return s, nil
	}
	return "", usage("--lang %q: vi and en are allowed", lang)
}

// of returns the text that is in this language.
func (s speech) of(vi, en string) string {
	if s == vietnamese {
		return vi
	}
	return en
}

// both returns a text in the language that --lang asks for. Where it was not given, in
// both: who is asked for help may read the other one.
func (s speech) both(cmd *cobra.Command, vi, en, between string) string {
	if flag := cmd.Flags().Lookup("lang"); flag != nil && flag.Changed || vi == en {
		return s.of(vi, en)
	}
	return s.of(vi, en) + between + s.of(en, vi)
}

// message returns a finding's text.
func (s speech) message(f *packetv1.Finding) string { return s.of(f.GetMessageVi(), f.GetMessageEn()) }

// told returns a finding's text with what was sent and, of a liberty, what that was
// read as; unless the text repeats it already.
func (s speech) told(f *packetv1.Finding) string {
	text := s.message(f)
	sent := `"` + f.GetSent() + `"`
	if f.GetSent() == "" || strings.Contains(text, sent) {
		return text
	}
	text += s.of("; đã gửi ", "; sent ") + sent
	if f.GetUnderstood() != "" {
		text += s.of(", hiểu là ", ", read as ") + `"` + f.GetUnderstood() + `"`
	}
	return text
}

// sprintf writes numbers as the language does: 1,234.5 or 1.234,5.
func (s speech) sprintf(format string, args ...any) string {
	return message.NewPrinter(xlanguage.Make(string(s))).Sprintf(format, args...)
}

// duration says how long something takes, as exactly as anybody wants to know.
func (s speech) duration(seconds float64) string {
	switch {
	case seconds < 1:
		return s.sprintf("%d ms", int(math.Ceil(seconds*1000)))
	case seconds < 60:
		return s.sprintf(s.of("%.1f giây", "%.1f s"), seconds)
	}
	whole := int(seconds)
	return s.sprintf(s.of("%d phút %d giây", "%d min %d s"), whole/60, whole%60)
}

// severity returns the word for how grave a finding is.
func (s speech) severity(f *packetv1.Finding) string {
	if f.GetSeverity() == packetv1.Severity_SEVERITY_WARNING {
		return s.of("cảnh báo", "warning")
	}
	return s.of("lỗi", "error")
}

// langFlag declares --lang, which follows the environment where it is not given.
func langFlag(cmd *cobra.Command, lang *string, what string) {
	cmd.Flags().StringVar(lang, "lang", defaultLanguage(), what+": vi or en; by default that of LC_ALL, LC_MESSAGES or LANG")
	offer(cmd, "lang", []string{string(vietnamese), string(english)})
}

// defaultLanguage is the one that the environment asks for.
func defaultLanguage() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if value := os.Getenv(name); value != "" {
			if strings.HasPrefix(value, string(vietnamese)) {
				return string(vietnamese)
			}
			return string(english)
		}
	}
	return string(english)
}

// printable returns a text in which nothing can command a terminal: what is sent
// by others, and names of files, are printed.
func printable(text string) string {
	if utf8.ValidString(text) && strings.IndexFunc(text, commands) < 0 {
		return text
	}
	var b strings.Builder
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, "\\x%02x", text[0])
		case commands(r):
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
		text = text[size:]
	}
	return b.String()
}

// commands tells characters that are no text: controls, and those that reorder
// what is around them.
func commands(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}
