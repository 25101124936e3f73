package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/gateway"
)

// checked is a connection to a hub whose door checks requests by the rules of their
// .proto file, as every hub's does.
type checked struct {
	grpc.ClientConnInterface
	rules protovalidate.Validator
}

// Invoke implements grpc.ClientConnInterface.
func (c checked) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	var invalid *protovalidate.ValidationError
	if m, ok := args.(proto.Message); ok && errors.As(c.rules.Validate(m), &invalid) {
		return fault.Invalid("", invalid)
	}
	return c.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
}

// startCheckedEdge serves a gateway to a hub that checks requests and takes any
// content.
func startCheckedEdge(t testing.TB) *edge {
	t.Helper()
	rules, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	e := startEdge(t, func(cfg *gateway.Config, _ *http.Server) { cfg.Conn = checked{cfg.Conn, rules} })
	e.exchange.blind = true
	return e
}

// statedBounds returns every bound that OpenAPI states of what callers send beside
// packets, by where it is and its keyword.
func statedBounds(t testing.TB) map[string]any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(openAPI(t)))
	decoder.UseNumber()
	var document struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name   string
				Schema any
			}
		}
		Components struct {
			Parameters map[string]struct{ Schema any }
			Schemas    map[string]any
		}
	}
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	found := map[string]any{}
	for path, operations := range document.Paths {
		for _, o := range operations {
			for _, p := range o.Parameters {
				boundsOf(path+"?"+p.Name, p.Schema, found)
			}
		}
	}
	for name, p := range document.Components.Parameters {
		boundsOf(name, p.Schema, found)
	}
	for _, name := range []string{"lienthong.exchange.v1.Envelope", "lienthong.exchange.v1.PullRequest", "lienthong.exchange.v1.AcknowledgeRequest", "MAcknowledge", "lienthong.exchange.v1.RejectRequest", "lienthong.exchange.v1.Rejection", "lienthong.exchange.v1.SettleDeadLettersRequest"} {
		boundsOf(name[strings.LastIndexByte(name, '.')+1:], document.Components.Schemas[name], found)
	}
	return found
}

// boundsOf collects the bounds in a schema.
func boundsOf(at string, schema any, found map[string]any) {
	members, _ := schema.(map[string]any)
	for keyword, value := range members {
		switch keyword {
		case "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "uniqueItems", "enum", "required", "oneOf", "additionalProperties":
			found[at+" "+keyword] = value
		case "items":
			boundsOf(at+"[]", value, found)
		case "properties":
			for name, property := range value.(map[string]any) {
				boundsOf(at+"."+name, property, found)
			}
		}
	}
}

// sends are the ways to send a value that a bound is about, by where the bound is.
type sends map[string]func(value string) answer

// numberSends sends what has a number: the value itself, a text of that length, a
// list of so many.
func numberSends(e *edge) sends {
	all := envelopeSends(e)
	maps.Copy(all, beside(e))
	maps.Copy(all, ledgerSends(e))
	maps.Copy(all, deadLetterSends(e))
	pull := func(name string) func(string) answer {
		return func(n string) answer { return e.post("/v1/deliveries:pull", jsonType, `{"`+name+`":`+n+`}`) }
	}
	official := func(name string) func(string) answer {
		return func(n string) answer { return e.get("/Delivery/Pull?" + name + "=" + n) }
	}
	sequence := func(n string) answer {
		return e.post("/v1/deliveries:acknowledge", jsonType, `{"sequences":[`+n+`]}`)
	}
	sequences := func(n string) answer { return sequence(several(n, "%d")) }
	deliveries := func(n string) answer {
		return e.post("/Delivery/Acknowledge", jsonType, `{"DeliveryId":[`+several(n, `"%d"`)+`]}`)
	}
	maps.Copy(all, sends{
		"PullRequest.max minimum": pull("max"), "PullRequest.max maximum": pull("max"),
		"PullRequest.waitSeconds minimum": pull("waitSeconds"), "PullRequest.waitSeconds maximum": pull("waitSeconds"),
		"AcknowledgeRequest.sequences minItems": sequences, "AcknowledgeRequest.sequences maxItems": sequences,
		"AcknowledgeRequest.sequences[] minimum": sequence, "AcknowledgeRequest.sequences[] maximum": sequence,
		"MAcknowledge.DeliveryId minItems": deliveries, "MAcknowledge.DeliveryId maxItems": deliveries,
		"/Delivery/Pull?max minimum": official("max"), "/Delivery/Pull?max maximum": official("max"),
		"/Delivery/Pull?wait minimum": official("wait"), "/Delivery/Pull?wait maximum": official("wait"),
	})
	return all
}

