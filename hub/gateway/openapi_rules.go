package gateway

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// rulesOf returns the rules of a field in its .proto file; empty where it has none.
func rulesOf(f protoreflect.FieldDescriptor) *validate.FieldRules {
	rules, _ := proto.GetExtension(f.Options(), validate.E_Field).(*validate.FieldRules)
	return rules
}

// envelopeRules returns the rules of a field of the envelope.
func envelopeRules(name protoreflect.Name) *validate.FieldRules {
	return rulesOf((&exchangev1.Envelope{}).ProtoReflect().Descriptor().Fields().ByName(name))
}

// constrain adds to a schema what rules demand of its values. A rule for which there
// are no words here is an error, so that nothing is enforced and not said.
func constrain(schema map[string]any, rules *validate.FieldRules) error {
	if len(rules.GetCel())+len(rules.GetCelExpression()) > 0 || rules.GetIgnore() != validate.Ignore_IGNORE_UNSPECIFIED {
		return fmt.Errorf("no JSON schema for rules in CEL, nor for rules that are ignored")
	}
	if rules == nil || rules.Type == nil {
		return nil
	}
	all := rules.ProtoReflect()
	kind := all.WhichOneof(all.Descriptor().Oneofs().ByName("type"))
	var err error
	all.Get(kind).Message().Range(func(rule protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		err = state(schema, string(kind.Name())+"."+string(rule.Name()), value)
		return err == nil
	})
	return err
}

// wholeRules returns what the rules of a whole message demand, of which there is one:
// that an envelope has either content or upload.
func wholeRules(m protoreflect.MessageDescriptor) (map[string]any, error) {
	rules, _ := proto.GetExtension(m.Options(), validate.E_Message).(*validate.MessageRules)
	if rules == nil {
		return nil, nil
	}
	if cel := rules.GetCel(); len(cel) != 1 || cel[0].GetId() != "envelope.content" || len(rules.GetOneof())+len(rules.GetCelExpression()) > 0 {
		return nil, fmt.Errorf("%s: no JSON schema for rules of a whole message", m.FullName())
	}
	has := func(name string, schema map[string]any) map[string]any {
		return map[string]any{"required": []string{name}, "properties": map[string]any{name: schema}}
	}
	return map[string]any{"oneOf": []any{
		has("content", map[string]any{"type": "string", "minLength": 1}), has("upload", map[string]any{"type": "object"}),
	}}, nil
}

// state says one rule in a schema.
func state(schema map[string]any, rule string, value protoreflect.Value) error {
	switch rule {
	case "string.min_len":
		schema["minLength"] = value.Uint()
	case "string.max_len":
		schema["maxLength"] = value.Uint()
	case "string.pattern":
		schema["pattern"] = value.String()
	case "bytes.min_len": // in Base64, which may come without padding
		schema["minLength"] = base64.RawStdEncoding.EncodedLen(int(value.Uint())) //nolint:gosec // a length
	case "bytes.len": // in Base64, with padding or without
		schema["minLength"] = base64.RawStdEncoding.EncodedLen(int(value.Uint())) //nolint:gosec // a length
		schema["maxLength"] = base64.StdEncoding.EncodedLen(int(value.Uint()))    //nolint:gosec // a length
	case "repeated.min_items":
		schema["minItems"] = value.Uint()
	case "repeated.max_items":
		schema["maxItems"] = value.Uint()
	case "repeated.unique":
		schema["uniqueItems"] = value.Bool()
	case "repeated.items":
		items, _ := schema["items"].(map[string]any)
		rules, _ := value.Message().Interface().(*validate.FieldRules)
		return constrain(items, rules)
	case "uint32.lte":
		schema["maximum"] = value.Uint()
	case "uint32.gte":
		schema["minimum"] = value.Uint()
	case "uint64.gte":
		if value.Uint() > 1 {
			return fmt.Errorf("no pattern for numbers from %d", value.Uint())
		}
		schema["minimum"], schema["pattern"] = value.Uint(), decimals(value.Uint())
	case "enum.defined_only": // its names are all that there are
	case "enum.not_in":
		return forbid(schema, value.List())
	default:
		return fmt.Errorf("no JSON schema for the rule %s", rule)
	}
	return nil
}

// forbid takes values out of the schema of an enum, of which only the first, which
// stands for none, is ever forbidden.
func forbid(schema map[string]any, numbers protoreflect.List) error {
	names, _ := schema["enum"].([]string)
	if numbers.Len() != 1 || numbers.Get(0).Int() != 0 || len(names) == 0 {
		return fmt.Errorf("no JSON schema for the rule enum.not_in with other values than 0")
	}
	schema["enum"] = slices.Clone(names[1:])
	return nil
}

// demanded reports whether a field has to be there: where it is missing, it has the
// value of its kind that stands for none, and that the rules refuse.
func demanded(f protoreflect.FieldDescriptor) bool {
	rules := rulesOf(f)
	return rules.GetRequired() || rules.GetString().GetMinLen() > 0 || rules.GetBytes().GetMinLen() > 0 || rules.GetRepeated().GetMinItems() > 0 ||
		rules.GetUint32().GetGte() > 0 || rules.GetUint64().GetGte() > 0 || slices.Contains(rules.GetEnum().GetNotIn(), 0)
}

// unsigned describes whole numbers of 64 bits: a string, as they are answered, for
// numbers of JavaScript are too small, or a number.
func unsigned() map[string]any {
	return map[string]any{
		"type": []string{"string", "integer"}, "format": protoreflect.Uint64Kind.String(),
		"minimum": 0, "maximum": uint64(math.MaxUint64), "pattern": decimals(0),
	}
}

// decimals returns the pattern of the whole numbers of 64 bits, written without zeros
// in front: from 0, or from 1 where the least is not 0.
func decimals(least uint64) string {
	most := strconv.FormatUint(math.MaxUint64, 10)
	forms := []string{fmt.Sprintf("[1-9][0-9]{0,%d}", len(most)-2)}
	if least == 0 {
		forms = append([]string{"0"}, forms...)
	}
	for i := range len(most) { // the same up to here, and less here
		if lowest := max('0', '1'-byte(i)); most[i] > lowest {
			forms = append(forms, fmt.Sprintf("%s[%c-%c][0-9]{%d}", most[:i], lowest, most[i]-1, len(most)-1-i))
		}
	}
	return "^(?:" + strings.Join(append(forms, most), "|") + ")$"
}

// deliveryIDs adds to the schema of a document what the edge itself demands of its
// DeliveryId.
func (d *openAPI) deliveryIDs(name string) error {
	const member = "DeliveryId"
	var schema map[string]any
	if err := json.Unmarshal(d.Components.Schemas[name], &schema); err != nil {
		return fmt.Errorf("schema %s: %w", name, err)
	}
	members, _ := schema["properties"].(map[string]any)
	ids, _ := members[member].(map[string]any)
	id, _ := ids["items"].(map[string]any)
	if id == nil {
		return fmt.Errorf("schema %s has no list of %s", name, member)
	}
	ids["minItems"], ids["maxItems"], id["pattern"] = 1, maxDeliveries, decimals(1)
	return d.schema(name, schema)
}
