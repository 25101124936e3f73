package gateway_test

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/gateway"

	"context"
)

func TestAnswerIsInTheFormatAskedFor(t *testing.T) {
	e := startEdge(t, nil)
	for _, tc := range []struct {
		accept          string
		forXML, forText string
		forJSON         string
	}{
		{"", xmlType, "text/xml", jsonType},
		{"*/*", xmlType, "text/xml", jsonType},
		{"*", xmlType, "text/xml", jsonType},
		{"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", xmlType, "text/xml", jsonType},
		{"application/json", jsonType, jsonType, jsonType},
		{"application/json;charset=UTF-8", jsonType, jsonType, jsonType},
		{"APPLICATION/JSON", jsonType, jsonType, jsonType},
		{"application/xml", xmlType, xmlType, xmlType},
		{"text/xml", "text/xml", "text/xml", "text/xml"},
		{"text/*", "text/xml", "text/xml", "text/xml"},
		{"application/*", xmlType, xmlType, jsonType},
		{"application/xml, application/json", xmlType, xmlType, jsonType},
		{"application/xml;q=0.5, application/json;q=0.9", jsonType, jsonType, jsonType},
		{"application/json;q=0.5, application/xml;q=0.51", xmlType, xmlType, xmlType},
		{"application/json;q=0, */*", xmlType, "text/xml", xmlType},
		{"application/xml;q=0, text/xml;q=0, */*;q=0.1", jsonType, jsonType, jsonType},
		{"application/json ; Q=1.0 , */* ; q=0.1", jsonType, jsonType, jsonType},
		{"image/png", xmlType, "text/xml", jsonType},
		{"application/json;q=2, application/xml;q=NaN", xmlType, "text/xml", jsonType},
		{"gibberish,,;;q==,/", xmlType, "text/xml", jsonType},
	} {
		for sent, want := range map[string]string{xmlType: tc.forXML, "text/xml": tc.forText, jsonType: tc.forJSON} {
			body := surveyXML
			if sent == jsonType {
				body = surveyJSON
			}
			var headers []string
			if tc.accept != "" {
				headers = []string{"Accept", tc.accept}
			}
			got := e.post("/Vote/UpdateVote", sent, body, headers...)
			if got.StatusCode != http.StatusOK || got.mediaType() != want {
				t.Errorf("sent %s, Accept %q: got %d %s, want %s", sent, tc.accept, got.StatusCode, got.mediaType(), want)
			}
			got.result(t)
		}
	}
}

func TestContentTypesOfRealClients(t *testing.T) {
	const path = "/Vote/UpdateVote"
	for _, tc := range []struct {
		name, mediaType, body string
		status                int
		answer                string
	}{
		{"plain", "application/xml", surveyXML, 200, xmlType},
		{"upper case", "Application/XML; Charset=UTF-8", surveyXML, 200, xmlType},
		{"quoted charset", `application/json; charset="utf-8"`, surveyJSON, 200, jsonType},
		{"charset without a hyphen", "text/xml;charset=utf8", surveyXML, 200, "text/xml"},
		{"semicolon at the end", "application/xml;", surveyXML, 200, xmlType},
		{"parameter without a value", "application/json; charset", surveyJSON, 200, jsonType},
		{"parameter twice", "application/json; charset=utf-8; charset=utf-8", surveyJSON, 200, jsonType},
		{"none, XML", "", surveyXML, 200, xmlType},
		{"none, XML after blanks", "", "\r\n " + surveyXML, 200, xmlType},
		{"none, JSON", "", surveyJSON, 200, jsonType},
		{"none, XML with BOM", "", "\uFEFF" + surveyXML, 200, xmlType},
		{"none, JSON with BOM", "", "\uFEFF" + surveyJSON, 200, jsonType},
		{"XML with BOM", "application/xml", "\uFEFF" + surveyXML, 200, xmlType},
		{"JSON with BOM", "application/json", "\uFEFF" + surveyJSON, 200, jsonType},
		{"none, neither", "", "TotalVoted=10", 415, xmlType},
		{"form", "application/x-www-form-urlencoded", surveyXML, 415, xmlType},
		{"text", "text/plain", surveyXML, 415, xmlType},
		{"soap", "application/soap+xml", surveyXML, 415, xmlType},
		{"nonsense", "x", surveyXML, 415, xmlType},
		{"nonsense after a comma", "application/xml, application/json", surveyXML, 415, xmlType},
		{"charset that loses its name on the way", "application/xml; charset=windows-1258", surveyXML, 415, xmlType},
		{"JSON in UTF-16", "application/json; charset=utf-16", surveyJSON, 415, xmlType},
		{"XML that is JSON", "application/xml", surveyJSON, 400, xmlType},
		{"JSON that is XML", "application/json", surveyXML, 400, jsonType},
		{"empty", "application/json", "", 400, jsonType},
		{"empty, none", "", "", 400, xmlType},
	} {
		e := startEdge(t, nil)
		got := e.post(path, tc.mediaType, tc.body)
		if got.StatusCode != tc.status || got.mediaType() != tc.answer {
			t.Errorf("%s: got %d %s, want %d %s: %s", tc.name, got.StatusCode, got.mediaType(), tc.status, tc.answer, got.body)
		}
		got.result(t)
		if accepted := len(e.exchange.envelopes()) == 1; accepted != (tc.status == 200) {
			t.Errorf("%s: accepted %v", tc.name, accepted)
		}
	}
}

