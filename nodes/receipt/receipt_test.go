package receipt_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/nodes/receipt"
)

const hubName = "truc.example"

// signer is a hub as far as receipts go: it seals groups the way the format says,
// written here on its own so that format and verifier are checked against each
// other.
type signer struct {
	note.Signer
	key string
}

func newSigner(t rapid.TB, name string) signer {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer{Signer: s, key: public}
}

func (s signer) sign(t rapid.TB, text string) []byte {
	t.Helper()
	signed, err := note.Sign(&note.Note{Text: text}, s)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

type storage []tlog.Hash

func (s storage) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = s[index]
	}
	return hashes, nil
}

func stored(t rapid.TB, leaves [][]byte) storage {
	t.Helper()
	var s storage
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(i), leaf, s)
		if err != nil {
			t.Fatal(err)
		}
		s = append(s, hashes...)
	}
	return s
}

func groupText(hub string, first uint64, size int, root tlog.Hash) string {
	return fmt.Sprintf("lienthong/group/v1\n%s\n%d\n%d\n%s\n", hub, first, size, base64.StdEncoding.EncodeToString(root[:]))
}

// seal returns the receipts of a group.
func (s signer) seal(t rapid.TB, hub string, first uint64, leaves [][]byte) []*exchangev1.Receipt {
	t.Helper()
	hashes := stored(t, leaves)
	root, err := tlog.TreeHash(int64(len(leaves)), hashes)
	if err != nil {
		t.Fatal(err)
	}
	group := s.sign(t, groupText(hub, first, len(leaves), root))
	receipts := make([]*exchangev1.Receipt, len(leaves))
	for i, leaf := range leaves {
		path, err := tlog.ProveRecord(int64(len(leaves)), int64(i), hashes)
		if err != nil {
			t.Fatal(err)
		}
		receipts[i] = &exchangev1.Receipt{Leaf: leaf, Index: uint32(i), Group: group}
		for j := range path {
			receipts[i].Path = append(receipts[i].Path, path[j][:])
		}
	}
	return receipts
}

func content(sequence uint64) []byte {
	return fmt.Appendf(nil, "<MSyncDocument>%d</MSyncDocument>", sequence)
}

func statement(sequence uint64) *exchangev1.Statement {
	digest := sha256.Sum256(content(sequence))
	return &exchangev1.Statement{
		Hub: hubName, Sequence: sequence, AcceptedAt: &timestamppb.Timestamp{Seconds: 1_760_000_000 + int64(sequence)},
		Sender: "H41/motcua", EnvelopeId: fmt.Sprintf("id-%d", sequence), Type: packetv1.PacketType_PACKET_TYPE_DOSSIER,
		OnBehalfOf: "H41", Subject: fmt.Sprintf("H41-%d", sequence), ContentSha256: digest[:], Recipients: []string{"G22/portal"},
	}
}

