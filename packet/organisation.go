package packet

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrOrganisation means that a text is not an organisation code. Its text says
// what is allowed.
var ErrOrganisation = errors.New("not an organisation code; allowed are level1.level2.level3.level4 (G12.18) and, with zeros for unused levels, level4.level3.level2.level1 (000.00.18.G12)")

const (
	maxLevels = 4
	// maxCode is the longest text that is looked at.
	maxCode = 64
)

// Organisation is an agency by its code, in the one canonical form: the 2020
// spelling without unused levels, "G12.18". Values are comparable; the zero value
// is no organisation, contains nothing and is contained in nothing.
//
// Source: the code lists of QCVN 102:2016/BTTTT (level 4 first) and of Decision
// 20/2020/QĐ-TTg (level 1 first).
type Organisation struct{ code string }

// ParseOrganisation reads either spelling; ErrOrganisation where it is neither.
// Small letters and surrounding white space are forgiven.
func ParseOrganisation(s string) (Organisation, error) {
	code := strings.TrimSpace(s)
	if len(code) > maxCode {
		return Organisation{}, fmt.Errorf("a text of %d bytes is %w", len(s), ErrOrganisation)
	}
	code = upper(code)
	levels, ok := levelsOf(code)
	if !ok {
		return Organisation{}, fmt.Errorf("%.64q is %w", s, ErrOrganisation)
	}
	used := 1
	for i := range levels {
		if strings.Trim(levels[i], "0") != "" {
			used = i + 1
		}
	}
	canonical := strings.Join(levels[:used], ".")
	return Organisation{strings.Clone(canonical)}, nil // not the whole text with it
}

// upper returns a text with its letters of ASCII in capitals. Others have none that
// would not make another code of it.
func upper(s string) string {
	if !strings.ContainsFunc(s, func(c rune) bool { return c >= 'a' && c <= 'z' }) {
		return s
	}
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' {
			return c - 'a' + 'A'
		}
		return c
	}, s)
}

// levelsOf splits a code in either spelling into its levels, the first one first;
// false where it is no code. Levels that are not there are empty.
func levelsOf(code string) (levels [maxLevels]string, ok bool) {
	count := 0
	for more := true; more; count++ {
		if count == maxLevels {
			return levels, false
		}
		levels[count], code, more = strings.Cut(code, ".")
	}
	if count == maxLevels && isLevel1(levels[maxLevels-1]) && !isLevel1(levels[0]) {
		slices.Reverse(levels[:])
	}
	if !isLevel1(levels[0]) {
		return levels, false
	}
	for _, level := range levels[1:count] {
		if !isLower(level) {
			return levels, false
		}
	}
	return levels, true
}

// String returns the canonical code; empty for the zero value.
func (o Organisation) String() string { return o.code }

// Contains reports whether other is o or below it: H41 contains H41.01.02, and
// neither H4 nor H411.
func (o Organisation) Contains(other Organisation) bool {
	return o.code != "" && (o == other || strings.HasPrefix(other.code, o.code+"."))
}

// Level1 returns the ministry or province that o belongs to.
func (o Organisation) Level1() Organisation {
	code, _, _ := strings.Cut(o.code, ".")
	return Organisation{code}
}

// Up returns o and everything that contains it, lowest first.
func (o Organisation) Up() []Organisation {
	var all []Organisation
	for code := o.code; code != ""; {
		all = append(all, Organisation{code})
		at := strings.LastIndexByte(code, '.')
		code = code[:max(at, 0)]
	}
	return all
}

// isLevel1 reports whether s is one capital letter and one to three digits.
func isLevel1(s string) bool {
	return len(s) >= 2 && len(s) <= 4 && s[0] >= 'A' && s[0] <= 'Z' && isDigits(s[1:])
}

// isLower reports whether s is the code of a level below the first.
func isLower(s string) bool { return len(s) >= 1 && len(s) <= 3 && isDigits(s) }

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
