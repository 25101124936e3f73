package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	ledgerv1 "github.com/lienthong/lienthong/gen/lienthong/ledger/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// restTexts says what the methods of the ExchangeService do.
func restTexts() map[protoreflect.Name]about {
	return map[protoreflect.Name]about{
		"Submit": {
			vi: "Gửi một gói tin trong phong bì", en: "Submits a packet in its envelope",
			more: bilingual("Gói tin nằm trong content, mã hóa Base64, cùng loại và định dạng; hoặc trong upload, nếu đã tải lên trước qua gRPC. Trả về biên nhận có chữ ký; gửi lại cùng id và cùng nội dung thì nhận lại đúng biên nhận đó.",
				"The packet is in content, in Base64, with its type and format; or in upload, where it was uploaded before by gRPC. The answer is the signed receipt; the same id and content again give the same receipt."),
			headers: []string{"Location", "X-LienThong-Sequence", "X-LienThong-Envelope-Id"}, refuses: []int{http.StatusConflict},
		},
		"Pull": {
			vi: "Lấy các gói tin gửi đến hệ thống đang gọi", en: "Takes what is addressed to the caller",
			more: bilingual("Chờ gói tin đầu tiên đến hết waitSeconds. Gói tin chưa xác nhận trước leaseUntil sẽ được gửi lại.",
				"Waits for the first up to waitSeconds. What is not acknowledged before leaseUntil is delivered again."),
		},
		"Acknowledge": {
			vi: "Xác nhận đã nhận", en: "Acknowledges deliveries",
			more: bilingual("Theo số thứ tự của gói tin. Số không còn chờ nhận không phải là lỗi: được liệt kê trong notWaiting.",
				"By the packets' sequences. One that was not waiting is no error: it is listed in notWaiting."),
		},
		"Reject": {
			vi: "Báo không xử lý được gói tin", en: "Says that deliveries cannot be handled",
			more: bilingual("Gói tin được gửi lại sau một khoảng thời gian, mỗi lần dài gấp đôi; sau số lần mà trục cho phép, hoặc ngay lập tức nếu final, gói tin vào danh sách không giao được. "+
				"Các gói tin sau của cùng bên gửi và cùng hồ sơ chờ đến khi đó; gói tin khác không bị ảnh hưởng. Bên gửi xem được reason: không ghi dữ liệu cá nhân. Số không nằm trong tay bên gọi được liệt kê trong notWaiting.",
				"Each is delivered again after a delay that doubles each time; after as many attempts as the hub allows, or at once where final, it becomes a dead letter. "+
					"Later packets of the same sender and dossier wait until then; others do not. The sender sees the reason: no personal data. One that was not out with the caller is listed in notWaiting."),
		},
		"ListDeadLetters": {
			vi: "Các gói tin không giao được của hệ thống đang gọi", en: "The dead letters of the caller",
			more: bilingual("Theo số thứ tự, sau số after; mỗi lần tối đa limit, nếu không nêu là 100. Nội dung lấy tại /v1/packets/{sequence}.",
				"By sequence, after the sequence after; at most limit, or 100. What they were is at /v1/packets/{sequence}."),
		},
		"SettleDeadLetters": {
			vi: "Gửi lại hoặc bỏ các gói tin không giao được", en: "Delivers dead letters anew, or does away with them",
			more: bilingual("redeliver: đưa trở lại hàng chờ, gửi lại từ đầu. discard: bỏ, như đã xác nhận. Số không phải gói tin không giao được của bên gọi được liệt kê trong notDead. Mỗi số chỉ được nằm trong một danh sách.",
				"redeliver: back into the inbox, to be delivered anew. discard: done with, as if acknowledged. One that is no dead letter of the caller is listed in notDead. None may be in both lists."),
		},
		"GetDeliveryStatus": {
			vi: "Tình trạng giao gói tin: với từng bên nhận, cho bên gửi; với chính mình, cho bên nhận", en: "How far a packet has got: with each of its recipients, for its sender; with itself, for a recipient",
			more: bilingual("STATE_WAITING: đang chờ; nếu đã bị từ chối thì có reason, attempts (số lần đã giao) và nextAttemptAt (sớm nhất khi nào giao lại). STATE_ACKNOWLEDGED: bên nhận đã xác nhận. STATE_DEAD: không giao được, reason là lý do của bên nhận. STATE_DISCARDED: như vậy, và bên nhận đã bỏ hẳn.",
				"STATE_WAITING: in the inbox, or on its way; where it was rejected, with reason, attempts (deliveries so far) and nextAttemptAt (when it goes out again at the earliest). STATE_ACKNOWLEDGED: the recipient has it. STATE_DEAD: given up, with the recipient's reason. STATE_DISCARDED: so too, and the recipient has done away with it."),
			refuses: []int{http.StatusNotFound},
		},
		"GetInbox": {
			vi: "Những gì đang chờ hệ thống đang gọi", en: "What waits for the caller",
			more: bilingual("Số gói tin chưa xác nhận, số byte lưu trữ, mức tối đa (mostBytes; 0 là không giới hạn), và gói tin chờ lâu nhất. Hộp thư đầy thì gói tin mới bị từ chối; gói đã có vẫn được giữ.",
				"How many packets are not acknowledged, how the hub stores them in bytes, how much may wait (mostBytes; 0 is no limit), and what waits longest. New packets to an inbox that is full are refused; those in it stay."),
		},
		"GetPacket": {
			vi: "Gói tin đã tiếp nhận và phong bì của nó; gọi với Accept là XML thì được chính văn bản", en: "The accepted packet with its envelope; the document itself where Accept is XML",
			more:    bilingual("Cho bên gửi và các bên nhận của gói tin.", "For the sender and the recipients of the packet."),
			headers: []string{"Content-Location"},
			content: map[string]media{typeXML: document(), typeTextXML: document()}, refuses: []int{http.StatusNotFound, http.StatusGone},
		},
		"GetReceipt": {
			vi: "Biên nhận có chữ ký của một gói tin, cho bên gửi", en: "The signed receipt of a packet, for its sender",
			more:    bilingual("Kiểm tra bằng lệnh lienthong verify.", "It is checked with the command lienthong verify."),
			refuses: []int{http.StatusNotFound},
		},
	}
}

