package exchange_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes/receipt"
)

func TestReceiptsVerifyOffline(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	sender := h.node("H41.04/motcua")
	var wg sync.WaitGroup
	for i := range 40 { // groups of more than one
		wg.Go(func() {
			env := envelope(fmt.Sprint("id-", i), "0001")
			env.OnBehalfOf = "000.00.04.H41"
			resp, err := sender.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: env})
			if err != nil {
				t.Errorf("submit: %v", err)
				return
			}
			statement, err := receipt.Verify(resp.GetReceipt(), h.key)
			if err != nil {
				t.Errorf("receipt does not verify: %v", err)
				return
			}
			if err := receipt.MatchesContent(statement, env.GetContent()); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(statement, resp.GetStatement(), protocmp.Transform()); diff != "" {
				t.Errorf("statement beside the receipt differs from the one in it:\n%s", diff)
			}
			want := &exchangev1.Statement{
				Hub: "hub.test", Sequence: statement.GetSequence(), AcceptedAt: statement.GetAcceptedAt(), Sender: "H41.04/motcua",
				EnvelopeId: env.GetId(), Type: env.GetType(), OnBehalfOf: "H41.04", Subject: "H41.04-240105-0001",
				ContentSha256: statement.GetContentSha256(), Recipients: []string{"G22/cong"}, Warnings: statement.GetWarnings(),
			}
			if diff := cmp.Diff(want, statement, protocmp.Transform()); diff != "" {
				t.Errorf("statement (-want +got):\n%s", diff)
			}
		})
	}
	wg.Wait()
}

// Every liberty that was taken in reading a packet stands in its receipt.
func TestReceiptsCarryWarnings(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	env := envelope("1", "0001")
	env.Content = bytes.Replace(env.Content, []byte("</MDocumentTraces>"), []byte("<Unheard>of</Unheard></MDocumentTraces>"), 1)
	statement := submit(t, h.node("H41/motcua"), env).GetStatement()
	if len(statement.GetWarnings()) == 0 || !strings.Contains(fmt.Sprint(statement.GetWarnings()), "Unheard") {
		t.Errorf("warnings are %v; want one about the unknown element", statement.GetWarnings())
	}
}

func TestTheSameAgainGivesTheSameReceipt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := start(t, options{dir: dir})
	sender := h.node("H41/motcua")
	first := submit(t, sender, envelope("1", "0001")).GetReceipt()
	submit(t, sender, envelope("2", "0001"))
	check := func(when string, got *exchangev1.Receipt) {
		t.Helper()
		if diff := cmp.Diff(first, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s, the receipt differs:\n%s", when, diff)
		}
	}
	check("at once", submit(t, sender, envelope("1", "0001")).GetReceipt())
	stream := submitStream(t, sender)
	if err := stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: []*exchangev1.Envelope{envelope("1", "0001")}}); err != nil {
		t.Fatal(err)
	}
	check("by stream", results(t, stream, 1)["1"][0].GetReceipt())
	got, err := sender.GetReceipt(t.Context(), &exchangev1.GetReceiptRequest{Sequence: 1})
	if err != nil {
		t.Fatal(err)
	}
	check("asked for", got.GetReceipt())

	h.stop()
	h = start(t, options{dir: dir})
	sender = h.node("H41/motcua")
	check("after a restart", submit(t, sender, envelope("1", "0001")).GetReceipt())
	// What would be refused now was accepted then.
	h.rights.revoke("H41")
	check("after the right is gone", submit(t, sender, envelope("1", "0001")).GetReceipt())
	_, err = sender.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: envelope("3", "0001")})
	wantRefused(t, err, codes.PermissionDenied, "right_missing")

	pulled, err := h.node("G22/cong").Pull(t.Context(), &exchangev1.PullRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint64{1, 2}, sequences(pulled.GetDeliveries())); diff != "" {
		t.Errorf("deliveries (-want +got), one for each accepted packet:\n%s", diff)
	}
}

