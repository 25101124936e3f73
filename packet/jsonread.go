package packet

import (
	"strings"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// jsonReader maps a JSON text onto a message.
type jsonReader struct {
	*reading
	scan jsonScanner
}

func newJSONReader(r *reading, content []byte) jsonReader {
	src := sourceOf(content, r.options.Shared)
	if src.utf16 {
		src.broken = &defect{rule: ruleEncoding, text: textJSONUTF8()}
		src.text = ""
	}
	r.text, r.located, r.json = src.text, true, true
	return jsonReader{reading: r, scan: jsonScanner{text: src.text, broken: src.broken, limit: r.options.TextBytes, reading: r}}
}

// readJSON reads a whole text into m.
func readJSON(r *reading, s *message, m record, content []byte) {
	j := newJSONReader(r, content)
	if c := j.scan.peek(); c != '{' {
		if c != 0 {
			j.stop(&defect{offset: j.scan.at, rule: ruleRoot, text: textObject()})
			return
		}
		j.scan.syntax(j.scan.at, "", "")
	}
	j.steps[0].offset = j.scan.at
	j.scan.value()
	j.scan.enter('{')
	fr := &frame{table: s, message: m}
	if !j.wrapped(fr) {
		j.members(fr)
	}
	if j.scan.peek() != 0 || j.scan.broken != nil {
		j.scan.syntax(j.scan.at, "something follows the end of the object", "còn nội dung sau khi đối tượng kết thúc")
	}
	j.ended()
}

// ended reports the defect that scanning stopped at, if there is one.
func (j *jsonReader) ended() {
	if d := j.scan.defect; d != nil && !j.stopped {
		j.stop(d)
	}
}

// wrapped reads {"MSyncDocument": {...}}: the members in an object of their own.
// It returns false, and has read nothing, where there is no such wrapper.
func (j *jsonReader) wrapped(fr *frame) bool {
	if j.scan.peek() != '"' || !j.alone(fr.table) {
		return false
	}
	name, offset := j.scan.member()
	j.tolerate(locus{}, offset, remark{rule: ruleWrapper, text: textWrapper(), sent: cut(name)})
	j.scan.peek()
	j.scan.enter('{')
	j.members(fr)
	j.scan.more('}', false)
	return true
}

// alone reports whether the object that was entered holds one member, another
// object by the name of the document. It reads ahead and reports nothing.
func (j *jsonReader) alone(s *message) bool {
	ahead := jsonReader{reading: &reading{options: j.options, table: s, steps: []step{{}}, copied: j.copied}, scan: j.scan}
	ahead.scan.reading = ahead.reading
	name, _ := ahead.scan.member()
	if !strings.EqualFold(name, s.name) || ahead.scan.peek() != '{' {
		return false
	}
	ahead.scan.skip()
	return ahead.scan.peek() == '}' || ahead.scan.defect != nil
}

// members reads the members of an object that was entered into a message.
func (j *jsonReader) members(fr *frame) {
	var unknown map[string]bool
	for first := true; j.scan.more('}', first); first = false {
		name, offset := j.scan.member()
		if j.scan.defect != nil {
			break
		}
		if f := j.known(fr, name, offset); f != nil {
			j.member(fr, f, offset)
			continue
		}
		where := &stray{step: fr.step, name: name}
		if unknown[name] {
			j.duplicate(locus{stray: where}, offset, name)
		} else if unknown == nil {
			unknown = map[string]bool{}
		}
		unknown[name] = true
		j.keep(fr, j.unknown(where), offset)
	}
	if j.scan.defect == nil {
		j.close(fr)
		return
	}
	j.ended()
	fr.settle()
}

// duplicate reports a member that comes twice.
func (j *jsonReader) duplicate(at locus, offset int, name string) {
	j.refuse(at, offset, remark{rule: ruleDuplicate, text: textDuplicate(cut(name))})
}

// member reads the value of a field.
func (j *jsonReader) member(fr *frame, f *field, offset int) {
	if fr.seen&f.bit() != 0 {
		j.duplicate(locus{step: fr.step, name: f.name}, offset, f.name)
		j.scan.skip()
		return
	}
	if f.repeated {
		j.items(fr, f, offset)
		return
	}
	j.scan.value()
	if at, ok := j.begin(fr, f, offset); ok {
		j.item(fr, f, at)
	}
}

// items reads the value of a field that repeats.
func (j *jsonReader) items(fr *frame, f *field, offset int) {
	fr.seen |= f.bit()
	fr.last = f
	switch j.scan.peek() {
	case '[':
		j.scan.enter('[')
		count := 0
		for ; j.scan.more(']', count == 0); count++ {
			j.scan.value()
			j.scan.peek()
			at, _ := j.begin(fr, f, j.scan.at)
			j.item(fr, f, at)
		}
		if count > 0 {
			return
		}
	case 'n':
		if v := j.scan.scalar(); v.form != formNull {
			return
		}
	default:
		j.scan.value()
		at, _ := j.begin(fr, f, offset)
		j.warn(at, ruleSingle, "", "", j.say(textSingle()))
		j.item(fr, f, at)
		return
	}
	if f.Required {
		fr.seen &^= f.bit() // close reports it
	}
}

// item reads one value of a field.
func (j *jsonReader) item(fr *frame, f *field, at int) {
	c := j.scan.peek()
	switch {
	case f.kind == kindPart && c == '{':
		j.scan.enter('{')
		j.members(&frame{table: f.part, message: fr.message.add(f), step: at})
	case c == '[':
		j.fail(at, ruleType, "", textNotArray())
		j.scan.skip()
	case f.kind == kindPart:
		v := j.scan.scalar()
		if j.scan.defect == nil && (v.form != formNull || f.repeated) {
			j.fail(at, ruleType, "", textType(f))
		}
	case c == '{':
		j.fail(at, ruleType, "", textType(f))
		j.scan.skip()
	default:
		sent := j.scan.scalar()
		if j.scan.defect != nil {
			return
		}
		if v, ok := j.read(f, at, sent); ok {
			fr.message.set(f, v, &j.rooms)
		}
	}
}

// unknown reads a value that the standard does not know. What is counted is what
// would be elements in XML, where an array is its items.
func (j *jsonReader) unknown(where *stray) *packetv1.UnknownElement {
	u := &packetv1.UnknownElement{Name: where.name}
	if j.scan.peek() != '[' {
		j.scan.value()
	}
	switch j.scan.peek() {
	case '{':
		u.Kind = packetv1.UnknownElement_KIND_OBJECT
		j.scan.enter('{')
		seen := map[string]bool{}
		for first := true; j.scan.more('}', first); first = false {
			name, offset := j.scan.member()
			member := where.inside(name)
			if seen[name] && j.scan.defect == nil {
				j.duplicate(locus{stray: member}, offset, name)
			}
			seen[name] = true
			u.Children = append(u.Children, j.unknown(member))
		}
	case '[':
		u.Kind = packetv1.UnknownElement_KIND_ARRAY
		j.scan.enter('[')
		for first := true; j.scan.more(']', first); first = false {
			if j.scan.peek() == '[' {
				j.scan.value()
			}
			u.Children = append(u.Children, j.unknown(&stray{around: where, step: where.step, item: true, index: len(u.Children)}))
		}
		if len(u.Children) == 0 {
			j.scan.value()
		}
	default:
		j.leaf(where, u)
	}
	return u
}

// leaf reads a value that is neither an object nor an array.
func (j *jsonReader) leaf(where *stray, u *packetv1.UnknownElement) {
	offset := j.scan.at
	v := j.scan.scalar()
	u.Text = v.text
	j.bounded(where, offset, u)
	switch v.form {
	case formNumber:
		u.Kind = packetv1.UnknownElement_KIND_NUMBER
		if !isNumber(v.text) {
			u.Kind = packetv1.UnknownElement_KIND_UNSPECIFIED // NaN
		}
	case formBoolean:
		u.Kind = packetv1.UnknownElement_KIND_BOOLEAN
	case formNull:
		u.Kind, u.Text = packetv1.UnknownElement_KIND_NULL, ""
	default:
		if len(v.text) <= j.options.TextBytes && !legal(v.text) { // of a longer one, only the beginning was read
			j.refuse(locus{stray: where}, offset, remark{rule: ruleCharacter, text: textCharacter()})
		}
	}
}
