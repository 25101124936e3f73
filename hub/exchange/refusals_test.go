package exchange_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/grpc/codes"
	"pgregory.net/rapid"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/registry"
	"github.com/lienthong/lienthong/hub/rpc"
	"github.com/lienthong/lienthong/packet"
)

func TestSameIDForSomethingElseIsAConflict(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.rights.grant("H41", "G01/csdl")
	sender := h.node("H41/motcua")
	submit(t, sender, envelope("1", "0001"))
	for differs, change := range map[string]func(*exchangev1.Envelope){
		"with other content, accepted":      func(env *exchangev1.Envelope) { env.Content = progress("0001", "khác") },
		"with other recipients, accepted":   func(env *exchangev1.Envelope) { env.Recipients = []string{"G22/cong"} },
		"with other on_behalf_of, accepted": func(env *exchangev1.Envelope) { env.OnBehalfOf = "H41.04" },
		"with other content, other recipients, accepted as sequence 1": func(env *exchangev1.Envelope) {
			env.Content, env.Recipients = progress("0001", "khác"), []string{"G22/cong"}
		},
	} {
		env := envelope("1", "0001")
		change(env)
		_, err := sender.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: env})
		if told := wantRefused(t, err, codes.AlreadyExists, "id_conflict"); !strings.Contains(told.EN, differs) {
			t.Errorf("the refusal says %q; want %q in it", told.EN, differs)
		}
	}
	if got := submit(t, h.node("H41/khac"), envelope("1", "0001")).GetStatement().GetSequence(); got != 2 {
		t.Errorf("another node's packet under the same id has sequence %d; want 2, its own", got)
	}
}

// Envelopes are refused exactly where the rules of the .proto file are broken,
// whichever way that was found out.
func TestEnvelopesKeepTheRules(t *testing.T) {
	t.Parallel()
	validator, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	h := start(t, options{})
	sender := h.node("H41/motcua")
	text := rapid.OneOf(rapid.StringMatching(`[A-Za-z0-9._:-]{0,130}`), rapid.StringMatching(`[A-Z0-9/a-zế ]{0,40}`))
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		env := &exchangev1.Envelope{
			Id:         text.Draw(t, "id"),
			Type:       packetv1.PacketType(rapid.Int32Range(-1, 5).Draw(t, "type")),
			Format:     exchangev1.Format(rapid.Int32Range(-1, 4).Draw(t, "format")),
			Content:    rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "content"),
			OnBehalfOf: text.Draw(t, "on behalf of"),
			Recipients: rapid.SliceOfN(text, 0, 10).Draw(t, "recipients"),
		}
		if rapid.Bool().Draw(t, "uploaded") {
			env.Upload = &exchangev1.Upload{
				Size:   rapid.Uint64Range(0, 2).Draw(t, "size"),
				Sha256: rapid.SliceOfN(rapid.Byte(), 31, 33).Draw(t, "sha256"),
			}
		}
		broken := validator.Validate(env) != nil
		_, err := sender.Submit(context.Background(), &exchangev1.SubmitRequest{Envelope: env})
		if got := fault.From(err).Reason == "request_invalid"; got != broken {
			t.Fatalf("%v: refused as invalid: %t (%v); by its rules: %t", env, got, err, broken)
		}
		if broken {
			refused++
		}
	})
	if refused == 0 {
		t.Error("no rule was broken")
	}
}

