package hub_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	viewv1 "github.com/lienthong/lienthong/gen/lienthong/view/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/packet"
)

const (
	survey     = packetv1.PacketType_PACKET_TYPE_SURVEY
	formatXML  = exchangev1.Format_FORMAT_XML
	formatJSON = exchangev1.Format_FORMAT_JSON
)

// looseXML can only be read by taking liberties: a date form, a percent that is
// none, an element that is not the standard's, another spelling of an element, a
// code in small letters.
const looseXML = `<?xml version="1.0" encoding="UTF-8"?>
<MVotes>
  <DateCreated>01/11/2026</DateCreated>
  <TotalVoted>3</TotalVoted>
  <PercentVeryGood>NaN</PercentVeryGood>
  <PercentGood>27.4</PercentGood>
  <PercentBad>4.4</PercentBad>
  <Rounds>1</Rounds>
  <OrganInchargeIdLevel1>h41</OrganInchargeIdLevel1>
  <OrganizationInchargeName>UBND tỉnh Nghệ An</OrganizationInchargeName>
</MVotes>
`

// looseJSON takes the same liberties.
const looseJSON = `{
  "DateCreated": "01/11/2026",
  "TotalVoted": 3,
  "PercentVeryGood": "NaN",
  "PercentGood": 27.4,
  "PercentBad": 4.4,
  "Rounds": 1,
  "OrganInchargeIdLevel1": "h41",
  "OrganizationInchargeName": "UBND tỉnh Nghệ An"
}
`

func loose(id string, format exchangev1.Format) *exchangev1.Envelope {
	content := looseXML
	if format == formatJSON {
		content = looseJSON
	}
	return &exchangev1.Envelope{Id: id, Type: survey, Format: format, Content: []byte(content)}
}

// liberties returns what reading a packet finds: warnings, or violations where it
// is read strictly.
func liberties(t *testing.T, env *exchangev1.Envelope, strict bool) []*packetv1.Finding {
	t.Helper()
	codec, err := packet.NewCodec(packet.Options{Strict: strict})
	if err != nil {
		t.Fatal(err)
	}
	read, err := codec.Decode(env.GetType(), env.GetFormat(), env.GetContent())
	var invalid *packet.InvalidError
	switch {
	case errors.As(err, &invalid) && strict:
		return invalid.Findings
	case err == nil && !strict:
		return read.Warnings
	}
	t.Fatalf("read with strict %v: %v", strict, err)
	return nil
}

// setStrict has an administrator change how a node's packets are read.
func setStrict(t *testing.T, h *hubtest.Hub, node string, strict bool) {
	t.Helper()
	answer, err := h.Admin.UpdateNode(t.Context(), &registryv1.UpdateNodeRequest{Id: node, Strict: &strict})
	if err != nil || answer.GetNode().GetStrict() != strict {
		t.Fatalf("set %s to strict %v: %v, %v", node, strict, answer, err)
	}
}

// Hub and node each can ask for strict reading; a node's own setting never makes
// the reading of a strict hub liberal.
func TestStrictReadingAtEveryDoor(t *testing.T) {
	t.Parallel()
	for _, hubIsStrict := range []bool{false, true} {
		t.Run(fmt.Sprintf("hub is strict %v", hubIsStrict), func(t *testing.T) {
			t.Parallel()
			h := hubtest.Start(t, func(c *hub.Config) { c.Strict = hubIsStrict })
			portal := join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
			h.Grant("H41", "G22/portal")
			accepted := 0
			for _, nodeIsStrict := range []bool{false, true} {
				sender := join(t, h, fmt.Sprintf("H41/strict-%v", nodeIsStrict), registryv1.NodeKind_NODE_KIND_ONE_STOP)
				setStrict(t, h, sender.Node(), nodeIsStrict)
				strictly := hubIsStrict || nodeIsStrict
				for i, door := range entrances() {
					t.Run(fmt.Sprintf("node is strict %v, %s", nodeIsStrict, door.name), func(t *testing.T) {
						env := loose(fmt.Sprintf("loose-%d", i), door.format)
						wantOutcome(t, door.send(t, h, sender, env), strictly, liberties(t, env, strictly))
						official := envelope(t, fmt.Sprintf("official-%d", i), "survey.xml")
						if door.format == formatXML {
							wantOutcome(t, door.send(t, h, sender, official), false, nil)
						}
					})
					if !strictly {
						accepted++
					}
					if door.format == formatXML {
						accepted++
					}
				}
			}
			wantWaiting(t, portal, accepted)
		})
	}
}

