// Package receipt verifies the receipts of a hub offline, with nothing but the
// hub's verifier key. A receipt that verifies proves that the hub gave its word:
// its signature stands under a Merkle root (RFC 6962) that the receipt's
// statement is under.
//
// A receipt that was fetched after the hub's next checkpoint proves more: that the
// statement has its place in the one ledger of everything accepted. Whoever keeps a
// checkpoint can then tell whether the hub has changed or forgotten anything since:
// see VerifyConsistency.
package receipt

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// Why something proves nothing. Every error of this package wraps one of these.
var (
	// ErrKey means that a verifier key cannot be read, or that none was given.
	ErrKey = errors.New("not a verifier key")
	// ErrMalformed means that something is not written as hubs write it.
	ErrMalformed = errors.New("malformed")
	// ErrSignature means that none of the keys has signed the group, or the checkpoint.
	ErrSignature = errors.New("not signed by a known key")
	// ErrPath means that the statement is not under the signed root.
	ErrPath = errors.New("statement is not under the signed root")
	// ErrContradiction means that what belongs together does not: the statement says
	// another hub or sequence than what is signed, or the key is of another hub.
	ErrContradiction = errors.New("contradiction")
	// ErrFork means that two checkpoints are not proven to be of one ledger that was
	// only added to. Where both are of one size, they prove that the hub has two.
	ErrFork = errors.New("not one ledger that was only added to")
	// ErrRestored means that the ledger was begun anew, where the hub was restored from a
	// backup, and that statements of the older are not in the newer. It comes with ErrFork.
	ErrRestored = errors.New("the hub was restored from a backup, and has another ledger since")
	// ErrContent means that a statement is about other content.
	ErrContent = errors.New("content is not what the receipt is for")
)

// maxProof is more hashes than any proof has in a tree of at most 2^62 leaves.
const maxProof = 2 * 62

// Verifier checks receipts against the verifier keys of a hub. It remembers the
// groups and checkpoints it verified last, so that of the receipts of one group only
// the first costs a signature check. It may be used concurrently.
type Verifier struct {
	keys        note.Verifiers
	groups      remembered[group]
	checkpoints remembered[Checkpoint]
}

// NewVerifier returns a Verifier for signed-note verifier keys; more than one
// where the hub has changed its key. The error wraps ErrKey.
func NewVerifier(verifierKeys ...string) (*Verifier, error) {
	keys, err := parseKeys(verifierKeys)
	if err != nil {
		return nil, err
	}
	return &Verifier{keys: keys}, nil
}

// Verify is Verifier.Verify for a single receipt.
func Verify(r *exchangev1.Receipt, verifierKeys ...string) (*exchangev1.Statement, error) {
	v, err := NewVerifier(verifierKeys...)
	if err != nil {
		return nil, err
	}
	return v.Verify(r)
}

// Verify checks a receipt, all of it, and returns what the hub stated. The statement
// is to be believed only when the error is nil; the error wraps one of this package's
// sentinels.
func (v *Verifier) Verify(r *exchangev1.Receipt) (*exchangev1.Statement, error) {
	proven, err := v.Prove(r)
	return proven.Statement, err
}

// Proven is what a receipt has proven.
type Proven struct {
	// Statement of the hub.
	Statement *exchangev1.Statement
	// Checkpoint that the statement is in the ledger under, with the index Index; nil
	// where the receipt has none.
	Checkpoint *Checkpoint
	Index      uint64
}

// Prove is Verify that also tells of the ledger.
func (v *Verifier) Prove(r *exchangev1.Receipt) (Proven, error) {
	if len(r.GetLeaf()) == 0 || len(r.GetGroup()) == 0 {
		return Proven{}, fmt.Errorf("%w: leaf and group are required", ErrMalformed)
	}
	signed, err := v.groups.open(r.GetGroup(), v.keys, openGroup)
	if err != nil {
		return Proven{}, fmt.Errorf("group: %w", err)
	}
	if err := checkPath(r.GetPath(), int64(r.GetIndex()), signed.size, signed.root, r.GetLeaf()); err != nil {
		return Proven{}, err
	}
	statement, err := stated(r.GetLeaf(), r.GetIndex(), signed)
	if err != nil {
		return Proven{}, err
	}
	proven := Proven{Statement: statement}
	if err := v.inLedger(r, &proven); err != nil {
		return Proven{}, fmt.Errorf("in the ledger: %w", err)
	}
	return proven, nil
}

