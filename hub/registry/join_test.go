package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/registry"
	"github.com/lienthong/lienthong/hub/store"
)

func TestJoinMakesANodeActiveWithItsCertificate(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	token := h.create("H41/motcua", oneStop)
	key, request := keyAndRequest(t)
	answer, err := h.Join(t.Context(), joinWith(token, request))
	if err != nil {
		t.Fatal(err)
	}
	id := h.identity(key, answer)
	node := h.node("H41/motcua")
	if id.String() != "H41/motcua" || answer.GetLedgerKey() != "hub+key" || len(answer.GetRoots()) != 1 ||
		node.GetState() != active || node.GetCertificateSerial() != id.Serial || !node.GetCertificateExpiresAt().AsTime().Equal(id.NotAfter) {
		t.Errorf("joined as %+v; the node is %v", id, node)
	}
	if err := h.Authenticate(id); err != nil {
		t.Errorf("the node is not welcome with its new certificate: %v", err)
	}
}

// The words of the refusal are the same whatever is wrong with a token, so that
// guessing teaches nothing.
func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	_, request := keyAndRequest(t)
	used := h.create("H41/used", oneStop)
	h.join(used)
	gone := h.create("H41/gone", oneStop)
	if err := h.setState("H41/gone", revoked); err != nil {
		t.Fatal(err)
	}
	usedAndGone := h.create("H41/used-and-gone", oneStop)
	goneKey, goneRequest := keyAndRequest(t)
	if _, err := h.Join(t.Context(), joinWith(usedAndGone, goneRequest)); err != nil {
		t.Fatal(goneKey, err)
	}
	if err := h.setState("H41/used-and-gone", revoked); err != nil {
		t.Fatal(err)
	}
	expired := h.create("H41/expired", oneStop)
	h.clock.advance(72 * time.Hour)
	good := h.create("H41/good", oneStop)
	other := h.create("H41/other", oneStop)
	wrongSecret := slices.Clone(good.GetSecret())
	wrongSecret[31] ^= 1

	text := ""
	for name, req := range map[string]*enrolmentv1.JoinRequest{
		"wrong secret":              {Node: "H41/good", Secret: wrongSecret, CertificateRequest: request},
		"no secret":                 {Node: "H41/good", CertificateRequest: request},
		"half a secret":             {Node: "H41/good", Secret: good.GetSecret()[:16], CertificateRequest: request},
		"token of another node":     {Node: "H41/good", Secret: other.GetSecret(), CertificateRequest: request},
		"node that is not there":    {Node: "H41/nowhere", Secret: good.GetSecret(), CertificateRequest: request},
		"what is no node":           {Node: "nowhere", Secret: good.GetSecret(), CertificateRequest: request},
		"what is no name":           {Node: "H41/../good", Secret: good.GetSecret(), CertificateRequest: request},
		"expired":                   joinWith(expired, request),
		"used by another key":       joinWith(used, request),
		"revoked before it joined":  joinWith(gone, request),
		"revoked after, same key":   joinWith(usedAndGone, goneRequest),
		"wrong, and a bad request":  {Node: "H41/good", Secret: wrongSecret, CertificateRequest: []byte("x")},
		"no secret and no such one": {Node: "H41/nowhere", CertificateRequest: request},
	} {
		_, err := h.Join(t.Context(), req)
		got := wantRefusal(t, err, codes.Unauthenticated, "token_refused")
		if text == "" {
			text = got.EN + got.VI
		}
		if got.EN+got.VI != text || len(got.Findings) > 0 {
			t.Errorf("%s is refused in other words: %s", name, got.EN)
		}
	}
	if h.node("H41/good").GetState() != pending {
		t.Fatal("a refused join changed the node")
	}
	h.join(good)
}

func TestJoinRefusesABadRequestAndKeepsTheToken(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	token := h.create("H41/motcua", oneStop)
	for _, request := range [][]byte{nil, []byte("not a request"), make([]byte, 20<<10)} {
		_, err := h.Join(t.Context(), joinWith(token, request))
		wantRefusal(t, err, codes.InvalidArgument, "certificate_request_invalid")
	}
	h.join(token)
}