// A refusal says who asked for strict reading: the hub for all, or an administrator
// for one node.
func TestStrictRefusalsSayWhoIsStrict(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		hubIsStrict bool
		en, vi      string
	}{
		{true, "; this hub reads packets strictly", "; trục này đọc gói tin chặt chẽ"},
		{false, "; packets of this node are read strictly", "; gói tin của hệ thống này được đọc chặt chẽ"},
	} {
		h := hubtest.Start(t, func(c *hub.Config) { c.Strict = tc.hubIsStrict })
		sender := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
		join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
		h.Grant("H41", "G22/portal")
		setStrict(t, h, sender.Node(), true)
		_, err := sender.Submit(t.Context(), loose("a", formatXML))
		var refused *nodes.Refused
		if !errors.As(err, &refused) || !strings.HasSuffix(refused.Refusal.GetMessageEn(), tc.en) || !strings.HasSuffix(refused.Refusal.GetMessageVi(), tc.vi) {
			t.Errorf("hub is strict %v: %v; want %q and %q", tc.hubIsStrict, err, tc.en, tc.vi)
		}
		listed, err := h.Admin.ListNodes(t.Context(), &registryv1.ListNodesRequest{})
		if err != nil || listed.GetHubStrict() != tc.hubIsStrict {
			t.Errorf("the list says that the hub is strict %v, %v; want %v", listed.GetHubStrict(), err, tc.hubIsStrict)
		}
	}
}

// wantWaiting counts what waits for a node that has received nothing yet.
func wantWaiting(t *testing.T, m *member, count int) {
	t.Helper()
	waiting, err := m.Pull(t.Context(), &exchangev1.PullRequest{Max: 1000})
	if err != nil || len(waiting.GetDeliveries()) != count {
		t.Errorf("%d deliveries wait for %s, %v; want %d", len(waiting.GetDeliveries()), m.Node(), err, count)
	}
}

// wantOutcome checks that a packet was refused, or accepted, with these findings,
// each with its place and in both languages.
func wantOutcome(t *testing.T, got outcome, refused bool, want []*packetv1.Finding) {
	t.Helper()
	if got.refused != refused {
		t.Errorf("refused is %v; want %v: %v %s", got.refused, refused, got.findings, got.text)
	}
	if refused && got.text == "" && got.reason != "packet_invalid" {
		t.Errorf("refused as %q; want packet_invalid", got.reason)
	}
	for _, f := range want {
		if f.GetLine() == 0 || f.GetColumn() == 0 || f.GetMessageEn() == "" || f.GetMessageVi() == f.GetMessageEn() {
			t.Errorf("the finding %v lacks its place or a language", f)
		}
	}
	if got.text == "" {
		if diff := cmp.Diff(want, got.findings, protocmp.Transform()); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		return
	}
	lines := strings.Split(got.text, "\n")[1:]
	if len(lines) != len(want) {
		t.Fatalf("%d findings; want %d:\n%s", len(lines), len(want), got.text)
	}
	for i, f := range want {
		place := fmt.Sprintf("%s (%d:%d): ", f.GetField(), f.GetLine(), f.GetColumn())
		if !strings.HasPrefix(lines[i], place) || !strings.Contains(lines[i], f.GetMessageVi()) || !strings.Contains(lines[i], " / "+f.GetMessageEn()) {
			t.Errorf("finding %d is told as %q; want %q in both languages", i, lines[i], place)
		}
	}
}

