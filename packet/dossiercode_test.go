package packet_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/packet"
)

func TestSpellingsOfOneDossierCodeHaveOneKey(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"H41.04-240101-0002":            "H41.04-240101-0002",
		"000.00.04.H41-240101-0002":     "H41.04-240101-0002",
		"\n 000.00.04.h41-240101-0002 ": "H41.04-240101-0002",
		"H41.04.00-240101-0002":         "H41.04-240101-0002",
		"H41-240101-0002":               "H41-240101-0002",
		"000.00.04.H41-240101-0002-a":   "H41.04-240101-0002-A",
		"000.00.04.H41":                 "000.00.04.H41",
		"HS-e\u0302\u0301":              "HS-Ế",
		"00.04.41-240101-0002":          "00.04.41-240101-0002",
		"000.00.04.H41/240101-0002":     "000.00.04.H41/240101-0002",
		"1.011442.000.00.00.H41-1":      "1.011442.000.00.00.H41-1",
		"":                              "",
		"-":                             "-",
	} {
		if got := packet.DossierKey(code); got != want {
			t.Errorf("%q: got %q, want %q", code, got, want)
		}
	}
}

func TestKeysOfKeysAreThemselves(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ GHh0-9.]{0,14}-[0-9]{0,6}(-[0-9a-zŉΐế]{0,4})?`)).Draw(t, "code")
		key := packet.DossierKey(code)
		if again := packet.DossierKey(key); again != key {
			t.Fatalf("%q has the key %q, and that %q", code, key, again)
		}
	})
}
