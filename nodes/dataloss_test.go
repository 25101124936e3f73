package nodes_test

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	hubfault "github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/nodes"
)

// What the hub has lost is not asked for again: whoever asks is told at once.
func TestWhatTheHubHasLostIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	h := startHub(t)
	h.fault = func(int, *exchangev1.Envelope) fault {
		return fault{refuse: hubfault.New(codes.DataLoss, "packet_unreadable", "damaged", "hỏng")}
	}
	_, err := dial(t, h.config(t)).Submit(t.Context(), envelope("a", "1"))
	var refused *nodes.Refused
	if !errors.As(err, &refused) || refused.Reason() != "packet_unreadable" {
		t.Errorf("got %v; want packet_unreadable", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.submitted != 1 {
		t.Errorf("it was asked %d times; want once", h.submitted)
	}
}