// envelopeSends sends members of an envelope.
func envelopeSends(e *edge) sends {
	envelope := func(members string) answer {
		return e.post("/v1/packets", jsonType, `{"type":"PACKET_TYPE_SURVEY","format":"FORMAT_XML",`+members+`}`)
	}
	id := func(n string) answer { return envelope(`"content":"e30=","id":"` + long(n) + `"`) }
	recipient := func(n string) answer {
		return envelope(`"content":"e30=","id":"a` + n + `","recipients":["` + long(n) + `"]`)
	}
	return sends{
		"Envelope.id minLength": id, "Envelope.id maxLength": id,
		"Envelope.onBehalfOf maxLength": func(n string) answer {
			return envelope(`"content":"e30=","id":"o` + n + `","onBehalfOf":"` + long(n) + `"`)
		},
		"Envelope.recipients[] minLength": recipient, "Envelope.recipients[] maxLength": recipient,
		"Envelope.recipients maxItems": func(n string) answer {
			return envelope(`"content":"e30=","id":"r","recipients":[` + several(n, `"n%d"`) + `]`)
		},
	}
}

// beside sends what is said of a packet beside it, in headers and in the query.
func beside(e *edge) sends {
	header := func(name string) func(string) answer {
		return func(value string) answer { return e.post("/Vote/UpdateVote", xmlType, surveyXML, name, value) }
	}
	query := func(name string) func(string) answer {
		return func(value string) answer {
			return e.post("/Vote/UpdateVote?"+name+"="+url.QueryEscape(value), xmlType, surveyXML)
		}
	}
	listed := func(send func(string) answer) func(string) answer {
		return func(n string) answer { return send(several(n, "n%d")) }
	}
	ofLength := func(send func(string) answer) func(string) answer {
		return func(n string) answer { return send(long(n)) }
	}
	return sends{
		"To maxItems": listed(header("X-LienThong-To")), "To[] maxLength": ofLength(header("X-LienThong-To")),
		"QueryTo maxItems": listed(query("to")), "QueryTo[] maxLength": ofLength(query("to")),
		"OnBehalfOf maxLength": ofLength(header("X-LienThong-On-Behalf-Of")), "QueryOnBehalfOf maxLength": ofLength(query("on-behalf-of")),
	}
}

// long returns a text of a length.
func long(n string) string { return strings.Repeat("A", atoi(n)) }

// several returns a list of so many different items of a form.
func several(n, form string) string {
	list := make([]string, atoi(n))
	for i := range list {
		list[i] = fmt.Sprintf(form, i+1)
	}
	return strings.Join(list, ",")
}

func atoi(n string) int {
	parsed, err := strconv.Atoi(n)
	if err != nil || parsed < 0 {
		return 0
	}
	return parsed
}

// takes reports whether the edge took what was sent. That there is no such packet is
// no refusal of its number.
func (a answer) takes() bool {
	return a.StatusCode == http.StatusOK || strings.Contains(a.body, `"packet_not_found"`)
}

// refuses reports whether the edge did not take what was sent.
func (a answer) refuses() bool {
	return a.StatusCode == http.StatusBadRequest || strings.Contains(a.body, `"path_unknown"`)
}

