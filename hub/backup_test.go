package hub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/hubtest"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

func backedUp(t *testing.T, data, to string) hub.Backup {
	t.Helper()
	made, err := hub.MakeBackup(t.Context(), data, to, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, beside := range []string{to + ".partial", to + ".old"} {
		if _, err := os.Stat(beside); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there after the backup: %v", beside, err)
		}
	}
	return made
}

func wantSoundBackup(t *testing.T, dir string) {
	t.Helper()
	_, found := checkOf(t, dir, false)
	for _, f := range found {
		if f.Rule != pebblestore.RuleIndexMissing && f.Rule != pebblestore.RuleUnfinished && f.Rule != hub.RuleUnsigned { // it may be from before the first checkpoint
			t.Errorf("%s: %+v", dir, f)
		}
	}
}

// While packets come in, backups are made again and again. Each is sound; a hub that is
// started on the last has everything that had a receipt before that was begun.
func TestBackupOfARunningHub(t *testing.T) {
	t.Parallel()
	running := hubtest.Start(t, auditing)
	province := join(t, running, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	portal := join(t, running, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	running.Grant("H41", "G22/portal")
	var accepted atomic.Uint64
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	var load sync.WaitGroup
	load.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			receipt, err := province.Submit(t.Context(), envelope(t, fmt.Sprintf("id-%d", n), "dossier.xml"))
			if err != nil {
				t.Errorf("submit: %v", err)
				return
			}
			accepted.Store(receipt.Statement.GetSequence())
		}
	})
	to := filepath.Join(t.TempDir(), "backup")
	before := uint64(0)
	for range 5 {
		for want := before + 5; accepted.Load() < want; {
			take(t, portal, 1)
		}
		before = accepted.Load()
		backedUp(t, running.DataDir, to)
		wantSoundBackup(t, to)
	}
	enough()
	load.Wait()
	running.Stop()

	restored := hubtest.Start(t, func(c *hub.Config) { c.DataDir, c.GRPC = to, running.GRPCAddress() })
	again := open(t, province.profile)
	for sequence := uint64(1); sequence <= before; sequence++ {
		if _, err := again.GetReceipt(t.Context(), sequence); err != nil {
			t.Errorf("receipt %d of %d: %v", sequence, before, err)
		}
	}
	resubmitted, err := again.Submit(t.Context(), envelope(t, "id-0", "dossier.xml"))
	if err != nil || resubmitted.Statement.GetSequence() != 1 {
		t.Errorf("the first packet again: %v, %v; want its receipt", resubmitted, err)
	}
	restored.Stop()
	wantSoundBackup(t, to)
	if _, err := hub.MakeBackup(t.Context(), running.DataDir, to, time.Now); !errors.Is(err, hub.ErrNoBackup) {
		t.Errorf("a backup over what a hub was started on: %v; want ErrNoBackup", err)
	}
}

