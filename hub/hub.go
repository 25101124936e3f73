// Package hub puts a hub together: one data directory, one CA, one store, and
// three doors, gRPC for nodes and administrators, HTTPS for REST/XML clients,
// HTTP for the public pages. It wires; what is decided is decided below it.
package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lienthong/lienthong/certs"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/registry"
	"github.com/lienthong/lienthong/hub/rpc"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/blobs"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
	"github.com/lienthong/lienthong/hub/views"
	"github.com/lienthong/lienthong/packet"
)

// What a data directory holds.
const (
	authorityDir = "ca"
	storeDir     = "store"
	ledgerDir    = "ledger"
	blobsDir     = "blobs"
	// AdminDir is the first administrator's profile, in the data directory.
	AdminDir = "admin"
)

// stopWithin bounds a graceful stop.
const stopWithin = 20 * time.Second

// Hub is a hub that listens. Run serves; Close is for a hub that is not run.
type Hub struct {
	cfg       Config
	kept      map[uint32]store.Keep // by type of packet
	authority *certs.Authority
	store     *pebblestore.Store
	ledger    *ledger.Ledger
	log       *ledger.Log
	registry  *registry.Registry
	blobs     *blobs.Blobs
	retaining boundedClock // belongs to retain once the hub runs
	exchange  *exchange.Service
	views     *views.Views
	liberal   *packet.Codec
	identity  *serverIdentity
	rpc       *rpc.Server
	edge      *http.Server
	web       *http.Server // nil without public pages
	listeners listeners
}

type listeners struct{ grpc, http, web net.Listener }

// New opens, or on the first start makes, the data directory and listens. Only
// one process at a time can have a data directory open.
func New(ctx context.Context, cfg Config) (*Hub, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	h := &Hub{cfg: cfg}
	if h.kept, err = cfg.Retention.kinds(); err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	steps := []func(context.Context) error{
		h.openData, h.openLedger, h.listen, h.openRegistry, h.wireServices, h.wireHTTP, h.ensureAdministrator,
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, storeDir)); errors.Is(err, fs.ErrNotExist) {
		// A first start that cannot listen makes nothing. Later ones listen once they can
		// serve, which may take a while.
		steps = []func(context.Context) error{
			h.listen, h.openData, h.openLedger, h.openRegistry, h.wireServices, h.wireHTTP, h.ensureAdministrator,
		}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("hub: %w", err), h.Close())
		}
	}
	return h, nil
}

// openData opens what the data directory holds. The store comes first: its lock
// keeps two first starts from making two authorities.
func (h *Hub) openData(ctx context.Context) error {
	dir := filepath.Join(h.cfg.DataDir, storeDir)
	if err := errors.Join(refuseUnfinished(h.cfg.DataDir), makePrivate(dir)); err != nil {
		return err
	}
	var err error
	h.store, err = pebblestore.Open(dir, pebblestore.Options{Logger: h.cfg.Logger})
	if err != nil {
		return err
	}
	if err := h.goOn(ctx); err != nil {
		return err
	}
	return h.openKeys(ctx)
}

// openLedger opens the log of everything accepted, which follows the store.
func (h *Hub) openLedger(ctx context.Context) error {
	dir := filepath.Join(h.cfg.DataDir, ledgerDir)
	if err := makePrivate(dir); err != nil {
		return err
	}
	var err error
	h.log, err = ledger.OpenLog(ctx, ledger.LogConfig{
		Ledger: h.ledger, Dir: dir, Leaves: h.leavesAfter, Ordinal: h.ordinal, Epoch: h.store.Epochs().First(),
		Interval: h.cfg.CheckpointInterval, Clock: h.cfg.Clock, Logger: h.cfg.Logger,
	})
	if err != nil {
		return err
	}
	return h.startRetentionClock(ctx)
}

// leavesAfter reads the leaves that follow so many others, up to the end of their commit
// group.
func (h *Hub) leavesAfter(ctx context.Context, after uint64) ([][]byte, error) {
	next := h.store.Epochs().Sequence(after + 1)
	group, err := h.store.Group(ctx, next)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return group.Leaves[next-group.First:], nil
}

// makePrivate makes a directory that only its owner can look into, or makes one
// so that is there: packets hold personal data.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory has to be entered
		return fmt.Errorf("make directory: %w", err)
	}
	return nil
}

func (h *Hub) listen(ctx context.Context) error {
	var config net.ListenConfig
	listeners := [3]*net.Listener{&h.listeners.grpc, &h.listeners.http, &h.listeners.web}
	for i, door := range h.cfg.doors() {
		if door.address == "" {
			continue
		}
		listener, err := config.Listen(ctx, "tcp", door.address)
		if err != nil {
			return fmt.Errorf("%s address %s: %w", door.name, door.address, err)
		}
		*listeners[i] = listener
	}
	return nil
}

