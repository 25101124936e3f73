package hub_test

import (
	"fmt"
	"testing"
	"time"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
)

// BenchmarkStored says what a packet costs when so many are stored: the base case of
// BenchmarkExchange, again and again on one data directory, and how long a hub takes
// to start on what is there in the end, from nothing until it has answered a call,
// with the files still cached. LIENTHONG_STORED is how far it goes, 100,000 by
// default.
func BenchmarkStored(b *testing.B) {
	const senders, atOnce = 8, 500_000
	most := fromEnvironment(b, "LIENTHONG_STORED", 100_000)
	f := startFleet(b, senders, 1)
	m := newMould(b, exchangev1.Format_FORMAT_PROTOBUF, 1<<10)
	stored, dossiers := 0, 0
	ship := func(b *testing.B, count int) *figures {
		c := newConsignment(m, senders, count)
		c.firstDossier = dossiers
		measured := f.ship(b, c, f.sdk, pace{})
		stored, dossiers = stored+count, dossiers+c.dossiers*senders
		return measured
	}
	for level := 10_000; level <= most; level *= 10 {
		b.Run(fmt.Sprintf("stored=%d", level), func(b *testing.B) {
			for stored < level {
				ship(b, min(level-stored, atOnce))
			}
			var measured *figures
			for range b.N {
				measured = ship(b, min(50_000, most))
			}
			b.ReportMetric(measured.rate(), "packets/s")
			measured.reportCost(b)
		})
	}
	for _, client := range append(f.senders, f.recipients...) {
		if err := client.Close(); err != nil {
			b.Fatal(err)
		}
	}
	f.hub.Stop()
	b.Run("start", func(b *testing.B) { measureStart(b, f.hub.DataDir, stored) })
	b.Run("check", func(b *testing.B) { measureCheck(b, f.hub.DataDir, stored) })
}

// measureStart starts a hub on a data directory with so many packets.
func measureStart(b *testing.B, dataDir string, stored int) {
	var took time.Duration
	for range b.N {
		b.StopTimer()
		begin := time.Now()
		b.StartTimer()
		h := hubtest.Start(b, func(c *hub.Config) { c.DataDir = dataDir })
		if _, err := h.Admin.ListNodes(b.Context(), &registryv1.ListNodesRequest{}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		took += time.Since(begin)
		h.Stop()
	}
	b.ReportMetric(float64(stored), "stored")
	b.ReportMetric(milliseconds(took)/float64(b.N), "start-ms")
}
