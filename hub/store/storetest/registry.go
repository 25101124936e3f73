package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lienthong/lienthong/hub/store"
)

func testViews(t *testing.T, b *bench) {
	ctx := t.Context()
	if cursor, err := b.store.ViewCursor(ctx); cursor != 0 || err != nil {
		t.Errorf("cursor of a new store: %d %v", cursor, err)
	}
	items := []store.Item{{Kind: "k", Key: "a1", Value: []byte("1")}, {Kind: "k", Key: "a2", Value: []byte{}}, {Kind: "k", Key: "b", Value: []byte("3")}, {Kind: "k2", Key: "a", Value: []byte("4")}}
	if err := b.store.ApplyView(ctx, 9, items); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	if err := b.store.ApplyView(ctx, 11, []store.Item{{Kind: "k", Key: "b"}}); err != nil {
		t.Fatal(err)
	}
	if cursor, err := b.store.ViewCursor(ctx); cursor != 11 || err != nil {
		t.Errorf("cursor: %d %v", cursor, err)
	}
	found, err := b.store.ViewItems(ctx, "k", "a", 10)
	if diff := cmp.Diff(items[:2], found); diff != "" || err != nil {
		t.Errorf("items with prefix a (-want +got), error %v:\n%s", err, diff)
	}
	if found, err = b.store.ViewItems(ctx, "k", "", 1); len(found) != 1 || err != nil {
		t.Errorf("limit of 1: %v %v", found, err)
	}
	if value, err := b.store.ViewItem(ctx, "k2", "a"); string(value) != "4" || err != nil {
		t.Errorf("item: %q %v", value, err)
	}
	if _, err := b.store.ViewItem(ctx, "k", "b"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted item: %v", err)
	}
}

func testItems(t *testing.T, b *bench) {
	ctx := t.Context()
	items := []store.Item{{Kind: "node", Key: "H41/a", Value: []byte("1")}, {Kind: "node", Key: "H41/b", Value: []byte("2")}, {Kind: "right", Key: "1", Value: []byte("3")}}
	if err := b.store.SaveItems(ctx, items); err != nil {
		t.Fatal(err)
	}
	if err := b.store.SaveItems(ctx, []store.Item{{Kind: "node", Key: "H41/a", Value: []byte("changed")}, {Kind: "no\x00de", Key: "x", Value: []byte("1")}}); err == nil {
		t.Error("a kind with a zero byte was saved")
	}
	if err := b.store.SaveItems(ctx, []store.Item{{Kind: "node", Key: "H41/b"}}); err != nil {
		t.Fatal(err)
	}
	b.reopen()
	found, err := b.store.LoadItems(ctx, []string{"node", "right", "token"})
	if diff := cmp.Diff([]store.Item{items[0], items[2]}, found); diff != "" || err != nil {
		t.Errorf("items (-want +got), error %v:\n%s", err, diff)
	}
}

func testAudit(t *testing.T, b *bench) {
	for i := range 3 {
		sequence, err := b.store.AppendAudit(t.Context(), fmt.Appendf(nil, "line %d", i+1))
		if err != nil || sequence != uint64(i+1) {
			t.Fatalf("line %d: sequence %d, error %v", i+1, sequence, err)
		}
		b.reopen()
	}
	entries, err := b.store.AuditAfter(t.Context(), 1, 1)
	if diff := cmp.Diff([]store.Entry{{Sequence: 2, Record: []byte("line 2")}}, entries); diff != "" || err != nil {
		t.Errorf("audit after 1 (-want +got), error %v:\n%s", err, diff)
	}
}
