package packet_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// sax2Variable names the program built from testdata/sax2, where it could be
// built: `make bench` sets it.
const sax2Variable = "LIENTHONG_SAX2"

// sax2 measures libxml2 on a document. The program does the iterations and the
// timing in a process of its own; nothing of Go is in the figures.
func sax2(b *testing.B, program string, content []byte) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), program, strconv.Itoa(b.N))
	cmd.Stdin, cmd.Stderr = bytes.NewReader(content), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%s: %v", program, err)
	}
	var nanoseconds float64
	var elements, text int
	if _, err := fmt.Sscan(string(out), &nanoseconds, &elements, &text); err != nil {
		b.Fatalf("%s says %q: %v", program, out, err)
	}
	if want := b.N * bytes.Count(content, []byte("</")); elements != want {
		b.Fatalf("%s counts %d elements; the documents have %d", program, elements, want)
	}
	b.ReportMetric(nanoseconds/float64(b.N), "ns/op")
	b.ReportMetric(float64(b.N)*float64(len(content))*1e3/nanoseconds, "MB/s")
}
