package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/packet"
)

// maxMisread bounds the findings about one body.
const maxMisread = 20

// misread says why a body is not the JSON of a message: every member that is wrong,
// with its place and what is allowed. It is asked only about bodies that could not be
// read, so that reading a good one costs nothing more.
func misread(body []byte, want protoreflect.MessageDescriptor) *fault.Error {
	r := &misreading{body: body}
	switch at, complete := notJSON(body); {
	case packet.Sniff(body) == exchangev1.Format_FORMAT_XML:
		r.note(0, "", "syntax", "", "this is XML; JSON is expected", "đây là XML; cần JSON")
	case !utf8.Valid(body):
		r.note(validBytes(body), "", "encoding", "", "is not UTF-8 from here on", "từ đây không phải UTF-8")
	case !complete:
		r.note(len(body), "", "syntax", "", "the JSON ends before it is complete", "JSON kết thúc khi chưa đầy đủ")
	case at >= 0:
		r.note(at, "", "syntax", "", "is not JSON from here on; one JSON object is expected", "từ đây không phải JSON; cần một đối tượng JSON")
	default:
		r.decoder = json.NewDecoder(bytes.NewReader(body))
		r.decoder.UseNumber()
		r.message("", want)
	}
	return r.refusal()
}

// notJSON returns where a text ceases to be one JSON value; -1 where it does not, and
// not complete where only its end is missing.
func notJSON(text []byte) (at int, complete bool) {
	if json.Valid(text) {
		return -1, true
	}
	first := json.NewDecoder(bytes.NewReader(text))
	err := first.Decode(new(json.RawMessage))
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return 0, false
	case errors.As(err, &syntax):
		return max(int(syntax.Offset)-1, 0), true
	}
	rest := text[first.InputOffset():]
	return len(text) - len(bytes.TrimLeft(rest, " \t\r\n")), true
}

// validBytes returns how many bytes at the front of a text are UTF-8.
func validBytes(text []byte) int {
	at := 0
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	return at
}

// misreading is a walk through a body that is well-formed JSON.
type misreading struct {
	body     []byte
	decoder  *json.Decoder
	findings []*packetv1.Finding
}

func (r *misreading) refusal() *fault.Error {
	refused := errBody("it is not what this address takes; /openapi.json describes that", "không đúng dạng địa chỉ này nhận; xem /openapi.json")
	if len(r.findings) == 0 {
		return refused
	}
	first := r.findings[0]
	place := fmt.Sprintf("%d:%d: ", first.GetLine(), first.GetColumn())
	if first.GetField() != "" {
		place += first.GetField() + ": "
	}
	en, vi := place+first.GetMessageEn(), place+first.GetMessageVi()
	if n := len(r.findings); n > 1 {
		en, vi = en+fmt.Sprintf("; violations: %d", n), vi+fmt.Sprintf("; số lỗi: %d", n)
	}
	return errBody(en, vi).With(r.findings)
}

func errBody(en, vi string) *fault.Error {
	return fault.New(codes.InvalidArgument, "request_invalid", "the body cannot be read: "+en, "không đọc được nội dung gửi lên: "+vi)
}

// note keeps what is wrong at an offset.
func (r *misreading) note(at int, field, rule, sent, en, vi string) {
	if len(r.findings) == maxMisread {
		return
	}
	before := r.body[:min(at, len(r.body))]
	f := violation(field, rule, sent, en, vi)
	f.Line = int32(min(bytes.Count(before, []byte("\n"))+1, math.MaxInt32))                              //nolint:gosec // bounded here
	f.Column = int32(min(utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:])+1, math.MaxInt32)) //nolint:gosec // bounded here
	r.findings = append(r.findings, f)
}

// next returns the next token and where it begins; nil for the end, and for null.
func (r *misreading) next() (json.Token, int) {
	at := int(r.decoder.InputOffset())
	for at < len(r.body) && strings.IndexByte(" \t\r\n,:", r.body[at]) >= 0 {
		at++
	}
	token, err := r.decoder.Token()
	if err != nil {
		return nil, at
	}
	return token, at
}

// skip passes over what is left of a value that began with a token.
func (r *misreading) skip(began json.Token) {
	depth := 0
	for token := began; ; token, _ = r.next() {
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 || token == nil && r.ended() {
			return
		}
	}
}

func (r *misreading) ended() bool { return int(r.decoder.InputOffset()) >= len(r.body) }

// text returns a value as it was sent.
func (r *misreading) text(at int) string {
	return string(r.body[at:min(int(r.decoder.InputOffset()), at+4*maxShown, len(r.body))])
}

