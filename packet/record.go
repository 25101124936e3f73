package packet

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unsafe"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// record is a message as the Go struct that it is, and its fields are reached by
// their places in it, as protobuf-go itself reaches them. Its public way,
// protoreflect, is meant for messages that are not known when the program is built:
// setting a field would take it longer than all the rest of reading an element.
//
// This file is the only one that knows. placeOf makes sure of the type of every
// field, and message.record of that of every message.
type record struct{ at unsafe.Pointer }

// record returns the record of a message; false where it is not of the generated
// type that the places are of: a dynamic one, nil, or one of another kind.
func (m *message) record(of proto.Message) (record, bool) {
	if of == nil {
		return record{}, false
	}
	of = of.ProtoReflect().Interface() // out of whatever it is embedded in
	v := reflect.ValueOf(of)
	if v.Type() != reflect.PointerTo(m.typ) || v.IsNil() {
		return record{}, false
	}
	return record{v.UnsafePointer()}, true
}

// newRecord returns the record of an empty message.
func (m *message) newRecord() record { return record{reflect.New(m.typ).UnsafePointer()} }

// of returns the message that a record of this kind is.
func (m *message) of(r record) proto.Message {
	message, _ := reflect.NewAt(m.typ, r.at).Interface().(proto.Message)
	return message
}

// placeOf returns where a field is in the Go struct that protoc-gen-go made of its
// message, and whether it is a pointer there; the struct tags tell which it is. It
// is an error where it is not of the type that its kind has.
func placeOf(typ reflect.Type, fd protoreflect.FieldDescriptor) (offset uintptr, pointer bool, err error) {
	if _, opaque := typ.FieldByName("XXX_presence"); opaque {
		return 0, false, fmt.Errorf("%s does not keep its fields in the open", typ)
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		if tagNumber(f.Tag.Get("protobuf")) != strconv.Itoa(int(fd.Number())) {
			continue
		}
		if pointer = f.Type.Kind() == reflect.Pointer; f.Type != goType(fd, pointer) {
			return 0, false, fmt.Errorf("%s: %s is no Go type for %s", fd.FullName(), f.Type, fd.Kind())
		}
		return f.Offset, pointer, nil
	}
	return 0, false, fmt.Errorf("%s is not in the Go struct %s", fd.FullName(), typ)
}

// goType returns the type that protoc-gen-go gives a field; nil where packets have
// no such fields.
func goType(fd protoreflect.FieldDescriptor, pointer bool) reflect.Type {
	switch kind := fd.Kind(); {
	case fd.Message() != nil:
		part, err := goStruct(fd.Message())
		switch {
		case err != nil:
			return nil
		case fd.IsList():
			return reflect.SliceOf(reflect.PointerTo(part))
		}
		return reflect.PointerTo(part)
	case fd.IsList() && kind == protoreflect.StringKind:
		return reflect.TypeFor[[]string]()
	case fd.IsList():
		return nil
	case kind == protoreflect.StringKind && pointer:
		return reflect.TypeFor[*string]()
	case kind == protoreflect.StringKind:
		return reflect.TypeFor[string]()
	case kind == protoreflect.Int32Kind && pointer:
		return reflect.TypeFor[*int32]()
	case kind == protoreflect.Int32Kind:
		return reflect.TypeFor[int32]()
	case kind == protoreflect.BoolKind && pointer:
		return reflect.TypeFor[*bool]()
	case kind == protoreflect.BoolKind:
		return reflect.TypeFor[bool]()
	}
	return nil
}

// place returns where a field is.
func (r record) place(f *field) unsafe.Pointer { return unsafe.Add(r.at, f.offset) }

// value is what a field holds, by its kind.
type value struct {
	text   string
	number int32
	yes    bool
	stamp  *timestamppb.Timestamp
}

