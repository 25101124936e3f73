package packet

import (
	"math"
	"strconv"
	"strings"
)

// form is what a value was written as.
type form int

const (
	formText    form = iota // XML text or a JSON string
	formNumber              // a JSON number
	formBoolean             // JSON true or false
	formNull                // JSON null
)

// scalar is a value as it came.
type scalar struct {
	text string
	form form
}

// read reads a scalar as the field of a step means it. It returns false where there is no
// value to store: it is absent in a form that is allowed, or was refused; the
// findings say which.
func (r *reading) read(f *field, at int, v scalar) (value, bool) {
	if v.form == formNull {
		return r.null(f, at)
	}
	if len(v.text) > r.options.TextBytes {
		r.fail(at, ruleText, "", textTooLong(r.options.TextBytes))
		return value{}, false
	}
	switch f.kind {
	case kindInteger:
		return r.integer(f, at, v)
	case kindBoolean:
		return r.boolean(f, at, v)
	case kindDatetime:
		return r.datetime(f, at, v)
	case kindDecimal:
		return r.decimal(f, at, v)
	default:
		return r.str(f, at, v)
	}
}

// null reads a JSON null: no value, where none is allowed.
func (r *reading) null(f *field, at int) (value, bool) {
	switch {
	case f.Nullable || !f.Required:
	case f.kind == kindDecimal && f.minLen == 0:
		r.noNumber(f, at, "null")
		return value{text: ""}, true
	case f.kind == kindText && f.minLen == 0:
		r.warn(at, ruleAbsent, "null", "", r.say(textAbsent(f)))
		return value{text: ""}, true
	default:
		r.fail(at, ruleRequired, "null", textRequired(f))
	}
	return value{}, false
}

// noNumber reports a number that is not there, in the form in which that is
// written here: strict reading says so too, and does not refuse.
func (r *reading) noNumber(f *field, at int, sent string) {
	r.hint(locus{step: at}, r.steps[at].offset, remark{rule: ruleAbsent, text: textAbsent(f).taken, sent: sent})
}

// empty reads an empty element of a type that has no empty value.
func (r *reading) empty(f *field, at int, sent string) (value, bool) {
	switch {
	case f.Nullable && sent == "":
	case f.Nullable || !f.Required:
		r.warn(at, ruleAbsent, sent, "", r.say(textAbsent(f)))
	default:
		r.fail(at, ruleRequired, sent, textRequired(f))
	}
	return value{}, false
}

// liberty reports that a value was understood although it is spelt otherwise
// than the standard says; white space around it is the least of liberties.
func (r *reading) liberty(at int, rule string, v scalar, trimmed, understood string, spelt bool) {
	sent := v.text
	if !spelt {
		r.warn(at, rule, sent, understood, r.spelling(at, v.form, sent, understood))
	} else if sent != trimmed {
		r.warn(at, ruleSpace, sent, understood, r.say(textSpace()))
	}
}

// spelling says how a value that was understood is rightly spelt. What is about a
// person is not repeated.
func (r *reading) spelling(at int, form form, sent, understood string) text {
	f := r.fieldAt(at)
	unquoted := r.json && form == formText && (f.kind == kindInteger || f.kind == kindBoolean)
	t := textSpelling(f)
	switch {
	case r.json && f.kind == kindText && form == formNumber:
		t.refused = textQuoted()
	case r.personal(at):
	case unquoted:
		t.refused = textUnquoted(understood)
	case sent != understood:
		t.refused = mustBeWritten(understood)
	}
	return r.say(t)
}

func (r *reading) str(f *field, at int, v scalar) (value, bool) {
	switch {
	case v.form == formBoolean:
		r.fail(at, ruleType, v.text, textType(f))
		return value{}, false
	case v.form == formNumber:
		r.warn(at, ruleType, v.text, v.text, r.spelling(at, v.form, v.text, v.text))
	case (r.json || !r.located) && !legal(v.text): // sourceOf has seen all of XML
		r.fail(at, ruleCharacter, "", textCharacter())
		return value{}, false
	}
	if v.text == "" && f.minLen > 0 {
		r.fail(at, ruleRequired, "", textEmpty())
		return value{}, false
	}
	if f.kind == kindText && f.minLen > 0 && isBlank(v.text) {
		r.warn(at, ruleBlank, v.text, v.text, r.say(textBlank()))
	}
	switch f.kind {
	case kindBase64:
		return r.base64(f, at, v.text)
	case kindOrganisation:
		return r.organisation(at, v.text)
	}
	return value{text: v.text}, true
}

// base64 checks a Base64 text and how much it stands for, and keeps it as it is:
// whoever wants the bytes decodes it, once.
func (r *reading) base64(f *field, at int, sent string) (value, bool) {
	size, wrong := base64Size(sent)
	if wrong != base64Good {
		r.fail(at, ruleBase64, "", textBase64(wrong))
		return value{}, false
	}
	limit := int(f.GetMaxBytes())
	if limit == 0 || r.options.AttachmentBytes < limit {
		limit = r.options.AttachmentBytes
	}
	if size > limit {
		r.fail(at, ruleAttachment, "", textAttachment(size, limit))
		return value{}, false
	}
	return value{text: sent}, true
}

