package hub_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
)

// postXML posts a packet and returns the status and after how many seconds to try again.
func postXML(t *testing.T, h *hubtest.Hub, m *member, env *exchangev1.Envelope) (code, retryAfter int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.EdgeURL()+"/Statistic/UpdateStatistic", bytes.NewReader(env.GetContent()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/xml")
	req.Header.Set("Idempotency-Key", env.GetId())
	resp, err := m.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	retryAfter, _ = strconv.Atoi(resp.Header.Get("Retry-After"))
	return resp.StatusCode, retryAfter
}

// A node beyond what the hub lets any node send is told to come back, at the HTTP edge
// and over gRPC, in the words of each; what an administrator sets of it counts at once
// and after a restart.
func TestQuotasAtTheDoors(t *testing.T) {
	t.Parallel()
	start := time.Now()
	h := hubtest.Start(t, func(c *hub.Config) {
		c.PacketsPerSecond = 2
		c.Clock = func() time.Time { return start } // no quota fills again
	})
	sender := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	for i := range 2 {
		if code, _ := postXML(t, h, sender, envelope(t, fmt.Sprint("within-", i), "statistic.xml")); code != http.StatusOK {
			t.Fatalf("packet %d of a second: HTTP %d", i+1, code)
		}
	}
	if code, after := postXML(t, h, sender, envelope(t, "beyond", "statistic.xml")); code != http.StatusTooManyRequests || after != 1 {
		t.Errorf("one packet more: HTTP %d, Retry-After %d; want 429 and a second", code, after)
	}
	_, err := exchangev1.NewExchangeServiceClient(connect(t, h, sender.profile)).Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: envelope(t, "beyond", "statistic.xml")})
	wantRetryInfo(t, err, 500*time.Millisecond)

	setPacketsPerSecond(t, h, "H41/motcua", 1000)
	for i := range 10 {
		if code, _ := postXML(t, h, sender, envelope(t, fmt.Sprint("more-", i), "statistic.xml")); code != http.StatusOK {
			t.Fatalf("with a quota of its own, packet %d: HTTP %d", i+1, code)
		}
	}
	h.Stop()
	again := hubtest.Start(t, func(c *hub.Config) { c.DataDir, c.PacketsPerSecond = h.DataDir, 2 })
	listed, err := again.Admin.ListNodes(t.Context(), &registryv1.ListNodesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range listed.GetNodes() {
		if want := map[string]uint64{"H41/motcua": 1000}[node.GetId()]; node.GetQuota().GetPacketsPerSecond() != want {
			t.Errorf("after a restart, %s has %v; want %d packets a second", node.GetId(), node.GetQuota(), want)
		}
	}
	if hubs := listed.GetHubQuota(); !proto.Equal(hubs, &registryv1.Quota{PacketsPerSecond: 2, InboxBytes: hub.DefaultInboxBytes}) {
		t.Errorf("the hub's own quota is listed as %v", hubs)
	}
}

func setPacketsPerSecond(t *testing.T, h *hubtest.Hub, node string, most uint64) {
	t.Helper()
	if _, err := h.Admin.UpdateNode(t.Context(), &registryv1.UpdateNodeRequest{Id: node, PacketsPerSecond: &most}); err != nil {
		t.Fatal(err)
	}
}

func wantRetryInfo(t *testing.T, err error, want time.Duration) {
	t.Helper()
	told := status.Convert(err)
	for _, detail := range told.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok && told.Code() == codes.ResourceExhausted {
			if got := info.GetRetryDelay().AsDuration(); got != want {
				t.Errorf("to try again after %v; want %v", got, want)
			}
			return
		}
	}
	t.Errorf("%v: want RESOURCE_EXHAUSTED with a RetryInfo", errors.Join(err))
}
