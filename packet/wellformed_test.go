package packet_test

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The judge of what is well-formed is encoding/xml, which leaves some of it to its
// users, by its own documentation or by habit. What it leaves is checked here,
// each with the production of XML 1.0 (fifth edition) that demands it.

// errForbidden is said of documents that XML allows and this project does not.
var errForbidden = errors.New("a DOCTYPE or processing instruction")

// errEncoding is said of documents that are not in the encoding they say or show.
var errEncoding = errors.New("not in its encoding")

// errUnjudged is said of documents on which encoding/xml has a view of its own.
var errUnjudged = errors.New("not judged")

// wellFormed returns why a document in UTF-8, or UTF-16 with a mark, is not a
// well-formed one of XML 1.0; errForbidden or errUnjudged where that is not the
// question.
func wellFormed(content []byte) error {
	text, isUTF16, err := decodedText(content)
	if err != nil {
		return err
	}
	if text, err = undeclared(text, isUTF16); err != nil {
		return err
	}
	j := judge{text: text, decoder: xml.NewDecoder(strings.NewReader(text))}
	for {
		start := j.decoder.InputOffset()
		token, err := j.decoder.Token()
		if errors.Is(err, io.EOF) {
			return j.end()
		}
		if err != nil {
			return j.refusal(err, text[start:])
		}
		if err := j.token(token, text[start:j.decoder.InputOffset()]); err != nil {
			return err
		}
	}
}

// decodedText does what encoding/xml leaves to its callers: encodings and byte
// order marks (4.3.3).
func decodedText(content []byte) (text string, isUTF16 bool, err error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(content, []byte("\xFF\xFE")):
		order = binary.LittleEndian
	case bytes.HasPrefix(content, []byte("\xFE\xFF")):
		order = binary.BigEndian
	default:
		return strings.TrimPrefix(string(content), "\uFEFF"), false, nil
	}
	if len(content)%2 != 0 {
		return "", true, fmt.Errorf("%w: half a unit", errEncoding)
	}
	var units []uint16
	for i := 2; i < len(content); i += 2 {
		units = append(units, order.Uint16(content[i:]))
	}
	for i := 0; i < len(units); i++ {
		if !utf16.IsSurrogate(rune(units[i])) {
			continue
		}
		if i+1 == len(units) || utf16.DecodeRune(rune(units[i]), rune(units[i+1])) == utf8.RuneError {
			return "", true, fmt.Errorf("%w: half a pair", errEncoding)
		}
		i++
	}
	return string(utf16.Decode(units)), true, nil
}

const space = `[ \t\r\n]`

// declaration is production 23, of version 1.0 alone.
var declaration = regexp.MustCompile(`^<\?xml` + space + `+version` + space + `*=` + space + `*(?:"1\.0"|'1\.0')` +
	`(?:` + space + `+encoding` + space + `*=` + space + `*(?:"([^"]*)"|'([^']*)'))?` +
	`(?:` + space + `+standalone` + space + `*=` + space + `*(?:"(?:yes|no)"|'(?:yes|no)'))?` + space + `*\?>`)

var declares = regexp.MustCompile(`^<\?xml` + space)

// undeclared takes the declaration off: encoding/xml looks for two words in it.
func undeclared(text string, isUTF16 bool) (string, error) {
	if !declares.MatchString(text) {
		return text, nil
	}
	found := declaration.FindStringSubmatch(text)
	if found == nil {
		return "", errors.New("not an XML declaration")
	}
	fits := false
	switch encoding := strings.ToLower(found[1] + found[2]); encoding {
	case "":
		fits = !strings.Contains(found[0], "encoding")
	case "utf-8", "utf8":
		fits = !isUTF16
	case "us-ascii":
		fits = !isUTF16 && strings.IndexFunc(text, func(c rune) bool { return c >= utf8.RuneSelf }) < 0
	case "utf-16", "utf-16le", "utf-16be":
		fits = isUTF16
	}
	if !fits {
		return "", fmt.Errorf("%w: %s", errEncoding, found[0])
	}
	return text[len(found[0]):], nil
}

