package packet

import (
	"bytes"
	"errors"
	"strings"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// ErrUnknownPacket means that a text is none of the four packets.
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
// how it is written. It returns an *InvalidError where the text cannot be read so
// far, and one that is ErrUnknownPacket where no packet fits; its finding says
// which there are. Whatever else is wrong is left to Decode.
func (c *Codec) Identify(content []byte) (packetv1.PacketType, exchangev1.Format, error) {
	format := Sniff(content)
	r := &reading{options: c.options, located: true}
	r.root(&message{})
	var typ packetv1.PacketType
	switch {
	case len(content) > c.options.ContentBytes:
		r.located = false
		r.fail(0, ruleSize, "", textSize(len(content), c.options.ContentBytes))
	case format == exchangev1.Format_FORMAT_XML:
		typ = c.identifyXML(r, content)
	case format == exchangev1.Format_FORMAT_JSON:
		typ = c.identifyJSON(r, content)
	default:
		t := textNeither()
		if len(bytes.TrimSpace(content)) == 0 {
			t = textNothing()
		}
		r.unknownPacket(0, "", t)
	}
	if _, err := r.result(); err != nil {
		return packetv1.PacketType_PACKET_TYPE_UNSPECIFIED, format, err
	}
	return typ, format, nil
}

// unknownPacket reports that a text is none of the packets.
func (r *reading) unknownPacket(offset int, sent string, t text) {
	r.cause = ErrUnknownPacket
	r.refuse(locus{step: -1, name: cut(sent)}, offset, remark{rule: ruleUnknownPacket, text: t, sent: cut(sent)})
}

func (c *Codec) identifyXML(r *reading, content []byte) packetv1.PacketType {
	x := newXMLReader(r, content)
	for {
		switch t := x.scan.next(); t.kind {
		case xmlStart:
			name := t.name[strings.LastIndexByte(t.name, ':')+1:]
			s, closest := c.named(name)
			if s == nil {
				x.unknownPacket(t.offset, name, textUnknownRoot(name, c.names(), closest))
				return packetv1.PacketType_PACKET_TYPE_UNSPECIFIED
			}
			return s.Type
		case xmlStop:
			x.ended()
			return packetv1.PacketType_PACKET_TYPE_UNSPECIFIED
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

// named returns the packet that a root element or wrapper names; nil for none,
// with the name that may have been meant.
func (c *Codec) named(name string) (s *message, closest string) {
	least := maxName
	for _, s := range c.packets() {
		if strings.EqualFold(s.name, name) {
			return s, ""
		}
		if d := distance(strings.ToLower(name), strings.ToLower(s.name)); d < least {
			closest, least = s.name, d
		}
	}
	if least > len(closest)/2 {
		closest = ""
	}
	return nil, closest
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
func (c *Codec) identifyJSON(r *reading, content []byte) packetv1.PacketType {
	j := newJSONReader(r, content)
	const none = packetv1.PacketType_PACKET_TYPE_UNSPECIFIED
	var members []string
	if j.scan.peek() == '[' {
		j.stop(&defect{offset: j.scan.at, rule: ruleRoot, text: textObject()})
		return none
	}
	start := j.scan.at
	j.scan.enter('{')
	for first := true; j.scan.more('}', first); first = false {
		name, _ := j.scan.member()
		if len(members) == 0 && j.scan.peek() == '{' {
			if s, _ := c.named(name); s != nil {
				return s.Type
			}
		}
		members = append(members, name)
		j.scan.skip()
	}
	if j.ended(); j.stopped {
		return none
	}
	typ := c.fitting(members)
	if typ == none {
		j.unknownPacket(start, "", textUnknownMembers(c.names()))
	}
	return typ
}

// fitting returns the type of packet that members fit best; none where they fit
// no packet, or several alike.
func (c *Codec) fitting(members []string) packetv1.PacketType {
	best, score, tie := packetv1.PacketType_PACKET_TYPE_UNSPECIFIED, 0, false
	for _, s := range c.packets() {
		n := c.score(s, members)
		tie = tie && n <= score || n == score
		if n > score {
			best, score = s.Type, n
		}
	}
	if score == 0 || tie {
		return packetv1.PacketType_PACKET_TYPE_UNSPECIFIED
	}
	return best
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
