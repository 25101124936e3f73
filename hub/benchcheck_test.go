package hub_test

import (
	"testing"
	"time"

	"github.com/lienthong/lienthong/hub"
)

// measureCheck checks a data directory that no hub has open, with the files cached.
func measureCheck(b *testing.B, dataDir string, stored int) {
	var bytes int64
	began := time.Now()
	for range b.N {
		checked, err := hub.Check(b.Context(), dataDir, hub.CheckOptions{}, func(f hub.Finding) { b.Errorf("%+v", f) })
		if err != nil {
			b.Fatal(err)
		}
		if checked.Packets != uint64(stored) { //nolint:gosec // a count
			b.Fatalf("%d packets are there; want %d", checked.Packets, stored)
		}
		bytes += checked.Bytes
	}
	b.ReportMetric(float64(bytes)/1e6/time.Since(began).Seconds(), "MB/s")
}
