package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/packet"
)

const (
	xsdPath     = "/schema/lienthong.xsd"
	openAPIPath = "/openapi.json"
)

// keptFor is how long whoever fetches a schema may keep it without asking again. It
// changes only with the hub's program.
const keptFor = "public, max-age=3600"

// published is a document that is the same for every caller.
type published struct {
	contentType string
	tag         string
	content     []byte
}

func publish(contentType string, content []byte) published {
	sum := sha256.Sum256(content)
	return published{contentType: contentType, tag: `"` + hex.EncodeToString(sum[:16]) + `"`, content: content}
}

// Documents are handed out to strangers: so many at once, and none for longer than
// it takes on a poor line. Whoever reads slower, or not at all, holds no more.
const (
	maxHanded   = 64
	handingTime = 15 * time.Second
)

// hand answers with a document, or that it is the one that the caller has.
func (g *gateway) hand(c *call, p published) error {
	h := c.w.Header()
	h.Set("Cache-Control", keptFor)
	h.Set("ETag", p.tag)
	if slices.ContainsFunc(strings.Split(c.r.Header.Get("If-None-Match"), ","), func(tag string) bool {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		return tag == p.tag || tag == "*"
	}) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if !g.handing.TryAcquire(1) {
		h.Del("Cache-Control")
		h.Del("ETag")
		return errHanding()
	}
	defer g.handing.Release(1)
	deadline := time.Now().Add(handingTime) // of a connection, which goes by no other clock
	if err := http.NewResponseController(c.w).SetWriteDeadline(deadline); err != nil {
		return fault.Internal(fmt.Errorf("set the time to hand a document out: %w", err))
	}
	c.send(http.StatusOK, p.contentType, p.content)
	return nil
}

// xsdKey is what a caller may ask of an XML schema.
type xsdKey struct {
	mode string
	typ  string // empty for all packets
}

func modeWords() []string {
	return []string{packet.XSDStrict.String(), packet.XSDStructure.String()}
}

const typePrefix = "PACKET_TYPE_"

// typeWords returns the words for packets, in the order of the standard.
func typeWords() []string {
	var words []string
	all := packetv1.PacketType(0).Descriptor().Values()
	for i := range all.Len() {
		if all.Get(i).Number() != 0 {
			words = append(words, strings.ToLower(strings.TrimPrefix(string(all.Get(i).Name()), typePrefix)))
		}
	}
	return words
}

// newXSDs writes all XML schemas that there are.
func newXSDs() (map[xsdKey]published, error) {
	schemas := map[xsdKey]published{}
	for _, mode := range []packet.XSDMode{packet.XSDStrict, packet.XSDStructure} {
		for _, word := range append([]string{""}, typeWords()...) {
			var types []packetv1.PacketType
			if word != "" {
				types = append(types, packetv1.PacketType(packetv1.PacketType_value[typePrefix+strings.ToUpper(word)]))
			}
			content, err := packet.XSD(mode, types...)
			if err != nil {
				return nil, fmt.Errorf("XML schema, %s: %w", mode, err)
			}
			schemas[xsdKey{mode.String(), word}] = publish(typeXML+"; charset=utf-8", content)
		}
	}
	return schemas, nil
}

// newDescription writes the document of OpenAPI.
func newDescription() (published, error) {
	document, err := OpenAPI()
	if err != nil {
		return published{}, err
	}
	return publish(typeJSON, document), nil
}

// xsd hands out an XML schema.
func (g *gateway) xsd(_ context.Context, c *call) error {
	key, err := xsdRequest(c.r.URL)
	if err != nil {
		return err
	}
	schemas, err := g.xsds()
	if err != nil {
		return fault.Internal(err)
	}
	return g.hand(c, schemas[key])
}

// openAPI hands out the document of OpenAPI.
func (g *gateway) openAPI(_ context.Context, c *call) error {
	document, err := g.described()
	if err != nil {
		return fault.Internal(err)
	}
	return g.hand(c, document)
}

// xsdRequest reads which schema is asked for.
func xsdRequest(u *url.URL) (xsdKey, error) {
	query, err := queryOf(u)
	if err != nil {
		return xsdKey{}, err
	}
	var findings []*packetv1.Finding
	word := func(name string, allowed []string) string {
		values := query[name]
		if len(values) == 1 && slices.Contains(allowed, values[0]) {
			return values[0]
		}
		if len(values) > 0 {
			list := strings.Join(allowed, ", ")
			findings = append(findings, violation(name, "in", cut(strings.Join(values, ",")), "has to be one of "+list, "phải là một trong "+list))
		}
		return ""
	}
	key := xsdKey{mode: word("mode", modeWords()), typ: word("type", typeWords())}
	if key.mode == "" {
		key.mode = packet.XSDStrict.String()
	}
	if len(findings) > 0 {
		return xsdKey{}, errQuery(findings)
	}
	return key, nil
}
