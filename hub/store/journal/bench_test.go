package journal_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store/journal"
)

func onDisk(b *testing.B) *journal.Journal {
	b.Helper()
	j, err := journal.Open(b.TempDir(), journal.Options{FS: vfs.Default, Random: random(1)})
	if err != nil {
		b.Fatal(err)
	}
	return j
}

// BenchmarkAppend appends frames, with and without a sync after each.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{64 << 10, 1 << 20} {
		for _, durable := range []bool{false, true} {
			b.Run(fmt.Sprintf("%dKiB/synced=%v", size>>10, durable), func(b *testing.B) {
				j := onDisk(b)
				payload := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := j.Append(1, payload[:100], payload[100:]); err != nil {
						b.Fatal(err)
					}
					if durable {
						if err := j.Sync(); err != nil {
							b.Fatal(err)
						}
					}
				}
				closed(b, j)
			})
		}
	}
}

// BenchmarkScan reads frames from the page cache.
func BenchmarkScan(b *testing.B) {
	const size, frames = 64 << 10, 4096
	j := onDisk(b)
	payload := make([]byte, size)
	for range frames {
		if _, err := j.Append(1, payload); err != nil {
			b.Fatal(err)
		}
	}
	synced(b, j)
	b.SetBytes(size * frames)
	for b.Loop() {
		n := 0
		err := j.Scan(b.Context(), 0, func(journal.Frame) error { n++; return nil })
		if err != nil || n != frames {
			b.Fatalf("%d frames: %v", n, err)
		}
	}
	closed(b, j)
}

// BenchmarkReadPayload reads a record of 1 KiB in a frame of 64 KiB.
func BenchmarkReadPayload(b *testing.B) {
	j := onDisk(b)
	at, err := j.Append(1, make([]byte, 64<<10))
	if err != nil {
		b.Fatal(err)
	}
	record := make([]byte, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := j.ReadPayload(at, 20_000, record); err != nil {
			b.Fatal(err)
		}
	}
	closed(b, j)
}
