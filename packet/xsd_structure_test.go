package packet_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/packet"
)

// node is an element of a document that is taken apart to be misspelt.
type node struct {
	name, text string
	children   []*node
}

func takenApart(t fatal, document []byte) *node {
	t.Helper()
	outside := &node{}
	open := []*node{outside}
	for decoder := xml.NewDecoder(bytes.NewReader(document)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return outside.children[0]
		}
		if err != nil {
			t.Fatalf("take apart: %v\n%s", err, document)
		}
		inner := open[len(open)-1]
		switch token := token.(type) {
		case xml.StartElement:
			child := &node{name: token.Name.Local}
			inner.children, open = append(inner.children, child), append(open, child)
		case xml.CharData:
			inner.text += string(token)
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
}

func (n *node) print(b *bytes.Buffer) {
	fmt.Fprintf(b, "<%s>", n.name)
	if len(n.children) == 0 {
		_ = xml.EscapeText(b, []byte(n.text))
	}
	for _, child := range n.children {
		child.print(b)
	}
	fmt.Fprintf(b, "</%s>", n.name)
}

// misspell writes values as senders do, and seldom damages names and structure.
func (n *node) misspell(t *rapid.T) {
	for i := range n.children {
		n.children[i].misspell(t)
	}
	if len(n.children) == 0 {
		n.text = n.otherwise(t)
		return
	}
	i := rapid.IntRange(0, len(n.children)-1).Draw(t, "which")
	switch rapid.IntRange(0, 30).Draw(t, "damage") {
	case 0:
		n.children = slices.Delete(n.children, i, i+1)
	case 1:
		n.children[0], n.children[i] = n.children[i], n.children[0]
	case 2:
		n.children = slices.Insert(n.children, i, &node{name: "X", text: "x"})
	case 3:
		n.children[i].name = strings.ToLower(n.children[i].name)
	case 4:
		n.children = slices.Insert(n.children, i, n.children[i])
	case 5:
		n.children[i].children, n.children[i].text = nil, " "
	}
}

// otherwise draws another spelling of a value, of the kind that it is of.
func (n *node) otherwise(t *rapid.T) string {
	text := n.text
	spellings := []string{text, text, " " + text, text + "\n"}
	switch {
	case regexp.MustCompile(`^\d{4}-\d\d-\d\dT`).MatchString(text):
		spellings = []string{
			"2018-10-23T09:15:00.000+07:00", "2018-10-23T09:15:00.000+0700", "2018-10-23T09:15:00Z", "2018-10-23T09:15:00.1234567+07:00",
			"2018-10-23T09:15:00", "2018-10-23", "20181023091500", "23/10/2018", "23/10/2018 09:15:00", " 2018-10-23\n", text,
		}
	case strings.HasSuffix(n.name, "Date") && text == "":
		spellings = []string{"", "0000-00-00T00:00:00.000+0700", "0000-00-00", "0001-01-01T00:00:00"}
	case text == "true":
		spellings = []string{"true", "TRUE", "True", " true ", "1"}
	case text == "false":
		spellings = []string{"false", "FALSE", "False", "\tfalse", "0"}
	case strings.Contains(n.name, "Percent"):
		spellings = append(spellings, "1e1", "NaN", "Infinity", "-∞", "", "+.5")
	case regexp.MustCompile(`^\d+$`).MatchString(text):
		spellings = append(spellings, text+".0", "+"+text, "0"+text)
	}
	return rapid.SampledFrom(spellings).Draw(t, "spelling")
}

// structural reports whether a finding is about names, order, or unknown elements.
func structural(f *packetv1.Finding) bool {
	return strings.HasPrefix(f.GetRule(), "name.") || strings.HasPrefix(f.GetRule(), "xml.") || f.GetRule() == "unknown"
}

func TestWhatIsReadWithoutALibertyOfStructureIsValidAgainstTheStructure(t *testing.T) {
	t.Parallel()
	codec, valid := newCodec(t), validatorOf(t, packet.XSDStructure)
	for _, typ := range []packetv1.PacketType{dossier, progress, survey, statistic} {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			read, warned := 0, 0
			rapid.Check(t, func(t *rapid.T) {
				m := standard(messages(typ).Draw(t, "message"))
				fix(m)
				content, err := codec.Encode(m, xmlFormat)
				if err != nil {
					t.Fatalf("write: %v", err)
				}
				root := takenApart(t, content)
				root.misspell(t)
				var b bytes.Buffer
				root.print(&b)
				p, err := codec.Decode(typ, xmlFormat, b.Bytes())
				if err != nil {
					return // refused: nothing is promised of it
				}
				read++
				verdict := valid(b.Bytes())
				if slices.ContainsFunc(p.Warnings, structural) {
					warned++
					if verdict == nil {
						t.Fatalf("has liberties of structure, yet is valid: %v\n%s", p.Warnings, b.Bytes())
					}
				} else if verdict != nil {
					t.Fatalf("is read without liberties of structure, yet: %v\n%v\n%s", verdict, p.Warnings, b.Bytes())
				}
			})
			if !t.Failed() && (read < 10 || warned == 0) {
				t.Errorf("only %d documents were read, %d with liberties of structure: the test shows nothing", read, warned)
			}
		})
	}
}

// spelt reports whether a finding is one that the strict schema prevents. It cannot
// prevent white space around a number, which XML Schema takes off before it looks, nor
// a percentage that is not there.
func spelt(f *packetv1.Finding) bool {
	switch f.GetRule() {
	case "int", "bool", "decimal", "datetime", "organisation", "type":
		return true
	default:
		return strings.HasPrefix(f.GetRule(), "limit.") || structural(f)
	}
}

func TestWhatIsValidAgainstTheStrictSchemaIsReadWithoutALibertyOfSpelling(t *testing.T) {
	t.Parallel()
	codec, valid := newCodec(t), validatorOf(t, packet.XSDStrict)
	for _, typ := range []packetv1.PacketType{dossier, progress, survey, statistic} {
		t.Run(typ.String(), func(t *testing.T) {
			t.Parallel()
			count := 0
			rapid.Check(t, func(t *rapid.T) {
				m := standard(messages(typ).Draw(t, "message"))
				fix(m)
				content, err := codec.Encode(m, xmlFormat)
				if err != nil {
					t.Fatalf("write: %v", err)
				}
				root := takenApart(t, content)
				leaf := rapid.SampledFrom(root.leaves()).Draw(t, "leaf")
				leaf.text = leaf.otherwise(t)
				var b bytes.Buffer
				root.print(&b)
				if valid(b.Bytes()) != nil {
					return
				}
				count++
				p, err := codec.Decode(typ, xmlFormat, b.Bytes())
				findings := findingsOf(err)
				if err == nil {
					findings = p.Warnings
				}
				if i := slices.IndexFunc(findings, spelt); i >= 0 {
					t.Fatalf("is valid, yet: %v\n%s", findings[i], b.Bytes())
				}
			})
			if !t.Failed() && count < 10 {
				t.Errorf("only %d documents were valid: the test shows nothing", count)
			}
		})
	}
}

// leaves returns the elements that hold no others.
func (n *node) leaves() []*node {
	if len(n.children) == 0 {
		return []*node{n}
	}
	var all []*node
	for _, child := range n.children {
		all = append(all, child.leaves()...)
	}
	return all
}
