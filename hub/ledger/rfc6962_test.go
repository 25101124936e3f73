package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// The tree of RFC 6962, word for word as its section 2.1 defines it, to hold the
// ledger against.

func hashOf(parts ...[]byte) []byte {
	sum := sha256.Sum256(bytes.Join(parts, nil))
	return sum[:]
}

// split returns the largest power of two smaller than n.
func split(n int) int {
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}

// treeHash is MTH.
func treeHash(leaves [][]byte) []byte {
	switch len(leaves) {
	case 0:
		return hashOf()
	case 1:
		return hashOf([]byte{0}, leaves[0])
	}
	k := split(len(leaves))
	return hashOf([]byte{1}, treeHash(leaves[:k]), treeHash(leaves[k:]))
}

// auditPath is PATH.
func auditPath(m int, leaves [][]byte) [][]byte {
	if len(leaves) == 1 {
		return nil
	}
	k := split(len(leaves))
	if m < k {
		return append(auditPath(m, leaves[:k]), treeHash(leaves[k:]))
	}
	return append(auditPath(m-k, leaves[k:]), treeHash(leaves[:k]))
}

// consistencyProof is PROOF.
func consistencyProof(m int, leaves [][]byte) [][]byte { return subProof(m, leaves, true) }

// subProof is SUBPROOF.
func subProof(m int, leaves [][]byte, whole bool) [][]byte {
	if m == len(leaves) {
		if whole {
			return nil
		}
		return [][]byte{treeHash(leaves)}
	}
	k := split(len(leaves))
	if m <= k {
		return append(subProof(m, leaves[:k], whole), treeHash(leaves[k:]))
	}
	return append(subProof(m-k, leaves[k:], false), treeHash(leaves[:k]))
}

// goldenLeaves and goldenRoots are the vectors that implementations of RFC 6962 are
// commonly held against: the roots over the first 1, 2, ... 8 leaves.
func goldenLeaves(t testing.TB) [][]byte {
	t.Helper()
	var leaves [][]byte
	for _, text := range []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"} {
		leaf, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leaf)
	}
	return leaves
}

func goldenRoots() []string {
	return []string{
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
}

func TestTheTreeOfTheTestsIsTheOneOfTheGoldenVectors(t *testing.T) {
	t.Parallel()
	leaves := goldenLeaves(t)
	for i, want := range goldenRoots() {
		if got := hex.EncodeToString(treeHash(leaves[:i+1])); got != want {
			t.Errorf("root over %d leaves is %s, want %s", i+1, got, want)
		}
	}
}