// stated reads what a leaf states, and checks that it says the same as its group.
func stated(leaf []byte, index uint32, signed group) (*exchangev1.Statement, error) {
	statement := &exchangev1.Statement{}
	if err := proto.Unmarshal(leaf, statement); err != nil {
		return nil, fmt.Errorf("%w: leaf is no statement", ErrMalformed)
	}
	if statement.GetHub() != signed.hub {
		return nil, fmt.Errorf("%w: the statement is of hub %q, the group of %q", ErrContradiction, statement.GetHub(), signed.hub)
	}
	if want := signed.first + uint64(index); statement.GetSequence() != want {
		return nil, fmt.Errorf("%w: the statement has sequence %d, its place in the group is %d", ErrContradiction, statement.GetSequence(), want)
	}
	return statement, nil
}

// inLedger checks that a statement is in the ledger, where its receipt says so.
func (v *Verifier) inLedger(r *exchangev1.Receipt, proven *Proven) error {
	if len(r.GetCheckpoint()) == 0 {
		if len(r.GetInclusion()) > 0 || r.LedgerIndex != nil {
			return fmt.Errorf("%w: a path or an index without a checkpoint", ErrMalformed)
		}
		return nil
	}
	checkpoint, err := v.Checkpoint(r.GetCheckpoint())
	if err != nil {
		return err
	}
	if hub := proven.Statement.GetHub(); checkpoint.Hub != hub {
		return fmt.Errorf("%w: the statement is of hub %q, the checkpoint of %q", ErrContradiction, hub, checkpoint.Hub)
	}
	index, err := indexOf(r, proven.Statement.GetSequence(), checkpoint)
	if err != nil {
		return err
	}
	if err := checkPath(r.GetInclusion(), int64(index), int64(checkpoint.Size), checkpoint.Root, r.GetLeaf()); err != nil { //nolint:gosec // below maxSize
		return err
	}
	proven.Checkpoint, proven.Index = &checkpoint, index
	return nil
}

// MatchesContent checks that a verified statement is about this content, as the
// sender wrote it. The error wraps ErrContent.
func MatchesContent(statement *exchangev1.Statement, content []byte) error {
	digest := sha256.Sum256(content)
	return MatchesDigest(statement, digest[:])
}

// MatchesDigest is MatchesContent for a content of which only the SHA-256 is at hand.
func MatchesDigest(statement *exchangev1.Statement, digest []byte) error {
	if !bytes.Equal(digest, statement.GetContentSha256()) {
		return fmt.Errorf("%w: its SHA-256 is %x, the receipt says %x", ErrContent, digest, statement.GetContentSha256())
	}
	return nil
}

func parseKeys(keys []string) (note.Verifiers, error) {
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: none was given", ErrKey)
	}
	verifiers := make([]note.Verifier, len(keys))
	for i, key := range keys {
		v, err := note.NewVerifier(key)
		if err != nil {
			return nil, fmt.Errorf("%w: key %d of %d; name+hash+base64 is expected", ErrKey, i+1, len(keys))
		}
		verifiers[i] = v
	}
	return note.VerifierList(verifiers...), nil
}

// checkPath checks that a leaf of an index is in the tree of a size and root.
func checkPath(path [][]byte, index, size int64, root tlog.Hash, leaf []byte) error {
	if index >= size {
		return fmt.Errorf("%w: index %d in a tree of %d", ErrMalformed, index, size)
	}
	proof, err := parseProof(path)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(leaf)); err != nil {
		return fmt.Errorf("%w: %w", ErrPath, err)
	}
	return nil
}

func parseProof(sent [][]byte) ([]tlog.Hash, error) {
	if len(sent) > maxProof {
		return nil, fmt.Errorf("%w: a proof of %d hashes", ErrMalformed, len(sent))
	}
	proof := make([]tlog.Hash, len(sent))
	for i, hash := range sent {
		if len(hash) != tlog.HashSize {
			return nil, fmt.Errorf("%w: a hash of %d bytes in a proof", ErrMalformed, len(hash))
		}
		proof[i] = tlog.Hash(hash)
	}
	return proof, nil
}
