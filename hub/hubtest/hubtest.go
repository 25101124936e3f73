// Package hubtest runs a real hub for tests: its own data directory, its own CA,
// real sockets on loopback, administered over the same API as any other.
package hubtest

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lienthong/lienthong/certs"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
)

// Hub is a hub that serves until Stop or the end of its test.
type Hub struct {
	*hub.Hub
	// DataDir is its data directory.
	DataDir string
	// Admin is its registry, called as the first administrator.
	Admin registryv1.RegistryServiceClient

	t    testing.TB
	stop func() error
}

// Start runs a hub; change, where given, alters its configuration first. A hub
// started on the data directory of one that was stopped goes on where that ended.
func Start(t testing.TB, change ...func(*hub.Config)) *Hub {
	t.Helper()
	cfg := hub.Config{
		DataDir: filepath.Join(t.TempDir(), "hub"),
		GRPC:    "127.0.0.1:0", HTTP: "127.0.0.1:0", Web: "127.0.0.1:0",
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, alter := range change {
		alter(&cfg)
	}
	running, err := hub.New(t.Context(), cfg)
	if err != nil {
		t.Fatalf("start hub: %v", err)
	}
	// The test's own context ends before its clean-up; the hub stops in Stop.
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- running.Run(ctx) }()
	h := &Hub{Hub: running, DataDir: cfg.DataDir, t: t}
	conn := h.connectAdmin()
	h.Admin = registryv1.NewRegistryServiceClient(conn)
	h.stop = func() error {
		cancel()
		return errors.Join(conn.Close(), <-ended)
	}
	t.Cleanup(h.Stop)
	return h
}

// Stop ends the hub and waits for it. It may be called again.
func (h *Hub) Stop() {
	h.t.Helper()
	stop := h.stop
	h.stop = nil
	if stop == nil {
		return
	}
	if err := stop(); err != nil {
		h.t.Errorf("hub ended with: %v", err)
	}
}

func (h *Hub) connectAdmin() *grpc.ClientConn {
	h.t.Helper()
	at, source, err := certs.LoadProfile(filepath.Join(h.DataDir, hub.AdminDir), nil)
	if err != nil {
		h.t.Fatalf("administrator's profile: %v", err)
	}
	tls := credentials.NewTLS(certs.ClientConfig(source, at.ServerName(), nil))
	conn, err := grpc.NewClient(at.Address, grpc.WithTransportCredentials(tls))
	if err != nil {
		h.t.Fatalf("connect as administrator: %v", err)
	}
	return conn
}

// AddNode registers a node and returns the token it joins with.
func (h *Hub) AddNode(id string, kind registryv1.NodeKind) (token string) {
	h.t.Helper()
	resp, err := h.Admin.CreateNode(h.t.Context(), &registryv1.CreateNodeRequest{Id: id, Kind: kind})
	if err != nil {
		h.t.Fatalf("register node %s: %v", id, err)
	}
	return resp.GetToken()
}

// Grant lets packets of these types, or of all types where none is named, from
// an organisation through to a node.
func (h *Hub) Grant(from, to string, types ...packetv1.PacketType) {
	h.t.Helper()
	if len(types) == 0 {
		types = []packetv1.PacketType{
			packetv1.PacketType_PACKET_TYPE_DOSSIER, packetv1.PacketType_PACKET_TYPE_PROGRESS,
			packetv1.PacketType_PACKET_TYPE_SURVEY, packetv1.PacketType_PACKET_TYPE_STATISTIC,
		}
	}
	h.grant(&registryv1.Right{Sender: from, Receiver: to, Types: types})
}

// GrantService lets an organisation ask a node for a look-up service, by its full
// method name.
func (h *Hub) GrantService(from, to, service string) {
	h.t.Helper()
	h.grant(&registryv1.Right{Sender: from, Receiver: to, Services: []string{service}})
}

func (h *Hub) grant(right *registryv1.Right) {
	h.t.Helper()
	if _, err := h.Admin.GrantRight(h.t.Context(), &registryv1.GrantRightRequest{Right: right}); err != nil {
		h.t.Fatalf("grant %s to %s: %v", right.GetSender(), right.GetReceiver(), err)
	}
}

// SetState suspends, activates or revokes a node.
func (h *Hub) SetState(id string, state registryv1.NodeState) {
	h.t.Helper()
	if _, err := h.Admin.SetNodeState(h.t.Context(), &registryv1.SetNodeStateRequest{Id: id, State: state}); err != nil {
		h.t.Fatalf("set %s to %s: %v", id, state, err)
	}
}