// Every kind of liberty in the packet is one of its findings: else the tests here
// would show less than they say.
func TestTheLooseSurveyTakesEveryLibertyItIsFor(t *testing.T) {
	t.Parallel()
	for _, format := range []exchangev1.Format{formatXML, formatJSON} {
		for _, strict := range []bool{false, true} {
			fields := map[string]int{}
			for _, f := range liberties(t, loose("", format), strict) {
				fields[f.GetField()]++
			}
			want := map[string]int{"MVotes.DateCreated": 1, "MVotes.PercentVeryGood": 1, "MVotes.Rounds": 1, "MVotes.OrganizationInchargeIdLevel1": 2}
			if diff := cmp.Diff(want, fields); diff != "" {
				t.Errorf("%s, strict %v: findings by field (-want +got):\n%s", format, strict, diff)
			}
		}
	}
}

// Strictness counts from the next packet of streams that are open; what was
// accepted before is accepted still, under the same receipt, at every door.
func TestANodeBecomesStrictWhileItsStreamIsOpen(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	other := join(t, h, "H41/khac", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	portal := join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	stream, others := openStream(t, province), openStream(t, other)
	defer others.close()
	defer stream.close()
	before := stream.send(loose("before", formatXML))
	if before.Err != nil || len(before.Accepted.Statement.GetWarnings()) == 0 {
		t.Fatalf("before: %v, want it accepted with warnings", before.Err)
	}

	setStrict(t, h, "H41/motcua", true)
	var refused *nodes.Refused
	if got := stream.send(loose("strict", formatXML)); !errors.As(got.Err, &refused) || refused.Reason() != "packet_invalid" {
		t.Fatalf("the next packet of the open stream: %v, want it refused", got.Err)
	}
	if told := refused.Refusal; !strings.Contains(told.GetMessageEn(), "read strictly") || !strings.Contains(told.GetMessageVi(), "đọc chặt chẽ") {
		t.Errorf("the refusal does not say why: %q, %q", told.GetMessageEn(), told.GetMessageVi())
	}
	if got := stream.send(envelope(t, "official", "survey.xml")); got.Err != nil {
		t.Errorf("a packet without liberties: %v", got.Err)
	}
	if got := others.send(loose("others", formatXML)); got.Err != nil {
		t.Errorf("a packet of a node that is not strict: %v", got.Err)
	}
	wantTheSameAgain(t, h, province, stream, before.Accepted)
	changed := loose("before", formatXML)
	changed.Content = bytes.Replace(changed.GetContent(), []byte(">3<"), []byte(">4<"), 1)
	if got := stream.send(changed); !errors.As(got.Err, &refused) || refused.Reason() != "packet_invalid" {
		t.Errorf("other content under the id of an accepted packet: %v, want it refused", got.Err)
	}

	setStrict(t, h, "H41/motcua", false)
	if got := stream.send(loose("strict", formatXML)); got.Err != nil {
		t.Errorf("what was refused, when the node is strict no more: %v", got.Err)
	}
	wantWaiting(t, portal, 4)
}

// wantTheSameAgain submits the packet "before" again at every door that takes an
// id with XML.
func wantTheSameAgain(t *testing.T, h *hubtest.Hub, m *member, stream *liveStream, before *nodes.Accepted) {
	t.Helper()
	if got := stream.send(loose("before", formatXML)); got.Err != nil || !proto.Equal(got.Accepted.Receipt, before.Receipt) {
		t.Errorf("the same again by stream: %v, want the same receipt", got.Err)
	}
	if got, err := m.Submit(t.Context(), loose("before", formatXML)); err != nil || !proto.Equal(got.Receipt, before.Receipt) {
		t.Errorf("the same again by a call: %v, want the same receipt", err)
	}
	status, body := request(t, m, h.EdgeURL()+"/Vote/UpdateVote", "before", "application/xml", []byte(looseXML))
	if told := fmt.Sprintf("sequence %d,", before.Statement.GetSequence()); status != http.StatusOK || !strings.Contains(string(body), told) {
		t.Errorf("the same again at the official address: HTTP %d, %s", status, body)
	}
}

// What was accepted liberally stays whole after the node, and even the hub, has
// become strict: the receipt, the packet in every format, deliveries, and views
// that are built anew from the log.
func TestWhatWasAcceptedLiberallyStaysReadable(t *testing.T) {
	t.Parallel()
	for _, hubIsStrict := range []bool{false, true} {
		t.Run(fmt.Sprintf("hub becomes strict %v", hubIsStrict), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "hub")
			first := hubtest.Start(t, func(c *hub.Config) { c.DataDir = dir })
			province := join(t, first, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
			portal := join(t, first, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
			first.Grant("H41", "G22/portal")
			before, err := province.Submit(t.Context(), loose("before", formatXML))
			if err != nil {
				t.Fatal(err)
			}
			if !hubIsStrict {
				setStrict(t, first, "H41/motcua", true)
			}
			first.Stop()
			forgetViews(t, dir)

			second := hubtest.Start(t, func(c *hub.Config) { c.DataDir, c.Strict = dir, hubIsStrict })
			readdress(t, second, province, portal)
			province, portal = open(t, province.profile), open(t, portal.profile)
			var refused *nodes.Refused
			if _, err := province.Submit(t.Context(), loose("after", formatXML)); !errors.As(err, &refused) || refused.Reason() != "packet_invalid" {
				t.Fatalf("after the restart: %v, want it refused", err)
			}
			stream := openStream(t, province)
			wantTheSameAgain(t, second, province, stream, before)
			stream.close()
			wantReadable(t, second, portal)
		})
	}
}

// forgetViews makes the next hub on a data directory build its views anew.
func forgetViews(t *testing.T, dir string) {
	t.Helper()
	kept, err := pebblestore.Open(filepath.Join(dir, "store"), pebblestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = kept.ApplyView(t.Context(), 0, []store.Item{{Kind: "layout", Value: []byte("of another version")}})
	if err := errors.Join(err, kept.Close()); err != nil {
		t.Fatal(err)
	}
}

// wantReadable looks at the loose survey, sequence 1, wherever a recipient can.
func wantReadable(t *testing.T, h *hubtest.Hub, portal *member) {
	t.Helper()
	for format, want := range map[exchangev1.Format]string{
		exchangev1.Format_FORMAT_UNSPECIFIED: "<OrganInchargeIdLevel1>h41<", // the sender's own bytes
		formatXML:                            "<DateCreated>2026-11-01T00:00:00.000+07:00<",
		formatJSON:                           `"Rounds"`,
		exchangev1.Format_FORMAT_PROTOBUF:    "H41",
	} {
		got, err := portal.GetPacket(t.Context(), 1, format)
		if err != nil || !bytes.Contains(got.GetEnvelope().GetContent(), []byte(want)) {
			t.Errorf("as %s: %q, %v; want it to hold %q", format, got.GetEnvelope().GetContent(), err, want)
		}
	}
	for accept, want := range map[string]string{
		"application/xml": "<OrganizationInchargeIdLevel1>H41<", "application/json": `"OrganizationInchargeIdLevel1"`,
	} {
		if status, body := get(t, portal, h.EdgeURL()+"/v1/packets/1/content", accept); status != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("the content as %s: HTTP %d, %s", accept, status, body)
		}
	}
	status, body := get(t, portal, h.EdgeURL()+"/Delivery/Pull?max=10", "application/xml")
	if status != http.StatusOK || !strings.Contains(string(body), "<Rounds>1</Rounds>") || strings.Contains(string(body), "<Problem>") {
		t.Errorf("the delivery: HTTP %d, %s", status, body)
	}
	if err := h.WaitForViews(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	shown, err := viewv1.NewViewServiceClient(connect(t, h, portal.profile)).ListSurveys(t.Context(), &viewv1.ListSurveysRequest{Organisation: "H41"})
	if err != nil || len(shown.GetSurveys()) != 1 {
		t.Errorf("the views show %v, %v; want the survey", shown, err)
	}
}
