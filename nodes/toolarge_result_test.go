package nodes_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	hubfault "github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/nodes"
)

// A frame of results that this node does not take says nothing of the envelopes: the
// largest of them is not taken for one that the hub has refused.
func TestAResultThatIsTooLargeRefusesNoEnvelope(t *testing.T) {
	t.Parallel()
	h := startHub(t) // takes messages of 4 MiB
	h.fault = func(_ int, env *exchangev1.Envelope) fault {
		if env.GetId() == "talkative" {
			return fault{refuse: hubfault.New(codes.InvalidArgument, "packet_invalid", strings.Repeat("x", 3<<20), "x")}
		}
		return fault{}
	}
	cfg := h.config(t)
	cfg.MaxMessageBytes = 2 << 20
	got := &results{}
	s := open(t, h, cfg, nodes.SubmitterOptions{OnResult: got.add})
	send(t, s, envelope("talkative", "1"), envelope("large", string(make([]byte, 800<<10))))
	if err := s.CloseAndWait(t.Context()); err == nil {
		t.Error("a submitter that cannot read its results has ended well")
	}
	for _, id := range []string{"talkative", "large"} {
		result := got.of(id)
		if result.Accepted == nil && !errors.Is(result.Err, nodes.ErrUnresolved) {
			t.Errorf("%s has result %v; want ErrUnresolved", id, result.Err)
		}
	}
}
