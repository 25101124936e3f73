package exchange_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
)

// damage changes a byte of a record on the disk, where a text stands last, until mend
// is called.
func (h *hub) damage(text string) (mend func()) {
	h.t.Helper()
	names, err := filepath.Glob(filepath.Join(h.dir, "store", "journal", "*"))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			h.t.Fatal(err)
		}
		if at := bytes.LastIndex(content, []byte(text)); at >= 0 {
			h.put(name, content[at]^1, at)
			return func() { h.put(name, content[at], at) }
		}
	}
	h.t.Fatalf("%q is in none of %d files of the journal", text, len(names))
	return nil
}

// put writes one byte of a file.
func (h *hub) put(name string, b byte, at int) {
	h.t.Helper()
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte{b}, int64(at)); err != nil {
		h.t.Error(err)
	}
	if err := file.Close(); err != nil {
		h.t.Error(err)
	}
}

// damaged is a hub with packet 2 damaged, and 3 of the same order; 1 and 4 are not.
func damaged(t *testing.T) (h *hub, portal exchangev1.ExchangeServiceClient, mend func()) {
	t.Helper()
	h = start(t, options{limits: exchange.Limits{RetryAtMost: time.Hour}})
	sender := h.node("H41/motcua")
	for _, env := range []*exchangev1.Envelope{
		envelope("first", "0001"), envelope("poisoned", "0002"), envelope("behind", "0002"), envelope("sound", "0003"),
	} {
		submit(t, sender, env)
	}
	mend = h.damage("nh poisoned")
	return h, h.node("G22/cong"), mend
}

// A packet that has changed on the disk holds up its own order, as if it had been
// rejected, and nothing else; what it holds up comes once it is acknowledged.
func TestADamagedPacketHoldsUpItsOwnOrder(t *testing.T) {
	t.Parallel()
	t.Run("by pulls of one", func(t *testing.T) {
		t.Parallel()
		_, portal, _ := damaged(t)
		wantSequences(t, "the first", pull(t, portal, 1), 1)
		wantSequences(t, "the next that can be read", pull(t, portal, 1), 4)
		wantSequences(t, "nothing more", pull(t, portal, 1))
		acknowledge(t, portal, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{2}}, 2)
		wantSequences(t, "what waited behind it", pull(t, portal, 1), 3)
	})
	t.Run("by a pull of all", func(t *testing.T) {
		t.Parallel()
		_, portal, _ := damaged(t)
		wantSequences(t, "all that can be read", pull(t, portal, 10), 1, 4)
		acknowledge(t, portal, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1, 2, 4}}, 1, 2, 4)
		wantSequences(t, "what waited behind it", pull(t, portal, 10), 3)
	})
	t.Run("by a stream", func(t *testing.T) {
		t.Parallel()
		_, portal, _ := damaged(t)
		r := receive(t, portal)
		r.send(2)
		wantSequences(t, "all that can be read", r.next(2), 1, 4)
		r.send(1, 2)
		wantSequences(t, "what waited behind it", r.next(1), 3)
	})
	t.Run("until it can be read", func(t *testing.T) {
		t.Parallel()
		h, portal, mend := damaged(t)
		wantSequences(t, "all that can be read", pull(t, portal, 10), 1, 4)
		acknowledge(t, portal, &exchangev1.AcknowledgeResponse{Acknowledged: []uint64{1, 4}}, 1, 4)
		h.clock.advance(time.Hour)
		wantSequences(t, "nothing, while it is damaged", pull(t, portal, 10))
		mend()
		wantSequences(t, "nothing, before it is looked at again", pull(t, portal, 10))
		h.clock.advance(time.Hour)
		got := pull(t, portal, 10)
		wantSequences(t, "all of the order, once it can be read", got, 2, 3)
		wantAttempts(t, got, 1)
	})
}

// Who asks for a packet that is damaged is told so, whom to ask, and what to do; who has
// nothing to do with it is told nothing.
func TestGettingADamagedPacket(t *testing.T) {
	t.Parallel()
	h, portal, _ := damaged(t)
	_, err := portal.GetPacket(t.Context(), &exchangev1.GetPacketRequest{Sequence: 2})
	refused := wantRefused(t, err, codes.DataLoss, "packet_unreadable")
	for _, text := range []string{refused.EN, refused.VI} {
		if !contains(text, "H41/motcua", `"poisoned"`, " 2") {
			t.Errorf("is told %q; want the sender, the id and the sequence", text)
		}
	}
	_, err = h.node("H29/khac").GetPacket(t.Context(), &exchangev1.GetPacketRequest{Sequence: 2})
	wantRefused(t, err, codes.NotFound, "packet_not_found")
}
