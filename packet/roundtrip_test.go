package packet_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

// messages draws packets that are valid, by the descriptors.
func messages(typ packetv1.PacketType) *rapid.Generator[proto.Message] {
	return rapid.Custom(func(t *rapid.T) proto.Message {
		m := emptyMessage(typ)
		fill(t, m.ProtoReflect())
		return m
	})
}

func emptyMessage(typ packetv1.PacketType) proto.Message {
	switch typ {
	case dossier:
		return &packetv1.MSyncDocument{}
	case progress:
		return &packetv1.MDocumentTraces{}
	case survey:
		return &packetv1.MVotes{}
	default:
		return &packetv1.MStatistic{}
	}
}

// fill draws a value for every field, or none where none is needed.
func fill(t *rapid.T, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		element, _ := proto.GetExtension(fd.Options(), packetv1.E_Element).(*packetv1.Element)
		name := string(fd.Name())
		switch {
		case fd.IsList():
			list := m.Mutable(fd).List()
			for range rapid.IntRange(0, 2).Draw(t, name) {
				if fd.Message().Name() == "UnknownElement" {
					list.Append(protoreflect.ValueOfMessage(unknownElement(t, 2).ProtoReflect()))
				} else {
					fill(t, list.AppendMutable().Message())
				}
			}
		case !element.GetRequired() && rapid.Bool().Draw(t, "no "+name):
		case fd.Message() != nil:
			m.Set(fd, protoreflect.ValueOfMessage(moment(t).ProtoReflect()))
		case fd.Kind() == protoreflect.BoolKind:
			m.Set(fd, protoreflect.ValueOfBool(rapid.Bool().Draw(t, name)))
		case fd.Kind() == protoreflect.Int32Kind:
			m.Set(fd, protoreflect.ValueOfInt32(integer(t, name)))
		default:
			m.Set(fd, protoreflect.ValueOfString(str(t, element, name)))
		}
	}
}

func integer(t *rapid.T, name string) int32 {
	switch name {
	case "applicants_type":
		return rapid.Int32Range(1, 4).Draw(t, name)
	case "returned_type":
		return rapid.Int32Range(0, 1).Draw(t, name)
	case "month":
		return 0 // is_month_statistic decides, see fix
	case "year":
		return rapid.Int32Range(2000, 2100).Draw(t, name)
	default:
		return rapid.Int32Range(0, 1<<31-1).Draw(t, name)
	}
}

func moment(t *rapid.T) *timestamppb.Timestamp {
	from, to := time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), time.Date(9999, 12, 31, 16, 59, 59, 0, time.UTC)
	return &timestamppb.Timestamp{
		Seconds: rapid.Int64Range(from.Unix(), to.Unix()).Draw(t, "seconds"),
		Nanos:   rapid.Int32Range(0, 999).Draw(t, "milliseconds") * 1e6,
	}
}

// words draws texts that XML can hold, with what is awkward to write.
func words(least int) *rapid.Generator[string] {
	awkward := []rune("<>&'\"]/\\\t\n\r \u00A0\u0085\u2028\uFEFF\uFFFDđĐạữỆ\u0301😀{}[]:,")
	letters := rapid.OneOf(rapid.SampledFrom(awkward), rapid.Rune().Filter(func(r rune) bool {
		return r >= 0x20 && utf8.ValidRune(r) && r != 0xFFFE && r != 0xFFFF
	}))
	return rapid.StringOfN(letters, least, 30, -1)
}

func str(t *rapid.T, element *packetv1.Element, name string) string {
	switch element.GetLexical() {
	case packetv1.Lexical_LEXICAL_DECIMAL:
		if strings.Contains(name, "percent") {
			return rapid.StringMatching(`|[0-9]{1,2}|[0-9]{1,2}\.[0-9]{1,18}|0?100(\.0+)?`).Draw(t, name)
		}
		return rapid.StringMatching(`-?[0-9]{1,12}(\.[0-9]{1,8})?`).Draw(t, name)
	case packetv1.Lexical_LEXICAL_BASE64:
		return base64.StdEncoding.EncodeToString(rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, name))
	case packetv1.Lexical_LEXICAL_ORGANISATION:
		return rapid.StringMatching(`[GH][0-9]{2}(\.[0-9]{2}){0,3}|000\.00\.[0-9]{2}\.[GH][0-9]{2}`).Draw(t, name)
	}
	if element.GetRequired() && name != "note" {
		return words(1).Draw(t, name)
	}
	return words(0).Draw(t, name)
}

