package registry

import (
	"context"
	"fmt"
	"maps"

	"google.golang.org/protobuf/proto"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/store"
)

// Kinds of items in the store.
const (
	kindOrganisation = "organisation" // by canonical code
	kindNode         = "node"         // by id
	kindToken        = "token"        // by node id
	kindRight        = "right"        // by id
)

// snapshot is the registry at one moment. Neither it nor what it holds is changed
// once others can see it.
type snapshot struct {
	organisations map[string]*registryv1.Organisation // by canonical code
	nodes         map[string]*registryv1.Node         // by id
	tokens        map[string]*registryv1.StoredToken  // by node id
	rights        map[string]*registryv1.Right        // by id

	receivers index[packetv1.PacketType]
	answerers index[string]
}

func load(ctx context.Context, from Store) (*snapshot, error) {
	items, err := from.LoadItems(ctx, []string{kindOrganisation, kindNode, kindToken, kindRight})
	if err != nil {
		return nil, fmt.Errorf("load registry: %w", err)
	}
	s := &snapshot{
		organisations: map[string]*registryv1.Organisation{},
		nodes:         map[string]*registryv1.Node{},
		tokens:        map[string]*registryv1.StoredToken{},
		rights:        map[string]*registryv1.Right{},
	}
	for _, item := range items {
		if err := s.take(item); err != nil {
			return nil, fmt.Errorf("load registry: %w: %s %q: %w", store.ErrCorrupt, item.Kind, item.Key, err)
		}
	}
	s.reindex()
	return s, nil
}

func (s *snapshot) take(item store.Item) error {
	switch item.Kind {
	case kindOrganisation:
		s.organisations[item.Key] = &registryv1.Organisation{}
		return proto.Unmarshal(item.Value, s.organisations[item.Key])
	case kindNode:
		s.nodes[item.Key] = &registryv1.Node{}
		return proto.Unmarshal(item.Value, s.nodes[item.Key])
	case kindToken:
		s.tokens[item.Key] = &registryv1.StoredToken{}
		return proto.Unmarshal(item.Value, s.tokens[item.Key])
	case kindRight:
		s.rights[item.Key] = &registryv1.Right{}
		return proto.Unmarshal(item.Value, s.rights[item.Key])
	}
	return fmt.Errorf("unknown kind")
}

func (s *snapshot) empty() bool {
	return len(s.organisations)+len(s.nodes)+len(s.tokens)+len(s.rights) == 0
}

// reindex derives who receives and who answers from nodes and rights.
func (s *snapshot) reindex() {
	var receive []grant[packetv1.PacketType]
	var answer []grant[string]
	for _, right := range s.rights {
		state := s.nodes[right.GetReceiver()].GetState()
		holder := holderOf(right)
		if state != registryv1.NodeState_NODE_STATE_REVOKED {
			for _, typ := range right.GetTypes() {
				receive = append(receive, grant[packetv1.PacketType]{sender[packetv1.PacketType]{right.GetSender(), typ}, holder})
			}
		}
		if state == registryv1.NodeState_NODE_STATE_ACTIVE {
			for _, service := range right.GetServices() {
				answer = append(answer, grant[string]{sender[string]{right.GetSender(), service}, holder})
			}
		}
	}
	s.receivers, s.answerers = newIndex(receive), newIndex(answer)
}

// draft is the next snapshot in the making, and what has to be written for it.
// Messages of the snapshot it came from are replaced in it, never changed.
type draft struct {
	snapshot
	items []store.Item
	err   error
}

func newDraft(from *snapshot) *draft {
	return &draft{snapshot: snapshot{
		organisations: maps.Clone(from.organisations),
		nodes:         maps.Clone(from.nodes),
		tokens:        maps.Clone(from.tokens),
		rights:        maps.Clone(from.rights),
	}}
}

func (d *draft) finish() *snapshot {
	d.reindex()
	return &d.snapshot
}

func (d *draft) putOrganisation(o *registryv1.Organisation) {
	d.organisations[o.GetCode()] = o
	d.write(kindOrganisation, o.GetCode(), o)
}

func (d *draft) putNode(n *registryv1.Node) {
	d.nodes[n.GetId()] = n
	d.write(kindNode, n.GetId(), n)
}

func (d *draft) putToken(node string, t *registryv1.StoredToken) {
	d.tokens[node] = t
	d.write(kindToken, node, t)
}

func (d *draft) dropToken(node string) {
	delete(d.tokens, node)
	d.items = append(d.items, store.Item{Kind: kindToken, Key: node})
}

func (d *draft) putRight(r *registryv1.Right) {
	d.rights[r.GetId()] = r
	d.write(kindRight, r.GetId(), r)
}

func (d *draft) dropRight(id string) {
	delete(d.rights, id)
	d.items = append(d.items, store.Item{Kind: kindRight, Key: id})
}

func (d *draft) write(kind, key string, m proto.Message) {
	value, err := proto.Marshal(m)
	if err != nil {
		d.err = fmt.Errorf("%s %q: %w", kind, key, err)
		return
	}
	d.items = append(d.items, store.Item{Kind: kind, Key: key, Value: value})
}