func TestEveryBoundThatOpenAPIStatesIsTheEdges(t *testing.T) {
	t.Parallel()
	e, stated := startCheckedEdge(t), statedBounds(t)
	for at, send := range numberSends(e) {
		number, ok := stated[at].(json.Number)
		if !ok {
			t.Errorf("OpenAPI states no %s", at)
			continue
		}
		bound, _ := new(big.Int).SetString(number.String(), 10)
		beyond := new(big.Int).Add(bound, big.NewInt(1))
		if strings.Contains(at, " min") {
			beyond.Sub(bound, big.NewInt(1))
		}
		if got := send(bound.String()); !got.takes() {
			t.Errorf("%s is %s, which the edge refuses: %d %s", at, bound, got.StatusCode, got.body)
		}
		if got := send(beyond.String()); !got.refuses() {
			t.Errorf("%s is %s, but the edge takes %s: %d %s", at, bound, beyond, got.StatusCode, got.body)
		}
		delete(stated, at)
	}
	for at, words := range wordSends(e) {
		if stated[at] == nil {
			t.Errorf("OpenAPI states no %s", at)
			continue
		}
		words.hold(t, at, stated[at])
		delete(stated, at)
	}
	if len(stated) > 0 {
		t.Errorf("nothing tries the bounds %v", slices.Sorted(maps.Keys(stated)))
	}
}

// words are values on either side of a bound that is no number.
type words struct {
	send        func(value string) answer
	taken, left []string
}

// hold tries the values: by the edge and, where the bound is a form or a list of
// words, by what is stated.
func (w words) hold(t *testing.T, at string, stated any) {
	t.Helper()
	says := func(_ string, taken bool) bool { return taken }
	switch bound := stated.(type) {
	case string:
		says = func(value string, _ bool) bool { return regexp.MustCompile(bound).MatchString(value) }
	case []any:
		if strings.HasSuffix(at, " enum") {
			says = func(value string, _ bool) bool { return slices.Contains(bound, any(value)) }
		}
		if strings.HasSuffix(at, " enum") && len(w.taken) != len(bound) || strings.HasSuffix(at, " required") && len(w.left) != len(bound) {
			t.Errorf("%s: OpenAPI says %v, which is not all tried", at, stated)
		}
	}
	for _, value := range w.taken {
		if got := w.send(value); !got.takes() || !says(value, true) {
			t.Errorf("%s: %s is not taken: OpenAPI says %v, the edge %d %s", at, value, stated, got.StatusCode, got.body)
		}
	}
	for _, value := range w.left {
		if got := w.send(value); !got.refuses() || says(value, false) {
			t.Errorf("%s: %s is not refused: OpenAPI says %v, the edge %d %s", at, value, stated, got.StatusCode, got.body)
		}
	}
}

const (
	uploaded     = `,"upload":{"size":"1","sha256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`
	mostSequence = "18446744073709551615"
	overSequence = "18446744073709551616"
)