// unknownElement draws what a reader of JSON may have kept.
func unknownElement(t *rapid.T, depth int) *packetv1.UnknownElement {
	u := &packetv1.UnknownElement{Name: rapid.StringMatching(`X[A-Za-zữ0-9_.-]{0,6}`).Draw(t, "unknown name")}
	kinds := []packetv1.UnknownElement_Kind{0, packetv1.UnknownElement_KIND_NUMBER, packetv1.UnknownElement_KIND_BOOLEAN, packetv1.UnknownElement_KIND_NULL}
	if depth > 0 {
		kinds = append(kinds, packetv1.UnknownElement_KIND_OBJECT, packetv1.UnknownElement_KIND_ARRAY)
	}
	switch u.Kind = rapid.SampledFrom(kinds).Draw(t, "kind"); u.GetKind() {
	case packetv1.UnknownElement_KIND_OBJECT, packetv1.UnknownElement_KIND_ARRAY:
		for range rapid.IntRange(0, 3).Draw(t, "children") {
			child := unknownElement(t, depth-1)
			if u.GetKind() == packetv1.UnknownElement_KIND_ARRAY {
				child.Name = ""
			}
			u.Children = append(u.Children, child)
		}
	case packetv1.UnknownElement_KIND_NUMBER:
		u.Text = rapid.StringMatching(`-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,3})?([eE][+-]?[0-9])?`).Draw(t, "number")
	case packetv1.UnknownElement_KIND_BOOLEAN:
		u.Text = rapid.SampledFrom([]string{"true", "false"}).Draw(t, "boolean")
	case packetv1.UnknownElement_KIND_UNSPECIFIED:
		u.Text = words(0).Draw(t, "text")
	}
	return u
}

// fix makes the fields of a drawn message agree where the rules refuse it else.
func fix(m proto.Message) {
	at := &timestamppb.Timestamp{Seconds: 1_800_000_000}
	switch m := m.(type) {
	case *packetv1.MSyncDocument:
		if m.IsSuccess {
			m.SuccessDate = at
		}
		if m.IsReturned {
			m.ReturnedDate = at
		}
		for _, s := range m.GetSupplementaries() {
			if s.IsReceived {
				s.ReceivedDate = at
			}
		}
	case *packetv1.MStatistic:
		if m.IsMonthStatistic {
			m.Month = 12
		}
	}
}

// standard returns a copy without unknown elements and fields of later versions.
func standard(m proto.Message) proto.Message {
	m = proto.Clone(m)
	strip(m.ProtoReflect())
	return m
}

func strip(m protoreflect.Message) {
	m.SetUnknown(nil)
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Name() == "unknown_elements" {
			m.Clear(fd)
		} else if fd.IsList() && fd.Message() != nil {
			for i := range v.List().Len() {
				strip(v.List().Get(i).Message())
			}
		} else if fd.Message() != nil {
			strip(v.Message())
		}
		return true
	})
}

func TestMessagesSurviveEveryFormat(t *testing.T) {
	t.Parallel()
	codec, valid := newCodec(t), validator(t)
	for _, typ := range []packetv1.PacketType{dossier, progress, survey, statistic} {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				m := messages(typ).Draw(t, "message")
				fix(m)
				for _, format := range []exchangev1.Format{xmlFormat, jsonFormat, protobufFormat} {
					settled(t, codec, typ, format, m)
				}
				document, err := codec.Encode(standard(m), xmlFormat)
				if err != nil {
					t.Fatalf("write: %v", err)
				}
				if err := valid(document); err != nil {
					t.Fatalf("%v\n%s", err, document)
				}
			})
		})
	}
}

// fatal is what tests and drawn tests share.
type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

// settled writes a message, reads it, and demands that every standard field came
// back, and that from then on nothing changes any more.
func settled(t fatal, codec *packet.Codec, typ packetv1.PacketType, format exchangev1.Format, m proto.Message) {
	t.Helper()
	first, err := codec.Encode(m, format)
	if err != nil {
		t.Fatalf("write %s: %v", format, err)
	}
	p, err := codec.Decode(typ, format, first)
	if err != nil {
		t.Fatalf("read %s: %v %v\n%s", format, err, findingsOf(err), first)
	}
	if !proto.Equal(standard(p.Message), standard(m)) {
		t.Fatalf("%s changed\n%v\ninto\n%v\n%s", format, m, p.Message, first)
	}
	second, err := codec.Encode(p.Message, format)
	if err != nil {
		t.Fatalf("write %s again: %v", format, err)
	}
	again, err := codec.Decode(typ, format, second)
	if err != nil {
		t.Fatalf("read %s again: %v %v\n%s", format, err, findingsOf(err), second)
	}
	if !proto.Equal(again.Message, p.Message) {
		t.Fatalf("%s is not settled:\n%v\nand then\n%v\n%s", format, p.Message, again.Message, second)
	}
}
