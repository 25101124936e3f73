package packet

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// patternTable decides whether a text matches a pattern by one look-up a byte.
// The patterns of the rules are short and speak of ASCII, which is all that it can
// say; others are left to package regexp.
type patternTable struct {
	next  [][utf8.RuneSelf]uint8 // state after a byte; 0 is lost for good
	final []bool                 // states a text may end in
}

const (
	lost     = 0
	started  = 1
	maxTable = 96 // states; each character of one more may lead to another
)

func (p *patternTable) matches(s string) bool {
	state := uint8(started)
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
		if state = p.next[state][s[i]]; state == lost {
			return false
		}
	}
	return p.final[state]
}

// tabulate turns a pattern into a table; nil where it is not one that begins with
// ^, ends with $, is all ASCII and is small.
func tabulate(pattern *regexp.Regexp) *patternTable {
	parsed, err := syntax.Parse(pattern.String(), syntax.Perl)
	if err != nil {
		return nil
	}
	parsed = parsed.Simplify()
	prog, err := syntax.Compile(parsed)
	if err != nil || !wholeText(parsed) || !plainProgram(prog) {
		return nil
	}
	t := &patternTable{next: make([][utf8.RuneSelf]uint8, started+1), final: make([]bool, started+1)}
	states := [][]uint32{lost: nil, started: reached(prog, nil, uint32(prog.Start))} //nolint:gosec // small
	for state := started; state < len(states); state++ {
		if len(states) > maxTable {
			return nil
		}
		t.final[state] = slices.ContainsFunc(states[state], func(pc uint32) bool { return prog.Inst[pc].Op == syntax.InstMatch })
		for c := range byte(utf8.RuneSelf) {
			var after []uint32
			for _, pc := range states[state] {
				if inst := &prog.Inst[pc]; inst.Op == syntax.InstRune || inst.Op == syntax.InstRune1 {
					if inst.MatchRune(rune(c)) {
						after = reached(prog, after, inst.Out)
					}
				}
			}
			to := slices.IndexFunc(states, func(known []uint32) bool { return slices.Equal(known, after) })
			if to < 0 {
				to = len(states)
				states = append(states, after)
				t.next, t.final = append(t.next, [utf8.RuneSelf]uint8{}), append(t.final, false)
			}
			t.next[state][c] = uint8(to) //nolint:gosec // under maxTable
		}
	}
	return t
}

// wholeText reports whether a pattern is ^ and $ around something without either.
func wholeText(r *syntax.Regexp) bool {
	if r.Op != syntax.OpConcat || len(r.Sub) < 2 {
		return false
	}
	last := len(r.Sub) - 1
	return r.Sub[0].Op == syntax.OpBeginText && r.Sub[last].Op == syntax.OpEndText
}

// plainProgram reports whether a program asks for nothing but ASCII characters,
// and for the ends of the text at the ends of the pattern.
func plainProgram(prog *syntax.Prog) bool {
	begins, ends := 0, 0
	for i := range prog.Inst {
		switch inst := &prog.Inst[i]; inst.Op {
		case syntax.InstRune, syntax.InstRune1:
			for _, r := range inst.Rune {
				if r >= utf8.RuneSelf {
					return false
				}
			}
			if syntax.Flags(inst.Arg)&syntax.FoldCase != 0 {
				return false
			}
		case syntax.InstEmptyWidth:
			switch syntax.EmptyOp(inst.Arg) {
			case syntax.EmptyBeginText:
				begins++
			case syntax.EmptyEndText:
				ends++
			default:
				return false
			}
		case syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			return false
		}
	}
	return begins == 1 && ends == 1
}

// reached adds the instructions at or behind pc, up to those that wait for a
// character or for the end.
func reached(prog *syntax.Prog, known []uint32, pc uint32) []uint32 {
	at, found := slices.BinarySearch(known, pc)
	if found {
		return known
	}
	known = slices.Insert(known, at, pc)
	switch inst := &prog.Inst[pc]; inst.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		return reached(prog, reached(prog, known, inst.Out), inst.Arg)
	case syntax.InstCapture, syntax.InstNop, syntax.InstEmptyWidth:
		return reached(prog, known, inst.Out)
	default:
		return known
	}
}
