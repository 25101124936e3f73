package packet_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/packet"
)

func parse(t interface{ Fatalf(string, ...any) }, s string) packet.Organisation {
	o, err := packet.ParseOrganisation(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return o
}

func TestParseOrganisationReadsBothSpellings(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"000.00.18.G12": "G12.18", "G12.18": "G12.18", "000.00.00.H41": "H41", "H41": "H41", "H41.00.00.000": "H41",
		"007.02.01.H41": "H41.01.02.007", "H41.01.02.007": "H41.01.02.007", " h41.01 ": "H41.01", "000.00.04.h41": "H41.04",
	} {
		if got := parse(t, s).String(); got != want {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	}
	for _, s := range []string{
		"", " ", ".", "H", "41", "Nghệ An", "H41.", ".H41", "H41..01", "H41.1234", "H41.0A", "HH41", "H1234", "H41.01.02.03.04",
		"18.G12", "000.00.18.12", "G12.18.00.H41", "H41/motcua", strings.Repeat("H", 1<<20), "H41" + strings.Repeat(".", 1<<20),
	} {
		o, err := packet.ParseOrganisation(s)
		if !errors.Is(err, packet.ErrOrganisation) || o != (packet.Organisation{}) {
			t.Errorf("%.20q: got %v, %v; want ErrOrganisation", s, o, err)
		} else if len(err.Error()) > 300 {
			t.Errorf("%.20q: the error has %d bytes", s, len(err.Error()))
		}
	}
}

func TestOrganisationContainsItselfAndWhatIsBelow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		above, below string
		want         bool
	}{
		{"H41", "H41", true}, {"H41", "H41.01.02", true}, {"H41.01", "000.02.01.H41", true}, {"H4", "H41", false},
		{"H41", "H411", false}, {"H41.01", "H41", false}, {"H41.1", "H41.10", false}, {"G12", "H12", false},
	} {
		if got := parse(t, c.above).Contains(parse(t, c.below)); got != c.want {
			t.Errorf("%s contains %s: got %t", c.above, c.below, got)
		}
	}
	if zero := (packet.Organisation{}); zero.Contains(zero) || zero.Contains(parse(t, "H41")) || parse(t, "H41").Contains(zero) || zero.Up() != nil {
		t.Error("the zero value contains something, or is contained")
	}
}

func TestOrganisationsAreConsistent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		levels := append([]string{rapid.StringMatching(`[A-Z][0-9]{1,3}`).Draw(t, "level 1")},
			rapid.SliceOfN(rapid.StringMatching(`[0-9]{1,3}`), 0, 3).Draw(t, "below")...)
		o := parse(t, strings.Join(levels, "."))
		if again := parse(t, o.String()); again != o {
			t.Fatalf("%s read again is %s", o, again)
		}
		for len(levels) < 4 {
			levels = append(levels, "00")
		}
		old := levels[3] + "." + levels[2] + "." + levels[1] + "." + levels[0]
		if parse(t, old) != o {
			t.Fatalf("%s and %s differ", old, o)
		}
		up := o.Up()
		if up[0] != o || up[len(up)-1] != o.Level1() {
			t.Fatalf("above %s: %v", o, up)
		}
		for i, above := range up {
			if !above.Contains(o) || i > 0 && up[i-1].Contains(above) {
				t.Fatalf("above %s: %v", o, up)
			}
		}
	})
}
