package packet_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator31 "github.com/pb33f/libopenapi-validator"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"pgregory.net/rapid"

	edgev1 "github.com/lienthong/lienthong/gen/lienthong/edge/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
	"github.com/lienthong/lienthong/packet/samples"
)

func openAPI(t testing.TB, types ...packetv1.PacketType) []byte {
	t.Helper()
	document, err := packet.OpenAPI(types...)
	if err != nil {
		t.Fatalf("OpenAPI: %v", err)
	}
	return document
}

// jsonSchemas compiles the schemas of all documents, by their names.
func jsonSchemas(t testing.TB) func(name string) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI(t)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.AssertContent()
	if err := compiler.AddResource("urn:packets", document); err != nil {
		t.Fatal(err)
	}
	return func(name string) *jsonschema.Schema {
		schema, err := compiler.Compile("urn:packets#/components/schemas/" + name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return schema
	}
}

func validJSON(schema *jsonschema.Schema, content []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// officialName returns the official name of a packet.
func officialName(typ packetv1.PacketType) string {
	return map[packetv1.PacketType]string{dossier: "MSyncDocument", progress: "MDocumentTraces", survey: "MVotes", statistic: "MStatistic"}[typ]
}

func TestOpenAPIIsValidAndTheSameEveryTime(t *testing.T) {
	t.Parallel()
	for _, types := range [][]packetv1.PacketType{nil, {dossier}, {progress, survey, statistic}} {
		content := openAPI(t, types...)
		if again := openAPI(t, types...); !bytes.Equal(again, content) {
			t.Errorf("%v: two documents differ", types)
		}
		document, err := libopenapi.NewDocument(content)
		if err != nil {
			t.Fatalf("%v: %v", types, err)
		}
		validator, errs := validator31.NewValidator(document)
		if len(errs) > 0 {
			t.Fatalf("%v: %v", types, errs)
		}
		if valid, wrong := validator.ValidateDocument(); !valid {
			for _, w := range wrong {
				t.Errorf("%v: %s: %s", types, w.Message, w.Reason)
			}
		}
	}
	if _, err := packet.OpenAPI(packetv1.PacketType_PACKET_TYPE_UNSPECIFIED); err == nil {
		t.Error("OpenAPI of no packet: got one, want an error")
	}
}

func TestOpenAPIDescribesEveryFieldOfEveryDocument(t *testing.T) {
	t.Parallel()
	var document struct {
		Components struct {
			Schemas map[string]struct {
				XML        *struct{ Name string }
				Required   []string
				Properties map[string]struct {
					Description string
					Items       struct{ XML struct{ Name string } }
				}
			}
		}
	}
	if err := json.Unmarshal(openAPI(t), &document); err != nil {
		t.Fatal(err)
	}
	described := 0
	eachField(func(name string, root bool, e *packetv1.Element, fd protoreflect.FieldDescriptor) {
		described++
		schema := document.Components.Schemas[name]
		property, ok := schema.Properties[e.GetName()]
		switch {
		case !ok:
			t.Errorf("%s has no %s", name, e.GetName())
		case !strings.Contains(property.Description, e.GetVi()) || !strings.Contains(property.Description, e.GetEn()):
			t.Errorf("%s.%s: %q says not what it means", name, e.GetName(), property.Description)
		case slices.Contains(schema.Required, e.GetName()) != e.GetRequired():
			t.Errorf("%s.%s: required is %v", name, e.GetName(), !e.GetRequired())
		case fd.IsList() && property.Items.XML.Name != e.GetName():
			t.Errorf("%s.%s: items are named %q in XML", name, e.GetName(), property.Items.XML.Name)
		}
		if root != (schema.XML != nil && schema.XML.Name == name) {
			t.Errorf("%s: root element is %v, XML name %v", name, root, schema.XML)
		}
	})
	if described < 100 {
		t.Errorf("only %d fields", described)
	}
}

// eachField goes through the fields of all documents and their parts.
func eachField(visit func(message string, root bool, e *packetv1.Element, fd protoreflect.FieldDescriptor)) {
	seen := map[string]bool{}
	var inside func(d protoreflect.MessageDescriptor, root bool)
	inside = func(d protoreflect.MessageDescriptor, root bool) {
		document, _ := proto.GetExtension(d.Options(), packetv1.E_Document).(*packetv1.Document)
		if seen[document.GetName()] || document.GetName() == "" {
			return
		}
		seen[document.GetName()] = true
		for i := range d.Fields().Len() {
			fd := d.Fields().Get(i)
			e, _ := proto.GetExtension(fd.Options(), packetv1.E_Element).(*packetv1.Element)
			if e.GetName() == "" {
				continue
			}
			visit(document.GetName(), root, e, fd)
			if fd.Message() != nil {
				inside(fd.Message(), false)
			}
		}
	}
	for _, m := range []proto.Message{
		&packetv1.MSyncDocument{}, &packetv1.MDocumentTraces{}, &packetv1.MVotes{}, &packetv1.MStatistic{}, &packetv1.MResult{}, &packetv1.Mtoken{},
		&edgev1.MDelivery{}, &edgev1.MDeliveries{}, &edgev1.MAcknowledge{}, &edgev1.MReject{},
	} {
		inside(m.ProtoReflect().Descriptor(), true)
	}
}

func TestSamplesAreValidAgainstTheirJSONSchemas(t *testing.T) {
	t.Parallel()
	codec, schemas := newCodec(t), jsonSchemas(t)
	for _, sample := range samples.Good() {
		schema := schemas(officialName(sample.Type))
		if sample.Format == jsonFormat {
			if err := validJSON(schema, sample.Content); err != nil {
				t.Errorf("%s as it is: %v", sample.Name, err)
			}
		}
		written := encode(t, codec, decode(t, codec, sample.Type, sample.Format, sample.Content).Message, jsonFormat)
		if err := validJSON(schema, written); err != nil {
			t.Errorf("%s written as JSON: %v\n%s", sample.Name, err, written)
		}
	}
}

func TestEveryWrittenJSONIsValidAgainstItsSchema(t *testing.T) {
	t.Parallel()
	codec, schemas := newCodec(t), jsonSchemas(t)
	for _, typ := range []packetv1.PacketType{dossier, progress, survey, statistic} {
		schema := schemas(officialName(typ))
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				m := messages(typ).Draw(t, "message")
				fix(m)
				content, err := codec.Encode(m, jsonFormat)
				if err != nil {
					t.Fatalf("write: %v", err)
				}
				if err := validJSON(schema, content); err != nil {
					t.Fatalf("%v\n%s", err, content)
				}
			})
		})
	}
}

