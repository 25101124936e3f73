package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lienthong/lienthong/certs"
	enterprisev1 "github.com/lienthong/lienthong/gen/lienthong/enterprise/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/nodes"
)

// The nodes of the demo.
const (
	portalNode   = "G22/dvcqg"
	financeNode  = "G12/motcua"
	provinceNode = "H41/motcua"
	registerNode = "G05/dkkd"
)

// demoNode is one node with both of its ways in: gRPC and HTTPS.
type demoNode struct {
	id      string
	profile string
	client  *nodes.Client
	http    *http.Client
	// stream is open once the node has submitted over it.
	stream *stream
}

// admin calls the hub's registry as its administrator.
func (d *demo) admin() (registryv1.RegistryServiceClient, func() error, error) {
	at, source, err := certs.LoadProfile(filepath.Join(d.dir, "hub", hub.AdminDir), nil)
	if err != nil {
		return nil, nil, err
	}
	conn, err := grpc.NewClient(at.Address, grpc.WithTransportCredentials(credentials.NewTLS(certs.ClientConfig(source, at.ServerName(), nil))))
	if err != nil {
		return nil, nil, fmt.Errorf("connect as administrator: %w", err)
	}
	return registryv1.NewRegistryServiceClient(conn), conn.Close, nil
}

// enrol registers the nodes as an administrator and joins as each of them.
func (d *demo) enrol(ctx context.Context) (err error) {
	registry, closeConn, err := d.admin()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeConn()) }()
	d.heading("Enrolment · Kết nạp: each node makes its key and trades a single-use token for a certificate")
	for _, node := range []struct {
		id, what string
		kind     registryv1.NodeKind
	}{
		{portalNode, "National Public Service Portal", registryv1.NodeKind_NODE_KIND_PORTAL},
		{financeNode, "one-stop system, Ministry of Finance", registryv1.NodeKind_NODE_KIND_ONE_STOP},
		{provinceNode, "one-stop system, Nghệ An province", registryv1.NodeKind_NODE_KIND_ONE_STOP},
		{registerNode, "national enterprise register", registryv1.NodeKind_NODE_KIND_DATABASE},
	} {
		profile := filepath.Join(d.dir, "nodes", strings.ReplaceAll(node.id, "/", "-"))
		if err := d.join(ctx, registry, &registryv1.CreateNodeRequest{Id: node.id, Kind: node.kind, Description: node.what}, profile); err != nil {
			return err
		}
		joined, err := d.open(node.id, profile)
		if err != nil {
			return err
		}
		d.nodes = append(d.nodes, joined)
		d.board.add(node.id)
		d.say("  %-12s joined  %s\n", node.id, node.what)
	}
	return nil
}

// join enrols a node, unless an earlier demo in the same directory has.
func (d *demo) join(ctx context.Context, registry registryv1.RegistryServiceClient, node *registryv1.CreateNodeRequest, profile string) error {
	if at, source, err := certs.LoadProfile(profile, nil); err == nil {
		at.Address = d.hub.GRPCAddress()
		return certs.SaveProfile(profile, at, source.Credentials())
	}
	created, err := registry.CreateNode(ctx, node)
	if err != nil {
		return fmt.Errorf("register %s: %w", node.GetId(), err)
	}
	if _, err := nodes.Join(ctx, created.GetToken(), profile, nodes.JoinOptions{}); err != nil {
		return fmt.Errorf("join as %s: %w", node.GetId(), err)
	}
	return nil
}

func (d *demo) open(id, profile string) (*demoNode, error) {
	client, err := nodes.DialProfile(profile, nodes.Config{})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", id, err)
	}
	at, source, err := certs.LoadProfile(profile, nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: certs.ClientConfig(source, at.ServerName(), nil), ForceAttemptHTTP2: true}
	return &demoNode{id: id, profile: profile, client: client, http: &http.Client{Transport: transport, Timeout: time.Minute}}, nil
}

func (d *demo) node(id string) *demoNode {
	for _, n := range d.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

const lookUpEnterprise = "lienthong.enterprise.v1.EnterpriseService/LookUpEnterprise"

// grant gives the rights the demo needs, and no more.
func (d *demo) grant(ctx context.Context) (err error) {
	registry, closeConn, err := d.admin()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeConn()) }()
	all := []packetv1.PacketType{
		packetv1.PacketType_PACKET_TYPE_DOSSIER, packetv1.PacketType_PACKET_TYPE_PROGRESS,
		packetv1.PacketType_PACKET_TYPE_SURVEY, packetv1.PacketType_PACKET_TYPE_STATISTIC,
	}
	d.heading("Rights · Quyền: nothing passes that was not granted")
	for _, right := range []struct {
		right *registryv1.Right
		what  string
	}{
		{&registryv1.Right{Sender: "H41", Receiver: portalNode, Types: all}, "all packets"},
		{&registryv1.Right{Sender: "G12", Receiver: portalNode, Types: all}, "all packets"},
		{&registryv1.Right{Sender: "H41", Receiver: financeNode, Types: all[:1]}, "dossiers"},
		{&registryv1.Right{Sender: "H41", Receiver: registerNode, Services: []string{lookUpEnterprise}}, "questions about enterprises"},
	} {
		if _, err := registry.GrantRight(ctx, &registryv1.GrantRightRequest{Right: right.right}); err != nil {
			return fmt.Errorf("grant: %w", err)
		}
		d.say("  %-12s → %-12s %s\n", right.right.GetSender(), right.right.GetReceiver(), right.what)
	}
	return nil
}

// register answers questions from a table, as the register's own system would
// from its database.
type register struct {
	enterprisev1.UnimplementedEnterpriseServiceServer
	entries map[string]*enterprisev1.Enterprise
	asked   func()
}

func newRegister(asked func()) *register {
	entries := map[string]*enterprisev1.Enterprise{}
	for _, e := range []*enterprisev1.Enterprise{
		{
			Code: "2900000001", Name: "Công ty TNHH Gốm Sông Lam", Address: "Số 12, đường Nguyễn Du, thành phố Vinh, tỉnh Nghệ An",
			Representative: "Hồ Thị Minh Khôi", Status: enterprisev1.EnterpriseStatus_ENTERPRISE_STATUS_ACTIVE,
		},
		{
			Code: "2900000001-001", Name: "Chi nhánh Công ty TNHH Gốm Sông Lam tại Cửa Lò", Address: "Số 5, đường Bình Minh, thị xã Cửa Lò, tỉnh Nghệ An",
			Representative: "Hồ Thị Minh Khôi", Status: enterprisev1.EnterpriseStatus_ENTERPRISE_STATUS_SUSPENDED,
		},
	} {
		entries[e.GetCode()] = e
	}
	return &register{entries: entries, asked: asked}
}

// answer is the register: it answers questions until ctx ends.
func (d *demo) answer(ctx context.Context) error {
	err := d.node(registerNode).client.Serve(ctx, func(r grpc.ServiceRegistrar) {
		enterprisev1.RegisterEnterpriseServiceServer(r, newRegister(func() { d.board.answeredOne(registerNode) }))
	})
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the register stopped answering: %w", err)
}

// closeNodes ends what the nodes have open.
func (d *demo) closeNodes() error {
	var errs []error
	for _, n := range d.nodes {
		if n.stream != nil {
			n.stream.close()
		}
		errs = append(errs, n.client.Close())
		n.http.CloseIdleConnections()
	}
	return errors.Join(errs...)
}