// message reads an object whose members are a message's fields.
func (r *misreading) message(path string, want protoreflect.MessageDescriptor) {
	token, at := r.next()
	if token == nil && path != "" {
		return // as if it were not there
	}
	if token != json.Delim('{') {
		r.skip(token)
		r.note(at, path, "type", "", "an object is expected", "phải là một đối tượng")
		return
	}
	if path != "" {
		path += "."
	}
	seen := map[protoreflect.Name]bool{}
	for r.decoder.More() && len(r.findings) < maxMisread {
		token, at := r.next()
		name, _ := token.(string)
		field := want.Fields().ByJSONName(name)
		if field == nil {
			field = want.Fields().ByTextName(name)
		}
		switch {
		case field == nil:
			allowed := strings.Join(members(want), ", ")
			r.note(at, path+cut(name), "unknown", "", "there is no such member; allowed are "+allowed, "không có thành phần này; cho phép "+allowed)
			value, _ := r.next()
			r.skip(value)
			continue
		case seen[field.Name()]:
			r.note(at, path+name, "repeated", "", "may be given once only", "chỉ được khai một lần")
		}
		seen[field.Name()] = true
		r.field(path+name, field)
	}
	_, _ = r.next() // the closing brace
}

// members returns how the fields of a message are called in JSON.
func members(want protoreflect.MessageDescriptor) []string {
	var names []string
	for i := range want.Fields().Len() {
		names = append(names, want.Fields().Get(i).JSONName())
	}
	return names
}

// field reads the value of a field.
func (r *misreading) field(path string, field protoreflect.FieldDescriptor) {
	if !field.IsList() {
		r.value(path, field)
		return
	}
	token, at := r.next()
	if token == nil {
		return
	}
	if token != json.Delim('[') {
		r.skip(token)
		r.note(at, path, "type", r.shown(token, at, field), "a list is expected", "phải là một danh sách")
		return
	}
	for i := 0; r.decoder.More() && len(r.findings) < maxMisread; i++ {
		r.value(fmt.Sprintf("%s[%d]", path, i), field)
	}
	_, _ = r.next() // the closing bracket
}

// value reads one value of a field.
func (r *misreading) value(path string, field protoreflect.FieldDescriptor) {
	if field.Message() != nil {
		r.message(path, field.Message())
		return
	}
	token, at := r.next()
	if token == nil && !strings.HasSuffix(path, "]") {
		return // null: as if it were not there
	}
	if en, vi := wrongValue(token, field); en != "" {
		r.skip(token)
		r.note(at, path, "type", r.shown(token, at, field), en, vi)
	}
}

// shown returns a value as a refusal may repeat it: nothing of a packet, which is what
// stands where bytes belong, and no object or list, which may hold one.
func (r *misreading) shown(token json.Token, at int, field protoreflect.FieldDescriptor) string {
	if _, nested := token.(json.Delim); nested || field.Kind() == protoreflect.BytesKind {
		return ""
	}
	return r.text(at)
}

// wrongValue says what is expected in a field where a token is not that.
func wrongValue(token json.Token, field protoreflect.FieldDescriptor) (en, vi string) {
	text, isText := token.(string)
	_, isBool := token.(bool)
	switch field.Kind() {
	case protoreflect.StringKind:
		if !isText {
			return "text in quotation marks is expected", "phải là văn bản trong dấu ngoặc kép"
		}
	case protoreflect.BytesKind:
		if !isText || !isBase64(text) {
			return "Base64 text is expected", "phải là văn bản Base64"
		}
	case protoreflect.BoolKind:
		if !isBool {
			return "true or false is expected", "phải là true hoặc false"
		}
	case protoreflect.EnumKind:
		if names := enumNames(field.Enum()); !isEnum(token, field.Enum()) {
			return "one of " + names + " is expected", "phải là một trong " + names
		}
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		most := uint64(math.MaxUint32)
		if rules, ok := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules); ok && rules.GetUint32().HasLte() {
			most = uint64(rules.GetUint32().GetLte())
		}
		return wholeNumber(token, most)
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return wholeNumber(token, math.MaxUint64)
	}
	return "", ""
}

// wholeNumber says what is expected where a token is no number from 0 to most, bare
// or in quotation marks.
func wholeNumber(token json.Token, most uint64) (en, vi string) {
	text := fmt.Sprint(token)
	switch token.(type) {
	case string, json.Number:
	default:
		text = ""
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n <= most {
		return "", ""
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f >= 0 && f <= float64(most) && f == math.Trunc(f) {
		return "", "" // 1e3
	}
	return fmt.Sprintf("a whole number from 0 to %d is expected", most), fmt.Sprintf("phải là số nguyên từ 0 đến %d", most)
}

// isBase64 reports whether a text is Base64 in either alphabet, padded or not.
func isBase64(text string) bool {
	encoding := base64.StdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.URLEncoding
	}
	if len(text)%4 != 0 {
		encoding = encoding.WithPadding(base64.NoPadding)
	}
	_, err := io.Copy(io.Discard, base64.NewDecoder(encoding, strings.NewReader(text)))
	return err == nil
}

func isEnum(token json.Token, enum protoreflect.EnumDescriptor) bool {
	switch t := token.(type) {
	case string:
		return enum.Values().ByName(protoreflect.Name(t)) != nil
	case json.Number:
		_, err := strconv.ParseInt(t.String(), 10, 32)
		return err == nil
	}
	return false
}

// enumNames lists the values of an enum but the one for none.
func enumNames(enum protoreflect.EnumDescriptor) string {
	var names []string
	for i := range enum.Values().Len() {
		if value := enum.Values().Get(i); value.Number() != 0 {
			names = append(names, string(value.Name()))
		}
	}
	return strings.Join(names, ", ")
}
