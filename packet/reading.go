package packet

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// noItem is the index of an element that became no item of its list.
const noItem = -1

// typicalSteps is room for the elements of a usual packet.
const typicalSteps = 64

// reading is one packet on its way in, whatever it is written in.
type reading struct {
	options Options
	// text is the content in UTF-8, without a byte order mark.
	text string
	// located is set where offsets are places in text.
	located bool
	// json is set where the text is JSON.
	json  bool
	table *message // of the root
	steps []step
	open  []string // room for the names of elements that are open
	rooms rooms
	trail []leg  // to the part whose rules are applied
	scope *scope // of that part
	found []found
	// violations and warnings count the findings, also those that are not shown.
	violations, warnings           int
	shownViolations, shownWarnings showing
	// searches counts those for a step before there are places.
	searches int
	// searched counts how often a name was looked for that may have been meant.
	searched int
	// copied counts the bytes of texts that were copied; see Options.CopiedBytes.
	copied int
	// stopped is set where the rest of the text could not be read.
	stopped bool
	// cause is what a refusal unwraps to; mostly nil.
	cause error
	// places finds steps by what they are of; nil until there is much to find.
	places map[spot]int32
}

// step is one element that the standard knows, in the order of the text; the
// first is the root.
//
// There is one for every element, so it holds no pointer that would have to be
// followed by the garbage collector.
type step struct {
	field  int32 // its number; 0 for the root
	parent int32
	index  int32 // among the elements of that name, where they repeat
	offset int
	// failed is set where the value is missing or was refused: rules about it
	// would only repeat that.
	failed bool
}

// rooms hold what messages point to: one allocation for several. No place in them is
// used twice.
type rooms struct {
	stamps   []timestamppb.Timestamp
	texts    []string
	integers []int32
	booleans []bool
}

// stamp returns a time to put into a message.
func (r *reading) stamp(seconds int64, nanos int32) *timestamppb.Timestamp {
	stamp := next(&r.rooms.stamps)
	stamp.Seconds, stamp.Nanos = seconds, nanos
	return stamp
}

// next takes one more out of a room, and makes a new one where it is full: as large
// as what has been used up, so that a packet of many parts does not come back often
// and one of few does not hold what it has no use for.
func next[T any](room *[]T) *T {
	const first, most = 4, 64
	if len(*room) == cap(*room) {
		*room = make([]T, 0, min(max(first, 2*cap(*room)), most))
	}
	*room = (*room)[:len(*room)+1]
	return &(*room)[len(*room)-1]
}

// spot is what a step is of.
type spot struct {
	parent, index, field int32
}

// root begins with the root.
func (r *reading) root(s *message) {
	r.table = s
	r.steps = append(r.steps[:0], step{})
}

// enter notes an element and returns its step.
func (r *reading) enter(parent int, f *field, index, offset int) int {
	at := len(r.steps)
	if at == cap(r.steps) {
		r.steps = slices.Grow(r.steps, at)
	}
	r.steps = r.steps[:at+1]
	s := &r.steps[at] // written in place: this is done for every element
	s.field, s.failed = f.number, false
	s.parent, s.index, s.offset = int32(parent), int32(index), offset //nolint:gosec // at most maxElements, and what they lack
	if r.places != nil {
		r.places[s.spot()] = int32(at) //nolint:gosec // as above
	}
	return at
}

func (s *step) spot() spot { return spot{parent: s.parent, index: s.index, field: s.field} }

// lookup returns the step of a field of a message; -1 where it was not sent.
// Looking for every step of a long packet must not take the square of its length.
func (r *reading) lookup(parent int, f *field, index int) int {
	if r.places == nil {
		if r.searches++; r.searches <= fewSearches {
			return r.search(spot{parent: int32(parent), index: int32(index), field: f.number}) //nolint:gosec // of a list in memory
		}
		r.places = make(map[spot]int32, len(r.steps))
		for at := 1; at < len(r.steps); at++ { // of several, the last is the one that was kept
			r.places[r.steps[at].spot()] = int32(at) //nolint:gosec // at most maxElements and what they lack
		}
	}
	if at, ok := r.places[spot{parent: int32(parent), index: int32(index), field: f.number}]; ok { //nolint:gosec // of a list in memory
		return int(at)
	}
	return -1
}

// fewSearches is how many steps are searched for one by one before a map of all is
// worth its while.
const fewSearches = 8

