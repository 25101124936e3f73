package main_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/lienthong/lienthong/certs"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/nodes"
)

// What may be said about the hub that is killed.
const (
	killCyclesVariable = "LIENTHONG_KILL_CYCLES" // how often; default 50
	killSeedVariable   = "LIENTHONG_KILL_SEED"   // what a run that failed has printed
	killRaceVariable   = "LIENTHONG_KILL_RACE"   // not empty: the hub has the race detector
)

// patience bounds everything that has to come about and takes no time to speak of.
const patience = time.Minute

// killable is a hub on one data directory and one address, in one process after
// another.
type killable struct {
	program    string
	data       string
	config     string
	grpc, http string
}

func newKillable(t *testing.T) *killable {
	t.Helper()
	k := &killable{data: filepath.Join(t.TempDir(), "hub"), grpc: freeAddress(t), http: freeAddress(t)}
	// Its lives are short: each shall sign checkpoints of the ledger.
	k.config = filepath.Join(t.TempDir(), "hub.yaml")
	if err := os.WriteFile(k.config, []byte("checkpoint_interval: 50ms\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Getenv(killRaceVariable) != "" {
		path, err := program()
		if err != nil {
			t.Fatal(err)
		}
		k.program = path
		return k
	}
	k.program = filepath.Join(t.TempDir(), "lienthong")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", k.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return k
}

// life is one process of a killable hub.
type life struct {
	process *os.Process
	serving chan struct{} // closed when it serves
	ended   chan struct{} // closed when it has ended, with err
	err     error

	mu   sync.Mutex
	said []string // the last lines
}

// start runs the hub. It does not wait until it serves.
func (k *killable) start(t *testing.T) *life {
	t.Helper()
	// The test's own context would kill it before it is judged.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), k.program,
		"hub", "--config", k.config, "--data", k.data, "--grpc", k.grpc, "--http", k.http, "--web", "")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &life{process: cmd.Process, serving: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		l.listen(stderr)
		l.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = l.process.Kill()
		<-l.ended
	})
	return l
}

// keptLines is more than a panic of one goroutine has.
const keptLines = 60

func (l *life) listen(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	for serves := false; lines.Scan(); {
		if !serves && strings.Contains(lines.Text(), "hub is serving") {
			serves = true
			close(l.serving)
		}
		l.mu.Lock()
		l.said = append(l.said, lines.Text())
		if len(l.said) > keptLines {
			l.said = slices.Delete(l.said, 0, 1)
		}
		l.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, stderr)
}

// lastWords returns the last lines it wrote.
func (l *life) lastWords() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.said, "\n")
}

// untilServing waits until the hub serves.
func (l *life) untilServing(t *testing.T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-l.serving:
	case <-l.ended:
		t.Fatalf("the hub ended before it served: %v\n%s", l.err, l.lastWords())
	case <-timer.C:
		t.Fatalf("the hub does not serve\n%s", l.lastWords())
	}
}

// last waits for a time in which the hub must not end by itself.
func (l *life) last(t *testing.T, wait time.Duration) {
	t.Helper()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ended:
		t.Fatalf("the hub ended by itself: %v\n%s", l.err, l.lastWords())
	}
}

// kill ends the process without asking it. It may have ended already.
func (l *life) kill(t *testing.T) {
	t.Helper()
	if err := l.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("kill: %v", err)
	}
	<-l.ended
}

// ask asks the process to end.
func (l *life) ask(t *testing.T) {
	t.Helper()
	if err := l.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("SIGTERM: %v; it ended with %v\n%s", err, l.err, l.lastWords())
	}
}

// endInOrder asks the process to end, and wants it to do so, with status 0.
func (l *life) endInOrder(t *testing.T) {
	t.Helper()
	l.ask(t)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-l.ended:
		if l.err != nil {
			t.Fatalf("the hub ended on SIGTERM with: %v; want status 0\n%s", l.err, l.lastWords())
		}
	case <-timer.C:
		t.Fatalf("the hub has not ended on SIGTERM\n%s", l.lastWords())
	}
}

// fsck lets the program itself judge the data directory of a hub that has ended.
func (k *killable) fsck(t *testing.T) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), k.program, "fsck", "--data", k.data).CombinedOutput(); err != nil {
		t.Errorf("fsck: %v\n%s", err, out)
	} else {
		t.Logf("fsck: %s", out)
	}
}

// join registers nodes, joins as each of them, and lets the senders' packets through
// to the recipients. It returns the profile of each.
func (k *killable) join(t *testing.T, senders, recipients []string) map[string]string {
	t.Helper()
	at, source, err := certs.LoadProfile(filepath.Join(k.data, hub.AdminDir), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(k.grpc, grpc.WithTransportCredentials(credentials.NewTLS(certs.ClientConfig(source, at.ServerName(), nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // everything has been answered
	registry := registryv1.NewRegistryServiceClient(conn)
	profiles := map[string]string{}
	for _, id := range slices.Concat(senders, recipients) {
		kind := registryv1.NodeKind_NODE_KIND_ONE_STOP
		if slices.Contains(recipients, id) {
			kind = registryv1.NodeKind_NODE_KIND_PORTAL
		}
		created, err := registry.CreateNode(t.Context(), &registryv1.CreateNodeRequest{Id: id, Kind: kind})
		if err != nil {
			t.Fatalf("register %s: %v", id, err)
		}
		profiles[id] = filepath.Join(t.TempDir(), "profile")
		if _, err := nodes.Join(t.Context(), created.GetToken(), profiles[id], nodes.JoinOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range recipients {
		grantAll(t, registry, organisationOf(senders[0]), id)
	}
	return profiles
}