// document describes any packet as a document.
func document() media {
	var kinds []any
	for _, name := range []string{"MSyncDocument", "MDocumentTraces", "MVotes", "MStatistic"} {
		kinds = append(kinds, map[string]any{"$ref": refSchemas + name})
	}
	return media{Schema: map[string]any{"anyOf": kinds}, document: "MDocumentTraces"}
}

// ledgerTexts says what the methods of the LedgerService do.
func ledgerTexts() map[protoreflect.Name]about {
	return map[protoreflect.Name]about{
		"GetCheckpoint": {
			vi: "Điểm kiểm tra mới nhất của sổ cái", en: "The latest checkpoint of the ledger",
			more: bilingual("Ghi chú có chữ ký của trục (C2SP tlog-checkpoint), mã hóa Base64. Bên giám sát lưu lại để đối chiếu về sau.",
				"A note signed by the hub (C2SP tlog-checkpoint), in Base64. An auditor keeps it, to hold later ones against it."),
			refuses: []int{http.StatusNotFound},
		},
		"GetConsistencyProof": {
			vi: "Bằng chứng sổ cái chỉ được ghi thêm", en: "The proof that the ledger was only added to",
			more: bilingual("Sổ cái ở kích thước toSize bắt đầu bằng sổ cái ở kích thước fromSize (RFC 6962, 2.1.2).",
				"The ledger of size toSize begins with the ledger of size fromSize (RFC 6962, 2.1.2)."),
		},
		"GetInclusionProof": {
			vi: "Bằng chứng một biên nhận nằm trong sổ cái", en: "The proof that a statement is in the ledger",
			more: bilingual("Đường băm từ biên nhận số sequence đến gốc của sổ cái ở kích thước size (RFC 6962, 2.1.1).",
				"The path of hashes from the statement of that sequence to the root of the ledger of that size (RFC 6962, 2.1.1)."),
		},
	}
}