// search returns the last step of a spot; -1 where there is none.
func (r *reading) search(of spot) int {
	for at := len(r.steps) - 1; at > 0; at-- {
		if r.steps[at].spot() == of {
			return at
		}
	}
	return -1
}

// fieldAt returns what a step is of; nil for the root.
func (r *reading) fieldAt(at int) *field {
	if at == 0 {
		return nil
	}
	return r.table.numbered[r.steps[at].field]
}

// path spells a step by official names.
func (r *reading) path(at int) string {
	s, f := r.steps[at], r.fieldAt(at)
	if f == nil {
		return r.table.name
	}
	path := r.path(int(s.parent)) + "." + f.name
	if f.repeated && s.index != noItem {
		path += "[" + strconv.Itoa(int(s.index)) + "]"
	}
	return path
}

// personal reports whether what stands at a step is about a person.
func (r *reading) personal(at int) bool {
	f := r.fieldAt(at)
	return f != nil && f.Personal
}

// locus is where a finding is: at a step; at a name, in the message of a step or, where
// step is negative, by itself; or at an element that the standard does not know.
type locus struct {
	step  int
	name  string
	stray *stray
}

// fieldOf spells where a finding is.
func (r *reading) fieldOf(where locus) string {
	switch {
	case where.stray != nil:
		return r.strayPath(where.stray)
	case where.step < 0:
		return where.name
	case where.name != "":
		return r.path(where.step) + "." + where.name
	default:
		return r.path(where.step)
	}
}

// fail reports that the value at a step is refused. What was sent is masked
// where it is about a person.
func (r *reading) fail(at int, rule, sent string, t text) {
	r.steps[at].failed = true
	r.refuse(locus{step: at}, r.steps[at].offset, remark{rule: rule, text: t, sent: shown(sent, r.personal(at))})
}

// warn reports a liberty that was taken with the value at a step.
func (r *reading) warn(at int, rule, sent, understood string, t text) {
	personal := r.personal(at)
	r.tolerate(locus{step: at}, r.steps[at].offset, remark{rule: rule, text: t, sent: shown(sent, personal), understood: shown(understood, personal)})
}

// stop reports what makes the rest unreadable.
func (r *reading) stop(d *defect) {
	r.stopped = true
	r.refuse(locus{}, d.offset, remark{rule: d.rule, text: d.text})
}

// copyable returns how many more bytes of texts may be copied.
func (r *reading) copyable() int {
	if r.options.CopiedBytes == 0 {
		return math.MaxInt
	}
	return r.options.CopiedBytes - r.copied
}

// frame is a message that is being read.
type frame struct {
	table   *message
	message record
	step    int
	seen    uint64 // bits by field.index
	last    *field // nil at the start
	unknown []*packetv1.UnknownElement
}

// known finds the field that a name means and reports how it was spelt. It
// returns nil where the standard knows no such name here.
func (r *reading) known(fr *frame, name string, offset int) *field {
	if f := fr.next(name); f != nil {
		return f
	}
	f, spelt := fr.table.find(name)
	if f == nil || spelt == spelledExactly {
		return f
	}
	said := remark{rule: ruleAlias, text: r.say(textAlias(f.name)), sent: cut(name), understood: f.name}
	if spelt == spelledInOtherCase {
		said.rule, said.text = ruleCase, r.say(textCase(f.name))
	}
	r.tolerate(locus{step: fr.step, name: f.name}, offset, said)
	return f
}

// next returns the field of a name where it is the last one again, or one of
// those that the standard puts right behind it; nil elsewhere.
func (fr *frame) next(name string) *field {
	const ahead = 4
	from := 0
	if fr.last != nil {
		from = fr.last.index
	}
	for _, f := range fr.table.fields[from:min(from+ahead, len(fr.table.fields))] {
		if f.name == name {
			return f
		}
	}
	return nil
}

// begin notes that a field is read. It returns its step, and false where the
// field was there before and may not repeat.
func (r *reading) begin(fr *frame, f *field, offset int) (at int, ok bool) {
	index := 0
	if f.repeated {
		index = fr.message.size(f)
	} else if fr.seen&f.bit() != 0 {
		r.refuse(locus{step: fr.step, name: f.name}, offset, remark{rule: ruleRepeated, text: textRepeated(f.name)})
		return 0, false
	}
	fr.seen |= f.bit()
	fr.last = f
	return r.enter(fr.step, f, index, offset), true
}

