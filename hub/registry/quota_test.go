package registry_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/registry"
)

// A node's own quota holds where it says something, the hub's where it does not; each
// limit by itself, at once and after a restart.
func TestQuotaIsTheNodesOwnOrTheHubs(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.quota = registry.Quota{PacketsPerSecond: 100, InboxBytes: 1 << 30}
	h.reopen()
	h.create("H41/motcua", oneStop)
	number := func(n uint64) *uint64 { return &n }
	none := h.quota
	for _, step := range []struct {
		what string
		req  *registryv1.UpdateNodeRequest
		own  *registryv1.Quota
		want registry.Quota
	}{
		{"nothing", &registryv1.UpdateNodeRequest{}, nil, none},
		{"a higher rate", &registryv1.UpdateNodeRequest{PacketsPerSecond: number(500)},
			&registryv1.Quota{PacketsPerSecond: 500}, registry.Quota{PacketsPerSecond: 500, InboxBytes: 1 << 30}},
		{"bytes beside it", &registryv1.UpdateNodeRequest{BytesPerSecond: number(1000), InboxBytes: number(5)},
			&registryv1.Quota{PacketsPerSecond: 500, BytesPerSecond: 1000, InboxBytes: 5}, registry.Quota{PacketsPerSecond: 500, BytesPerSecond: 1000, InboxBytes: 5}},
		{"the hub's rate again", &registryv1.UpdateNodeRequest{PacketsPerSecond: number(0)},
			&registryv1.Quota{BytesPerSecond: 1000, InboxBytes: 5}, registry.Quota{PacketsPerSecond: 100, BytesPerSecond: 1000, InboxBytes: 5}},
		{"all as the hub has it", &registryv1.UpdateNodeRequest{BytesPerSecond: number(0), InboxBytes: number(0)}, nil, none},
	} {
		step.req.Id = "H41/motcua"
		answer, err := h.UpdateNode(t.Context(), step.req)
		if err != nil || !proto.Equal(answer.GetNode().GetQuota(), step.own) {
			t.Fatalf("%s: answered %v, %v; want %v", step.what, answer.GetNode(), err, step.own)
		}
		for _, when := range []string{"at once", "after a restart"} {
			if got := h.Quota("H41/motcua"); got != step.want {
				t.Errorf("%s, %s: the quota is %+v; want %+v", step.what, when, got, step.want)
			}
			h.reopen()
		}
	}
	if got := h.Quota("H41/nobody"); got != none {
		t.Errorf("of a node that is not there: %+v; want the hub's", got)
	}
}
