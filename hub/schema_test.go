package hub_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/jacoelho/xsd"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/packet/samples"
)

// fetch gets an address of the HTTPS edge; the body of the response can be read.
func fetch(t *testing.T, client *http.Client, url string) (*http.Request, *http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return req, resp, body
}

func TestTheHubHandsOutItsXMLSchemaToStrangers(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	unknown, _ := strangers(t, join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP).profile)
	_, resp, schema := fetch(t, httpClient(t, unknown), h.EdgeURL()+"/schema/lienthong.xsd?mode=structure")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("HTTP %d: %s", resp.StatusCode, schema)
	}
	engine, err := xsd.Compile(xsd.Bytes("lienthong.xsd", schema))
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Validate(bytes.NewReader(sample(t, samples.Good(), "dossier.xml").Content)); err != nil {
		t.Errorf("a good dossier is not valid: %v", err)
	}
}

func TestTheHubAnswersAsTheOpenAPIItHandsOutSays(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	unknown, _ := strangers(t, province.profile)
	stranger := httpClient(t, unknown)
	_, resp, written := fetch(t, stranger, h.EdgeURL()+"/openapi.json")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("OpenAPI: HTTP %d: %s", resp.StatusCode, written)
	}
	document, err := libopenapi.NewDocument(written)
	if err != nil {
		t.Fatal(err)
	}
	said, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if status, body := post(t, province.http, h.EdgeURL()+dossierPath, sample(t, samples.Good(), "dossier.xml").Content); status != http.StatusOK {
		t.Fatalf("HTTP %d: %s", status, body)
	}
	for _, tc := range []struct {
		client *http.Client
		path   string
		want   int
	}{
		{province.http, "/v1/packets/1/receipt", http.StatusOK}, {province.http, "/v1/packets/1", http.StatusOK},
		{province.http, "/v1/packets/9/receipt", http.StatusNotFound}, {stranger, "/v1/packets/1/receipt", http.StatusUnauthorized},
	} {
		req, resp, body := fetch(t, tc.client, h.EdgeURL()+tc.path)
		if resp.StatusCode != tc.want {
			t.Errorf("%s: HTTP %d, want %d", tc.path, resp.StatusCode, tc.want)
		} else if valid, wrong := said.ValidateHttpResponse(req, resp); !valid {
			t.Errorf("%s: the answer is not as said: %s %v\n%s", tc.path, wrong[0].Reason, wrong[0].SchemaValidationErrors, body)
		}
	}
}
