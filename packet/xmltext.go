package packet

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// references checks the references in a run that begins at an offset.
func (s *xmlScanner) references(run string, offset int) bool {
	for at := strings.IndexByte(run, '&'); at >= 0; {
		name, _, closed := strings.Cut(run[at+1:min(len(run), at+1+maxReference)], ";")
		if _, ok := reference(name); !closed || !ok {
			s.badReference(offset+at, closed && isCharacterReference(name))
			return false
		}
		at += len(name) + 2
		next := strings.IndexByte(run[at:], '&')
		if next < 0 {
			return true
		}
		at += next
	}
	return true
}

// badReference ends scanning at a reference that stands for nothing.
func (s *xmlScanner) badReference(offset int, numbered bool) {
	if numbered {
		s.syntax(offset, "a character reference to what is no character of XML 1.0", "tham chiếu đến ký tự không có trong XML 1.0")
		return
	}
	s.syntax(offset, "& is not followed by amp; lt; gt; quot; apos; or a character reference; alone it is written &amp;",
		"ký tự & phải viết là &amp;, trừ khi mở đầu một tham chiếu: &lt; &gt; &quot; &apos; hoặc &#số;")
}

// gathered is the text of an element, out of one piece or several.
type gathered struct {
	one     string // the first piece, where nothing has to be replaced in it
	several strings.Builder
	limit   int // bytes that may be needed; of what is longer, one more is kept
}

// add adds a piece. rest is what is left of the document: it says how long the text
// may become, so that a long one is moved as rarely as can be.
func (g *gathered) add(t xmlToken, rest string) {
	if g.one == "" && g.several.Len() == 0 && !t.replaced {
		g.one = t.text
		return
	}
	if g.several.Len() == 0 {
		g.several.Grow(min(len(g.one)+unixSize(t.text)+textAhead(rest), g.limit+1))
		g.write(g.one)
		g.one = ""
	}
	g.expand(t)
}

// textAhead returns how long the text before the next tag is, at most.
func textAhead(rest string) int {
	size := 0
	for {
		end := strings.IndexByte(rest, '<')
		if end < 0 {
			return size + len(rest)
		}
		size += unixSize(rest[:end])
		rest = rest[end:]
		section, isCDATA := strings.CutPrefix(rest, "<![CDATA[")
		_, isComment := strings.CutPrefix(rest, "<!--")
		switch {
		case isCDATA:
			text, after, _ := strings.Cut(section, "]]>")
			size, rest = size+unixSize(text), after
		case isComment:
			_, rest, _ = strings.Cut(rest[len("<!--"):], "-->")
		default:
			return size
		}
	}
}

// copied returns how many bytes were copied; beyond limit, one more than that.
func (g *gathered) copied() int { return g.several.Len() }

// text returns what was gathered.
func (g *gathered) text() string {
	if g.several.Len() > 0 {
		return g.several.String()
	}
	return g.one
}

func (g *gathered) write(s string) {
	g.several.WriteString(s[:min(len(s), max(g.limit+1-g.several.Len(), 0))])
}

// expand writes a piece as it is meant: lines end with a line feed alone, and
// references are what they stand for. Nothing that a reference stands for is looked at
// again.
func (g *gathered) expand(t xmlToken) {
	special := "&\r"
	if t.cdata {
		special = "\r"
	}
	for rest := t.text; g.several.Len() <= g.limit; {
		at := strings.IndexAny(rest, special)
		if at < 0 {
			g.write(rest)
			return
		}
		g.write(rest[:at])
		if rest[at] == '\r' {
			g.write("\n")
			rest = strings.TrimPrefix(rest[at+1:], "\n")
			continue
		}
		name, after, _ := strings.Cut(rest[at+1:], ";")
		char, _ := reference(name) // references has checked it
		g.several.WriteRune(char)
		rest = after
	}
}

// unixSize returns how long a text is when its lines end as XML says.
func unixSize(s string) int { return len(s) - strings.Count(s, "\r\n") }

// isBlank reports whether a token of text means nothing but white space.
func (t xmlToken) isBlank() bool {
	for rest := t.text; rest != ""; {
		switch {
		case isSpace(rest[0]):
			rest = rest[1:]
		case rest[0] == '&' && !t.cdata:
			name, after, _ := strings.Cut(rest[1:], ";")
			if char, _ := reference(name); char >= utf8.RuneSelf || !isSpace(byte(char)) {
				return false
			}
			rest = after
		default:
			return false
		}
	}
	return true
}

// isCharacterReference reports whether a reference without & and ; is spelt as one to
// a character, by its number.
func isCharacterReference(name string) bool {
	digits, ok := strings.CutPrefix(name, "#")
	if hex, isHex := strings.CutPrefix(digits, "x"); isHex {
		return ok && hex != "" && strings.Trim(hex, "0123456789abcdefABCDEF") == ""
	}
	return ok && isDigits(digits)
}

// maxReference is the longest reference that is looked at, with its semicolon.
const maxReference = 32

// reference returns the character that a reference without & and ; stands for.
func reference(name string) (rune, bool) {
	switch name {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	number, ok := strings.CutPrefix(name, "#")
	if !ok || number == "" {
		return 0, false
	}
	base := 10
	if number[0] == 'x' {
		number, base = number[1:], 16
	}
	n, err := strconv.ParseUint(number, base, 32)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) || !legal(string(rune(n))) {
		return 0, false
	}
	return rune(n), true
}
