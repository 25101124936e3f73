package pebblestore

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// groupOfMany is the payload of a group's frame, with everything that there may be.
func groupOfMany(packets int) []byte {
	var submissions []store.Submission
	var fresh []store.Fresh
	sealed := store.Sealed{Note: []byte("note"), At: time.Unix(5, 6)}
	for i := range packets {
		submissions = append(submissions, store.Submission{
			Sender: "sender", ID: fmt.Sprint("id-", i), Digest: [32]byte{byte(i)}, Order: uint64(i), Kind: uint32(i % 3), //nolint:gosec // small
			Recipients: []string{"P", "Q", ""}[:i%4%3], ContentBytes: int64(i % 2 * 1000),
		})
		fresh = append(fresh, store.Fresh{Index: i, Sequence: uint64(100 + i)}) //nolint:gosec // small
		sealed.Records = append(sealed.Records, bytes.Repeat([]byte{byte(i)}, i%5*7))
		sealed.Leaves = append(sealed.Leaves, fmt.Appendf(nil, "leaf %d", i))
	}
	parts, _, err := framed(submissions, fresh, sealed)
	if err != nil {
		panic(err)
	}
	return slices.Concat(parts...)
}

// read is everything that a payload says.
type read struct {
	First   uint64
	At      int64
	Note    string
	Packets []readPacket
}

type readPacket struct {
	Names                struct{ Sender, ID, Recipients string }
	Order                uint64
	Kind                 uint32
	Beside, Bytes, Frees int64
	Digest               [32]byte
	Leaf, Record         string
	Removed              bool
}

func readAll(payload []byte) (read, error) {
	g, err := parseWhole(journal.Frame{Payload: payload})
	if err != nil {
		return read{}, err
	}
	names, err := g.namesOf(payload)
	if err != nil {
		return read{}, err
	}
	all := read{First: g.first, At: g.at.UnixNano(), Note: string(payload[g.note:g.leaves])}
	leaf := g.leaves
	for i, e := range g.packets {
		p := readPacket{Order: names[i].order, Kind: names[i].kind, Beside: names[i].beside, Digest: g.digests[i], Removed: e.removed}
		p.Names.Sender, p.Names.ID, p.Names.Recipients = names[i].sender, names[i].id, fmt.Sprintf("%q", names[i].recipients)
		p.Leaf, p.Record = string(payload[leaf:leaf+int(e.leafSize)]), string(payload[e.record:e.record+e.recordSize])
		leaf += int(e.leafSize)
		all.Packets = append(all.Packets, p)
	}
	at := 0
	err = g.each(payload, func(sequence uint64, c costs) {
		p := &all.Packets[at]
		p.Bytes, p.Frees = c.bytes, c.frees
		if sequence != g.first+uint64(at) || c.removed != p.Removed || c.kind != p.Kind { //nolint:gosec // small
			err = errors.Join(err, fmt.Errorf("packet %d of kind %d, removed: %t", sequence, c.kind, c.removed))
		}
		at++
	})
	return all, err
}

// Whatever is removed from a group, in however many steps, the rest says what it said, and
// each step makes the frame shorter by what it was said to free.
func TestGroupsLoseWhatIsRemovedOnly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		payload := groupOfMany(rapid.IntRange(1, 20).Draw(t, "packets"))
		want, err := readAll(payload)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 4).Draw(t, "steps") {
			var gone sequences
			frees := int64(0)
			for i := range want.Packets {
				p := &want.Packets[i]
				if p.Removed || !rapid.Bool().Draw(t, "goes") {
					continue
				}
				gone.add(want.First + uint64(i)) //nolint:gosec // small
				frees += p.Frees
				p.Removed, p.Record, p.Beside, p.Bytes, p.Frees = true, "", 0, 0, 0
				p.Names.Recipients = "[]"
			}
			g, err := parseWhole(journal.Frame{Payload: payload})
			if err != nil {
				t.Fatal(err)
			}
			before := bytes.Clone(payload)
			shorter, err := g.without(payload, &gone)
			if err != nil || !bytes.Equal(payload, before) {
				t.Fatalf("%v; the payload was changed: %t", err, !bytes.Equal(payload, before))
			}
			if freed := int64(len(payload) - len(shorter)); freed != frees {
				t.Fatalf("%d bytes were freed; want %d", freed, frees)
			}
			got, err := readAll(shorter)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Fatalf("%v (-want +got):\n%s", err, diff)
			}
			payload = shorter
		}
	})
}

// Whatever a group's frame holds, taking something out of it ends well or with ErrCorrupt.
func FuzzGroup(f *testing.F) {
	for _, packets := range []int{1, 7} {
		payload := groupOfMany(packets)
		f.Add(payload, uint64(1))
		g, err := parseWhole(journal.Frame{Payload: payload})
		if err != nil {
			f.Fatal(err)
		}
		gone := sequences{}
		gone.add(g.first)
		shorter, err := g.without(payload, &gone)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(shorter, uint64(6))
		f.Add(payload[:len(payload)-1], uint64(0))
	}
	f.Fuzz(func(t *testing.T, payload []byte, which uint64) {
		g, err := parseHead(payload, 0)
		if err != nil {
			// Nearly all changes of a head are found by its checksum: mend that.
			if len(payload) < headSize || len(payload) < headLength(payload) {
				return
			}
			payload = bytes.Clone(payload)
			head := payload[:headLength(payload)]
			putSum(head)
			if g, err = parseHead(payload, 0); err != nil {
				return
			}
		}
		if g.fits(len(payload)) != nil {
			return
		}
		var gone sequences
		for i := range min(64, len(g.packets)) {
			if which>>i&1 == 1 && !g.packets[i].removed {
				gone.add(g.first + uint64(i)) //nolint:gosec // small
			}
		}
		shorter, err := g.without(payload, &gone)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if _, err := readAll(shorter); err != nil {
			t.Fatalf("what is left cannot be read: %v", err)
		}
	})
}