// keep takes an element the standard does not know and reports it.
func (r *reading) keep(fr *frame, u *packetv1.UnknownElement, offset int) {
	t := textUnknown(fr.table.name)
	switch closest := r.closest(fr.table, u.GetName()); {
	case fr.step > 0 && (strings.EqualFold(u.GetName(), fr.table.name) || strings.EqualFold(u.GetName(), r.fieldAt(fr.step).name)):
		t = textWrapped(fr.table.name, r.fieldAt(fr.step).name)
	case !fr.table.keeps:
		t = textIgnored(fr.table.name)
	case closest != "":
		t = textNear(fr.table.name, closest)
	}
	r.tolerate(locus{stray: &stray{step: fr.step, name: u.GetName()}}, offset, remark{rule: ruleUnknown, text: r.say(t), sent: cut(u.GetName())})
	if fr.last != nil {
		u.After = fr.last.name
	}
	fr.unknown = append(fr.unknown, u)
}

// closest returns the name of a message that may have been meant by another; empty
// where none is close, and once many were looked for: it takes time.
func (r *reading) closest(m *message, name string) string {
	const most, slips = 20, 2
	if r.searched++; r.searched > most {
		return ""
	}
	name = strings.ToLower(name)
	closest, least := "", maxName
	for _, f := range m.fields {
		if d := distance(name, strings.ToLower(f.name)); d < least {
			closest, least = f.name, d
		}
	}
	if least > slips || len(name) <= 2*slips {
		return ""
	}
	return closest
}

// stray is where an element that the standard does not know stands.
type stray struct {
	around *stray // nil directly in a message that the standard knows
	step   int    // of that message
	name   string
	item   bool // of a JSON array, and then without a name
	index  int  // in that array
}

// inside returns where an element in s stands.
func (s *stray) inside(name string) *stray { return &stray{around: s, step: s.step, name: name} }

// strayPath spells where an unknown element stands, by the names that were sent; of
// very deep ones, by the first and the last.
func (r *reading) strayPath(s *stray) string {
	const most, last = 6, 2
	var names []string // from the inside
	step := s.step
	for ; s != nil; s = s.around {
		switch {
		case s.item:
			names = append(names, "["+strconv.Itoa(s.index)+"]")
		case s.name == "":
			names = append(names, `.""`)
		default:
			names = append(names, "."+cut(s.name))
		}
	}
	slices.Reverse(names)
	if len(names) > most {
		names = slices.Concat(names[:most-last], []string{".…"}, names[len(names)-last:])
	}
	return r.path(step) + strings.Join(names, "")
}

// bounded reports a text of an unknown element that is longer than allowed.
func (r *reading) bounded(where *stray, offset int, u *packetv1.UnknownElement) {
	if len(u.GetText()) <= r.options.TextBytes {
		return
	}
	r.refuse(locus{stray: where}, offset, remark{rule: ruleText, text: textTooLong(r.options.TextBytes)})
}

// close ends a message: it reports what is missing and stores what is unknown.
func (r *reading) close(fr *frame) {
	missing := fr.table.required &^ fr.seen
	for i := 0; missing>>i != 0; i++ {
		f := fr.table.fields[i]
		if missing&f.bit() == 0 {
			continue
		}
		index := 0
		if f.repeated {
			index = noItem
		}
		at := r.enter(fr.step, f, index, r.steps[fr.step].offset)
		r.steps[at].failed = true
		if r.shownViolations.full {
			r.violations++
			continue
		}
		r.refuse(locus{step: at}, r.steps[at].offset, remark{rule: ruleRequired, text: textRequired(f)})
	}
	fr.settle()
}

// settle stores unknown elements as they will be read again: each after an
// element that is written, in the order in which those are written.
func (fr *frame) settle() {
	all := fr.message.unknowns(fr.table)
	if len(fr.unknown) == 0 || all == nil {
		return
	}
	for from := -1; from < len(fr.table.fields); from++ {
		after := ""
		if from >= 0 {
			after = fr.table.fields[from].name
		}
		for _, u := range fr.unknown {
			if u.GetAfter() != after {
				continue
			}
			kept := &packetv1.UnknownElement{Name: u.GetName(), Kind: u.GetKind(), Text: u.GetText(), Children: u.GetChildren()}
			kept.After = fr.table.lastWritten(fr.message, from)
			*all = append(*all, kept)
		}
	}
}

// lastWritten returns the name of the last field up to an index that is written.
func (m *message) lastWritten(message record, upTo int) string {
	for i := upTo; i >= 0; i-- {
		if message.isWritten(m.fields[i]) {
			return m.fields[i].name
		}
	}
	return ""
}
