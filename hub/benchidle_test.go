package hub_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/nodes"
)

// samplesOfIdle is how many of the idle nodes get a packet in the end.
const samplesOfIdle = 100

// BenchmarkIdle says what memory a hub takes for nodes that are connected, each on
// mutual TLS of its own with an open stream of deliveries, and have nothing to do. The
// hub is the program itself, in a process of its own, started anew once all nodes are
// registered, so that nothing but them is in its memory. That they are there is shown
// by a packet to some of them, which they get. LIENTHONG_IDLE is the number of nodes,
// 1,000 by default; where the system lets one process open fewer files, it is fewer.
func BenchmarkIdle(b *testing.B) {
	count := min(fromEnvironment(b, "LIENTHONG_IDLE", 1000), openFiles(b)-200)
	dataDir, program := filepath.Join(b.TempDir(), "hub"), buildProgram(b)
	first := startProgram(b, program, dataDir)
	all, err := enrolIdle(b, dataDir, count)
	if err != nil {
		b.Fatal(err)
	}
	first.stop()
	for range b.N {
		running := startProgram(b, program, dataDir)
		at, err := certs.LoadHub(filepath.Join(dataDir, hub.AdminDir))
		if err != nil {
			b.Fatal(err)
		}
		for i := range all {
			all[i].Hub.Address = at.Address
		}
		begin := time.Now()
		connected := connectIdle(b, all)
		took := time.Since(begin)
		resident, peak := running.memory(b)
		connected.stop(b)
		running.stop()
		b.ReportMetric(float64(count), "nodes")
		b.ReportMetric(float64(count)/took.Seconds(), "connected/s")
		b.ReportMetric(float64(resident)/(1<<20), "resident-MiB")
		b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
	}
}

// openFiles returns how many files a process may have open.
func openFiles(b *testing.B) int {
	b.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	return int(min(limit.Cur, 1<<20)) //nolint:gosec // small
}

// enrolIdle registers a sender and, after it, the nodes that will be idle. Some of
// these, spread evenly, are given a right to what the sender sends.
func enrolIdle(b *testing.B, dataDir string, count int) ([]nodes.Config, error) {
	b.Helper()
	o := openOffice(b, dataDir)
	sender, err := o.enrol(b.Context(), senderName, registryv1.NodeKind_NODE_KIND_ONE_STOP)
	if err != nil {
		return nil, err
	}
	idle, err := o.enrolAll(b.Context(), recipientName, registryv1.NodeKind_NODE_KIND_PORTAL, count)
	if err != nil {
		return nil, err
	}
	for _, i := range sampled(count) {
		_, err := o.registry.GrantRight(b.Context(), &registryv1.GrantRightRequest{Right: &registryv1.Right{
			Sender: "H41", Receiver: nodeID(recipientName, i), Types: []packetv1.PacketType{packetv1.PacketType_PACKET_TYPE_PROGRESS},
		}})
		if err != nil {
			return nil, fmt.Errorf("grant: %w", err)
		}
	}
	return append([]nodes.Config{sender}, idle...), nil
}

// sampled returns some of so many, spread evenly.
func sampled(count int) []int {
	some := make([]int, min(samplesOfIdle, count))
	for i := range some {
		some[i] = i * count / len(some)
	}
	return some
}

// idle are nodes that are connected, the first as a sender.
type idle struct {
	clients   []*nodes.Client
	got       chan struct{} // one for each delivery
	receiving errgroup.Group
	cancel    context.CancelFunc
}

// connectIdle connects all nodes and returns once those with a right have the packet
// that the first one sends.
func connectIdle(b *testing.B, all []nodes.Config) *idle {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	i := &idle{clients: make([]*nodes.Client, len(all)), got: make(chan struct{}, len(all)), cancel: cancel}
	var connecting errgroup.Group
	connecting.SetLimit(16)
	for n, config := range all {
		connecting.Go(func() error { return i.connect(ctx, n, config) })
	}
	if err := connecting.Wait(); err != nil {
		b.Fatal(err)
	}
	m := newMould(b, exchangev1.Format_FORMAT_PROTOBUF, 1<<10)
	if _, err := i.clients[0].Submit(ctx, newConsignment(m, 1, 1).envelope(0)); err != nil {
		b.Fatal(err)
	}
	for range min(samplesOfIdle, len(all)-1) {
		select {
		case <-i.got:
		case <-time.After(time.Minute):
			b.Fatal("not all nodes with a right have got the packet within a minute")
		}
	}
	return i
}

// connect connects a node, and opens its stream of deliveries unless it is the sender.
func (i *idle) connect(ctx context.Context, n int, config nodes.Config) (err error) {
	config.Logger = slog.New(slog.DiscardHandler)
	if i.clients[n], err = nodes.Dial(config); err != nil {
		return err
	}
	if _, err := i.clients[n].Acknowledge(ctx, 1); err != nil || n == 0 {
		return err
	}
	i.receiving.Go(func() error {
		return i.clients[n].Receive(ctx, func(context.Context, *exchangev1.Delivery) error {
			i.got <- struct{}{}
			return nil
		}, nodes.ReceiveOptions{})
	})
	return nil
}

// stop ends all of them. A stream that the hub had refused fails the benchmark.
func (i *idle) stop(b *testing.B) {
	b.Helper()
	i.cancel()
	if err := i.receiving.Wait(); err != nil {
		b.Error(err)
	}
	for _, client := range i.clients {
		_ = client.Close()
	}
}

// runningProgram is lienthong running as a hub.
type runningProgram struct {
	b      *testing.B
	cmd    *exec.Cmd
	errors bytes.Buffer
}

func buildProgram(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "lienthong")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", path, "..").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// startProgram runs a hub that listens.
func startProgram(b *testing.B, path, dataDir string) *runningProgram {
	b.Helper()
	const local = "127.0.0.1:0"
	r := &runningProgram{b: b, cmd: exec.Command(path, "hub", "--data", dataDir, "--grpc", local, "--http", local, "--web", local, "--log", "error")}
	r.cmd.Stderr = &r.errors
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.stop)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		r.stop()
		b.Fatalf("the hub has said %q, then: %v", line, err)
	}
	return r
}

// stop ends the hub and waits for it. It may be called again.
func (r *runningProgram) stop() {
	r.b.Helper()
	if r.cmd == nil {
		return
	}
	cmd := r.cmd
	r.cmd = nil
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		r.b.Errorf("stop the hub: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		r.b.Errorf("hub: %v\n%s", err, r.errors.String())
	}
}

// memory returns how many bytes of the hub are in memory, and were at the most.
func (r *runningProgram) memory(b *testing.B) (resident, peak int64) {
	b.Helper()
	process := strconv.Itoa(r.cmd.Process.Pid)
	for name, figure := range map[string]*int64{"VmRSS:": &resident, "VmHWM:": &peak} {
		kib, err := processFigure(process, "status", name)
		if err != nil {
			b.Fatal(err)
		}
		*figure = kib << 10
	}
	return resident, peak
}
