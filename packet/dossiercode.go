package packet

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// DossierKey returns what all spellings of one dossier code have in common: no
// white space around it, composed capital letters, and the organisation it begins
// with in its canonical form, so that 000.00.04.H41-240101-0002 and
// H41.04-240101-0002 are one dossier. It is to compare and to look up by, not to
// show. DossierKey of a key is that key.
func DossierKey(code string) string {
	key := strings.TrimSpace(code)
	if ascii(key) { // nothing to compose
		key = strings.ToUpper(key)
	} else {
		key = norm.NFC.String(strings.ToUpper(norm.NFC.String(key)))
	}
	prefix, rest, cut := strings.Cut(key, "-")
	if o, err := ParseOrganisation(prefix); cut && err == nil && o.String() != prefix {
		return o.String() + "-" + rest
	}
	return key
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
