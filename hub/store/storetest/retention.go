package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lienthong/lienthong/hub/store"
)

// day is when groups of the retention tests are accepted: that many days after a start.
func day(n int) time.Time { return time.Unix(1_700_000_000, 0).Add(time.Duration(n) * 24 * time.Hour) }

// bulky is a record that is worth removing.
func bulky(sequence uint64) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "record %d ", sequence), 2000)
}

// acceptOn accepts a group on a day, with large records.
func (b *bench) acceptOn(n int, group ...store.Submission) {
	b.t.Helper()
	_, err := b.store.Accept(b.t.Context(), group, func(fresh []store.Fresh) (store.Sealed, error) {
		sealed := store.Sealed{Note: fmt.Appendf(nil, "note %d %d", fresh[0].Sequence, len(fresh)), At: day(n)}
		for _, f := range fresh {
			sealed.Records = append(sealed.Records, bulky(f.Sequence))
			sealed.Leaves = append(sealed.Leaves, fmt.Appendf(nil, "leaf %d", f.Sequence))
		}
		return sealed, nil
	})
	if err != nil {
		b.t.Fatalf("accept: %v", err)
	}
}

func ofKind(kind uint32, sub store.Submission) store.Submission {
	sub.Kind = kind
	return sub
}

func (b *bench) acknowledge(recipient string, sequences ...uint64) {
	b.t.Helper()
	done, err := b.store.Acknowledge(b.t.Context(), recipient, sequences)
	if err != nil || !slices.Equal(done, sequences) {
		b.t.Fatalf("acknowledged %v, %v; want %v", done, err, sequences)
	}
}

// retain removes, and returns which records were about to go.
func (b *bench) retain(how store.Retention) (store.Retained, []uint64) {
	b.t.Helper()
	var told []uint64
	retained, err := b.store.Retain(b.t.Context(), how, func(_ context.Context, entries []store.Entry) error {
		for _, e := range entries {
			if !bytes.Equal(e.Record, bulky(e.Sequence)) {
				b.t.Errorf("told of %d with the record %.20q", e.Sequence, e.Record)
			}
			told = append(told, e.Sequence)
		}
		return nil
	})
	if err != nil {
		b.t.Fatalf("retain: %v", err)
	}
	return retained, told
}

// wantRemoved checks, of packets up to a sequence, which records are there, and that
// everything else of all of them is.
func (b *bench) wantRemoved(last uint64, removed ...uint64) {
	b.t.Helper()
	ctx := b.t.Context()
	var there []uint64
	for sequence := uint64(1); sequence <= last; sequence++ {
		gone := slices.Contains(removed, sequence)
		records, err := b.store.Records(ctx, []uint64{sequence})
		switch {
		case gone && !errors.Is(err, store.ErrRemoved):
			b.t.Errorf("record %d: %v; want ErrRemoved", sequence, err)
		case !gone && (err != nil || !bytes.Equal(records[0], bulky(sequence))):
			b.t.Errorf("record %d: %.20q, %v", sequence, records, err)
		}
		if !gone {
			there = append(there, sequence)
		}
		group, err := b.store.Group(ctx, sequence)
		if err != nil || string(group.Leaves[sequence-group.First]) != fmt.Sprintf("leaf %d", sequence) ||
			string(group.Note) != fmt.Sprintf("note %d %d", group.First, len(group.Leaves)) {
			b.t.Errorf("group of %d: %+v, %v", sequence, group, err)
		}
	}
	entries, err := b.store.AcceptedAfter(ctx, 0, 1000, 1<<20)
	if err != nil {
		b.t.Fatalf("accepted log: %v", err)
	}
	var read []uint64
	for _, e := range entries {
		read = append(read, e.Sequence)
	}
	if diff := cmp.Diff(there, read); diff != "" {
		b.t.Errorf("accepted log (-want +got):\n%s", diff)
	}
}

const (
	kindKept  = 1
	kindAging = 2
	kindBulky = 3
)

var errNoContent = errors.New("the content cannot be removed")