func (h *Hub) openRegistry(ctx context.Context) error {
	var err error
	h.registry, err = registry.Open(ctx, registry.Config{
		Store: h.store, Issuer: h.authority,
		Address: h.GRPCAddress(), LedgerKey: h.ledger.VerifierKey(), StrictHub: h.cfg.Strict,
		Epoch:  h.store.Epochs().First(),
		Quota:  registry.Quota{PacketsPerSecond: h.cfg.PacketsPerSecond, BytesPerSecond: h.cfg.BytesPerSecond, InboxBytes: h.cfg.InboxBytes},
		Ended:  func(node string, why *fault.Error) { h.rpc.EndSessions(node, why) },
		Clock:  h.cfg.Clock,
		Random: rand.Reader,
		Logger: h.cfg.Logger,
	})
	return err
}

// GRPCAddress is where nodes and administrators reach the hub, host:port.
func (h *Hub) GRPCAddress() string { return h.reachable(h.listeners.grpc) }

// EdgeURL is where REST/XML clients reach the hub.
func (h *Hub) EdgeURL() string { return "https://" + h.reachable(h.listeners.http) }

// WebURL is where the public pages are; empty without them.
func (h *Hub) WebURL() string {
	if h.listeners.web == nil {
		return ""
	}
	// Where it listens, not where nodes reach the hub: it stands behind a proxy.
	if address, ok := h.listeners.web.Addr().(*net.TCPAddr); ok && !address.IP.IsUnspecified() {
		return "http://" + address.String()
	}
	return "http://" + h.reachable(h.listeners.web)
}

// LedgerKey verifies the hub's receipts.
func (h *Hub) LedgerKey() string { return h.ledger.VerifierKey() }

// WaitForViews waits until the public pages show what was accepted up to a
// sequence.
func (h *Hub) WaitForViews(ctx context.Context, sequence uint64) error {
	return h.views.WaitFor(ctx, sequence)
}

// reachable returns a listener's address with the first of the hub's hosts.
func (h *Hub) reachable(listener net.Listener) string {
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return listener.Addr().String()
	}
	return net.JoinHostPort(h.cfg.Hosts[0], port)
}

// Close frees what New took, for a hub that is not run.
func (h *Hub) Close() error {
	var errs []error
	for _, listener := range []net.Listener{h.listeners.grpc, h.listeners.http, h.listeners.web} {
		if listener != nil {
			errs = append(errs, listener.Close())
		}
	}
	if h.log != nil {
		errs = append(errs, h.log.Close())
	}
	if h.store != nil {
		errs = append(errs, h.store.Close())
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends, then stops in order: doors, then the committer,
// which finishes what was taken, then the store. The first failure of a part
// stops all of them and is returned.
func (h *Hub) Run(ctx context.Context) (err error) {
	defer func() {
		err = errors.Join(err, h.log.Close(), h.store.Close())
		h.cfg.Logger.Info("hub has stopped")
	}()
	behind, stopBehind := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBehind()
	parts, partsCtx := errgroup.WithContext(behind)
	parts.Go(func() error { return h.exchange.Run(partsCtx) })
	parts.Go(func() error { return h.blobs.Run(partsCtx) })
	parts.Go(func() error { return h.views.Run(partsCtx) })
	parts.Go(func() error { return h.log.Run(partsCtx) })
	parts.Go(func() error { return h.retain(partsCtx) })

	doors, doorsCtx := errgroup.WithContext(ctx)
	doors.Go(func() error { return h.rpc.Serve(doorsCtx, h.listeners.grpc) })
	doors.Go(func() error { return serveHTTP(doorsCtx, h.edge, h.rpc.Paced(h.listeners.http), true) })
	if h.web != nil {
		doors.Go(func() error { return serveHTTP(doorsCtx, h.web, h.listeners.web, false) })
	}
	doors.Go(func() error {
		select {
		case <-partsCtx.Done():
			return errPartEnded
		case <-doorsCtx.Done():
			return nil
		}
	})
	h.cfg.Logger.Info("hub is serving", "name", h.cfg.Name, "grpc", h.listeners.grpc.Addr().String(),
		"http", h.listeners.http.Addr().String(), "web", h.WebURL(), "data", h.cfg.DataDir, "strict", h.cfg.Strict)
	doorsErr := doors.Wait()
	stopBehind()
	if err := parts.Wait(); err != nil {
		return err
	}
	return doorsErr
}

// errPartEnded closes the doors when what is behind them has failed; Run returns
// the failure itself.
var errPartEnded = errors.New("a part of the hub has ended")

// serveHTTP serves until ctx ends, then lets calls finish.
func serveHTTP(ctx context.Context, server *http.Server, listener net.Listener, withTLS bool) error {
	// Calls that wait for something to come stop waiting when the hub stops.
	server.BaseContext = func(net.Listener) context.Context { return ctx }
	served := make(chan error, 1)
	go func() {
		if withTLS {
			served <- server.ServeTLS(listener, "", "")
		} else {
			served <- server.Serve(listener)
		}
	}()
	select {
	case err := <-served:
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	if err := server.Shutdown(stopCtx); err != nil {
		err = errors.Join(fmt.Errorf("stop http: %w", err), server.Close())
		<-served
		return err
	}
	<-served
	return nil
}
