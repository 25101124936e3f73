package views

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/lienthong/lienthong/packet"
)

// Longest texts that are kept, in characters.
const (
	codeText  = 100
	shortText = 120
	longText  = 300
)

// maxWords bounds a masked name.
const maxWords = 16

// clip returns a text of at most n characters, marked where it was cut, without
// what would move or hide the text around it.
func clip(s string, n int) string {
	s = strings.TrimSpace(strings.Map(visible, strings.ToValidUTF8(s, "\uFFFD")))
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	runes := 0
	for at := range s {
		if runes++; runes == n {
			return s[:at] + "…"
		}
	}
	return s
}

// visible makes control characters a space and drops marks of writing direction.
func visible(r rune) rune {
	switch {
	case unicode.IsControl(r):
		return ' '
	case unicode.Is(unicode.Bidi_Control, r):
		return -1
	default:
		return r
	}
}

// displayCode returns a dossier code as it is shown.
func displayCode(code string) string { return strings.TrimSpace(code) }

// dossierKey returns what a dossier is kept under: spellings of one code are
// one. It returns false for a text that is no code.
func dossierKey(code string) (string, bool) {
	code = displayCode(code)
	if code == "" || len(code) > codeText*utf8.UTFMax || !utf8.ValidString(code) ||
		utf8.RuneCountInString(code) > codeText || strings.IndexFunc(code, unprintable) >= 0 {
		return "", false
	}
	return packet.DossierKey(code), true
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// maskName returns a name of which only the first letter of each word is left:
// "N*** T*** Á*** T***". Words without a letter show nothing.
func maskName(name string) string {
	words := strings.Fields(clip(name, longText))
	masked := make([]string, min(len(words), maxWords))
	for i := range masked {
		masked[i] = firstLetter(words[i]) + "***"
	}
	return strings.Join(masked, " ")
}

// firstLetter returns the first letter of a word with its marks, whether they
// were written as one character or several.
func firstLetter(word string) string {
	word = norm.NFC.String(word)
	start := strings.IndexFunc(word, unicode.IsLetter)
	if start < 0 {
		return ""
	}
	_, size := utf8.DecodeRuneInString(word[start:])
	letter, rest := word[start:start+size], word[start+size:]
	if marks := strings.IndexFunc(rest, func(r rune) bool { return !unicode.Is(unicode.Mn, r) }); marks >= 0 {
		rest = rest[:marks]
	}
	if utf8.RuneCountInString(rest) > 2 { // no letter of any name has more
		return letter
	}
	return letter + rest
}

// officialPosition returns the position of an official, empty where the sender
// wrote the official's name into it.
func officialPosition(position, name string) string {
	if name = fold(name); name != "" && strings.Contains(fold(position), name) {
		return ""
	}
	return clip(position, shortText)
}

// fold returns a text as it is compared: composed, in small letters, with
// single spaces.
func fold(s string) string {
	return strings.Join(strings.Fields(norm.NFC.String(strings.ToLower(s))), " ")
}