// wordSends sends what is of a form, out of a list, or has to be there.
func wordSends(e *edge) map[string]words {
	with := func(path, form string) func(string) answer {
		return func(value string) answer { return e.post(path, jsonType, fmt.Sprintf(form, value)) }
	}
	at := func(form string) func(string) answer {
		return func(value string) answer { return e.get(fmt.Sprintf(form, value)) }
	}
	key := func(value string) answer {
		return e.post("/Vote/UpdateVote", xmlType, surveyXML, "Idempotency-Key", value)
	}
	named := func(value string) answer { // one that is not of the form is no refusal: another takes its place
		got := e.get("/healthz", "X-Request-Id", value)
		if got.Header.Get("X-Request-Id") != value {
			got.StatusCode = http.StatusBadRequest
		}
		return got
	}
	sequences := []string{"1", "9", "10", "9999999999999999999", "18446744073709551609", mostSequence}
	over := []string{overSequence, "18446744073709551620", "20000000000000000000", "99999999999999999999", "100000000000000000000", "x", "-1"}
	numbered, envelope, unknown := append([]string{"0"}, over...), `{"id":"w","content":"e30=",%s}`, []string{`"x":1`}
	ids, longest := []string{"a", "A.z_9:-", strings.Repeat("k", 128)}, strings.Repeat("k", 129)
	formats := []string{"FORMAT_XML", "FORMAT_JSON", "FORMAT_PROTOBUF"}
	all := map[string]words{
		"Envelope.id pattern":                     {with("/v1/packets", `{"id":"%s","type":1,"format":1,"content":"e30="}`), ids[:2], []string{"a b", "ă", "a/b"}},
		"Envelope.type enum":                      {with("/v1/packets", `{"id":"t","type":"%[1]s","format":1,"content":"e30="}`), []string{"PACKET_TYPE_DOSSIER", "PACKET_TYPE_PROGRESS", "PACKET_TYPE_SURVEY", "PACKET_TYPE_STATISTIC"}, []string{"PACKET_TYPE_UNSPECIFIED", "x"}},
		"Envelope.format enum":                    {with("/v1/packets", `{"id":"f","type":1,"format":"%s","content":"e30="}`), formats, []string{"FORMAT_UNSPECIFIED", "x"}},
		"Envelope.recipients uniqueItems":         {with("/v1/packets", `{"id":"u","type":1,"format":1,"content":"e30=","recipients":[%s]}`), []string{`"a","b"`}, []string{`"a","a"`}},
		"Envelope required":                       {with("/v1/packets", "{%s}"), []string{`"id":"n","type":1,"format":1,"content":"e30="`}, []string{`"type":1,"format":1,"content":"e30="`, `"id":"n","format":1,"content":"e30="`, `"id":"n","type":1,"content":"e30="`}},
		"Envelope oneOf":                          {with("/v1/packets", `{"type":1,"format":1,"id":"%s}`), []string{`e1","content":"e30="`, `e2"` + uploaded}, []string{`e3"`, `e4","content":""`, `e5","content":"e30="` + uploaded}},
		"Envelope additionalProperties":           {with("/v1/packets", envelope), []string{`"type":1,"format":1`}, []string{`"type":1,"format":1,"x":1`}},
		"PullRequest additionalProperties":        {with("/v1/deliveries:pull", "{%s}"), []string{""}, unknown},
		"AcknowledgeRequest additionalProperties": {with("/v1/deliveries:acknowledge", `{"sequences":["1"]%s}`), []string{""}, []string{`,"x":1`}},
		"AcknowledgeRequest required":             {with("/v1/deliveries:acknowledge", `{%s}`), []string{`"sequences":["1"]`}, []string{""}},
		"AcknowledgeRequest.sequences[] pattern":  {with("/v1/deliveries:acknowledge", `{"sequences":["%s"]}`), append([]string{"0"}, sequences...), append([]string{"07"}, over...)},
		"MAcknowledge required":                   {with("/Delivery/Acknowledge", `{%s}`), []string{`"DeliveryId":["1"]`}, []string{""}},
		"MAcknowledge.DeliveryId[] pattern":       {with("/Delivery/Acknowledge", `{"DeliveryId":["%s"]}`), sequences, numbered},
		"Sequence pattern":                        {at("/v1/packets/%s"), sequences, append([]string{"07"}, numbered...)},
		"IdempotencyKey pattern":                  {key, []string{"k", "K.z_9:-", `"k"`, longest[1:], `"` + longest[1:] + `"`}, []string{longest, `"` + longest + `"`, `"k`, `k"`, "k b", `""`}},
		"RequestId pattern":                       {named, ids, []string{longest, "a b"}},
		"/v1/packets/{sequence}?format enum":      {at("/v1/packets/99?format=%s"), append([]string{"FORMAT_UNSPECIFIED"}, formats...), []string{"x"}},
		"/schema/lienthong.xsd?mode enum":         {at("/schema/lienthong.xsd?mode=%s"), []string{"strict", "structure"}, []string{"x", ""}},
		"/schema/lienthong.xsd?type enum":         {at("/schema/lienthong.xsd?type=%s"), []string{"dossier", "progress", "survey", "statistic"}, []string{"x", ""}},
	}
	maps.Copy(all, deadLetterWords(e, sequences, numbered))
	for name, form := range ledgerQueries() {
		all[name+" pattern"] = words{func(value string) answer { return e.get(form + value) }, sequences, append([]string{"07"}, numbered...)}
	}
	return all
}
