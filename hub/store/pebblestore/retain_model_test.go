package pebblestore_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// notDone is what waits or is a dead letter.
func notDone(t *rapid.T, s *pebblestore.Store) map[uint64]bool {
	all := map[uint64]bool{}
	for _, recipient := range []string{"P", "Q"} {
		pending, err := s.Pending(context.Background(), recipient, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pending {
			all[p.Sequence] = true
		}
		letters, err := s.DeadLetters(context.Background(), recipient, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, letter := range letters {
			all[letter.Sequence] = true
		}
	}
	return all
}

// retain removes packets of two kinds: one by age, one by size.
func (m *model) retain(t *rapid.T, s *pebblestore.Store) {
	waits := notDone(t, s)
	how := store.Retention{
		Kinds: map[uint32]store.Keep{
			2: {Age: time.Duration(rapid.IntRange(1, 3).Draw(t, "age")) * time.Second},
			3: {Bytes: rapid.SampledFrom([]int64{1, 1000, 5000}).Draw(t, "bytes")},
		},
		Now:  time.Unix(3, 0),
		UpTo: rapid.Uint64Range(0, uint64(len(m.accepted)+1)).Draw(t, "up to"),
	}
	last := uint64(0)
	told := map[uint64]bool{}
	retained, err := s.Retain(context.Background(), how, func(_ context.Context, entries []store.Entry) error {
		for _, e := range entries {
			want := m.accepted[e.Sequence-1]
			keep := how.Kinds[want.submission.Kind]
			switch {
			case e.Sequence <= last:
				t.Fatalf("told of %d after %d", e.Sequence, last)
			case waits[e.Sequence]:
				t.Fatalf("%d is not done, but removed", e.Sequence)
			case e.Sequence > how.UpTo || keep == (store.Keep{}) || time.Unix(1, 0).Add(keep.Age).After(how.Now):
				t.Fatalf("%d of kind %d is removed; that is not asked for by %+v", e.Sequence, want.submission.Kind, how)
			case m.told[e.Sequence]:
				t.Fatalf("%d is removed again", e.Sequence)
			case !bytes.Equal(e.Record, want.record):
				t.Fatalf("told of %d with the record %q; want %q", e.Sequence, e.Record, want.record)
			}
			last = e.Sequence
			told[e.Sequence] = true
		}
		return nil
	})
	if err != nil || retained.Removed != int64(len(told)) {
		t.Fatalf("removed %d, told of %d, %v", retained.Removed, len(told), err)
	}
	for sequence := range told {
		m.told[sequence] = false
	}
	m.wantKept(t, retained)
	m.maybe.retained = len(told) > 0
}

// wantKept checks what is said of what is left.
func (m *model) wantKept(t *rapid.T, retained store.Retained) {
	want := map[uint32]store.Kept{}
	for i, a := range m.accepted {
		if _, gone := m.told[uint64(i+1)]; gone {
			continue
		}
		k := want[a.submission.Kind]
		k.Packets++
		k.Bytes += int64(len(a.record)) + a.submission.ContentBytes
		want[a.submission.Kind] = k
	}
	for kind, k := range want {
		got := retained.Kinds[kind]
		if got.Packets != k.Packets || got.Bytes != k.Bytes || !got.Oldest.Equal(time.Unix(1, 0)) {
			t.Fatalf("of kind %d it says that there are %+v; want %+v", kind, got, k)
		}
	}
	if len(retained.Kinds) != len(want) {
		t.Fatalf("kinds %v; want %v", retained.Kinds, want)
	}
}

// discard does away with dead letters: their packets are done.
func (m *model) discard(t *rapid.T, s *pebblestore.Store) {
	letters, err := s.DeadLetters(context.Background(), "P", 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	var sequences []uint64
	for _, letter := range letters {
		sequences = append(sequences, letter.Sequence)
	}
	done, err := s.Discard(context.Background(), "P", sequences)
	if err != nil || !slices.Equal(done, sequences) {
		t.Fatalf("discarded %v, %v; want %v", done, err, sequences)
	}
	for _, sequence := range sequences {
		m.acked["P"][sequence] = false
	}
}

// checkRecords checks that records are there, or were removed.
func (m *model) checkRecords(t *rapid.T, s *pebblestore.Store) {
	ctx := context.Background()
	entries, err := s.AcceptedAfter(ctx, 0, 1000, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range m.accepted {
		sequence := uint64(i + 1)
		sure, told := m.told[sequence]
		records, err := s.Records(ctx, []uint64{sequence})
		if errors.Is(err, store.ErrRemoved) && told {
			m.told[sequence] = true // it stays so
			continue
		}
		if err != nil || !bytes.Equal(records[0], want.record) || sure {
			t.Fatalf("record %d is %q, %v; want %q, removed: %v", sequence, records, err, want.record, sure)
		}
		delete(m.told, sequence)
		if len(entries) == 0 || entries[0].Sequence != sequence || !bytes.Equal(entries[0].Record, want.record) {
			t.Fatalf("of the accepted log there is %v; want %d first", entries, sequence)
		}
		entries = entries[1:]
	}
	if len(entries) > 0 {
		t.Fatalf("%d entries more in the accepted log than there are records", len(entries))
	}
}