// has reports whether a field holds anything but what an empty message does.
func (r record) has(f *field) bool {
	at := r.place(f)
	switch {
	case f.repeated:
		return r.size(f) > 0
	case f.pointer:
		return *(*unsafe.Pointer)(at) != nil
	case f.kind == kindInteger:
		return *(*int32)(at) != 0
	case f.kind == kindBoolean:
		return *(*bool)(at)
	default:
		return *(*string)(at) != ""
	}
}

// isWritten reports whether a field is written at all.
func (r record) isWritten(f *field) bool { return f.always || r.has(f) }

// size returns how many items a repeated field has.
func (r record) size(f *field) int {
	if f.kind == kindPart {
		return len(*(*[]unsafe.Pointer)(r.place(f)))
	}
	return len(*(*[]string)(r.place(f)))
}

// set stores a value, or adds it where the field repeats. What the message has to
// point to is kept in the rooms.
func (r record) set(f *field, v value, rooms *rooms) {
	at := r.place(f)
	switch {
	case f.repeated:
		list := (*[]string)(at)
		*list = append(*list, v.text)
	case f.kind == kindDatetime:
		*(**timestamppb.Timestamp)(at) = v.stamp
	case f.kind == kindInteger && f.pointer:
		kept := next(&rooms.integers)
		*kept = v.number
		*(**int32)(at) = kept
	case f.kind == kindInteger:
		*(*int32)(at) = v.number
	case f.kind == kindBoolean && f.pointer:
		kept := next(&rooms.booleans)
		*kept = v.yes
		*(**bool)(at) = kept
	case f.kind == kindBoolean:
		*(*bool)(at) = v.yes
	case f.pointer:
		kept := next(&rooms.texts)
		*kept = v.text
		*(**string)(at) = kept
	default:
		*(*string)(at) = v.text
	}
}

// text returns the value of a field that is kept as text; empty where there is
// none.
func (r record) text(f *field) string {
	at := r.place(f)
	if f.pointer {
		if at = *(*unsafe.Pointer)(at); at == nil {
			return ""
		}
	}
	return *(*string)(at)
}

// items returns the texts of a repeated field.
func (r record) items(f *field) []string { return *(*[]string)(r.place(f)) }

func (r record) integer(f *field) int64 {
	at := r.place(f)
	if f.pointer {
		if at = *(*unsafe.Pointer)(at); at == nil {
			return 0
		}
	}
	return int64(*(*int32)(at))
}

func (r record) boolean(f *field) bool {
	at := r.place(f)
	if f.pointer {
		if at = *(*unsafe.Pointer)(at); at == nil {
			return false
		}
	}
	return *(*bool)(at)
}

// stamp returns where the value of a datetime field is; it is nil where there is
// none.
func (r record) stamp(f *field) **timestamppb.Timestamp {
	return (**timestamppb.Timestamp)(r.place(f))
}

// add makes a part and puts it in its field.
func (r record) add(f *field) record {
	part := f.part.newRecord()
	if f.repeated {
		list := (*[]unsafe.Pointer)(r.place(f))
		*list = append(*list, part.at)
	} else {
		*(*unsafe.Pointer)(r.place(f)) = part.at
	}
	return part
}

// part returns a part; that of an index where the field repeats. It returns false,
// and an empty part, where there is none.
func (r record) part(f *field, index int) (record, bool) {
	at := r.place(f)
	if f.repeated {
		at = unsafe.Pointer(&(*(*[]unsafe.Pointer)(at))[index])
	}
	if part := *(*unsafe.Pointer)(at); part != nil {
		return record{part}, true
	}
	return f.part.newRecord(), false
}

// unknowns returns where the unknown elements of a message are; nil where it
// keeps none.
func (r record) unknowns(s *message) *[]*packetv1.UnknownElement {
	if !s.keeps {
		return nil
	}
	return (*[]*packetv1.UnknownElement)(unsafe.Add(r.at, s.unknowns))
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
	for _, f := range s.long { // line ends are written longer
		long := r.text(f)
		count += len(long) + strings.Count(long, "\n") + 4*strings.Count(long, "\r")
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