func leaf(t rapid.TB, st *exchangev1.Statement) []byte {
	t.Helper()
	raw, err := proto.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func leaves(t rapid.TB, first uint64, size int) [][]byte {
	t.Helper()
	all := make([][]byte, size)
	for i := range all {
		all[i] = leaf(t, statement(first+uint64(i)))
	}
	return all
}

func TestReceiptsOfGroupsOfEverySizeVerify(t *testing.T) {
	t.Parallel()
	hub := newSigner(t, hubName)
	other := newSigner(t, "other.example")
	for size := 1; size <= 70; size++ {
		first := uint64(size * 1000)
		for i, r := range hub.seal(t, hubName, first, leaves(t, first, size)) {
			got, err := receipt.Verify(r, other.key, hub.key)
			if err != nil {
				t.Fatalf("group of %d, index %d: %v", size, i, err)
			}
			if want := statement(first + uint64(i)); !proto.Equal(got, want) {
				t.Fatalf("group of %d, index %d: got %v, want %v", size, i, got, want)
			}
			if err := receipt.MatchesContent(got, content(first+uint64(i))); err != nil {
				t.Errorf("own content: %v", err)
			}
			if err := receipt.MatchesContent(got, content(first+uint64(i)+1)); !errors.Is(err, receipt.ErrContent) {
				t.Errorf("content of another packet: %v", err)
			}
		}
	}
}

func sentinel(err error) bool {
	for _, s := range []error{receipt.ErrKey, receipt.ErrMalformed, receipt.ErrSignature, receipt.ErrPath, receipt.ErrContradiction} {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

// TestNoBitIsSpare flips every bit of serialised receipts, one at a time.
func TestNoBitIsSpare(t *testing.T) {
	t.Parallel()
	hub := newSigner(t, hubName)
	for _, size := range []int{1, 2, 3, 7} {
		receipts := hub.seal(t, hubName, 41, leaves(t, 41, size))
		// One that knows the group already must not be laxer.
		knowing := verifier(t, hub.key)
		for i, r := range receipts {
			if _, err := knowing.Verify(r); err != nil {
				t.Fatalf("receipt %d: %v", i, err)
			}
			raw, err := proto.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			for bit := range len(raw) * 8 {
				checkFlip(t, knowing, raw, bit)
			}
			if _, err := receipt.Verify(r, hub.key); err != nil {
				t.Fatalf("receipt %d itself: %v", i, err)
			}
		}
	}
}

func verifier(t rapid.TB, keys ...string) *receipt.Verifier {
	t.Helper()
	v, err := receipt.NewVerifier(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func checkFlip(t rapid.TB, v *receipt.Verifier, raw []byte, bit int) {
	t.Helper()
	flipped := bytes.Clone(raw)
	flipped[bit/8] ^= 1 << (bit % 8)
	r := &exchangev1.Receipt{}
	if err := proto.Unmarshal(flipped, r); err != nil {
		return
	}
	got, err := v.Verify(r)
	if err == nil || got != nil {
		t.Fatalf("bit %d of byte %d flipped (%q to %q): accepted as %v", bit%8, bit/8, raw[bit/8], flipped[bit/8], got)
	}
	if !sentinel(err) {
		t.Fatalf("bit %d: error %v wraps no sentinel", bit, err)
	}
}

func TestFlippedBitIsRefusedInGroupsOfEverySize(t *testing.T) {
	t.Parallel()
	hub := newSigner(t, hubName)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 70).Draw(t, "size")
		first := rapid.Uint64Range(1, 1<<40).Draw(t, "first")
		r := hub.seal(t, hubName, first, leaves(t, first, size))[rapid.IntRange(0, size-1).Draw(t, "index")]
		raw, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for range 32 {
			checkFlip(t, verifier(t, hub.key), raw, rapid.IntRange(0, len(raw)*8-1).Draw(t, "bit"))
		}
	})
}

// TestReceiptsDoNotMix takes parts from two receipts of the same hub.
func TestReceiptsDoNotMix(t *testing.T) {
	t.Parallel()
	hub := newSigner(t, hubName)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) *exchangev1.Receipt {
			size := rapid.IntRange(1, 20).Draw(t, label+" size")
			first := rapid.Uint64Range(1, 1000).Draw(t, label+" first")
			return hub.seal(t, hubName, first, leaves(t, first, size))[rapid.IntRange(0, size-1).Draw(t, label+" index")]
		}
		a, b := draw("a"), draw("b")
		mixed := proto.CloneOf(a)
		if rapid.Bool().Draw(t, "leaf") {
			mixed.Leaf = b.GetLeaf()
		}
		if rapid.Bool().Draw(t, "index") {
			mixed.Index = b.GetIndex()
		}
		if rapid.Bool().Draw(t, "path") {
			mixed.Path = b.GetPath()
		}
		if rapid.Bool().Draw(t, "group") {
			mixed.Group = b.GetGroup()
		}
		knowing := verifier(t, hub.key)
		for _, known := range []*exchangev1.Receipt{a, b} {
			if _, err := knowing.Verify(known); err != nil {
				t.Fatal(err)
			}
		}
		_, err := knowing.Verify(mixed)
		whole := proto.Equal(mixed, a) || proto.Equal(mixed, b)
		if whole != (err == nil) {
			t.Fatalf("whole %v, error %v", whole, err)
		}
	})
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	hub, other := newSigner(t, hubName), newSigner(t, "other.example")
	impostor := newSigner(t, hubName)
	good := func() *exchangev1.Receipt { return hub.seal(t, hubName, 5, leaves(t, 5, 3))[1] }
	with := func(change func(*exchangev1.Receipt)) *exchangev1.Receipt {
		r := good()
		change(r)
		return r
	}
	root := func(all [][]byte) tlog.Hash {
		h, err := tlog.TreeHash(int64(len(all)), stored(t, all))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	single := leaves(t, 5, 1)
	signedAs := func(text string) *exchangev1.Receipt {
		return &exchangev1.Receipt{Leaf: single[0], Group: hub.sign(t, text)}
	}
	encoded := base64.StdEncoding.EncodeToString(make([]byte, 32))
	cases := []struct {
		name string
		r    *exchangev1.Receipt
		keys []string
		want error
	}{
		{"no key", good(), nil, receipt.ErrKey},
		{"garbled key", good(), []string{"not a key"}, receipt.ErrKey},
		{"good and garbled key", good(), []string{hub.key, ""}, receipt.ErrKey},
		{"nil receipt", nil, []string{hub.key}, receipt.ErrMalformed},
		{"empty receipt", &exchangev1.Receipt{}, []string{hub.key}, receipt.ErrMalformed},
		{"another hub's key", good(), []string{other.key}, receipt.ErrSignature},
		{"another key of the same name", good(), []string{impostor.key}, receipt.ErrSignature},
		{"signed by an impostor", impostor.seal(t, hubName, 5, leaves(t, 5, 3))[1], []string{hub.key}, receipt.ErrSignature},
		{"a known hub signs for another", other.seal(t, hubName, 5, leaves(t, 5, 3))[1], []string{hub.key, other.key}, receipt.ErrContradiction},
		{"group says another hub than the statement", other.seal(t, "other.example", 5, leaves(t, 5, 3))[1], []string{other.key}, receipt.ErrContradiction},
		{"sequences shifted", hub.seal(t, hubName, 6, leaves(t, 5, 3))[1], []string{hub.key}, receipt.ErrContradiction},
		{"index of a neighbour", with(func(r *exchangev1.Receipt) { r.Index = 0 }), []string{hub.key}, receipt.ErrPath},
		{"index outside", with(func(r *exchangev1.Receipt) { r.Index = 3 }), []string{hub.key}, receipt.ErrMalformed},
		{"path cut", with(func(r *exchangev1.Receipt) { r.Path = r.GetPath()[:1] }), []string{hub.key}, receipt.ErrPath},
		{"path longer", with(func(r *exchangev1.Receipt) { r.Path = append(r.GetPath(), make([]byte, 32)) }), []string{hub.key}, receipt.ErrPath},
		{"path absurdly long", with(func(r *exchangev1.Receipt) { r.Path = make([][]byte, 10_000) }), []string{hub.key}, receipt.ErrMalformed},
		{"short hash in the path", with(func(r *exchangev1.Receipt) { r.Path[0] = r.GetPath()[0][:31] }), []string{hub.key}, receipt.ErrMalformed},
		{"group is no note", with(func(r *exchangev1.Receipt) { r.Group = []byte("hello\n") }), []string{hub.key}, receipt.ErrMalformed},
		{"leaf is no statement", hub.seal(t, hubName, 5, [][]byte{{0xff}})[0], []string{hub.key}, receipt.ErrMalformed},
		{"a checkpoint of the same key", signedAs(hubName + "\n3\n" + encoded + "\n"), []string{hub.key}, receipt.ErrMalformed},
		{"a group of a later format", signedAs(strings.Replace(groupText(hubName, 5, 1, root(single)), "/v1", "/v2", 1)), []string{hub.key}, receipt.ErrMalformed},
		{"an extra line", signedAs(groupText(hubName, 5, 1, root(single)) + "extra\n"), []string{hub.key}, receipt.ErrMalformed},
		{"no leaves", signedAs(groupText(hubName, 5, 0, root(single))), []string{hub.key}, receipt.ErrMalformed},
		{"first sequence 0", signedAs(groupText(hubName, 0, 1, root(single))), []string{hub.key}, receipt.ErrMalformed},
		{"sequences overflow", signedAs(groupText(hubName, 1<<64-1, 2, root(single))), []string{hub.key}, receipt.ErrMalformed},
		{"number with a sign", signedAs(strings.Replace(groupText(hubName, 5, 1, root(single)), "\n5\n", "\n+5\n", 1)), []string{hub.key}, receipt.ErrMalformed},
		{"number with a zero before it", signedAs(strings.Replace(groupText(hubName, 5, 1, root(single)), "\n5\n", "\n05\n", 1)), []string{hub.key}, receipt.ErrMalformed},
		{"root cut", signedAs("lienthong/group/v1\n" + hubName + "\n5\n1\nAAAA\n"), []string{hub.key}, receipt.ErrMalformed},
	}
	if _, err := receipt.Verify(good(), hub.key); err != nil {
		t.Fatalf("the unchanged receipt: %v", err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st, err := receipt.Verify(c.r, c.keys...)
			if !errors.Is(err, c.want) || st != nil {
				t.Errorf("got %v, %v; want %v", st, err, c.want)
			}
		})
	}
}

// TestSecondSignatureDoesNotHinder is what a change of the hub's key looks like.
func TestSecondSignatureDoesNotHinder(t *testing.T) {
	t.Parallel()
	old, next := newSigner(t, hubName), newSigner(t, hubName)
	all := leaves(t, 9, 1)
	root, err := tlog.TreeHash(1, stored(t, all))
	if err != nil {
		t.Fatal(err)
	}
	group, err := note.Sign(&note.Note{Text: groupText(hubName, 9, 1, root)}, old, next)
	if err != nil {
		t.Fatal(err)
	}
	r := &exchangev1.Receipt{Leaf: all[0], Group: group}
	for _, keys := range [][]string{{old.key}, {next.key}, {old.key, next.key}} {
		if _, err := receipt.Verify(r, keys...); err != nil {
			t.Errorf("%d keys: %v", len(keys), err)
		}
	}
}
