package views

import (
	"context"
	"errors"
	"fmt"

	"github.com/lienthong/lienthong/hub/store"
)

// layout names what is kept and by which rules it is derived. It changes with
// them, so that a hub does not go on with views that an older one derived.
const layout = "2"

// discardedAtOnce bounds how many items are held in memory to be deleted.
const discardedAtOnce = 16

// discardOtherLayouts empties views of another layout and moves the cursor to
// the start of the log. Interrupted, it begins again the next time: the layout
// is written last.
func (v *Views) discardOtherLayouts(ctx context.Context) error {
	kept, err := v.store.ViewItem(ctx, kindLayout, "")
	if err == nil && string(kept) == layout {
		return nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read layout: %w", err)
	}
	for _, kind := range []string{kindDossier, kindStatistic, kindSurvey, kindOrganisation} {
		if err := v.discard(ctx, kind); err != nil {
			return err
		}
	}
	if err := v.store.ApplyView(ctx, 0, []store.Item{{Kind: kindLayout, Value: []byte(layout)}}); err != nil {
		return fmt.Errorf("keep layout: %w", err)
	}
	return nil
}

func (v *Views) discard(ctx context.Context, kind string) error {
	for {
		items, err := v.store.ViewItems(ctx, kind, "", discardedAtOnce)
		if err != nil {
			return fmt.Errorf("read %s: %w", kind, err)
		}
		if len(items) == 0 {
			return nil
		}
		for i := range items {
			items[i].Value = nil
		}
		if err := v.store.ApplyView(ctx, 0, items); err != nil {
			return fmt.Errorf("discard %s: %w", kind, err)
		}
	}
}
