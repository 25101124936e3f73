package pebblestore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// TestCrashesKeepTheGuarantees loses power at some operation of the file system,
// many lives in a row, and compares what is there afterwards with what the calls
// had returned: definitely there, maybe there, never there.
func TestCrashesKeepTheGuarantees(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		disk := vfs.NewCrashableMem()
		m := newModel()
		for life := range rapid.IntRange(1, 4).Draw(t, "lives") {
			disk = live(t, disk, m, life)
		}
		s := openCrashed(t, disk)
		m.check(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "without index") { // it is made again from what was left of the journal
			if err := disk.RemoveAll("data/index"); err != nil {
				t.Fatal(err)
			}
		}
		s = openCrashed(t, disk)
		m.check(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantSound(t, disk)
	})
}

// openCrashed opens a store whose windows and segments are so small that each of a
// few dozen packets crosses a boundary.
func openCrashed(t *rapid.T, disk vfs.FS) *pebblestore.Store {
	wantSound(t, disk)
	s, err := pebblestore.Open("data", pebblestore.Options{FS: disk, WindowEntries: 8, SegmentBytes: 4 << 10, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatalf("open after a crash: %v", err)
	}
	return s
}

// live works on a store until its power is lost, and returns the disk that is left.
func live(t *rapid.T, disk *vfs.MemFS, m *model, life int) *vfs.MemFS {
	var writes atomic.Int64
	crashAt := rapid.Int64Range(1, 150).Draw(t, "crash at write")
	cfg := vfs.CrashCloneCfg{
		UnsyncedDataPercent: rapid.SampledFrom([]int{0, 50, 100}).Draw(t, "of what is not synced"),
		RNG:                 rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), //nolint:gosec // a test
	}
	var left atomic.Pointer[vfs.MemFS]
	counted := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && writes.Add(1) == crashAt {
			left.Store(disk.CrashClone(cfg))
		}
		return nil
	}))
	s := openCrashed(t, counted)
	m.check(t, s)
	for step := range rapid.IntRange(1, 40).Draw(t, "steps") {
		m.step(t, s, fmt.Sprintf("%d-%d", life, step))
		if left.Load() != nil {
			m.lost() // the step may be on the disk or not
			break
		}
		m.returned()
	}
	if left.Load() == nil {
		left.Store(disk.CrashClone(cfg))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return left.Load()
}

// model is what calls have returned.
type model struct {
	accepted []accepted                 // by sequence, from 1; the last ones are maybe there
	sure     int                        // so many are definitely there
	acked    map[string]map[uint64]bool // by recipient: whether it is definitely so
	told     map[uint64]bool            // of what a Retain was about to remove: whether it definitely has
	items    map[string]string
	audit    int
	maybe    struct {
		accepted []accepted
		item     *[2]string
		audit    int
		retained bool
	}
}

type accepted struct {
	submission store.Submission
	record     []byte
}

func newModel() *model {
	return &model{acked: map[string]map[uint64]bool{"P": {}, "Q": {}}, told: map[uint64]bool{}, items: map[string]string{}}
}

// step does something that a hub does.
func (m *model) step(t *rapid.T, s *pebblestore.Store, name string) {
	m.maybe.accepted, m.maybe.item, m.maybe.audit, m.maybe.retained = nil, nil, 0, false
	ctx := context.Background()
	switch rapid.SampledFrom([]string{"accept", "accept", "accept", "acknowledge", "acknowledge", "retain", "bury", "revive", "discard", "save", "audit"}).Draw(t, "step") {
	case "retain":
		m.retain(t, s)
	case "discard":
		m.discard(t, s)
	case "accept":
		m.accept(t, s, name)
	case "acknowledge":
		m.acknowledge(t, s)
	case "bury":
		m.bury(t, s)
	case "revive":
		m.revive(t, s)
	case "save":
		m.maybe.item = &[2]string{rapid.SampledFrom([]string{"a", "b"}).Draw(t, "item"), name}
		if err := s.SaveItems(ctx, []store.Item{{Kind: "node", Key: m.maybe.item[0], Value: []byte(name)}}); err != nil {
			t.Fatal(err)
		}
	case "audit":
		m.maybe.audit = 1
		if number, err := s.AppendAudit(ctx, []byte("line")); err != nil || number != uint64(m.audit+1) {
			t.Fatalf("audit line %d, %v; want %d", number, err, m.audit+1)
		}
	}
}

