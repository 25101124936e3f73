package packet

import (
	"strings"
	"unicode/utf8"
)

// declaration takes the XML declaration, if there is one, and checks the
// encoding it names.
func (s *xmlScanner) declaration(isUTF16 bool) {
	for _, usual := range []string{`<?xml version="1.0" encoding="UTF-8"?>`, `<?xml version="1.0" encoding="utf-8"?>`} {
		if !isUTF16 && strings.HasPrefix(s.text, usual) {
			s.at = len(usual)
			return
		}
	}
	const start, end = "<?xml", "?>"
	if !strings.HasPrefix(s.text, start) || len(s.text) == len(start) || !isSpace(s.text[len(start)]) {
		return
	}
	at := strings.Index(s.text, end)
	if at < 0 {
		s.cutOff(0)
		return
	}
	parts, ok := pseudoAttributes(s.text[len(start):at])
	if !ok || len(parts) == 0 || parts[0][0] != "version" {
		s.syntax(0, `the declaration must be <?xml version="1.0" encoding="UTF-8"?>`, `khai báo phải là <?xml version="1.0" encoding="UTF-8"?>`)
		return
	}
	s.at = at + len(end)
	for i, part := range parts {
		switch name, value := part[0], part[1]; {
		case name == "version" && i == 0:
			if value != "1.0" {
				s.syntax(0, "only version 1.0 is allowed", "chỉ cho phép phiên bản 1.0")
			}
		case name == "encoding" && i == 1:
			s.encoding(value, isUTF16)
		case name == "standalone" && i > 0 && i == len(parts)-1 && (value == "yes" || value == "no"):
		default:
			s.syntax(0, "the declaration may hold version, encoding and standalone, in this order", "khai báo chỉ gồm version, encoding và standalone, theo thứ tự này")
		}
	}
}

const encodingUTF8 = "UTF-8"

// encoding checks that a declared encoding fits what the bytes are.
func (s *xmlScanner) encoding(declared string, isUTF16 bool) {
	fits := false
	switch strings.ToLower(declared) {
	case "utf-8":
		fits = !isUTF16
	case "utf8":
		fits = !isUTF16
		s.misspelt = declared
	case "us-ascii":
		if fits = !isUTF16; !fits {
			break
		}
		end := strings.IndexFunc(s.text, func(c rune) bool { return c >= utf8.RuneSelf })
		if end < 0 && s.broken != nil && s.broken.rule == ruleEncoding {
			end = s.broken.offset
		}
		if end >= 0 {
			s.stop(end, ruleEncoding, textASCII())
		}
	case "utf-16", "utf-16le", "utf-16be":
		fits = isUTF16
	}
	if !fits {
		s.stop(0, ruleEncoding, textDeclared(declared))
	}
}

// pseudoAttributes splits what stands in a declaration into names and values.
func pseudoAttributes(s string) ([][2]string, bool) {
	var parts [][2]string
	for len(parts) <= 3 {
		rest := strings.TrimLeft(s, " \t\r\n")
		if rest == "" {
			return parts, true
		}
		if len(rest) == len(s) {
			return nil, false
		}
		name, rest, _ := strings.Cut(rest, "=")
		rest = strings.TrimLeft(rest, " \t\r\n")
		if rest == "" || rest[0] != '"' && rest[0] != '\'' {
			return nil, false
		}
		end := strings.IndexByte(rest[1:], rest[0])
		if end < 0 {
			return nil, false
		}
		parts = append(parts, [2]string{strings.TrimRight(name, " \t\r\n"), rest[1 : 1+end]})
		s = rest[end+2:]
	}
	return nil, false
}