// rest says what the annotations of the services say: what grpc-gateway serves was
// generated from them.
func (d *openAPI) rest() error {
	if err := d.schema("Problem", problemSchema()); err != nil {
		return err
	}
	if _, err := d.message((&packetv1.Finding{}).ProtoReflect().Descriptor()); err != nil {
		return err
	}
	exchange := exchangev1.File_lienthong_exchange_v1_exchange_proto.Services().ByName("ExchangeService")
	ledger := ledgerv1.File_lienthong_ledger_v1_ledger_proto.Services().ByName("LedgerService")
	return errors.Join(d.service(exchange, restTexts()), d.service(ledger, ledgerTexts()))
}

func (d *openAPI) service(s protoreflect.ServiceDescriptor, texts map[protoreflect.Name]about) error {
	for i := range s.Methods().Len() {
		m := s.Methods().Get(i)
		rule, ok := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
		if !ok || rule == nil {
			continue // only by gRPC
		}
		said, ok := texts[m.Name()]
		if !ok {
			return fmt.Errorf("OpenAPI says nothing of %s", m.FullName())
		}
		if err := d.method(m, rule, said); err != nil {
			return fmt.Errorf("OpenAPI of %s: %w", m.FullName(), err)
		}
	}
	return nil
}

func (d *openAPI) method(m protoreflect.MethodDescriptor, rule *annotations.HttpRule, said about) error {
	path, methods := rule.GetGet(), []string{http.MethodGet, http.MethodHead}
	if path == "" {
		path, methods = rule.GetPost(), []string{http.MethodPost}
	}
	if path == "" || len(rule.GetAdditionalBindings()) > 0 {
		return fmt.Errorf("a binding that is not one GET or POST")
	}
	answer, err := d.message(m.Output())
	if err != nil {
		return err
	}
	content := map[string]media{typeJSON: {Schema: answer}}
	for mediaType, given := range said.content {
		content[mediaType] = given
	}
	said.content = content
	for _, method := range methods {
		o := &operation{
			ID: operationID(method, path), Tags: []string{tagREST}, Summary: bilingual(said.vi, said.en), Description: said.more,
			Parameters: []parameter{{Ref: refParameters + "RequestId"}},
			Responses:  map[string]response{"200": said.answer(method)},
		}
		if err := d.request(o, m.Input(), path, rule.GetBody()); err != nil {
			return err
		}
		o.refuse("Problem", append(callRefusals(), said.refuses...)...)
		if o.Body != nil {
			o.refuse("Problem", bodyRefusals()...)
		}
		d.add(path, method, o)
	}
	return nil
}

// request describes where the fields of a request go: into the path, into the body,
// or, where a body is not all the rest, into the query.
func (d *openAPI) request(o *operation, input protoreflect.MessageDescriptor, path, body string) error {
	if body == "*" {
		return d.body(o, input, false)
	}
	for i := range input.Fields().Len() {
		f := input.Fields().Get(i)
		switch {
		case strings.Contains(path, "{"+string(f.Name())+"}"):
			if err := d.inPath(o, f); err != nil {
				return err
			}
		case body == string(f.Name()):
			if err := d.body(o, f.Message(), demanded(f)); err != nil {
				return err
			}
		case body == "":
			schema, err := d.field(f)
			if err != nil {
				return err
			}
			o.Parameters = append(o.Parameters, parameter{Name: f.JSONName(), In: "query", Required: demanded(f), Schema: schema})
		}
	}
	return nil
}

// inPath describes a field that is part of the path: the sequence of a packet.
func (d *openAPI) inPath(o *operation, f protoreflect.FieldDescriptor) error {
	shared := d.Components.Parameters["Sequence"]
	schema, err := d.field(f)
	if err != nil {
		return err
	}
	if shared.Name != string(f.Name()) || shared.Schema["pattern"] != schema["pattern"] {
		return fmt.Errorf("%s in the path is not as the parameter Sequence says", f.FullName())
	}
	o.Parameters = append(o.Parameters, parameter{Ref: refParameters + "Sequence"})
	return nil
}

// body describes the body that a message comes as. It has to be there where it is
// demanded, or one of its members is.
func (d *openAPI) body(o *operation, m protoreflect.MessageDescriptor, required bool) error {
	schema, err := d.message(m)
	for i := range m.Fields().Len() {
		required = required || demanded(m.Fields().Get(i))
	}
	o.Body = &requestBody{Required: required, Content: map[string]media{typeJSON: {Schema: schema}}}
	return err
}

