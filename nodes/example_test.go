package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	enterprisev1 "github.com/lienthong/lienthong/gen/lienthong/enterprise/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
	"github.com/lienthong/lienthong/nodes/receipt"
	"github.com/lienthong/lienthong/packet/samples"
)

// A province's one-stop system joins a hub, submits a dossier and gets the proof
// that it was accepted.
func Example() {
	at := startExample()
	defer at.end()
	ctx := at.Context()

	// Once per node: trade the token from the administrator for a certificate. The
	// private key is made in the profile directory and stays there.
	profile := filepath.Join(at.TempDir(), "profile")
	joined, err := nodes.Join(ctx, at.hub.AddNode("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP), profile, nodes.JoinOptions{})
	if err != nil {
		log.Println(err)
		return
	}
	fmt.Println("joined as", joined.Node)

	province, err := nodes.DialProfile(profile, nodes.Config{})
	if err != nil {
		log.Println(err)
		return
	}
	defer province.Close() //nolint:errcheck // the example ends

	// Submit returns when the dossier is on stable storage, with a proof that has
	// been verified.
	dossier := samples.Good()[0]
	accepted, err := province.Submit(ctx, &exchangev1.Envelope{
		Id: "2026-11-02-0001", Type: dossier.Type, Format: dossier.Format, Content: dossier.Content,
	})
	if err != nil {
		log.Println(err)
		return
	}
	fmt.Println("accepted as", accepted.Statement.GetSequence(), "for", accepted.Statement.GetRecipients())

	// The proof convinces anybody who has the hub's ledger key, without the hub.
	_, err = receipt.Verify(accepted.Receipt, joined.Hub.LedgerKey)
	fmt.Println("proven:", err == nil)

	// Output:
	// joined as H41/motcua
	// accepted as 1 for [G22/portal]
	// proven: true
}

// The portal receives until its context ends. A delivery is acknowledged when the
// handler has returned nil; an error would end Receive and leave it in the inbox.
func ExampleClient_Receive() {
	at := startExample()
	defer at.end()
	province, portal := at.join("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP), at.portal
	for _, sample := range samples.Good()[:2] {
		env := &exchangev1.Envelope{Type: sample.Type, Format: sample.Format, Content: sample.Content}
		if _, err := province.Submit(at.Context(), env); err != nil {
			log.Println(err)
			return
		}
	}

	ctx, enough := context.WithCancel(at.Context())
	defer enough()
	err := portal.Receive(ctx, func(_ context.Context, d *exchangev1.Delivery) error {
		fmt.Println(d.GetPacket().GetSequence(), d.GetPacket().GetSender(), d.GetPacket().GetEnvelope().GetType())
		if d.GetPacket().GetSequence() == 2 {
			enough()
		}
		return nil
	}, nodes.ReceiveOptions{})
	fmt.Println("ended:", err)

	// Output:
	// 1 H41/motcua PACKET_TYPE_DOSSIER
	// 2 H41/motcua PACKET_TYPE_PROGRESS
	// ended: <nil>
}

// A handler that cannot handle a delivery says so and goes on. Where trying again
// would not help, the delivery becomes a dead letter, and its sender sees why.
func ExampleRejection() {
	at := startExample()
	defer at.end()
	province, portal := at.join("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP), at.portal
	for _, sample := range samples.Good()[:2] {
		env := &exchangev1.Envelope{Type: sample.Type, Format: sample.Format, Content: sample.Content}
		if _, err := province.Submit(at.Context(), env); err != nil {
			log.Println(err)
			return
		}
	}

	ctx, enough := context.WithCancel(at.Context())
	defer enough()
	err := portal.Receive(ctx, func(_ context.Context, d *exchangev1.Delivery) error {
		if d.GetPacket().GetEnvelope().GetType() == packetv1.PacketType_PACKET_TYPE_DOSSIER {
			return &nodes.Rejection{Reason: "an attachment cannot be opened", Final: true}
		}
		fmt.Println("handled:", d.GetPacket().GetSequence())
		enough()
		return nil
	}, nodes.ReceiveOptions{})
	fmt.Println("ended:", err)

	status, err := province.DeliveryStatus(at.Context(), 1)
	if err != nil {
		log.Println(err)
		return
	}
	fmt.Println(status[0].GetRecipient(), status[0].GetState(), status[0].GetReason())

	// Once that is mended, the portal takes it again.
	settled, err := portal.Redeliver(at.Context(), 1)
	fmt.Println("again:", settled.GetRedelivered(), err)

	// Output:
	// handled: 2
	// ended: <nil>
	// G22/portal STATE_DEAD an attachment cannot be opened
	// again: [1] <nil>
}

// A Submitter keeps many envelopes on their way. Each gets one result; what the
// hub refuses, it explains.
func ExampleClient_OpenSubmitter() {
	at := startExample()
	defer at.end()
	province := at.join("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)

	results := map[string]nodes.Result{}
	submitter, err := province.OpenSubmitter(at.Context(), nodes.SubmitterOptions{
		OnResult: func(r nodes.Result) { results[r.Envelope.GetId()] = r },
	})
	if err != nil {
		log.Println(err)
		return
	}
	dossier := samples.Good()[0]
	for id, content := range map[string][]byte{"good": dossier.Content, "bad": []byte("<MSyncDocument/>")} {
		if err := submitter.Send(at.Context(), &exchangev1.Envelope{Id: id, Type: dossier.Type, Format: dossier.Format, Content: content}); err != nil {
			log.Println(err)
		}
	}
	if err := submitter.CloseAndWait(at.Context()); err != nil {
		log.Println(err)
		return
	}
	fmt.Println("good:", results["good"].Err)
	var refused *nodes.Refused
	if errors.As(results["bad"].Err, &refused) {
		fmt.Println("bad:", refused.Reason(), "with findings:", len(refused.Refusal.GetFindings()) > 0)
	}

	// Output:
	// good: <nil>
	// bad: packet_invalid with findings: true
}

// register is a database: an ordinary gRPC service.
type register struct {
	enterprisev1.UnimplementedEnterpriseServiceServer
}

// LookUpEnterprise implements EnterpriseService.
func (register) LookUpEnterprise(ctx context.Context, req *enterprisev1.LookUpEnterpriseRequest) (*enterprisev1.LookUpEnterpriseResponse, error) {
	asker, _ := nodes.AskerFrom(ctx)
	fmt.Println(asker.Node, "asks for", req.GetCode())
	if req.GetCode() != "2900000001" {
		return nil, status.Error(codes.NotFound, "no such enterprise")
	}
	return &enterprisev1.LookUpEnterpriseResponse{Enterprise: &enterprisev1.Enterprise{Name: "Công ty TNHH Minh Họa"}}, nil
}

// A database answers questions; whoever has a right asks through a generated
// client.
func ExampleClient_Serve() {
	at := startExample()
	defer at.end()
	database := at.join("G05/dkkd", registryv1.NodeKind_NODE_KIND_DATABASE)
	province := at.join("H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	at.hub.GrantService("H41", "G05/dkkd", "lienthong.enterprise.v1.EnterpriseService/LookUpEnterprise")

	ctx, stop := context.WithCancel(at.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- database.Serve(ctx, func(r grpc.ServiceRegistrar) {
			enterprisev1.RegisterEnterpriseServiceServer(r, register{})
		})
	}()

	enterprises := enterprisev1.NewEnterpriseServiceClient(province.Via("G05/dkkd"))
	for _, code := range []string{"2900000001", "2900000009"} {
		resp, err := enterprises.LookUpEnterprise(ctx, &enterprisev1.LookUpEnterpriseRequest{Code: code})
		for status.Code(err) == codes.Unavailable { // the database is still connecting
			resp, err = enterprises.LookUpEnterprise(ctx, &enterprisev1.LookUpEnterpriseRequest{Code: code})
		}
		fmt.Println(resp.GetEnterprise().GetName(), status.Code(err))
	}
	stop()
	fmt.Println("ended:", <-ended)

	// Output:
	// H41/motcua asks for 2900000001
	// Công ty TNHH Minh Họa OK
	// H41/motcua asks for 2900000009
	//  NotFound
	// ended: <nil>
}

// example is a hub with a portal that holds a right to the packets of H41. It
// lends examples what tests have.
type example struct {
	testing.TB // for hubtest; what it calls is below
	dir        string
	hub        *hubtest.Hub
	portal     *nodes.Client
	cleanups   []func()
}

func startExample() *example {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	at := &example{dir: dir}
	at.hub = hubtest.Start(at)
	at.portal = at.join("G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	at.hub.Grant("H41", "G22/portal", packetv1.PacketType_PACKET_TYPE_DOSSIER, packetv1.PacketType_PACKET_TYPE_PROGRESS)
	return at
}

// join returns a node that has joined.
func (at *example) join(id string, kind registryv1.NodeKind) *nodes.Client {
	profile := at.TempDir()
	if _, err := nodes.Join(at.Context(), at.hub.AddNode(id, kind), profile, nodes.JoinOptions{}); err != nil {
		log.Fatal(err)
	}
	client, err := nodes.DialProfile(profile, nodes.Config{})
	if err != nil {
		log.Fatal(err)
	}
	at.Cleanup(func() {
		if err := client.Close(); err != nil {
			log.Print(err)
		}
	})
	return client
}

func (at *example) end() {
	for _, cleanup := range slices.Backward(at.cleanups) {
		cleanup()
	}
	if err := os.RemoveAll(at.dir); err != nil {
		log.Print(err)
	}
}

func (at *example) Helper()                           {}
func (at *example) Context() context.Context          { return context.Background() }
func (at *example) Cleanup(f func())                  { at.cleanups = append(at.cleanups, f) }
func (at *example) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }
func (at *example) Errorf(format string, args ...any) { log.Printf(format, args...) }

func (at *example) TempDir() string {
	dir, err := os.MkdirTemp(at.dir, "")
	if err != nil {
		log.Fatal(err)
	}
	return dir
}
