package packet

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// kept is the unknown elements of a message, on their way out.
type kept struct {
	table *message
	all   []*packetv1.UnknownElement
}

func keptOf(s *message, m protoreflect.Message) kept {
	if s.unknowns == nil || !m.Has(s.unknowns) {
		return kept{}
	}
	list := m.Get(s.unknowns).List()
	all := make([]*packetv1.UnknownElement, 0, list.Len())
	for i := range list.Len() {
		if u, ok := list.Get(i).Message().Interface().(*packetv1.UnknownElement); ok {
			all = append(all, u)
		}
	}
	return kept{table: s, all: all}
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
