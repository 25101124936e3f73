package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/blobs"
)

// retain removes, at intervals until ctx ends, what is kept no longer, and the contents
// beside it. Failures are logged and tried again; that the store is broken is returned.
func (h *Hub) retain(ctx context.Context) error {
	ticker := time.NewTicker(h.cfg.RetentionInterval)
	defer ticker.Stop()
	for {
		err := h.retainOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrBroken) || errors.Is(err, store.ErrClosed):
			return fmt.Errorf("retention: %w", err)
		case err != nil:
			h.cfg.Logger.Error("what is kept no longer could not be removed; it is tried again", "after", h.cfg.RetentionInterval.String(), "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// retainOnce makes one pass. A packet goes only when the views have taken it in and a
// checkpoint covers it: neither would find it again. Its content goes after it. What
// cannot be removed, such as the content of one packet, keeps nothing else.
func (h *Hub) retainOnce(ctx context.Context) error {
	// What an earlier run has left, or one with another configuration.
	gone, err := h.blobs.RemoveRetired(ctx)
	if ctx.Err() != nil || len(h.kept) == 0 {
		h.logRetained(store.Retained{}, gone)
		return err
	}
	done, err := h.retainPackets(ctx)
	after, afterErr := h.blobs.RemoveRetired(ctx) // it meets, and says, what the first has
	h.logRetained(done, blobs.Retired{Contents: gone.Contents + after.Contents, Bytes: gone.Bytes + after.Bytes})
	return errors.Join(err, afterErr)
}

func (h *Hub) retainPackets(ctx context.Context) (store.Retained, error) {
	upTo, err := h.store.ViewCursor(ctx)
	if err != nil {
		return store.Retained{}, err
	}
	_, size := h.log.Checkpoint() // of leaves, which sequences are ahead of after a restore
	return h.store.Retain(ctx, store.Retention{
		Kinds: h.kept, Now: h.retentionTime(), UpTo: min(upTo, h.store.Epochs().Sequence(size)),
	}, h.retireContents)
}

// retireContents notes the contents of packets that are about to be removed.
func (h *Hub) retireContents(ctx context.Context, entries []store.Entry) error {
	var contents []blobs.Content
	for _, entry := range entries {
		accepted := &exchangev1.AcceptedPacket{}
		if err := proto.Unmarshal(entry.Record, accepted); err != nil {
			return fmt.Errorf("packet %d: %w: %w", entry.Sequence, store.ErrCorrupt, err)
		}
		if content, large := exchange.LargeContent(accepted); large {
			contents = append(contents, content)
		}
	}
	return h.blobs.Retire(ctx, contents)
}

func (h *Hub) logRetained(done store.Retained, gone blobs.Retired) {
	if done.Removed == 0 && gone.Contents == 0 {
		return
	}
	h.cfg.Logger.Info("packets that are kept no longer were removed", "packets", done.Removed, "bytes", done.RemovedBytes,
		"freed", done.Freed, "contents", gone.Contents, "content_bytes", gone.Bytes)
}
