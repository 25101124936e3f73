package packet

import (
	"bytes"
	"encoding/json"
	"fmt"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// OpenAPI returns an OpenAPI 3.1 document whose components are JSON schemas (2020-12)
// by the names of the packets and of their parts; of everything that is read and
// written where no packet is named. They say what Encode writes; what Decode reads
// besides is more. The document has no paths: those are of whoever serves them (see
// hub/gateway.OpenAPI). The same types give the same bytes.
func OpenAPI(types ...packetv1.PacketType) ([]byte, error) {
	roots, err := tables(types, schema.documents)
	if err != nil {
		return nil, err
	}
	codec, err := NewCodec(Options{})
	if err != nil {
		return nil, err
	}
	document := openAPI{OpenAPI: "3.1.1", Info: openAPIInfo{
		Title:       "Gói tin liên thông hồ sơ, thủ tục hành chính / Packets of administrative procedures",
		Description: "Quyết định 1705/QĐ-BTTTT ngày 23/10/2018 / Decision 1705/QĐ-BTTTT of 23/10/2018",
		Version:     "1.0",
		License:     openAPILicense{Name: "Apache License 2.0", Identifier: "Apache-2.0"},
	}}
	for _, m := range nested(roots) {
		described := m.jsonSchema()
		if described.Examples, err = codec.examples(m); err != nil {
			return nil, err
		}
		document.Components.Schemas = append(document.Components.Schemas, property{m.name, described})
	}
	return indented(document)
}

// openAPI is an OpenAPI document as far as packets need it.
type openAPI struct {
	OpenAPI    string      `json:"openapi"`
	Info       openAPIInfo `json:"info"`
	Components struct {
		Schemas properties `json:"schemas"`
	} `json:"components"`
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

func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("write OpenAPI: %w", err)
	}
	return b.Bytes(), nil
}