func TestContradictingContentTypesAreRefused(t *testing.T) {
	e := startEdge(t, nil)
	got := e.post("/Vote/UpdateVote", xmlType, surveyXML, "Content-Type", jsonType)
	if got.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("got %d %s", got.StatusCode, got.body)
	}
	got = e.post("/Vote/UpdateVote", xmlType, surveyXML, "Content-Encoding", "gzip")
	if got.StatusCode != http.StatusUnsupportedMediaType || got.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("compressed: got %d %v", got.StatusCode, got.Header)
	}
	e.post("/Vote/UpdateVote", xmlType, surveyXML, "Content-Encoding", "identity").wantAccepted(t, xmlType)
}

// FuzzNegotiation: whatever the headers and the body say, there is one answer, in
// a format the edge speaks, that reads as what it says it is.
func FuzzNegotiation(f *testing.F) {
	f.Add("application/xml", "application/json;q=0.5, */*;q=0.1", "<MVotes/>", "/Vote/UpdateVote")
	f.Add("application/json; charset=\"utf-8\"", "text/xml, *;q=.2", "{}", "/Document/SyncDocument")
	f.Add("", "", "\uFEFF<a>\x00</a>", "/Statistic/UpdateStatistic ")
	f.Add("text/xml;;=;", ",;q=,*/*;q=1e-3", "[", "/v1/packets")
	f.Add("multipart/form-data; boundary=\x7f", "*/xml", "x", "/Delivery/Acknowledge")
	codec := newCodec(f)
	_, conn := startExchange(f, codec)
	handler, err := gateway.New(gateway.Config{
		Conn: conn, Codec: codec,
		Caller: func(r *http.Request) (context.Context, error) {
			if r.Header.Get("Accept") == "refuse" {
				return nil, fault.New(codes.Unauthenticated, "certificate_missing", "who", "ai")
			}
			return r.Context(), nil
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, contentType, accept, body, path string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.URL.Path = path
		r.Header["Content-Type"], r.Header["Accept"] = []string{contentType}, []string{accept}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		got := w.Result()
		text, err := io.ReadAll(got.Body)
		if err != nil || !utf8.Valid(text) {
			t.Fatalf("answer is not UTF-8 (%v): %q", err, text)
		}
		if got.StatusCode < 200 || got.StatusCode > 599 || got.StatusCode == http.StatusInternalServerError {
			t.Fatalf("status %d: %s", got.StatusCode, text)
		}
		switch mediaType, _, _ := strings.Cut(got.Header.Get("Content-Type"), ";"); mediaType {
		case xmlType, "text/xml":
			err = xml.Unmarshal(text, new(struct{ XMLName xml.Name }))
		case jsonType, "application/problem+json":
			err = json.Unmarshal(text, new(map[string]any))
		case "text/plain":
		default:
			t.Fatalf("answer is %q", mediaType)
		}
		if err != nil {
			t.Fatalf("answer does not read as %s: %v: %q", got.Header.Get("Content-Type"), err, text)
		}
	})
}
