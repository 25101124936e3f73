package pebblestore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

// checked is what Check says of a store.
type checked struct {
	pebblestore.Checked
	findings []pebblestore.Finding
}

func (c checked) problems() []pebblestore.Finding {
	return slices.DeleteFunc(slices.Clone(c.findings), func(f pebblestore.Finding) bool { return f.Notice })
}

func (c checked) has(rule pebblestore.Rule) bool {
	return slices.ContainsFunc(c.findings, func(f pebblestore.Finding) bool { return f.Rule == rule })
}

// failing is a rapid.T or a testing.T.
type failing interface {
	Fatalf(format string, args ...any)
}

func check(t failing, disk vfs.FS, memory int64) checked {
	var c checked
	var err error
	c.Checked, err = pebblestore.Check(context.Background(), "data", pebblestore.CheckOptions{FS: readOnly(t, disk), MemoryBytes: memory},
		func(f pebblestore.Finding) { c.findings = append(c.findings, f) })
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	return c
}

// readOnly is a disk on which nothing but locks may be written.
func readOnly(t failing, disk vfs.FS) vfs.FS {
	return errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose && path.Base(op.Path) != "LOCK" {
			t.Fatalf("operation %v on %s; a check changes nothing", op.Kind, op.Path)
		}
		return nil
	}))
}

// wantSound checks a store that was not closed, or was, or crashed. Nothing but what the
// next start clears away may be found.
func wantSound(t failing, disk vfs.FS) {
	if _, err := disk.Stat("data/journal"); errors.Is(err, fs.ErrNotExist) {
		return // it crashed before there was anything
	}
	for _, memory := range []int64{0, 200 << 10} {
		if c := check(t, disk, memory); len(c.problems()) > 0 {
			t.Fatalf("with %d bytes of memory: %+v; want no problem", memory, c.problems())
		}
	}
}

