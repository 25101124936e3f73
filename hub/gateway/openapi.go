package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/lienthong/lienthong/packet"
)

// OpenAPI returns the OpenAPI 3.1 document of the edge: its addresses, out of the table
// that serves them and the annotations of the services under /v1, and the schemas of what
// they take and answer. It is the same bytes every time. An error means that something
// is served of which nothing is said.
func OpenAPI() ([]byte, error) {
	packets, err := packet.OpenAPI()
	if err != nil {
		return nil, fmt.Errorf("schemas of packets: %w", err)
	}
	var described struct {
		OpenAPI    string
		Components struct{ Schemas map[string]json.RawMessage }
	}
	if err := json.Unmarshal(packets, &described); err != nil {
		return nil, fmt.Errorf("schemas of packets: %w", err)
	}
	d := newOpenAPI(described.OpenAPI)
	for name, schema := range described.Components.Schemas {
		d.Components.Schemas[name] = schema
	}
	if err := errors.Join(d.deliveryIDs("MAcknowledge"), d.deliveryIDs("MReject")); err != nil {
		return nil, err
	}
	for path, r := range (&gateway{}).addresses() {
		if err := d.serve(path, r); err != nil {
			return nil, err
		}
	}
	if err := d.rest(); err != nil {
		return nil, err
	}
	if err := d.exemplify(); err != nil {
		return nil, err
	}
	if err := d.prune(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(d); err != nil {
		return nil, fmt.Errorf("write OpenAPI: %w", err)
	}
	return b.Bytes(), nil
}

// about is what OpenAPI says of a route.
type about struct {
	vi, en string
	// more is the description: what a caller has to know that the summary leaves out.
	more       string
	parameters []parameter
	// takes and gives name the official documents of the body and of the answer.
	takes, gives string
	// content is the answer where it is no official document, by media type.
	content map[string]media
	headers []string // of the answer, by their names in the components
	refuses []int    // statuses, beside those of every call of its kind
}

// serve says what there is to say of one route.
func (d *openAPI) serve(path string, r route) error {
	if r.about == nil {
		return fmt.Errorf("OpenAPI says nothing of %s", path)
	}
	said := r.about()
	for _, method := range r.methods {
		o := &operation{
			ID: operationID(method, path), Tags: []string{tagOfficial}, Summary: bilingual(said.vi, said.en), Description: said.more,
			Parameters: append([]parameter{{Ref: refParameters + "RequestId"}}, said.parameters...),
			Responses:  map[string]response{"200": said.answer(method)},
		}
		if slices.Contains(said.headers, "ETag") {
			o.Parameters = append(o.Parameters, parameter{Ref: refParameters + "IfNoneMatch"})
			o.Responses["304"] = response{
				Description: bilingual("Bên gọi đã có đúng nội dung này (If-None-Match)", "The caller has it already (If-None-Match)"),
				Headers:     map[string]ref{"X-Request-Id": {refHeaders + "X-Request-Id"}, "ETag": {refHeaders + "ETag"}},
			}
		}
		if said.takes != "" {
			o.Body = &requestBody{Required: true, Content: official(said.takes)}
		}
		if r.open {
			o.Tags, o.Security = []string{tagOpen}, &[]map[string][]string{}
		}
		refused := "Refusal"
		if strings.HasPrefix(path, restRoot+"/") {
			refused = "Problem"
		}
		o.refuse(refused, r.refusals(said)...)
		d.add(path, method, o)
	}
	return nil
}

// answer describes what a route answers where it does not refuse.
func (a about) answer(method string) response {
	answer := response{Description: bilingual("Thành công", "Served"), Headers: map[string]ref{}, Content: a.content}
	for _, name := range append([]string{"X-Request-Id"}, a.headers...) {
		answer.Headers[name] = ref{refHeaders + name}
	}
	if a.gives != "" {
		answer.Content = official(a.gives)
	}
	if a.gives == documentResult {
		answer.Description = bilingual(fmt.Sprintf("Thành công; Status của MResult là %d", statusAccepted), fmt.Sprintf("Served; Status of the MResult is %d", statusAccepted))
	}
	if method == http.MethodHead {
		answer.Content = nil
	}
	return answer
}

// refusals returns the statuses that a route refuses with.
func (r route) refusals(said about) []int {
	statuses := append([]int{http.StatusMethodNotAllowed, http.StatusInternalServerError}, said.refuses...)
	if r.open {
		return statuses
	}
	statuses = append(statuses, callRefusals()...)
	if said.takes != "" {
		statuses = append(statuses, bodyRefusals()...)
	}
	return statuses
}

// callRefusals are the statuses that any call by a node may be refused with.
func callRefusals() []int {
	return []int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	}
}

// bodyRefusals are those that a call with a body may be refused with besides.
func bodyRefusals() []int {
	return []int{http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType}
}

// add puts an operation at an address.
func (d *openAPI) add(path, method string, o *operation) {
	if d.Paths[path] == nil {
		d.Paths[path] = map[string]*operation{}
	}
	d.Paths[path][strings.ToLower(method)] = o
}

// operationID names an operation by its method and the words of its path.
func operationID(method, path string) string {
	id := strings.ToLower(method)
	for _, word := range strings.FieldsFunc(path, func(c rune) bool { return strings.ContainsRune("/.:{}-", c) }) {
		id += strings.ToUpper(word[:1]) + word[1:]
	}
	return id
}

// official returns the media types that official documents come and go in.
func official(document string) map[string]media {
	content := map[string]media{}
	for _, mediaType := range []string{typeXML, typeTextXML, typeJSON} {
		content[mediaType] = media{Schema: map[string]any{"$ref": refSchemas + document}, document: document}
	}
	return content
}
