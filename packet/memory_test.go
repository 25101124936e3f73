//go:build !race

// The race detector makes the compiler allocate for what it else grows in place.

package packet_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
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

// TestRefusingTakesNoMoreMemoryThanReading: what is far beyond a limit is not built
// first and refused then.
func TestRefusingTakesNoMoreMemoryThanReading(t *testing.T) { //nolint:paralleltest // it counts what is allocated anywhere
	const size = 16 << 20
	codec := codecWith(t, packet.Options{TextBytes: 1024})
	long := strings.Repeat("a", size)
	for name, content := range map[string]string{
		"XML with a reference": "<MResult><Message>" + long + "&amp;</Message></MResult>",
		"XML in two pieces":    "<MResult><Message>" + long + "<!-- --><![CDATA[" + long + "]]></Message></MResult>",
		"unknown XML":          "<MResult><Extra>" + long + "&amp;" + long + "</Extra></MResult>",
		"JSON with an escape":  `{"Message":"` + long + `\n"}`,
		"unknown JSON":         `{"Extra":"` + long + `\n"}`,
	} {
		format := xmlFormat
		if content[0] == '{' {
			format = jsonFormat
		}
		got := allocated(t, func() error {
			_, err := codec.DecodeMessage(&packetv1.MResult{}, format, []byte(content))
			if !slices.ContainsFunc(findingsOf(err), func(f *packetv1.Finding) bool { return f.GetRule() == "limit.text" }) {
				t.Errorf("%s: got %v", name, err)
			}
			return nil
		})
		if most := uint64(2*len(content)) + 1<<20; got > most { // the test's copy, and the reader's
			t.Errorf("%s: refusing %d bytes allocates %d; want at most %d", name, len(content), got, most)
		}
	}
}

// TestTextBetweenElementsTakesNoMemory: of elements in elements, each of which begins
// with a reference, no more is held than of any others.
func TestTextBetweenElementsTakesNoMemory(t *testing.T) { //nolint:paralleltest // it counts what is allocated anywhere
	const deep, size = 28, 4 << 20
	opening, closing := "", ""
	for i := range deep {
		name := "x" + strings.Repeat("i", i)
		opening, closing = opening+"<"+name+">&amp;", "</"+name+">"+closing
	}
	content := []byte("<MResult>" + opening + strings.Repeat("a", size) + closing + "</MResult>")
	codec := newCodec(t)
	got := allocated(t, func() error {
		if _, err := codec.DecodeMessage(&packetv1.MResult{}, xmlFormat, content); err == nil {
			t.Error("text between elements was taken")
		}
		return nil
	})
	if got > 3*size { // the reader's copy, and the innermost text
		t.Errorf("%d bytes take %d; want at most %d", len(content), got, 3*size)
	}
}

// TestManyFindingsTakeLittleMemory: whoever sends what is wrong ten thousand times, as
// deep as can be, does not make the hub work a thousand times as much.
func TestManyFindingsTakeLittleMemory(t *testing.T) { //nolint:paralleltest // it counts what is allocated anywhere
	codec := newCodec(t)
	for name, f := range floods(t) {
		size := 0
		got := allocated(t, func() error {
			p, err := codec.Decode(f.typ, f.format, f.content)
			findings := findingsOf(err)
			if err == nil {
				findings = p.Warnings
			}
			for _, finding := range findings {
				size += proto.Size(finding)
			}
			if len(findings) < 100 {
				t.Errorf("%s: only %d findings: this is no flood", name, len(findings))
			}
			return nil
		})
		// An empty part of two bytes is a Go struct, and lacks seven fields.
		if most := uint64(700*len(f.content)) + 4<<20; got > most {
			t.Errorf("%s: reading %d bytes allocates %d; want at most %d", name, len(f.content), got, most)
		}
		if size > 400<<10 {
			t.Errorf("%s: the findings of %d bytes are %d; want them bounded", name, len(f.content), size)
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
