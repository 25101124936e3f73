//go:build !race

// The race detector makes the compiler allocate for what it else grows in place.

package packet_test

import (
	"runtime"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/lienthong/lienthong/packet"
)

// memoryBar is how many times the size of a large packet reading or writing it
// may take, with what it is given.
const memoryBar = 3.0

// allocated returns how many bytes f allocates, in all. What is in use at any
// moment is never more; unlike that, it is the same on every run.
func allocated(t testing.TB, f func() error) uint64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := f(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// share returns bytes in sizes of a packet, with the packet itself.
func share(bytes uint64, size int) float64 { return 1 + float64(bytes)/float64(size) }

// heavyWork returns a function that reads and validates a large packet, and one
// that writes what was read.
func heavyWork(t testing.TB, codec *packet.Codec, h heavy) (read, written func() error) {
	t.Helper()
	var m proto.Message
	read = func() error {
		p, err := codec.Decode(dossier, h.format, h.content)
		if err == nil {
			m = p.Message
		}
		return err
	}
	written = func() error {
		_, err := codec.Encode(m, h.format)
		return err
	}
	return read, written
}

func TestMemoryOfALargePacketIsBounded(t *testing.T) { //nolint:paralleltest // it counts what is allocated anywhere
	codec := newCodec(t)
	for _, h := range heavies(t, codec, heavyDossier(t, heavyBytes)) {
		read, written := heavyWork(t, codec, h)
		if got := share(allocated(t, read), len(h.content)); got > memoryBar {
			t.Errorf("%s: reading takes %.2f of its size, want at most %.0f", h.name, got, memoryBar)
		}
		if got := share(allocated(t, written), len(h.content)); got > memoryBar {
			t.Errorf("%s: writing takes %.2f of its size, want at most %.0f", h.name, got, memoryBar)
		}
	}
}

// BenchmarkLargePacket reports what the test above bounds.
func BenchmarkLargePacket(b *testing.B) {
	codec := newCodec(b)
	for _, h := range heavies(b, codec, heavyDossier(b, heavyBytes)) {
		read, written := heavyWork(b, codec, h)
		for _, work := range []struct {
			name string
			f    func() error
		}{{"reading", read}, {"writing", written}} {
			b.Run(h.name+"/"+work.name, func(b *testing.B) {
				b.SetBytes(int64(len(h.content)))
				var bytes uint64
				for b.Loop() {
					bytes += allocated(b, work.f)
				}
				b.ReportMetric(share(bytes/uint64(b.N), len(h.content)), "sizes")
			})
		}
	}
}
