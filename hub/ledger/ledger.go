// Package ledger turns acceptances into evidence, twice. Packets are accepted in
// commit groups: Ledger signs the Merkle root (RFC 6962) of each group's leaves once,
// and a receipt proves at once that its leaf is under a signed root. All leaves
// together are one append-only Merkle log: Log signs a checkpoint of it at an
// interval, and a receipt that is asked for later proves its place in that log too,
// which the hub then cannot take back from anyone who keeps a checkpoint.
//
// Signatures are signed notes (C2SP signed-note, Ed25519) of one key. The first line
// of a note says what it is: "lienthong/group/v1" a group, an origin a checkpoint (C2SP
// tlog-checkpoint): the hub's name, which is that of the key, or, of a hub that went on
// from a backup, that with an epoch behind a slash. No hub can have a name with a slash.
package ledger

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/lienthong/lienthong/certs"
)

// Ledger signs with the hub's ledger key.
type Ledger struct {
	hub         string
	signer      note.Signer
	verifierKey string
}

// Open loads the ledger key from dir (ledger.key, 0600), or makes one for the
// named hub where there is none. ledger.pub beside it holds the verifier key for
// others. A key that others may read is refused, and so is a directory whose key
// was lost: a new key would not vouch for the receipts that were given.
func Open(dir, hub string) (*Ledger, error) {
	if !validName(hub) {
		return nil, fmt.Errorf("hub name %q: lower-case letters, digits, dots and hyphens are allowed, at most 64", hub)
	}
	private, err := readPrivate(filepath.Join(dir, keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		private, err = create(dir, hub)
	}
	if err != nil {
		return nil, fmt.Errorf("ledger key: %w", err)
	}
	l, err := newLedger(hub, private)
	if err != nil {
		return nil, err
	}
	if err := l.publish(filepath.Join(dir, verifierFile)); err != nil {
		return nil, fmt.Errorf("ledger key: %w", err)
	}
	return l, nil
}

// Exists reports whether there is a ledger key in dir.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, keyFile))
	return err == nil
}

const (
	keyFile      = "ledger.key"
	verifierFile = "ledger.pub"
)

func readPrivate(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("%s has mode %04o: others may read it; 0600 is expected", path, mode)
	}
	private, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read: %w", err)
	}
	return strings.TrimSpace(string(private)), nil
}

// publish writes the verifier key where it does not stand yet.
func (l *Ledger) publish(path string) error {
	published, err := os.ReadFile(path)
	if err == nil && strings.TrimSpace(string(published)) == l.verifierKey {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read: %w", err)
	}
	return certs.WriteFile(path, []byte(l.verifierKey+"\n"), 0o644)
}

// validName keeps hub names to what fits a host name, a URI and a note.
func validName(hub string) bool {
	return len(hub) >= 1 && len(hub) <= 64 && strings.Trim(hub, "abcdefghijklmnopqrstuvwxyz0123456789.-") == "" &&
		!strings.HasPrefix(hub, "-") && !strings.HasPrefix(hub, ".")
}

func newLedger(hub, private string) (*Ledger, error) {
	signer, err := note.NewSigner(private)
	if err != nil {
		return nil, errors.New("ledger key: ledger.key does not hold a signed-note private key")
	}
	if signer.Name() != hub {
		return nil, fmt.Errorf("ledger key is of hub %q, this hub is %q", signer.Name(), hub)
	}
	public, err := publicKey(private)
	if err != nil {
		return nil, err
	}
	return &Ledger{hub: hub, signer: signer, verifierKey: public}, nil
}

func create(dir, hub string) (string, error) {
	// The verifier key is written after the private key: alone, it tells of a loss.
	if _, err := os.Stat(filepath.Join(dir, verifierFile)); err == nil {
		return "", fmt.Errorf("%s is there but %s is not: restore the key from a backup", verifierFile, keyFile)
	}
	private, _, err := note.GenerateKey(rand.Reader, hub)
	if err != nil {
		return "", fmt.Errorf("generate: %w", err)
	}
	return private, certs.WriteFile(filepath.Join(dir, keyFile), []byte(private+"\n"), 0o600)
}

// publicKey derives the verifier key, so that a lost or changed ledger.pub cannot
// make the hub hand out a key that does not verify its receipts.
func publicKey(private string) (string, error) {
	// PRIVATE+KEY+<name>+<hash>+<base64>; only the last part may hold a + of its own.
	parts := strings.SplitN(private, "+", 5)
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(parts) != 5 || len(seed) != 1+ed25519.SeedSize {
		return "", errors.New("ledger key: not an Ed25519 signed-note private key")
	}
	public, ok := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("ledger key: not an Ed25519 key")
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		return "", errors.New("ledger key: ledger.key does not hold a signed-note private key")
	}
	key, err := note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return "", fmt.Errorf("ledger key: %w", err)
	}
	return key, nil
}

// Hub returns the name the ledger signs for.
func (l *Ledger) Hub() string { return l.hub }

// VerifierKey returns the key that verifies receipts (signed-note verifier key).
func (l *Ledger) VerifierKey() string { return l.verifierKey }