// Only what is done goes, once it is old enough, and only up to where it was read.
func testRetainByAge(t *testing.T, b *bench) {
	b.acceptOn(0, ofKind(kindAging, submission("A", "1", "x", "P", "Q")))
	b.acceptOn(0, ofKind(kindKept, submission("A", "2", "x", "P")))
	b.acceptOn(0, ofKind(kindAging, submission("A", "3", "x", "P")))
	b.acceptOn(0, ofKind(kindAging, submission("A", "4", "x", "P")))
	b.acceptOn(3, ofKind(kindAging, submission("A", "5", "x", "P")))
	b.acceptOn(0, ofKind(kindAging, submission("A", "6", "x", "P")))
	b.acknowledge("P", 1, 2, 4, 5, 6)
	b.bury("P", 3)
	how := store.Retention{Kinds: map[uint32]store.Keep{kindAging: {Age: 72 * time.Hour}}, Now: day(3).Add(-1), UpTo: 5}
	if retained, told := b.retain(how); retained.Removed != 0 || len(told) > 0 {
		t.Errorf("too early %d were removed, told of %v", retained.Removed, told)
	}
	how.Now = day(3)
	retained, told := b.retain(how)
	if !slices.Equal(told, []uint64{4}) || retained.Removed != 1 || retained.RemovedBytes != int64(len(bulky(4))) {
		t.Errorf("removed %d of %d bytes, told of %v; want 4", retained.Removed, retained.RemovedBytes, told)
	}
	size := int64(len(bulky(1)))
	want := map[uint32]store.Kept{kindKept: {Packets: 1, Bytes: size, Oldest: day(0)}, kindAging: {Packets: 4, Bytes: 4 * size, Oldest: day(0)}}
	if diff := cmp.Diff(want, retained.Kinds); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	b.wantRemoved(6, 4)
	b.wantPending("Q", 1)
	b.wantState("P", 3, store.Dead)

	b.acknowledge("Q", 1)
	if done, err := b.store.Discard(t.Context(), "P", []uint64{3}); err != nil || len(done) != 1 {
		t.Fatalf("discarded %v, %v", done, err)
	}
	how.UpTo = 6
	if _, told := b.retain(how); !slices.Equal(told, []uint64{1, 3, 6}) {
		t.Errorf("once they were done, and read, told of %v; want 1, 3, 6", told)
	}
	b.wantRemoved(6, 1, 3, 4, 6)
	b.reopen()
	b.wantRemoved(6, 1, 3, 4, 6)
	b.wantDead("P")
	b.wantPending("P")
	b.wantPending("Q")
	if retained, told := b.retain(how); retained.Removed != 0 || len(told) > 0 {
		t.Errorf("removed again: %d, told of %v", retained.Removed, told)
	}
}

// Of a kind with too much the oldest go that are done; what waits counts, but stays.
func testRetainBySize(t *testing.T, b *bench) {
	size := int64(len(bulky(1)))
	for i := range 6 {
		sub := ofKind(kindBulky, submission("A", fmt.Sprint(i), "x", "P"))
		sub.ContentBytes = 10 * size
		b.acceptOn(i, sub)
	}
	b.acceptOn(6, ofKind(kindKept, submission("A", "6", "x")))
	b.acknowledge("P", 2, 3, 4, 5, 6)
	if backlog, err := b.store.Backlog(t.Context(), "P"); err != nil || backlog != (store.Backlog{Deliveries: 1, Bytes: 11 * size}) {
		t.Errorf("backlog %+v, %v; want one delivery with what is beside its record", backlog, err)
	}
	how := store.Retention{Kinds: map[uint32]store.Keep{kindBulky: {Bytes: 6 * 11 * size}}, Now: day(6), UpTo: 100}
	if retained, told := b.retain(how); retained.Removed > 0 || len(told) > 0 {
		t.Errorf("of no more than allowed %d were removed", retained.Removed)
	}
	how.Kinds[kindBulky] = store.Keep{Bytes: 4*11*size + size}
	retained, told := b.retain(how)
	if !slices.Equal(told, []uint64{2, 3}) || retained.RemovedBytes != 2*11*size {
		t.Errorf("%d bytes, told of %v; want the oldest two that are done", retained.RemovedBytes, told)
	}
	if got := retained.Kinds[kindBulky]; got.Packets != 4 || got.Bytes != 4*11*size || !got.Oldest.Equal(day(0)) {
		t.Errorf("kept %+v; want 4 packets", got)
	}
	if retained.Freed <= 0 {
		t.Errorf("%d bytes of the disk were freed", retained.Freed)
	}
	b.wantRemoved(7, 2, 3)
	b.wantPending("P", 1)
}

