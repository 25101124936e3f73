package hub

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/lienthong/lienthong/hub/admin"
)

// readYAML reads what a file names over a config, whose fields say by their tags what
// can be named. Numbers of bytes may have a unit, and times may be days. Errors name the
// line, the key, and what is allowed.
func readYAML(content []byte, into *Config) error {
	file, err := parser.ParseBytes(content, 0)
	if err != nil {
		return atLine(err)
	}
	var pairs []*ast.MappingValueNode
	for _, doc := range file.Docs {
		switch body := doc.Body.(type) {
		case nil, *ast.CommentGroupNode, *ast.NullNode:
		case *ast.MappingNode:
			pairs = append(pairs, body.Values...)
		case *ast.MappingValueNode:
			pairs = append(pairs, body)
		default:
			return fmt.Errorf("line %d: lines of key: value are expected", body.GetToken().Position.Line)
		}
	}
	fields := configFields(into)
	for _, pair := range pairs {
		key, line := pair.Key.String(), pair.Key.GetToken().Position.Line
		field, known := fields[key]
		if !known {
			return fmt.Errorf("line %d: %s is not a setting; there are %s", line, strconv.Quote(key), strings.Join(configKeys(), ", "))
		}
		if retention, is := field.Addr().Interface().(*Retention); is {
			if err := setRetention(retention, pair.Value); err != nil {
				return err
			}
			continue
		}
		if err := setField(field, pair.Value); err != nil {
			return fmt.Errorf("line %d: %s %w", line, key, err)
		}
	}
	return nil
}

// atLine says where YAML cannot be read, without the excerpt that comes with it.
func atLine(err error) error {
	var said yaml.Error
	if errors.As(err, &said) && said.GetToken() != nil {
		return fmt.Errorf("line %d: %s", said.GetToken().Position.Line, said.GetMessage())
	}
	return err
}

// configFields returns the fields of a config that a file can name.
func configFields(into *Config) map[string]configField {
	fields := map[string]configField{}
	v := reflect.ValueOf(into).Elem()
	for i := range v.NumField() {
		of := v.Type().Field(i)
		if key := keyOf(of); key != "" {
			fields[key] = configField{v.Field(i), of.Tag.Get("number")}
		}
	}
	return fields
}

// configField is a field of a config, and what its tag says of the numbers it takes.
type configField struct {
	reflect.Value
	number string
}

// configKeys returns their keys, in their order.
func configKeys() []string {
	var keys []string
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		if key := keyOf(t.Field(i)); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

func keyOf(f reflect.StructField) string {
	key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if key == "-" {
		return ""
	}
	return key
}

// setField sets one setting. Where 0 would stand for the default it is refused: whoever
// writes it means something else.
func setField(field configField, node ast.Node) error {
	text := node.GetToken().Value
	switch at := field.Addr().Interface().(type) {
	case *time.Duration:
		d, err := ParseDuration(text)
		if err != nil || d == 0 {
			return fmt.Errorf("%q: a time with its unit, e.g. 500ms, 30s, 12h or 7d, is expected", text)
		}
		*at = d
		return nil
	case *int, *uint64:
		return setNumber(field, text)
	}
	if err := yaml.NodeToValue(node, field.Addr().Interface(), yaml.DisallowUnknownField()); err != nil {
		expected := map[reflect.Kind]string{reflect.Bool: "true or false is", reflect.Slice: "a list is", reflect.String: "a text is"}[field.Kind()]
		if expected == "" {
			return atLine(err)
		}
		return fmt.Errorf("%q: %s expected", text, expected)
	}
	return nil
}

func setNumber(field configField, text string) error {
	bytes := strings.Contains(field.number, "bytes")
	expected := "a whole number"
	if bytes {
		expected = "a number of bytes, such as 16777216, 500KiB, 16MiB or 64GiB,"
	}
	least := uint64(1)
	if expected += " from 1 on is expected"; strings.Contains(field.number, "unlimited") {
		least = 0
		expected += ", or 0 for no limit"
	}
	number, err := admin.ParseNumber(text, bytes)
	switch {
	case err != nil || number < least || field.Kind() == reflect.Int && number > math.MaxInt:
		return fmt.Errorf("%q: %s", text, expected)
	case field.Kind() == reflect.Int:
		field.SetInt(int64(number)) //nolint:gosec // compared above
	default:
		field.SetUint(number)
	}
	return nil
}

// ParseDuration reads a time as Go writes it, or a number of days: 30s, 12h, 7d.
func ParseDuration(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	if number, isDays := strings.CutSuffix(text, "d"); isDays {
		days, err := strconv.ParseUint(number, 10, 32)
		if err != nil || time.Duration(days) > math.MaxInt64/day { //nolint:gosec // 32 bits
			return 0, fmt.Errorf("%q is no number of days", text)
		}
		return time.Duration(days) * day, nil //nolint:gosec // 32 bits
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time: %w", text, err)
	}
	return d, nil
}
