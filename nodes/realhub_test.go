package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	enterprisev1 "github.com/lienthong/lienthong/gen/lienthong/enterprise/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
)

// wire is the network between nodes and a hub: one address that leads to whatever
// hub there is, and can be cut.
type wire struct {
	*breakable
	running sync.WaitGroup

	mu     sync.Mutex
	target string
	near   func(net.Conn) net.Conn // nil: a node's end is used as it is
}

func startWire(t testing.TB) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	w := &wire{breakable: &breakable{Listener: listener}}
	w.running.Go(func() {
		for {
			conn, err := w.Accept()
			if err != nil {
				return
			}
			w.running.Go(func() { w.carry(t.Context(), conn) })
		}
	})
	t.Cleanup(func() {
		_ = w.Close()
		w.cut()
		w.running.Wait()
	})
	return w
}

func (w *wire) lead(target string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = target
}

// watch puts something around the nodes' ends of connections to come.
func (w *wire) watch(around func(net.Conn) net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.near = around
}

// carry copies both ways until one end closes.
func (w *wire) carry(ctx context.Context, near net.Conn) {
	defer near.Close() //nolint:errcheck // both ends are given up
	w.mu.Lock()
	target, watched := w.target, w.near
	w.mu.Unlock()
	far, err := (&net.Dialer{}).DialContext(ctx, "tcp", target)
	if err != nil {
		return
	}
	defer far.Close() //nolint:errcheck // both ends are given up
	to := near
	if watched != nil {
		to = watched(near)
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(to, far)
		_ = near.Close()
	})
	_, _ = io.Copy(far, near)
	_ = far.Close()
	back.Wait()
}

func join(t testing.TB, token, address string) *nodes.Client {
	t.Helper()
	profile := filepath.Join(t.TempDir(), "profile")
	if _, err := nodes.Join(t.Context(), token, profile, nodes.JoinOptions{Address: address}); err != nil {
		t.Fatalf("join: %v", err)
	}
	c, err := nodes.DialProfile(profile, nodes.Config{Backoff: nodes.Backoff{Min: time.Millisecond, Max: 20 * time.Millisecond}})
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// step is the n-th step of a dossier.
func step(t testing.TB, dossier string, n int) *exchangev1.Envelope {
	t.Helper()
	content := marshal(t, &packetv1.MDocumentTraces{
		DocumentId: "1", DocCode: dossier, UserName: "Cán bộ", UserPosition: "Chuyên viên",
		DateCreated: timestamppb.New(time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)), Comment: proto.String(fmt.Sprint(n)), Status: proto.Int32(4),
		OrganizationInchargeIdLevel1: "H41", OrganizationInchargeName: "Tỉnh Nghệ An",
	})
	return &exchangev1.Envelope{Type: packetv1.PacketType_PACKET_TYPE_PROGRESS, Format: exchangev1.Format_FORMAT_PROTOBUF, Content: content}
}

// received keeps the steps of each dossier in the order they were handled.
type received struct {
	mu    sync.Mutex
	steps map[string][]string
	count int
	want  int
	all   chan struct{} // closed when as many as wanted have come
}

