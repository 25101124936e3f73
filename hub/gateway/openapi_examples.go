package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"google.golang.org/protobuf/proto"

	edgev1 "github.com/lienthong/lienthong/gen/lienthong/edge/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

// documents returns what comes and goes as XML or JSON, by official names.
func documents() map[string]proto.Message {
	return map[string]proto.Message{
		"MSyncDocument": &packetv1.MSyncDocument{}, "MDocumentTraces": &packetv1.MDocumentTraces{}, "MVotes": &packetv1.MVotes{}, "MStatistic": &packetv1.MStatistic{},
		documentResult: &packetv1.MResult{}, "MDeliveries": &edgev1.MDeliveries{}, "MAcknowledge": &edgev1.MAcknowledge{}, "MReject": &edgev1.MReject{},
	}
}

// exemplify gives every body and answer that is an official document an example:
// that of the document's schema, or the refusal that an answer is. In the place for
// examples all media types have it as a value, for that is what checkers hold against
// the schema; the text that it is in XML is said beside it.
func (d *openAPI) exemplify() error {
	codec, err := packet.NewCodec(packet.Options{})
	if err != nil {
		return fmt.Errorf("examples: %w", err)
	}
	shown := examples{codec: codec, documents: documents()}
	for name, m := range shown.documents {
		if err := d.example(codec, name, m); err != nil {
			return err
		}
	}
	for _, operations := range d.Paths {
		for _, o := range operations {
			if err := shown.operation(o); err != nil {
				return err
			}
		}
	}
	for _, refusal := range d.Components.Responses {
		shown.documents[documentResult] = &packetv1.MResult{Status: proto.Int32(statusRefused), Message: proto.String(refusal.Description)}
		if _, err := shown.put(refusal.Content); err != nil {
			return err
		}
	}
	return nil
}

// examples are documents to show, by their official names.
type examples struct {
	codec     *packet.Codec
	documents map[string]proto.Message
}

// operation puts examples into what an operation takes and answers.
func (e examples) operation(o *operation) error {
	if o.Body != nil {
		written, err := e.put(o.Body.Content)
		if err != nil {
			return err
		}
		o.Body.Description = written
	}
	for status, answer := range o.Responses {
		written, err := e.put(answer.Content)
		if err != nil {
			return err
		}
		if written != "" {
			answer.Description += "\n\n" + written
			o.Responses[status] = answer
		}
	}
	return nil
}

// put puts examples into content, and returns the Markdown that shows one in XML;
// empty where there is none.
func (e examples) put(content map[string]media) (string, error) {
	markdown := ""
	for mediaType, described := range content {
		m := e.documents[described.document]
		if m == nil {
			continue
		}
		value, err := e.codec.Encode(m, exchangev1.Format_FORMAT_JSON)
		if err != nil {
			return "", fmt.Errorf("example of %s: %w", described.document, err)
		}
		described.Example = value
		content[mediaType] = described
		written, err := e.codec.Encode(m, exchangev1.Format_FORMAT_XML)
		if err != nil {
			return "", fmt.Errorf("example of %s: %w", described.document, err)
		}
		markdown = bilingual("Ví dụ, dạng XML", "An example as XML") + ":\n\n```xml\n" + strings.TrimSpace(string(written)) + "\n```"
	}
	return markdown, nil
}

// example reads the example in the schema of a document into m.
func (d *openAPI) example(codec *packet.Codec, name string, m proto.Message) error {
	var schema struct{ Examples []json.RawMessage }
	if err := json.Unmarshal(d.Components.Schemas[name], &schema); err != nil {
		return fmt.Errorf("schema %s: %w", name, err)
	}
	if len(schema.Examples) == 0 {
		return fmt.Errorf("schema %s has no example", name)
	}
	if _, err := codec.DecodeMessage(m, exchangev1.Format_FORMAT_JSON, schema.Examples[0]); err != nil {
		return fmt.Errorf("example of %s: %w", name, err)
	}
	return nil
}

// prune takes out the components that nothing refers to.
func (d *openAPI) prune() error {
	used := map[string]bool{}
	if err := d.follow(d.Paths, used); err != nil {
		return err
	}
	keep(d.Components.Schemas, refSchemas, used)
	keep(d.Components.Parameters, refParameters, used)
	keep(d.Components.Headers, refHeaders, used)
	keep(d.Components.Responses, refResponses, used)
	return nil
}

// follow notes what a part of the document refers to, and what that refers to.
func (d *openAPI) follow(part any, used map[string]bool) error {
	written, err := json.Marshal(part)
	if err != nil {
		return fmt.Errorf("find references: %w", err)
	}
	for _, found := range regexp.MustCompile(`"\$ref":"([^"]+)"`).FindAllSubmatch(written, -1) {
		reference := string(found[1])
		if used[reference] {
			continue
		}
		used[reference] = true
		if err := d.follow(d.component(reference), used); err != nil {
			return err
		}
	}
	return nil
}

// component returns what a reference leads to.
func (d *openAPI) component(reference string) any {
	name := reference[strings.LastIndexByte(reference, '/')+1:]
	switch strings.TrimSuffix(reference, name) {
	case refSchemas:
		return d.Components.Schemas[name]
	case refParameters:
		return d.Components.Parameters[name]
	case refHeaders:
		return d.Components.Headers[name]
	default:
		return d.Components.Responses[name]
	}
}

// keep takes out the components of a kind that are not used.
func keep[T any](all map[string]T, kind string, used map[string]bool) {
	maps.DeleteFunc(all, func(name string, _ T) bool { return !used[kind+name] })
}
