package hub_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lienthong/lienthong/certs"
	enrolmentv1 "github.com/lienthong/lienthong/gen/lienthong/enrolment/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/nodes"
)

// office registers nodes and lets them join over one connection of an
// administrator, with nothing of them on disk: thousands take seconds.
type office struct {
	hub       certs.Hub
	registry  registryv1.RegistryServiceClient
	enrolment enrolmentv1.EnrolmentServiceClient
}

// openOffice connects as the first administrator of the hub with this data directory.
func openOffice(b *testing.B, dataDir string) *office {
	b.Helper()
	at, source, err := certs.LoadProfile(filepath.Join(dataDir, hub.AdminDir), nil)
	if err != nil {
		b.Fatal(err)
	}
	conn, err := grpc.NewClient(at.Address, grpc.WithTransportCredentials(credentials.NewTLS(certs.ClientConfig(source, at.ServerName(), nil))))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return &office{hub: at, registry: registryv1.NewRegistryServiceClient(conn), enrolment: enrolmentv1.NewEnrolmentServiceClient(conn)}
}

// enrol returns what a new node dials with.
func (o *office) enrol(ctx context.Context, id string, kind registryv1.NodeKind) (nodes.Config, error) {
	created, err := o.registry.CreateNode(ctx, &registryv1.CreateNodeRequest{Id: id, Kind: kind})
	if err != nil {
		return nodes.Config{}, fmt.Errorf("register %s: %w", id, err)
	}
	token, err := nodes.ParseToken(created.GetToken())
	if err != nil {
		return nodes.Config{}, fmt.Errorf("token of %s: %w", id, err)
	}
	key, request, err := certs.NewKeyAndCSR()
	if err != nil {
		return nodes.Config{}, fmt.Errorf("key of %s: %w", id, err)
	}
	joined, err := o.enrolment.Join(ctx, &enrolmentv1.JoinRequest{Node: id, Secret: token.GetSecret(), CertificateRequest: request})
	if err != nil {
		return nodes.Config{}, fmt.Errorf("join as %s: %w", id, err)
	}
	own, err := certs.ParseCredentials(key, joined.GetCertificateChain(), joined.GetRoots())
	if err != nil {
		return nodes.Config{}, fmt.Errorf("certificate of %s: %w", id, err)
	}
	return nodes.Config{Hub: certs.Hub{Address: o.hub.Address, LedgerKey: joined.GetLedgerKey()}, Credentials: own}, nil
}

// enrolAll returns what as many new nodes of one organisation dial with. Their ids are
// the name with their number behind it.
func (o *office) enrolAll(ctx context.Context, name string, kind registryv1.NodeKind, count int) ([]nodes.Config, error) {
	all := make([]nodes.Config, count)
	enrolling, ctx := errgroup.WithContext(ctx)
	enrolling.SetLimit(8)
	for i := range all {
		enrolling.Go(func() (err error) {
			all[i], err = o.enrol(ctx, nodeID(name, i), kind)
			return err
		})
	}
	return all, enrolling.Wait()
}

func nodeID(name string, i int) string { return fmt.Sprintf("%s%d", name, i) }

// The nodes of a fleet: one-stop systems of a province send, national portals receive.
const (
	senderName    = "H41/motcua"
	recipientName = "G22/portal"
)

// fleet is a hub with nodes that send to it and nodes that receive from it, each on a
// connection of its own. Every recipient holds a right to all that is sent.
type fleet struct {
	hub                 *hubtest.Hub
	credentials         []nodes.Config // of the senders
	senders, recipients []*nodes.Client
}

func startFleet(b *testing.B, senders, recipients int) *fleet {
	b.Helper()
	f := &fleet{hub: hubtest.Start(b)}
	o := openOffice(b, f.hub.DataDir)
	var err error
	if f.credentials, err = o.enrolAll(b.Context(), senderName, registryv1.NodeKind_NODE_KIND_ONE_STOP, senders); err != nil {
		b.Fatal(err)
	}
	receiving, err := o.enrolAll(b.Context(), recipientName, registryv1.NodeKind_NODE_KIND_PORTAL, recipients)
	if err != nil {
		b.Fatal(err)
	}
	for i := range receiving {
		f.hub.Grant("H41", nodeID(recipientName, i))
	}
	f.senders, f.recipients = dialAll(b, f.credentials), dialAll(b, receiving)
	return f
}

// dialAll returns clients that are connected.
func dialAll(b *testing.B, configs []nodes.Config) []*nodes.Client {
	b.Helper()
	clients := make([]*nodes.Client, len(configs))
	for i, config := range configs {
		client, err := nodes.Dial(config)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = client.Close() })
		// The first call connects.
		if _, err := client.Acknowledge(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
		clients[i] = client
	}
	return clients
}
