package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/certs"
	"github.com/lienthong/lienthong/hub/registry"
)

// restoredFile says that a data directory is a copy of another hub's, which has gone on;
// as backupFile does of a backup.
const restoredFile = "restored.json"

// Restored is what a hub knows of the copy that it goes on from. It stands in restored.json
// from DeclareRestored until the next start.
type Restored struct {
	Declared time.Time `json:"declared"`
}

// DeclareRestored marks the data directory of a hub that is not running as a copy, which
// no backup.json tells: a snapshot, an image of a disk, copied files. The hub that is
// started on it next begins an epoch, as on a backup. ErrInUse where a hub runs;
// fs.ErrNotExist where no hub ever did.
func DeclareRestored(dataDir string, clock func() time.Time) (err error) {
	if _, err := os.Stat(filepath.Join(dataDir, storeDir)); err != nil {
		return fmt.Errorf("no hub was started there: %w", err)
	}
	if err := refuseUnfinished(dataDir); err != nil {
		return err
	}
	lock, err := vfs.Default.Lock(filepath.Join(dataDir, storeDir, lockFile))
	if errors.Is(err, syscall.EAGAIN) {
		return fmt.Errorf("%s: %w: %w", dataDir, ErrInUse, err)
	}
	if err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	written, err := json.Marshal(Restored{Declared: clock().UTC().Truncate(time.Millisecond)})
	if err != nil {
		return fmt.Errorf("write %s: %w", restoredFile, err)
	}
	if err := certs.WriteFile(filepath.Join(dataDir, restoredFile), append(written, '\n'), 0o600); err != nil {
		return err
	}
	return syncDirectory(dataDir)
}

// goOn begins an epoch where the hub is started on a backup, or on a declared copy. What
// says so is removed once the epoch is durable. After a crash between, the epoch of a backup
// is known by the time of the backup; that of a declared copy, which has none, begins anew.
func (h *Hub) goOn(ctx context.Context) error {
	var of Backup
	var declared Restored
	isBackup, err := h.readMark(backupFile, &of)
	if err != nil {
		return err
	}
	isCopy, err := h.readMark(restoredFile, &declared)
	if err != nil || !isBackup && !isCopy {
		return err
	}
	if isCopy { // of a hub, or of a backup: then what is in it is older than that
		of = Backup{Source: "a declared copy"}
	}
	active, err := registry.ActiveNodes(ctx, h.store)
	if err != nil {
		return fmt.Errorf("go on from a copy: %w", err)
	}
	epoch, begun := h.store.EpochOf(of.Begun)
	if !begun {
		if epoch, err = h.store.BeginEpoch(ctx, h.cfg.Clock(), of.Begun); err != nil {
			return fmt.Errorf("go on from a copy: %w", err)
		}
	}
	for _, name := range []string{backupFile, restoredFile} {
		if err := os.Remove(filepath.Join(h.cfg.DataDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("go on from a copy: %w", err)
		}
	}
	if err := syncDirectory(h.cfg.DataDir); err != nil {
		return fmt.Errorf("go on from a copy: %w", err)
	}
	attrs := []any{"of", of.Source}
	if !of.Begun.IsZero() { // of a declared copy nobody knows it
		attrs = append(attrs, "made", of.Begun)
	}
	h.cfg.Logger.Warn("the hub goes on from a copy: what was accepted after it was made is lost, and has to be submitted again",
		append(attrs, "lost_after", epoch.Last, "next", epoch.Next)...)
	h.cfg.Logger.Warn("rights, revocations, suspensions and quotas are those of the copy: look them over before the hub is opened; what was changed after it was made, such as that a node was revoked, has to be done again. Join tokens of before are void",
		"active_nodes", len(active), "active", listed(active))
	return nil
}

// listedNodes bounds the nodes that the log names: nobody reads more in a line.
const listedNodes = 100

func listed(nodes []string) string {
	if more := len(nodes) - listedNodes; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(nodes[:listedNodes], " "), more)
	}
	return strings.Join(nodes, " ")
}

func (h *Hub) readMark(name string, into any) (there bool, err error) {
	written, err := os.ReadFile(filepath.Join(h.cfg.DataDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(written, into)
	}
	if err != nil {
		return false, fmt.Errorf("go on from a copy: %s: %w", name, err)
	}
	return true, nil
}

// ordinal is the place of a sequence in the accepted log, from 1 on.
func (h *Hub) ordinal(sequence uint64) (uint64, bool) {
	epochs := h.store.Epochs()
	_, skipped := epochs.Gap(sequence)
	return epochs.Ordinal(sequence), sequence > 0 && !skipped
}

// skipped says whether a sequence was skipped, and when the copy was made that the hub
// went on from then.
func (h *Hub) skipped(sequence uint64) (copied time.Time, skipped bool) {
	epoch, skipped := h.store.Epochs().Gap(sequence)
	return epoch.Copied, skipped
}
