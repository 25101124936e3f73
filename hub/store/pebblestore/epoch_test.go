package pebblestore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/journal"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

func (k *keeper) begin() store.Epoch {
	k.t.Helper()
	e, err := k.BeginEpoch(k.t.Context(), time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC), time.Time{})
	if err != nil {
		k.t.Fatal(err)
	}
	return e
}

// An epoch that was begun survives a loss of power; and the start that begins one again,
// since it was not noted that it had, skips sequences once more and nothing else.
func TestAnEpochSurvivesPowerLoss(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	k := keep(t, disk)
	k.put(1, 1, 3)
	first := k.begin()
	crashed := lost(disk)
	k.close()
	k = keep(t, crashed)
	k.last = 3
	if got := k.Epochs(); !slices.Equal(got, store.Epochs{first}) {
		t.Fatalf("epochs after a crash: %+v; want %+v", got, first)
	}
	second := k.begin()
	k.put(1, 1, 1)
	if k.last != second.Next || second.Next <= first.Next || second.Last != first.Next-1 {
		t.Errorf("%d follows %+v after %+v", k.last, second, first)
	}
	k.close()
	if c := check(t, crashed, 0); len(c.findings) > 0 || c.Packets != 4 || c.Last != second.Next || len(c.Epochs) != 2 {
		t.Errorf("checked: %+v", c)
	}
}

// An epoch of a copy is known by the copy's time until something was accepted; stores that
// go on from the same copy at the same time begin elsewhere.
func TestEpochOfACopy(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	copied := at.Add(-time.Hour)
	var begun []store.Epoch
	for range 2 {
		k := keep(t, vfs.NewMem())
		k.put(1, 1, 3)
		if e, ok := k.EpochOf(copied); ok {
			t.Errorf("before one has begun: %+v", e)
		}
		first, err := k.BeginEpoch(t.Context(), at, copied)
		if err != nil {
			t.Fatal(err)
		}
		k.reopen()
		if e, ok := k.EpochOf(copied); !ok || e != first {
			t.Errorf("the epoch of the copy is %+v, %v; want %+v", e, ok, first)
		}
		for _, other := range []time.Time{{}, at} {
			if e, ok := k.EpochOf(other); ok {
				t.Errorf("of a copy of %v: %+v", other, e)
			}
		}
		k.put(1, 1, 1)
		if e, ok := k.EpochOf(copied); ok {
			t.Errorf("after a packet: %+v", e)
		}
		k.close()
		begun = append(begun, first)
	}
	if begun[0].Next == begun[1].Next {
		t.Errorf("two stores that go on from one copy both begin with %d", begun[0].Next)
	}
}

// An epoch that is refused is not there.
func TestBeginEpochRefuses(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	k := keep(t, disk)
	k.put(1, 1, 1)
	k.close()
	k.open()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.BeginEpoch(ctx, time.Unix(0, 0), time.Time{}); !errors.Is(err, context.Canceled) || len(k.Epochs()) > 0 {
		t.Errorf("cancelled: %v, %+v", err, k.Epochs())
	}
	k.close()
	if _, err := k.BeginEpoch(t.Context(), time.Unix(0, 0), time.Time{}); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: %v; want ErrClosed", err)
	}
}

// The index is made again from a journal with epochs, and is what it was.
func TestTheIndexOfEpochsIsMadeAgain(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	k := keep(t, disk)
	k.put(1, 1, 100)
	first := k.begin()
	k.put(1, 1, 100)
	second := k.begin()
	k.put(1, 1, 10)
	k.acknowledge(2, 3)
	k.acknowledge(first.Next, first.Next+1)
	for _, again := range []bool{false, true} {
		k.close()
		if again {
			if err := disk.RemoveAll("data/index"); err != nil {
				t.Fatal(err)
			}
			k.open()
			k.close()
		}
		if c := check(t, disk, 0); len(c.findings) > 0 || c.Packets != 210 || c.Waiting != 206 || len(c.Epochs) != 2 {
			t.Errorf("checked, index made again: %v: %+v", again, c)
		}
		k.open()
		k.wantReadable(1, 100, false)
		k.wantReadable(first.Next, first.Next+99, false)
		k.wantReadable(second.Next, second.Next+9, false)
		k.wantWaiting(206)
	}
	k.close()
}

// What is done goes from before and after an epoch, without a look at what is between.
func TestRetainAcrossEpochs(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	k := keep(t, disk)
	k.put(1, 1, 40)
	e := k.begin()
	k.put(1, 1, 40)
	k.acknowledge(1, 40)
	k.acknowledge(e.Next, e.Next+39)
	how := ofOneSecond(9)
	how.UpTo = 1 << 60
	k.retain(how, 80)
	k.put(2, 9, 1)
	k.retain(how, 0)
	k.reopen()
	k.wantReadable(1, 40, true)
	k.wantReadable(e.Next, e.Next+39, true)
	k.close()
	if c := check(t, disk, 0); len(c.findings) > 0 || c.Removed != 80 || len(c.Epochs) != 1 {
		t.Errorf("checked: %+v", c)
	}
}

// A gap that no epoch accounts for is found, and no store opens with it.
func TestAGapWithoutAnEpochIsFound(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	k := keep(t, disk)
	k.put(1, 1, 3)
	e := k.begin()
	k.put(1, 1, 3)
	k.close()
	const frameEpoch = 8
	without := vfs.NewMem()
	if err := without.MkdirAll("data", 0o700); err != nil {
		t.Fatal(err)
	}
	from, err := journal.Open("data/journal", journal.Options{FS: disk, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	to, err := journal.Open("data/journal", journal.Options{FS: without, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	err = from.Scan(t.Context(), from.First(), func(f journal.Frame) error {
		if f.Kind == frameEpoch {
			return nil
		}
		_, err := to.Append(f.Kind, f.Payload)
		return err
	})
	if err := errors.Join(err, to.Sync(), to.Close(), from.Close()); err != nil {
		t.Fatal(err)
	}
	c := check(t, without, 0)
	found := slices.ContainsFunc(c.problems(), func(f pebblestore.Finding) bool {
		return f.Rule == pebblestore.RuleSequence && f.Sequence == 4 && strings.Contains(f.What, "are not there")
	})
	if !found || c.Last != e.Next+2 {
		t.Errorf("checked: %+v; want that packets from 4 on are not there", c)
	}
	if _, err := pebblestore.Open("data", pebblestore.Options{FS: without}); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("opened: %v; want ErrCorrupt", err)
	}
}
