package pebblestore_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
)

// A damaged segment stays, and so does all that is in it; everything else goes as it would,
// and the pass says that something is damaged, and where, whenever it is made.
func TestADamagedSegmentEndsNoRetention(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		segment int
		offset  int64
		known   bool // what is in the segments was known before
	}{
		"in the first segment":                  {0, 2000, false},
		"in the first segment, which is known":  {0, 2000, true},
		"at the beginning of a later one":       {3, 60, false},
		"at the end of one":                     {3, keeperSegment - 3000, false},
		"at the beginning of one that is known": {3, 60, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := vfs.NewMem()
			k := keep(t, disk)
			k.put(1, 100, 200)
			k.acknowledge(1, 200)
			if tc.known {
				k.retain(ofOneSecond(100), 0)
			}
			k.close()
			segments := slices.DeleteFunc(slices.Sorted(maps.Keys(journalFiles(t, disk))), func(name string) bool { return !strings.HasSuffix(name, ".journal") })
			if err := flip(disk, "data/journal/"+segments[tc.segment], tc.offset); err != nil {
				t.Fatal(err)
			}
			k.open()
			defer k.close()
			for pass := range 3 {
				done, err := k.Retain(t.Context(), ofOneSecond(1000), nil)
				if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), segments[tc.segment]) || strings.Count(err.Error(), "1 journal files") != 1 {
					t.Fatalf("pass %d: %v; want that %s is damaged", pass, err, segments[tc.segment])
				}
				if want := pass == 0; (done.Removed > 150) != want || done.Removed < 0 {
					t.Errorf("pass %d removed %d; want most of 200 at the first, none later", pass, done.Removed)
				}
			}
			var there, gone, damaged int
			for n := uint64(1); n <= 200; n++ {
				switch _, err := k.Records(t.Context(), []uint64{n}); {
				case errors.Is(err, store.ErrRemoved):
					gone++
				case errors.Is(err, store.ErrCorrupt):
					damaged++
				case err == nil:
					there++
				default:
					t.Errorf("record %d: %v", n, err)
				}
			}
			if gone <= 150 || damaged > 2 || there+damaged == 0 || there > 30 {
				t.Errorf("%d are gone, %d damaged, %d there; want most gone, and those of one segment there", gone, damaged, there)
			}
		})
	}
}
