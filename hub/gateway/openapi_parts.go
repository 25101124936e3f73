package gateway

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
)

// Where the components of the document are.
const (
	refSchemas    = "#/components/schemas/"
	refParameters = "#/components/parameters/"
	refHeaders    = "#/components/headers/"
	refResponses  = "#/components/responses/"
)

// The groups that the addresses are shown in.
const (
	tagOfficial = "official"
	tagREST     = "v1"
	tagOpen     = "open"
)

const clientCertificate = "clientCertificate"

// documentResult is the official name of what most calls are answered with.
const documentResult = "MResult"

// openAPI is an OpenAPI 3.1 document.
type openAPI struct {
	OpenAPI    string                           `json:"openapi"`
	Info       openAPIInfo                      `json:"info"`
	Servers    []openAPIServer                  `json:"servers"`
	Security   []map[string][]string            `json:"security"`
	Tags       []openAPITag                     `json:"tags"`
	Paths      map[string]map[string]*operation `json:"paths"`
	Components components                       `json:"components"`
}

type openAPIInfo struct {
	Title       string         `json:"title"`
	Description string         `json:"description"`
	Version     string         `json:"version"`
	License     openAPILicense `json:"license"`
}

type openAPILicense struct {
	Name       string `json:"name"`
	Identifier string `json:"identifier"`
}

type openAPIServer struct {
	URL string `json:"url"`
}

type openAPITag struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

type components struct {
	Schemas    map[string]json.RawMessage `json:"schemas"`
	Parameters map[string]parameter       `json:"parameters"`
	Headers    map[string]header          `json:"headers"`
	Responses  map[string]response        `json:"responses"`
	Security   map[string]security        `json:"securitySchemes"`
}

type security struct {
	Type        string `json:"type"`
	Description string `json:"description"`
}

type operation struct {
	ID          string                 `json:"operationId"`
	Tags        []string               `json:"tags"`
	Summary     string                 `json:"summary"`
	Description string                 `json:"description"`
	Parameters  []parameter            `json:"parameters,omitempty"`
	Body        *requestBody           `json:"requestBody,omitempty"`
	Responses   map[string]response    `json:"responses"`
	Security    *[]map[string][]string `json:"security,omitempty"`
}

type requestBody struct {
	Required    bool             `json:"required"`
	Description string           `json:"description,omitempty"`
	Content     map[string]media `json:"content"`
}

type media struct {
	Schema  map[string]any  `json:"schema"`
	Example json.RawMessage `json:"example,omitempty"`

	document string // official name of what is in it; empty for other content
}

type parameter struct {
	Ref         string         `json:"$ref,omitempty"`
	Name        string         `json:"name,omitempty"`
	In          string         `json:"in,omitempty"`
	Required    bool           `json:"required,omitempty"`
	Description string         `json:"description,omitempty"`
	Explode     *bool          `json:"explode,omitempty"`
	Schema      map[string]any `json:"schema,omitempty"`
}

type header struct {
	Description string         `json:"description"`
	Schema      map[string]any `json:"schema"`
}

type ref struct {
	Ref string `json:"$ref"`
}

type response struct {
	Ref         string           `json:"$ref,omitempty"`
	Description string           `json:"description,omitempty"`
	Headers     map[string]ref   `json:"headers,omitempty"`
	Content     map[string]media `json:"content,omitempty"`
}

// refuse adds the statuses an operation is refused with, each a response of a kind.
func (o *operation) refuse(kind string, statuses ...int) {
	for _, status := range statuses {
		o.Responses[strconv.Itoa(status)] = response{Ref: refResponses + kind + strconv.Itoa(status)}
	}
}

func text(pattern string) map[string]any {
	schema := map[string]any{"type": "string"}
	if pattern != "" {
		schema["pattern"] = pattern
	}
	return schema
}

func number(least, most int) map[string]any {
	return map[string]any{"type": "integer", "minimum": least, "maximum": most}
}