func refusals() map[string]struct {
	change func(*exchangev1.Envelope)
	code   codes.Code
	reason string
	says   []string
} {
	type refusal = struct {
		change func(*exchangev1.Envelope)
		code   codes.Code
		reason string
		says   []string
	}
	return map[string]refusal{
		"another's organisation": {func(env *exchangev1.Envelope) { env.OnBehalfOf = "H42" },
			codes.PermissionDenied, "organisation_not_yours", []string{"H41", "H42"}},
		"an organisation of a similar code": {func(env *exchangev1.Envelope) { env.OnBehalfOf = "H4" },
			codes.PermissionDenied, "organisation_not_yours", []string{"H41", "H4;"}},
		"no organisation code": {func(env *exchangev1.Envelope) { env.OnBehalfOf = "H41\x00H42" },
			codes.InvalidArgument, "organisation_invalid", []string{"G12.18"}},
		"a packet of another's dossier": {func(env *exchangev1.Envelope) { env.Content = progressOf("H42", "0001", "") },
			codes.PermissionDenied, "organisation_not_yours", []string{"H41", "H42"}},
		"a type without a right": {func(env *exchangev1.Envelope) {
			env.Type, env.Content = packetv1.PacketType_PACKET_TYPE_STATISTIC, []byte(statisticXML)
		}, codes.PermissionDenied, "right_missing", []string{"statistic", "H41"}},
		"a recipient without a right": {func(env *exchangev1.Envelope) { env.Recipients = []string{"G22/cong", "G01/csdl"} },
			codes.PermissionDenied, "right_missing", []string{"G01/csdl", "progress", "H41"}},
		"a recipient without end": {func(env *exchangev1.Envelope) { env.Recipients = []string{strings.Repeat("x", 1<<20)} },
			codes.InvalidArgument, "request_invalid", []string{"recipients[0]", "100"}},
		"an id that is not allowed": {func(env *exchangev1.Envelope) { env.Id = "a b" },
			codes.InvalidArgument, "request_invalid", []string{"id"}},
		"content that is no packet": {func(env *exchangev1.Envelope) { env.Content = []byte("<MVotes/>") },
			codes.InvalidArgument, "packet_invalid", nil},
		"content that is too large": {func(env *exchangev1.Envelope) { env.Content = bytes.Repeat([]byte(" "), 16<<20+1) },
			codes.ResourceExhausted, "packet_too_large", []string{"16777217", "16777216"}},
	}
}

const statisticXML = `<?xml version="1.0" encoding="UTF-8"?>
<MStatistic><Month>1</Month><Year>2024</Year><IsMonthStatistic>true</IsMonthStatistic><NewReception>90</NewReception>
<PreExtisting>10</PreExtisting><Total>100</Total><TotalSolved>80</TotalSolved><SolvedInTime>76</SolvedInTime>
<SolvedInTimePercent>95</SolvedInTimePercent><SolvedLate>4</SolvedLate><SolvedLatePercent>5</SolvedLatePercent>
<TotalPending>20</TotalPending><Pending>18</Pending><PendingLate>2</PendingLate><PendingLatePercent>10</PendingLatePercent>
<PendingPercent>90</PendingPercent><Note></Note><OrganizationInchargeIdlevel1>H41</OrganizationInchargeIdlevel1>
<OrganizationInchargeName>UBND tỉnh</OrganizationInchargeName></MStatistic>`

// Whatever is refused leaves nothing behind, says why, and in a stream keeps no
// other envelope from being accepted.
func TestRefusals(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	sender := h.node("H41/motcua")
	accepted := 0
	for name, c := range refusals() {
		t.Run(name, func(t *testing.T) {
			bad := envelope("bad", "0001")
			c.change(bad)
			_, err := sender.Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: bad})
			told := wantRefused(t, err, c.code, c.reason)
			if !contains(told.EN, c.says...) || len(told.EN) > 1000 {
				t.Errorf("the text %.1000q should name %q, and not be endless", told.EN, c.says)
			}
			stream := submitStream(t, sender)
			before, after := envelope(fmt.Sprint("b", accepted), "0001"), envelope(fmt.Sprint("a", accepted), "0001")
			for _, env := range []*exchangev1.Envelope{before, bad, after} {
				if err := stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: []*exchangev1.Envelope{env}}); err != nil {
					t.Fatal(err)
				}
			}
			got := results(t, stream, 3)
			if got[before.GetId()][0].GetReceipt() == nil || got[after.GetId()][0].GetReceipt() == nil {
				t.Errorf("the envelopes around it became %v", got)
			}
			accepted += 2
			reason := got[bad.GetId()][0].GetRefusal().GetReason()
			if reason != c.reason {
				t.Errorf("in a stream it is refused as %q; want %q", reason, c.reason)
			}
		})
	}
	pulled, err := h.node("G22/cong").Pull(t.Context(), &exchangev1.PullRequest{Max: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if len(pulled.GetDeliveries()) != accepted {
		t.Errorf("%d deliveries for %d accepted packets", len(pulled.GetDeliveries()), accepted)
	}
}

func TestFindingsOfAnInvalidPacket(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	env := envelope("1", "0001")
	for _, required := range []string{"<DocumentId>1</DocumentId>", "<UserPosition>Chuyên viên</UserPosition>"} {
		env.Content = bytes.Replace(env.Content, []byte(required), nil, 1)
	}
	_, err := h.node("H41/motcua").Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: env})
	told := wantRefused(t, err, codes.InvalidArgument, "packet_invalid")
	if len(told.Findings) < 2 {
		t.Errorf("findings are %v; want all violations at once", told.Findings)
	}
}

