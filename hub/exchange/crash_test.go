package exchange_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/ledger"
	"github.com/lienthong/lienthong/hub/registry"
	"github.com/lienthong/lienthong/hub/store/pebblestore"
	"github.com/lienthong/lienthong/nodes/receipt"
	"github.com/lienthong/lienthong/packet"
)

// What the process to be killed is told.
const (
	crashDirVariable = "LIENTHONG_TEST_CRASH_DIR"
	crashRunVariable = "LIENTHONG_TEST_CRASH_RUN"
)

func crashDir() string { return os.Getenv(crashDirVariable) }

const crashSenders = 8

func crashSender(i int) string { return fmt.Sprintf("H41/may-%d", i) }

// crashable is the process to be killed: an exchange that accepts packets as
// fast as it can, and prints the receipt of each once it has it.
func crashable(dir string) {
	err := submitForEver(context.Background(), dir, os.Getenv(crashRunVariable))
	fmt.Fprintln(os.Stderr, "not killed, but ended:", err)
	os.Exit(1)
}

func submitForEver(ctx context.Context, dir, run string) error {
	service, s, err := openExchange(dir)
	if err != nil {
		return err
	}
	failed := make(chan error, crashSenders+1)
	go func() { failed <- service.Run(ctx) }()
	for i := range crashSenders {
		go func() {
			for n := 0; ; n++ {
				env := envelope(fmt.Sprintf("%s-%d-%d", run, i, n), fmt.Sprintf("%04d", n%3))
				resp, err := service.Submit(context.WithValue(ctx, senderKey{}, crashSender(i)), &exchangev1.SubmitRequest{Envelope: env})
				if err != nil {
					failed <- err
					return
				}
				bytes, err := proto.Marshal(resp.GetReceipt())
				if err != nil {
					failed <- err
					return
				}
				// One write, so that lines do not mix.
				line := fmt.Sprintf("%s %s %s\n", crashSender(i), env.GetId(), base64.StdEncoding.EncodeToString(bytes))
				if _, err := os.Stdout.WriteString(line); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return errors.Join(<-failed, s.Close())
}

type senderKey struct{}

func openExchange(dir string) (*exchange.Service, *pebblestore.Store, error) {
	s, err := pebblestore.Open(filepath.Join(dir, "store"), pebblestore.Options{})
	if err != nil {
		return nil, nil, err
	}
	signer, err := ledger.Open(dir, "hub.test")
	if err != nil {
		return nil, nil, err
	}
	validator, err := protovalidate.New()
	if err != nil {
		return nil, nil, err
	}
	codec, err := packet.NewCodec(packet.Options{})
	if err != nil {
		return nil, nil, err
	}
	service, err := exchange.New(exchange.Config{
		Store: s, DeadLetters: s, Rights: &rights{receivers: map[string][]string{"H41": {"G22/cong", "G01/csdl"}}}, SpeaksFor: registry.SpeaksFor, Codec: codec, Ledger: signer,
		Caller: func(ctx context.Context) (string, bool) {
			sender, ok := ctx.Value(senderKey{}).(string)
			return sender, ok
		},
		Validator: validator, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	return service, s, err
}

// promise is a receipt that left a process before it was killed.
type promise struct {
	sender, id string
	receipt    *exchangev1.Receipt
}

// A hub that is killed while it works has stored everything that it gave a
// receipt for, and nothing by halves.
func TestKilledProcessKeepsItsWord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var promises []promise
	for run := range 4 {
		promises = append(promises, killAfter(t, dir, run, 1+random.IntN(200))...)
		checkPromises(t, dir, promises)
	}
}

// killAfter runs the process until it has given that many receipts, and kills it.
func killAfter(t *testing.T, dir string, run, receipts int) []promise {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashDirVariable+"="+dir, fmt.Sprintf("%s=%d", crashRunVariable, run))
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var promises []promise
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // what was being written when it was killed was not given
		}
		promises = append(promises, parsePromise(t, line))
		if len(promises) == receipts {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	if cmd.ProcessState.Exited() || len(promises) < receipts {
		t.Fatalf("the process ended by itself after %d receipts: %v\n%s", len(promises), err, stderr.String())
	}
	return promises
}

func parsePromise(t *testing.T, line string) promise {
	t.Helper()
	fields := strings.Fields(line)
	if len(fields) != 3 {
		t.Fatalf("line %q", line)
	}
	bytes, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		t.Fatal(err)
	}
	p := promise{sender: fields[0], id: fields[1], receipt: &exchangev1.Receipt{}}
	if err := proto.Unmarshal(bytes, p.receipt); err != nil {
		t.Fatal(err)
	}
	return p
}

func checkPromises(t *testing.T, dir string, promises []promise) {
	t.Helper()
	service, s, err := openExchange(dir)
	if err != nil {
		t.Fatalf("open after the kill: %v", err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	ledgerKey, err := ledger.Open(dir, "hub.test")
	if err != nil {
		t.Fatal(err)
	}
	last := checkWhole(t, s)
	for _, p := range promises {
		statement, err := receipt.Verify(p.receipt, ledgerKey.VerifierKey())
		if err != nil {
			t.Fatalf("receipt of %s: %v", p.id, err)
		}
		if statement.GetSequence() > last || statement.GetSender() != p.sender || statement.GetEnvelopeId() != p.id {
			t.Fatalf("receipt of %s states %v; the log ends at %d", p.id, statement, last)
		}
		ctx := context.WithValue(t.Context(), senderKey{}, p.sender)
		again, err := service.GetReceipt(ctx, &exchangev1.GetReceiptRequest{Sequence: statement.GetSequence()})
		if err != nil || !proto.Equal(again.GetReceipt(), p.receipt) {
			t.Fatalf("receipt of %s after the kill: %v, %v; want the one given", p.id, again, err)
		}
	}
}

// checkWhole checks that every sequence up to the last has its record, leaf,
// idempotency key and deliveries, and returns the last.
func checkWhole(t *testing.T, s *pebblestore.Store) (last uint64) {
	t.Helper()
	ctx := t.Context()
	inboxes := map[string][]uint64{}
	for _, node := range []string{"G22/cong", "G01/csdl"} {
		pending, err := s.Pending(ctx, node, 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pending {
			inboxes[node] = append(inboxes[node], p.Sequence)
		}
	}
	entries, err := s.AcceptedAfter(ctx, 0, 1<<20, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var all []uint64
	for i, entry := range entries {
		last = entry.Sequence
		accepted := &exchangev1.AcceptedPacket{}
		if err := proto.Unmarshal(entry.Record, accepted); err != nil {
			t.Fatalf("record %d: %v", last, err)
		}
		if last != uint64(i+1) || accepted.GetSequence() != last {
			t.Fatalf("entry %d of the log has sequence %d, its record %d", i+1, last, accepted.GetSequence())
		}
		if found, _, err := s.Find(ctx, accepted.GetSender(), accepted.GetEnvelope().GetId()); err != nil || found != last {
			t.Fatalf("idempotency key of %d leads to %d, %v", last, found, err)
		}
		group, err := s.Group(ctx, last)
		if err != nil {
			t.Fatalf("ledger group of %d: %v", last, err)
		}
		statement := &exchangev1.Statement{}
		if err := proto.Unmarshal(group.Leaves[last-group.First], statement); err != nil || statement.GetSequence() != last {
			t.Fatalf("leaf of %d states %v, %v", last, statement, err)
		}
		all = append(all, last)
	}
	for node, inbox := range inboxes {
		if !slices.Equal(inbox, all) {
			t.Fatalf("inbox of %s has %d deliveries for %d accepted packets", node, len(inbox), len(all))
		}
	}
	if len(inboxes) != 2 {
		t.Fatalf("inboxes are %v", inboxes)
	}
	return last
}