// newOpenAPI returns a document of a version with what its addresses share.
func newOpenAPI(version string) *openAPI {
	return &openAPI{
		OpenAPI: version,
		Info: openAPIInfo{
			Title:       bilingual("Trục liên thông", "Exchange hub"),
			Description: bilingual("Gói tin theo Quyết định 1705/QĐ-BTTTT qua HTTPS", "The packets of Decision 1705/QĐ-BTTTT by HTTPS"),
			Version:     "1.0",
			License:     openAPILicense{Name: "Apache License 2.0", Identifier: "Apache-2.0"},
		},
		Servers:  []openAPIServer{{URL: "/"}},
		Security: []map[string][]string{{clientCertificate: {}}},
		Tags: []openAPITag{
			{tagOfficial, bilingual("Các địa chỉ mà hệ thống của cơ quan đang gọi", "The addresses that agencies' systems already call")},
			{tagREST, bilingual("ExchangeService và LedgerService qua REST, JSON của Protobuf", "The ExchangeService and the LedgerService by REST, in Protobuf's JSON")},
			{tagOpen, bilingual("Không cần chứng thư", "Served without a certificate")},
		},
		Paths: map[string]map[string]*operation{},
		Components: components{
			Schemas:    map[string]json.RawMessage{},
			Parameters: sharedParameters(),
			Headers:    sharedHeaders(),
			Responses:  sharedResponses(),
			Security: map[string]security{clientCertificate: {
				Type:        "mutualTLS",
				Description: bilingual("Chứng thư của hệ thống do trục cấp", "The node's certificate, issued by the hub"),
			}},
		},
	}
}

// sharedResponses returns the refusals, each as an MResult and as a problem.
func sharedResponses() map[string]response {
	responses := map[string]response{}
	for status, said := range refusalTexts() {
		headers := map[string]ref{"X-Request-Id": {refHeaders + "X-Request-Id"}}
		switch status {
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			headers["Retry-After"] = ref{refHeaders + "Retry-After"}
		case http.StatusMethodNotAllowed:
			headers["Allow"] = ref{refHeaders + "Allow"}
		case http.StatusUnauthorized:
			headers["WWW-Authenticate"] = ref{refHeaders + "WWW-Authenticate"}
		}
		code := strconv.Itoa(status)
		responses["Refusal"+code] = response{
			Description: bilingual(said.vi+fmt.Sprintf("; Status của MResult là %d", statusRefused), said.en+fmt.Sprintf("; Status of the MResult is %d", statusRefused)),
			Headers:     headers, Content: official(documentResult),
		}
		responses["Problem"+code] = response{Description: bilingual(said.vi, said.en), Headers: headers, Content: map[string]media{
			typeProblem: {Schema: map[string]any{"$ref": refSchemas + "Problem"}},
		}}
	}
	return responses
}

// cause is why a call is refused, in both languages.
type cause struct{ vi, en string }

// refusalTexts says what the statuses mean that calls are refused with.
func refusalTexts() map[int]cause {
	return map[int]cause{
		http.StatusBadRequest: {
			"Gói tin, tiêu đề hoặc tham số không hợp lệ; mọi vi phạm được liệt kê", "The packet, a header or a parameter is not valid; every violation is listed",
		},
		http.StatusUnauthorized: {
			"Không có chứng thư của một hệ thống đã đăng ký, hoặc chứng thư đã được thay", "No certificate of a registered node, or one that was replaced",
		},
		http.StatusForbidden: {
			"Hệ thống không được làm việc này: không có quyền gửi, không được đại diện cho cơ quan, hoặc đang bị tạm ngừng", "The node may not do this: it has no right to send, does not speak for the organisation, or is suspended",
		},
		http.StatusNotFound:              {"Không có gói tin này, hoặc không dành cho hệ thống đang gọi", "No such packet, or none for the caller"},
		http.StatusGone:                  {"Gói tin đã hết thời hạn lưu; biên nhận vẫn còn", "The packet is not kept any more; its receipt still is"},
		http.StatusMethodNotAllowed:      {"Địa chỉ này không dùng phương thức đó; Allow nêu các phương thức dùng được", "A method that is not for this address; Allow has those that are"},
		http.StatusRequestTimeout:        {"Nội dung gửi lên đến quá chậm", "The body came too slowly"},
		http.StatusConflict:              {"Mã gói tin đã dùng cho nội dung khác", "The id was used for other content"},
		http.StatusRequestEntityTooLarge: {"Gói tin lớn hơn mức trục tiếp nhận, mặc định 16 MiB", "The packet is larger than the hub accepts, by default 16 MiB"},
		http.StatusUnsupportedMediaType:  {"Kiểu hoặc cách mã hóa nội dung không đọc được", "A media type or encoding that is not read"},
		http.StatusTooManyRequests:       {"Vượt quá khả năng hoặc hạn mức tiếp nhận; gửi lại sau", "More than is taken at once, or than the node's quota; send again later"},
		http.StatusInternalServerError:   {"Lỗi của trục", "A failure of the hub"},
		http.StatusServiceUnavailable:    {"Trục đang bận, đang dừng hoặc chưa kết nối được; gửi lại sau", "The hub is busy, shutting down or cannot be reached; send again later"},
		http.StatusGatewayTimeout:        {"Trục không trả lời kịp", "The hub did not answer in time"},
	}
}