// A backup has everything but what is made from it, with modes.
func TestABackupIsPrivateAndWhole(t *testing.T) {
	t.Parallel()
	data, to := served(t), filepath.Join(t.TempDir(), "backup")
	backedUp(t, data, to)
	want := modes(t, data)
	want = slices.DeleteFunc(want, func(line string) bool {
		return strings.Contains(line, "store/index") || strings.Contains(line, "LOCK")
	})
	want = append(want, "-rw------- backup.json")
	slices.Sort(want)
	if got := modes(t, to); !slices.Equal(got, want) {
		t.Errorf("the backup has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	first := backedUp(t, data, to)
	if second := backedUp(t, data, to); second.Bytes > first.Bytes {
		t.Errorf("nothing has changed; %d bytes were copied, then %d", first.Bytes, second.Bytes)
	}
}

// modes are the files below a directory, each with its mode; of the journal's, which it
// makes anew, only that they are there.
func modes(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		name, _ := filepath.Rel(dir, path)
		mode := ""
		if err == nil && !strings.HasPrefix(name, "store/journal") && name != "." {
			mode = info.Mode().String()
		}
		all = append(all, mode+" "+name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// A backup that was cut short is no backup, the one before it is untouched, and the next
// one goes through.
func TestABackupThatIsCutShort(t *testing.T) {
	t.Parallel()
	data, to := served(t), filepath.Join(t.TempDir(), "backup")
	backedUp(t, data, to)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hub.MakeBackup(cancelled, data, to, time.Now); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v; want it to be cancelled", err)
	}
	wantSoundBackup(t, to)
	h, err := hub.New(context.WithoutCancel(t.Context()), hub.Config{DataDir: to + ".partial", GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0"})
	if err == nil {
		t.Fatalf("a hub started on a part of a backup; closing it: %v", h.Close())
	}
	if !strings.Contains(err.Error(), "not finished") {
		t.Errorf("refused with %v; want it to say that the backup was not finished", err)
	}
	// The power may go between the two steps with which one takes the other's place.
	if err := os.Rename(to, to+".old"); err != nil {
		t.Fatal(err)
	}
	backedUp(t, data, to)
	wantSoundBackup(t, to)
}

// meanwhile is a context that calls something when it is first asked whether it has
// ended.
type meanwhile struct {
	context.Context
	once sync.Once
	do   func()
}

// Err implements context.Context.
func (m *meanwhile) Err() error {
	m.once.Do(m.do)
	return m.Context.Err()
}

// No hub starts on a backup while the next one is being made in its place: it would be
// deleted under it. One starts after that.
func TestNoHubStartsOnABackupThatIsBeingReplaced(t *testing.T) {
	t.Parallel()
	data, to := served(t), filepath.Join(t.TempDir(), "backup")
	backedUp(t, data, to)
	tried := false
	next := &meanwhile{Context: t.Context(), do: func() {
		tried = true
		started, err := hub.New(t.Context(), hub.Config{DataDir: to, GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0"})
		if err == nil {
			t.Errorf("a hub started on a backup that is being replaced; closing it: %v", started.Close())
		}
	}}
	if _, err := hub.MakeBackup(next, data, to, time.Now); err != nil {
		t.Errorf("the next backup: %v", err)
	}
	if !tried {
		t.Fatal("nothing was tried")
	}
	wantSoundBackup(t, to)
	hubtest.Start(t, func(c *hub.Config) { c.DataDir = to })
}

// A backup that someone has open, and what a hub was started on, is left alone, also
// where it has the name that a backup has for a moment.
func TestBackupLeavesAloneWhatIsInUse(t *testing.T) {
	t.Parallel()
	data, to := served(t), filepath.Join(t.TempDir(), "backup")
	backedUp(t, data, to)
	lock, err := vfs.Default.Lock(filepath.Join(to, "store", "LOCK"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hub.MakeBackup(t.Context(), data, to, time.Now); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("over a backup that is in use: %v; want it refused", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	wantSoundBackup(t, to)
	old := to + ".old"
	if err := os.Rename(to, old); err != nil {
		t.Fatal(err)
	}
	running := hubtest.Start(t, func(c *hub.Config) { c.DataDir = old })
	if _, err := hub.MakeBackup(t.Context(), data, to, time.Now); !errors.Is(err, hub.ErrNoBackup) {
		t.Errorf("beside a hub that runs on %s: %v; want ErrNoBackup", old, err)
	}
	running.Stop()
	hubtest.Start(t, func(c *hub.Config) { c.DataDir = old })
}

func TestBackupRefuses(t *testing.T) {
	t.Parallel()
	data := served(t)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		from, to string
		want     string
	}{
		"where something else is":  {data, full, "no backup"},
		"into the data directory":  {data, filepath.Join(data, "backup"), "is in the other"},
		"above the data directory": {data, filepath.Dir(data), "is in the other"},
		"of nothing":               {full, filepath.Join(t.TempDir(), "b"), "no hub was started there"},
	} {
		if _, err := hub.MakeBackup(t.Context(), tc.from, tc.to, time.Now); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v; want %q", name, err, tc.want)
		}
	}
	if _, err := os.Stat(filepath.Join(full, "precious")); err != nil {
		t.Error(err)
	}
}

// cutShort is a content that can be read once, and then not to its end.
type cutShort struct {
	content []byte
	whole   atomic.Bool
}

func (c *cutShort) ReadAt(p []byte, at int64) (int, error) {
	if c.whole.Load() && at > int64(len(c.content))/2 {
		return 0, errors.New("cut short")
	}
	n, err := bytes.NewReader(c.content).ReadAt(p, at)
	if at+int64(n) == int64(len(c.content)) {
		c.whole.Store(true)
	}
	return n, err
}

// What is only a part of an upload is not in a backup; what a packet needs is, wherever
// the hub keeps it.
func TestBackupLeavesUnfinishedUploadsOut(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	province := join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	env, content := largeDossier(t, 20<<20)
	if _, err := province.SubmitLarge(t.Context(), env, &cutShort{content: content}, int64(len(content))); err == nil {
		t.Fatal("half a content was accepted")
	}
	backedUp := func() []string {
		t.Helper()
		to := filepath.Join(t.TempDir(), "backup")
		if _, err := hub.MakeBackup(t.Context(), h.DataDir, to, time.Now); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(to, "blobs", "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	if kept, err := filepath.Glob(filepath.Join(h.DataDir, "blobs", "uploads", "*")); err != nil || len(kept) != 1 {
		t.Fatalf("the hub has %q, %v; want one upload", kept, err)
	}
	if files := backedUp(); len(files) > 0 {
		t.Errorf("half an upload is in the backup: %q", files)
	}
	if _, err := province.SubmitLarge(t.Context(), env, bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	if files := backedUp(); len(files) != 1 {
		t.Errorf("the backup has %q; want the one content that was accepted", files)
	}
}