// The answer to a join can be lost at any time: the same key gets the same
// certificate, before and after a restart, and no other key gets one.
func TestAnInterruptedJoinCanBeRepeated(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	token := h.create("H41/motcua", oneStop)
	key, request := keyAndRequest(t)
	first, err := h.Join(t.Context(), joinWith(token, request))
	if err != nil {
		t.Fatal(err)
	}
	serial := h.node("H41/motcua").GetCertificateSerial()
	for range 2 {
		h.reopen()
		again, err := h.Join(t.Context(), joinWith(token, request))
		if err != nil {
			t.Fatalf("the same key may not repeat its join: %v", err)
		}
		if !proto.Equal(again, first) || h.identity(key, again).Serial != serial || h.node("H41/motcua").GetCertificateSerial() != serial {
			t.Error("the same key got another certificate")
		}
		_, other := keyAndRequest(t)
		_, err = h.Join(t.Context(), joinWith(token, other))
		wantRefusal(t, err, codes.Unauthenticated, "token_refused")
	}
	h.clock.advance(72 * time.Hour)
	_, err = h.Join(t.Context(), joinWith(token, request))
	wantRefusal(t, err, codes.Unauthenticated, "token_refused")
}

// failing is a store whose writes fail before or after they are done.
type failing struct {
	registry.Store
	before, after bool
}

func (f *failing) SaveItems(ctx context.Context, items []store.Item) error {
	if f.before {
		return errors.New("disk is full")
	}
	err := f.Store.SaveItems(ctx, items)
	if f.after {
		return errors.New("answer of the disk was lost")
	}
	return err
}

// A write that failed shows no one anything; what it left is found out before the
// next one.
func TestAFailedWriteIsNotSeen(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	kept := &failing{Store: h.store}
	h.Registry = h.on(kept)
	token := h.create("H41/motcua", oneStop)
	_, request := keyAndRequest(t)

	kept.before = true
	if _, err := h.Join(t.Context(), joinWith(token, request)); err == nil || fault.From(err).Code != codes.Internal {
		t.Fatalf("a join that was not written is answered with %v", err)
	}
	if h.node("H41/motcua").GetState() != pending {
		t.Error("a node is active that the store does not know as such")
	}
	kept.before, kept.after = false, true
	if _, err := h.Join(t.Context(), joinWith(token, request)); err == nil {
		t.Fatal("a join whose write may have failed is answered")
	}
	if h.node("H41/motcua").GetState() != pending {
		t.Error("what may not be durable is shown")
	}
	kept.after = false
	answer, err := h.Join(t.Context(), joinWith(token, request))
	if err != nil {
		t.Fatalf("the join cannot be repeated: %v", err)
	}
	if len(answer.GetCertificateChain()) == 0 || h.node("H41/motcua").GetState() != active {
		t.Errorf("the repeated join left %v", h.node("H41/motcua"))
	}
	_, other := keyAndRequest(t)
	_, err = h.Join(t.Context(), joinWith(token, other))
	wantRefusal(t, err, codes.Unauthenticated, "token_refused")
}

// A revocation whose write may have failed is final if it did not.
func TestWhatAFailedWriteLeftIsFoundOut(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	kept := &failing{Store: h.store}
	h.Registry = h.on(kept)
	h.join(h.create("G22/portal", portal))
	kept.after = true
	if err := h.setState("G22/portal", revoked); err == nil {
		t.Fatal("a revocation whose write may have failed is confirmed")
	}
	kept.after = false
	wantRefusal(t, h.setState("G22/portal", suspended), codes.FailedPrecondition, "node_state")
	if got := h.node("G22/portal").GetState(); got != revoked {
		t.Errorf("the store says REVOKED; the registry says %s", got)
	}
}

// A node that is revoked while it joins has not joined.
func TestARevocationBeatsAJoinThatHasBegun(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	token := h.create("H41/motcua", oneStop)
	_, request := keyAndRequest(t)
	h.clock.once = func() {
		if err := h.setState("H41/motcua", revoked); err != nil {
			t.Error(err)
		}
	}
	_, err := h.Join(t.Context(), joinWith(token, request))
	wantRefusal(t, err, codes.Unauthenticated, "token_refused")
	if got := h.node("H41/motcua").GetState(); got != revoked {
		t.Errorf("the node is %s; want REVOKED", got)
	}
}

func TestADamagedRegistryIsNotOpened(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	if err := h.store.SaveItems(t.Context(), []store.Item{{Kind: "node", Key: "H41/motcua", Value: []byte{0xff}}}); err != nil {
		t.Fatal(err)
	}
	_, err := registry.Open(t.Context(), registry.Config{Store: h.store, Issuer: h.authority, Address: "hub.test:8443"})
	if !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("opened with %v; want store.ErrCorrupt", err)
	}
}

func TestOpenNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for name, cfg := range map[string]registry.Config{
		"store":    {Issuer: h.authority, Address: "hub.test:8443"},
		"issuer":   {Store: h.store, Address: "hub.test:8443"},
		"address":  {Store: h.store, Issuer: h.authority},
		"validity": {Store: h.store, Issuer: h.authority, Address: "hub.test:8443", TokenValidity: -1},
	} {
		if _, err := registry.Open(t.Context(), cfg); err == nil {
			t.Errorf("opened without a usable %s", name)
		}
	}
}

func TestEverythingIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.join(h.create("G22/portal", portal))
	waiting := h.create("H41/motcua", oneStop)
	h.join(h.create("H42/motcua", oneStop))
	if err := h.setState("H42/motcua", suspended); err != nil {
		t.Fatal(err)
	}
	if _, err := h.PutOrganisations(t.Context(), put("H41.04", "Sở Tư pháp")); err != nil {
		t.Fatal(err)
	}
	h.grant("H41", "G22/portal", h.clock.Now().Add(time.Hour), dossier)
	everything := func() string {
		organisations, err1 := h.ListOrganisations(t.Context(), nil)
		nodes, err2 := h.ListNodes(t.Context(), nil)
		rights, err3 := h.ListRights(t.Context(), nil)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, m := range []proto.Message{organisations, nodes, rights} {
			content, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(content))
		}
		return fmt.Sprintf("%q", all)
	}
	before := everything()
	h.reopen()
	if after := everything(); after != before {
		t.Errorf("before a restart:\n%s\nafter it:\n%s", before, after)
	}
	if err := h.Authenticate(id); err != nil {
		t.Errorf("after a restart a node is refused: %v", err)
	}
	if got := h.receivers("H41.04", dossier); got != "G22/portal" {
		t.Errorf("after a restart dossiers go to %q", got)
	}
	h.join(waiting)
}

// One token, many keys at once: one of them gets the certificate.
func TestATokenIsUsedOnceHoweverManyTry(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	token := h.create("H41/motcua", oneStop)
	requests := make([][]byte, 16)
	for i := range requests {
		_, requests[i] = keyAndRequest(t)
	}
	errs := make([]error, len(requests))
	var all sync.WaitGroup
	for i := range requests {
		all.Go(func() { _, errs[i] = h.Join(t.Context(), joinWith(token, requests[i])) })
	}
	all.Wait()
	joined := 0
	for _, err := range errs {
		if err == nil {
			joined++
			continue
		}
		wantRefusal(t, err, codes.Unauthenticated, "token_refused")
	}
	if joined != 1 {
		t.Errorf("%d keys got a certificate for one token; want 1", joined)
	}
}

// Writers do not lose each other's changes, and readers see each change whole.
func TestChangesAtTheSameTime(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ctx := t.Context()
	const writers, each = 4, 10
	from := organisation(t, "H41")
	done := make(chan struct{})
	var readers, all sync.WaitGroup
	readers.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if got := h.Receivers(from, dossier, h.clock.Now()); !slices.IsSorted(got) {
				t.Errorf("receivers %q are not sorted", got)
				return
			}
			if _, err := h.ListNodes(ctx, nil); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for w := range writers {
		all.Go(func() {
			for i := range each {
				id := fmt.Sprintf("H41/w%d-%d", w, i)
				_, err1 := h.CreateNode(ctx, &registryv1.CreateNodeRequest{Id: id, Kind: portal})
				_, err2 := h.GrantRight(ctx, &registryv1.GrantRightRequest{Right: &registryv1.Right{
					Sender: "H41", Receiver: id, Types: []packetv1.PacketType{dossier},
				}})
				if err := errors.Join(err1, err2); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	close(done)
	readers.Wait()
	if got := h.Receivers(from, dossier, h.clock.Now()); len(got) != writers*each {
		t.Errorf("%d nodes receive; want %d", len(got), writers*each)
	}
	h.reopen()
	if got := h.Receivers(from, dossier, h.clock.Now()); len(got) != writers*each {
		t.Errorf("after a restart %d nodes receive; want %d", len(got), writers*each)
	}
}
