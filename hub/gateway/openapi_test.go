package gateway_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	ledgerv1 "github.com/lienthong/lienthong/gen/lienthong/ledger/v1"
	"github.com/lienthong/lienthong/hub/gateway"
)

// described is what the tests look at of the document.
type described struct {
	OpenAPI string
	Info    struct{ License struct{ Identifier string } }
	Paths   map[string]map[string]struct {
		OperationID string
		Summary     string
		Description string
		Security    *[]map[string][]string
		Parameters  []struct {
			Ref string `json:"$ref"`
		}
		RequestBody struct {
			Description string
			Content     map[string]struct{ Example json.RawMessage }
		}
		Responses map[string]any
	}
	Components map[string]map[string]any
}

func describedOf(t testing.TB, document []byte) described {
	t.Helper()
	var d described
	if err := json.Unmarshal(document, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func openAPI(t testing.TB) []byte {
	t.Helper()
	document, err := gateway.OpenAPI()
	if err != nil {
		t.Fatalf("OpenAPI: %v", err)
	}
	return document
}

func openAPIValidator(t testing.TB) validator.Validator {
	t.Helper()
	document, err := libopenapi.NewDocument(openAPI(t))
	if err != nil {
		t.Fatal(err)
	}
	v, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return v
}

func TestOpenAPIIsValidAndIsWhatIsServed(t *testing.T) {
	t.Parallel()
	if valid, wrong := openAPIValidator(t).ValidateDocument(); !valid {
		for _, w := range wrong {
			t.Errorf("%s: %s", w.Message, w.Reason)
		}
	}
	got := startClosedEdge(t).get("/openapi.json")
	if got.StatusCode != http.StatusOK || got.mediaType() != jsonType || got.body != string(openAPI(t)) {
		t.Errorf("served is another: %d %s", got.StatusCode, got.mediaType())
	}
	d := describedOf(t, openAPI(t))
	if !strings.HasPrefix(d.OpenAPI, "3.1.") || d.Info.License.Identifier != "Apache-2.0" {
		t.Errorf("version %q, license %q", d.OpenAPI, d.Info.License.Identifier)
	}
	if security, _ := d.Components["securitySchemes"]["clientCertificate"].(map[string]any); security["type"] != "mutualTLS" {
		t.Errorf("security %v", security)
	}
}

func TestOpenAPIHasEveryAddressWithItsMethodsAndNoOther(t *testing.T) {
	t.Parallel()
	e := startEdge(t, nil)
	d := describedOf(t, openAPI(t))
	ids := map[string]string{}
	for path, operations := range d.Paths {
		var methods []string
		for method, o := range operations {
			methods = append(methods, strings.ToUpper(method))
			if other, seen := ids[o.OperationID]; seen || o.OperationID == "" || !strings.Contains(o.Summary, " / ") || !strings.Contains(o.Description, " / ") || o.Responses["200"] == nil {
				t.Errorf("%s %s: operation %q, like %q, summary %q, description %q", method, path, o.OperationID, other, o.Summary, o.Description)
			}
			ids[o.OperationID] = path
		}
		got := e.do("BREW", strings.Replace(path, "{sequence}", "1", 1), nil, http.NoBody)
		allowed := strings.Split(got.Header.Get("Allow"), ", ")
		slices.Sort(methods)
		slices.Sort(allowed)
		if got.StatusCode != http.StatusMethodNotAllowed || !slices.Equal(allowed, methods) {
			t.Errorf("%s: OpenAPI says %v, the edge allows %v (%d)", path, methods, allowed, got.StatusCode)
		}
	}
	want := []string{
		"/Document/SyncDocument", "/Document/UpdateDocumentTraces", "/Statistic/UpdateStatistic", "/Vote/UpdateVote", "/Delivery/Pull",
		"/Delivery/Acknowledge", "/Delivery/Reject", "/healthz", "/openapi.json", "/schema/lienthong.xsd", "/v1/packets/{sequence}/content",
	}
	for _, service := range []protoreflect.ServiceDescriptor{
		exchangev1.File_lienthong_exchange_v1_exchange_proto.Services().ByName("ExchangeService"),
		ledgerv1.File_lienthong_ledger_v1_ledger_proto.Services().ByName("LedgerService"),
	} {
		for i := range service.Methods().Len() {
			if rule, ok := proto.GetExtension(service.Methods().Get(i).Options(), annotations.E_Http).(*annotations.HttpRule); ok && rule != nil {
				want = append(want, rule.GetGet()+rule.GetPost())
			}
		}
	}
	for _, path := range want {
		if d.Paths[path] == nil {
			t.Errorf("OpenAPI lacks %s", path)
		}
	}
	if len(d.Paths) != len(want) {
		t.Errorf("OpenAPI has %d addresses, want %d", len(d.Paths), len(want))
	}
}

func TestOpenAPIHasNoComponentThatNothingRefersTo(t *testing.T) {
	t.Parallel()
	document := string(openAPI(t))
	count := 0
	for kind, components := range describedOf(t, []byte(document)).Components {
		for name := range components {
			count++
			if kind != "securitySchemes" && !strings.Contains(document, `"$ref": "#/components/`+kind+"/"+name+`"`) {
				t.Errorf("nothing refers to %s %s", kind, name)
			}
		}
	}
	if count < 40 {
		t.Errorf("only %d components", count)
	}
}

// The examples are sent as they are shown: whoever copies one gets a receipt.
func TestExamplesOfOpenAPIAreAccepted(t *testing.T) {
	t.Parallel()
	e, d := startEdge(t, nil), describedOf(t, openAPI(t))
	for _, door := range doors() {
		body := d.Paths[door.path]["post"].RequestBody
		written := regexp.MustCompile("(?s)```xml\n(.*)\n```").FindStringSubmatch(body.Description)
		if written == nil {
			t.Fatalf("%s shows no XML: %q", door.path, body.Description)
		}
		for mediaType, content := range map[string]string{xmlType: written[1], jsonType: string(body.Content[jsonType].Example)} {
			if got := e.post(door.path, mediaType, content); got.StatusCode != http.StatusOK {
				t.Errorf("%s, %s: got %d %s", door.path, mediaType, got.StatusCode, got.body)
			}
		}
	}
}

func TestOpenAPISaysWhatAnMResultSaysAndIsWrittenInOurWords(t *testing.T) {
	t.Parallel()
	document := string(openAPI(t))
	for _, want := range []string{
		"Served; Status of the MResult is 1", "every violation is listed; Status of the MResult is 0", "by default 16 MiB",
		`phải từ 0 đến 100[^;"]* \[cảnh báo; bị từ chối khi đọc chặt chẽ\]`, `must be from 0 to 100[^;"]* \[warning; refused in strict reading\]`,
	} {
		if !regexp.MustCompile(want).MatchString(document) {
			t.Errorf("OpenAPI lacks %q", want)
		}
	}
	if found := regexp.MustCompile(`"[^"]*([Nn]út |ngặt|[^ \n]  +/)[^"]*"`).FindString(document); found != "" {
		t.Errorf("OpenAPI says %s", found)
	}
}

func TestOpenAPISaysWhatPacketsComeInAndWith(t *testing.T) {
	t.Parallel()
	d := describedOf(t, openAPI(t))
	for _, door := range doors() {
		o := d.Paths[door.path]["post"]
		for _, mediaType := range []string{"application/xml", "text/xml", "application/json"} {
			if len(o.RequestBody.Content[mediaType].Example) == 0 {
				t.Errorf("%s takes no %s, or shows none", door.path, mediaType)
			}
		}
		for _, name := range []string{"IdempotencyKey", "To", "OnBehalfOf"} {
			if !slices.ContainsFunc(o.Parameters, func(p struct {
				Ref string `json:"$ref"`
			}) bool {
				return p.Ref == "#/components/parameters/"+name
			}) {
				t.Errorf("%s has no parameter %s", door.path, name)
			}
		}
		for _, status := range []string{"200", "400", "401", "403", "408", "409", "413", "415", "429", "500", "503", "504"} {
			if o.Responses[status] == nil {
				t.Errorf("%s has no answer %s", door.path, status)
			}
		}
		if o.Security != nil {
			t.Errorf("%s needs no certificate", door.path)
		}
	}
	for _, path := range []string{"/healthz", "/openapi.json", "/schema/lienthong.xsd"} {
		if o := d.Paths[path]["get"]; o.Security == nil || len(*o.Security) != 0 {
			t.Errorf("%s needs a certificate", path)
		}
	}
}