func (r *received) handle(_ context.Context, d *exchangev1.Delivery) error {
	traces := &packetv1.MDocumentTraces{}
	if err := proto.Unmarshal(d.GetPacket().GetEnvelope().GetContent(), traces); err != nil {
		return fmt.Errorf("content: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps[traces.GetDocCode()] = append(r.steps[traces.GetDocCode()], traces.GetComment())
	if r.count++; r.count == r.want {
		close(r.all)
	}
	return nil
}

const dossiers, steps = 8, 40

// What is sent and received while connections are cut and the hub is restarted
// arrives once, in order, each with its proof.
func TestCutsAndARestartOfTheHubLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	w := startWire(t)
	first := hubtest.Start(t)
	w.lead(first.GRPCAddress())
	province := join(t, first.AddNode("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP), w.Addr().String())
	portal := join(t, first.AddNode("G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL), w.Addr().String())
	first.Grant("H41", "G22/portal")

	in := &received{steps: map[string][]string{}, want: dossiers * steps, all: make(chan struct{})}
	stop := receiving(t, portal, in.handle, nodes.ReceiveOptions{Credit: 50})
	got := &results{}
	s, err := province.OpenSubmitter(t.Context(), nodes.SubmitterOptions{OnResult: got.add, WindowEnvelopes: 100})
	if err != nil {
		t.Fatal(err)
	}
	sendWhileCutting(t, s, w, first)
	if err := s.CloseAndWait(t.Context()); err != nil {
		t.Fatalf("close: %v", err)
	}
	wantAllAccepted(t, got, dossiers*steps)
	select {
	case <-in.all:
	case <-time.After(time.Minute):
		t.Fatalf("the portal has not received %d deliveries", in.want)
	}
	if err := stop(); err != nil {
		t.Errorf("receive: %v", err)
	}
	left, err := portal.Pull(t.Context(), &exchangev1.PullRequest{Max: 1})
	if err != nil || len(left.GetDeliveries()) > 0 {
		t.Errorf("left in the inbox: %v, %v; want nothing", left, err)
	}
	in.wantOnceInOrder(t)
}

// sendWhileCutting sends the steps of all dossiers, cuts the connections now and
// then, and replaces the hub half-way by another one on the same data.
func sendWhileCutting(t *testing.T, s *nodes.Submitter, w *wire, first *hubtest.Hub) {
	t.Helper()
	for n := range steps {
		for dossier := range dossiers {
			send(t, s, step(t, fmt.Sprintf("H41-261102-%04d", dossier), n))
		}
		switch {
		case n == steps/2:
			first.Stop()
			second := hubtest.Start(t, func(c *hub.Config) { c.DataDir = first.DataDir })
			w.lead(second.GRPCAddress())
		case n%5 == 0:
			w.cut()
		}
	}
}

func (r *received) wantOnceInOrder(t *testing.T) {
	t.Helper()
	want := make([]string, steps)
	for n := range want {
		want[n] = fmt.Sprint(n)
	}
	for dossier, came := range r.steps {
		if !slices.Equal(came, want) {
			t.Errorf("the steps of %s came as %v; want 0 to %d", dossier, came, steps-1)
		}
	}
}

func wantAllAccepted(t *testing.T, got *results, want int) {
	t.Helper()
	if len(got.all) != want {
		t.Errorf("%d envelopes have results; %d were sent", len(got.all), want)
	}
	sequences := map[uint64]bool{}
	for id, all := range got.all {
		if len(all) != 1 || all[0].Err != nil {
			t.Fatalf("%s has results %v; want one, accepted", id, all)
		}
		sequences[all[0].Accepted.Statement.GetSequence()] = true
	}
	if len(sequences) != want {
		t.Errorf("%d sequences for %d envelopes", len(sequences), want)
	}
}

func TestASuspendedNodeStopsReceiving(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	portal := join(t, h.AddNode("G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL), "")
	province := join(t, h.AddNode("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP), "")
	h.Grant("H41", "G22/portal")
	if _, err := province.Submit(t.Context(), step(t, "H41-261102-0001", 1)); err != nil {
		t.Fatalf("submit: %v", err)
	}
	err := portal.Receive(t.Context(), func(context.Context, *exchangev1.Delivery) error {
		h.SetState("G22/portal", registryv1.NodeState_NODE_STATE_SUSPENDED)
		return nil
	}, nodes.ReceiveOptions{})
	var refused *nodes.Refused
	if !errors.As(err, &refused) || refused.Reason() != "node_not_active" {
		t.Errorf("receive: %v; want node_not_active", err)
	}
}

func TestQuestionsGoThroughARealHub(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	register := join(t, h.AddNode("G05/dkkd", registryv1.NodeKind_NODE_KIND_DATABASE), "")
	province := join(t, h.AddNode("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP), "")
	h.GrantService("H41", "G05/dkkd", lookUp)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- register.Serve(ctx, func(r grpc.ServiceRegistrar) {
			enterprisev1.RegisterEnterpriseServiceServer(r, enterprises{lookUp: lookUpOne})
		})
	}()
	ask := enterprisev1.NewEnterpriseServiceClient(province.Via("G05/dkkd"))
	resp, err := ask.LookUpEnterprise(t.Context(), &enterprisev1.LookUpEnterpriseRequest{Code: "2900000001"})
	for status.Code(err) == codes.Unavailable { // until the register is there
		resp, err = ask.LookUpEnterprise(t.Context(), &enterprisev1.LookUpEnterpriseRequest{Code: "2900000001"})
	}
	if err != nil || resp.GetEnterprise().GetName() != "asked by H41/motcua" {
		t.Errorf("look-up: %v, %v", resp, err)
	}
	if _, err := ask.LookUpEnterprise(t.Context(), &enterprisev1.LookUpEnterpriseRequest{Code: "2900000009"}); status.Code(err) != codes.NotFound {
		t.Errorf("look-up of an unknown code: %v; want NOT_FOUND", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func lookUpOne(ctx context.Context, req *enterprisev1.LookUpEnterpriseRequest) (*enterprisev1.LookUpEnterpriseResponse, error) {
	if req.GetCode() != "2900000001" {
		return nil, status.Error(codes.NotFound, "no such enterprise")
	}
	asker, _ := nodes.AskerFrom(ctx)
	return &enterprisev1.LookUpEnterpriseResponse{Enterprise: &enterprisev1.Enterprise{Code: req.GetCode(), Name: "asked by " + asker.Node}}, nil
}