func sharedParameters() map[string]parameter {
	in := func(name, vi, en string, schema map[string]any) parameter {
		return parameter{Name: name, In: "header", Description: bilingual(vi, en), Schema: schema}
	}
	query := func(name, header string, schema map[string]any) parameter {
		return parameter{Name: name, In: "query", Description: bilingual("Như "+header, "Like "+header), Explode: new(bool), Schema: schema}
	}
	return map[string]parameter{
		"QueryTo":         query("to", "X-LienThong-To", recipients()),
		"QueryOnBehalfOf": query("on-behalf-of", "X-LienThong-On-Behalf-Of", onBehalfOf()),
		"RequestId": in("X-Request-Id", "Mã của bên gọi cho lời gọi này; được trả lại, mã không đúng dạng thì được thay bằng mã mới",
			"The caller's own id of the call; it is answered, and a new one instead of one that is not of this form", text(`^[A-Za-z0-9._:-]{1,128}$`)),
		"IdempotencyKey": in("Idempotency-Key", "Mã gói tin của bên gửi; không có thì tính từ nội dung, nên gửi lại không tạo gói tin thứ hai",
			"The sender's id for the packet; without it, it follows from the content, so that sending again makes no second packet", text(`^(?:[A-Za-z0-9._:-]{1,128}|"[A-Za-z0-9._:-]{1,128}")$`)),
		"To": in("X-LienThong-To", "Các hệ thống nhận, cách nhau bằng dấu phẩy; không có thì mọi hệ thống có quyền nhận",
			"The recipient nodes, with commas between them; without it, every node that may receive", recipients()),
		"OnBehalfOf": in("X-LienThong-On-Behalf-Of", "Cơ quan mà bên gửi đại diện; không có thì là cơ quan của hệ thống",
			"The organisation spoken for; without it, the node's own", onBehalfOf()),
		"IfNoneMatch": in("If-None-Match", "ETag của nội dung bên gọi đã có", "The ETag of what the caller has", text("")),
		"Sequence":    sequence(),
	}
}

// sequence describes the sequence of a packet in a path.
func sequence() parameter {
	const most = uint64(math.MaxUint64)
	return parameter{
		Name: "sequence", In: "path", Required: true, Schema: text(decimals(1)),
		Description: bilingual(fmt.Sprintf("Số thứ tự của gói tin, từ 1 đến %d", most), fmt.Sprintf("The packet's sequence, from 1 to %d", most)),
	}
}

// recipients describes a list of recipients, by the rules of the envelope that it
// goes into.
func recipients() map[string]any {
	rules := envelopeRules("recipients").GetRepeated()
	name := map[string]any{"type": "string", "maxLength": rules.GetItems().GetString().GetMaxLen()}
	return map[string]any{"type": "array", "maxItems": rules.GetMaxItems(), "items": name}
}

// onBehalfOf describes an organisation's code, by the rule of the envelope.
func onBehalfOf() map[string]any {
	return map[string]any{"type": "string", "maxLength": envelopeRules("on_behalf_of").GetString().GetMaxLen()}
}

func sharedHeaders() map[string]header {
	return map[string]header{
		"X-Request-Id":            {bilingual("Mã của lời gọi", "Id of the call"), text("")},
		"X-LienThong-Sequence":    {bilingual("Số thứ tự của gói tin", "The packet's sequence"), text(`^[0-9]+$`)},
		"X-LienThong-Envelope-Id": {bilingual("Mã gói tin của bên gửi", "The sender's id for the packet"), text("")},
		"Location":                {bilingual("Địa chỉ của gói tin đã tiếp nhận", "Where the accepted packet is"), map[string]any{"type": "string", "format": "uri-reference"}},
		"Content-Location":        {bilingual("Địa chỉ của chính văn bản trả về", "Where the document itself is"), map[string]any{"type": "string", "format": "uri-reference"}},
		"ETag":                    {bilingual("Đổi khi nội dung đổi", "Changes when the content does"), text("")},
		"Allow":                   {bilingual("Các phương thức dùng được", "The methods that are for this address"), text("")},
		"Retry-After":             {bilingual("Số giây nên chờ", "Seconds to wait"), number(1, 86400)},
		"WWW-Authenticate":        {bilingual("Cách xác thực", "How to say who calls"), text("")},
	}
}
