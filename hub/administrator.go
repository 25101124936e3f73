package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/lienthong/lienthong/certs"
	"github.com/lienthong/lienthong/hub/store"
)

// firstAdmin is the name of the first administrator.
const firstAdmin = "admin"

// ensureAdministrator gives the first administrator a profile, once: a profile
// that was moved away, as it should be, does not come back at the next start.
func (h *Hub) ensureAdministrator(ctx context.Context) error {
	dir := filepath.Join(h.cfg.DataDir, AdminDir)
	items, err := h.items(ctx)
	if err != nil {
		return fmt.Errorf("first administrator: %w", err)
	}
	here := certs.Hub{Address: h.GRPCAddress(), LedgerKey: h.ledger.VerifierKey()}
	if err := certs.SaveHub(h.cfg.DataDir, here); err != nil { // for IssueAdministrator
		return fmt.Errorf("first administrator: %w", err)
	}
	if items[adminIssued] != nil {
		return readdress(dir, here)
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

// IssueAdministrator gives an administrator a profile, a new directory, with the
// authority in a data directory: for whoever lost theirs or let it end, and for
// more than one. Being able to read the authority's key is what it takes; the hub
// may be running.
func IssueAdministrator(dataDir, name, profile string, clock func() time.Time) error {
	if _, err := os.Stat(profile); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("administrator %s: %s is there already; name a new directory", name, profile)
	}
	here, err := certs.LoadHub(dataDir)
	if err != nil {
		return fmt.Errorf("administrator %s: %s is no data directory that a hub was started on: %w", name, dataDir, err)
	}
	authority, err := certs.Open(filepath.Join(dataDir, authorityDir), certs.AuthorityConfig{HubName: DefaultName, Clock: clock})
	if err != nil {
		return fmt.Errorf("administrator %s: %w", name, err)
	}
	credentials, err := authority.IssueAdmin(name, 0)
	if err != nil {
		return fmt.Errorf("administrator %s: %w", name, err)
	}
	return certs.SaveProfile(profile, here, credentials)
}