// odd reports names that XML 1.0 allows and Namespaces in XML does not: every
// reader has its own view of them.
func odd(name string) bool {
	prefix, local, prefixed := strings.Cut(name, ":")
	return prefixed && (prefix == "" || local == "" || strings.Contains(local, ":") || strings.ContainsAny(local[:1], "-.0123456789") || local[0] >= utf8.RuneSelf)
}

var (
	lastName  = regexp.MustCompile(`[^<>\s/"'=]*$`)
	firstName = regexp.MustCompile(`^<([^<>\s/"'=]*)`)
)

// judge looks at tokens for what encoding/xml lets pass.
type judge struct {
	text    string
	decoder *xml.Decoder
	depth   int
	rooted  bool
}

// refusal returns why encoding/xml refuses what begins with raw.
func (j *judge) refusal(err error, raw string) error {
	switch {
	case odd(lastName.FindString(j.text[:j.decoder.InputOffset()])):
		return errUnjudged
	case strings.Contains(err.Error(), "unescaped ]]>") && strings.HasPrefix(raw, "<") && !strings.HasPrefix(raw, "<!"):
		return errUnjudged // in the value of an attribute, where production 10 allows it
	case strings.Contains(err.Error(), "invalid XML name") && strings.IndexFunc(raw, func(c rune) bool { return c >= utf8.RuneSelf }) >= 0:
		return errUnjudged // it knows the names of the fourth edition, not of the fifth
	}
	return err
}

func (j *judge) end() error {
	if !j.rooted {
		return errors.New("no root element (production 1)")
	}
	return nil
}

func (j *judge) token(token xml.Token, raw string) error {
	switch token := token.(type) {
	case xml.StartElement:
		if j.depth == 0 && j.rooted {
			return errors.New("a second root element (production 1)")
		}
		j.depth, j.rooted = j.depth+1, true
		return startTag(raw)
	case xml.EndElement:
		j.depth--
	case xml.CharData:
		if j.depth == 0 && strings.Trim(raw, " \t\r\n") != "" {
			return errors.New("text outside the root element (production 1)")
		}
		if !strings.HasPrefix(raw, "<![CDATA[") {
			return references(raw)
		}
	case xml.Comment:
		return characters(string(token))
	case xml.ProcInst, xml.Directive:
		return errForbidden
	}
	return nil
}

var (
	tag       = regexp.MustCompile(`^<[^\s/>]+(?:` + space + `+[^\s=]+` + space + `*=` + space + `*(?:"[^"]*"|'[^']*'))*` + space + `*/?>$`)
	attribute = regexp.MustCompile(space + `+([^\s=]+)` + space + `*=` + space + `*("[^"]*"|'[^']*')`)
	reference = regexp.MustCompile(`&#(x?)([0-9a-fA-F]+);`)
)

// references checks that references are to characters: encoding/xml reads those to
// half a surrogate pair as U+FFFD.
func references(raw string) error {
	for _, found := range reference.FindAllStringSubmatch(raw, -1) {
		base := 10
		if found[1] != "" {
			base = 16
		}
		if n, err := strconv.ParseUint(found[2], base, 32); err != nil || n >= 0xD800 && n < 0xE000 {
			return errors.New("a reference to no character (production 66)")
		}
	}
	return nil
}

// startTag checks that the name is one, that white space stands before each attribute (production 40),
// that none comes twice, and that references in it are to characters.
func startTag(raw string) error {
	if odd(firstName.FindStringSubmatch(raw)[1]) {
		return errUnjudged
	}
	if !tag.MatchString(raw) {
		return errors.New("no white space before an attribute (production 40)")
	}
	seen := map[string]bool{}
	for _, found := range attribute.FindAllStringSubmatch(raw, -1) {
		if seen[found[1]] {
			return fmt.Errorf("attribute %s twice (unique att spec)", found[1])
		}
		seen[found[1]] = true
	}
	return references(raw)
}

// characters checks the characters of a comment (production 15), which encoding/xml
// skips.
func characters(s string) error {
	for i, c := range s {
		if c == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") || c < 0x20 && !strings.ContainsRune("\t\r\n", c) || c == 0xFFFE || c == 0xFFFF {
			return errors.New("no character of XML (production 2)")
		}
	}
	return nil
}