// lived is the disk of a closed store that has all there can be: what waits, is
// acknowledged, dead, revived and discarded; items, audit lines, several segments.
func lived(t testing.TB, packets int) *vfs.MemFS {
	t.Helper()
	disk := vfs.NewMem()
	s, err := pebblestore.Open("data", pebblestore.Options{FS: disk, SegmentBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for n := 0; n < packets; n += 20 {
		acceptGroup(t, s, n, 20)
	}
	if err := s.SaveItems(ctx, []store.Item{{Kind: "node", Key: "A", Value: []byte("first")}, {Kind: "node", Key: "B", Value: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveItems(ctx, []store.Item{{Kind: "node", Key: "A", Value: []byte("second")}, {Kind: "node", Key: "B"}}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"one", "two", "three"} {
		if _, err := s.AppendAudit(ctx, []byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	var most []uint64
	for n := 1; n <= packets; n++ {
		if n%10 != 0 {
			most = append(most, uint64(n)) //nolint:gosec // not negative
		}
	}
	_, err = s.Acknowledge(ctx, "P", most)
	letters := []store.DeadLetter{{Sequence: 10, Reason: "no", Attempts: 3, At: time.Unix(1, 0)}, {Sequence: 20}, {Sequence: 30}}
	_, buried := s.Bury(ctx, "P", letters)
	_, revived := s.Revive(ctx, "P", []uint64{20})
	_, discarded := s.Discard(ctx, "P", []uint64{30})
	if err := errors.Join(err, buried, revived, discarded, s.Close()); err != nil {
		t.Fatal(err)
	}
	return disk
}

// acceptGroup accepts packets from a number on, each to P, and some to Q.
func acceptGroup(t testing.TB, s *pebblestore.Store, from, count int) {
	t.Helper()
	var group []store.Submission
	for n := from; n < from+count; n++ {
		sub := store.Submission{Sender: "A", ID: fmt.Sprintf("id-%06d", n), Order: uint64(n % 7), Recipients: []string{"P"}, Kind: uint32(1 + n%2)} //nolint:gosec // small
		if n%3 == 0 {
			sub.Recipients = append(sub.Recipients, "Q")
		}
		sub.Digest[0] = byte(n)
		group = append(group, sub)
	}
	_, err := s.Accept(t.Context(), group, func(fresh []store.Fresh) (store.Sealed, error) {
		sealed := store.Sealed{Note: []byte("note"), At: time.Unix(1, 0)}
		for _, f := range fresh {
			sealed.Records = append(sealed.Records, fmt.Appendf(nil, "record %d %s", f.Sequence, strings.Repeat("x", 200)))
			sealed.Leaves = append(sealed.Leaves, fmt.Appendf(nil, "leaf %d", f.Sequence))
		}
		return sealed, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheckOfASoundStore(t *testing.T) {
	t.Parallel()
	const packets = 20_000
	disk := lived(t, packets)
	want := pebblestore.Checked{Packets: packets, Last: packets, Waiting: packets/10 - 2 + packets/3 + 1, Dead: 1}
	for _, memory := range []int64{0, 300 << 10, 100 << 10} { // all at once, and share by share
		c := check(t, disk, memory)
		c.Bytes = 0
		if len(c.findings) > 0 || !reflect.DeepEqual(c.Checked, want) {
			t.Errorf("with %d bytes of memory: %+v, %+v; want %+v and no finding", memory, c.Checked, c.findings, want)
		}
	}
}

// Whatever of the index is other than the journal makes it is found.
func TestCheckFindsWhatIsWrongInTheIndex(t *testing.T) {
	t.Parallel()
	number := func(n byte) []byte { return []byte{0, 0, 0, 0, 0, 0, 0, n} }
	key := func(text string, n byte) string { return text + string(number(n)) }
	for name, change := range map[string]struct {
		key   string
		value []byte // nil deletes
	}{
		"an id is missing":              {"kA\x00id-000007", nil},
		"an id of nothing":              {"kA\x00id-zzz", number(7)},
		"an id of another packet":       {"kA\x00id-000007", number(9)},
		"a delivery is missing":         {key("dP\x00", 40), nil},
		"a delivery came back":          {key("dP\x00", 41), make([]byte, 20)},
		"a delivery of another size":    {key("dP\x00", 40), make([]byte, 20)},
		"a dead letter is missing":      {key("xP\x00", 10), nil},
		"a dead letter of nothing":      {key("xP\x00", 11), []byte("x")},
		"a discarded letter is missing": {"z" + string(number(30)) + "P\x00", nil},
		"a discarded letter of nothing": {"z" + string(number(31)) + "P\x00", []byte("x")},
		"a discarded letter is another": {"z" + string(number(30)) + "P\x00", []byte("x")},
		"a backlog that is too large":   {"bP\x00", make([]byte, 16)},
		"a backlog of nobody":           {"bX\x00", append(number(1), number(1)...)},
		"a group is missing":            {key("g", 21), nil},
		"a group elsewhere":             {key("g", 21), number(1)},
		"a group of nothing":            {key("g", 22), number(1)},
		"an item has an old value":      {"rnode\x00A", []byte("first")},
		"an item was deleted":           {"rnode\x00B", []byte("x")},
		"an audit line has changed":     {key("a", 2), []byte("zwei")},
		"an audit line too many":        {key("a", 9), []byte("nine")},
		"a delivery that is no number":  {key("dP\x00", 40), []byte("x")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := lived(t, 200)
			withIndex(t, disk, func(db *pebble.DB) error {
				if change.value == nil {
					return db.Delete([]byte(change.key), pebble.NoSync)
				}
				return db.Set([]byte(change.key), change.value, pebble.NoSync)
			})
			for _, memory := range []int64{0, 100 << 10} {
				c := check(t, disk, memory)
				if len(c.problems()) == 0 || slices.ContainsFunc(c.findings, func(f pebblestore.Finding) bool { return f.Rule != pebblestore.RuleIndexDiffers }) {
					t.Errorf("with %d bytes of memory: %+v; want only that the index differs", memory, c.findings)
				}
			}
		})
	}
}

func withIndex(t *testing.T, disk vfs.FS, change func(*pebble.DB) error) {
	t.Helper()
	db, err := pebble.Open("data/index", &pebble.Options{FS: disk, DisableWAL: true, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(change(db), db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// What the next start makes by itself is no problem: after a loss of power, too, files of
// the index may be missing.
func TestCheckOfAStoreWithoutItsIndex(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*vfs.MemFS) error{
		"the directory": func(disk *vfs.MemFS) error { return disk.RemoveAll("data/index") },
		"the list of its files": func(disk *vfs.MemFS) error {
			names, err := disk.List("data/index")
			for _, file := range names {
				if strings.HasPrefix(file, "MANIFEST") {
					err = errors.Join(err, disk.Remove("data/index/"+file))
				}
			}
			return err
		},
	} {
		disk := lived(t, 200)
		if err := lose(disk); err != nil {
			t.Fatal(err)
		}
		c := check(t, disk, 0)
		if len(c.findings) != 1 || !c.has(pebblestore.RuleIndexMissing) || len(c.problems()) > 0 || c.Packets != 200 {
			t.Errorf("without %s: %+v, %+v; want a notice that there is no index, and 200 packets", name, c.Checked, c.findings)
		}
		wantOpens(t, disk)
	}
}

// wantOpens opens a store, which has to be sound then.
func wantOpens(t *testing.T, disk *vfs.MemFS) {
	t.Helper()
	s, err := pebblestore.Open("data", pebblestore.Options{FS: disk, SegmentBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c := check(t, disk, 0); len(c.findings) > 0 {
		t.Errorf("after it was opened: %+v; want nothing", c.findings)
	}
}

// A bit that flips anywhere in the journal's frames is found, and named, with its file;
// and what is whole is read.
func TestCheckFindsAFlippedBitInTheJournal(t *testing.T) {
	t.Parallel()
	disk := lived(t, 200)
	names, err := disk.List("data/journal")
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
	for _, name := range names {
		content, err := disk.UnsafeGetFileDataBuffer("data/journal/" + name)
		if err != nil || len(content) == 0 {
			continue
		}
		for range 20 {
			at := random.IntN(10 << 10) // what is used of each
			content[at] ^= 1
			c := check(t, disk, 0)
			content[at] ^= 1
			if len(c.problems()) == 0 || !c.has(pebblestore.RuleDamaged) || c.findings[0].File != "journal/"+name {
				t.Errorf("%s, byte %d flipped: %+v; want it to be named as damaged", name, at, c.findings)
			}
			if c.Packets < 100 {
				t.Errorf("%s, byte %d flipped: only %d packets were read", name, at, c.Packets)
			}
		}
	}
}

func TestCheckFindsThatTheNewestSegmentIsMissing(t *testing.T) {
	t.Parallel()
	disk := lived(t, 200)
	names, err := disk.List("data/journal")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	newest := slices.DeleteFunc(names, func(name string) bool { return path.Ext(name) != ".journal" })
	if err := disk.Remove("data/journal/" + newest[len(newest)-1]); err != nil {
		t.Fatal(err)
	}
	if c := check(t, disk, 0); !c.has(pebblestore.RuleIndexAhead) || len(c.problems()) == 0 {
		t.Errorf("%+v; want that the index is ahead", c.findings)
	}
}

// What frames say that are whole is held against each other.
func TestCheckFindsWhatCannotBe(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		kind    byte
		payload func(group []byte) []byte
		want    pebblestore.Rule
	}{
		"a group again":               {1, func(g []byte) []byte { return g }, pebblestore.RuleSequence},
		"ids again":                   {1, func(g []byte) []byte { return g }, pebblestore.RuleID},
		"an unknown delivery":         {2, func([]byte) []byte { return []byte("P\x00\x00\x00\x00\x00\x00\x00\x00\x01") }, pebblestore.RuleDelivery},
		"an unknown dead letter":      {6, func([]byte) []byte { return []byte("P\x00\x00\x00\x00\x00\x00\x00\x00\x14") }, pebblestore.RuleDelivery},
		"an acknowledgement in parts": {2, func([]byte) []byte { return []byte("P\x00\x00") }, pebblestore.RuleFrame},
		"a group in parts":            {1, func(g []byte) []byte { return g[:len(g)-1] }, pebblestore.RuleFrame},
		"a group without its head":    {1, func(g []byte) []byte { return g[30:] }, pebblestore.RuleFrame},
		"a kind of the future":        {99, func([]byte) []byte { return nil }, pebblestore.RuleFrame},
		"a record that has changed": {1, func(g []byte) []byte {
			g[len(g)-1]++
			return g
		}, pebblestore.RuleChanged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := lived(t, 200)
			j, err := journal.Open("data/journal", journal.Options{FS: disk, Random: rand.NewChaCha8([32]byte{}), SegmentBytes: 16 << 10})
			if err != nil {
				t.Fatal(err)
			}
			group, err := j.Frame(0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = j.Append(tc.kind, tc.payload(group.Payload))
			if err := errors.Join(err, j.Close()); err != nil {
				t.Fatal(err)
			}
			if c := check(t, disk, 0); !c.has(tc.want) {
				t.Errorf("%+v; want %s", c.findings, tc.want)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	disk := lived(t, 20)
	s := openOn(t, disk)
	_, err := pebblestore.Check(t.Context(), "data", pebblestore.CheckOptions{FS: disk}, func(pebblestore.Finding) {})
	if !errors.Is(err, pebblestore.ErrInUse) {
		t.Errorf("of an open store: %v; want ErrInUse", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = pebblestore.Check(t.Context(), "none", pebblestore.CheckOptions{FS: disk}, func(pebblestore.Finding) {})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no store: %v; want fs.ErrNotExist", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = pebblestore.Check(cancelled, "data", pebblestore.CheckOptions{FS: disk}, func(pebblestore.Finding) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("that was cancelled: %v", err)
	}
}