// A removed packet is still what was accepted: its id is taken.
func testRetainKeepsIdentities(t *testing.T, b *bench) {
	b.acceptOn(0, ofKind(kindAging, submission("A", "1", "x", "P")), ofKind(kindAging, submission("A", "2", "y", "P")))
	b.acknowledge("P", 1, 2)
	b.retain(store.Retention{Kinds: map[uint32]store.Keep{kindAging: {Age: 1}}, Now: day(1), UpTo: 2})
	for range 2 {
		wantOutcomes(t, b.accept(submission("A", "1", "x", "P"), submission("A", "1", "other", "P"), submission("A", "2", "y", "P")),
			store.Outcome{Verdict: store.Duplicate, Sequence: 1},
			store.Outcome{Verdict: store.Conflict, Sequence: 1},
			store.Outcome{Verdict: store.Duplicate, Sequence: 2})
		sequence, digest, err := b.store.Find(t.Context(), "A", "2")
		if sequence != 2 || digest != submission("A", "2", "y").Digest || err != nil {
			t.Errorf("find: %d %x %v", sequence, digest, err)
		}
		b.wantRemoved(2, 1, 2)
		b.wantState("P", 1, store.Acknowledged)
		b.wantPending("P")
		b.reopen()
	}
}

// Of a group some go, and others stay.
func testRetainPartsOfGroups(t *testing.T, b *bench) {
	var group []store.Submission
	var done []uint64
	for i := range 12 {
		kind := uint32(kindAging)
		if i%3 == 0 {
			kind = kindKept
		}
		if i%4 > 0 {
			done = append(done, uint64(i+1)) //nolint:gosec // small
		}
		group = append(group, ofKind(kind, submission("A", fmt.Sprint(i), "x", "P", "Q")))
	}
	b.acceptOn(0, group...)
	b.acknowledge("P", done...)
	b.acknowledge("Q", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
	how := store.Retention{Kinds: map[uint32]store.Keep{kindAging: {Age: 1}}, Now: day(1), UpTo: 11}
	if _, told := b.retain(how); !slices.Equal(told, []uint64{2, 3, 6, 8, 11}) {
		t.Errorf("told of %v; want those of the kind that are done", told)
	}
	b.wantRemoved(12, 2, 3, 6, 8, 11)
	b.acknowledge("P", 5, 9)
	how.UpTo = 12
	b.retain(how)
	b.wantRemoved(12, 2, 3, 5, 6, 8, 9, 11, 12)
	records, err := b.store.Records(t.Context(), []uint64{1, 4, 7, 10})
	if err != nil || len(records) != 4 || !bytes.Equal(records[3], bulky(10)) {
		t.Errorf("what is left between: %d records, %v", len(records), err)
	}
	if _, err := b.store.Records(t.Context(), []uint64{1, 2, 4}); !errors.Is(err, store.ErrRemoved) {
		t.Errorf("with one that was removed: %v; want ErrRemoved", err)
	}
	b.wantPending("P", 1)
	b.reopen()
	b.wantPending("P", 1)
	b.wantRemoved(12, 2, 3, 5, 6, 8, 9, 11, 12)
}

// An error of who is told ends the pass, and comes back; the records are told again.
func testRetainCanFail(t *testing.T, b *bench) {
	b.acceptOn(0, ofKind(kindAging, submission("A", "1", "x", "P")))
	b.acceptOn(0, ofKind(kindAging, submission("A", "2", "x", "P")))
	b.acknowledge("P", 1, 2)
	how := store.Retention{Kinds: map[uint32]store.Keep{kindAging: {Age: 1}}, Now: day(1), UpTo: 2}
	_, err := b.store.Retain(t.Context(), how, func(context.Context, []store.Entry) error { return errNoContent })
	if !errors.Is(err, errNoContent) {
		t.Errorf("retain: %v; want %v", err, errNoContent)
	}
	b.wantRemoved(2)
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := b.store.Retain(ended, how, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	for _, keep := range []store.Keep{{Age: -1}, {Bytes: -1}} {
		how := how
		how.Kinds = map[uint32]store.Keep{kindAging: keep}
		if _, err := b.store.Retain(t.Context(), how, nil); err == nil {
			t.Errorf("bounds of %+v were taken", keep)
		}
	}
	if _, told := b.retain(how); !slices.Equal(told, []uint64{1, 2}) {
		t.Errorf("told of %v; want both", told)
	}
	b.wantRemoved(2, 1, 2)
}

// Without bounds, everything is kept.
func testRetainForEver(t *testing.T, b *bench) {
	b.acceptOn(0, ofKind(kindAging, submission("A", "1", "x")), ofKind(kindKept, submission("A", "2", "x")))
	for _, kinds := range []map[uint32]store.Keep{nil, {kindAging: {}}} {
		if retained, told := b.retain(store.Retention{Kinds: kinds, Now: day(10_000), UpTo: 2}); retained.Removed > 0 || len(told) > 0 || len(retained.Kinds) != 2 {
			t.Errorf("%d were removed, told of %v, kept %v", retained.Removed, told, retained.Kinds)
		}
	}
	b.wantRemoved(2)
}
