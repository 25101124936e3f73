package receipt_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/nodes/receipt"
)

const checkpointTime = "2026-11-25T02:03:04.056Z"

func checkpointText(hub string, size int, root tlog.Hash) string {
	return fmt.Sprintf("%s\n%d\n%s\ntime %s\n", hub, size, base64.StdEncoding.EncodeToString(root[:]), checkpointTime)
}

// book is the ledger of a hub as far as checkpoints go.
type book struct {
	signer
	hashes storage
	size   int
}

func newBook(t rapid.TB, s signer, leaves [][]byte) book {
	t.Helper()
	return book{signer: s, hashes: stored(t, leaves), size: len(leaves)}
}

func (b book) root(t rapid.TB, size int) tlog.Hash {
	t.Helper()
	root, err := tlog.TreeHash(int64(size), b.hashes)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// checkpoint returns the signed checkpoint of a size.
func (b book) checkpoint(t rapid.TB, size int) []byte {
	t.Helper()
	return b.sign(t, checkpointText(hubName, size, b.root(t, size)))
}

func sent(hashes []tlog.Hash) [][]byte {
	var proof [][]byte
	for i := range hashes {
		proof = append(proof, hashes[i][:])
	}
	return proof
}

// consistency returns the proof between two sizes.
func (b book) consistency(t rapid.TB, from, to int) [][]byte {
	t.Helper()
	if from == to {
		return nil
	}
	proof, err := tlog.ProveTree(int64(to), int64(from), b.hashes)
	if err != nil {
		t.Fatal(err)
	}
	return sent(proof)
}

// include brings a receipt under the checkpoint of a size.
func (b book) include(t rapid.TB, r *exchangev1.Receipt, sequence, size int) *exchangev1.Receipt {
	t.Helper()
	proof, err := tlog.ProveRecord(int64(size), int64(sequence-1), b.hashes)
	if err != nil {
		t.Fatal(err)
	}
	r = proto.CloneOf(r)
	r.Checkpoint, r.Inclusion = b.checkpoint(t, size), sent(proof)
	return r
}

// known returns a checkpoint that verified.
func known(t rapid.TB, v *receipt.Verifier, signed []byte) receipt.Checkpoint {
	t.Helper()
	c, err := v.Checkpoint(signed)
	if err != nil {
		t.Fatalf("checkpoint %q: %v", signed, err)
	}
	return c
}

func TestReceiptsUnderCheckpointsOfEverySizeVerify(t *testing.T) {
	t.Parallel()
	hub := newSigner(t, hubName)
	all := leaves(t, 1, 20)
	b := newBook(t, hub, all)
	v := verifier(t, hub.key)
	for first, size := 1, 1; first+size-1 <= len(all); first, size = first+size, size+1 { // groups of 1, 2, 3 ...
		for i, r := range hub.seal(t, hubName, uint64(first), all[first-1:first-1+size]) {
			sequence := first + i
			for covered := sequence; covered <= len(all); covered++ {
				proven, err := v.Prove(b.include(t, r, sequence, covered))
				if err != nil {
					t.Fatalf("sequence %d under %d: %v", sequence, covered, err)
				}
				want := receipt.Checkpoint{Hub: hubName, Size: uint64(covered), Root: b.root(t, covered), Time: time.Date(2026, 11, 25, 2, 3, 4, 56_000_000, time.UTC)}
				if proven.Statement.GetSequence() != uint64(sequence) || *proven.Checkpoint != want {
					t.Fatalf("sequence %d under %d: proven %v and %+v, want %+v", sequence, covered, proven.Statement, proven.Checkpoint, want)
				}
			}
			if proven, err := v.Prove(r); err != nil || proven.Checkpoint != nil {
				t.Fatalf("sequence %d without a checkpoint: %+v, %v", sequence, proven.Checkpoint, err)
			}
		}
	}
}

// Every byte of a receipt under a checkpoint is changed, in several ways. None is spare:
// what a change can do at most is to make a field unknown and so leave the checkpoint
// out; the receipt then is one that has none, and says nothing of the ledger.
func TestNoByteIsSpareUnderACheckpoint(t *testing.T) {
	t.Parallel()
	hub := newSigner(t, hubName)
	all := leaves(t, 1, 7)
	b := newBook(t, hub, all)
	for _, tc := range [][3]int{{1, 1, 1}, {3, 3, 7}} {
		sequence, size, covered := tc[0], tc[1], tc[2]
		from := max(1, sequence-size+1)
		group := hub.seal(t, hubName, uint64(from), all[from-1:sequence])
		r := b.include(t, group[len(group)-1], sequence, covered)
		v := verifier(t, hub.key)
		if _, err := v.Verify(r); err != nil {
			t.Fatal(err)
		}
		raw, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for at := range raw {
			for _, change := range []byte{1, 1 << (at % 8), 0x20, 0x80} {
				changed := bytes.Clone(raw)
				changed[at] ^= change
				read := &exchangev1.Receipt{}
				if proto.Unmarshal(changed, read) != nil {
					continue
				}
				proven, err := v.Prove(read)
				if err == nil && (proven.Checkpoint != nil || len(read.ProtoReflect().GetUnknown()) == 0) {
					t.Fatalf("sequence %d under %d, byte %d changed from %q to %q: accepted as %v, %+v", sequence, covered, at, raw[at], changed[at], proven.Statement, proven.Checkpoint)
				}
				if err != nil && !sentinel(err) {
					t.Fatalf("byte %d: error %v wraps no sentinel", at, err)
				}
			}
		}
	}
}

func TestNoByteOfACheckpointIsSpare(t *testing.T) {
	t.Parallel()
	hub := newSigner(t, hubName)
	signed := newBook(t, hub, leaves(t, 1, 5)).checkpoint(t, 5)
	v := verifier(t, hub.key)
	for bit := range len(signed) * 8 {
		flipped := bytes.Clone(signed)
		flipped[bit/8] ^= 1 << (bit % 8)
		if c, err := v.Checkpoint(flipped); err == nil || !sentinel(err) || c != (receipt.Checkpoint{}) {
			t.Fatalf("bit %d of %q flipped: %+v, %v", bit, signed[bit/8], c, err)
		}
	}
}

func TestLedgerPartOfReceiptsIsRefused(t *testing.T) {
	t.Parallel()
	hub, other := newSigner(t, hubName), newSigner(t, "other.example")
	all := leaves(t, 1, 9)
	b := newBook(t, hub, all)
	good := func() *exchangev1.Receipt { return b.include(t, hub.seal(t, hubName, 3, all[2:5])[1], 4, 8) }
	forked := leaves(t, 1, 9)
	forked[0] = leaf(t, statement(77))
	fork := newBook(t, hub, forked)
	foreign := book{signer: other, hashes: b.hashes}
	for name, tc := range map[string]struct {
		change func(*exchangev1.Receipt)
		want   error
	}{
		"a path without a checkpoint":    {func(r *exchangev1.Receipt) { r.Checkpoint = nil }, receipt.ErrMalformed},
		"a checkpoint without a path":    {func(r *exchangev1.Receipt) { r.Inclusion = nil }, receipt.ErrPath},
		"a path of a smaller ledger":     {func(r *exchangev1.Receipt) { r.Checkpoint = b.checkpoint(t, 7) }, receipt.ErrPath},
		"a checkpoint that is too small": {func(r *exchangev1.Receipt) { r.Checkpoint = b.checkpoint(t, 3) }, receipt.ErrContradiction},
		"the path of a neighbour":        {func(r *exchangev1.Receipt) { r.Inclusion = b.include(t, r, 5, 8).GetInclusion() }, receipt.ErrPath},
		"the group's path":               {func(r *exchangev1.Receipt) { r.Inclusion = r.GetPath() }, receipt.ErrPath},
		"a checkpoint of another ledger": {func(r *exchangev1.Receipt) { r.Checkpoint = fork.checkpoint(t, 8) }, receipt.ErrPath},
		"the group in its place":         {func(r *exchangev1.Receipt) { r.Checkpoint = r.GetGroup() }, receipt.ErrMalformed},
		"a short hash in the path":       {func(r *exchangev1.Receipt) { r.Inclusion[0] = r.GetInclusion()[0][:31] }, receipt.ErrMalformed},
		"an absurdly long path":          {func(r *exchangev1.Receipt) { r.Inclusion = make([][]byte, 10_000) }, receipt.ErrMalformed},
		"a checkpoint by an unknown key": {func(r *exchangev1.Receipt) {
			r.Checkpoint = newSigner(t, hubName).sign(t, checkpointText(hubName, 8, b.root(t, 8)))
		}, receipt.ErrSignature},
		"a checkpoint of another hub": {func(r *exchangev1.Receipt) {
			r.Checkpoint = foreign.sign(t, checkpointText("other.example", 8, b.root(t, 8)))
		}, receipt.ErrContradiction},
		"another hub signs for this one":  {func(r *exchangev1.Receipt) { r.Checkpoint = foreign.checkpoint(t, 8) }, receipt.ErrContradiction},
		"a checkpoint that is not a note": {func(r *exchangev1.Receipt) { r.Checkpoint = []byte("x") }, receipt.ErrMalformed},
	} {
		r := good()
		tc.change(r)
		if statement, err := verifier(t, hub.key, other.key).Verify(r); !errors.Is(err, tc.want) || statement != nil {
			t.Errorf("%s: %v, %v; want %v", name, statement, err, tc.want)
		}
	}
	if _, err := receipt.Verify(good(), hub.key); err != nil {
		t.Errorf("the unchanged receipt: %v", err)
	}
}

func TestCheckpointsThatAreNotWrittenAsSuchAreRefused(t *testing.T) {
	t.Parallel()
	hub := newSigner(t, hubName)
	b := newBook(t, hub, leaves(t, 1, 5))
	text := checkpointText(hubName, 5, b.root(t, 5))
	replaced := func(old, with string) string { return strings.Replace(text, old, with, 1) }
	for name, text := range map[string]string{
		"no size":             replaced("\n5\n", "\n\n"),
		"size 0":              replaced("\n5\n", "\n0\n"),
		"size with a sign":    replaced("\n5\n", "\n+5\n"),
		"size with a zero":    replaced("\n5\n", "\n05\n"),
		"a size beyond proof": replaced("\n5\n", "\n4611686018427387905\n"),
		"a cut root":          replaced("=\n", "\n"),
		"no root":             hubName + "\n5\n",
		"a wrong time":        replaced(checkpointTime, "yesterday"),
		"a group":             groupText(hubName, 1, 5, b.root(t, 5)),
	} {
		if c, err := verifier(t, hub.key).Checkpoint(hub.sign(t, text)); !errors.Is(err, receipt.ErrMalformed) || c != (receipt.Checkpoint{}) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	for name, text := range map[string]string{
		"no time":                  strings.Replace(text, "time "+checkpointTime+"\n", "", 1),
		"a line of a later format": strings.Replace(text, "time ", "more of it\ntime ", 1),
	} {
		if c, err := verifier(t, hub.key).Checkpoint(hub.sign(t, text)); err != nil || c.Size != 5 || c.Time.IsZero() != (name == "no time") {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

// A witness's signature beside the hub's does not hinder.
func TestCheckpointsMayBeCosigned(t *testing.T) {
	t.Parallel()
	hub, witness := newSigner(t, hubName), newSigner(t, "witness.example")
	b := newBook(t, hub, leaves(t, 1, 5))
	signed, err := note.Sign(&note.Note{Text: checkpointText(hubName, 5, b.root(t, 5))}, witness, hub)
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][]string{{hub.key}, {witness.key, hub.key}} {
		if c, err := verifier(t, keys...).Checkpoint(signed); err != nil || c.Size != 5 {
			t.Errorf("%d keys: %+v, %v", len(keys), c, err)
		}
	}
}

// The proof between any two sizes of one ledger holds; of two ledgers that differ in one
// statement before the older checkpoint, none does.
func TestForksAreFound(t *testing.T) {
	t.Parallel()
	hub := newSigner(t, hubName)
	rapid.Check(t, func(t *rapid.T) {
		all := leaves(t, 1, rapid.IntRange(1, 80).Draw(t, "leaves"))
		to := rapid.IntRange(1, len(all)).Draw(t, "to")
		from := rapid.IntRange(1, to).Draw(t, "from")
		forked := append([][]byte(nil), all...)
		forked[rapid.IntRange(0, from-1).Draw(t, "changed")] = leaf(t, statement(1000))
		one, two := newBook(t, hub, all), newBook(t, hub, forked)
		v := verifier(t, hub.key)
		older := known(t, v, one.checkpoint(t, from))
		if err := receipt.VerifyConsistency(older, known(t, v, one.checkpoint(t, to)), one.consistency(t, from, to)); err != nil {
			t.Fatalf("from %d to %d: %v", from, to, err)
		}
		newer := known(t, v, two.checkpoint(t, to))
		for name, proof := range map[string][][]byte{"its own": one.consistency(t, from, to), "the other's": two.consistency(t, from, to)} {
			if err := receipt.VerifyConsistency(older, newer, proof); !errors.Is(err, receipt.ErrFork) {
				t.Fatalf("from %d to %d of another ledger, with %s proof: %v", from, to, name, err)
			}
		}
	})
}

func TestConsistencyIsRefused(t *testing.T) {
	t.Parallel()
	hub, other := newSigner(t, hubName), newSigner(t, "other.example")
	b := newBook(t, hub, leaves(t, 1, 12))
	v := verifier(t, hub.key, other.key)
	at := func(size int) receipt.Checkpoint { return known(t, v, b.checkpoint(t, size)) }
	foreign := known(t, v, other.sign(t, checkpointText("other.example", 9, b.root(t, 9))))
	good := b.consistency(t, 5, 9)
	for name, tc := range map[string]struct {
		older, newer receipt.Checkpoint
		proof        [][]byte
		want         error
	}{
		"a ledger that shrank":            {at(9), at(5), good, receipt.ErrFork},
		"another hub":                     {at(5), foreign, good, receipt.ErrContradiction},
		"no proof":                        {at(5), at(9), nil, receipt.ErrFork},
		"a proof of other sizes":          {at(5), at(9), b.consistency(t, 5, 10), receipt.ErrFork},
		"a proof that is too long":        {at(5), at(9), append(b.consistency(t, 5, 9), good[0]), receipt.ErrFork},
		"a proof between one size":        {at(9), at(9), good, receipt.ErrMalformed},
		"a short hash":                    {at(5), at(9), [][]byte{good[0][:31]}, receipt.ErrMalformed},
		"an absurdly long proof":          {at(5), at(9), make([][]byte, 10_000), receipt.ErrMalformed},
		"a checkpoint that is none":       {receipt.Checkpoint{Hub: hubName}, at(9), good, receipt.ErrMalformed},
		"a checkpoint beyond all reason":  {at(5), receipt.Checkpoint{Hub: hubName, Size: 1 << 63}, good, receipt.ErrMalformed},
		"a ledger as large as can be had": {at(5), receipt.Checkpoint{Hub: hubName, Size: 1 << 62}, good, receipt.ErrFork},
	} {
		if err := receipt.VerifyConsistency(tc.older, tc.newer, tc.proof); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	for i := range good {
		for bit := range 256 {
			changed := b.consistency(t, 5, 9)
			changed[i] = bytes.Clone(changed[i])
			changed[i][bit/8] ^= 1 << (bit % 8)
			if err := receipt.VerifyConsistency(at(5), at(9), changed); !errors.Is(err, receipt.ErrFork) {
				t.Fatalf("bit %d of hash %d flipped: %v", bit, i, err)
			}
		}
	}
}
