package packet

import (
	"reflect"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// record is a message as the Go struct that it is. Fields are reached by their
// places in it: protoreflect, which is meant for messages that are not known when
// the program is built, takes ten times as long.
type record struct{ v reflect.Value }

func recordOf(m proto.Message) record { return record{reflect.ValueOf(m).Elem()} }

// value is what a field holds, by its kind.
type value struct {
	text   string
	number int32
	yes    bool
	stamp  *timestamppb.Timestamp
}

// message returns the message that the record is of; nil where it is of none.
func (r record) message() proto.Message {
	m, _ := r.v.Addr().Interface().(proto.Message)
	return m
}

func (r record) at(f *field) reflect.Value { return r.v.Field(f.slot) }

// has reports whether a field holds anything but what an empty message does.
func (r record) has(f *field) bool {
	at := r.at(f)
	switch {
	case f.repeated:
		return at.Len() > 0
	case f.pointer:
		return !at.IsNil()
	default:
		return !at.IsZero()
	}
}

// size returns how many items a repeated field has.
func (r record) size(f *field) int { return r.at(f).Len() }

// set stores a value, or adds it where the field repeats. What the message has to
// point to is kept in the rooms of the reading.
func (r record) set(f *field, v value, rooms *reading) {
	at := r.at(f)
	switch {
	case f.repeated:
		grown(at).SetString(v.text) // newSchema lets no other scalar repeat
	case f.kind == kindDatetime:
		at.Set(reflect.ValueOf(v.stamp))
	case f.kind == kindInteger && f.pointer:
		kept := next(&rooms.integers)
		*kept = v.number
		at.Set(reflect.ValueOf(kept))
	case f.kind == kindInteger:
		at.SetInt(int64(v.number))
	case f.kind == kindBoolean && f.pointer:
		kept := next(&rooms.booleans)
		*kept = v.yes
		at.Set(reflect.ValueOf(kept))
	case f.kind == kindBoolean:
		at.SetBool(v.yes)
	case f.pointer:
		kept := next(&rooms.texts)
		*kept = v.text
		at.Set(reflect.ValueOf(kept))
	default:
		at.SetString(v.text)
	}
}

// clear takes the value of a field away.
func (r record) clear(f *field) { r.at(f).SetZero() }

// text returns the value of a field that is kept as text; empty where there is
// none.
func (r record) text(f *field) string { return f.value(r.at(f)).String() }

func (r record) integer(f *field) int64 { return f.value(r.at(f)).Int() }

func (r record) boolean(f *field) bool { return f.value(r.at(f)).Bool() }

// stamp returns the value of a datetime field; nil where there is none.
func (r record) stamp(f *field) *timestamppb.Timestamp {
	stamp, _ := r.at(f).Interface().(*timestamppb.Timestamp)
	return stamp
}

// add makes a part and puts it in its field.
func (r record) add(f *field) record {
	part := reflect.New(f.part.typ)
	at := r.at(f)
	if f.repeated {
		grown(at).Set(part)
	} else {
		at.Set(part)
	}
	return record{part.Elem()}
}

// grown adds an item to a list and returns where it is.
func grown(list reflect.Value) reflect.Value {
	count := list.Len()
	if count == list.Cap() {
		list.Grow(1)
	}
	list.SetLen(count + 1)
	return list.Index(count)
}

// part returns a part; that of an index where the field repeats. It returns false,
// and an empty part, where there is none.
func (r record) part(f *field, index int) (record, bool) {
	at := r.at(f)
	if f.repeated {
		at = at.Index(index)
	}
	return f.partOf(at), !at.IsNil()
}

// partOf returns the part that a pointer in a message leads to; an empty one for
// nil.
func (f *field) partOf(v reflect.Value) record {
	if v.IsNil() {
		return record{reflect.New(f.part.typ).Elem()}
	}
	return record{v.Elem()}
}

// value returns the scalar that a place in a message holds or points to; an empty
// one for nil.
func (f *field) value(v reflect.Value) reflect.Value {
	switch {
	case !f.pointer:
		return v
	case v.IsNil():
		return reflect.Zero(v.Type().Elem())
	default:
		return v.Elem()
	}
}

// isWritten reports whether a field that does not repeat is written at all, by its
// place in a message.
func (f *field) isWritten(v reflect.Value) bool {
	switch {
	case f.Required:
		return true
	case f.pointer:
		return !v.IsNil()
	default:
		return !v.IsZero()
	}
}

// item returns an item of a repeated field of texts.
func (r record) item(f *field, index int) string { return r.at(f).Index(index).String() }

// unknowns returns where the unknown elements of a message are; nil where it
// keeps none.
func (r record) unknowns(s *message) *[]*packetv1.UnknownElement {
	if s.unknowns < 0 {
		return nil
	}
	all, _ := r.v.Field(s.unknowns).Addr().Interface().(*[]*packetv1.UnknownElement)
	return all
}

// spell returns what a field holds as a finding says it; empty for parts, dates
// and what repeats.
func (r record) spell(f *field) string {
	switch {
	case f.repeated || f.kind == kindPart || f.kind == kindDatetime:
		return ""
	case f.kind == kindInteger:
		return strconv.FormatInt(r.integer(f), 10)
	case f.kind == kindBoolean:
		return strconv.FormatBool(r.boolean(f))
	default:
		return r.text(f)
	}
}

// room estimates what a message takes up when it is written, so that what is
// written is not moved as it grows: what is usual of its elements, and the texts
// that may be long.
func (r record) room(s *message) int {
	count := s.usual
	for _, f := range s.long {
		count += len(r.text(f))
	}
	for _, f := range s.parts {
		parts := 1
		if f.repeated {
			parts = r.size(f)
		}
		for i := range parts {
			if part, ok := r.part(f, i); ok {
				count += part.room(f.part)
			}
		}
	}
	return count
}