func TestEdgeDocumentsAreValidAgainstTheirJSONSchemas(t *testing.T) {
	t.Parallel()
	codec, schemas := newCodec(t), jsonSchemas(t)
	d := decode(t, codec, dossier, xmlFormat, sample(t, "dossier.xml").Content).Message.(*packetv1.MSyncDocument)
	at := d.GetDateReceived()
	for name, m := range map[string]proto.Message{
		"MResult":      &packetv1.MResult{Status: proto.Int32(1), Message: proto.String("ok")},
		"Mtoken":       &packetv1.Mtoken{AccessToken: "a", TokenType: "Bearer", ExpiresIn: 3600},
		"MDeliveries":  &edgev1.MDeliveries{LeaseUntil: at, Deliveries: []*edgev1.MDelivery{{DeliveryId: "1", Sender: "H41/motcua", Organisation: "H41", AcceptedAt: at, Attempt: 1, MSyncDocument: d}}},
		"MAcknowledge": &edgev1.MAcknowledge{DeliveryId: []string{"1", "2"}},
		"MReject":      &edgev1.MReject{DeliveryId: []string{"1", "2"}, Reason: "x", Final: proto.Bool(true)},
	} {
		content := encode(t, codec, m, jsonFormat)
		if err := validJSON(schemas(name), content); err != nil {
			t.Errorf("%s: %v\n%s", name, err, content)
		}
	}
	for name, wrong := range map[string]string{"MResult": `{"Status":"1"}`, "MAcknowledge": `{"DeliveryId":[]}`, "MDeliveries": `{"Delivery":[{}]}`} {
		if err := validJSON(schemas(name), []byte(wrong)); err == nil {
			t.Errorf("%s: %s is valid", name, wrong)
		}
	}
}

