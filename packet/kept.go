package packet

import packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"

// kept is the unknown elements of a message, on their way out.
type kept struct {
	table *message
	all   []*packetv1.UnknownElement
}

func keptOf(s *message, m record) kept {
	if all := m.unknowns(s); all != nil && len(*all) > 0 {
		return kept{table: s, all: *all}
	}
	return kept{}
}

// after returns what is written after a field; nil stands for the start. What
// names no field of the message comes at the end.
func (k kept) after(f *field) []*packetv1.UnknownElement {
	var found []*packetv1.UnknownElement
	for _, u := range k.all {
		at := k.table.exact[u.GetAfter()]
		if at == nil && u.GetAfter() != "" {
			at = k.table.fields[len(k.table.fields)-1]
		}
		if at == f {
			found = append(found, u)
		}
	}
	return found
}
