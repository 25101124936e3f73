package main_test

import (
	"encoding/json"
	"encoding/xml"
	"regexp"
	"strings"
	"testing"
)

func TestSchemaCommands(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, args     string
		code           int
		stdout, stderr string // regular expressions
	}{
		{"what is written", "xsd statistic", 0, `(?s)name="MStatistic".*Inclusive`, `^$`},
		{"the structure alone", "xsd --mode structure statistic", 0, `name="MStatistic"`, `^$`},
		{"a mode there is not", "xsd --mode loose", 2, `^$`, `--mode "loose": strict and structure are allowed`},
		{"two types", "xsd dossier survey", 2, `^$`, `at most one argument`},
		{"fields in Vietnamese", "fields --lang vi progress", 0, `(?s)MDocumentTraces.*Mã hồ sơ`, `^$`},
		{"fields in English", "fields --lang en progress", 0, `(?s)MDocumentTraces.*DocCode`, `^$`},
		{"fields of all", "fields", 0, `(?s)MSyncDocument.*MStatistic`, `^$`},
		{"fields of none", "fields invoice", 2, `^$`, `dossier, progress, survey and statistic`},
		{"fields in a language there is not", "fields --lang fr", 2, `^$`, `vi and en are allowed`},
		{"fields in a format there is not", "fields --format csv", 2, `^$`, `--format "csv": markdown and json are allowed`},
		{"an argument too many", "openapi dossier", 2, `^$`, `openapi`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := lienthong(t, "", append([]string{"packet"}, strings.Fields(tc.args)...)...)
			if got.code != tc.code || !regexp.MustCompile(tc.stdout).MatchString(got.stdout) || !regexp.MustCompile(tc.stderr).MatchString(got.stderr) {
				t.Errorf("exit code %d, want %d; stdout %.300q, want %s; stderr %q, want %s", got.code, tc.code, got.stdout, tc.stdout, got.stderr, tc.stderr)
			}
		})
	}
}

func TestSchemaModesDiffer(t *testing.T) {
	t.Parallel()
	strict, structure := must(t, "packet", "xsd"), must(t, "packet", "xsd", "--mode", "structure")
	if strict == structure || strict != must(t, "packet", "xsd", "--mode", "strict") || strings.Contains(structure, "Inclusive") {
		t.Error("the modes are not what they should be")
	}
	for _, schema := range []string{strict, structure} {
		var root struct {
			XMLName xml.Name `xml:"http://www.w3.org/2001/XMLSchema schema"`
		}
		if err := xml.Unmarshal([]byte(schema), &root); err != nil {
			t.Error(err)
		}
	}
}

// The document that is printed says all addresses; the fields as JSON, packets alone.
func TestOpenAPIIsPrinted(t *testing.T) {
	t.Parallel()
	var document struct {
		OpenAPI    string
		Paths      map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal([]byte(must(t, "packet", "openapi")), &document); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(document.OpenAPI, "3.1") || document.Paths["/Document/SyncDocument"] == nil || document.Components.Schemas["MVotes"] == nil {
		t.Errorf("got version %q, paths %v", document.OpenAPI, document.Paths)
	}
	document.Components.Schemas = nil
	if err := json.Unmarshal([]byte(must(t, "packet", "fields", "--format", "json", "survey")), &document); err != nil {
		t.Fatal(err)
	}
	if document.Components.Schemas["MVotes"] == nil || document.Components.Schemas["MStatistic"] != nil {
		t.Errorf("the fields of surveys are %v", document.Components.Schemas)
	}
}