// organisation checks a code and keeps it in the form it was sent in, 2016's or
// 2020's, spelt so that it can be read without a liberty.
func (r *reading) organisation(at int, sent string) (value, bool) {
	trimmed := strings.TrimSpace(sent)
	kept := upper(trimmed)
	if _, ok := levelsOf(kept); !ok || len(trimmed) > maxCode {
		r.fail(at, ruleOrganisation, sent, textOrganisation())
		return value{}, false
	}
	if kept != sent {
		r.liberty(at, ruleOrganisation, scalar{text: sent}, trimmed, kept, kept == trimmed)
	}
	return value{text: kept}, true
}

func (r *reading) integer(f *field, at int, v scalar) (value, bool) {
	s := trim(v.text)
	if s == "" {
		return r.empty(f, at, v.text)
	}
	if n, ok := plainInteger(s); ok {
		r.liberty(at, ruleInteger, v, s, s, v.form == formNumber || !r.json)
		return value{number: n}, true
	}
	n, err := strconv.ParseInt(wholeOf(s), 10, 64)
	switch {
	case v.form == formBoolean, err != nil && !isRange(err):
		r.fail(at, ruleInteger, v.text, textInteger())
		return value{}, false
	case err != nil, n < math.MinInt32, n > math.MaxInt32:
		r.fail(at, ruleRange, v.text, textRange())
		return value{}, false
	}
	plain := strings.TrimPrefix(s, "+") == wholeOf(s) && (v.form == formNumber || !r.json)
	r.liberty(at, ruleInteger, v, s, strconv.FormatInt(n, 10), plain)
	return value{number: int32(n)}, true
}

// plainInteger reads up to nine digits, which is what integers are in practice.
func plainInteger(s string) (int32, bool) {
	if len(s) > 9 {
		return 0, false
	}
	var n int32
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int32(s[i]-'0')
	}
	return n, true
}

// wholeOf drops a fraction that is all zeros, "3.0", and a plus sign.
func wholeOf(s string) string {
	if unsigned, ok := strings.CutPrefix(s, "+"); ok {
		if unsigned == "" || unsigned[0] < '0' || unsigned[0] > '9' {
			return s // "+-3" is no number
		}
		s = unsigned
	}
	whole, fraction, cut := strings.Cut(s, ".")
	if cut && whole != "" && fraction != "" && strings.Trim(fraction, "0") == "" {
		return whole
	}
	return s
}

func (r *reading) boolean(f *field, at int, v scalar) (value, bool) {
	s := trim(v.text)
	if s == "" {
		return r.empty(f, at, v.text)
	}
	var b bool
	switch {
	case s == "true", s == "1", strings.EqualFold(s, "true"):
		b = true
	case s == "false", s == "0", strings.EqualFold(s, "false"):
	default:
		r.fail(at, ruleBoolean, v.text, textBoolean())
		return value{}, false
	}
	spelt := v.form == formBoolean
	if !r.json {
		spelt = s == "true" || s == "1" || s == "false" || s == "0"
	}
	r.liberty(at, ruleBoolean, v, s, strconv.FormatBool(b), spelt)
	return value{yes: b}, true
}

func (r *reading) datetime(f *field, at int, v scalar) (value, bool) {
	if seconds, nanos, ok := standardDate(v.text); ok {
		return value{stamp: r.stamp(seconds, nanos)}, true
	}
	s := trim(v.text)
	if s == "" {
		return r.empty(f, at, v.text)
	}
	if isNullDate(s) {
		if s == guideNullDate && f.Nullable {
			return value{}, false
		}
		return r.empty(f, at, v.text)
	}
	t, exact, reason := parseDate(s)
	switch {
	case v.form == formBoolean, reason == dateOfNoForm:
		r.fail(at, ruleDatetime, v.text, r.say(textDatetimes()))
		return value{}, false
	case reason == dateThatIsNone:
		r.fail(at, ruleDatetime, v.text, textNoDay())
		return value{}, false
	}
	if isUnset(t) {
		r.unset(at, v.text)
		return value{}, false
	}
	if !writable(t) {
		r.fail(at, ruleDatetime, v.text, textYears())
		return value{}, false
	}
	stamp := r.stamp(t.Unix(), int32(t.Nanosecond())) //nolint:gosec // under 1e9
	if !exact || s != v.text {
		r.liberty(at, ruleDatetime, v, s, string(appendDate(nil, stamp)), exact)
	}
	return value{stamp: stamp}, true
}

// unset reads a time that a program sends where it has set none: no date, where
// none is allowed.
func (r *reading) unset(at int, sent string) {
	f := r.fieldAt(at)
	if f.Nullable || !f.Required {
		r.warn(at, ruleAbsent, sent, "", r.say(textUnset(f)))
		return
	}
	r.fail(at, ruleRequired, sent, textDateRequired())
}

func (r *reading) decimal(f *field, at int, v scalar) (value, bool) {
	s := trim(v.text)
	if isNoNumber(s) && v.form != formBoolean {
		if f.minLen > 0 {
			if s == "" {
				r.fail(at, ruleRequired, v.text, textEmpty())
			} else {
				r.fail(at, ruleDecimal, v.text, textDecimal())
			}
			return value{}, false
		}
		if v.text == "" && !r.json {
			r.noNumber(f, at, "")
		} else {
			r.warn(at, ruleAbsent, v.text, "", r.say(textAbsent(f)))
		}
		return value{text: ""}, true
	}
	digits, exact, ok := parseDecimal(s)
	if v.form == formBoolean || !ok {
		r.fail(at, ruleDecimal, v.text, textDecimal())
		return value{}, false
	}
	r.liberty(at, ruleDecimal, v, s, digits, exact)
	return value{text: digits}, true
}
