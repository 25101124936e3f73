package blobs_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/blobs"
)

// acceptedContent keeps a content whose packet was accepted.
func acceptedContent(t *testing.T, b *blobs.Blobs, l *ledger, id string) (blobs.Content, []byte) {
	t.Helper()
	p := drawn(1000, 1)
	c := contentOf("H41/motcua", id, p)
	if _, err := put(b, c, p, len(p), mib); err != nil {
		t.Fatal(err)
	}
	hold, err := b.Hold(c)
	if err != nil {
		t.Fatal(err)
	}
	l.accept(c)
	hold.Release(blobs.Accepted)
	runOnce(t, b)
	return c, p
}

func wantRetired(t *testing.T, b *blobs.Blobs, want blobs.Retired) {
	t.Helper()
	if got, err := b.RemoveRetired(context.Background()); err != nil || got != want {
		t.Errorf("removed %+v, %v; want %+v", got, err, want)
	}
}

// A content goes when its packet has gone, and not before; that it went is known for as
// long as somebody may be copying.
func TestContentsGoAfterTheirPackets(t *testing.T) {
	t.Parallel()
	now := time.Now()
	files, l := vfs.NewMem(), &ledger{}
	b := open(t, files, l, func(o *blobs.Options) { o.Clock = func() time.Time { return now } })
	c, p := acceptedContent(t, b, l, "a")
	wantRetired(t, b, blobs.Retired{})
	if err := b.Retire(t.Context(), []blobs.Content{c}); err != nil {
		t.Fatal(err)
	}
	wantRetired(t, b, blobs.Retired{}) // its packet has stayed
	if got, err := read(b, c, 0); err != nil || len(got) != len(p) {
		t.Fatalf("read %d bytes, %v; its packet is there", len(got), err)
	}
	if b.IsRetired(c) {
		t.Error("it counts as removed; were it lost now, nobody would be told")
	}
	for range 2 { // a pass that fails after it begins again
		if err := b.Retire(t.Context(), []blobs.Content{c}); err != nil {
			t.Fatal(err)
		}
	}
	delete(l.has, c)
	wantRetired(t, b, blobs.Retired{Contents: 1, Bytes: c.Size})
	wantRetired(t, b, blobs.Retired{})
	if _, err := read(b, c, 0); !errors.Is(err, store.ErrNotFound) || !b.IsRetired(c) {
		t.Errorf("after that: %v, known as removed %v; want it gone, and known", err, b.IsRetired(c))
	}
	l.accept(c) // a copy of the packets, older than that of the contents
	now = now.Add(365 * 24 * time.Hour)
	wantRetired(t, b, blobs.Retired{})
	if !b.IsRetired(c) {
		t.Error("where its packet is, it is forgotten that it was removed")
	}
	delete(l.has, c)
	wantRetired(t, b, blobs.Retired{})
	if names, err := files.List("blobs/retired"); err != nil || len(names) > 0 {
		t.Errorf("after a year, notes %v, %v are there; want none", names, err)
	}
}

// Where it is not known whether a packet is there, its content stays, and others go all
// the same.
func TestContentsStayWhereNobodyKnows(t *testing.T) {
	t.Parallel()
	files, l := vfs.NewMem(), &ledger{}
	b := open(t, files, l)
	c, _ := acceptedContent(t, b, l, "a")
	other, _ := acceptedContent(t, b, l, "b")
	if err := b.Retire(t.Context(), []blobs.Content{c, other}); err != nil {
		t.Fatal(err)
	}
	troubled := open(t, files, l, func(o *blobs.Options) {
		o.Accepted = func(_ context.Context, asked blobs.Content) (bool, error) {
			if asked == c {
				return false, errors.New("the disk is slow today")
			}
			return false, nil
		}
	})
	if got, err := troubled.RemoveRetired(t.Context()); err == nil || got.Contents != 1 {
		t.Errorf("removed %+v, %v; want one, and what was wrong with the other", got, err)
	}
	if _, err := read(b, c, 0); err != nil {
		t.Errorf("the one that nobody knows of: %v; want it there", err)
	}
	// A note that was cut short takes nothing with it.
	file, err := files.Create("blobs/retired/half", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write([]byte("lienthong bl")); err != nil || file.Close() != nil {
		t.Fatal(err)
	}
	wantRetired(t, b, blobs.Retired{})
	if names, err := files.List("blobs/retired"); err != nil || len(names) != 1 {
		t.Errorf("notes %v, %v; want that of the other content", names, err)
	}
}

// some draws some of what was accepted.
func some(rt *rapid.T, l *ledger) (drawn []blobs.Content) {
	for c := range l.has {
		drawn = append(drawn, c)
	}
	slices.SortFunc(drawn, func(a, b blobs.Content) int { return strings.Compare(a.ID, b.ID) })
	return slices.DeleteFunc(drawn, func(blobs.Content) bool { return rapid.Bool().Draw(rt, "kept") })
}

func removeRetired(rt *rapid.T, b *blobs.Blobs) {
	if _, err := b.RemoveRetired(context.Background()); err != nil {
		rt.Fatal(err)
	}
}
