// Package receipt verifies the receipts of a hub offline, with nothing but the
// hub's verifier key. A receipt that verifies proves that the hub gave its word:
// its signature stands under a Merkle root (RFC 6962) that the receipt's
// statement is under.
package receipt

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/proto"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
)

// Why a receipt proves nothing. Every error of Verify and MatchesContent wraps
// one of these.
var (
	// ErrKey means that a verifier key cannot be read, or that none was given.
	ErrKey = errors.New("not a verifier key")
	// ErrMalformed means that the receipt is not written as receipts are.
	ErrMalformed = errors.New("malformed receipt")
	// ErrSignature means that none of the keys has signed the group.
	ErrSignature = errors.New("not signed by a known key")
	// ErrPath means that the statement is not under the signed root.
	ErrPath = errors.New("statement is not under the signed root")
	// ErrContradiction means that the statement says something else than the
	// signed group: another hub, or another sequence.
	ErrContradiction = errors.New("statement contradicts the signed group")
	// ErrContent means that a statement is about other content.
	ErrContent = errors.New("content is not what the receipt is for")
)

// maxPath is the longest path in a tree of fewer than 2^63 leaves.
const maxPath = 63

// recentGroups is how many verified groups a Verifier remembers: a hub commits one
// group at a time, and the receipts of a group arrive together.
const recentGroups = 16

// Verifier checks receipts against the verifier keys of a hub. It remembers the
// groups it verified last, so that of the receipts of one group only the first
// costs a signature check. It may be used concurrently.
type Verifier struct {
	keys note.Verifiers

	mu     sync.Mutex
	recent map[string]group // by the signed note, byte for byte
	order  []string         // of recent, oldest first
}

// NewVerifier returns a Verifier for signed-note verifier keys; more than one
// where the hub has changed its key. The error wraps ErrKey.
func NewVerifier(verifierKeys ...string) (*Verifier, error) {
	keys, err := parseKeys(verifierKeys)
	if err != nil {
		return nil, err
	}
	return &Verifier{keys: keys, recent: map[string]group{}}, nil
}

// Verify is Verifier.Verify for a single receipt.
func Verify(r *exchangev1.Receipt, verifierKeys ...string) (*exchangev1.Statement, error) {
	v, err := NewVerifier(verifierKeys...)
	if err != nil {
		return nil, err
	}
	return v.Verify(r)
}

// Verify checks a receipt and returns what the hub stated. The statement is to be
// believed only when the error is nil; the error wraps one of this package's
// sentinels.
func (v *Verifier) Verify(r *exchangev1.Receipt) (*exchangev1.Statement, error) {
	if len(r.GetLeaf()) == 0 || len(r.GetGroup()) == 0 {
		return nil, fmt.Errorf("%w: leaf and group are required", ErrMalformed)
	}
	signed, err := v.open(r.GetGroup())
	if err != nil {
		return nil, err
	}
	if err := checkPath(r, signed); err != nil {
		return nil, err
	}
	statement := &exchangev1.Statement{}
	if err := proto.Unmarshal(r.GetLeaf(), statement); err != nil {
		return nil, fmt.Errorf("%w: leaf is no statement", ErrMalformed)
	}
	if statement.GetHub() != signed.hub {
		return nil, fmt.Errorf("%w: the statement is of hub %q, the group of %q", ErrContradiction, statement.GetHub(), signed.hub)
	}
	if want := signed.first + uint64(r.GetIndex()); statement.GetSequence() != want {
		return nil, fmt.Errorf("%w: the statement has sequence %d, its place in the group is %d", ErrContradiction, statement.GetSequence(), want)
	}
	return statement, nil
}

// open returns the group of a signed note. Only notes that verified are
// remembered.
func (v *Verifier) open(message []byte) (group, error) {
	v.mu.Lock()
	known, ok := v.recent[string(message)]
	v.mu.Unlock()
	if ok {
		return known, nil
	}
	signed, err := openGroup(message, v.keys)
	if err != nil {
		return group{}, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.recent[string(message)]; !ok {
		v.recent[string(message)] = signed
		if v.order = append(v.order, string(message)); len(v.order) > recentGroups {
			delete(v.recent, v.order[0])
			v.order = v.order[1:]
		}
	}
	return signed, nil
}

// MatchesContent checks that a verified statement is about this content, as the
// sender wrote it. The error wraps ErrContent.
func MatchesContent(statement *exchangev1.Statement, content []byte) error {
	digest := sha256.Sum256(content)
	if !bytes.Equal(digest[:], statement.GetContentSha256()) {
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

func checkPath(r *exchangev1.Receipt, signed group) error {
	index := int64(r.GetIndex())
	if index >= signed.size {
		return fmt.Errorf("%w: index %d in a group of %d", ErrMalformed, index, signed.size)
	}
	if len(r.GetPath()) > maxPath {
		return fmt.Errorf("%w: a path of %d hashes", ErrMalformed, len(r.GetPath()))
	}
	path := make(tlog.RecordProof, len(r.GetPath()))
	for i, hash := range r.GetPath() {
		if len(hash) != tlog.HashSize {
			return fmt.Errorf("%w: a path hash of %d bytes", ErrMalformed, len(hash))
		}
		path[i] = tlog.Hash(hash)
	}
	if err := tlog.CheckRecord(path, signed.size, signed.root, index, tlog.RecordHash(r.GetLeaf())); err != nil {
		return fmt.Errorf("%w: %w", ErrPath, err)
	}
	return nil
}