// message returns a reference to the schema of a Protobuf message in Protobuf's JSON,
// and adds the schema where it is not there yet.
func (d *openAPI) message(m protoreflect.MessageDescriptor) (map[string]any, error) {
	name := string(m.FullName())
	reference := map[string]any{"$ref": refSchemas + name}
	if _, ok := d.Components.Schemas[name]; ok {
		return reference, nil
	}
	whole, err := wholeRules(m)
	if err != nil {
		return nil, err
	}
	d.Components.Schemas[name] = nil // it may hold itself
	members, required := map[string]any{}, []string{}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		schema, err := d.field(f)
		if err != nil {
			return nil, err
		}
		members[f.JSONName()] = schema
		if demanded(f) {
			required = append(required, f.JSONName())
		}
	}
	schema := map[string]any{"type": "object", "properties": members, "additionalProperties": false}
	maps.Copy(schema, whole)
	if len(required) > 0 {
		schema["required"] = required
	}
	return reference, d.schema(name, schema)
}

func (d *openAPI) schema(name string, schema map[string]any) error {
	written, err := json.Marshal(schema)
	if err != nil {
		return fmt.Errorf("write schema %s: %w", name, err)
	}
	d.Components.Schemas[name] = written
	return nil
}

// field describes the value of a field and what the rules of its .proto file demand
// of it. What is a message may be null where it need not be there: that is how
// Protobuf's JSON shows one that is not set.
func (d *openAPI) field(f protoreflect.FieldDescriptor) (map[string]any, error) {
	if f.IsMap() {
		return nil, fmt.Errorf("%s: no JSON schema for maps", f.FullName())
	}
	schema, err := d.value(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.FullName(), err)
	}
	if f.IsList() {
		schema = map[string]any{"type": "array", "items": schema}
	}
	if err := constrain(schema, rulesOf(f)); err != nil {
		return nil, fmt.Errorf("%s: %w", f.FullName(), err)
	}
	if f.Message() != nil && !f.IsList() && !demanded(f) {
		schema = map[string]any{"anyOf": []any{schema, map[string]any{"type": "null"}}}
	}
	return schema, nil
}

func (d *openAPI) value(f protoreflect.FieldDescriptor) (map[string]any, error) {
	switch f.Kind() {
	case protoreflect.MessageKind:
		if f.Message().FullName() == (&timestamppb.Timestamp{}).ProtoReflect().Descriptor().FullName() {
			return map[string]any{"type": "string", "format": "date-time"}, nil
		}
		return d.message(f.Message())
	case protoreflect.EnumKind:
		var names []string
		for i := range f.Enum().Values().Len() {
			names = append(names, string(f.Enum().Values().Get(i).Name()))
		}
		return map[string]any{"type": "string", "enum": names}, nil
	case protoreflect.StringKind:
		return text(""), nil
	case protoreflect.BytesKind:
		return map[string]any{"type": "string", "contentEncoding": "base64"}, nil
	case protoreflect.BoolKind:
		return map[string]any{"type": "boolean"}, nil
	case protoreflect.Int32Kind:
		return map[string]any{"type": "integer", "format": f.Kind().String()}, nil
	case protoreflect.Uint32Kind:
		return map[string]any{"type": "integer", "format": f.Kind().String(), "minimum": 0, "maximum": uint32(math.MaxUint32)}, nil
	case protoreflect.Uint64Kind:
		return unsigned(), nil
	default:
		return nil, fmt.Errorf("no JSON schema for %s", f.Kind())
	}
}

// problemSchema describes a problem.
func problemSchema() map[string]any {
	return map[string]any{
		"type":        "object",
		"description": bilingual("Lý do từ chối (RFC 9457)", "Why a call is refused (RFC 9457)"),
		"required":    []string{"type", "title", "status", "detail", "detailVi", "reason", "requestId"},
		"properties": map[string]any{
			"type": text(""), "title": text(""), "status": number(400, 599), "detail": text(""), "detailVi": text(""),
			"reason": text(""), "requestId": text(""), "retryAfterSeconds": number(1, 86400),
			"violations": map[string]any{"type": "array", "items": map[string]any{"$ref": refSchemas + "lienthong.packet.v1.Finding"}},
		},
	}
}
