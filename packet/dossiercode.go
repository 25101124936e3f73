package packet

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// DossierKey returns what all spellings of one dossier code have in common: no
// white space around it, composed capital letters, and the organisation it begins
// with in its canonical form, so that 000.00.04.H41-240101-0002 and
// H41.04-240101-0002 are one dossier. It is to compare and to look up by, not to
// show. DossierKey of a key is that key.
func DossierKey(code string) string {
	key := norm.NFC.String(strings.ToUpper(norm.NFC.String(strings.TrimSpace(code))))
	prefix, rest, cut := strings.Cut(key, "-")
	if o, err := ParseOrganisation(prefix); cut && err == nil {
		return o.String() + "-" + rest
	}
	return key
}