func TestTheSameIDInOneFrame(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	stream := submitStream(t, h.node("H41/motcua"))
	other := envelope("1", "0001")
	other.Content = progress("0001", "khác")
	frame := []*exchangev1.Envelope{envelope("1", "0001"), envelope("1", "0001"), other, envelope("2", "0001")}
	if err := stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: frame}); err != nil {
		t.Fatal(err)
	}
	got := results(t, stream, len(frame))
	var receipts []*exchangev1.Receipt
	var reasons []string
	for _, result := range got["1"] {
		if r := result.GetReceipt(); r != nil {
			receipts = append(receipts, r)
		} else {
			reasons = append(reasons, result.GetRefusal().GetReason())
		}
	}
	if len(receipts) != 2 || !proto.Equal(receipts[0], receipts[1]) {
		t.Errorf("the same twice gave %d receipts: %v; want two equal ones", len(receipts), receipts)
	}
	if diff := cmp.Diff([]string{"id_conflict"}, reasons); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
	if got["2"][0].GetReceipt() == nil {
		t.Errorf("the envelope after them was refused: %v", got["2"][0].GetRefusal())
	}
}

func TestNarrowedRecipients(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.rights.grant("H41", "G01/csdl", "H41/motcua")
	sender := h.node("H41/motcua")
	all := submit(t, sender, envelope("1", "0001")).GetStatement().GetRecipients()
	if diff := cmp.Diff([]string{"G01/csdl", "G22/cong"}, all); diff != "" {
		t.Errorf("recipients where none is named (-want +got), all but the sender:\n%s", diff)
	}
	env := envelope("2", "0001")
	env.Recipients = []string{"000.00.00.G01/csdl", "G01/csdl"} // one node, in both spellings
	if got := submit(t, sender, env).GetStatement().GetRecipients(); len(got) != 1 || got[0] != "G01/csdl" {
		t.Errorf("recipients are %q, want the one node in canonical spelling", got)
	}
	for node, want := range map[string][]uint64{"G01/csdl": {1, 2}, "G22/cong": {1}, "H41/motcua": {}} {
		pulled, err := h.node(node).Pull(t.Context(), &exchangev1.PullRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, sequences(pulled.GetDeliveries())); diff != "" {
			t.Errorf("deliveries of %s (-want +got):\n%s", node, diff)
		}
	}
}

func TestReadingAcceptedPackets(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	env := envelope("1", "0001")
	sender, recipient, other := h.node("H41/motcua"), h.node("G22/cong"), h.node("H41/khac")
	submit(t, sender, env)
	for name, node := range map[string]exchangev1.ExchangeServiceClient{"sender": sender, "recipient": recipient} {
		got, err := node.GetPacket(t.Context(), &exchangev1.GetPacketRequest{Sequence: 1})
		if err != nil {
			t.Errorf("packet for its %s: %v", name, err)
		}
		if diff := cmp.Diff(env, got.GetPacket().GetEnvelope(), protocmp.Transform()); diff != "" {
			t.Errorf("envelope for its %s (-sent +got):\n%s", name, diff)
		}
	}
	converted, err := recipient.GetPacket(t.Context(), &exchangev1.GetPacketRequest{Sequence: 1, Format: exchangev1.Format_FORMAT_JSON})
	if err != nil || !strings.Contains(string(converted.GetPacket().GetEnvelope().GetContent()), `"DocCode"`) ||
		converted.GetPacket().GetEnvelope().GetFormat() != exchangev1.Format_FORMAT_JSON {
		t.Errorf("as JSON: %v, %v", converted, err)
	}
	_, err = other.GetPacket(t.Context(), &exchangev1.GetPacketRequest{Sequence: 1})
	notYours := wantRefused(t, err, codes.NotFound, "packet_not_found")
	_, err = recipient.GetReceipt(t.Context(), &exchangev1.GetReceiptRequest{Sequence: 1})
	wantRefused(t, err, codes.NotFound, "packet_not_found")
	for _, sequence := range []uint64{2, math.MaxUint64} {
		_, err = other.GetPacket(t.Context(), &exchangev1.GetPacketRequest{Sequence: sequence})
		notThere := wantRefused(t, err, codes.NotFound, "packet_not_found")
		if strings.ReplaceAll(notThere.EN, fmt.Sprint(sequence), "1") != notYours.EN {
			t.Errorf("%q tells a packet of others from none: %q", notYours.EN, notThere.EN)
		}
	}
}
