package journal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
)

// FuzzOpen opens a directory whose last segment, or the one before it, is any bytes:
// it is refused, or opened with frames that can all be read and appended to. The sums
// may be made right, as no damage does: what is behind them must hold all the same.
func FuzzOpen(f *testing.F) {
	d, _ := small(f, true)
	first := d.segments()[0]
	f.Add(d[first], false, false)
	f.Add(d[first], false, true)
	addLast(f)
	f.Fuzz(func(t *testing.T, content []byte, last, sums bool) {
		content = append([]byte{}, content...)
		if sums {
			makeSumsRight(content)
		}
		around := d
		if last {
			around = directory{first: nil}
		}
		j, err := journal.Open("data/journal", journal.Options{FS: around.written(t, first, content), Random: random(1)})
		if err != nil {
			return
		}
		defer closed(t, j)
		before, err := scanned(t.Context(), j, 0)
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) || last {
				t.Fatalf("opened, but not read: %v", err)
			}
			return
		}
		if sums && !last { // a table may say anything then
			for _, f := range before {
				_, err := j.Frame(f.Position)
				if err != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNotFound) {
					t.Fatal(err)
				}
			}
			return
		}
		before = append(before, appended(t, j, 1, []byte("one more")))
		synced(t, j)
		holds(t, j, before)
	})
}

// addLast adds the one segment of a journal before and after it is closed.
func addLast(f *testing.F) {
	f.Helper()
	fs := vfs.NewMem()
	j := open(f, fs, 4096)
	for i := range 4 {
		appended(f, j, 1, make([]byte, 20*i))
		synced(f, j)
	}
	for _, content := range files(f, fs) {
		f.Add(content, true, false)
		f.Add(content, true, true)
	}
	closed(f, j)
	for _, content := range files(f, fs) {
		f.Add(content, true, true)
	}
}

// makeSumsRight signs a segment as the journal would: its header, and whatever bears
// the segment's mark.
func makeSumsRight(b []byte) {
	if len(b) < 40 {
		return
	}
	copy(b, "LTHG-jnl\x01\x00\x00\x00")
	clear(b[16:24]) // it begins at position 0
	copy(b[36:], checksum(b[:36]))
	for at := 40; at+32 <= len(b); at += 8 {
		if bytes.Equal(b[at:at+4], b[24:28]) {
			sign(b[at:], b[24:32])
		}
	}
}

// sign makes the sums of the frame right that b begins with.
func sign(b, salt []byte) {
	seed, table := binary.LittleEndian.Uint32(salt[4:]), crc32.MakeTable(crc32.Castagnoli)
	if end := 32 + (int64(binary.LittleEndian.Uint32(b[4:]))+7)&^7; end <= int64(len(b)) {
		binary.LittleEndian.PutUint32(b[24:], crc32.Update(seed, table, b[32:end]))
	}
	binary.LittleEndian.PutUint32(b[28:], crc32.Update(seed, table, b[:28]))
}
