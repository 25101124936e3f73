package certs

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// HubFile is the name of the file in a profile that says which hub it is for.
const HubFile = "hub.json"

// Hub is what a party has to know of its hub.
type Hub struct {
	// Address of the hub's gRPC door, host:port.
	Address string `json:"address"`
	// LedgerKey verifies the hub's receipts (signed-note verifier key).
	LedgerKey string `json:"ledger_key,omitempty"`
}

// SaveProfile writes what a node or an administrator needs into one directory:
// hub.json, then credentials; see Credentials.Save. A crash before the end leaves
// a directory that LoadProfile refuses.
func SaveProfile(dir string, hub Hub, credentials *Credentials) error {
	if err := SaveHub(dir, hub); err != nil {
		return fmt.Errorf("save profile: %w", err)
	}
	return credentials.Save(dir)
}

// SaveHub writes hub.json alone.
func SaveHub(dir string, hub Hub) error {
	if err := hub.check(); err != nil {
		return err
	}
	content, err := json.MarshalIndent(hub, "", "  ")
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	return WriteFile(filepath.Join(dir, HubFile), append(content, '\n'), 0o644)
}

// LoadHub reads hub.json alone. Errors: fs.ErrNotExist, ErrFile.
func LoadHub(dir string) (Hub, error) {
	var hub Hub
	content, err := os.ReadFile(filepath.Join(dir, HubFile))
	if err != nil {
		return hub, fmt.Errorf("load hub: %w", err)
	}
	if err := json.Unmarshal(content, &hub); err != nil {
		return hub, fmt.Errorf("%w: %s: %w", ErrFile, filepath.Join(dir, HubFile), err)
	}
	if err := hub.check(); err != nil {
		return hub, fmt.Errorf("load hub from %s: %w", dir, err)
	}
	return hub, nil
}

// LoadProfile reads what SaveProfile wrote. The Reloader follows the credentials
// in the directory; failed, which may be nil, is told of files it cannot take.
// Errors are those of LoadCredentials.
func LoadProfile(dir string, failed func(error)) (Hub, *Reloader, error) {
	hub, err := LoadHub(dir)
	if err != nil {
		return hub, nil, fmt.Errorf("load profile: %w", err)
	}
	source, err := NewReloader(dir, failed)
	if err != nil {
		return hub, nil, err
	}
	return hub, source, nil
}

// ServerName returns the host that the hub's certificate must name.
func (h Hub) ServerName() string {
	host, _, err := net.SplitHostPort(h.Address)
	if err != nil {
		return ""
	}
	return host
}

func (h Hub) check() error {
	if h.Address == "" {
		return fmt.Errorf("%w: %s names no hub address", ErrFile, HubFile)
	}
	if _, _, err := net.SplitHostPort(h.Address); err != nil {
		return errors.Join(ErrFile, fmt.Errorf("hub address %.100q; host:port is expected", h.Address))
	}
	return nil
}
