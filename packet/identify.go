package packet

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// ErrUnknownPacket means that a text is none of the four packets. The text of
// the error says which there are.
var ErrUnknownPacket = errors.New("not a known packet")

// Sniff tells XML from JSON by the first character; FORMAT_UNSPECIFIED for
// neither.
func Sniff(content []byte) exchangev1.Format {
	for _, mark := range []string{"\xEF\xBB\xBF", "\xFF\xFE", "\xFE\xFF"} {
		if rest, ok := bytes.CutPrefix(content, []byte(mark)); ok {
			content = rest
			break
		}
	}
	for _, c := range content {
		switch {
		case isSpace(c) || c == 0:
		case c == '<':
			return exchangev1.Format_FORMAT_XML
		case c == '{', c == '[':
			return exchangev1.Format_FORMAT_JSON
		default:
			return exchangev1.Format_FORMAT_UNSPECIFIED
		}
	}
	return exchangev1.Format_FORMAT_UNSPECIFIED
}

// Identify tells what packet a text is, by its root element or its members, and
// how it is written. It returns an *InvalidError where the text cannot be read
// so far, and ErrUnknownPacket where no packet fits.
func (c *Codec) Identify(content []byte) (packetv1.PacketType, exchangev1.Format, error) {
	format := Sniff(content)
	r := &reading{options: c.options}
	r.root(&message{})
	var typ packetv1.PacketType
	var err error
	switch {
	case len(content) > c.options.ContentBytes:
		r.fail(0, ruleSize, "", textSize(len(content), c.options.ContentBytes))
	case format == exchangev1.Format_FORMAT_XML:
		typ, err = c.identifyXML(newXMLReader(r, content))
	case format == exchangev1.Format_FORMAT_JSON:
		typ, err = c.identifyJSON(newJSONReader(r, content))
	default:
		err = fmt.Errorf("%w: neither XML nor JSON", ErrUnknownPacket)
	}
	if _, invalid := r.result(); invalid != nil {
		return packetv1.PacketType_PACKET_TYPE_UNSPECIFIED, format, invalid
	}
	return typ, format, err
}

func (c *Codec) identifyXML(x *xmlReader) (packetv1.PacketType, error) {
	for {
		switch t := x.scan.next(); t.kind {
		case xmlStart:
			return c.named(t.name[strings.LastIndexByte(t.name, ':')+1:], "root element")
		case xmlStop:
			x.ended()
			return packetv1.PacketType_PACKET_TYPE_UNSPECIFIED, nil
		}
	}
}

// packets returns the tables of the packet types, in their order.
func (c *Codec) packets() []*message {
	var all []*message
	for _, m := range documents() {
		if s := c.schema[m.ProtoReflect().Descriptor().FullName()]; s.Type != packetv1.PacketType_PACKET_TYPE_UNSPECIFIED {
			all = append(all, s)
		}
	}
	return all
}

// named returns the type of packet that a root element or wrapper names.
func (c *Codec) named(name, what string) (packetv1.PacketType, error) {
	closest, least := "", maxName
	for _, s := range c.packets() {
		if strings.EqualFold(s.name, name) {
			return s.Type, nil
		}
		if d := distance(strings.ToLower(name), strings.ToLower(s.name)); d < least {
			closest, least = s.name, d
		}
	}
	hint := ""
	if least <= len(closest)/2 {
		hint = "; closest is " + closest
	}
	return packetv1.PacketType_PACKET_TYPE_UNSPECIFIED,
		fmt.Errorf("%w: %s %q; known are %s%s", ErrUnknownPacket, what, cut(name), c.names(), hint)
}

// names lists the packets by their official names.
func (c *Codec) names() string {
	var names []string
	for _, s := range c.packets() {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// distance counts the single-character changes between two names. Names that
// are too long to be meant are as far as can be.
func distance(a, b string) int {
	if len(a) > maxName || len(b) > maxName {
		return maxName
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// identifyJSON goes by the names of the members: those that only one packet has
// weigh more than those that several share.
func (c *Codec) identifyJSON(j *jsonReader) (packetv1.PacketType, error) {
	var members []string
	if !j.scan.enter('{') {
		j.scan.syntax(j.scan.at, "an object is expected", "phải là một đối tượng")
	}
	for first := true; j.scan.more('}', first); first = false {
		name, _ := j.scan.member()
		wrapper := len(members) == 0 && j.scan.peek() == '{'
		if typ, err := c.named(name, "member"); wrapper && err == nil {
			return typ, nil
		}
		members = append(members, name)
		j.skip()
	}
	if j.ended(); j.stopped {
		return packetv1.PacketType_PACKET_TYPE_UNSPECIFIED, nil
	}
	return c.fitting(members)
}

// fitting returns the type of packet that members fit best.
func (c *Codec) fitting(members []string) (packetv1.PacketType, error) {
	best, score, tie := packetv1.PacketType_PACKET_TYPE_UNSPECIFIED, 0, false
	for _, s := range c.packets() {
		n := c.score(s, members)
		tie = tie && n <= score || n == score
		if n > score {
			best, score = s.Type, n
		}
	}
	if score == 0 || tie {
		return packetv1.PacketType_PACKET_TYPE_UNSPECIFIED, fmt.Errorf("%w: the members of the object fit no packet, or several alike; known are %s", ErrUnknownPacket, c.names())
	}
	return best, nil
}

// score weighs how well members fit a packet.
func (c *Codec) score(s *message, members []string) int {
	const shared, distinctive = 1, 16
	score := 0
	for _, name := range members {
		if f, _ := s.find(name); f == nil {
			continue
		}
		score += distinctive
		for _, other := range c.packets() {
			if f, _ := other.find(name); other != s && f != nil {
				score += shared - distinctive
				break
			}
		}
	}
	return score
}
