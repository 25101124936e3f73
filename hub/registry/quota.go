package registry

import (
	"google.golang.org/protobuf/proto"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
)

// Quota is how much a node may send, and how much may wait for it; 0 is no limit.
type Quota struct {
	PacketsPerSecond, BytesPerSecond uint64
	InboxBytes                       uint64
}

func (q Quota) message() *registryv1.Quota {
	return &registryv1.Quota{PacketsPerSecond: q.PacketsPerSecond, BytesPerSecond: q.BytesPerSecond, InboxBytes: q.InboxBytes}
}

// Quota returns what holds for a node: what an administrator has set of it, else what
// holds for all.
func (r *Registry) Quota(node string) Quota {
	own, most := r.current.Load().nodes[node].GetQuota(), r.cfg.Quota
	for _, limit := range []struct {
		set  uint64
		hold *uint64
	}{
		{own.GetPacketsPerSecond(), &most.PacketsPerSecond},
		{own.GetBytesPerSecond(), &most.BytesPerSecond},
		{own.GetInboxBytes(), &most.InboxBytes},
	} {
		if limit.set != 0 {
			*limit.hold = limit.set
		}
	}
	return most
}

// updateQuota changes what a request gives. A quota that says nothing is none.
func updateQuota(node *registryv1.Node, req *registryv1.UpdateNodeRequest) {
	quota := proto.CloneOf(node.GetQuota())
	if quota == nil {
		quota = &registryv1.Quota{}
	}
	if req.PacketsPerSecond != nil {
		quota.PacketsPerSecond = req.GetPacketsPerSecond()
	}
	if req.BytesPerSecond != nil {
		quota.BytesPerSecond = req.GetBytesPerSecond()
	}
	if req.InboxBytes != nil {
		quota.InboxBytes = req.GetInboxBytes()
	}
	if proto.Size(quota) == 0 {
		quota = nil
	}
	node.Quota = quota
}
