package hub

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lienthong/lienthong/certs"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/store"
)

// Items of the hub itself.
const (
	hubKind = "hub"
	// rootItem and ledgerItem say which authority and which ledger key the hub began
	// with; adminIssued that the first administrator has a profile.
	rootItem    = "root"
	ledgerItem  = "ledger"
	adminIssued = "administrator"
	// hostsItem has the names that tokens have told nodes to reach the hub by, one a
	// line.
	hostsItem = "hosts"
)

// openKeys opens the certificate authority and the ledger key, or makes them at
// the first start. Later, ones that are lost or others are refused: every node
// would be locked out, and every receipt that was given would no longer verify.
func (h *Hub) openKeys(ctx context.Context) error {
	items, err := h.items(ctx)
	if err != nil {
		return err
	}
	if h.authority, err = openAuthority(filepath.Join(h.cfg.DataDir, authorityDir), h.cfg, len(items) == 0); err != nil {
		return err
	}
	if items[ledgerItem] != nil && !ledger.Exists(h.cfg.DataDir) {
		return errors.New("the ledger key (ledger.key) is not in the data directory; restore it from a backup: without it, receipts that were given do not verify")
	}
	if h.ledger, err = ledger.Open(h.cfg.DataDir, h.cfg.Name); err != nil {
		return err
	}
	if err := h.keepHosts(ctx, items); err != nil {
		return err
	}
	root := h.authority.RootSHA256()
	return h.remember(ctx, items, map[string]string{
		rootItem: hex.EncodeToString(root[:]), ledgerItem: h.ledger.VerifierKey(),
	})
}

func openAuthority(dir string, cfg Config, first bool) (*certs.Authority, error) {
	config := certs.AuthorityConfig{TrustDomain: cfg.Name, HubName: cfg.Name, Clock: cfg.Clock}
	authority, err := certs.Open(dir, config)
	if !errors.Is(err, fs.ErrNotExist) {
		return authority, err
	}
	if !first {
		return nil, fmt.Errorf("the certificate authority is not in %s; restore it from a backup: a new one would lock every node out: %w", dir, err)
	}
	return certs.Create(dir, config)
}

// remember keeps what the hub began with, and refuses anything else.
func (h *Hub) remember(ctx context.Context, items map[string][]byte, now map[string]string) error {
	var fresh []store.Item
	for key, value := range now {
		was, known := items[key]
		if !known {
			fresh = append(fresh, store.Item{Kind: hubKind, Key: key, Value: []byte(value)})
		} else if string(was) != value {
			return fmt.Errorf("the %s key in the data directory is not the one this hub began with; restore it from a backup", key)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := h.store.SaveItems(ctx, fresh); err != nil {
		return fmt.Errorf("remember keys: %w", err)
	}
	return nil
}

// keepHosts keeps the names of earlier starts in the hub's certificate: nodes that
// joined by them would not know the hub otherwise.
func (h *Hub) keepHosts(ctx context.Context, items map[string][]byte) error {
	told := strings.Fields(string(items[hostsItem]))
	if !slices.Contains(told, h.cfg.Hosts[0]) {
		told = append(told, h.cfg.Hosts[0])
		item := store.Item{Kind: hubKind, Key: hostsItem, Value: []byte(strings.Join(told, "\n"))}
		if err := h.store.SaveItems(ctx, []store.Item{item}); err != nil {
			return fmt.Errorf("remember host: %w", err)
		}
	}
	hosts := slices.Clone(h.cfg.Hosts)
	for _, host := range told {
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	h.cfg.Hosts = hosts
	return nil
}

// items returns the hub's own items by key.
func (h *Hub) items(ctx context.Context) (map[string][]byte, error) {
	loaded, err := h.store.LoadItems(ctx, []string{hubKind})
	if err != nil {
		return nil, fmt.Errorf("load the hub's own items: %w", err)
	}
	items := make(map[string][]byte, len(loaded))
	for _, item := range loaded {
		items[item.Key] = item.Value
	}
	return items, nil
}
