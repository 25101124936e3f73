package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/lienthong/lienthong/certs"
	"github.com/lienthong/lienthong/hub/store"
)

// The item that says that the first administrator has a profile.
const (
	hubKind     = "hub"
	adminIssued = "administrator"
	firstAdmin  = "admin"
)

// ensureAdministrator gives the first administrator a profile, once: a profile
// that was moved away, as it should be, does not come back at the next start.
func (h *Hub) ensureAdministrator(ctx context.Context) error {
	dir := filepath.Join(h.cfg.DataDir, AdminDir)
	items, err := h.store.LoadItems(ctx, []string{hubKind})
	if err != nil {
		return fmt.Errorf("first administrator: %w", err)
	}
	here := certs.Hub{Address: h.GRPCAddress(), LedgerKey: h.ledger.VerifierKey()}
	for _, item := range items {
		if item.Key == adminIssued {
			return readdress(dir, here)
		}
	}
	credentials, err := h.authority.IssueAdmin(firstAdmin, 0)
	if err != nil {
		return fmt.Errorf("first administrator: %w", err)
	}
	if err := certs.SaveProfile(dir, here, credentials); err != nil {
		return fmt.Errorf("first administrator: %w", err)
	}
	_, id, err := credentials.Identity()
	if err != nil {
		return fmt.Errorf("first administrator: %w", err)
	}
	err = h.store.SaveItems(ctx, []store.Item{{Kind: hubKind, Key: adminIssued, Value: []byte(id.Serial)}})
	if err != nil {
		return fmt.Errorf("first administrator: %w", err)
	}
	return nil
}

// readdress keeps the profile in the data directory, if it is still there,
// pointing at where the hub listens now.
func readdress(dir string, here certs.Hub) error {
	was, source, err := certs.LoadProfile(dir, nil)
	if errors.Is(err, fs.ErrNotExist) || err == nil && was == here {
		return nil
	}
	if err != nil {
		return fmt.Errorf("first administrator: %w", err)
	}
	return certs.SaveProfile(dir, here, source.Credentials())
}
