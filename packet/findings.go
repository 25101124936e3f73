package packet

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// InvalidError means that a packet is refused. Findings holds every violation
// and every warning, in the order of the text; of very many, the first.
type InvalidError struct {
	Findings []*packetv1.Finding

	violations int
	cause      error
}

// Violations counts what refuses the packet, also what Findings has no room for.
func (e *InvalidError) Violations() int {
	count := 0
	for _, f := range e.Findings {
		if f.GetSeverity() != packetv1.Severity_SEVERITY_WARNING {
			count++
		}
	}
	return max(count, e.violations)
}

// Error counts the violations and names the rule and place of the first. It
// never holds what was sent.
func (e *InvalidError) Error() string {
	first := slices.IndexFunc(e.Findings, func(f *packetv1.Finding) bool {
		return f.GetSeverity() != packetv1.Severity_SEVERITY_WARNING
	})
	if first < 0 {
		return "the packet is refused"
	}
	place := e.Findings[first].GetRule()
	if f := e.Findings[first]; f.GetLine() > 0 {
		place += fmt.Sprintf(" at %d:%d", f.GetLine(), f.GetColumn())
	}
	if count := e.Violations(); count > 1 {
		return fmt.Sprintf("the packet is refused: %d violations, the first %s", count, place)
	}
	return "the packet is refused: " + place
}

// Unwrap returns ErrUnknownPacket where that is why; nil else.
func (e *InvalidError) Unwrap() error { return e.cause }

// A packet gets so many violations and so many warnings, and so many bytes of each;
// what is beyond is counted.
const (
	maxFindings     = 1000
	maxFindingBytes = 128 << 10
)

// maxSent is how much of what was sent a finding repeats, in characters.
const maxSent = 80

// text is a message in both languages.
type text struct{ en, vi string }

// found is a finding that has not been located yet.
type found struct {
	offset  int // in reading.text
	finding *packetv1.Finding
}

// remark is what a finding says. What was sent is as it may be repeated.
type remark struct {
	rule             string
	text             text
	sent, understood string
}

// refuse reports a violation.
func (r *reading) refuse(where locus, offset int, m remark) {
	r.violations++
	r.add(&r.shownViolations, packetv1.Severity_SEVERITY_ERROR, where, offset, m)
}

// tolerate reports a liberty that was taken; a violation, in strict reading.
func (r *reading) tolerate(where locus, offset int, m remark) {
	if r.options.Strict {
		r.refuse(where, offset, m)
		return
	}
	r.hint(where, offset, m)
}

// hint reports what is suspect and may well be right: a warning, in strict reading
// too.
func (r *reading) hint(where locus, offset int, m remark) {
	r.warnings++
	r.add(&r.shownWarnings, packetv1.Severity_SEVERITY_WARNING, where, offset, m)
}

// showing is what is shown of the findings of one severity.
type showing struct {
	count, bytes int
	full         bool
}

// add keeps a finding, while there is room for those of its severity. What it says
// is only written for those that are kept: of the others there may be very many.
func (r *reading) add(shown *showing, severity packetv1.Severity, where locus, offset int, m remark) {
	if shown.full {
		return
	}
	field := r.fieldOf(where)
	shown.bytes += len(field) + len(m.sent) + len(m.understood) + len(m.text.en) + len(m.text.vi)
	if shown.full = shown.count == maxFindings || shown.count > 0 && shown.bytes > maxFindingBytes; shown.full {
		return
	}
	shown.count++
	r.found = append(r.found, found{offset, &packetv1.Finding{
		Severity: severity, Field: field, Rule: m.rule, Sent: m.sent, Understood: m.understood,
		MessageEn: m.text.en, MessageVi: m.text.vi,
	}})
}

// result locates the findings and returns them: as warnings, or as an error.
func (r *reading) result() ([]*packetv1.Finding, error) {
	if len(r.found) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(r.found, func(a, b found) int { return a.offset - b.offset })
	at := place{line: 1, column: 1}
	findings := make([]*packetv1.Finding, 0, len(r.found)+1)
	for _, f := range r.found {
		if r.located {
			at.advance(r.text, f.offset)
			f.finding.Line, f.finding.Column = at.line, at.column
		}
		findings = append(findings, f.finding)
	}
	if more := r.violations + r.warnings - len(r.found); more > 0 {
		t := textMore(r.violations-r.shownViolations.count, r.warnings-r.shownWarnings.count)
		findings = append(findings, &packetv1.Finding{
			Severity: packetv1.Severity_SEVERITY_WARNING, Field: r.path(0), Rule: ruleFindings, MessageEn: t.en, MessageVi: t.vi,
		})
	}
	if r.violations > 0 {
		return nil, &InvalidError{Findings: findings, violations: r.violations, cause: r.cause}
	}
	return findings, nil
}

// Shortened returns findings that take at most so many bytes in a message: all of them,
// or the first, and one that says how many more there were. One that said so before
// stays, too.
func Shortened(findings []*packetv1.Finding, most int) []*packetv1.Finding {
	left, first := most, 0 // first are as many as leave room for what counts the others
	for i, f := range findings {
		left -= sizeOfTag + protowire.SizeBytes(proto.Size(f))
		if left >= roomForMore {
			first = i + 1
		}
		if left < 0 {
			return append(slices.Clone(findings[:first]), notShown(findings[first:])...)
		}
	}
	return findings
}

const (
	// sizeOfTag is what a field of findings takes beside each.
	sizeOfTag = 1
	// roomForMore is more than two findings take that count others.
	roomForMore = 512
)

// notShown returns what stands for findings.
func notShown(findings []*packetv1.Finding) []*packetv1.Finding {
	document, _, _ := strings.Cut(findings[0].GetField(), ".")
	var counted []*packetv1.Finding
	if last := findings[len(findings)-1]; last.GetRule() == ruleFindings {
		counted, findings = append(counted, last), findings[:len(findings)-1]
	}
	warnings := 0
	for _, f := range findings {
		if f.GetSeverity() == packetv1.Severity_SEVERITY_WARNING {
			warnings++
		}
	}
	t := textMore(len(findings)-warnings, warnings)
	return append([]*packetv1.Finding{{
		Severity: packetv1.Severity_SEVERITY_WARNING, Field: document, Rule: ruleFindings, MessageEn: t.en, MessageVi: t.vi,
	}}, counted...)
}

// place is a position in a text, counted in characters from 1.
type place struct {
	offset       int
	line, column int32
}

// advance moves on to an offset that is not before the present one.
func (p *place) advance(s string, offset int) {
	offset = min(offset, len(s))
	for p.offset < offset {
		switch c := s[p.offset]; {
		case c == '\n', c == '\r' && !strings.HasPrefix(s[p.offset+1:], "\n"):
			p.line, p.column = p.line+1, 1
			p.offset++
		default:
			_, size := utf8.DecodeRuneInString(s[p.offset:])
			p.offset += size
			p.column++
		}
	}
}

// shown returns what was sent as a finding may repeat it: nothing readable of a
// person, and not more than fits a line.
func shown(sent string, personal bool) string {
	if personal {
		if sent == "" {
			return ""
		}
		return fmt.Sprintf("***(%d)", utf8.RuneCountInString(sent))
	}
	return cut(sent)
}

// cut returns the beginning of a text, in memory of its own: findings outlive what
// was read.
func cut(s string) string {
	count := 0
	for i := range s {
		if count++; count > maxSent {
			return strings.ToValidUTF8(s[:i], "\uFFFD") + "…"
		}
	}
	return strings.Clone(strings.ToValidUTF8(s, "\uFFFD"))
}
