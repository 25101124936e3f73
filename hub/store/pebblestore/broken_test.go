package pebblestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/lienthong/lienthong/hub/store"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
)

const brokenVariable = "LIENTHONG_TEST_BROKEN_DISK"

func TestMain(m *testing.M) {
	// The test of a broken disk runs this binary again, as the process that has it.
	if write := os.Getenv(brokenVariable); write != "" {
		onBrokenDisk(write)
	}
	os.Exit(m.Run())
}

// writes are the calls that a server's handlers, or its committer, make.
func writes() map[string]func(context.Context, *pebblestore.Store) error {
	return map[string]func(context.Context, *pebblestore.Store) error{
		"accept": func(ctx context.Context, s *pebblestore.Store) error {
			_, err := s.Accept(ctx, []store.Submission{{Sender: "A", ID: "1", Recipients: []string{"P"}}}, func([]store.Fresh) (store.Sealed, error) {
				return store.Sealed{Records: [][]byte{{1}}, Leaves: [][]byte{{1}}, Note: []byte{1}}, nil
			})
			return err
		},
		"save items": func(ctx context.Context, s *pebblestore.Store) error {
			return s.SaveItems(ctx, []store.Item{{Kind: "node", Key: "A", Value: []byte("1")}})
		},
		"append audit": func(ctx context.Context, s *pebblestore.Store) error {
			_, err := s.AppendAudit(ctx, []byte("line"))
			return err
		},
	}
}

// onBrokenDisk is a process whose disk is full from some point on: it says so
// when a write claims to be durable nevertheless. Like a server's handler, it
// recovers from panics.
func onBrokenDisk(write string) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Println("a panic let it go on:", p)
			os.Exit(0)
		}
	}()
	var full, tables atomic.Bool
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if tables.Load() && path.Ext(op.Path) == ".sst" && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.ENOSPC
		}
		if full.Load() && path.Ext(op.Path) == ".log" && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.ENOSPC
		}
		return nil
	}))
	s, err := pebblestore.Open("data", pebblestore.Options{FS: disk})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(0)
	}
	if write == reopening {
		reopen(s, disk, &tables)
	}
	full.Store(true)
	fmt.Println("written:", writes()[write](context.Background(), s))
	os.Exit(0)
}

// reopening is no write: what is in the log cannot be made a table at the next
// start.
const reopening = "reopen"

func reopen(s *pebblestore.Store, disk vfs.FS, full *atomic.Bool) {
	for i := range 100 {
		if _, err := s.AppendAudit(context.Background(), fmt.Appendf(nil, "line %d", i)); err != nil {
			fmt.Println("append:", err)
			os.Exit(0)
		}
	}
	if err := s.Close(); err != nil {
		fmt.Println("close:", err)
		os.Exit(0)
	}
	full.Store(true)
	_, err := pebblestore.Open("data", pebblestore.Options{FS: disk})
	fmt.Println("opened:", err)
	os.Exit(0)
}

// A hub on a full disk ends, saying why, instead of trying for ever to start.
func TestOpeningOnAFullDiskEnds(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), brokenVariable+"="+reopening)
	out, err := cmd.Output()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 74 || len(out) > 0 {
		t.Errorf("the process said %q and ended with %v; want exit status 74", out, err)
	}
}

// A write that cannot reach the disk never returns as if it had: the process ends
// then and there, or the write fails.
func TestNothingIsDurableOnAFullDisk(t *testing.T) {
	t.Parallel()
	for name := range writes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), brokenVariable+"="+name)
			out, err := cmd.Output()
			var ended *exec.ExitError
			switch {
			case errors.As(err, &ended) && ended.ExitCode() == 74 && len(out) == 0:
			case err == nil && strings.HasPrefix(string(out), "written: store: ") && strings.Contains(string(out), "no space left"):
			default:
				t.Errorf("the process said %q and ended with %v; want exit status 74, or the error", out, err)
			}
		})
	}
}

// Audit lines are numbered in the order in which they reach the disk: after a
// loss of power there may be fewer, but none is missing between others, and what
// was confirmed is there.
func TestAuditSurvivesPowerLoss(t *testing.T) {
	t.Parallel()
	fs := vfs.NewCrashableMem()
	s, err := pebblestore.Open("data", pebblestore.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 50
	var confirmed atomic.Uint64 // lines up to it, at least
	done := make(chan error, writers)
	for range writers {
		go func() {
			var err error
			for range each {
				if _, err = s.AppendAudit(t.Context(), []byte("line")); err != nil {
					break
				}
				confirmed.Add(1)
			}
			done <- err
		}()
	}
	for running := writers; running > 0; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running--
		default:
		}
		checkAudit(t, fs, confirmed.Load())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// checkAudit opens what a loss of power now would leave.
func checkAudit(t *testing.T, fs *vfs.MemFS, atLeast uint64) {
	t.Helper()
	crashed, err := pebblestore.Open("data", pebblestore.Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})})
	if err != nil {
		t.Fatalf("open after a crash: %v", err)
	}
	defer crashed.Close() //nolint:errcheck // nothing was written
	lines, err := crashed.AuditAfter(t.Context(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if uint64(len(lines)) < atLeast {
		t.Errorf("%d lines after a crash; %d were confirmed", len(lines), atLeast)
	}
	for i, line := range lines {
		if line.Sequence != uint64(i+1) {
			t.Fatalf("line %d has number %d", i+1, line.Sequence)
		}
	}
}