func TestOnlyNodesExchange(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	own, err := h.authority.IssueAdmin("lan", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.dial(own).Submit(t.Context(), &exchangev1.SubmitRequest{Envelope: envelope("1", "0001")})
	wantRefused(t, err, codes.Unauthenticated, "not_a_node")
}

// faulty is a codec with a flaw that only some packets meet.
type faulty struct{ *packet.Codec }

// Decode implements exchange.Codec.
func (f faulty) Decode(typ packetv1.PacketType, format exchangev1.Format, content []byte) (*packet.Packet, error) {
	decoded, err := f.Codec.Decode(typ, format, content)
	switch {
	case bytes.Contains(content, []byte("panics")):
		panic("index out of range")
	case bytes.Contains(content, []byte("half a letter")):
		decoded.Warnings = append(decoded.Warnings, &packetv1.Finding{Sent: "\xe1\xba"})
	}
	return decoded, err
}

// A packet that brings out a flaw of the hub fails alone: not with its stream,
// not with the group that it would have been committed in, not with the hub.
func TestAFlawHurtsOnePacketOnly(t *testing.T) {
	t.Parallel()
	for _, flaw := range []string{"panics", "half a letter"} {
		h := start(t, options{codec: faulty{newCodec(t)}})
		bad := envelope("bad", "0001")
		bad.Content = progress("0001", flaw)
		stream := submitStream(t, h.node("H41/motcua"))
		frame := []*exchangev1.Envelope{envelope("before", "0001"), bad, envelope("after", "0001")}
		if err := stream.Send(&exchangev1.SubmitStreamRequest{Envelopes: frame}); err != nil {
			t.Fatal(err)
		}
		got := results(t, stream, 3)
		if got["before"][0].GetReceipt() == nil || got["after"][0].GetReceipt() == nil {
			t.Errorf("%s: the packets around it became %v", flaw, got)
		}
		told := got["bad"][0].GetRefusal()
		if told.GetReason() != "internal" || strings.Contains(told.GetMessageEn(), "index") {
			t.Errorf("%s: refused with %v; want an internal failure without its detail", flaw, told)
		}
	}
}

// A service that is told whose packets to read strictly has to be told how.
func TestStrictReadingNeedsAReader(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	signer, err := ledger.Open(t.TempDir(), "hub.test")
	if err != nil {
		t.Fatal(err)
	}
	validator, err := protovalidate.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, strict := range []exchange.Reader{newCodec(t), nil} {
		for _, wholeHub := range []bool{false, true} {
			cfg := exchange.Config{
				Store: h.store, DeadLetters: h.store, Rights: h.rights, SpeaksFor: registry.SpeaksFor, Codec: newCodec(t), Ledger: signer, Caller: rpc.NodeFrom,
				Validator: validator, Clock: time.Now, Logger: slog.New(slog.DiscardHandler), Strict: strict, StrictHub: wholeHub,
			}
			if !wholeHub {
				cfg.ReadStrictly = func(string) bool { return true }
			}
			if _, err := exchange.New(cfg); (err != nil) != (strict == nil) {
				t.Errorf("with strict reader %v, for the whole hub %v: %v", strict != nil, wholeHub, err)
			}
		}
	}
}