func (m *model) accept(t *rapid.T, s *pebblestore.Store, name string) {
	var group []store.Submission
	for i := range rapid.IntRange(1, 5).Draw(t, "packets") {
		id := fmt.Sprintf("%s-%d", name, i)
		if rapid.IntRange(0, 3).Draw(t, "order of ids") == 0 {
			id = "0" + id // below ids that were used before
		}
		sub := store.Submission{
			Sender: rapid.SampledFrom([]string{"A", "B"}).Draw(t, "sender"), ID: id, Order: uint64(i % 2),
			Recipients: rapid.SampledFrom([][]string{{"P"}, {"Q"}, {"P", "Q"}}).Draw(t, "recipients"),
			Kind:       rapid.SampledFrom([]uint32{1, 2, 2, 3, 3}).Draw(t, "kind"), ContentBytes: rapid.Int64Range(0, 3).Draw(t, "beside") * 1000,
		}
		copy(sub.Digest[:], id)
		group = append(group, sub)
		m.maybe.accepted = append(m.maybe.accepted, accepted{sub, bytes.Repeat([]byte(id), rapid.IntRange(1, 60).Draw(t, "size"))})
	}
	outcomes, err := s.Accept(context.Background(), group, func(fresh []store.Fresh) (store.Sealed, error) {
		sealed := store.Sealed{Note: []byte("note " + name), At: time.Unix(1, 0)}
		for _, f := range fresh {
			sealed.Records = append(sealed.Records, m.maybe.accepted[f.Index].record)
			sealed.Leaves = append(sealed.Leaves, fmt.Appendf(nil, "leaf %d", f.Sequence))
		}
		return sealed, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		if want := (store.Outcome{Verdict: store.Accepted, Sequence: uint64(m.sure + i + 1)}); o != want {
			t.Fatalf("%s became %v; want %v", group[i].ID, o, want)
		}
	}
}

func (m *model) acknowledge(t *rapid.T, s *pebblestore.Store) {
	recipient := rapid.SampledFrom([]string{"P", "Q"}).Draw(t, "recipient")
	pending, err := s.Pending(context.Background(), recipient, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var some []uint64
	for _, p := range pending {
		if rapid.Bool().Draw(t, "acknowledge") {
			some = append(some, p.Sequence)
		}
	}
	done, err := s.Acknowledge(context.Background(), recipient, some)
	if err != nil || !slices.Equal(done, some) {
		t.Fatalf("acknowledged %v, %v; want %v", done, err, some)
	}
	for _, sequence := range some {
		m.acked[recipient][sequence] = false
	}
	if done, err := s.Acknowledge(context.Background(), recipient, some); err != nil || len(done) > 0 {
		t.Fatalf("acknowledged again %v, %v", done, err)
	}
}

// bury and revive move deliveries to the dead letters and back. What is there after
// a crash is one or the other, which checkInbox finds out by asking for both.
func (m *model) bury(t *rapid.T, s *pebblestore.Store) {
	pending, err := s.Pending(context.Background(), "P", 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	var letters []store.DeadLetter
	for _, p := range pending {
		letters = append(letters, store.DeadLetter{Sequence: p.Sequence, Reason: "no", Attempts: 1, At: time.Unix(2, 0)})
	}
	if done, err := s.Bury(context.Background(), "P", letters); err != nil || len(done) != len(letters) {
		t.Fatalf("buried %v, %v; want %d", done, err, len(letters))
	}
}

func (m *model) revive(t *rapid.T, s *pebblestore.Store) {
	letters, err := s.DeadLetters(context.Background(), "P", 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	var sequences []uint64
	for _, letter := range letters {
		sequences = append(sequences, letter.Sequence)
	}
	if back, err := s.Revive(context.Background(), "P", sequences); err != nil || len(back) != len(sequences) {
		t.Fatalf("revived %v, %v; want %v", back, err, sequences)
	}
}

// returned takes the step as definitely there. What is durable in the journal has
// everything before it in it.
func (m *model) returned() {
	durable := len(m.maybe.accepted) > 0 || m.maybe.item != nil || m.maybe.audit > 0 || m.maybe.retained
	m.accepted = append(m.accepted[:m.sure], m.maybe.accepted...)
	m.sure = len(m.accepted)
	if m.maybe.item != nil {
		m.items[m.maybe.item[0]] = m.maybe.item[1]
	}
	m.audit += m.maybe.audit
	for _, acked := range m.acked {
		for sequence := range acked {
			acked[sequence] = acked[sequence] || durable
		}
	}
	for sequence := range m.told {
		m.told[sequence] = true
	}
	m.maybe.accepted, m.maybe.item, m.maybe.audit, m.maybe.retained = nil, nil, 0, false
}

// lost leaves open whether the step is there: check finds out.
func (m *model) lost() { m.accepted = append(m.accepted[:m.sure], m.maybe.accepted...) }

// check compares a store with the model, and takes what was maybe there as what it
// turns out to be.
func (m *model) check(t *rapid.T, s *pebblestore.Store) {
	m.checkAccepted(t, s)
	m.checkRecords(t, s)
	for recipient := range m.acked {
		m.checkInbox(t, s, recipient)
	}
	m.checkRegistry(t, s)
}

// checkAccepted checks what stays of a packet for ever.
func (m *model) checkAccepted(t *rapid.T, s *pebblestore.Store) {
	ctx := context.Background()
	there := 0
	for i, want := range m.accepted {
		sequence := uint64(i + 1)
		group, err := s.Group(ctx, sequence)
		if i >= m.sure && errors.Is(err, store.ErrNotFound) {
			break
		}
		if err != nil || string(group.Leaves[sequence-group.First]) != fmt.Sprintf("leaf %d", sequence) {
			t.Fatalf("group of %d: %v, %v", sequence, group, err)
		}
		found, digest, err := s.Find(ctx, want.submission.Sender, want.submission.ID)
		if err != nil || found != sequence || digest != want.submission.Digest {
			t.Fatalf("%s of %s was accepted as %d, %v; want %d", want.submission.ID, want.submission.Sender, found, err, sequence)
		}
		there++
	}
	if there != m.sure && there != len(m.accepted) {
		t.Fatalf("%d packets are there; want %d, or %d with the group that was under way", there, m.sure, len(m.accepted))
	}
	for _, never := range m.accepted[there:] {
		if _, _, err := s.Find(ctx, never.submission.Sender, never.submission.ID); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("%s is not there, but its key is: %v", never.submission.ID, err)
		}
	}
	if _, err := s.Group(ctx, uint64(there+1)); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("the group after the last: %v", err)
	}
	m.accepted = m.accepted[:there]
	m.sure = there
}

func (m *model) checkInbox(t *rapid.T, s *pebblestore.Store, recipient string) {
	pending, err := s.Pending(context.Background(), recipient, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	waits := map[uint64]bool{}
	last := uint64(0)
	for _, p := range pending {
		if p.Sequence <= last || p.Sequence > uint64(len(m.accepted)) {
			t.Fatalf("%d waits for %s after %d, of %d", p.Sequence, recipient, last, len(m.accepted))
		}
		last = p.Sequence
		waits[p.Sequence] = true
		if want := m.accepted[p.Sequence-1]; int(p.Size) != len(want.record) || p.Order != want.submission.Order {
			t.Fatalf("delivery %v; want the order %d and size %d", p, want.submission.Order, len(want.record))
		}
	}
	var bytes int64
	for _, p := range pending {
		bytes += int64(p.Size) + m.accepted[p.Sequence-1].submission.ContentBytes
	}
	if backlog, err := s.Backlog(context.Background(), recipient); err != nil || backlog != (store.Backlog{Deliveries: int64(len(pending)), Bytes: bytes}) {
		t.Fatalf("backlog of %s is %v, %v; %d deliveries of %d bytes wait", recipient, backlog, err, len(pending), bytes)
	}
	letters, err := s.DeadLetters(context.Background(), recipient, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, letter := range letters {
		if waits[letter.Sequence] {
			t.Fatalf("%d waits for %s and is a dead letter", letter.Sequence, recipient)
		}
		waits[letter.Sequence] = true
	}
	for i, a := range m.accepted {
		sequence := uint64(i + 1)
		sure, acknowledged := m.acked[recipient][sequence]
		switch addressed := slices.Contains(a.submission.Recipients, recipient); {
		case waits[sequence] && m.told[sequence]:
			t.Fatalf("%d waits for %s, or is a dead letter; it was removed", sequence, recipient)
		case waits[sequence] && !addressed:
			t.Fatalf("%d waits for %s, to whom it is not addressed", sequence, recipient)
		case waits[sequence] && sure:
			t.Fatalf("%d waits for %s, which had acknowledged it before something durable", sequence, recipient)
		case !waits[sequence] && addressed && !acknowledged:
			t.Fatalf("%d does not wait for %s, which never acknowledged it", sequence, recipient)
		case waits[sequence] && acknowledged:
			delete(m.acked[recipient], sequence) // it is delivered again
		case !waits[sequence] && acknowledged:
			m.acked[recipient][sequence] = true // it stays so
		}
	}
}

func (m *model) checkRegistry(t *rapid.T, s *pebblestore.Store) {
	found, err := s.LoadItems(context.Background(), []string{"node"})
	if err != nil {
		t.Fatal(err)
	}
	items := map[string]string{}
	for _, item := range found {
		items[item.Key] = string(item.Value)
	}
	if with := maps.Clone(m.items); m.maybe.item != nil {
		with[m.maybe.item[0]] = m.maybe.item[1]
		if maps.Equal(items, with) {
			m.items = with
		}
	}
	if !maps.Equal(items, m.items) {
		t.Fatalf("items are %v; want %v, maybe with %v", items, m.items, m.maybe.item)
	}
	lines, err := s.AuditAfter(context.Background(), 0, 1000)
	if err != nil || len(lines) != m.audit && len(lines) != m.audit+m.maybe.audit {
		t.Fatalf("%d audit lines, %v; want %d, or one more", len(lines), err, m.audit)
	}
	m.audit = len(lines)
	m.maybe.item, m.maybe.audit = nil, 0
}