func TestJSONSchemasRefuseWhatIsNotSoWritten(t *testing.T) {
	t.Parallel()
	schemas := jsonSchemas(t)
	for _, tc := range []struct{ sample, member, value string }{
		{"statistic.json", "Month", "13"}, {"statistic.json", "Month", `"10"`}, {"statistic.json", "Total", "-1"}, {"statistic.json", "Total", "1.5"},
		{"statistic.json", "IsMonthStatistic", `"true"`}, {"statistic.json", "SolvedLatePercent", `"NaN"`}, {"statistic.json", "SolvedLatePercent", "true"},
		{"statistic.json", "OrganizationInchargeIdlevel1", `"h41"`}, {"statistic.json", "OrganizationInchargeName", `""`}, {"statistic.json", "Year", "null"},
		{"dossier-returned.json", "DateReceived", `"23/10/2018"`}, {"dossier-returned.json", "DateReceived", `""`},
		{"dossier-returned.json", "DocCode", `"` + strings.Repeat("x", 101) + `"`}, {"dossier-returned.json", "ApplicantsType", "5"},
		{"dossier-returned.json", "Attachments", `{}`}, {"dossier-returned.json", "DocFees", `[{"FeeName":"x","FeeType":1,"Price":null}]`},
		{"dossier-returned.json", "SuccessDate", `"0000-00-00"`},
	} {
		s := sample(t, tc.sample)
		var members map[string]json.RawMessage
		if err := json.Unmarshal(s.Content, &members); err != nil {
			t.Fatal(err)
		}
		members[tc.member] = json.RawMessage(tc.value)
		content, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		if err := validJSON(schemas(officialName(s.Type)), content); err == nil || !strings.Contains(err.Error(), tc.member) {
			t.Errorf("%s with %s %s: got %v, want it refused", tc.sample, tc.member, tc.value, err)
		}
		delete(members, "OrganInchargeName")
		delete(members, "OrganizationInchargeName")
		if content, err = json.Marshal(members); err != nil {
			t.Fatal(err)
		}
		if err := validJSON(schemas(officialName(s.Type)), content); err == nil {
			t.Errorf("%s without its organisation's name is valid", tc.sample)
		}
	}
}

// organisationForm returns the form of organisation codes that the schemas demand.
func organisationForm(t testing.TB) *regexp.Regexp {
	t.Helper()
	found := regexp.MustCompile(`name="OrganInchargeIdLevel1">[\s\S]*?<xs:pattern value="([^"]+)"/>`).FindSubmatch(schemaOf(t, packet.XSDStrict))
	if found == nil {
		t.Fatal("the schema has no form of organisation codes")
	}
	return regexp.MustCompile(`^(?:` + string(found[1]) + `)$`)
}

func TestTheFormOfOrganisationCodesIsWhatParseOrganisationTakes(t *testing.T) {
	t.Parallel()
	form := organisationForm(t)
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.OneOf(
			rapid.StringMatching(`([GH]?[0-9]{0,4}\.?){1,5}`),
			rapid.StringMatching(`[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[A-Z][0-9]{1,4}`),
			rapid.StringMatching(`[A-Z][0-9]{1,3}(\.[0-9]{1,3}){0,4}`),
			rapid.SampledFrom([]string{"", "H", "H.", ".H41", "H41.", "H41.A1", "H1.1.1.H1", "1.1.H41", "Đ41", "H٤١"}),
		).Draw(t, "code")
		_, err := packet.ParseOrganisation(code)
		if form.MatchString(code) != (err == nil) {
			t.Fatalf("%q: the form says %v, ParseOrganisation %v", code, form.MatchString(code), err)
		}
	})
}
