package hub

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// setRetention reads how long packets are kept. Errors name the line, the type, and what
// is allowed there.
func setRetention(into *Retention, node ast.Node) error {
	kinds, err := pairsOf(node)
	if err != nil {
		return fmt.Errorf("line %d: retention: types of packets are expected, each with its bounds: dossier: {keep: 1825d}; the types are %s", lineOf(node), strings.Join(typeWords(), ", "))
	}
	read := Retention{}
	for _, pair := range kinds {
		name := pair.Key.GetToken().Value
		if _, err := kindOf(name); err != nil {
			return fmt.Errorf("line %d: %w", lineOf(pair.Key), err)
		}
		keep, err := keepOf(name, pair)
		if err != nil {
			return err
		}
		if err := keep.check(name); err != nil {
			return fmt.Errorf("line %d: %w", lineOf(pair.Key), err)
		}
		read[name] = keep
	}
	*into = read
	return nil
}

// keepOf reads the bounds of a type.
func keepOf(name string, of *ast.MappingValueNode) (keep Keep, err error) {
	bounds, err := pairsOf(of.Value)
	if err != nil {
		return keep, fmt.Errorf("line %d: retention of %s: {keep: 1825d}, {bytes: 500GiB} or both are expected", lineOf(of.Key), name)
	}
	for _, bound := range bounds {
		key, text := bound.Key.GetToken().Value, bound.Value.GetToken().Value
		switch _, scalar := bound.Value.(ast.ScalarNode); {
		case key == "keep" && scalar:
			err = keep.For.UnmarshalText([]byte(text))
		case key == "bytes" && scalar:
			err = keep.Bytes.UnmarshalText([]byte(text))
		case key == "keep" || key == "bytes":
			err = fmt.Errorf("one value is expected, as in {keep: 1825d, bytes: 500GiB}")
		default:
			return keep, fmt.Errorf("line %d: retention of %s: %s is no bound; keep and bytes are allowed", lineOf(bound.Key), name, strconv.Quote(key))
		}
		if err != nil {
			return keep, fmt.Errorf("line %d: retention of %s: %s %w", lineOf(bound.Key), name, key, err)
		}
		if keep.For == 0 && key == "keep" || keep.Bytes == 0 && key == "bytes" {
			return keep, fmt.Errorf("line %d: retention of %s: %s %s keeps nothing; leave it out to keep for ever", lineOf(bound.Key), name, key, text)
		}
	}
	return keep, nil
}

// pairsOf returns the pairs of a mapping.
func pairsOf(node ast.Node) ([]*ast.MappingValueNode, error) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, nil
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, nil
	}
	return nil, fmt.Errorf("%s is no mapping", node.Type())
}

func lineOf(node ast.Node) int { return node.GetToken().Position.Line }

// isHost reports whether clients can reach a hub by a name: an IP address, or a host name
// as a certificate can hold it.
func isHost(name string) bool {
	if net.ParseIP(name) != nil {
		return true
	}
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
			strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
