package exchange_test

import (
	"fmt"
	"testing"
	"time"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/fault"
)

// allPlaces begins uploads of four nodes, on all places that there are.
func (h *hub) allPlaces(t *testing.T, content, piece []byte) []upload {
	t.Helper()
	var streams []upload
	for node := range 4 {
		client := h.transfers(fmt.Sprintf("H4%d/motcua", node+2))
		for i := range 8 {
			streams = append(streams, beginUpload(t, client, fmt.Sprint("id-", i), content, piece))
		}
	}
	return streams
}

// wantAPlace uploads as another node until there is a place for it.
func (h *hub) wantAPlace(t *testing.T, content []byte) {
	t.Helper()
	other := h.transfers("H41/motcua")
	for deadline := time.Now().Add(20 * time.Second); ; {
		answer, err := beginUpload(t, other, "own", content, content).CloseAndRecv()
		if err == nil && answer.GetHeld() == uint64(len(content)) {
			return
		}
		if fault.From(err).Reason != "too_many_transfers" || time.Now().After(deadline) {
			t.Fatalf("another node: %v, %v; want a place", answer, err)
		}
	}
}

// A byte now and then keeps no place: what travels too slowly ends, as what stands still.
func TestTricklesGiveTheirPlacesBack(t *testing.T) {
	t.Parallel()
	h := start(t, options{large: true, limits: exchange.Limits{TransferIdle: time.Second}})
	content := make([]byte, 2<<20)
	streams := h.allPlaces(t, content, content[:1])
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
			for _, stream := range streams { // which may have ended
				_ = stream.Send(&exchangev1.UploadRequest{Part: &exchangev1.UploadRequest_Chunk{Chunk: []byte{0}}})
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
	h.wantAPlace(t, content)
	ended := make(chan error, 1)
	go func() { ended <- streams[0].RecvMsg(&exchangev1.UploadResponse{}) }()
	if err := within(t, ended, "end of a trickle"); fault.From(err).Reason != "transfer_stalled" {
		t.Errorf("a trickle ended with %v; want transfer_stalled", err)
	}
}

// Uploads that the hub itself makes wait, by their nodes' quotas, leave their places to
// others meanwhile, and do not end by that.
func TestUploadsThatArePacedLeaveTheirPlaces(t *testing.T) {
	t.Parallel()
	paced := exchange.Quota{BytesPerSecond: 1000}
	most := quotasOf("H42/motcua", paced)
	for node := range 3 {
		most.set(fmt.Sprintf("H4%d/motcua", node+3), paced)
	}
	h := start(t, options{large: true, quota: most.of, limits: exchange.Limits{TransferIdle: 20 * time.Second}})
	content := make([]byte, 512<<10)
	streams := h.allPlaces(t, content, content)
	h.wantAPlace(t, content)
	for node := range 4 { // the limit is lifted: they go on where they were
		most.set(fmt.Sprintf("H4%d/motcua", node+2), exchange.Quota{})
	}
	for i, stream := range streams {
		answer, err := stream.CloseAndRecv()
		if err != nil || answer.GetHeld() != uint64(len(content)) {
			t.Fatalf("paced upload %d: %v, %v; want all of it held", i, answer, err)
		}
	}
}
